"""Take-downs: by address, domain or text hash, and of what one contributor gave. Run twice it is done once.

A text that is taken down is never handed out, selected or released again, and no import brings it back. Earlier
releases that held it are withdrawn and the rows blanked; their hashes stay, so that whoever has a copy can tell which
rows to drop. What a contributor gave goes in the same way: their reviews are withdrawn and their words erased, and the
items they decided wait for somebody else.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import queues, tallies, verdicts, voting
from annotation.models import (
    Adjudication,
    Audit,
    Autosave,
    Comment,
    Decision,
    FastOpinion,
    Item,
    ItemState,
    Pair,
    Review,
    Skip,
    Slot,
    SlotState,
)
from annotation.reviewing import locked
from generation import blocklist, questions
from generation.models import (
    KnownInstruction,
    ModelVersion,
    RejectedSample,
    Release,
    ReleaseRow,
    ReleaseState,
    SeedPair,
    SeedState,
    TakeDownKind,
    Text,
)
from xinstruct_site.people.models import Demographics, Event, EventKind, User

logger = logging.getLogger(__name__)

ERASED = "[taken down]"
LOOKED_UP = 5000
COUNTED = ("texts", "items", "reviews", "pairs", "rows", "releases")
FROZEN = [ReleaseState.CANDIDATE, ReleaseState.READY, ReleaseState.WITHDRAWN]


@dataclass(slots=True)
class Done:
    """What there is of it now, and what this call changed (`counts`, see COUNTED)."""

    releases: list[Release] = field(default_factory=list)  # that held any of it, with candidates
    models: list[ModelVersion] = field(default_factory=list)  # that learnt from those
    counts: Counter[str] = field(default_factory=Counter)


def take_down(kind: TakeDownKind, given: str, *, reason: str = "", by: User | None = None) -> Done:
    """Take down what is at an address, on a domain, or the text of a hash.

    Raises:
        NotOne: what was given is none of these.
    """
    done = Done()
    with transaction.atomic():
        blocklist.no_release_meanwhile()
        entry = blocklist.block(kind, given, reason=reason, by=by)
        texts = blocklist.texts_of(entry)
        standing = Text.objects.filter(pk__in=texts, withdrawn_at=None)
        done.counts["texts"] = standing.update(withdrawn_at=timezone.now())
        hashes = set(Text.objects.filter(pk__in=texts).values_list("sha256", flat=True))
        blocklist.block_bodies(entry, hashes)
        KnownInstruction.objects.filter(text__in=texts).delete()
        questions.erase(hashes)
        # Who is taught by seeds is not to be taught by it, and what was turned away of that place is shown no more.
        seeds = SeedPair.objects.filter(response__in=Text.objects.filter(pk__in=texts).values("body"))
        seeds.exclude(state=SeedState.REJECTED).update(
            state=SeedState.REJECTED, verified_at=timezone.now(), verified_by=by
        )
        if kind != TakeDownKind.TEXT:
            RejectedSample.objects.filter(words__icontains=entry.value).delete()
        for item in Item.objects.filter(text__in=texts).exclude(state=ItemState.WITHDRAWN).order_by("pk"):
            _withdraw(locked(item), done)
        _blank(Q(text_sha256__in=hashes), reason or _("A text in it was taken down."), done)
        Event.record(EventKind.TAKEN_DOWN, entry, actor=by, counts=dict(done.counts))
    logger.info("took down %s: %s", entry.pk, dict(done.counts))
    return done


def take_down_contributor(person: User, *, reason: str = "", by: User | None = None) -> Done:
    """Withdraw all that a person reviewed, audited and decided; erase their words, their credit and what they said of
    themselves. Their account stays."""
    done = Done()
    with transaction.atomic():
        blocklist.no_release_meanwhile()
        # Withdrawn already or not: earlier releases may say what they said.
        items = Item.objects.filter(
            Exists(Review.objects.filter(item=OuterRef("pk"), reviewer=person))
            | Exists(Audit.objects.filter(item=OuterRef("pk"), linguist=person))
            | Exists(Adjudication.objects.filter(item=OuterRef("pk"), linguist=person))
        )
        for item in items.select_related("text", "language").order_by("pk"):
            _without(person, locked(item), done)
        Autosave.objects.filter(user=person).delete()
        FastOpinion.objects.filter(user=person).delete()
        voting.withdraw_all(person)
        known = list(items.values_list("public_id", flat=True))
        _blank(Q(item_public_id__in=known), reason or _("A contributor withdrew what they gave to it."), done)
        Comment.objects.filter(author=person).update(body="", hidden_at=timezone.now())
        for release in done.releases:
            release.forget_credit(person)
        Skip.objects.filter(user=person).update(reason="")
        User.objects.filter(pk=person.pk).update(credit="", credited_as="")
        person.memberships.update(variety="", orthography="")
        Demographics.objects.filter(user=person).delete()
        Event.record(EventKind.TAKEN_DOWN, person, actor=by, counts=dict(done.counts))
    logger.info("took down what person %s gave: %s", person.pk, dict(done.counts))
    return done


def _withdraw(item: Item, done: Done) -> None:
    """A locked item goes out of use with its pair."""
    for pair in item.pairs.current():
        pair.item = item
        verdicts.retire(pair)
        done.counts["pairs"] += 1
    item.slots.filter(state__in=verdicts.OPEN_STATES).update(state=SlotState.CLOSED)
    Item.objects.filter(pk=item.pk).update(state=ItemState.WITHDRAWN)
    done.counts["items"] += 1


def _without(person: User, item: Item, done: Done) -> None:
    """A locked item as it would stand without the person: their words gone, and decided by the others, if it can be."""
    reviews = list(item.reviews.filter(reviewer=person))
    audits = list(item.audits.filter(linguist=person))
    adjudications = list(item.adjudications.filter(linguist=person))
    made: list[Review | Audit | Adjudication] = [*reviews, *audits, *adjudications]
    theirs = {str(each.pk) for each in made}
    standing = [each for each in made if each.withdrawn_at is None]
    _erase(reviews, audits, adjudications)
    if standing:
        done.counts["reviews"] += sum(isinstance(each, Review) for each in standing)
        for review in reviews:
            if review in standing:
                tallies.reviewed(person, item.language_id, review.submitted_at, -1)
        if _rests_on(theirs, item):
            verdicts.reopen(item)
        if item.state == ItemState.OPEN:
            held = [review.slot_id for review in reviews if review.slot_id]
            # Not what somebody else has taken since the person took a review of theirs back.
            taken = Exists(Review.objects.standing().filter(slot=OuterRef("pk")))
            Slot.objects.filter(~taken, pk__in=held, state=SlotState.DONE).update(**queues.LET_GO)
            verdicts.settle(item)
    for pair in item.pairs.exclude(instruction=""):
        if theirs & set(pair.decided_by):
            Pair.objects.filter(pk=pair.pk).update(instruction="", input="", response_edit=None)
            done.counts["pairs"] += 1
    # An open tie-break has its choices anew; those of one that is over were kept for nobody.
    item.slots.exclude(state__in=verdicts.OPEN_STATES).update(wordings=None)
    KnownInstruction.objects.filter(text=item.text_id, is_accepted=True).delete()


def _rests_on(made: set[str], item: Item) -> bool:
    """Whether what the item came to was decided with one of these: not where others outvoted or overruled them."""
    if current := item.pairs.current().first():
        return bool(made & set(current.decided_by))
    return not item.adjudications.filter(withdrawn_at=None).exists()


def _erase(reviews: Iterable[Review], audits: Iterable[Audit], adjudications: Iterable[Adjudication]) -> None:
    """What they wrote, and that it stands. What they decided stays to be counted."""
    now = timezone.now()
    for review in reviews:
        Review.objects.filter(pk=review.pk).update(
            withdrawn_at=review.withdrawn_at or now,
            instruction=ERASED if review.decision == Decision.ACCEPT else "",
            input="",
            response_edit=None,
            reason=ERASED if review.decision == Decision.REJECT else "",
            flags=dict.fromkeys(review.flags, ""),
        )
    for audit in audits:
        marks = [mark | {"note": "", "quote": ""} for mark in audit.marks]
        Audit.objects.filter(pk=audit.pk).update(withdrawn_at=audit.withdrawn_at or now, note="", rule="", marks=marks)
    for made in adjudications:
        Adjudication.objects.filter(pk=made.pk).update(withdrawn_at=made.withdrawn_at or now, note="")


def _blank(which: Q, because: str, done: Done) -> None:
    """Withdraw the releases that hold such rows, and empty those rows. A candidate stays one."""
    held = ReleaseRow.objects.filter(which, release__state__in=FROZEN)
    for release in Release.objects.filter(pk__in=held.values("release")).order_by("pk"):
        if release.state == ReleaseState.READY and release.withdraw(because):
            Event.record(EventKind.RELEASE_WITHDRAWN, release)
            done.counts["releases"] += 1
        done.releases.append(release)
        transaction.on_commit(partial(_drop_files, release.public_id))
    keys = list(held.filter(blanked_at=None).values_list("pk", flat=True))
    for start in range(0, len(keys), LOOKED_UP):
        batch = ReleaseRow.objects.filter(pk__in=keys[start : start + LOOKED_UP])
        done.counts["rows"] += batch.update(row={}, blanked_at=timezone.now())
    done.models = list(ModelVersion.objects.filter(fine_tune_run__releases__in=done.releases).distinct())


def _drop_files(public_id: str) -> None:
    """Files of a withdrawn release that somebody had made for a download."""
    shutil.rmtree(Path(settings.DATA_DIR) / "exports" / public_id, ignore_errors=True)
