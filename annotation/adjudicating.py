"""Adjudication: a linguist decides where reviewers could not agree, without knowing who said what.

Every change locks the item's row first, as reviews do.
"""

import uuid
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import history, verdicts
from annotation.agreement import Wording
from annotation.auditing import DecidedMeanwhile, Invalid, NotYours, OwnWork, TooLate
from annotation.history import Said
from annotation.models import Adjudication, Audit, Decision, Gold, Item, ItemKind, ItemState, PairState, Review
from annotation.reviewing import locked
from xinstruct_site.people.models import Event, EventKind, Language, User


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


def for_linguist(items: QuerySet[Item], user: User) -> QuerySet[Item]:
    """Without those that this person reviewed."""
    return items.exclude(Exists(Review.objects.standing().filter(item=OuterRef("pk"), reviewer=user)))


def answers(item: Item) -> list[Said]:
    """What reviewers said, those that counted first, in an order that tells nothing of who they are."""
    reviews = Review.objects.standing().filter(item=item).select_related("candidate", "relabel")
    return [history.said(review, item) for review in sorted(reviews, key=lambda r: (r.slot_id is None, r.pk))]


def adjudicate(user: User, item: Item, submission: Submission) -> Adjudication:
    """Store a linguist's decision on a disputed item and carry it out. The same submission again gets the stored one.

    Raises:
        DecisionError: invalid, the linguist's own work, or decided by somebody else. Nothing is stored.
    """
    try:
        with transaction.atomic():
            return _adjudicate(user, item, submission)
    except IntegrityError as exc:
        if Adjudication.objects.filter(pk=submission.id).exists():
            raise DecidedMeanwhile from exc
        raise


def _adjudicate(user: User, item: Item, submission: Submission) -> Adjudication:
    item = locked(item)
    if stored := Adjudication.objects.filter(pk=submission.id).first():
        if (stored.linguist_id, stored.item_id) != (user.pk, item.pk):
            raise DecidedMeanwhile
        return stored
    if not disputed(item.language).filter(pk=item.pk).exists():
        raise DecidedMeanwhile
    if item.reviews.standing().filter(reviewer=user).exists():
        raise OwnWork
    if errors := problems(submission):
        raise Invalid(errors)
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
    with transaction.atomic():
        item = locked(done.item)
        if done.linguist_id != user.pk:
            raise NotYours
        standing = Adjudication.objects.filter(pk=done.pk, withdrawn_at=None)
        if not standing.update(withdrawn_at=timezone.now()):
            return
        current = item.pairs.current().first()
        if (current and current.pk) != done.pair_id or Gold.objects.filter(item=item).exists():
            raise TooLate
        if current:
            current.item = item
            if Audit.objects.standing().filter(pair=current).exists() or verdicts.is_released(current.public_id):
                raise TooLate
            verdicts.retire(current)
        if done.was_pair:
            done.was_pair.item = item
            verdicts.change_state(done.was_pair, PairState.DISPUTED)
        Item.objects.filter(pk=item.pk).update(state=ItemState.DISPUTED, decided_at=timezone.now())
        _record(EventKind.ADJUDICATION_TAKEN_BACK, done, user)
    done.refresh_from_db()


def _record(kind: EventKind, done: Adjudication, user: User) -> None:
    Event.record(
        kind, done.item, actor=user, language=done.item.language, adjudication=str(done.pk), decision=done.decision
    )
