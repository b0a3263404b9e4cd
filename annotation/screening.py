"""Screening: who begins, and who is asked to pause and talk. Nobody is banned, and nobody is left without a reason.

Entry: where a language has ten practice items or more, people begin once more than its mark of their answers were ours.
Later, gold among the items says how often somebody is right; by what rule that asks for a pause is in accuracy.py. A
worker looks now and then, not the submit itself: a pause that came with an answer would tell which item was gold.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from annotation import accuracy, gold
from annotation.models import Gold, Pause, PauseReason, Review
from xinstruct_site.people.models import Event, EventKind, Language, Membership, User

ENTRY_ITEMS = 10
LOOKS_BACK = dt.timedelta(days=2)
LONGEST = 400  # answers that the rule reads


@dataclass(frozen=True, slots=True)
class Person:
    """How right somebody is on gold lately: a share with its 95 % interval."""

    user: User
    answers: int
    right: int
    share: float
    low: float
    high: float


# Entry


def is_screened(lessons: Sequence[object]) -> bool:
    return len(lessons) >= ENTRY_ITEMS


def passes(language: Language, right: int, answers: int) -> bool:
    return 100 * right > language.entry_mark * answers


# Gold


def look(language: Language) -> list[Pause]:
    """Pause whom the rule asks for among those who met gold lately. Looked again, nobody is paused twice."""
    lately = Review.objects.standing().filter(
        item__language=language, item__gold__isnull=False, submitted_at__gte=timezone.now() - LOOKS_BACK
    )
    people = set(lately.values_list("reviewer", flat=True))
    if not people:
        return []
    made = []
    for person, said in gold.rights(language, people).items():
        counted = since_last_pause(person, language, said)
        if accuracy.asks_for_pause(counted):
            user = User.objects.get(pk=person)
            right = sum(counted)
            if paused := pause(user, language, PauseReason.GOLD, right=right, answers=len(counted)):
                made.append(paused)
    return made


def since_last_pause(person: int, language: Language, said: list[tuple[dt.datetime, bool]]) -> list[bool]:
    """Whether their answers were right. Whoever has talked with a linguist begins anew."""
    last = Pause.objects.filter(user=person, language=language, lifted_at__isnull=False).order_by("-lifted_at").first()
    since = last.lifted_at if last else None
    return [is_right for at, is_right in said if since is None or at > since][-LONGEST:]


def languages_with_gold() -> list[Language]:
    return list(Language.objects.filter(pk__in=Gold.objects.values("item__language")))


def people_on_gold(language: Language) -> list[Person]:
    """Everybody who answered on gold, who is least often right first."""
    counts = gold.counts(language, accuracy.WINDOW)
    users = User.objects.in_bulk(counts)
    people = []
    for pk, (answers, right, last_right) in counts.items():
        people.append(Person(users[pk], answers, right, *accuracy.share(last_right, min(answers, accuracy.WINDOW))))
    return sorted(people, key=lambda person: (person.high, person.user.pk))


# The pause


def pause(user: User, language: Language, reason: PauseReason, *, right: int, answers: int) -> Pause | None:
    """Serve the person nothing until a linguist lifts it. None where they are paused already, or hold no role here."""
    with transaction.atomic():
        # Locked first, so that two who look at once make one pause.
        Language.objects.select_for_update(no_key=True).get(pk=language.pk)
        roles = Membership.objects.filter(user=user, language=language, paused_at=None)
        if not roles.update(paused_at=timezone.now()):
            return None
        made = Pause.objects.create(user=user, language=language, reason=reason, right=right, answers=answers)
        Event.record(EventKind.PAUSED, made, language=language, right=right, answers=answers)
    return made


def of(user: User, language: Language) -> Pause | None:
    return Pause.objects.filter(user=user, language=language, lifted_at=None).first()


def lift(paused: Pause, by: User, note: str) -> bool:
    """The person reads the note, and goes on. False where it was lifted before."""
    with transaction.atomic():
        open_ones = Pause.objects.filter(pk=paused.pk, lifted_at=None)
        if not open_ones.update(lifted_at=timezone.now(), lifted_by=by, note=note):
            return False
        Event.record(EventKind.PAUSE_LIFTED, paused, actor=by, language=paused.language)
    return True


def note_for(user: User, language: Language) -> Pause | None:
    """What a linguist wrote when they lifted the person's last pause."""
    return Pause.objects.filter(user=user, language=language, lifted_at__isnull=False).order_by("-lifted_at").first()


def go_on(user: User, language: Language) -> None:
    """The note has been read. While a pause stands, this changes nothing."""
    if of(user, language) is None:
        Membership.objects.filter(user=user, language=language).update(paused_at=None)
