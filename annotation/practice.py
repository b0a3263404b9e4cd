"""Practice: a person's first visit to a language begins with a few items whose answer and reasons are known.

Practice items have no slots, no reviews and no pair, so nothing done on them can reach an item that counts, a verdict
or a release.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import screening
from annotation.models import (
    Decision,
    Item,
    ItemKind,
    ItemState,
    Lesson,
    PauseReason,
    PracticeAnswer,
    PracticeDone,
    Review,
)
from generation.models import Import, Text
from xinstruct_site.people.models import Event, EventKind, Language, Role, User

SOURCE = "practice"
DECIDED = {ItemState.ACCEPTED, ItemState.REJECTED}
ITEM_STATES = {Decision.ACCEPT: ItemState.ACCEPTED, Decision.REJECT: ItemState.REJECTED}


class PracticeError(Exception):
    """A practice item cannot be made like this. The message is for the person who asked."""


class AlreadyTaught(PracticeError):
    """There is a practice item of this text."""

    def __init__(self) -> None:
        super().__init__(_("There is a practice item of this text already."))


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a lead says of a new practice item. The text is either of its own or another item's."""

    instruction: str
    decision: str
    overall: int
    explanation: str
    input: str = ""
    title: str = ""
    body: str = ""
    licence: str = "CC0-1.0"


@dataclass(frozen=True, slots=True)
class Course:
    """A language's practice as one person stands in it."""

    lessons: Sequence[Lesson]
    answers: dict[int, PracticeAnswer]  # by the item's key

    @property
    def next(self) -> Lesson | None:
        return next((lesson for lesson in self.lessons if lesson.item_id not in self.answers), None)

    @property
    def agreed(self) -> int:
        return sum(self.answers[lesson.item_id].decision == lesson.decision for lesson in self.answered)

    @property
    def answered(self) -> list[Lesson]:
        return [lesson for lesson in self.lessons if lesson.item_id in self.answers]


def lessons_of(language: Language) -> list[Lesson]:
    """The practice items in use, in order."""
    lessons = Lesson.objects.filter(item__language=language, item__kind=ItemKind.PRACTICE)
    return list(lessons.exclude(item__state=ItemState.WITHDRAWN).select_related("item__text", "item__language"))


def course(user: User, language: Language) -> Course:
    lessons = lessons_of(language)
    answers = PracticeAnswer.objects.filter(user=user, item__in=[lesson.item_id for lesson in lessons])
    return Course(lessons, {answer.item_id: answer for answer in answers})


def is_due(user: User, language: Language) -> bool:
    """Whether practice comes before work: on the first visit, where there is any."""
    if PracticeDone.objects.filter(user=user, language=language).exists():
        return False
    in_use = Item.objects.filter(language=language, kind=ItemKind.PRACTICE).exclude(state=ItemState.WITHDRAWN)
    return in_use.exists() and not Review.objects.filter(reviewer=user, item__language=language).exists()


def answer(user: User, lesson: Lesson, *, decision: str, overall: int) -> PracticeAnswer:
    """Keep what the person would do. The first answer stands: the reasons have been shown since."""
    given, _is_new = PracticeAnswer.objects.get_or_create(
        item=lesson.item, user=user, defaults={"decision": decision, "overall": overall}
    )
    taken = course(user, lesson.item.language)
    if taken.next is None:
        end(user, lesson.item.language, taken)
    return given


def end(user: User, language: Language, taken: Course) -> None:
    """After the last answer: to work; or where the language screens and it was not enough, a talk comes first."""
    right, answers = taken.agreed, len(taken.lessons)
    is_screened = screening.is_screened(taken.lessons) and not user.has_role(language, Role.LINGUIST)
    if not is_screened or screening.passes(language, right, answers):
        finish(user, language)
    elif not PracticeDone.objects.filter(user=user, language=language).exists():
        screening.pause(user, language, PauseReason.ENTRY, right=right, answers=answers)


def may_pass_over(user: User, language: Language) -> bool:
    """Where a language screens, nobody begins without it, nor once more after having read the answers; but who leads
    the language knows them."""
    if user.has_role(language, Role.LINGUIST) or not screening.is_screened(lessons_of(language)):
        return True
    return PracticeDone.objects.filter(user=user, language=language).exists()


def finish(user: User, language: Language) -> None:
    """Through, or passed over: the person goes to work. Called again, it changes nothing."""
    PracticeDone.objects.get_or_create(user=user, language=language)


def start_over(user: User, language: Language) -> None:
    """Forget the person's answers, for another try. That they need not practise stays as it is."""
    PracticeAnswer.objects.filter(user=user, item__language=language).delete()


def make_lesson(language: Language, sketch: Sketch, *, made_by: User | None = None, like: Item | None = None) -> Lesson:
    """A practice item at the end of the language's practice: with its own text, or with the text of a decided item.

    Raises:
        PracticeError: what is said breaks the rules of a review, or the text cannot be taken.
    """
    _demand_rules(sketch)
    with transaction.atomic():
        # One at a time per language, so that two equal ones are told apart.
        Language.objects.select_for_update(no_key=True).get(pk=language.pk)
        text = _text_of(like) if like else _own_text(language, sketch)
        if Item.objects.filter(text=text, kind=ItemKind.PRACTICE).exclude(state=ItemState.WITHDRAWN).exists():
            raise AlreadyTaught
        item = Item.objects.create(
            language=language,
            text=text,
            round=None,
            kind=ItemKind.PRACTICE,
            state=ITEM_STATES[Decision(sketch.decision)],  # its answer is known, so nobody waits for reviews of it
            overlap=language.overlap,
            quorum=language.quorum,
            policy_version=language.policy_version,
            decided_at=timezone.now(),
        )
        last = Lesson.objects.filter(item__language=language).aggregate(last=Max("position"))["last"] or 0
        lesson = Lesson.objects.create(
            item=item,
            position=last + 1,
            instruction=sketch.instruction,
            input=sketch.input,
            decision=sketch.decision,
            overall=sketch.overall,
            explanation=sketch.explanation,
            made_by=made_by,
        )
        Event.record(EventKind.PRACTICE_MADE, item, actor=made_by, language=language)
    return lesson


def retire(lesson: Lesson, *, by: User) -> bool:
    """Take an item out of practice; its answers stay. False where that was done before."""
    in_use = Item.objects.filter(pk=lesson.item_id, kind=ItemKind.PRACTICE).exclude(state=ItemState.WITHDRAWN)
    if not in_use.update(state=ItemState.WITHDRAWN):
        return False
    Event.record(EventKind.PRACTICE_RETIRED, lesson.item, actor=by, language=lesson.item.language)
    return True


def sketch_of(item: Item) -> Sketch:
    """What a decided item would teach: its pair, or why it was rejected."""
    pair = item.pairs.current().first()
    if pair:
        return Sketch(pair.instruction, Decision.ACCEPT, 5, "", input=pair.input)
    drafts = item.candidates()
    instruction, given = (drafts[0].instruction, drafts[0].input) if drafts else ("", "")
    return Sketch(instruction, Decision.REJECT, 1, "", input=given)


def _demand_rules(sketch: Sketch) -> None:
    if sketch.decision not in Decision.values:
        raise PracticeError(_("Accept or reject."))
    if not sketch.instruction.strip():
        raise PracticeError(_("A practice item needs an instruction."))
    if not sketch.explanation.strip():
        raise PracticeError(_("Say why: the reasons are what people learn from."))
    if sketch.overall not in (range(3, 6) if sketch.decision == Decision.ACCEPT else range(1, 4)):
        raise PracticeError(_("Accepting takes an overall rating of 3 to 5, rejecting one of 1 to 3."))


def _text_of(item: Item) -> Text:
    """A decided item's text. One that waits for reviews would have its answer given away."""
    if item.kind != ItemKind.NORMAL or item.state not in DECIDED or item.text.withdrawn_at:
        raise PracticeError(_("Only accepted and rejected items can teach: others still wait for their answer."))
    if Item.objects.filter(text=item.text, state=ItemState.OPEN).exists():
        raise PracticeError(_("This text waits for reviews again, and practice would give its answer away."))
    return item.text


def _own_text(language: Language, sketch: Sketch) -> Text:
    """A text written to teach, stored as typed. No gate of an import: what is wrong with it may be the lesson."""
    body = sketch.body.strip("\n")
    if not body.strip():
        raise PracticeError(_("A practice item needs a text."))
    if len(body) > settings.TEXT_CHARS_MAX:
        raise PracticeError(_("The text has more than %(most)s characters.") % {"most": settings.TEXT_CHARS_MAX})
    batch, _is_new = Import.objects.get_or_create(language=language, source=SOURCE)
    text, is_new = Text.objects.get_or_create(
        language=language,
        sha256=hashlib.sha256(body.encode()).hexdigest(),
        defaults={
            "title": sketch.title,
            "body": body,
            "original": body,
            "chars": len(body),
            "source_dataset": SOURCE,
            "licence_id": sketch.licence,
            "script": language.script,
            "imported_in": batch,
            "is_practice": True,
        },
    )
    if not is_new and not text.is_practice:
        raise PracticeError(_("This text has been imported to be worked on. Write one of your own for practice."))
    return text
