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
    recheck_days = forms.IntegerField(
        label=_("Self-recheck after so many days (0: never)"),
        min_value=0, max_value=policies.MOST_DAYS, required=False,
        help_text=_(
            "For communities of one or two: whoever reviewed an item may review it once more so many days later, "
            "without seeing what they said before. It counts as one more review, and says less than another person's "
            "would. Others may always come first."
        ),
    )  # fmt: skip
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
            data["policy"] = policies.Policy(
                data["overlap"], data["quorum"], data["recheck_days"] or 0, data["linguists_only"]
            )
            if problem := data["policy"].problem():
                raise forms.ValidationError(problem)
        return data
