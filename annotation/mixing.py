"""Mixes gold among the items that wait, so that people meet it where they meet every other item.

Gold is copied in when items are opened, not when one is served: home says how many items wait, and that number would
not fall. From then on a copy is an item like any other. It takes its round, its policy, its place and the time it was
opened from an item beside it, is claimed by the same statement, and goes through the same reviews and the same verdict;
its kind alone keeps it out of releases and counts. Nobody is asked twice about a known answer: it has no self-recheck.
"""

import math

from django.db.models import Count

from annotation.models import Gold, Item, ItemKind, ItemState, Slot
from xinstruct_site.people.models import Language, Membership, Role


def mix_in(language: Language) -> int:
    """Bring gold up to its share of the items that wait. Returns how many copies are new; called again, none are."""
    golds = list(
        Gold.objects.filter(item__language=language, retired_at=None, item__text__withdrawn_at=None)
        .select_related("item")
        .annotate(made=Count("copies"))
        .order_by("made", "?")
    )
    if not golds or not language.gold_share:
        return 0
    waiting = Item.objects.filter(language=language, state=ItemState.OPEN)
    normal = waiting.filter(kind=ItemKind.NORMAL)
    share = language.gold_share / 100
    wanted = math.ceil(normal.count() * share / (1 - share)) - waiting.filter(kind=ItemKind.GOLD).count()
    if wanted <= 0:
        return 0
    neighbours = list(normal.filter(slots__for_linguists=False).distinct().values_list("pk", flat=True))
    beside = list(Item.objects.filter(pk__in=neighbours).order_by("?")[:wanted])
    people = _served(language)
    made = 0
    for neighbour in beside:
        # Each person meets a known answer once, so more copies than people for them would wait for ever.
        gold = next((each for each in golds if each.made < max(people // neighbour.overlap, 1)), None)
        if gold is None:
            break
        _copy(gold, neighbour)
        gold.made += 1
        golds.sort(key=lambda each: each.made)
        made += 1
    return made


def _served(language: Language) -> int:
    """How many people may be served gold: those who review and do not lead."""
    roles = Membership.objects.filter(language=language)
    leads = roles.exclude(role=Role.ANNOTATOR).values("user")
    return roles.filter(role=Role.ANNOTATOR).exclude(user__in=leads).values("user").distinct().count()


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
