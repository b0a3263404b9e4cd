"""What the review card shows: the wordings to choose from, where the person left off, and the rubric in plain words.

Machine scores are not here: annotators judge without them.
"""

import datetime as dt
import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from annotation import reading, trimming
from annotation.agreement import trimmed
from annotation.forms import RATINGS, Choice, ReviewForm, read_shown_token, read_spans, shown_token, spans_json
from annotation.models import Autosave, Flag, Item, Review, Slot
from annotation.trimming import Span
from generation.models import Candidate
from xinstruct_site.people.models import Language, User

WORDS = ("instruction", "input", "response_edit", "reason")
TYPED = (
    "id", "shown", "loaded", "choice", *WORDS, *RATINGS, "spans", "relabel", "set_aside", "active_seconds",
    "tab", "turn",
)  # fmt: skip
OF_THE_PAGE = {"id", "shown", "tab", "turn"}  # belong to one showing of a card
UNDO_FOR = dt.timedelta(hours=1)  # so long the last review is offered for undoing on the card

# After Humpback's five levels and MURI's three questions, said as one would to a colleague.
RUBRIC: dict[str, tuple[Promise, tuple[Promise, ...]]] = {
    "rating_alignment": (
        _("Does the text give what the instruction asks for?"),
        (
            _("No: it is about something else."),
            _("Partly: it touches the subject but leaves out what is asked."),
            _("Mostly: the answer is there, with much beside it."),
            _("Yes, with small gaps or extras."),
            _("Yes, fully and directly."),
        ),
    ),
    "rating_instruction": (
        _("Is it a clear, correct and natural thing to ask, in good English?"),
        (
            _("It makes no sense or asks something wrong."),
            _("Hard to understand, or far too vague."),
            _("Understandable, but clumsy or too general."),
            _("Good, a little could be better."),
            _("Clear, specific and natural."),
        ),
    ),
    "rating_text": (
        _("Is the text correct, natural and complete in your language?"),
        (
            _("Broken, machine-made or not in the language."),
            _("Many mistakes, or mostly menus and advertising."),
            _("Readable, with leftovers of the page or some mistakes."),
            _("Good, small blemishes."),
            _("Well written, nothing to change."),
        ),
    ),
    "overall": (
        _("Would a good assistant answer this instruction with this text?"),
        (
            _("No: off the point, unfinished, promotional or offensive."),
            _("No: it covers the question without answering it."),
            _("It can be used: helpful and complete, though it sounds like a web page."),
            _("Good: a clear, well ordered answer with little to improve."),
            _("Excellent: focused, expert, not a sentence too many."),
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Scale:
    """One question with five answers, as the card draws it."""

    name: str
    label: str
    question: Promise
    levels: list[tuple[str, Promise]]
    value: str
    errors: list[str]


@dataclass(frozen=True, slots=True)
class FlagLine:
    name: str
    label: str
    raised: bool
    note: str


@dataclass(frozen=True, slots=True)
class Opening:
    """A card's fields as it opens, drawn as a form's are. A form is for what comes in: thirty fields that are asked
    nothing would take as long as several queries."""

    data: dict[str, Any]

    def __getitem__(self, name: str) -> "OpeningField":
        return OpeningField(name, self.data.get(name))


@dataclass(frozen=True, slots=True)
class OpeningField:
    name: str
    initial: Any
    errors = ()

    def value(self) -> Any:
        return self.initial

    @property
    def label(self) -> str:
        return str(ReviewForm.base_fields[self.name].label)


def choices_for(item: Item, slot: Slot | None, user: User) -> list[Choice]:
    """The wordings to choose from. Equal ones are shown once; a tie-break's come in an order drawn for the person."""
    if slot and slot.wordings:
        return tie_break(item, slot, user)
    seen: dict[tuple[str, str], Choice] = {}
    for draft in ranked(item):
        words = (draft.candidate.instruction, draft.candidate.input)
        if words not in seen:
            key = reading.draft_key(item, draft.candidate.pk)
            seen[words] = Choice(key, len(seen) + 1, *words, draft.candidate, draft.is_starter)
    return list(seen.values())


def tie_break(item: Item, slot: Slot, user: User) -> list[Choice]:
    wordings = [w if isinstance(w, dict) else {"instruction": w} for w in slot.wordings or []]
    random.Random(f"{item.public_id}{user.public_id}").shuffle(wordings)  # noqa: S311 - a fair order, no secret
    candidates = Candidate.objects.in_bulk([w["candidate"] for w in wordings if w.get("candidate")])
    return [
        Choice(
            key=f"w{number}",
            number=number,
            instruction=wording["instruction"],
            input=wording.get("input", ""),
            candidate=candidates.get(wording.get("candidate")),
            spans=json.dumps(wording["spans"], ensure_ascii=False) if wording.get("spans") else "",
            response_edit=wording.get("response_edit"),
        )
        for number, wording in enumerate(wordings, 1)
    ]


def ranked(item: Item) -> list[reading.Draft]:
    """The drafts, best first: as drafted and scored, moved by what people said in the fast pass.

    Sums only, never who; one that everybody called bad comes last.
    """
    return sorted(reading.drafts(item), key=lambda draft: (draft.bad > 0 and not draft.good, draft.bad - draft.good))


def starting_point(user: User, item: Item, choices: list[Choice]) -> tuple[dict[str, Any], int]:
    """What the form opens with, and the version of the autosave it comes from: unsent work wins over drafts."""
    fresh: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "shown": shown_token(user, item),
        "active_seconds": 0,
        "tab": str(uuid.uuid4()),
        "turn": "0",
    }
    if choices:
        fresh |= choices[0].words()
    saved = reading.autosave_of(item, user)
    if not saved:
        return fresh, 0
    kept = {key: value for key, value in saved.data.items() if key not in OF_THE_PAGE}
    # The same id and the same first showing, so that a reload neither doubles the review nor resets its clock.
    if read_shown_token(saved.data.get("shown", ""), user, item) and is_uuid(saved.data.get("id")):
        kept |= {"id": saved.data["id"], "shown": saved.data["shown"]}
    return fresh | kept, saved.version


def typed(data: QueryDict, item: Item) -> dict[str, Any]:
    """Everything a person has put into the card, as it came: what an autosave keeps."""
    notes = {f"note_{flag}": data.get(f"note_{flag}", "") for flag in Flag.values}
    fields = {name: data.get(name, "").replace("\r\n", "\n") for name in TYPED}
    return fields | notes | {"flags": data.getlist("flags"), "spans": spans_json(kept(data, item), item.text.body)}


def kept(data: Any, item: Item) -> list[Span]:
    """The kept parts that a form or unsent work says; all of the text where that cannot be read."""
    try:
        return read_spans(data, item.text.body)
    except ValidationError:
        return []


def is_touched(data: dict[str, Any], choices: list[Choice]) -> bool:
    """Whether somebody has put work into it: more than choosing a draft."""
    if any(data.get(name) for name in (*RATINGS, "flags", "response_edit", "reason", "spans")):
        return True
    drafts = [(choice.instruction, choice.input) for choice in choices]
    return (data["instruction"], data["input"]) not in [*drafts, ("", "")]


def is_rated(data: Mapping[str, Any]) -> bool:
    return any(data.get(name) for name in RATINGS)


def is_flagged(data: Mapping[str, Any]) -> bool:
    return bool(data.get("flags")) or any(data.get(f"note_{flag}") for flag in Flag.values)


def readable(data: dict[str, Any], item: Item) -> str:
    """The words of unsent work as one text, to look at and to copy. An edit that says what the text says is none."""
    response = trimming.response(item.text.body, kept(data, item))
    words = {name: data.get(name, "") for name in (*WORDS, *(f"note_{flag}" for flag in Flag.values))}
    if trimmed(words["response_edit"]) == trimmed(response):
        del words["response_edit"]
    return "\n\n".join(filter(None, words.values()))


def last_review(user: User, language: Language) -> Review | None:
    """What the person sent last, while it is fresh in their mind."""
    recent = Review.objects.standing().filter(reviewer=user, submitted_at__gte=timezone.now() - UNDO_FOR)
    rows = recent.filter(item__language=language).select_related("item__text").order_by("-submitted_at")
    return rows.only("decision", "item__text__title").first()


def scales(form: ReviewForm | Opening) -> list[Scale]:
    return [
        Scale(
            name=name,
            label=str(form[name].label),
            question=RUBRIC[name][0],
            levels=[(str(level), text) for level, text in enumerate(RUBRIC[name][1], 1)],
            value=str(form[name].value() or ""),
            errors=[str(error) for error in form[name].errors],
        )
        for name in RATINGS
    ]


def flags(form: ReviewForm | Opening) -> list[FlagLine]:
    raised = form["flags"].value() or []
    return [
        FlagLine(value, str(label), value in raised, form[f"note_{value}"].value() or "")
        for value, label in Flag.choices
    ]


def autosave_version(user: User, item: Item) -> int:
    return Autosave.objects.filter(item=item, user=user).values_list("version", flat=True).first() or 0


def is_uuid(value: object) -> bool:
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return True
