"""Rows that stand for work: a queue worker or a command does it, and the row survives both."""

import datetime as dt
import os
import socket
from typing import Any, Self

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models import Event, EventKind, User

DEATHS = 3  # of workers in a row, none of which got further: the next would die of the same


class JobState(models.TextChoices):
    """Where queued work stands. PostgreSQL says so, not the queue."""

    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    STOPPED = "stopped", _("stopped")
    PAUSED = "paused", _("paused")  # runs only


def silent_since() -> dt.datetime:
    """Who was last heard of before this is taken for dead."""
    return timezone.now() - dt.timedelta(seconds=settings.HEARTBEAT_SECONDS)


def holder(pid: int | None = None) -> str:
    """How a process of this machine, or this one, is known to other machines."""
    return f"{socket.gethostname()[:60]}:{pid or os.getpid()}"


class JobQuerySet(models.QuerySet[Any]):
    def unfinished(self) -> Self:
        return self.filter(state__in=[JobState.QUEUED, JobState.RUNNING])

    def abandoned(self) -> Self:
        """Rows whose worker has not been heard of for longer than the heartbeat allows."""
        return self.filter(state=JobState.RUNNING, heartbeat_at__lt=silent_since())

    def held_by(self, holder: str) -> Self:
        return self.filter(state=JobState.RUNNING, holder=holder)


class JobModel(models.Model):
    """Work that a queue worker or a command does on a row, which survives both.

    A worker that dies over it leaves it to the next; after too many of them in a row, none of which got further, the
    row fails and says so. `error` of a row that waits or works tells of the last death.
    """

    FAILED_EVENT = EventKind.RUN_FAILED

    state = models.CharField(_("state"), max_length=10, choices=JobState, default=JobState.QUEUED)
    error = models.TextField(_("error"), blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    holder = models.CharField(max_length=80, blank=True, help_text="Machine and process that took the work last.")
    deaths = models.PositiveSmallIntegerField(default=0, help_text="Workers in a row that died and got no further.")
    reached = models.PositiveBigIntegerField(default=0, help_text="How far it was when the last of them died.")

    objects = JobQuerySet.as_manager()

    class Meta:
        abstract = True

    @property
    def progress(self) -> int:
        """Grows with what the next worker need not do again."""
        raise NotImplementedError

    @property
    def what_to_do(self) -> str:
        """What it asks of a machine and what would ask less, for the person whose workers died over it."""
        raise NotImplementedError

    def claim(self) -> bool:
        """Take the work; a silent worker's claim may be taken over. False where somebody has it or it is finished."""
        for silent in type(self)._default_manager.filter(
            pk=self.pk, state=JobState.RUNNING, heartbeat_at__lt=silent_since()
        ):
            silent.bury()
        now = timezone.now()
        won = (
            type(self)
            ._default_manager.filter(pk=self.pk, state=JobState.QUEUED)
            .update(
                state=JobState.RUNNING, started_at=now, heartbeat_at=now, finished_at=None, error="", holder=holder()
            )
        )
        if won:
            self.refresh_from_db()
        return bool(won)

    def beat(self, **progress: Any) -> bool:
        """Say that we are alive and how far. False where the row is no longer ours to work on (stopped, taken over)."""
        return bool(
            type(self)
            ._default_manager.filter(pk=self.pk, state=JobState.RUNNING, started_at=self.started_at)
            .update(heartbeat_at=timezone.now(), **progress)
        )

    def finish(self, state: JobState, *, error: str = "", **progress: Any) -> bool:
        """Close work that we hold. False where it is no longer ours."""
        won = (
            type(self)
            ._default_manager.filter(pk=self.pk, state=JobState.RUNNING, started_at=self.started_at)
            .update(state=state, error=error, finished_at=timezone.now(), **progress)
        )
        if won:
            self.refresh_from_db()
        return bool(won)

    def bury(self, seen: str = "") -> bool:
        """Take the work from a worker that died over it: the next may try, unless too many did. False where it lives,
        or was heard of since this row was read.

        Args:
            seen: what is known of the death; without it, that nothing was heard.
        """
        seen = seen or self.error or "nothing was heard of it any more"
        deaths = 1 if self.progress > self.reached else self.deaths + 1
        changed: dict[str, Any] = {"state": JobState.QUEUED, "error": f"A worker died: {seen}.", "started_at": None}
        if deaths >= DEATHS:
            changed = {
                "state": JobState.FAILED,
                "finished_at": timezone.now(),
                "error": f"Given up: {deaths} workers in a row died over this, and none got further than the one "
                f"before. The last one: {seen}. {self.what_to_do}",
            }
        with transaction.atomic():
            won = (
                type(self)
                ._default_manager.filter(
                    pk=self.pk, state=JobState.RUNNING, started_at=self.started_at, heartbeat_at=self.heartbeat_at
                )
                .update(deaths=deaths, reached=self.progress, **changed)
            )
            if won and deaths >= DEATHS:
                Event.record(self.FAILED_EVENT, self, deaths=deaths)
        return bool(won)

    def lay_down(self) -> bool:
        """Give work back that its worker was made to leave, which is no death. False where somebody else has it."""
        ours = type(self)._default_manager.filter(pk=self.pk, state=JobState.RUNNING, started_at=self.started_at)
        return bool(ours.update(state=JobState.QUEUED, started_at=None, heartbeat_at=None))

    def stop(self) -> bool:
        """Ask for the end; the worker notices at its next heartbeat."""
        won = (
            type(self)
            ._default_manager.filter(pk=self.pk, state__in=[JobState.QUEUED, JobState.RUNNING, JobState.PAUSED])
            .update(state=JobState.STOPPED, finished_at=timezone.now())
        )
        return bool(won)

    def requeue(self) -> bool:
        """Put finished, failed, stopped or paused work back in the queue; what is done already is kept."""
        waiting = [JobState.DONE, JobState.FAILED, JobState.STOPPED, JobState.PAUSED]
        won = (
            type(self)
            ._default_manager.filter(pk=self.pk, state__in=waiting)
            .update(
                state=JobState.QUEUED,
                error="",
                finished_at=None,
                started_at=None,
                heartbeat_at=None,
                deaths=0,
                reached=0,
            )
        )
        return bool(won)
