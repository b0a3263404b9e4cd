"""Adjudication: a linguist decides where reviewers could not agree, without knowing who said what.

What holds for every decision of a linguist is in deciding.py.
"""

import uuid
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import deciding, history, verdicts
from annotation.agreement import Wording
from annotation.history import Said
from annotation.models import Adjudication, Audit, Decision, Item, ItemKind, ItemState, PairState, Review
from xinstruct_site.people.models import Event, EventKind, Language, User

STATES = {Decision.ACCEPT: ItemState.ACCEPTED, Decision.REJECT: ItemState.REJECTED}


@dataclass(frozen=True, slots=True)
class Submission:
    """What the page sends. `wording` is what the pair shall say where the item is accepted."""

    id: uuid.UUID
    decision: str
    overall: int | None = None
    note: str = ""
    wording: Wording | None = None


def disputed(language: Language) -> QuerySet[Item]:
    """Items on which reviewers did not agree, oldest first."""
    return Item.objects.filter(
        language=language, state=ItemState.DISPUTED, kind=ItemKind.NORMAL, text__withdrawn_at=None
    ).order_by("pk")


def answers(item: Item) -> list[Said]:
    """What reviewers said, those that counted first, in an order that tells nothing of who they are."""
    reviews = Review.objects.standing().filter(item=item).select_related("candidate", "relabel")
    return [history.said(review, item) for review in sorted(reviews, key=lambda r: (r.slot_id is None, r.pk))]


def adjudicate(user: User, item: Item, submission: Submission) -> Adjudication:
    """Store a linguist's decision on a disputed item and carry it out. The same submission again gets the stored one.

    Raises:
        DecisionError: invalid, the linguist's own work, or decided by somebody else. Nothing is stored.
    """
    with deciding.on(item, Adjudication, submission.id) as item:
        if stored := deciding.stored(Adjudication, submission.id, user, item=item):
            return stored
        waits = disputed(item.language).filter(pk=item.pk).exists()
        deciding.check(item, user, waits=waits, problems=problems(submission))
        accepts = submission.decision == Decision.ACCEPT
        was = item.pairs.current().first()
        done = Adjudication(
            id=submission.id, item=item, linguist=user, decision=submission.decision, overall=submission.overall or 0,
            note=submission.note, was_pair=was,
        )  # fmt: skip
        if was:
            was.item = item
        if accepts and submission.wording:
            done.pair = verdicts.put_in_place_of(was, item, submission.wording, decided_by=[str(done.pk)])
        elif was:
            verdicts.retire(was)
        state = ItemState.ACCEPTED if accepts else ItemState.REJECTED
        Item.objects.filter(pk=item.pk).update(state=state, decided_at=timezone.now())
        done.save(force_insert=True)
        _record(EventKind.ADJUDICATED, done, user)
    return done


def problems(submission: Submission) -> dict[str, str]:
    """What is wrong with a decision, by field; empty where it can be taken."""
    errors: dict[str, str] = {}
    if submission.decision not in Decision.values:
        return {"decision": _("Accept or reject.")}
    accepts = submission.decision == Decision.ACCEPT
    if submission.overall is None:
        errors["overall"] = _("Choose 1 to 5.")
    elif submission.overall not in (range(3, 6) if accepts else range(1, 4)):
        errors["overall"] = _("Accepting takes an overall rating of 3 to 5, rejecting one of 1 to 3.")
    if accepts and not (submission.wording and submission.wording.instruction.strip()):
        errors["instruction"] = _("An accepted item needs an instruction.")
    if not accepts and not submission.note.strip():
        errors["note"] = _("Say in a few words why it is rejected.")
    return errors


def withdraw(user: User, done: Adjudication) -> None:
    """Take one's own decision back: the item is disputed again.

    Raises:
        DecisionError: somebody else's, or others have gone on from it.
    """
    with deciding.taking_back(user, done) as item:
        if item is None:
            return
        current = item.pairs.current().first()
        if item.state != STATES[Decision(done.decision)] or (current and current.pk) != done.pair_id:
            raise deciding.TooLate
        if current:
            current.item = item
            if Audit.objects.standing().filter(pair=current).exists() or verdicts.is_released(current.public_id):
                raise deciding.TooLate
            verdicts.retire(current)
        if done.was_pair:
            done.was_pair.item = item
            verdicts.change_state(done.was_pair, PairState.DISPUTED)
        Item.objects.filter(pk=item.pk).update(state=ItemState.DISPUTED, decided_at=timezone.now())
        _record(EventKind.ADJUDICATION_TAKEN_BACK, done, user)


def said_before(user: User, item: Item) -> dict[str, str]:
    """What the person said of this item in the decision that they took back last, to go on from; else nothing."""
    taken_back = Adjudication.objects.filter(item=item, linguist=user, withdrawn_at__isnull=False)
    done = taken_back.order_by("withdrawn_at").last()
    if done is None:
        return {}
    said = {"note": done.note, "overall": str(done.overall or "")}
    if done.pair:
        words = verdicts.wording_of(done.pair)
        said |= {"instruction": words.instruction, "input": words.input, "response_edit": words.response_edit or ""}
    return said


def _record(kind: EventKind, done: Adjudication, user: User) -> None:
    Event.record(
        kind, done.item, actor=user, language=done.item.language, adjudication=str(done.pk), decision=done.decision
    )
