"""Audits: what linguists decide on the cultural content of a pair, and how it is undone.

What holds for every decision of a linguist is in deciding.py. Marks count code points, over the text, over the
instruction, or over the response where people edited it.
"""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import deciding, reading, verdicts
from annotation.agreement import Wording
from annotation.models import (
    Audit,
    AuditTag,
    AuditVerdict,
    Concern,
    Item,
    ItemKind,
    ItemState,
    Pair,
    PairQuerySet,
    PairState,
    Review,
    Slot,
    SlotState,
)
from generation.models import Release, ReleaseRow
from xinstruct_site.people.models import Event, EventKind, GuidelinesVersion, Language, User

SAMPLE = 50  # pairs of a language that stand for a release
PARTS = ("text", "instruction", "response")
SEVERITIES = (1, 2, 3)
MOST_MARKS = 200
AUDITABLE = [PairState.HELD, PairState.ACCEPTED]


@dataclass(frozen=True, slots=True)
class Submission:
    """What the page sends. `wording` is what the pair shall say where the verdict is to fix it."""

    id: uuid.UUID
    verdict: str
    marks: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""
    rule: str = ""
    wording: Wording | None = None


# What waits


def auditable(language: Language) -> PairQuerySet:
    """Current pairs that a linguist may still decide on."""
    return (
        Pair.objects.current()
        .filter(state__in=AUDITABLE, item__language=language, item__kind=ItemKind.NORMAL, item__text__withdrawn_at=None)
        .exclude(Exists(Audit.objects.standing().filter(pair=OuterRef("pk"))))
        .exclude(Exists(Audit.objects.standing().filter(outcome=OuterRef("pk"))))
    )


def held(language: Language) -> QuerySet[Pair]:
    """Pairs that a reviewer asked a linguist to look at, oldest first."""
    return auditable(language).filter(state=PairState.HELD).order_by("pk")


def flagged(language: Language) -> QuerySet[Pair]:
    """Accepted pairs of whose item somebody said that something is wrong with it, oldest first."""
    said = Review.objects.standing().exclude(flags={})
    # Few are flagged, and most of those are audited. In the order of an index, PostgreSQL would look at every pair.
    return auditable(language).filter(item__in=said.values("item"), state=PairState.ACCEPTED).order_by(F("pk") + 0)


def sample(language: Language, release: Release | None = None) -> QuerySet[Pair]:
    """What of the random sample of a release is not audited yet; without one, of what a release would hold today.

    Public ids are random, so the first ones are a sample, and the same one at every look.
    """
    if release is None:
        drawn = Pair.objects.releasable().filter(item__language=language).order_by("public_id")[:SAMPLE]
        ids = list(drawn.values_list("public_id", flat=True))
    else:
        rows = ReleaseRow.objects.filter(release=release, language_code=language.code).order_by("pair_public_id")
        ids = list(rows.values_list("pair_public_id", flat=True)[:SAMPLE])
    return auditable(language).filter(public_id__in=ids).order_by("public_id")


# Deciding


def audit(user: User, pair: Pair, submission: Submission) -> Audit:
    """Store a linguist's verdict on a pair and carry it out. The same submission again gets the stored audit.

    Raises:
        DecisionError: invalid, the linguist's own work, or decided by somebody else. Nothing is stored.
    """
    with deciding.on(pair.item, Audit, submission.id) as item:
        if stored := deciding.stored(Audit, submission.id, user, pair=pair):
            return stored
        pair = Pair.objects.get(pk=pair.pk)
        pair.item = item
        waits = auditable(item.language).filter(pk=pair.pk).exists()
        deciding.check(item, user, waits=waits, problems=problems(pair, submission))
        done = Audit(
            id=submission.id,
            item=item,
            pair=pair,
            linguist=user,
            verdict=submission.verdict,
            marks=submission.marks,
            note=submission.note,
            rule=submission.rule,
            undoing={"state": pair.state},
        )
        if submission.verdict == AuditVerdict.PASS:
            verdicts.change_state(pair, PairState.ACCEPTED)
        elif submission.verdict == AuditVerdict.EXCLUDE:
            verdicts.change_state(pair, PairState.EXCLUDED)
        elif submission.verdict == AuditVerdict.FIX and submission.wording:
            done.outcome = verdicts.put_in_place_of(
                pair, item, submission.wording, decided_by=[*pair.decided_by, str(done.pk)]
            )
        else:
            done.undoing |= _send_back(item, user)
        done.save(force_insert=True)
        _record(EventKind.AUDITED, done, user)
    return done


def problems(pair: Pair, submission: Submission) -> dict[str, str]:
    """What is wrong with an audit, by field; empty where it can be taken."""
    errors: dict[str, str] = {}
    if submission.verdict not in AuditVerdict.values:
        errors["verdict"] = _("Pass, fix, exclude or send back.")
    if problem := marks_problem(submission.marks, pair):
        errors["marks"] = problem
    if submission.verdict in {AuditVerdict.EXCLUDE, AuditVerdict.SEND_BACK} and not (
        submission.note.strip() or submission.marks
    ):
        errors["note"] = _("Say in a few words why, or mark what is wrong.")
    if submission.verdict == AuditVerdict.FIX:
        if submission.wording is None or not submission.wording.instruction.strip():
            errors["instruction"] = _("A pair needs an instruction.")
        elif submission.wording.key() == verdicts.wording_of(pair).key():
            errors["instruction"] = _("Nothing was changed. Pass it as it is, or change its words.")
    return errors


def marks_problem(marks: Any, pair: Pair) -> str:
    """What is wrong with the marks of a pair, in words; empty where each quotes what stands there."""
    unreadable = _("The marks could not be read.")
    if not isinstance(marks, list) or len(marks) > MOST_MARKS:
        return unreadable
    bodies = {"text": pair.item.text.body, "instruction": pair.instruction, "response": pair.response_edit or ""}
    tags = set(Concern.values) | set(own_tags(pair.item.language).values_list("name", flat=True))
    for mark in marks:
        if not isinstance(mark, dict) or mark.keys() != {"part", "start", "end", "quote", "tag", "severity", "note"}:
            return unreadable
        start, end = mark["start"], mark["end"]
        if mark["part"] not in PARTS or type(start) is not int or type(end) is not int:
            return unreadable
        if not 0 <= start < end <= len(bodies[mark["part"]]):
            return _("A mark lies outside the text.")
        if mark["quote"] != bodies[mark["part"]][start:end]:
            return _("A mark does not say what the text says there.")
        if mark["tag"] not in tags:
            return _("There is no tag “%(tag)s”.") % {"tag": mark["tag"]}
        if type(mark["severity"]) is not int or mark["severity"] not in SEVERITIES or not isinstance(mark["note"], str):
            return unreadable
    return ""


def own_tags(language: Language) -> QuerySet[AuditTag]:
    return language.audit_tags.filter(retired_at=None)


def retire_tag(tag: AuditTag) -> None:
    """It is offered no more. Marks that carry it stay."""
    AuditTag.objects.filter(pk=tag.pk, retired_at=None).update(retired_at=timezone.now())


def _send_back(item: Item, user: User) -> dict[str, Any]:
    """Ask other people for all the reviews that the policy asks for. Those there are stay, and count no more.

    Gives what it takes to undo it: what each counted for (review → slot), and a linguist's decision that fell.
    """
    counted = Review.objects.standing().filter(item=item, slot__isnull=False)
    slots = {str(pk): slot for pk, slot in counted.values_list("pk", "slot_id")}
    verdicts.reopen(item, actor=user)
    counted.update(slot=None)
    fallen = item.adjudications.standing()
    adjudications = [str(pk) for pk in fallen.values_list("pk", flat=True)]
    fallen.update(withdrawn_at=timezone.now())
    last = reading.locked_slots(item)[-1]
    Slot.objects.bulk_create(
        Slot(
            item=item,
            language_id=item.language_id,
            number=last.number + n,
            order=last.order,
            expects_good=last.expects_good,
            for_linguists=last.for_linguists,
            priority=verdicts.STARTED_PRIORITY,
        )
        for n in range(1, item.overlap + 1)
    )
    return {"slots": slots, "adjudications": adjudications}


# Undoing


def withdraw(user: User, done: Audit) -> None:
    """Take one's own audit back: the pair is what it was before.

    Raises:
        DecisionError: somebody else's, or others have gone on from it.
    """
    with deciding.taking_back(user, done) as item:
        if item is None:
            return
        pair = Pair.objects.get(pk=done.pair_id)
        pair.item = item
        if done.verdict == AuditVerdict.SEND_BACK:
            _take_back_from_others(item, done)
        elif item.state != ItemState.ACCEPTED:
            raise deciding.TooLate  # a take-down left it to others, or to nobody
        current = item.pairs.current().first()
        if current and current.pk not in {pair.pk, done.outcome_id}:
            raise deciding.TooLate
        if current and current.pk != pair.pk:
            if Audit.objects.standing().filter(pair=current).exists():
                raise deciding.TooLate
            verdicts.retire(current)
        verdicts.change_state(pair, PairState(done.undoing["state"]), is_current=True)
        _record(EventKind.AUDIT_TAKEN_BACK, done, user)


def _take_back_from_others(item: Item, done: Audit) -> None:
    """The new slots go, as long as nobody has begun on one, and the reviews that were there count again."""
    for slot in reading.locked_slots(item):
        if slot.state in verdicts.OPEN_STATES:
            if slot.state != SlotState.FREE or slot.claimed_at:
                raise deciding.TooLate
            slot.delete()
    if item.state != ItemState.OPEN or item.reviews.filter(slot__isnull=False, withdrawn_at=None).exists():
        raise deciding.TooLate
    for review_id, slot_id in done.undoing["slots"].items():
        if not Review.objects.standing().filter(pk=review_id).update(slot=slot_id):
            raise deciding.TooLate
    item.adjudications.filter(pk__in=done.undoing["adjudications"]).update(withdrawn_at=None)
    Item.objects.filter(pk=item.pk).update(state=ItemState.ACCEPTED, decided_at=timezone.now())


def said_before(user: User, pair: Pair) -> dict[str, str]:
    """What the person said of this pair in the audit that they took back last, to go on from; else nothing."""
    done = Audit.objects.filter(pair=pair, linguist=user, withdrawn_at__isnull=False).order_by("withdrawn_at").last()
    if done is None:
        return {"marks": "[]"}
    said = {"marks": json.dumps(done.marks), "note": done.note, "rule": done.rule}
    if done.outcome:
        words = verdicts.wording_of(done.outcome)
        said |= {"instruction": words.instruction, "input": words.input, "response_edit": words.response_edit or ""}
    return said


# Rules that audits suggest


def with_open_rules(language: Language) -> QuerySet[Audit]:
    return (
        Audit.objects.with_open_rule()
        .filter(item__language=language)
        .select_related("item__text", "pair", "linguist")
        .order_by("at")
    )


def close_rule(done: Audit, *, version: GuidelinesVersion | None = None) -> bool:
    """The suggested rule is in that version of the guidelines, or else set aside. False where it was closed before."""
    closed = Audit.objects.with_open_rule().filter(pk=done.pk)
    return bool(closed.update(rule_closed_at=timezone.now(), rule_in_version=version.version if version else None))


def as_guideline(done: Audit) -> str:
    """The suggested rule with its examples, as Markdown to go on from."""
    lines = [f"- {_one_line(done.rule)}"]
    for mark in done.marks:
        lines.append(f"    - “{_one_line(mark['quote'])}”" + (f": {_one_line(mark['note'])}" if mark["note"] else ""))
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _record(kind: EventKind, done: Audit, user: User) -> None:
    Event.record(
        kind, done.item, actor=user, language=done.item.language, audit=str(done.pk), verdict=done.verdict,
        pair=done.pair.public_id,
    )  # fmt: skip
