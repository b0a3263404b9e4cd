"""Finds items for people to look at: by text, state, person and flag, newest first.

Who leads a language sees all of its items, others those that they have reviewed. While an item waits for reviews, or
disputed for a linguist, others' answers on it are neither shown nor found here, whoever asks: nobody's answer leans on
another's, and who decides a dispute reads the answers without names (adjudicating.py).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models import (
    Item,
    ItemKind,
    ItemState,
    Pair,
    PairQuerySet,
    PairState,
    Review,
    ReviewQuerySet,
    Slot,
    Tally,
)
from annotation.verdicts import ONE_SHORT_PRIORITY, OPEN_STATES
from generation.models import Text
from xinstruct_site.people.models import Language, Role, User

PER_PAGE = 25
UNDECIDED = [ItemState.OPEN, ItemState.DISPUTED]
WAITING = {"one_short": _("one review short"), "stuck": _("stuck for two weeks")}
STUCK_AFTER = dt.timedelta(days=14)
# What became of the pair says more to who leads a language than that its item was accepted.
OF_PAIRS = [PairState.ACCEPTED, PairState.HELD, PairState.EXCLUDED]
MOST_COUNTED = 1_000
SEARCH_WINDOW = 5_000  # items that one answer looks through


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Some items, newest first, and where to go on: `goes_on_after` is empty at the end."""

    items: Sequence[Item]
    goes_on_after: str
    number: int | None  # how many in all, counted to MOST_COUNTED; None where only a part was looked at
    window_exhausted: bool  # the page is short because one answer looks through so many items only


def leads(user: User, language: Language) -> bool:
    return user.has_role(language, Role.LINGUIST)


def visible_items(user: User, language: Language) -> QuerySet[Item]:
    """Items whose page this person may open. Practice has pages of its own."""
    items = Item.objects.filter(language=language).exclude(kind=ItemKind.PRACTICE)
    if leads(user, language):
        return items.filter(gold=None)  # what people say of gold is on a page of its own
    return items.filter(Exists(Review.objects.filter(item=OuterRef("pk"), reviewer=user)))


def visible_reviews(user: User, language: Language) -> ReviewQuerySet:
    """Reviews that this person may read: their own, and for who leads the language those of items that are decided."""
    if leads(user, language):
        return Review.objects.filter(~Q(item__state__in=UNDECIDED) | Q(reviewer=user), item__language=language)
    return Review.objects.filter(reviewer=user, item__language=language)


def people_of(language: Language) -> QuerySet[User]:
    """Who has reviewed in the language."""
    return User.objects.filter(pk__in=Tally.objects.filter(language=language).values("person")).order_by(
        "display_name", "pk"
    )


def waiting_items(language: Language, waiting: str) -> QuerySet[Item]:
    """Open items that one review would settle, or on which nothing has happened for long: see WAITING."""
    items = Item.objects.filter(language=language, state=ItemState.OPEN, kind=ItemKind.NORMAL)
    of_item = {"item": OuterRef("pk")}
    if waiting == "one_short":
        return items.filter(Exists(Slot.objects.filter(**of_item, state__in=OPEN_STATES, priority=ONE_SHORT_PRIORITY)))
    said = Review.objects.standing().filter(**of_item)
    recent = said.filter(submitted_at__gt=timezone.now() - STUCK_AFTER)
    resting = Slot.objects.filter(**of_item, state__in=OPEN_STATES, recheck_from__gt=timezone.now() - STUCK_AFTER)
    return items.filter(Exists(said)).exclude(Exists(recent)).exclude(Exists(resting))


def pairs_in_state(language: Language, state: str, *, since: dt.date | None = None) -> PairQuerySet:
    """Current pairs of normal items; of accepted ones those that a release may take, `since` they were made."""
    pairs = Pair.objects.releasable() if state == PairState.ACCEPTED else Pair.objects.current().filter(state=state)
    pairs = pairs.filter(item__language=language, item__kind=ItemKind.NORMAL)
    return pairs.filter(created_at__gte=beginning(since)) if since else pairs


def stages(language: Language) -> dict[str, int]:
    """How many items are in the stages of the desk, as who leads the language finds them: without copies of gold."""
    items = Item.objects.filter(language=language, gold=None).exclude(kind=ItemKind.PRACTICE)
    return {
        "selected": items.count(),
        "waiting": items.filter(state=ItemState.OPEN).count(),
        "accepted": pairs_in_state(language, PairState.ACCEPTED).count(),
    }


def beginning(day: dt.date) -> dt.datetime:
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min))


def sent_within(reviews: ReviewQuerySet, since: dt.date | None, until: dt.date | None) -> ReviewQuerySet:
    """Reviews of these days, both included."""
    if since:
        reviews = reviews.filter(submitted_at__gte=beginning(since))
    return reviews.filter(submitted_at__lt=beginning(until + dt.timedelta(days=1))) if until else reviews


def sent(language: Language, person: User | None, since: dt.date | None, until: dt.date | None) -> int:
    """How many standing reviews a person sent on these days, or everybody, those on gold included."""
    days = Tally.objects.filter(language=language, person__isnull=False)
    days = days.filter(person=person) if person else days
    days = days.filter(day__gte=since) if since else days
    days = days.filter(day__lte=until) if until else days
    return days.aggregate(n=Sum("number"))["n"] or 0


def find_items(
    user: User,
    language: Language,
    *,
    words: str = "",
    state: str = "",
    person: User | None = None,
    flag: str = "",
    waiting: str = "",
    variety: str = "",
    reviewed_since: dt.date | None = None,
    reviewed_until: dt.date | None = None,
    accepted_since: dt.date | None = None,
    after: str = "",
) -> ItemPage:
    """One page of the items that this person may see.

    Args:
        words: looked for as they stand in a text's title and body and in the wording decided on, or an item's own id.
        person: whose review the item has; with `flag`, the one that carries it.
        waiting: for what an open item waits, one of WAITING.
        variety: a variety or an orthography that the text is said to be in, as it is spelled. For who leads.
        reviewed_since, reviewed_until: days between which somebody, or `person`, sent a review of it.
        accepted_since: the day from which its pair is.
        after: public id of the last item of the page before.
    """
    visible = visible_items(user, language)
    # Not by key for who is served gold: it is made after the items that it lies among.
    order = ("-pk",) if leads(user, language) else ("-created_at", "-public_id")
    items = visible.order_by(*order)
    if accepted_since and leads(user, language):
        state = PairState.ACCEPTED
    if state in OF_PAIRS and leads(user, language):
        items = items.filter(pk__in=pairs_in_state(language, state, since=accepted_since).values("item"))
    elif state:
        items = items.filter(state=state)
    if waiting:
        items = items.filter(pk__in=waiting_items(language, waiting).values("pk"))
    if variety and leads(user, language):
        named = Q(variety=variety) | Q(orthography=variety)
        items = items.filter(text__in=Text.objects.filter(named, language=language))
    if person or flag or reviewed_since or reviewed_until:
        said = sent_within(visible_reviews(user, language).standing(), reviewed_since, reviewed_until)
        if person:
            said = said.filter(reviewer=person)
        if flag:
            said = said.filter(flags__has_key=flag).exclude(flags={})
        items = items.filter(pk__in=said.values("item"))
    if after and (last := visible.filter(public_id=after).first()):
        older = Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, public_id__lt=last.public_id)
        items = items.filter(Q(pk__lt=last.pk) if leads(user, language) else older)
    goes_on, number = "", None
    if words:
        # Without trigrams a search reads rows one by one: it reads so many, then offers to go on.
        border = list(items.values_list("public_id", flat=True)[SEARCH_WINDOW - 1 : SEARCH_WINDOW + 1])
        goes_on = border[0] if len(border) > 1 else ""
        found_in = Q(text__title__icontains=words) | Q(text__body__icontains=words) | Q(public_id=words)
        if leads(user, language):
            decided = Pair.objects.current().filter(item=OuterRef("pk"), instruction__icontains=words)
            found_in |= Q(Exists(decided))
        items = Item.objects.filter(found_in, pk__in=items.values("pk")[:SEARCH_WINDOW]).order_by(*order)
    rows = list(
        items.select_related("text", "round")
        .only("public_id", "state", "created_at", "decided_at", "text__title", "text__body", "round__number")
        .prefetch_related(
            Prefetch("pairs", Pair.objects.current().only("item", "state", "instruction"), to_attr="decided")
        )[: PER_PAGE + 1]
    )
    if len(rows) > PER_PAGE:
        return ItemPage(rows[:PER_PAGE], rows[PER_PAGE - 1].public_id, number, window_exhausted=False)
    return ItemPage(rows, goes_on, number, window_exhausted=bool(goes_on))
