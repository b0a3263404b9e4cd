"""The forms that linguists decide with: an audit, and an adjudication. Text is taken exactly as typed."""

import json
import uuid
from typing import Any, Self

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation import adjudicating, auditing
from annotation.agreement import Wording
from annotation.forms import LEVELS, TypedText, refuse_surrogates
from annotation.models import AuditVerdict, Decision
from xinstruct_site.people.models import Language


class WordingForm(forms.Form):
    """The words that a pair shall have. An edited response that says what the text says is no edit."""

    id = forms.UUIDField(widget=forms.HiddenInput)
    instruction = TypedText(
        label=_("Instruction"), widget=forms.Textarea(attrs={"rows": 3, "lang": "en", "dir": "ltr"})
    )
    input = TypedText(label=_("Input"), widget=forms.Textarea(attrs={"rows": 2, "dir": "auto"}))
    response_edit = TypedText(label=_("Edited response"), widget=forms.Textarea(attrs={"rows": 6}))
    note = TypedText(
        label=_("Note"),
        widget=forms.Textarea(attrs={"rows": 2, "dir": "auto"}),
        help_text=_("Those who reviewed the item read it, without your name."),
    )

    def __init__(self, *args: Any, language: Language, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["response_edit"].widget.attrs |= {"lang": language.code, "dir": language.direction}

    @classmethod
    def opened(cls, said: Wording, language: Language, **initial: str) -> Self:
        """The form as a linguist first meets it, to change what was said. Its id makes a replay known as one."""
        words = {"instruction": said.instruction, "input": said.input, "response_edit": said.response_edit or ""}
        return cls(language=language, initial={"id": uuid.uuid4()} | words | initial)

    def wording(self, kept: Wording) -> Wording:
        """As typed; the parts of the text that are kept are those of `kept`."""
        data = self.cleaned_data
        return Wording(data["instruction"], data["input"], data["response_edit"] or None, kept.spans)


class AuditForm(WordingForm):
    """What a linguist says of a pair. `verdict` comes from the button that was pressed."""

    pair = forms.CharField(max_length=40, widget=forms.HiddenInput)  # as it was read: it may be another by now
    verdict = forms.ChoiceField(choices=AuditVerdict.choices)
    marks = forms.CharField(required=False, max_length=1_000_000, widget=forms.HiddenInput)
    rule = TypedText(
        label=_("Suggest a rule for the guidelines"),
        widget=forms.Textarea(attrs={"rows": 2, "dir": "auto"}),
    )

    def clean_marks(self) -> Any:
        """As auditing.marks_problem reads them; what cannot be read at all is no list."""
        try:
            return json.loads(self.cleaned_data["marks"] or "[]")
        except (ValueError, RecursionError):
            return None

    def submission(self, said: Wording) -> auditing.Submission:
        data = self.cleaned_data
        wording = self.wording(said) if data["verdict"] == AuditVerdict.FIX else None
        return auditing.Submission(data["id"], data["verdict"], data["marks"], data["note"], data["rule"], wording)


class AdjudicationForm(WordingForm):
    """What a linguist decides on a disputed item. `decision` comes from the button that was pressed."""

    decision = forms.ChoiceField(choices=Decision.choices)
    overall = forms.TypedChoiceField(
        label=_("Overall"), choices=LEVELS, coerce=int, empty_value=None, required=False, widget=forms.RadioSelect
    )

    def submission(self, kept: Wording) -> adjudicating.Submission:
        data = self.cleaned_data
        wording = self.wording(kept) if data["decision"] == Decision.ACCEPT else None
        return adjudicating.Submission(data["id"], data["decision"], data["overall"], data["note"], wording)


class AuditTagForm(forms.Form):
    """A tag of one language's own."""

    name = forms.CharField(label=_("New tag"), max_length=80, validators=[refuse_surrogates])
