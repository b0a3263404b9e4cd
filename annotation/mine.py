"""A person's own work in a language: what they decided, have not sent, skipped; and where the language is heading.

Nothing here reads what others did on an item. What became of a review is the item's state and no more, and a gold item
looks like any other.
"""

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from annotation import cards, queues
from annotation.history import notes_for_reviewers
from annotation.models import Autosave, Item, ItemState, Pair, PairState, Review, Skip, Slot, SlotState
from generation.models import ReleaseRow, ReleaseState
from xinstruct_site.people.models import Language, Membership, User

PER_PAGE = 25
SEARCH_WINDOW = 5_000  # reviews that one answer looks through
SHOWN = 100  # of unsent and of skipped
BEGINNING = 200

FINISH_DAYS = 14
ENOUGH_PAIRS = 10  # fewer than these, or on fewer days, and a projection would be a guess
ENOUGH_DAYS = 3
FAR_AWAY = dt.timedelta(days=5 * 365)


def languages_of(user: User) -> list[Language]:
    """The languages that the person has a role in; a maintainer of all: those they have worked in."""
    if not user.is_maintainer_of_all:
        return list(dict.fromkeys(m.language for m in user.current_memberships() if m.language))
    of_language = {"item__language": OuterRef("pk")}
    return list(
        Language.objects.filter(
            Exists(Review.objects.filter(reviewer=user, **of_language))
            | Exists(Autosave.objects.filter(user=user, **of_language))
            | Exists(Skip.objects.filter(user=user, **of_language))
            | Exists(Membership.objects.filter(user=user, language=OuterRef("pk")))
        )
    )


# Reviews


@dataclass(frozen=True, slots=True)
class Decided:
    """One review of the person's own, and what became of the item."""

    review: Review
    state: Promise | str
    releases: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # of linguists to those who reviewed the item

    @property
    def may_reopen(self) -> bool:
        return not self.releases


@dataclass(frozen=True, slots=True)
class DecidedPage:
    """Some reviews, newest first, and where to go on: `goes_on_after` is empty at the end."""

    rows: Sequence[Decided]
    goes_on_after: UUID | None
    window_exhausted: bool


def find_reviews(user: User, language: Language, *, words: str = "", after: UUID | None = None) -> DecidedPage:
    """One page of the person's standing reviews. Words are looked for in their wording and in the text's title."""
    mine = Review.objects.standing().filter(reviewer=user, item__language=language)
    reviews = mine.order_by("-submitted_at", "-pk")
    if after and (last := mine.filter(pk=after).first()):
        reviews = reviews.filter(_older(last))
    border = None
    if words:
        # Without trigrams a search reads rows one by one: it reads so many, then offers to go on.
        border = reviews[SEARCH_WINDOW - 1 : SEARCH_WINDOW].first()
        if border:
            reviews = reviews.exclude(_older(border))
        reviews = reviews.filter(Q(instruction__icontains=words) | Q(item__text__title__icontains=words))
    shown = (
        reviews.select_related("item__text")
        .only(
            "decision", "instruction", "reason", "submitted_at", "slot", "review_pass", "item__public_id",
            "item__state", "item__language", "item__text__title",
        )
    )  # fmt: skip
    found = list(shown[: PER_PAGE + 1])
    rows = what_became(found[:PER_PAGE])
    if len(found) > PER_PAGE:
        return DecidedPage(rows, found[PER_PAGE - 1].pk, window_exhausted=False)
    if border and mine.filter(_older(border)).exists():
        return DecidedPage(rows, border.pk, window_exhausted=True)
    return DecidedPage(rows, None, window_exhausted=False)


def _older(review: Review) -> Q:
    return Q(submitted_at__lt=review.submitted_at) | Q(submitted_at=review.submitted_at, pk__lt=review.pk)


STATES: dict[str, Promise] = {
    ItemState.OPEN: _("waiting for others"),
    ItemState.ACCEPTED: _("accepted"),
    ItemState.REJECTED: _("rejected"),
    ItemState.DISPUTED: _("people differ; a linguist decides"),
    ItemState.WITHDRAWN: _("taken out"),
}


def what_became(reviews: Iterable[Review]) -> list[Decided]:
    """The state of each review's item, and the releases that its pair went into."""
    reviews = list(reviews)
    pairs = Pair.objects.filter(item__in=[review.item_id for review in reviews])
    of_pair = dict(pairs.values_list("public_id", "item_id"))
    frozen = ReleaseRow.objects.filter(pair_public_id__in=of_pair).exclude(
        release__state__in=[ReleaseState.FAILED, ReleaseState.WITHDRAWN]
    )
    releases: dict[int, list[str]] = {}
    for pair, name in frozen.order_by("release__name").values_list("pair_public_id", "release__name"):
        names = releases.setdefault(of_pair[pair], [])
        if name not in names:
            names.append(name)
    notes = notes_for_reviewers([review.item_id for review in reviews])
    return [
        Decided(
            review,
            STATES[review.item.state],
            releases.get(review.item_id, []),
            notes.get(review.item_id, []),
        )
        for review in reviews
    ]


# Unsent and skipped


@dataclass(frozen=True, slots=True)
class Unsent:
    """Work that was kept and not sent: on an item still held, or free to be claimed again, or else an extra review."""

    autosave: Autosave
    beginning: str
    words: str
    is_held: bool
    is_free: bool


def unsent(user: User, language: Language) -> list[Unsent]:
    saved = (
        Autosave.objects.filter(user=user, item__language=language)
        .select_related("item__text")
        .annotate(
            is_held=Exists(Slot.objects.filter(item=OuterRef("item"), holder=user, state=SlotState.HELD)),
            is_free=Exists(queues.takeable_again(user).filter(item=OuterRef("item"))),
        )
        .order_by("-saved_at")[:SHOWN]
    )
    return [_unsent(autosave) for autosave in saved]


def _unsent(autosave: Autosave) -> Unsent:
    words = cards.readable(autosave.data, autosave.item)
    is_held, is_free = autosave.is_held, autosave.is_free  # type: ignore[attr-defined]
    return Unsent(autosave, words[:BEGINNING], words, is_held, is_free)


def skipped(user: User, language: Language) -> QuerySet[Skip]:
    """What the person passed on, newest first; `is_waiting` says whether it still needs reviews."""
    return (
        Skip.objects.filter(user=user, item__language=language)
        .select_related("item__text")
        .annotate(is_waiting=Exists(Item.objects.filter(pk=OuterRef("item"), state=ItemState.OPEN)))
        .order_by("-at", "-pk")[:SHOWN]
    )


# Where the language is heading


@dataclass(frozen=True, slots=True)
class Outlook:
    """When the goal is reached at the pace of the last days; `finish` is empty where there is too little to say."""

    is_reached: bool
    per_day: float = 0.0
    finish: dt.date | None = None
    is_far: bool = False


def outlook(language: Language, accepted: int) -> Outlook:
    """`accepted` is the language's current count of accepted pairs."""
    if accepted >= language.goal:
        return Outlook(is_reached=True)
    since = timezone.now() - dt.timedelta(days=FINISH_DAYS)
    fresh = Pair.objects.current().filter(state=PairState.ACCEPTED, item__language=language, created_at__gte=since)
    by_day = fresh.order_by().annotate(day=TruncDate("created_at")).values_list("day").annotate(n=Count("pk"))
    days = dict(by_day)
    if sum(days.values()) < ENOUGH_PAIRS or len(days) < ENOUGH_DAYS:
        return Outlook(is_reached=False)
    per_day = sum(days.values()) / FINISH_DAYS
    left = dt.timedelta(days=math.ceil((language.goal - accepted) / per_day))
    if left > FAR_AWAY:
        return Outlook(is_reached=False, per_day=per_day, is_far=True)
    return Outlook(is_reached=False, per_day=per_day, finish=timezone.localdate() + left)
