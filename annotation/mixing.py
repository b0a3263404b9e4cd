"""Mixes gold among the items that wait, so that people meet it where they meet every other item.

Gold is copied in when items are opened, not when one is served: home says how many items wait, and that number would
not fall. From then on a copy is an item like any other. It takes its round, its policy, its place and the time it was
opened from an item beside it, is claimed by the same statement, and goes through the same reviews and the same verdict;
its kind alone keeps it out of releases and counts. Nobody is asked twice about a known answer: it has no self-recheck.
"""

import math
import random
from collections import Counter
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation.models import Gold, Item, ItemKind, ItemState, Review, Skip, Slot, SlotState
from xinstruct_site.people.models import Language, Membership, Role

MIX_LOCK = 0x601D  # first half of the advisory lock's key; the language is the second


def mix_in(language: Language) -> int:
    """Bring gold up to its share of the items that wait. Returns how many copies are new; called again, none are.

    Each person meets a known answer once: a copy is made while people are left for it, and one that nobody is left for
    is no part of the share.
    """
    golds = list(
        Gold.objects.filter(item__language=language, retired_at=None, item__text__withdrawn_at=None)
        .select_related("item")
        .annotate(made=Count("copies"))
        .order_by("made", "?")
    )
    if not golds or not language.gold_share:
        return 0
    with transaction.atomic():
        _one_at_a_time(language)
        normal, open_ones = _normal(language), _copies(language)
        people = _people_left([gold.item.text_id for gold in golds], _served(language))
        asked = Counter({gold.pk: 0 for gold in golds})
        for copy in open_ones:
            asked[copy.gold_id] += copy.free
        of_gold = {gold.pk: people[gold.item.text_id] for gold in golds}
        standing = sum(not copy.free or of_gold.get(copy.gold_id, 0) > 0 for copy in open_ones)
        wanted = _wanted(language, normal.count()) - standing
        made = 0
        for neighbour in normal.order_by("?")[: max(wanted, 0)]:
            # Where people are fewer than an item asks for, one copy is still worth their answers.
            gold = next(
                (g for g in golds if of_gold[g.pk] - asked[g.pk] >= (neighbour.overlap if asked[g.pk] else 1)), None
            )
            if gold is None:
                break
            _copy(gold, neighbour)
            asked[gold.pk] += neighbour.overlap
            gold.made += 1
            golds.sort(key=lambda each: each.made)
            made += 1
    return made


def thin_out(language: Language) -> int:
    """A lead wants less of it: take copies beyond the share away, of those that nobody has begun on."""
    with transaction.atomic():
        _one_at_a_time(language)
        open_ones = _copies(language)
        surplus = len(open_ones) - _wanted(language, _normal(language).count())
        random.shuffle(open_ones)
        untouched = [copy.pk for copy in open_ones if copy.free == copy.overlap]
        return sum(take_away(pk) for pk in untouched[: max(surplus, 0)])


def take_away(copy_id: int) -> bool:
    """Serve a copy to nobody any more. False where somebody has begun on it."""
    with transaction.atomic():
        copy = Item.objects.select_for_update(no_key=True).get(pk=copy_id)
        slots = copy.slots.all()
        if copy.state != ItemState.OPEN or slots.exclude(state=SlotState.FREE).exists():
            return False
        slots.update(state=SlotState.CLOSED)
        Item.objects.filter(pk=copy.pk).update(state=ItemState.WITHDRAWN, decided_at=timezone.now())
    return True


def _one_at_a_time(language: Language) -> None:
    """Two who mix at once would put in twice as much. Its own lock: callers hold those of rounds or items."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [MIX_LOCK, language.pk])


def _wanted(language: Language, waiting: int) -> int:
    share = language.gold_share / 100
    return math.ceil(waiting * share / (1 - share))


def _normal(language: Language) -> QuerySet[Item]:
    """Items that wait for those who are served gold, too."""
    waiting = Item.objects.filter(language=language, state=ItemState.OPEN, kind=ItemKind.NORMAL)
    return waiting.filter(Exists(Slot.objects.filter(item=OuterRef("pk"), for_linguists=False)))


def _copies(language: Language) -> list[Any]:
    """Copies that wait, with how many of their slots are `free`."""
    waiting = Item.objects.filter(language=language, state=ItemState.OPEN, gold__isnull=False)
    return list(waiting.annotate(free=Count("slots", Q(slots__state=SlotState.FREE))))


def _served(language: Language) -> set[int]:
    """Who may be served gold: those who review, and neither lead nor pause."""
    roles = Membership.objects.filter(language=language)
    leads = roles.exclude(role=Role.ANNOTATOR).values("user")
    may = roles.filter(role=Role.ANNOTATOR, paused_at=None, user__is_active=True).exclude(user__in=leads)
    return set(may.values_list("user", flat=True))


def _people_left(texts: list[int], people: set[int]) -> dict[int, int]:
    """For each text how many of these people have not met it yet: what the claim asks of each of them."""
    met: dict[int, set[int]] = {text: set() for text in texts}
    for found in (
        Review.objects.filter(item__text__in=texts).values_list("item__text", "reviewer"),
        Slot.objects.filter(item__text__in=texts, holder__isnull=False).values_list("item__text", "holder"),
        Skip.objects.filter(item__text__in=texts).values_list("item__text", "user"),
    ):
        for text, person in found.distinct():
            met[text].add(person)
    return {text: len(people - known) for text, known in met.items()}


def _copy(gold: Gold, neighbour: Item) -> Item:
    item = Item.objects.create(
        language=neighbour.language,
        text_id=gold.item.text_id,
        round_id=neighbour.round_id,
        kind=ItemKind.GOLD,
        gold=gold,
        candidate_ids=gold.item.candidate_ids,
        overlap=neighbour.overlap,
        quorum=neighbour.quorum,
        policy_version=neighbour.policy_version,
        created_at=neighbour.created_at,
    )
    place = neighbour.slots.order_by("number")[0]
    Slot.objects.bulk_create(
        Slot(
            item=item, language_id=item.language_id, number=number, order=place.order,
            expects_good=place.expects_good, gold_text_id=item.text_id,
        )
        for number in range(1, item.overlap + 1)
    )  # fmt: skip
    return item
