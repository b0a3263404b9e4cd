"""Carries a verdict out: the item's state, the slots that stay open, and its one current pair.

The rule itself is in agreement.py. Callers hold the item's row lock, so one item is settled by one person at a time.
"""

from django.utils import timezone

from annotation import reading, rechecks, relabelling, tallies
from annotation.agreement import Ballot, Result, Verdict, Wording, verdict
from annotation.models import (
    Decision,
    Flag,
    Item,
    ItemKind,
    ItemState,
    Origin,
    Pair,
    PairState,
    Review,
    Slot,
    SlotState,
)
from generation.models import Release, ReleaseState
from xinstruct_site.people import rows
from xinstruct_site.people.models import Event, EventKind, User

# Lower is served first.
TIE_BREAK_PRIORITY = 10
DISPUTED_PRIORITY = 40  # a person and the evaluator disagree
ONE_SHORT_PRIORITY = 50
STARTED_PRIORITY = 75

OPEN_STATES = {SlotState.FREE, SlotState.HELD}
STATES = {
    Result.ACCEPTED: ItemState.ACCEPTED,
    Result.REJECTED: ItemState.REJECTED,
    Result.DISPUTED: ItemState.DISPUTED,
}


def settle(
    item: Item,
    *,
    actor: User | None = None,
    slots: list[Slot] | None = None,
    reviews: list[Review] | None = None,
) -> Verdict:
    """Bring a locked item in line with its counted reviews. Called again, it changes nothing.

    While a slot is open (one that a withdrawn review gave back, too), only acceptance decides. `slots` are the item's
    locked slots and `reviews` its counted ones by id, where the caller has them as they are now.
    """
    reviews = reading.counted_reviews(item) if reviews is None else reviews
    reached = verdict([_ballot(review) for review in reviews], item.overlap, item.quorum)
    if item.state == ItemState.WITHDRAWN:
        return reached
    slots = reading.locked_slots(item) if slots is None else slots
    is_waited_for = any(slot.state in OPEN_STATES for slot in slots)
    if reached.result == Result.ACCEPTED or (reached.result in STATES and not is_waited_for):
        _decide(item, reached, reviews, actor, is_waited_for)
    else:
        _keep_open(item, reached, reviews, slots)
    return reached


def reopen(item: Item, *, actor: User | None = None) -> None:
    """Take a locked item's verdict back, before a review is withdrawn from under it."""
    if not Item.objects.filter(pk=item.pk, state__in=STATES.values()).update(state=ItemState.OPEN, decided_at=None):
        return
    item.state = ItemState.OPEN
    relabelling.take_back(item, actor)
    if pair := item.pairs.current().first():
        pair.item = item
        retire(pair, actor=actor)


def change_state(pair: Pair, state: PairState, *, is_current: bool = True, actor: User | None = None) -> None:
    """Move a pair of a locked item to a state, and keep the count of accepted ones right."""
    counted, counts = _counts(pair), state == PairState.ACCEPTED and is_current
    pair.state, pair.is_current = state, is_current
    pair.save(update_fields=["state", "is_current"])
    if counts != counted:
        _count(pair, +1 if counts else -1, actor)


def retire(pair: Pair, *, actor: User | None = None) -> None:
    """A pair of a locked item is no longer what the item came to."""
    change_state(pair, PairState.WITHDRAWN, is_current=False, actor=actor)


def put_in_place_of(pair: Pair | None, item: Item, wording: Wording, *, decided_by: list[str]) -> Pair:
    """What a linguist wrote for a locked item: its current pair, accepted. The one before it is kept."""
    if pair:
        retire(pair)
    made = Pair(
        item=item,
        state=PairState.ACCEPTED,
        instruction=wording.instruction,
        input=wording.input,
        spans=_with_quotes(wording, item),
        response_edit=wording.response_edit,
        origin=_origin(wording),
        variety=pair.variety if pair else item.text.variety,
        orthography=pair.orthography if pair else item.text.orthography,
        candidate_id=pair.candidate_id if pair else None,
        policy_version=item.policy_version,
        decided_by=decided_by,
    )
    rows.insert(made)
    tallies.accepted(item.language_id, made.created_at, +1)
    return made


def wording_of(said: Pair | Review) -> Wording:
    spans = tuple((span["start"], span["end"]) for span in said.spans)
    return Wording(said.instruction, said.input, said.response_edit, spans)


def is_released(*public_ids: str) -> bool:
    """Whether one of these pairs is in a release that stands or is being built. A candidate is built anew."""
    gone = [ReleaseState.FAILED, ReleaseState.WITHDRAWN, ReleaseState.CANDIDATE]
    return Release.objects.exclude(state__in=gone).filter(rows__pair_public_id__in=public_ids).exists()


def _counts(pair: Pair) -> bool:
    return pair.is_current and pair.state == PairState.ACCEPTED


def _count(pair: Pair, change: int, actor: User | None) -> None:
    if pair.item.kind == ItemKind.NORMAL:
        tallies.accepted(pair.item.language_id, pair.created_at, change)
    elif actor:
        tallies.seemed_accepted(actor, pair.item.language_id, pair.created_at, change)


def _origin(wording: Wording) -> Origin:
    return Origin.WEB if wording.response_edit is None else Origin.WEB_HUMAN


def _ballot(review: Review) -> Ballot:
    return Ballot(
        id=str(review.pk),
        accepts=review.decision == Decision.ACCEPT,
        wording=wording_of(review),
        overall=review.overall,
        counts_alone=review.counts_alone,
    )


def _decide(item: Item, reached: Verdict, reviews: list[Review], actor: User | None, is_waited_for: bool) -> None:
    state = STATES[reached.result]
    moved = Item.objects.filter(pk=item.pk, state=ItemState.OPEN).update(state=state, decided_at=timezone.now())
    if not moved:
        return  # decided already, or withdrawn
    if is_waited_for:
        item.slots.filter(state__in=OPEN_STATES).update(state=SlotState.CLOSED)
    item.state = state
    agreeing = [review for review in reviews if str(review.pk) in reached.agreeing]
    relabelling.carry_out(item, agreeing, actor)
    pair = None
    if reached.wording:
        pair = _write_pair(item, reached.wording, agreeing, accepted=reached.result == Result.ACCEPTED)
    Event.record(
        EventKind.PAIR_DECIDED,
        item,
        actor=actor,
        language=item.language,
        result=reached.result,
        pair=pair and pair.public_id,
        reviews=list(reached.agreeing),
    )
    if pair and pair.state == PairState.ACCEPTED:
        _count(pair, +1, actor)


def _write_pair(item: Item, wording: Wording, agreeing: list[Review], *, accepted: bool) -> Pair:
    state = PairState.ACCEPTED if accepted else PairState.DISPUTED
    if accepted and any(Flag.CULTURAL in review.flags for review in agreeing):
        state = PairState.HELD  # somebody asked a linguist to look
    pair = Pair(
        item=item,
        state=state,
        instruction=wording.instruction,
        input=wording.input,
        spans=_with_quotes(wording, item),
        response_edit=wording.response_edit,
        origin=_origin(wording),
        variety=item.text.variety,
        orthography=item.text.orthography,
        candidate_id=_candidate_id(agreeing),
        policy_version=item.policy_version,
        decided_by=[str(review.pk) for review in agreeing],
    )
    rows.insert(pair)
    return pair


def _keep_open(item: Item, reached: Verdict, reviews: list[Review], slots: list[Slot]) -> None:
    """Leave as many slots open as reviews are wanted: those that the policy asks for, or one for a tie-break."""
    wanted = max(item.overlap - len(reviews), 1)
    is_tie_break = reached.result == Result.TIE_BREAK
    wordings = [_as_choice(wording, item, reviews) for wording in reached.wordings] if is_tie_break else None
    undone = [slot for slot in slots if slot.state != SlotState.DONE]
    # Open ones stay before closed ones are opened again, and among the open those that somebody holds.
    undone.sort(
        key=lambda s: (s.state == SlotState.CLOSED, s.state != SlotState.HELD, s.wordings is not None, s.number)
    )
    reviewed_by = sorted({review.reviewer_id for review in reviews})
    # Nobody breaks a tie that they are part of.
    recheck_from = None if is_tie_break else rechecks.due_from(item, reviews)
    for place, slot in enumerate(undone):
        before = (slot.state, slot.wordings, slot.priority, slot.reviewed_by, slot.recheck_from)
        if place >= wanted:
            slot.state = SlotState.CLOSED
        else:
            if slot.state == SlotState.CLOSED:
                slot.state, slot.holder, slot.lease_expires_at = SlotState.FREE, None, None
            slot.wordings = wordings
            slot.priority = _priority(slot, wanted, reviews, is_tie_break=is_tie_break)
            slot.reviewed_by, slot.recheck_from = reviewed_by, recheck_from
        if before != (slot.state, slot.wordings, slot.priority, slot.reviewed_by, slot.recheck_from):
            rows.update(
                slot, "state", "holder", "lease_expires_at", "wordings", "priority", "reviewed_by", "recheck_from"
            )
    if len(undone) < wanted:
        last = slots[-1]
        Slot.objects.create(
            item=item,
            language_id=item.language_id,
            number=last.number + 1,
            order=last.order,
            expects_good=last.expects_good,
            for_linguists=last.for_linguists,
            gold_text_id=last.gold_text_id,
            wordings=wordings,
            priority=TIE_BREAK_PRIORITY,
            reviewed_by=reviewed_by,
            recheck_from=recheck_from,
        )


def _priority(slot: Slot, wanted: int, reviews: list[Review], *, is_tie_break: bool) -> int:
    if is_tie_break:
        return TIE_BREAK_PRIORITY
    if not reviews:
        return max(slot.priority, STARTED_PRIORITY)  # the one that there was, was taken back
    if slot.expects_good is not None and any(
        (review.decision == Decision.ACCEPT) != slot.expects_good for review in reviews
    ):
        return DISPUTED_PRIORITY
    return ONE_SHORT_PRIORITY if wanted == 1 else STARTED_PRIORITY


def _as_choice(wording: Wording, item: Item, reviews: list[Review]) -> dict[str, object]:
    """A tie-break's choice, with what a review stores and not who wrote it."""
    authors = [review for review in reviews if _ballot(review).wording.key() == wording.key()]
    return {
        "candidate": _candidate_id(authors),
        "instruction": wording.instruction,
        "input": wording.input,
        "response_edit": wording.response_edit,
        "spans": _with_quotes(wording, item),
    }


def _candidate_id(reviews: list[Review]) -> int | None:
    """The candidate that most of these people started from, of those who started from one."""
    chosen = sorted(review.candidate_id for review in reviews if review.candidate_id)
    return max(chosen, key=chosen.count) if chosen else None


def _with_quotes(wording: Wording, item: Item) -> list[dict[str, object]]:
    body = item.text.body
    return [{"start": start, "end": end, "quote": body[start:end]} for start, end in wording.spans]
