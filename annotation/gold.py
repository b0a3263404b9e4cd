"""Gold: decided items whose answer is known, made by one click of a linguist, and what people answer on their copies.

Gold never gets into a release, nothing is trained on it, and it is in no count of accepted pairs. What was released
cannot be gold: a model may have learned from it, and people may have read it. Ratings' gold for evaluators is drawn
apart (labels.py); an item of that may be made known here as well.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet, RowRange, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import mixing, tallies, verdicts
from annotation.models import (
    Adjudication,
    Decision,
    Gold,
    Item,
    ItemKind,
    ItemState,
    Pair,
    PairState,
    Review,
)
from annotation.reviewing import locked
from xinstruct_site.people.models import Event, EventKind, Language, User

DECISIONS = {ItemState.ACCEPTED: Decision.ACCEPT, ItemState.REJECTED: Decision.REJECT}
RANGES = {Decision.ACCEPT: (3, 5), Decision.REJECT: (1, 3)}


class NoGold(Exception):
    """The item cannot be gold. The message is for the linguist who asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody said on a copy, beside what is known."""

    review: Review
    gold: Gold
    is_right: bool


def make(item: Item, by: User) -> Gold:
    """Make a decided item gold: what was decided is the known answer, its overall give or take one.

    Raises:
        NoGold: it is not decided, is known already, was released, or its text waits elsewhere.
    """
    with transaction.atomic():
        item = locked(item)
        decision = DECISIONS.get(ItemState(item.state))
        if decision is None or item.gold_id or item.kind == ItemKind.PRACTICE or item.text.withdrawn_at:
            raise NoGold(_("Only accepted and rejected items can be gold."))
        if decision == Decision.ACCEPT and not item.pairs.current().filter(state=PairState.ACCEPTED).exists():
            raise NoGold(_("A linguist has not passed its pair, so its answer is not known."))
        if Gold.objects.filter(item=item).exists():
            raise NoGold(_("This item is gold already."))
        if Item.objects.filter(text=item.text, state=ItemState.OPEN).exists():
            raise NoGold(_("This text waits for reviews again, so its answer is not known."))
        if verdicts.is_released(*item.pairs.values_list("public_id", flat=True)):
            raise NoGold(_("This item is part of a release, and gold is never released."))
        low, high = _range(item, decision)
        made = Gold.objects.create(item=item, decision=decision, overall_low=low, overall_high=high, made_by=by)
        if item.kind == ItemKind.NORMAL:
            for pair in Pair.objects.current().filter(item=item, state=PairState.ACCEPTED):
                tallies.accepted(item.language_id, pair.created_at, -1)
            Item.objects.filter(pk=item.pk).update(kind=ItemKind.GOLD)
        Event.record(EventKind.GOLD_MADE, item, actor=by, language=item.language)
        mixing.mix_in(item.language)
    return made


def _range(item: Item, decision: Decision) -> tuple[int, int]:
    least, most = RANGES[decision]
    decided = Adjudication.objects.filter(item=item, withdrawn_at=None).first()
    said = [decided.overall] if decided else sorted(_overalls(item, decision))
    if not said:
        return least, most
    middle = said[len(said) // 2]
    return max(middle - 1, least), min(middle + 1, most)


def _overalls(item: Item, decision: Decision) -> list[int]:
    agreeing = Review.objects.standing().filter(item=item, decision=decision, overall__isnull=False)
    return [overall for overall in agreeing.values_list("overall", flat=True) if overall is not None]


def retire(gold: Gold, by: User, *, is_wrong: bool = False) -> bool:
    """Serve it no more: copies that nobody has begun on go, and what is said on the others judges nobody.

    Answers given until then still count for who gave them, unless the known answer was wrong (`is_wrong`).
    """
    with transaction.atomic():
        retired = Gold.objects.filter(pk=gold.pk, retired_at=None)
        if not retired.update(retired_at=timezone.now(), is_wrong=is_wrong):
            return False
        for copy in gold.copies.filter(state=ItemState.OPEN).order_by("pk"):
            mixing.take_away(copy.pk)
        Event.record(EventKind.GOLD_RETIRED, gold.item, actor=by, language=gold.item.language, is_wrong=is_wrong)
    return True


def _on_gold(language: Language, people: Iterable[int] | None = None) -> QuerySet[Review]:
    """Reviews of copies that say something of who wrote them, oldest first."""
    in_use = Q(item__gold__retired_at=None) | Q(submitted_at__lte=F("item__gold__retired_at"))
    reviews = Review.objects.standing().filter(
        in_use, item__language=language, item__gold__isnull=False, item__gold__is_wrong=False, review_pass=1
    )
    if people is not None:
        reviews = reviews.filter(reviewer__in=list(people))
    return reviews.order_by("submitted_at", "pk")


def answers(language: Language, people: Iterable[int] | None = None) -> dict[int, list[Answer]]:
    """By person, what they said on gold, oldest first."""
    found: dict[int, list[Answer]] = {}
    for review in _on_gold(language, people).select_related("item__gold__item", "item__text"):
        known = review.item.gold
        if known is not None:
            found.setdefault(review.reviewer_id, []).append(Answer(review, known, is_right(review, known)))
    return found


def rights(language: Language, people: Iterable[int] | None = None) -> dict[int, list[tuple[dt.datetime, bool]]]:
    """By person, when each of their answers on gold was given and whether it was right, oldest first. No texts."""
    known = ("item__gold__decision", "item__gold__overall_low", "item__gold__overall_high")
    found: dict[int, list[tuple[dt.datetime, bool]]] = {}
    rows = _on_gold(language, people).values_list("reviewer", "submitted_at", "decision", "overall", *known)
    for person, at, *said in rows:
        found.setdefault(person, []).append((at, _is_right(*said)))
    return found


RIGHT = Q(decision=F("item__gold__decision")) & (
    Q(overall=None) | Q(overall__range=(F("item__gold__overall_low"), F("item__gold__overall_high")))
)


def counts(language: Language, last: int) -> dict[int, tuple[int, int, int]]:
    """By person: answers on gold, how many of them right, and how many of the `last` ones."""
    newest = [F("submitted_at").desc(), F("pk").desc()]
    right, person = Count("pk", filter=RIGHT), F("reviewer")
    rows = _on_gold(language).annotate(
        place=Window(RowNumber(), person, newest),
        answers=Window(Count("pk"), person),
        right=Window(right, person),
        newest_right=Window(
            right, person, newest, RowRange(0, last - 1)
        ),  # of the first row: itself and those after it
    )
    found = rows.filter(place=1).order_by().values_list("reviewer", "answers", "right", "newest_right")
    return {pk: (answers, right, newest_right) for pk, answers, right, newest_right in found}


def is_right(review: Review, known: Gold) -> bool:
    """The same decision, and an overall rating within the range where they gave one. Wording is a matter of taste."""
    return _is_right(review.decision, review.overall, known.decision, known.overall_low, known.overall_high)


def _is_right(decision: str, overall: int | None, known: str, low: int, high: int) -> bool:
    return decision == known and (overall is None or low <= overall <= high)
