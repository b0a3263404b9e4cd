"""How a linguist's decision is taken and taken back; audits (auditing.py) and adjudications are two kinds of it.

Every change locks the item's row first, as reviews do. Nobody decides on what they reviewed themselves.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import Adjudication, Audit, Gold, Item, Pair, Review
from annotation.reviewing import locked
from xinstruct_site.people.models import Language, User

Decided = TypeVar("Decided", Audit, Adjudication)
Row = TypeVar("Row", Pair, Item)


class DecisionError(Exception):
    """A linguist's decision cannot be taken as it is; `errors` says why, by field. Nothing was stored."""

    def __init__(self, message: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or {NON_FIELD_ERRORS: message}


class Invalid(DecisionError):
    """Breaks the rules of a decision."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(errors.values()), errors)


class DecidedMeanwhile(DecisionError):
    """Somebody decided on it, or it is no longer what the item came to."""

    def __init__(self) -> None:
        super().__init__(_("Somebody decided on this meanwhile. Your words are still here, to copy."))


class OwnWork(DecisionError):
    """Nobody decides on what they reviewed themselves."""

    def __init__(self) -> None:
        super().__init__(_("You have reviewed this item, so another linguist has to decide on it."))


class NotYours(DecisionError):
    """Only who decided takes it back."""

    def __init__(self) -> None:
        super().__init__(_("Somebody else decided this; only they can take it back."))


class TooLate(DecisionError):
    """Others have gone on from it."""

    def __init__(self) -> None:
        super().__init__(_("Others have gone on from this decision, so it cannot be taken back."))


def is_own_work(item: Item, user: User) -> bool:
    return item.reviews.standing().filter(reviewer=user).exists()


def for_linguist(rows: QuerySet[Row], user: User) -> QuerySet[Row]:
    """Pairs or items without those that this person reviewed."""
    item = OuterRef("pk" if rows.model is Item else "item")
    return rows.exclude(Exists(Review.objects.standing().filter(item=item, reviewer=user)))


def behind(lane: QuerySet[Row], language: Language, public_id: str) -> QuerySet[Row]:
    """What of a lane comes after the pair or item of that id, be it decided by now; all where there is none."""
    key = "public_id" if "public_id" in lane.query.order_by else "pk"  # a sample's order is by chance
    of_language = {"language" if lane.model is Item else "item__language": language}
    place = lane.model._default_manager.filter(public_id=public_id[:40], **of_language).values_list(key, flat=True)
    return lane.filter(**{f"{key}__gt": place[0]}) if place else lane


@contextmanager
def on(item: Item, kind: type[Decided], submission_id: uuid.UUID) -> Iterator[Item]:
    """The item's row, locked, while a decision on it is stored: all of it or nothing."""
    try:
        with transaction.atomic():
            yield locked(item)
    except IntegrityError as exc:
        if kind.objects.filter(pk=submission_id).exists():
            raise DecidedMeanwhile from exc
        raise


def stored(kind: type[Decided], submission_id: uuid.UUID, user: User, **about: Any) -> Decided | None:
    """What this very submission stored, where it comes again."""
    taken = kind.objects.filter(pk=submission_id)
    found = taken.filter(linguist=user, **about).first()
    if found is None and taken.exists():
        raise DecidedMeanwhile
    return found


def check(item: Item, user: User, *, waits: bool, problems: dict[str, str]) -> None:
    """Raises where this person cannot decide on it like this."""
    if not waits:
        raise DecidedMeanwhile
    if is_own_work(item, user):
        raise OwnWork
    if problems:
        raise Invalid(problems)


@contextmanager
def taking_back(user: User, done: Decided) -> Iterator[Item | None]:
    """The locked item of one's own decision, which no longer stands; None where it did not stand before.

    Raises:
        DecisionError: somebody else's, or others have gone on from it.
    """
    with transaction.atomic():
        item = locked(done.item)
        if done.linguist_id != user.pk:
            raise NotYours
        if not type(done).objects.standing().filter(pk=done.pk).update(withdrawn_at=timezone.now()):
            yield None
        elif Gold.objects.filter(item=item).exists():
            raise TooLate
        else:
            yield item
    done.refresh_from_db()
