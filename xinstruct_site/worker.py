"""The RQ worker of this house: says every few seconds that it is there, and rings again for work whose job was lost."""

import contextlib
import logging
import os
import resource
import signal
import sys
from types import FrameType
from typing import Any

from django.db import connections
from rq import Worker
from rq.job import Job

import annotation.jobs
import generation.jobs
from generation.footprint import in_words
from generation.models.work import holder

logger = logging.getLogger(__name__)

# The worker waits TTL - 15 seconds for a job before it looks around; a dead one is forgotten after TTL + 60 seconds.
WORKER_TTL = 30
UNIT_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024
QUEUES = ("default", "cpu", "gpu")


class RingingWorker(Worker):
    """A worker that looks for queued rows without a job whenever it has nothing to do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {"worker_ttl": WORKER_TTL, "maintenance_interval": WORKER_TTL // 2}
        super().__init__(*args, **kwargs)

    def run_maintenance_tasks(self) -> None:
        super().run_maintenance_tasks()
        try:
            generation.jobs.ring_again()
            annotation.jobs.ring_again()
        except Exception:
            # The database may be away for a moment; the next round looks again.
            logger.exception("could not look for lost jobs")
        finally:
            connections.close_all()  # the next job forks, and a child must not share this socket

    def handle_work_horse_killed(
        self, job: Job, pid: int | None, status: int | None, usage: resource.struct_rusage | None
    ) -> None:
        super().handle_work_horse_killed(job, pid, status, usage)
        if pid is None or status is None or usage is None:  # we ended it ourselves: it ran far past its time
            return
        try:
            generation.jobs.mourn(job.id, holder(pid), last_words(status, usage))
        except Exception:
            logger.exception("could not say that the worker of job %s died", job.id)  # its silence will
        finally:
            connections.close_all()

    def request_force_stop(self, number: int, frame: FrameType | None) -> None:
        process = self.horse_pid
        try:
            super().request_force_stop(number, frame)
        except SystemExit:  # we took the process down ourselves: that counts against nothing
            if process:
                with contextlib.suppress(Exception):
                    generation.jobs.lay_down(holder(process))
            raise


def last_words(status: int, usage: resource.struct_rusage) -> str:
    """What a worker process died of, as far as its parent saw."""
    if not os.WIFSIGNALED(status):
        return f"it ended with exit code {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    held = in_words(usage.ru_maxrss * UNIT_OF_MAXRSS)
    why = ", most likely because memory gave out" if number == signal.SIGKILL else ""
    return f"it was killed by signal {number} after it had held up to {held} of memory{why}"
