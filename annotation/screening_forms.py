"""The forms of screening: how much gold and what mark, and the note that lifts a pause."""

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms import TypedText


class ScreeningForm(forms.Form):
    gold_share = forms.IntegerField(
        label=_("Hidden gold, in %"), min_value=0, max_value=50, help_text=_("Of the items that people are served.")
    )
    entry_mark = forms.IntegerField(
        label=_("Entry mark, in %"),
        min_value=0,
        max_value=99,
        help_text=_("With ten practice items or more, people begin when more than this of their answers were yours."),
    )


class LiftForm(forms.Form):
    note = TypedText(
        label=_("Note"),
        widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"}),
        help_text=_("They read it. Say what you talked about and what to look out for."),
    )

    def clean_note(self) -> str:
        note: str = self.cleaned_data["note"]
        if not note.strip():
            raise forms.ValidationError(_("Say a few words: nobody should come back without any."))
        return note
