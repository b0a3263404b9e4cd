"""What people look for, among items and among their own reviews; finding.py and mine.py find it."""

import datetime as dt
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from annotation.finding import WAITING
from annotation.forms import refuse_surrogates
from annotation.models import Flag, ItemState, PairState
from xinstruct_site.people import varieties
from xinstruct_site.people.forms import Suggesting
from xinstruct_site.people.models import Language, User

NEAR = [MinValueValidator(dt.date(2000, 1, 1)), MaxValueValidator(dt.date(2999, 12, 31))]  # of days that exist


class FindReviewsForm(forms.Form):
    """What to look for among one's own reviews."""

    q = forms.CharField(label=_("Find in instruction and title"), required=False, max_length=200)
    after = forms.UUIDField(required=False, widget=forms.HiddenInput)


class FindItemsForm(forms.Form):
    """What to look for among the items of a language. `people` is for who may know who reviewed what."""

    language = forms.ChoiceField(label=_("Language"), required=False)
    q = forms.CharField(label=_("Words"), required=False, max_length=200, validators=[refuse_surrogates])
    state = forms.ChoiceField(label=_("State"), choices=[("", _("any")), *ItemState.choices], required=False)
    person = forms.ModelChoiceField(
        label=_("Reviewed by"), queryset=User.objects.none(), to_field_name="public_id", required=False,
        empty_label=_("anybody"),
    )  # fmt: skip
    flag = forms.ChoiceField(label=_("Flag"), choices=[("", _("any")), *Flag.choices], required=False)
    waiting = forms.ChoiceField(label=_("Waiting"), choices=[("", _("any")), *WAITING.items()], required=False)
    variety = forms.CharField(
        label=_("Variety or orthography"), required=False, max_length=80, validators=[refuse_surrogates]
    )
    # What the numbers of the desk ask for.
    reviewed_since = forms.DateField(required=False, widget=forms.HiddenInput, validators=NEAR)
    reviewed_until = forms.DateField(required=False, widget=forms.HiddenInput, validators=NEAR)
    accepted_since = forms.DateField(required=False, widget=forms.HiddenInput, validators=NEAR)
    after = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def __init__(
        self, *args: Any, languages: list[Language], language: Language, people: QuerySet[User] | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["language"]
        field.choices = [(one.code, one.local_name()) for one in languages]  # type: ignore[attr-defined]
        field.initial = language.code
        if people is None:
            del self.fields["person"], self.fields["variety"]
        else:
            self.fields["person"].queryset = people  # type: ignore[attr-defined]
            words = varieties.standing(language).values_list("name", flat=True).distinct()
            self.fields["variety"].widget = Suggesting(words, attrs={"dir": "auto", "maxlength": 80})
            of_pairs = [(state.value, state.label) for state in (PairState.HELD, PairState.EXCLUDED)]
            self.fields["state"].choices += of_pairs  # type: ignore[attr-defined]

    def asked(self) -> dict[str, Any]:
        """The question, as finding.find_items takes it."""
        data = self.cleaned_data
        return {"words": data["q"]} | {name: said for name, said in data.items() if name not in {"q", "language"}}

    def narrows(self) -> bool:
        return any(value for name, value in self.asked().items() if name != "after")
