"""The forms of practice and screening: items and answers, how much gold and what mark, the note that lifts a pause."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms import LEVELS, TypedText
from annotation.models import Decision, Item
from xinstruct_site.people.models import Language


class PracticeForm(forms.Form):
    """An answer to a practice item; `decision` comes from the button that was pressed."""

    decision = forms.ChoiceField(
        choices=Decision, error_messages={"required": _("Accept or reject: press one of the buttons.")}
    )
    overall = forms.TypedChoiceField(
        label=_("Overall"), choices=LEVELS, coerce=int, error_messages={"required": _("Choose 1 to 5.")}
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        decision, overall = cleaned.get("decision"), cleaned.get("overall")
        if decision == Decision.ACCEPT and overall and overall < 3:
            self.add_error("overall", _("1 and 2 mean that it cannot be used: reject it, or rate it higher."))
        if decision == Decision.REJECT and overall and overall > 3:
            self.add_error("overall", _("4 and 5 mean that it is good: accept it, or rate it lower."))
        return cleaned


class LessonForm(forms.Form):
    """A practice item as a language's lead writes it. Taken from an item, it has that item's title and text."""

    title = TypedText(label=_("Title"))
    body = TypedText(label=_("Text"), widget=forms.Textarea(attrs={"rows": 8}))
    instruction = TypedText(label=_("English instruction"), widget=forms.Textarea(attrs={"rows": 3, "lang": "en"}))
    input = TypedText(label=_("Input"), widget=forms.Textarea(attrs={"rows": 2, "dir": "auto"}))
    decision = forms.ChoiceField(label=_("What we would do"), choices=Decision)
    overall = forms.TypedChoiceField(label=_("Overall"), choices=LEVELS, coerce=int)
    explanation = TypedText(
        label=_("Why"),
        widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
        help_text=_("Markdown. Shown after the answer, whatever it was."),
    )

    def __init__(self, *args: Any, language: Language, from_item: Item | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if from_item:
            del self.fields["title"], self.fields["body"]
        for name in {"title", "body"} & self.fields.keys():
            self.fields[name].widget.attrs |= {"lang": language.code, "dir": language.direction}


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
