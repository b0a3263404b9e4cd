"""Divides a run's texts among the workers that have come along, on one machine or many. PostgreSQL decides.

Shares are handed out under the lock of the run's row, so no text is in two of them. A worker's shares live by its
heartbeat; those of a silent worker go to the next who asks.
"""

import contextlib
import uuid
from collections.abc import Iterable, Iterator

from django.db import transaction
from django.db.models import F, Func, QuerySet
from django.utils import timezone

from generation.heartbeat import heartbeat
from generation.models import JobState, Run, Share, Text, TextQuerySet, work


class NotOurs(Exception):
    """The run was paused or stopped meanwhile, or our shares went to somebody else after a long silence."""


class Part:
    """One worker's part in a run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.started_at = run.started_at  # a run that was stopped and queued again is not the one we joined
        self.holder = f"{work.holder()}:{uuid.uuid4().hex[:8]}"

    def take(self, size: int) -> Share | None:
        """The next texts to draft, at most `size`, or what a silent worker left; None where others have all the rest.

        Raises:
            NotOurs: the run is no longer ours to work on.
        """
        now = timezone.now()
        with transaction.atomic():
            run = self._lock()
            silent = Share.objects.abandoned().filter(run=run).order_by("pk")
            left_behind = silent.select_for_update(skip_locked=True).first()
            if left_behind is not None:
                left_behind.holder, left_behind.heartbeat_at = self.holder, now
                left_behind.save(update_fields=["holder", "heartbeat_at"])
                return left_behind
            ids = _next_ids(run, size)
            if not ids:
                return None
            Run.objects.filter(pk=run.pk).update(cursor=ids[-1])
            return Share.objects.create(run=run, holder=self.holder, text_ids=ids, heartbeat_at=now)

    def beat(self) -> bool:
        """Say that we are alive. False where the run is no longer ours to work on."""
        now = timezone.now()
        mine = Run.objects.filter(pk=self.run.pk, state=JobState.RUNNING, started_at=self.started_at)
        is_ours = bool(mine.update(heartbeat_at=now))
        Share.objects.filter(holder=self.holder).update(heartbeat_at=now)
        return is_ours

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Beat while the block runs, and give our shares back at its end: what is not drafted in them is free again."""
        with heartbeat(self):
            try:
                yield
            finally:
                Share.objects.filter(holder=self.holder).delete()

    def give_back(self, share_ids: Iterable[int]) -> None:
        """Shares that we are done with."""
        Share.objects.filter(pk__in=list(share_ids), holder=self.holder).delete()

    def others_are_at_work(self) -> bool:
        return Share.objects.filter(run=self.run).exclude(holder=self.holder).exists()

    def finish(self, state: JobState, *, error: str = "") -> bool:
        """Close the run, unless others are still at work: then it goes on without us.

        False where it goes on, or is no longer ours.
        """
        with transaction.atomic():
            try:
                run = self._lock()
            except NotOurs:
                return False
            others = Share.objects.filter(run=run).exclude(holder=self.holder)
            if state == JobState.DONE:
                done, total = counts(run)
                if others.exists() or done < total:
                    return False
                return self.run.finish(state, texts_done=done, texts_total=total)
            if others.alive().exists():
                Run.objects.filter(pk=run.pk).update(error=error)
                return False
            return self.run.finish(state, error=error)

    def _lock(self) -> Run:
        run = Run.objects.select_for_update(no_key=True).filter(pk=self.run.pk).first()
        if run is None or run.state != JobState.RUNNING or run.started_at != self.started_at:
            raise NotOurs(f"Run {self.run.public_id} was paused, stopped or taken over; what was drafted is saved.")
        return run


def left_by(process: str) -> list[Run]:
    """Give back what a process that is gone had in hand. Returns the runs that nobody else works on."""
    runs = list(Run.objects.filter(shares__holder__startswith=f"{process}:").distinct())
    Share.objects.filter(holder__startswith=f"{process}:").delete()
    return [run for run in runs if not run.shares.alive().exists()]


def texts_of(run: Run) -> TextQuerySet:
    """The texts of a run in order of import. What is taken down later leaves without another moving up."""
    texts = Text.objects.filter(language=run.language)
    if run.text_limit is not None:
        texts = texts.filter(pk__lte=last_id) if (last_id := _nth_id(texts, run.text_limit)) else texts
    return texts.available().order_by("pk")


def _nth_id(texts: QuerySet[Text], number: int) -> int | None:
    ids: list[int] = list(texts.order_by("pk").values_list("pk", flat=True)[number - 1 : number])
    return ids[0] if ids else None


def counts(run: Run) -> tuple[int, int]:
    """How many texts of the run are done, and how many there are."""
    total = texts_of(run).count()
    return total - texts_of(run).missing_in(run).count(), total


def _next_ids(run: Run, size: int) -> list[int]:
    """Texts that miss drafts and are in nobody's hand. The cursor spares the database from walking over the done."""
    in_hand = Share.objects.filter(run=run).values(text_id=Func(F("text_ids"), function="unnest"))
    free = texts_of(run).missing_in(run).exclude(pk__in=in_hand).values_list("pk", flat=True)
    ids: list[int] = list(free.filter(pk__gt=run.cursor)[:size])
    if not ids and run.cursor:
        ids = list(free[:size])  # once more from the start: the run may have grown, or somebody gave texts back
    return ids
