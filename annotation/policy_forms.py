"""The form of a language's review policy."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation import policies
from annotation.forms import refuse_surrogates
from xinstruct_site.people.models import Language, User


class PolicyForm(forms.Form):
    """`policy` in the cleaned data is the policy; `alone` the people whose accept makes a pair by itself."""

    overlap = forms.IntegerField(label=_("Reviews that an item asks for"), min_value=1, max_value=policies.MOST_OVERLAP)
    quorum = forms.IntegerField(
        label=_("Accepting reviews that make a pair"), min_value=1, max_value=policies.MOST_OVERLAP
    )
    linguists_only = forms.BooleanField(
        label=_("Linguists only"), required=False, help_text=_("Nobody else is served items opened from then on.")
    )
    alone = forms.ModelMultipleChoiceField(
        User.objects.none(),
        label=_("Whose accept makes a pair by itself"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Their rejects count as everybody's."),
    )
    note = forms.CharField(
        label=_("Why"), max_length=300, required=False, validators=[refuse_surrogates],
        widget=forms.TextInput(attrs={"dir": "auto"}),
    )  # fmt: skip
    based_on = forms.IntegerField(widget=forms.HiddenInput, min_value=1, max_value=2**31 - 1)

    def __init__(self, *args: Any, language: Language, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["alone"].queryset = policies.people_of(language)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            named = ("overlap", "quorum", "linguists_only")
            data["policy"] = policies.Policy(**{name: data[name] for name in named})
            if problem := data["policy"].problem():
                raise forms.ValidationError(problem)
        return data
