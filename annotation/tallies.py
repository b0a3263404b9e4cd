"""Counts that are too long to take on every card: a person's reviews and a language's accepted pairs, day by day.

They change in the transactions that change what they count, each as the last thing it does, so that nobody waits long
for a language's row. `recount` says what they should be; only a mistake in our code makes a difference.
"""

import datetime as dt
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from annotation.models import ItemKind, Pair, PairState, Review, Tally
from xinstruct_site.people.models import Language, User

ADD = """
    INSERT INTO annotation_tally AS tally (language_id, person_id, day, number, seeming) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (language_id, person_id, day)
    DO UPDATE SET number = tally.number + excluded.number, seeming = tally.seeming + excluded.seeming
"""


class Drift(NamedTuple):
    """A count that was not what it should be."""

    language_id: int
    person_id: int | None
    day: dt.date
    was: int
    should_be: int


def reviewed(user: User, language_id: int, at: dt.datetime, change: int) -> None:
    """A review of this person came to stand, or was withdrawn (-1)."""
    _add(language_id, user.pk, at, change)


def accepted(language_id: int, at: dt.datetime, change: int) -> None:
    """A pair came to be current and accepted, or ceased to be (-1)."""
    _add(language_id, None, at, change)


def accepted_in(language: Language) -> int:
    """How many accepted pairs the language has."""
    return Tally.objects.filter(language=language, person=None).aggregate(n=Sum("number"))["n"] or 0


def seemed_accepted(user: User, language_id: int, at: dt.datetime, change: int) -> None:
    """Gold that this person decided on came to be accepted, or ceased to be: no pair, but for their own eyes."""
    _add(language_id, user.pk, at, 0, seeming=change)


def _add(language_id: int, person_id: int | None, at: dt.datetime, change: int, seeming: int = 0) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ADD, [language_id, person_id, timezone.localdate(at), change, seeming])


def recount() -> list[Drift]:
    """Set every count to what the rows say. Returns those that differed."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Waits for transactions that have counted and not ended; those that come after count on top of ours.
            cursor.execute("LOCK TABLE annotation_tally IN SHARE ROW EXCLUSIVE MODE")
        are = {(t.language_id, t.person_id, t.day): t.number for t in Tally.objects.all()}
        should_be = counted()
        keys = [key for key in are.keys() | should_be.keys() if are.get(key, 0) != should_be.get(key, 0)]
        drifts = [Drift(*key, are.get(key, 0), should_be.get(key, 0)) for key in keys]
        for drift in drifts:
            Tally.objects.update_or_create(
                language_id=drift.language_id, person_id=drift.person_id, day=drift.day,
                defaults={"number": drift.should_be},
            )  # fmt: skip
    return sorted(drifts, key=lambda drift: (drift.language_id, drift.person_id or 0, drift.day))


def counted() -> dict[tuple[int, int | None, dt.date], int]:
    """Every count anew, from reviews and pairs themselves."""
    counts: dict[tuple[int, int | None, dt.date], int] = {}
    reviews = Review.objects.standing().values_list("item__language_id", "reviewer_id", "submitted_at")
    accepted = Pair.objects.current().filter(state=PairState.ACCEPTED, item__kind=ItemKind.NORMAL)
    pairs = accepted.values_list("item__language_id", "created_at")
    for language_id, person_id, at in reviews.iterator():
        key = (language_id, person_id, timezone.localdate(at))
        counts[key] = counts.get(key, 0) + 1
    for language_id, at in pairs.iterator():
        pair_key = (language_id, None, timezone.localdate(at))
        counts[pair_key] = counts.get(pair_key, 0) + 1
    return counts
