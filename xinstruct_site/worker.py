"""The RQ worker of this house: says every few seconds that it is there, and rings again for work whose job was lost."""

import logging
from typing import Any

from django.db import connections
from rq import Worker

import annotation.jobs
import generation.jobs

logger = logging.getLogger(__name__)

# The worker waits TTL - 15 seconds for a job before it looks around; a dead one is forgotten after TTL + 60 seconds.
WORKER_TTL = 30
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
