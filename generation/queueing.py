"""The doorbell: hands rows of queued work to RQ workers, and rings again for rows whose job was lost.

PostgreSQL holds what is to be done. A job carries only a row's id, so a lost or doubled job does no harm: the row's
claim decides who works.
"""

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import django_rq
from django.db import models
from django.utils.translation import gettext as _
from redis.exceptions import RedisError
from rq import Worker
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job, JobStatus

from generation.models import JobState

logger = logging.getLogger(__name__)

REFUSAL_SECONDS = 3600
LIVE = {JobStatus.QUEUED, JobStatus.STARTED, JobStatus.SCHEDULED, JobStatus.DEFERRED}


class NoWorker(Exception):
    """Nobody would answer. The message is for the person who pressed the button."""


def live_workers(queue: str | None = None) -> list[str] | None:
    """Names of the workers that listen (to `queue`, where given); None where Redis cannot be reached."""
    connection = django_rq.get_connection("default")
    try:
        workers = Worker.all(connection=connection)
        return [worker.name for worker in workers if queue is None or queue in worker.queue_names()]
    except (RedisError, OSError):
        return None


def demand_worker(queue: str) -> None:
    """Refuse to queue into the void.

    Raises:
        NoWorker: Redis is down or no worker listens to the queue.
    """
    workers = live_workers(queue)
    if workers is None:
        raise NoWorker(
            "The queue cannot be reached, so nothing was started. Is Redis running? `manage.py doctor` checks."
        )
    if not workers:
        raise NoWorker(
            _("No worker listens to the queue '%(queue)s', so nothing was started. Start one: manage.py worker")
            % {"queue": queue}
        )


def ring(work: Callable[..., None], row: models.Model, queue: str, *asked: Any, hand: int = 0) -> None:
    """Enqueue `work(row.pk, *asked)` when the current transaction commits. Ringing twice for a waiting row is harmless.

    Where several workers may share the work on a row, each is called as a hand of its own.
    """
    ring_as(job_id(row, hand), work, queue, row.pk, *asked)


def ring_as(name: str, work: Callable[..., None], queue: str, *asked: Any) -> None:
    """Enqueue work under a name of its own; what was refused under that name before is forgotten."""
    refuse(name, "")
    django_rq.get_queue(queue).enqueue(work, *asked, job_id=name, result_ttl=0, failure_ttl=24 * 3600)


def refuse(name: str, why: str) -> None:
    """Keep for an hour why the job of that name did nothing, for the page that asked and has no row to read it from."""
    with contextlib.suppress(RedisError, OSError):
        django_rq.get_connection("default").set(f"refusal:{name}", why, ex=REFUSAL_SECONDS)


def refusal(name: str) -> str:
    try:
        said = django_rq.get_connection("default").get(f"refusal:{name}")
    except (RedisError, OSError):
        return ""
    return said.decode() if isinstance(said, bytes) else ""


def ring_named(work: Callable[[int], None], row: models.Model, queue: str, name: str) -> None:
    """Enqueue work on a row that is not the row's own job; while it waits under its name, ringing again adds none."""
    try:
        with contextlib.suppress(DuplicateJobError):
            django_rq.get_queue(queue).enqueue(work, row.pk, job_id=name, unique=True, result_ttl=0, failure_ttl=3600)
    except (RedisError, OSError):
        logger.warning("could not queue %s", name)


def ring_for_help(work: Callable[[int], None], row: models.Model, queue: str, *, at_most: int) -> int:
    """Call the other workers of the queue to a row that is being worked on. Returns how many were called."""
    hands = range(1, min(len(live_workers(queue) or ()), at_most))
    called = [hand for hand in hands if not is_waiting(row, hand)]
    for hand in called:
        ring(work, row, queue, hand=hand)
    return len(called)


def job_id(row: models.Model, hand: int = 0) -> str:
    return f"{row._meta.model_name}-{row.pk}" + (f"-{hand}" if hand else "")


def is_waiting(row: models.Model, hand: int = 0) -> bool:
    """Whether a live job stands in the queue or works for the row; False where the queue cannot be reached."""
    return is_named_waiting(job_id(row, hand))


def is_named_waiting(name: str) -> bool:
    try:
        return _job_status(name) in LIVE
    except (RedisError, OSError):
        return False


def _job_status(name: str) -> JobStatus | None:
    try:
        job = Job.fetch(name, connection=django_rq.get_connection("default"), serializer=serializer())
    except NoSuchJobError:
        return None
    return job.get_status()


def serializer() -> Any:
    return django_rq.get_queue("default").serializer


def ring_again(
    work: Callable[[int], None], queued: models.QuerySet[Any], abandoned: models.QuerySet[Any], queue: str
) -> int:
    """Enqueue rows that wait without a live job, and rows whose worker went silent. Returns how many."""
    rung = 0
    for row in queued:
        if not is_waiting(row):
            ring(work, row, queue)
            rung += 1
    for row in abandoned:
        row.bury()
        row.refresh_from_db(fields=["state"])
        if row.state != JobState.QUEUED:
            continue
        # A killed worker's job is "started" for a while yet; only one that stands in the queue will be taken up.
        if _job_status(job_id(row)) != JobStatus.QUEUED:
            ring(work, row, queue)
            rung += 1
    if rung:
        logger.info("rang again for %d lost jobs of %s", rung, queue)
    return rung
