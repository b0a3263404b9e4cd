"""Takes in what a person decides on an item: autosaves, submits and second thoughts. Claims are in queues.py.

Every change locks the item's row first, then its slots. Nothing here touches Redis. Text is stored as it was typed.
"""

import datetime as dt
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import queues, reading, tallies, trimming, verdicts
from annotation.agreement import trimmed
from annotation.models import AuditVerdict, Autosave, Decision, Flag, Gold, Item, ItemState, Review, Slot, SlotState
from annotation.relabelling import LONGEST_VARIETY
from generation.models import Candidate
from xinstruct_site.people import rows
from xinstruct_site.people.models import Event, EventKind, Language, User

RATINGS = ("rating_alignment", "rating_instruction", "rating_text", "overall")
MOST_SECONDS = 24 * 3600


class ReviewError(Exception):
    """A review cannot be taken as it is. The message is for the person who wrote it."""


class InvalidReview(ReviewError):
    """Breaks the rules of a review; `errors` says which field and why."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = errors


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
class Submission:
    """What the page sends. `candidate` is what the person started from; empty where the wording is their own.

    `autosave_version` is the unsent work it was made from, `tab` the page it was written on; None asks for no look.
    """

    id: uuid.UUID
    decision: str
    candidate: Candidate | None
    instruction: str
    input: str = ""
    response_edit: str | None = None
    spans: list[dict[str, Any]] = field(default_factory=list)
    rating_alignment: int | None = None
    rating_instruction: int | None = None
    rating_text: int | None = None
    overall: int | None = None
    flags: dict[str, str] = field(default_factory=dict)
    relabel: Language | None = None
    reason: str = ""
    shown_at: dt.datetime = field(default_factory=timezone.now)
    active_seconds: int = 0
    interface_language: str = "en"
    autosave_version: int | None = None
    tab: str = ""


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
        ReviewError: invalid, a second one by the same person, an id that is not theirs, or no agreement. Nothing is
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
    review_pass = pass_of(item, own, slot, submission.shown_at)
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
    _refuse_unstorable(data)
    with transaction.atomic():
        item = locked(item)  # so that a submit is either over or yet to come
        slot = item.slots.filter(holder=user, state=SlotState.HELD).first()
        if pass_of(item, list(item.reviews.standing().filter(reviewer=user)), slot, shown_at) is None:
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
    return audits.exists() or is_known or item.adjudications.filter(withdrawn_at=None).exists()


# The rules of a review


def checked(submission: Submission, item: Item) -> Submission:
    """The submission with its spans and edit in the one form they have, where it keeps the rules.

    Raises:
        InvalidReview: with a message per field.
    """
    _refuse_unstorable(
        {
            "instruction": submission.instruction,
            "input": submission.input,
            "response_edit": submission.response_edit,
            "flags": submission.flags,
            "reason": submission.reason,
        }
    )
    errors: dict[str, str] = {}
    for name in RATINGS:
        value = getattr(submission, name)
        if value is not None and value not in range(1, 6):
            errors[name] = _("Ratings go from 1 to 5.")
    if submission.decision == Decision.ACCEPT:
        errors |= {name: _("Choose 1 to 5.") for name in RATINGS if getattr(submission, name) is None}
        if not submission.instruction.strip():
            errors["instruction"] = _("An accepted item needs an instruction.")
        if submission.overall in {1, 2}:
            errors["overall"] = _("Accepting takes an overall rating of 3 to 5.")
    elif submission.decision == Decision.REJECT:
        if not submission.reason.strip():
            errors["reason"] = _("Say in a few words why it is rejected.")
        if submission.overall in {4, 5}:
            errors["overall"] = _("An item rated 4 or 5 cannot be rejected.")
    else:
        errors["decision"] = _("Accept or reject.")
    drafted_from = submission.candidate
    if drafted_from and drafted_from.text_id != item.text_id and drafted_from.pk not in item.candidate_ids:
        errors["candidate"] = _("This instruction was drafted for another text.")
    if unknown := submission.flags.keys() - set(Flag.values):
        errors["flags"] = _("There is no flag “%(flag)s”.") % {"flag": sorted(unknown)[0]}
    if problem := relabel_problem(submission.relabel, submission.flags, item):
        errors["relabel"] = problem
    if submission.response_edit is not None and not submission.response_edit.strip():
        errors["response_edit"] = _("The response cannot be empty.")
    if problem := spans_problem(submission.spans, item.text.body):
        errors["spans"] = problem
    if errors:
        raise InvalidReview(errors)
    body = item.text.body
    spans = trimming.tidied(((span["start"], span["end"]) for span in submission.spans), body)
    edit = submission.response_edit
    if edit is not None and trimmed(edit) == trimmed(trimming.response(body, spans)):
        edit = None  # an edit that changes nothing is none
    return replace(
        submission,
        spans=trimming.quoted(spans, body),
        relabel=submission.relabel if Flag.WRONG_LANGUAGE in submission.flags else None,
        response_edit=edit,
        active_seconds=min(max(submission.active_seconds, 0), MOST_SECONDS),
        interface_language=submission.interface_language[:10],
    )


def spans_problem(spans: Any, body: str) -> str:
    """What is wrong with the kept parts of a body, in words; empty where they are ordered, apart and quoted rightly."""
    end_before = 0
    if not isinstance(spans, list):
        return _("The kept parts of the text could not be read.")
    for span in spans:
        if not isinstance(span, dict) or type(span.get("start")) is not int or type(span.get("end")) is not int:
            return _("The kept parts of the text could not be read.")
        start, end = span["start"], span["end"]
        if not 0 <= start < end <= len(body):
            return _("A kept part lies outside the text.")
        if start < end_before:
            return _("The kept parts of the text overlap or are out of order.")
        if span.get("quote") != body[start:end]:
            return _("A kept part does not say what the text says there.")
        end_before = end
    return ""


def relabel_problem(relabel: Language | None, flags: dict[str, str], item: Item) -> str:
    """What is wrong with naming a text's variety, in words; empty where nothing is."""
    if not relabel or relabel.pk != item.language_id or Flag.WRONG_LANGUAGE not in flags:
        return ""
    variety = flags[Flag.WRONG_LANGUAGE].strip()
    if not variety:
        return _("Name the variety in the note beside it.")
    if len(variety) > LONGEST_VARIETY:
        return _("The name of a variety has at most %(most)s characters.") % {"most": LONGEST_VARIETY}
    return ""


def _refuse_unstorable(data: dict[str, Any]) -> None:
    """PostgreSQL holds every character but NUL, and UTF-8 every one but lone surrogates."""
    message = _("This contains a character that cannot be stored (NUL, or half of a surrogate pair). Please remove it.")
    if errors := {name: message for name, value in data.items() if any(map(_is_unstorable, _strings(value)))}:
        raise InvalidReview(errors)


def _is_unstorable(text: str) -> bool:
    return "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
