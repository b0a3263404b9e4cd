"""What queue workers run: ids in, nothing out.

Each is safe to run twice, after its row is gone and after a killed worker.
"""

import logging

from generation import curation, drafting, queueing
from generation.models import JobState, Run
from xinstruct_site.people.models import Language

logger = logging.getLogger(__name__)

# Where work with a model goes. A worker uses the GPU of its machine where there is one; a web process cannot know.
DRAFT_QUEUE = "cpu"
SCORE_QUEUE = "cpu"


def draft_run(run_id: int) -> None:
    """Draft what the run misses."""
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        logger.info("run %s is gone: nothing to draft", run_id)
        return
    try:
        drafting.draft(run)
    except drafting.DraftingError as exc:  # on the run's row already, where people look
        logger.warning("run %s: %s", run_id, exc)


def score_language(language_id: int) -> None:
    """Score and embed the language's candidates that wait for it."""
    language = Language.objects.filter(pk=language_id).first()
    if language is None:
        logger.info("language %s is gone: nothing to score", language_id)
        return
    try:
        curation.score(language)
    except curation.CurationError as exc:
        logger.warning("scoring of language %s: %s", language_id, exc)


def ring_again() -> None:
    """Periodic: queue rows again that wait without a job, or whose worker went silent."""
    queued = Run.objects.filter(state=JobState.QUEUED)
    queueing.ring_again(draft_run, queued, Run.objects.abandoned(), DRAFT_QUEUE)
