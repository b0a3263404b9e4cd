"""Decides who reviews what next. Slots, leases, skips and expiry live here; what a review does is in reviewing.py.

The schema forbids over-assignment: an item has one slot row per review it wants. The database's clock judges leases.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet, TextChoices
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from psycopg.errors import UniqueViolation

from annotation import mixing, reading, rechecks
from annotation.models import Item, ItemState, Review, Skip, Slot, SlotState
from generation import doubt
from generation.models import Round
from xinstruct_site.people.models import Event, EventKind, Language, Role, User
from xinstruct_site.people.rows import first

BATCH = 500
TAKEABLE = Q(state=SlotState.FREE) | Q(state=SlotState.HELD, lease_expires_at__lt=Now())
LET_GO = {"state": SlotState.FREE, "holder": None, "lease_expires_at": None, "claimed_at": None}
CLAIM_LOCK = 0x5107  # first half of the advisory lock's key; the person is the second


class EmptyReason(TextChoices):
    ALL_DONE = "all_done", _("Everything in this language is done.")
    ALL_HELD = "all_held", _("Others are working on everything that is left.")
    NOTHING_YET = "nothing_yet", _("There is nothing to review in this language yet.")
    FOR_LINGUISTS = "for_linguists", _("What is left is reviewed by this language's linguists.")
    RECHECK_LATER = "recheck_later", _("What is left you have reviewed, and may look at again later.")
    ONLY_YOURS = "only_yours", _("What is left waits for others: you have reviewed or skipped it.")


class QueueEmpty(Exception):
    """There is nothing for this person now; `frees_at` says when something may be, where that is known."""

    def __init__(self, reason: EmptyReason, frees_at: dt.datetime | None = None) -> None:
        super().__init__(str(reason.label))
        self.reason = reason
        self.frees_at = frees_at


@dataclass(frozen=True, slots=True)
class Progress:
    """A person's reviews in a language, and how far the language is."""

    today: int
    week: int
    total: int
    language_accepted: int
    goal: int


def lease() -> dt.timedelta:
    return dt.timedelta(minutes=settings.LEASE_MINUTES)


def open_items(round: Round) -> int:
    """Make items and slots of what the round selected. Returns how many items are new; called again, none are."""
    with transaction.atomic():
        # One caller at a time per round; the policy is read once, so that all items of a call share it.
        round = (
            Round.objects.select_for_update(no_key=True, of=("self",))
            .select_related("language", "evaluator")
            .get(pk=round.pk)
        )
        language = round.language
        has_item = Item.objects.filter(round=round, text=OuterRef("text"))
        selections = list(round.selections.filter(~Exists(has_item), text__withdrawn_at=None).order_by("rank"))
        views = doubt.views(round, selections)
        for start in range(0, len(selections), BATCH):
            batch = selections[start : start + BATCH]
            items = Item.objects.bulk_create(
                Item(
                    language=language,
                    text_id=selection.text_id,
                    round=round,
                    candidate_ids=selection.candidate_ids,
                    overlap=language.overlap,
                    quorum=language.quorum,
                    policy_version=language.policy_version,
                    recheck_days=language.recheck_days,
                )
                for selection in batch
            )
            Slot.objects.bulk_create(
                Slot(
                    item=item, language=language, number=number, order=views[selection.pk].place,
                    expects_good=views[selection.pk].expects, for_linguists=language.linguists_only,
                )
                for item, selection in zip(items, batch, strict=True)
                for number in range(1, language.overlap + 1)
            )  # fmt: skip
        mixing.mix_in(language)
    return len(selections)


# Whether this person may have the slot. A slot that ran out is judged free here and nowhere else. Where a row changes
# between snapshot and lock, PostgreSQL looks at the conditions again, so two people never get the same one.
IS_FREE = """
    slot.language_id = %(language)s AND slot.state IN ('free', 'held')
    AND (slot.state = 'free' OR slot.lease_expires_at < statement_timestamp())
    AND (%(leads)s OR NOT slot.for_linguists)
"""
MAY_TAKE = f"""
    {IS_FREE}
    AND (slot.gold_text_id IS NULL OR NOT %(leads)s AND NOT EXISTS (
        SELECT FROM annotation_item AS met WHERE met.text_id = slot.gold_text_id AND (
            EXISTS (SELECT FROM annotation_slot AS had WHERE had.item_id = met.id AND had.holder_id = %(user)s)
            OR EXISTS (SELECT FROM annotation_skip AS skip WHERE skip.item_id = met.id AND skip.user_id = %(user)s)
            OR EXISTS (SELECT FROM annotation_review AS said
                        WHERE said.item_id = met.id AND said.reviewer_id = %(user)s))))
    AND NOT EXISTS (SELECT FROM annotation_slot AS own WHERE own.item_id = slot.item_id AND own.holder_id = %(user)s)
    AND NOT EXISTS (SELECT FROM annotation_skip AS skip WHERE skip.item_id = slot.item_id AND skip.user_id = %(user)s)
    AND NOT EXISTS (SELECT FROM annotation_review AS review
                     WHERE review.item_id = slot.item_id AND review.reviewer_id = %(user)s
                       AND review.withdrawn_at IS NULL)
"""  # noqa: S608 - pieces of our own
# Where one person does most of a language's work, thousands of slots that wait for somebody else come first in the
# order. So we go from one group of slots with the same `reviewed_by` to the next and leave out groups with this person,
# instead of looking at each of their slots.
FIRSTS = f"""
    WITH RECURSIVE kind AS (
        (SELECT priority, reviewed_by FROM annotation_slot
          WHERE language_id = %(language)s AND state IN ('free', 'held')
          ORDER BY priority, reviewed_by LIMIT 1)
        UNION ALL
        SELECT next.* FROM kind, LATERAL (
            SELECT priority, reviewed_by FROM annotation_slot
             WHERE language_id = %(language)s AND state IN ('free', 'held')
               AND (priority, reviewed_by) > (kind.priority, kind.reviewed_by)
             ORDER BY priority, reviewed_by LIMIT 1) AS next)
    SELECT first.id FROM kind, LATERAL (
        SELECT slot.id FROM annotation_slot AS slot
         WHERE slot.priority = kind.priority AND slot.reviewed_by = kind.reviewed_by AND {MAY_TAKE}
         ORDER BY slot."order", slot.id LIMIT 5) AS first
     WHERE %(user)s <> ALL (kind.reviewed_by)
"""  # noqa: S608 - pieces of our own


def _claiming(choice: str, which_pass: str) -> str:
    """The statement that gives the chosen slot to the person, under a new lease."""
    return f"""
        WITH slot AS (
            UPDATE annotation_slot
               SET state = 'held', holder_id = %(user)s, lease_expires_at = statement_timestamp() + %(lease)s,
                   claimed_at = CASE WHEN holder_id = %(user)s THEN claimed_at ELSE statement_timestamp() END,
                   review_pass = {which_pass}
             WHERE id = ({choice})
            RETURNING *)
        SELECT {reading.SLOT.sql}, {reading.ITEM.sql}, {reading.TEXT.sql}, slot.claimed_at = statement_timestamp()
          FROM slot
          JOIN annotation_item AS item ON item.id = slot.item_id
          JOIN generation_text AS text ON text.id = item.text_id
    """  # noqa: S608 - pieces of our own


# The person's own slot, lease running or not, as long as nobody took it over; else the first that they may take. Rows
# that others hold locked this instant are passed over, first among the firsts of the groups, then among all.
CLAIM = _claiming(
    f"""
    coalesce((
        SELECT own.id FROM annotation_slot AS own
         WHERE own.holder_id = %(user)s AND own.state = 'held' AND own.language_id = %(language)s
         ORDER BY own.lease_expires_at > statement_timestamp() DESC, own.claimed_at DESC
         LIMIT 1 FOR UPDATE), (
        SELECT slot.id FROM annotation_slot AS slot
         WHERE slot.id = ANY (ARRAY({FIRSTS})) AND {MAY_TAKE}
         ORDER BY slot.priority, slot."order", slot.id
         LIMIT 1 FOR UPDATE OF slot SKIP LOCKED), (
        SELECT slot.id FROM annotation_slot AS slot
         WHERE {MAY_TAKE} AND %(user)s <> ALL (slot.reviewed_by)
         ORDER BY slot.priority, slot."order", slot.id
         LIMIT 1 FOR UPDATE OF slot SKIP LOCKED))
    """,  # noqa: S608 - pieces of our own
    "CASE WHEN holder_id = %(user)s THEN review_pass ELSE 1 END",
)
# Where that comes to nothing: the self-recheck that has been due longest. Fresh items and others' go before.
CLAIM_RECHECK = _claiming(rechecks.longest_due(IS_FREE), "2")


def claim_next(user: User, language: Language) -> Slot:
    """The slot this person works on next: the one they hold, or else the first free one that they may take.

    Whether they may review in the language is the view's business.

    Raises:
        QueueEmpty: there is none, and why.
    """
    while True:
        if slot := _claim(user, language):
            return slot
        # Nobody is sent away while a slot is free: where the reason cannot be given, one has come free meanwhile, or
        # others only hold it locked this instant.
        if empty := _why_empty(user, language):
            raise empty
        _wait_for_first(open_to(user, language).filter(TAKEABLE), due_rechecks(user, language))


def _claim(user: User, language: Language) -> Slot | None:
    leads = user.has_role(language, Role.LINGUIST)
    params: dict[str, Any] = {"user": user.pk, "language": language.pk, "lease": lease(), "leads": leads}
    try:
        with transaction.atomic():
            one_claim_at_a_time(user)  # two tabs of one person get the same slot
            parts = (reading.SLOT, reading.ITEM, reading.TEXT)
            claimed = first(CLAIM, params, *parts) or first(CLAIM_RECHECK, params, *parts)
            if claimed is None:
                return None
            slot: Slot
            slot, slot.item, slot.item.text, is_new = claimed
            slot.language = slot.item.language = language
            if is_new:
                Event.record(EventKind.ITEM_CLAIMED, slot.item, actor=user, language=language, slot=slot.pk)
            return slot
    except IntegrityError as exc:
        if isinstance(exc.__cause__, UniqueViolation):
            return None  # lost to another request of the same person: look again
        raise


def _wait_for_first(*choices: QuerySet[Slot]) -> None:
    """Wait until whoever holds the first of these rows locked lets go of it. Keeps no lock.

    A claim never waits with a lock in its hand, or it could end in a circle with a submit, which locks all slots of an
    item. The savepoint's end gives the lock back even inside somebody else's transaction.
    """
    firsts = (slots.order_by("priority", "order", "pk").first() for slots in choices)
    first = next(filter(None, firsts), None)
    if first is None:
        return
    with transaction.atomic():
        list(Slot.objects.select_for_update().filter(pk=first.pk).values_list("pk"))
        transaction.set_rollback(True)


def one_claim_at_a_time(user: User) -> None:
    """Until the transaction ends, no other request gives this person a slot."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [CLAIM_LOCK, user.pk % 2**31])


def _open_slots(language: Language) -> QuerySet[Slot]:
    return Slot.objects.filter(language=language, state__in=[SlotState.FREE, SlotState.HELD])


def _open_slots_for(user: User, language: Language) -> QuerySet[Slot]:
    slots = _open_slots(language)
    # Who leads a language can read its known answers.
    return slots.filter(gold_text=None) if user.has_role(language, Role.LINGUIST) else slots.filter(for_linguists=False)


def open_to(user: User, language: Language) -> QuerySet[Slot]:
    """Open slots of items that this person has not held, done or skipped."""
    of_item = {"item": OuterRef("item")}
    met = Item.objects.filter(
        Exists(Slot.objects.filter(item=OuterRef("pk"), holder=user))
        | Exists(Skip.objects.filter(item=OuterRef("pk"), user=user))
        | Exists(Review.objects.filter(item=OuterRef("pk"), reviewer=user)),
        text=OuterRef("gold_text"),
    )
    return _open_slots_for(user, language).filter(
        Q(gold_text=None) | ~Exists(met),
        ~Exists(Slot.objects.filter(**of_item, holder=user)),
        ~Exists(Skip.objects.filter(**of_item, user=user)),
        ~Exists(Review.objects.standing().filter(**of_item, reviewer=user)),
    )


def for_recheck(user: User, language: Language) -> QuerySet[Slot]:
    """Free slots of items that this person has not skipped, for rechecks.py to say which they may look at again."""
    return _open_slots_for(user, language).filter(
        TAKEABLE, ~Exists(Skip.objects.filter(item=OuterRef("item"), user=user))
    )


def due_rechecks(user: User, language: Language) -> QuerySet[Slot]:
    return rechecks.due(for_recheck(user, language), user)


def free_items(user: User, language: Language) -> int:
    """How many items this person might be served now, self-rechecks included."""
    free = open_to(user, language).filter(TAKEABLE)
    return sum(slots.aggregate(n=Count("item", distinct=True))["n"] for slots in (free, due_rechecks(user, language)))


def waiting(user: User, language: Language) -> int:
    """How many items wait for this person now, the ones they hold included."""
    mine = _open_slots(language).filter(holder=user, state=SlotState.HELD)
    return mine.count() + free_items(user, language)


def _why_empty(user: User, language: Language) -> QueueEmpty | None:
    """Why this person gets nothing; None where they might now."""
    found = open_to(user, language).aggregate(takeable=Count("pk", filter=TAKEABLE), frees_at=Min("lease_expires_at"))
    if found["takeable"] or due_rechecks(user, language).exists():
        return None
    if found["frees_at"]:
        return QueueEmpty(EmptyReason.ALL_HELD, found["frees_at"])
    if _open_slots(language).filter(holder=user, state=SlotState.HELD).exists():
        return None
    if later := rechecks.next_due(for_recheck(user, language), user):
        return QueueEmpty(EmptyReason.RECHECK_LATER, later)
    if _open_slots_for(user, language).exists():
        return QueueEmpty(EmptyReason.ONLY_YOURS)
    if _open_slots(language).filter(for_linguists=True).exists():
        return QueueEmpty(EmptyReason.FOR_LINGUISTS)
    if Item.objects.filter(language=language, round__isnull=False).exists():
        return QueueEmpty(EmptyReason.ALL_DONE)
    return QueueEmpty(EmptyReason.NOTHING_YET)


def renew(slot: Slot) -> bool:
    """Start the holder's lease anew, even one that ran out. False when the slot is no longer theirs."""
    return bool(
        Slot.objects.filter(pk=slot.pk, holder_id=slot.holder_id, state=SlotState.HELD).update(
            lease_expires_at=Now() + lease()
        )
    )


def skip(user: User, item: Item, reason: str = "") -> None:
    """Pass on an item: it goes to others and does not come back to this person. What they typed stays."""
    with transaction.atomic():
        _skip, is_new = Skip.objects.get_or_create(item=item, user=user, defaults={"reason": reason})
        item.slots.filter(holder=user, state=SlotState.HELD).update(**LET_GO)
        if is_new:
            Event.record(EventKind.ITEM_SKIPPED, item, actor=user, language=item.language)


def take_skip_back(user: User, item: Item) -> bool:
    """Undo a skip, so that the item may come to the person again. False where there is none."""
    with transaction.atomic():
        gone, _by_model = Skip.objects.filter(user=user, item=item).delete()
        if gone:
            Event.record(EventKind.SKIP_TAKEN_BACK, item, actor=user, language=item.language)
    return bool(gone)


def takeable_again(user: User) -> QuerySet[Slot]:
    """Slots that nobody holds under a running lease, of open items that the person neither held nor decided, or that
    are due for their self-recheck."""
    of_item = {"item": OuterRef("item")}
    is_new = ~Exists(Slot.objects.filter(**of_item, holder=user)) & ~Exists(
        Review.objects.standing().filter(**of_item, reviewer=user)
    )
    is_due = Exists(rechecks.due(Slot.objects.filter(pk=OuterRef("pk")), user))
    return Slot.objects.filter(TAKEABLE, is_new | is_due, item__state=ItemState.OPEN)


def claim_again(user: User, item: Item) -> bool:
    """Give the person a slot of an item they were at before, skipped or not, if there is one to be had."""
    with transaction.atomic():
        one_claim_at_a_time(user)
        if own := item.slots.filter(holder=user, state=SlotState.HELD).first():
            return renew(own)
        free = takeable_again(user).filter(item=item).order_by("priority", "number")
        slot = free.select_for_update(skip_locked=True, of=("self",)).first()
        if slot is None:
            return False
        is_second = Review.objects.standing().filter(item=item, reviewer=user).exists()
        Slot.objects.filter(pk=slot.pk).update(
            state=SlotState.HELD, holder=user, review_pass=2 if is_second else 1,
            claimed_at=Now(), lease_expires_at=Now() + lease(),
        )  # fmt: skip
        take_skip_back(user, item)
        Event.record(EventKind.ITEM_CLAIMED, item, actor=user, language=item.language, slot=slot.pk)
    return True


PROGRESS = """
    SELECT coalesce(sum(number) FILTER (WHERE person_id IS NOT NULL AND day = %(today)s), 0)::int,
           coalesce(sum(number) FILTER (WHERE person_id IS NOT NULL AND day >= %(monday)s), 0)::int,
           coalesce(sum(number) FILTER (WHERE person_id IS NOT NULL), 0)::int,
           coalesce(sum(number) FILTER (WHERE person_id IS NULL), 0)::int + coalesce(sum(seeming), 0)::int
      FROM annotation_tally
     WHERE language_id = %(language)s AND (person_id = %(user)s OR person_id IS NULL)
"""


def progress(user: User, language: Language) -> Progress:
    """Reviews of today, of this week (from Monday) and of all time; accepted pairs of the language and its goal."""
    today = timezone.localdate()
    monday = today - dt.timedelta(days=today.weekday())
    with connection.cursor() as cursor:
        cursor.execute(PROGRESS, {"user": user.pk, "language": language.pk, "today": today, "monday": monday})
        today_, week, total, accepted = cursor.fetchone()
    return Progress(today_, week, total, accepted, language.goal)
