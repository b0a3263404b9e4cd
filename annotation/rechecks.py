"""Delayed self-rechecks: who may review an item once more, and when. For communities of one or two.

An item keeps the rest that its policy asks for (`recheck_days`), an open slot the time from which the first of its
reviewers may take it (`recheck_from`), so that a claim finds it by an index that is empty where no policy knows them.
How slots are handed out is in queues.py.
"""

import datetime as dt
from collections.abc import Sequence

from django.db.models import DateTimeField, DurationField, Exists, ExpressionWrapper, F, Min, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from annotation.models import Item, Review, Slot
from xinstruct_site.people.models import User

# Of a first review.
REST = ExpressionWrapper(F("item__recheck_days") * dt.timedelta(days=1), DurationField())
DUE = ExpressionWrapper(F("submitted_at") + REST, DateTimeField())
OLD_ENOUGH = Q(submitted_at__lte=ExpressionWrapper(Now() - REST, DateTimeField()))


def due_from(item: Item, reviews: Sequence[Review]) -> dt.datetime | None:
    """When the first of those who gave one of these reviews of an open item, and no second, may do so."""
    if not item.recheck_days:
        return None
    twice = {review.reviewer_id for review in reviews if review.review_pass == 2}
    once = [review.submitted_at for review in reviews if review.reviewer_id not in twice]
    return min(once) + dt.timedelta(days=item.recheck_days) if once else None


def pass_of(item: Item, own: Sequence[Review], slot: Slot | None, shown_at: dt.datetime | None) -> int | None:
    """Which review of the item comes next from a person with these standing ones, on a page shown at that time.

    1 is the first, 2 a self-recheck: from a page shown after the first was sent, in a slot that was claimed for it, or
    as an extra where others took that over. None: no more.
    """
    if not own:
        return 1
    if len(own) > 1 or shown_at is None or shown_at <= own[0].submitted_at:
        return None
    is_claimed = slot is not None and slot.review_pass == 2
    due = own[0].submitted_at + dt.timedelta(days=item.recheck_days)
    is_due = item.recheck_days and own[0].slot_id and timezone.now() >= due
    return 2 if is_claimed or is_due else None


def allowed(slots: QuerySet[Slot], user: User) -> QuerySet[Slot]:
    """Those of items that this person reviewed once and may look at again, now or later."""
    of_item = {"item": OuterRef("item")}
    return slots.filter(
        ~Exists(Slot.objects.filter(**of_item, holder=user, review_pass=2)),
        ~Exists(Review.objects.standing().filter(**of_item, reviewer=user, review_pass=2)),
        recheck_from__isnull=False,
        reviewed_by__contains=[user.pk],
    )


def due(slots: QuerySet[Slot], user: User) -> QuerySet[Slot]:
    """Those of them whose time has come."""
    is_due = Exists(_firsts_of(user).filter(OLD_ENOUGH, item=OuterRef("item")))
    return allowed(slots, user).filter(is_due, recheck_from__lte=Now())


def next_due(slots: QuerySet[Slot], user: User) -> dt.datetime | None:
    """When the next of them comes."""
    rows = _firsts_of(user).filter(item__in=allowed(slots, user).values("item"))
    found: dt.datetime | None = rows.aggregate(at=Min(DUE))["at"]
    return found


def _firsts_of(user: User) -> QuerySet[Review]:
    return Review.objects.standing().filter(reviewer=user, review_pass=1, slot__isnull=False)


# As `due` has it, for a claim: of a slot that is free.
IS_DUE = """
    slot.recheck_from <= statement_timestamp()
    AND EXISTS (SELECT FROM annotation_review AS review JOIN annotation_item AS item ON item.id = review.item_id
                 WHERE review.item_id = slot.item_id AND review.reviewer_id = %(user)s AND review.review_pass = 1
                   AND review.withdrawn_at IS NULL AND review.slot_id IS NOT NULL
                   AND review.submitted_at + item.recheck_days * interval '24 hours' <= statement_timestamp())
    AND NOT EXISTS (SELECT FROM annotation_review AS review
                     WHERE review.item_id = slot.item_id AND review.reviewer_id = %(user)s AND review.review_pass = 2
                       AND review.withdrawn_at IS NULL)
    AND NOT EXISTS (SELECT FROM annotation_slot AS own
                     WHERE own.item_id = slot.item_id AND own.holder_id = %(user)s AND own.review_pass = 2)
    AND NOT EXISTS (SELECT FROM annotation_skip AS skip WHERE skip.item_id = slot.item_id AND skip.user_id = %(user)s)
"""


def longest_due(is_free: str) -> str:
    """The slot for the self-recheck that has been due longest, locked, as SQL.

    Like other claims it goes from one group of slots with the same `reviewed_by` to the next: what others may look at
    again does not stand in the way.
    """
    return f"""
        SELECT slot.id FROM annotation_slot AS slot
         WHERE {is_free} AND {IS_DUE} AND slot.id = ANY (ARRAY(
            WITH RECURSIVE kind AS (
                (SELECT reviewed_by FROM annotation_slot
                  WHERE language_id = %(language)s AND state IN ('free', 'held') AND recheck_from IS NOT NULL
                  ORDER BY reviewed_by LIMIT 1)
                UNION ALL
                SELECT next.* FROM kind, LATERAL (
                    SELECT reviewed_by FROM annotation_slot
                     WHERE language_id = %(language)s AND state IN ('free', 'held') AND recheck_from IS NOT NULL
                       AND reviewed_by > kind.reviewed_by
                     ORDER BY reviewed_by LIMIT 1) AS next)
            SELECT first.id FROM kind, LATERAL (
                SELECT slot.id FROM annotation_slot AS slot
                 WHERE slot.reviewed_by = kind.reviewed_by AND {is_free} AND {IS_DUE}
                 ORDER BY slot.recheck_from, slot.id LIMIT 5) AS first
             WHERE %(user)s = ANY (kind.reviewed_by)))
         ORDER BY slot.recheck_from, slot.id
         LIMIT 1 FOR UPDATE OF slot SKIP LOCKED
    """  # noqa: S608 - pieces of our own
