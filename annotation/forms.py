"""The review form: everything the card can say, checked by the rules of a review and resolved to rows; and other words
of people, on items and in guidelines.

Text is taken exactly as typed: only what PostgreSQL cannot hold is refused, and line ends are put back to
what they were before the browser sent them.
"""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from annotation import trimming
from annotation.models import Decision, Flag, Item
from annotation.submissions import RATINGS, Submission, relabel_problem, spans_problem
from annotation.trimming import Span
from generation.models import Candidate
from xinstruct_site.people.models import Language, User

SALT = "annotation.review.shown"
OWN = "own"
LEVELS = [(str(level), str(level)) for level in range(1, 6)]
LONGEST = 200_000
LONGEST_GUIDELINES = 40_000
LONGEST_COMMENT = 10_000


@dataclass(frozen=True, slots=True)
class Choice:
    """One wording to start from: a drafted candidate, or in a tie-break one of the wordings that differed.

    A tie-break's says the response, too: its kept parts as the form has them, and its edit. A draft's (None) does not.
    """

    key: str
    number: int
    instruction: str
    input: str
    candidate: Candidate | None
    is_starter: bool = False
    spans: str | None = None
    response_edit: str | None = None

    def words(self) -> dict[str, str]:
        """What choosing it puts into the form."""
        words = {"choice": self.key, "loaded": self.key, "instruction": self.instruction, "input": self.input}
        if self.spans is not None:
            words |= {"spans": self.spans, "response_edit": self.response_edit or ""}
        return words


def shown_token(user: User, item: Item) -> str:
    """Says when the card was shown to whom, so that a browser can neither move the time nor pass the card on."""
    return signing.dumps([user.public_id, item.public_id, timezone.now().isoformat()], salt=SALT)


def read_shown_token(token: str, user: User, item: Item) -> dt.datetime | None:
    try:
        person, public_id, shown_at = signing.loads(token, salt=SALT)
    except (signing.BadSignature, ValueError):
        return None
    return dt.datetime.fromisoformat(shown_at) if (person, public_id) == (user.public_id, item.public_id) else None


def refuse_surrogates(value: str) -> None:
    """Half characters are in no text that a keyboard makes, and no UTF-8 can hold them."""
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise ValidationError(
            _("There is a broken character in this text (half of a pair). Please delete it."), "surrogate"
        )


def spans_json(spans: list[Span], body: str) -> str:
    """Kept parts as the form carries them; nothing where all of the body is kept."""
    return json.dumps(trimming.quoted(spans, body), ensure_ascii=False) if spans else ""


def read_spans(data: Any, body: str) -> list[Span]:
    """The kept parts that a form says: those of its hidden field, and where the ticks were changed, the ticks.

    Raises:
        ValidationError: unreadable, not what the text says, or nothing is left.
    """
    try:
        sent = json.loads(data.get("spans") or "[]")
    except (ValueError, RecursionError):
        sent = None
    if problem := spans_problem(sent, body):
        raise ValidationError(problem, "spans")
    spans = trimming.tidied([(span["start"], span["end"]) for span in sent], body)
    # Without JavaScript the ticks are what people change; with it, the script keeps both alike.
    if "part" not in data and "parts_shown" not in data:
        return spans
    keys = set(data.getlist("part"))
    if keys != set(data.get("parts_shown", "").split()):
        if not keys & {paragraph.key for paragraph in trimming.paragraphs(body, [])}:
            raise ValidationError(_("Keep at least one part of the text."), "spans")
        spans = trimming.ticked(keys, body, spans)
    return spans


class TypedText(forms.CharField):
    """Text exactly as typed: nothing stripped, and the line ends that browsers put into forms undone."""

    def __init__(self, *, max_length: int = LONGEST, **kwargs: Any) -> None:
        super().__init__(strip=False, required=False, max_length=max_length, validators=[refuse_surrogates], **kwargs)

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class ReviewForm(forms.Form):
    """What an annotator says about one item. `decision` comes from the button that was pressed."""

    id = forms.UUIDField(widget=forms.HiddenInput)
    shown = forms.CharField(widget=forms.HiddenInput)
    loaded = forms.CharField(required=False, widget=forms.HiddenInput)  # the choice whose words are in the field
    active_seconds = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    decision = forms.ChoiceField(
        choices=Decision, error_messages={"required": _("Accept or reject: press one of the buttons.")}
    )
    choice = forms.ChoiceField(label=_("Wording"), required=False)
    instruction = TypedText(label=_("English instruction"))
    input = TypedText(label=_("Input"))
    spans = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)  # read together with the ticks
    response_edit = TypedText(label=_("Edited response"))
    rating_alignment = forms.TypedChoiceField(
        label=_("The text answers it"), choices=LEVELS, required=False, coerce=int, empty_value=None
    )
    rating_instruction = forms.TypedChoiceField(
        label=_("The instruction"), choices=LEVELS, required=False, coerce=int, empty_value=None
    )
    rating_text = forms.TypedChoiceField(
        label=_("The text"), choices=LEVELS, required=False, coerce=int, empty_value=None
    )
    overall = forms.TypedChoiceField(label=_("Overall"), choices=LEVELS, required=False, coerce=int, empty_value=None)
    flags = forms.MultipleChoiceField(label=_("Anything wrong?"), choices=Flag, required=False)
    relabel = forms.ModelChoiceField(
        label=_("Which language or variety it is"),
        queryset=Language.objects.all(),
        to_field_name="code",
        required=False,
        empty_label=_("Which one? If it is not listed, say in the note"),
    )
    reason = TypedText(label=_("Reason"))
    set_aside = TypedText(label=_("The version you set aside"))
    version = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)
    tab = forms.CharField(required=False, widget=forms.HiddenInput)
    turn = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, item: Item, user: User, choices: list[Choice], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.item, self.user, self.by_key = item, user, {choice.key: choice for choice in choices}
        own = _("My own")
        self.fields["choice"].choices = [(c.key, str(c.number)) for c in choices] + [(OWN, own)]  # type: ignore[attr-defined]
        for flag in Flag:
            self.fields[f"note_{flag.value}"] = TypedText(label=_("Note"))

    def clean_shown(self) -> dt.datetime:
        shown_at = read_shown_token(self.cleaned_data["shown"], self.user, self.item)
        if shown_at is None:
            raise ValidationError(_("This card was not made for you. Reload the page."))
        return shown_at

    def clean_spans(self) -> list[Span]:
        return read_spans(self.data, self.item.text.body)

    def clean_response_edit(self) -> str | None:
        """An empty field says that nobody edited."""
        return self.cleaned_data["response_edit"] if self.cleaned_data["response_edit"].strip() else None

    def clean_active_seconds(self) -> int:
        return self.cleaned_data["active_seconds"] or 0

    def clean_choice(self) -> Choice | None:
        return self.by_key.get(self.cleaned_data["choice"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if shown_at := cleaned.get("shown"):
            since = max(0, int((timezone.now() - shown_at).total_seconds()))
            cleaned["active_seconds"] = min(cleaned.get("active_seconds", 0), since)
        cleaned["flags"] = {flag: cleaned.get(f"note_{flag}", "") for flag in cleaned.get("flags", [])}
        if problem := relabel_problem(cleaned.get("relabel"), cleaned["flags"], self.item):
            self.add_error("relabel", problem)
        if cleaned.get("decision") == Decision.ACCEPT:
            self._check_accept(cleaned)
        elif cleaned.get("decision") == Decision.REJECT:
            self._check_reject(cleaned)
        return cleaned

    def _check_accept(self, cleaned: dict[str, Any]) -> None:
        choice = cleaned.get("choice")
        loaded = self.by_key.get(cleaned.get("loaded", ""))
        if choice and loaded and choice != loaded:
            # Without JavaScript a chosen draft is not in the field yet; nobody accepts words they have not seen.
            self.add_error("choice", _("You chose another draft. It is in the field now: read it, then decide."))
            self.data = self.data.copy()  # type: ignore[attr-defined]
            for name, value in choice.words().items():
                self.data[name] = value  # type: ignore[index]
            return
        if "instruction" in cleaned and not cleaned["instruction"].strip():
            self.add_error("instruction", _("An accepted item needs an instruction."))
        missing = [name for name in RATINGS if name in cleaned and cleaned[name] is None]
        for name in missing:
            self.add_error(name, _("Choose 1 to 5."))
        if (overall := cleaned.get("overall")) and overall < 3:
            self.add_error(
                "overall", _("1 and 2 mean that it cannot be used: reject it, or improve the wording and rate again.")
            )

    def _check_reject(self, cleaned: dict[str, Any]) -> None:
        if "reason" in cleaned and not cleaned["reason"].strip():
            self.add_error("reason", _("Say in a few words why it is rejected."))
        if (overall := cleaned.get("overall")) and overall > 3:
            self.add_error("overall", _("4 and 5 mean that it is good: accept it, or rate it lower."))

    def submission(self) -> Submission:
        """What was said, as reviewing.submit takes it."""
        data = self.cleaned_data
        choice: Choice | None = data["choice"]
        return Submission(
            id=data["id"],
            decision=data["decision"],
            candidate=choice.candidate if choice else None,
            instruction=data["instruction"],
            input=data["input"],
            response_edit=data["response_edit"],
            spans=trimming.quoted(data["spans"], self.item.text.body),
            rating_alignment=data["rating_alignment"],
            rating_instruction=data["rating_instruction"],
            rating_text=data["rating_text"],
            overall=data["overall"],
            flags=data["flags"],
            relabel=data["relabel"],
            reason=data["reason"],
            shown_at=data["shown"],
            active_seconds=data["active_seconds"],
            interface_language=get_language() or "en",
            autosave_version=data["version"],
            tab=data["tab"],
        )

    def first_error(self) -> str:
        """The field to go to."""
        return next((name for name in self.fields if name in self.errors), "")


class GuidelinesForm(forms.Form):
    """The next version of a language's guidelines. Markdown as typed."""

    body = TypedText(label=_("Guidelines"), widget=forms.Textarea(attrs={"rows": 24, "dir": "auto"}))
    written_in = forms.ChoiceField(label=_("Written in"), required=False)
    note = forms.CharField(
        label=_("What changed"),
        max_length=300,
        required=False,
        validators=[refuse_surrogates],
        help_text=_("One line that annotators read when they are told of the change."),
    )
    based_on = forms.IntegerField(min_value=1, max_value=2**31 - 1, widget=forms.HiddenInput)

    def __init__(self, *args: Any, language: Language, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["body"].max_length = LONGEST_GUIDELINES  # type: ignore[attr-defined]
        self.fields["body"].validators.append(MaxLengthValidator(LONGEST_GUIDELINES))
        self.fields["body"].widget.attrs["lang"] = language.guidelines_language or language.code
        self.fields["written_in"].choices = [("", language.own_name), ("en", "English")]  # type: ignore[attr-defined]


class CommentForm(forms.Form):
    """A question or remark on an item, as typed."""

    body = TypedText(
        label=_("Your question or remark"),
        max_length=LONGEST_COMMENT,
        widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"}),
    )

    def clean_body(self) -> str:
        body: str = self.cleaned_data["body"]
        if not body.strip():
            raise ValidationError(_("Write something first."))
        return body
