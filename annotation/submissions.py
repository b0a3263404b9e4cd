"""What a person sends as a review, and the rules that it keeps; reviewing.py takes it in. Text is left as typed."""

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import trimming
from annotation.agreement import trimmed
from annotation.models import Decision, Flag, Item
from annotation.relabelling import LONGEST_VARIETY
from generation.models import Candidate
from xinstruct_site.people.models import Language

RATINGS = ("rating_alignment", "rating_instruction", "rating_text", "overall")
MOST_SECONDS = 24 * 3600


class ReviewError(Exception):
    """A review cannot be taken as it is. The message is for the person who wrote it."""


class InvalidReview(ReviewError):
    """Breaks the rules of a review; `errors` says which field and why."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Submission:
    """What the page sends. `candidate` is what the person started from; empty where the wording is their own.

    `autosave_version` is the unsent work it was made from, `tab` the page it was written on; None asks for no look.
    """

    id: uuid.UUID
    decision: str
    candidate: Candidate | None
    instruction: str
    input: str = ""
    response_edit: str | None = None
    spans: list[dict[str, Any]] = field(default_factory=list)
    rating_alignment: int | None = None
    rating_instruction: int | None = None
    rating_text: int | None = None
    overall: int | None = None
    flags: dict[str, str] = field(default_factory=dict)
    relabel: Language | None = None
    reason: str = ""
    shown_at: dt.datetime = field(default_factory=timezone.now)
    active_seconds: int = 0
    interface_language: str = "en"
    autosave_version: int | None = None
    tab: str = ""


def checked(submission: Submission, item: Item) -> Submission:
    """The submission with its spans and edit in the one form they have, where it keeps the rules.

    Raises:
        InvalidReview: with a message per field.
    """
    refuse_unstorable(
        {
            "instruction": submission.instruction,
            "input": submission.input,
            "response_edit": submission.response_edit,
            "flags": submission.flags,
            "reason": submission.reason,
        }
    )
    errors: dict[str, str] = {}
    for name in RATINGS:
        value = getattr(submission, name)
        if value is not None and value not in range(1, 6):
            errors[name] = _("Ratings go from 1 to 5.")
    if submission.decision == Decision.ACCEPT:
        errors |= {name: _("Choose 1 to 5.") for name in RATINGS if getattr(submission, name) is None}
        if not submission.instruction.strip():
            errors["instruction"] = _("An accepted item needs an instruction.")
        if submission.overall in {1, 2}:
            errors["overall"] = _("Accepting takes an overall rating of 3 to 5.")
    elif submission.decision == Decision.REJECT:
        if not submission.reason.strip():
            errors["reason"] = _("Say in a few words why it is rejected.")
        if submission.overall in {4, 5}:
            errors["overall"] = _("An item rated 4 or 5 cannot be rejected.")
    else:
        errors["decision"] = _("Accept or reject.")
    drafted_from = submission.candidate
    if drafted_from and drafted_from.text_id != item.text_id and drafted_from.pk not in item.candidate_ids:
        errors["candidate"] = _("This instruction was drafted for another text.")
    if unknown := submission.flags.keys() - set(Flag.values):
        errors["flags"] = _("There is no flag “%(flag)s”.") % {"flag": sorted(unknown)[0]}
    if problem := relabel_problem(submission.relabel, submission.flags, item):
        errors["relabel"] = problem
    if submission.response_edit is not None and not submission.response_edit.strip():
        errors["response_edit"] = _("The response cannot be empty.")
    if problem := spans_problem(submission.spans, item.text.body):
        errors["spans"] = problem
    if errors:
        raise InvalidReview(errors)
    body = item.text.body
    spans = trimming.tidied(((span["start"], span["end"]) for span in submission.spans), body)
    edit = submission.response_edit
    if edit is not None and trimmed(edit) == trimmed(trimming.response(body, spans)):
        edit = None  # an edit that changes nothing is none
    return replace(
        submission,
        spans=trimming.quoted(spans, body),
        relabel=submission.relabel if Flag.WRONG_LANGUAGE in submission.flags else None,
        response_edit=edit,
        active_seconds=min(max(submission.active_seconds, 0), MOST_SECONDS),
        interface_language=submission.interface_language[:10],
    )


def spans_problem(spans: Any, body: str) -> str:
    """What is wrong with the kept parts of a body, in words; empty where they are ordered, apart and quoted rightly."""
    end_before = 0
    if not isinstance(spans, list):
        return _("The kept parts of the text could not be read.")
    for span in spans:
        if not isinstance(span, dict) or type(span.get("start")) is not int or type(span.get("end")) is not int:
            return _("The kept parts of the text could not be read.")
        start, end = span["start"], span["end"]
        if not 0 <= start < end <= len(body):
            return _("A kept part lies outside the text.")
        if start < end_before:
            return _("The kept parts of the text overlap or are out of order.")
        if span.get("quote") != body[start:end]:
            return _("A kept part does not say what the text says there.")
        end_before = end
    return ""


def relabel_problem(relabel: Language | None, flags: dict[str, str], item: Item) -> str:
    """What is wrong with naming a text's variety, in words; empty where nothing is."""
    if not relabel or relabel.pk != item.language_id or Flag.WRONG_LANGUAGE not in flags:
        return ""
    variety = flags[Flag.WRONG_LANGUAGE].strip()
    if not variety:
        return _("Name the variety in the note beside it.")
    if len(variety) > LONGEST_VARIETY:
        return _("The name of a variety has at most %(most)s characters.") % {"most": LONGEST_VARIETY}
    return ""


def refuse_unstorable(data: dict[str, Any]) -> None:
    """PostgreSQL holds every character but NUL, and UTF-8 every one but lone surrogates."""
    message = _("This contains a character that cannot be stored (NUL, or half of a surrogate pair). Please remove it.")
    if errors := {name: message for name, value in data.items() if any(map(_is_unstorable, _strings(value)))}:
        raise InvalidReview(errors)


def _is_unstorable(text: str) -> bool:
    return "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
