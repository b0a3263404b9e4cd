"""Takes in what a person decides on an item: autosaves, submits and second thoughts. Claims are in queues.py.

Every change locks the item's row first, then its slots. Nothing here touches Redis. What keeps the rules of a review is
in submissions.py.
"""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import queues, reading, rechecks, tallies, verdicts
from annotation.agreement import trimmed
from annotation.models import AuditVerdict, Autosave, Gold, Item, ItemState, Review, Slot, SlotState
from annotation.submissions import RATINGS, ReviewError, Submission, checked, refuse_unstorable
from xinstruct_site.people import rows
from xinstruct_site.people.models import Event, EventKind, User


class AlreadyReviewed(ReviewError):
    """This person's review of the item stands already."""

    def __init__(self) -> None:
        super().__init__(_("You have reviewed this item already. Withdraw that review to decide anew."))


class SecondLookStands(ReviewError):
    """This person looked at the item again later, which rests on what they said first."""

    def __init__(self) -> None:
        super().__init__(_("You have looked at this item again since. Take back that second review first."))


class UnknownSubmission(ReviewError):
    """The submission's id is taken by something that is not this person's submission on this item."""

    def __init__(self) -> None:
        super().__init__(_("This form cannot be submitted any more. Reload the page; what you typed is kept."))


class NoAgreement(ReviewError):
    """Nobody contributes without having accepted the contributor agreement."""

    def __init__(self) -> None:
        super().__init__(_("Please accept the contributor agreement first."))


class TooLate(ReviewError):
    """What the review led to is in a release."""

    def __init__(self) -> None:
        super().__init__(_("This item is part of a release, so its reviews stand."))


class DecidedByLinguist(ReviewError):
    """A linguist's word on what the review led to stands."""

    def __init__(self) -> None:
        super().__init__(_("A linguist has decided on this item, so its reviews stand."))


class StaleAutosave(Exception):
    """Somebody (the same person elsewhere, most often) saved a newer version: `current`."""

    def __init__(self, current: Autosave) -> None:
        super().__init__(_("A newer version of your work on this item was saved elsewhere."))
        self.current = current


@dataclass(frozen=True, slots=True)
class Outcome:
    """The stored review; whether it counts towards the verdict (else it is an extra); whether it was there before."""

    review: Review
    counted: bool
    replayed: bool


def submit(user: User, item: Item, submission: Submission) -> Outcome:
    """Store a person's decision and settle the item. The same submission again gets the stored outcome.

    It counts where the person still holds a slot of the open item, be it under a lease that ran out. Where somebody
    took the slot over or the item was decided meanwhile, it is kept whole as an extra.

    Raises:
        ReviewError: invalid, one more than the person may give, an id that is not theirs, or no agreement. Nothing is
            stored, and what they typed stays in their autosave.
        StaleAutosave: they wrote something else on another device meanwhile, which this would throw away.
    """
    try:
        with transaction.atomic():
            return _submit(user, item, submission)
    except IntegrityError as exc:
        # The id was used on another item between our look and our insert: an id is good for one submission.
        if Review.objects.filter(pk=submission.id).exists():
            raise UnknownSubmission from exc
        raise


def _submit(user: User, item: Item, submission: Submission) -> Outcome:
    item = locked(item)
    known = reading.known(item, user, submission.id)
    if stored := next((review for review in known.reviews if review.pk == submission.id), None):
        if (stored.reviewer_id, stored.item_id) != (user.pk, item.pk):
            raise UnknownSubmission
        return Outcome(stored, counted=stored.slot_id is not None, replayed=True)
    submission = checked(submission, item)
    # Locked, so that nobody takes an expired lease over between here and the commit.
    slots = reading.locked_slots(item) if item.state == ItemState.OPEN else []
    slot = next((slot for slot in slots if slot.holder_id == user.pk and slot.state == SlotState.HELD), None)
    own = [review for review in known.reviews if review.reviewer_id == user.pk]
    review_pass = rechecks.pass_of(item, own, slot, submission.shown_at)
    if review_pass is None:
        raise AlreadyReviewed
    if known.unsent and _would_lose(known.unsent, submission):
        raise StaleAutosave(known.unsent)
    if known.agreement_id is None:
        raise NoAgreement
    review = Review(
        id=submission.id,
        item=item,
        slot=slot,
        reviewer=user,
        review_pass=review_pass,
        decision=submission.decision,
        candidate=submission.candidate,
        instruction=submission.instruction,
        input=submission.input,
        response_edit=submission.response_edit,
        spans=submission.spans,
        flags=submission.flags,
        relabel=submission.relabel,
        reason=submission.reason,
        shown_at=submission.shown_at,
        active_seconds=submission.active_seconds,
        interface_language=submission.interface_language,
        guidelines_version=item.language.guidelines_version,
        agreement_id=known.agreement_id,
        counts_alone=user.counts_alone(item.language, item.policy_version),
        **{name: getattr(submission, name) for name in RATINGS},
    )
    rows.insert(review)
    Event.record(
        EventKind.REVIEW_SUBMITTED,
        item,
        actor=user,
        language=item.language,
        review=str(review.pk),
        decision=review.decision,
        counted=slot is not None,
    )
    if known.unsent:
        Autosave.objects.filter(pk=known.unsent.pk).delete()
    tallies.reviewed(user, item.language_id, review.submitted_at, +1)
    if slot is not None:
        slot.state, slot.lease_expires_at = SlotState.DONE, None
        rows.update(slot, "state", "lease_expires_at")
        counted = [stands for stands in [*known.reviews, review] if stands.slot_id is not None]
        verdicts.settle(item, actor=user, slots=slots, reviews=sorted(counted, key=lambda stands: stands.pk))
    return Outcome(review, counted=slot is not None, replayed=False)


def autosave(
    user: User, item: Item, *, version: int, data: dict[str, Any], shown_at: dt.datetime | None = None
) -> Autosave:
    """Keep a person's unsent work, and their lease alive. `version` is the one they last knew, 0 before the first.

    `shown_at` is when they were shown the page that they write on; a self-recheck is known by it.

    Sending the same data again is no conflict, nor is going on from the same page (`tab`, whose sendings are counted
    in `turn`): the answer to the first time may have been lost on the way.

    Raises:
        StaleAutosave: a newer version is there; nothing was changed.
        AlreadyReviewed: their review stands, so a late autosave must not bring unsent work back to life, least of all
            on the blank card of a self-recheck.
        InvalidReview: text that cannot be stored.
    """
    refuse_unstorable(data)
    with transaction.atomic():
        item = locked(item)  # so that a submit is either over or yet to come
        slot = item.slots.filter(holder=user, state=SlotState.HELD).first()
        if rechecks.pass_of(item, list(item.reviews.standing().filter(reviewer=user)), slot, shown_at) is None:
            raise AlreadyReviewed
        saved, is_new = Autosave.objects.select_for_update().get_or_create(
            item=item, user=user, defaults={"version": version + 1, "data": data}
        )
        if not is_new and saved.data != data:
            if saved.version != version and not _goes_on(saved.data, data):
                raise StaleAutosave(saved)
            saved.version, saved.data, saved.saved_at = saved.version + 1, data, timezone.now()
            saved.save()
        if slot:
            queues.renew(slot)
    return saved


def withdraw(user: User, review: Review) -> None:
    """Undo one's own review: its slot comes back to the person under a new lease, and the verdict is reached anew.

    Its words are the person's unsent work again. A self-recheck is taken back before the review it rests on: alone it
    would be a second look at nothing, and a new first one would come right after it and be no later look either.

    Raises:
        ReviewError: somebody else's review, one whose pair is in a release, or one they have looked at again.
    """
    with transaction.atomic():
        queues.one_claim_at_a_time(user)
        item = locked(review.item)
        if review.reviewer_id != user.pk:
            raise UnknownSubmission
        if verdicts.is_released(*item.pairs.values_list("public_id", flat=True)):
            raise TooLate
        if _is_with_linguists(item):
            raise DecidedByLinguist
        if review.review_pass == 1:
            if item.reviews.standing().filter(reviewer=user, review_pass=2).exists():
                raise SecondLookStands
            item.slots.filter(holder=user, state=SlotState.HELD, review_pass=2).update(**queues.LET_GO)
        if not Review.objects.standing().filter(pk=review.pk).update(withdrawn_at=timezone.now()):
            return
        Event.record(EventKind.REVIEW_WITHDRAWN, item, actor=user, language=item.language, review=str(review.pk))
        Autosave.objects.get_or_create(
            item=item, user=user, defaults={"version": 1, "data": as_typed(review), "saved_at": timezone.now()}
        )
        tallies.reviewed(user, item.language_id, review.submitted_at, -1)
        if review.slot_id and item.state != ItemState.WITHDRAWN:
            verdicts.reopen(item, actor=user)
            Slot.objects.filter(pk=review.slot_id, state=SlotState.DONE, holder=user).update(
                state=SlotState.HELD, lease_expires_at=Now() + queues.lease(), claimed_at=Now()
            )
            verdicts.settle(item, actor=user)
    review.refresh_from_db()


def as_typed(review: Review) -> dict[str, Any]:
    """A review as its form would send it."""
    ratings = {name: str(getattr(review, name) or "") for name in RATINGS}
    notes = {f"note_{flag}": note for flag, note in review.flags.items()}
    started_from = reading.draft_key(review.item, review.candidate_id) if review.candidate_id else ""
    return {
        "choice": started_from or "own",
        "loaded": started_from,
        "instruction": review.instruction,
        "input": review.input,
        "response_edit": review.response_edit or "",
        "spans": json.dumps(review.spans, ensure_ascii=False) if review.spans else "",
        "reason": review.reason,
        "flags": list(review.flags),
        "relabel": review.relabel.code if review.relabel else "",
        **ratings,
        **notes,
    }


def _goes_on(saved: dict[str, Any], data: dict[str, Any]) -> bool:
    """Whether this is a later state of the same page, and not an early one that took long on the way."""
    if not data.get("tab") or saved.get("tab") != data["tab"]:
        return False
    return _number(data.get("turn")) > _number(saved.get("turn"))


def _number(value: object) -> int:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else 0


def _would_lose(unsent: Autosave, submission: Submission) -> bool:
    """Whether there is unsent text that the person did not have before them when they sent this."""
    if submission.autosave_version in {None, unsent.version} or (
        submission.tab and unsent.data.get("tab") == submission.tab
    ):
        return False
    sent = {
        "instruction": submission.instruction,
        "input": submission.input,
        "response_edit": submission.response_edit or "",
        "reason": submission.reason,
        **{f"note_{flag}": note for flag, note in submission.flags.items()},
    }
    texts = {name for name in unsent.data if name in sent or name.startswith("note_")}
    return any(unsent.data[name] and trimmed(unsent.data[name]) != trimmed(sent.get(name, "")) for name in texts)


def locked(item: Item) -> Item:
    """The item as it is now, its row locked until the transaction ends. Inserts that point at it need not wait."""
    locked = reading.locked_item(item)
    if locked is None:
        raise Item.DoesNotExist
    # Read with the item, a moment ago at most: a text never changes, nor does a language in what matters here.
    locked.text, locked.language = item.text, item.language
    return locked


def _is_with_linguists(item: Item) -> bool:
    """Sent back, an item is the reviewers' again."""
    audits = item.audits.standing().exclude(verdict=AuditVerdict.SEND_BACK)
    is_known = Gold.objects.filter(item=item).exists()
    return audits.exists() or is_known or item.adjudications.standing().exists()
