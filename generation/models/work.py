"""Rows that stand for work: a queue worker or a command does it, and the row survives both."""

import datetime as dt
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models import User


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


class JobQuerySet(models.QuerySet[Any]):
    def unfinished(self) -> Self:
        return self.filter(state__in=[JobState.QUEUED, JobState.RUNNING])

    def abandoned(self) -> Self:
        """Rows whose worker has not been heard of for longer than the heartbeat allows."""
        return self.filter(state=JobState.RUNNING, heartbeat_at__lt=silent_since())


class JobModel(models.Model):
    """Work that a queue worker or a command does on a row, which survives both."""

    state = models.CharField(_("state"), max_length=10, choices=JobState, default=JobState.QUEUED)
    error = models.TextField(_("error"), blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    objects = JobQuerySet.as_manager()

    class Meta:
        abstract = True

    def claim(self) -> bool:
        """Take the work; a silent worker's claim may be taken over. False where somebody has it or it is finished."""
        now = timezone.now()
        won = (
            type(self)
            ._default_manager.filter(pk=self.pk)
            .filter(Q(state=JobState.QUEUED) | Q(state=JobState.RUNNING, heartbeat_at__lt=silent_since()))
            .update(state=JobState.RUNNING, started_at=now, heartbeat_at=now, finished_at=None, error="")
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
            .update(state=JobState.QUEUED, error="", finished_at=None, started_at=None, heartbeat_at=None)
        )
        return bool(won)
