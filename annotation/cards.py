"""What the review card shows: the wordings to choose from, where the person left off, and the rubric in plain words.

Machine scores are not here: annotators judge without them.
"""

import random
import uuid
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from annotation.forms import RATINGS, Choice, ReviewForm, read_shown_token, shown_token
from annotation.models import Autosave, Flag, Item, Slot
from xinstruct_site.people.models import User

TYPED = ("id", "shown", "loaded", "choice", "instruction", "input", *RATINGS, "reason", "active_seconds")

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


def choices_for(item: Item, slot: Slot | None, user: User) -> list[Choice]:
    """The wordings to choose from. Equal ones are shown once; a tie-break's come in an order drawn for the person."""
    if slot and slot.wordings:
        wordings = [w if isinstance(w, dict) else {"instruction": w} for w in slot.wordings]
        random.Random(f"{item.public_id}{user.public_id}").shuffle(wordings)  # noqa: S311 - a fair order, no secret
        return [
            Choice(f"w{n}", n, wording["instruction"], wording.get("input", ""), None)
            for n, wording in enumerate(wordings, 1)
        ]
    seen: dict[tuple[str, str], Choice] = {}
    for candidate in item.candidates():
        words = (candidate.instruction, candidate.input)
        if words not in seen:
            starter = candidate.run.model_version.is_starter
            seen[words] = Choice(str(candidate.pk), len(seen) + 1, *words, candidate, starter)
    return list(seen.values())


def starting_point(user: User, item: Item, choices: list[Choice]) -> tuple[dict[str, Any], int]:
    """What the form opens with, and the version of the autosave it comes from: unsent work wins over drafts."""
    fresh: dict[str, Any] = {"id": str(uuid.uuid4()), "shown": shown_token(user, item), "active_seconds": 0}
    if choices:
        fresh |= words_of(choices[0])
    saved = Autosave.objects.filter(item=item, user=user).first()
    if not saved:
        return fresh, 0
    kept = {key: value for key, value in saved.data.items() if key not in {"id", "shown"}}
    # The same id and the same first showing, so that a reload neither doubles the review nor resets its clock.
    if read_shown_token(saved.data.get("shown", ""), user, item) and is_uuid(saved.data.get("id")):
        kept |= {"id": saved.data["id"], "shown": saved.data["shown"]}
    return fresh | kept, saved.version


def words_of(choice: Choice) -> dict[str, str]:
    return {
        "choice": choice.key, "loaded": choice.key, "instruction": choice.instruction, "input": choice.input,
    }  # fmt: skip


def typed(data: QueryDict) -> dict[str, Any]:
    """Everything a person has put into the card, as it came: what an autosave keeps."""
    notes = {f"note_{flag}": data.get(f"note_{flag}", "") for flag in Flag.values}
    fields = {name: data.get(name, "").replace("\r\n", "\n") for name in TYPED}
    return fields | notes | {"flags": data.getlist("flags")}


def scales(form: ReviewForm) -> list[Scale]:
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


def flags(form: ReviewForm) -> list[FlagLine]:
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
