"""What a page that queues work says beforehand: whether anybody would do it."""

from generation.queueing import live_workers


def worker_banner(queue: str) -> dict[str, object]:
    """Context of `partials/no_worker.html`."""
    workers = live_workers(queue)
    return {"queue_unreachable": workers is None, "no_worker": workers == []}
