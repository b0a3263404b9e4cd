"""What queue workers run: ids in, nothing out.

Each is safe to run twice, after its row is gone and after a killed worker.
"""

import logging

from django.conf import settings

from generation import drafting, evaluation, finetuning, funnels, ingest, queueing, recipes, scoring, training, uploads
from generation.models import Evaluation, FineTuneRun, JobState, Run, Upload
from xinstruct_site.people.models import Language

logger = logging.getLogger(__name__)

# Where work with a model goes. A worker uses the GPU of its machine where there is one; a web process cannot know.
DRAFT_QUEUE = "cpu"
SCORE_QUEUE = "cpu"
IMPORT_QUEUE = "cpu"
TRAINING_QUEUE = "cpu"
EVALUATION_QUEUE = "cpu"
COUNT_QUEUE = "default"
DRAFTS_WORTH_HELP = 200


def draft_run(run_id: int) -> None:
    """Draft what the run misses."""
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        logger.info("run %s is gone: nothing to draft", run_id)
        return
    call_hands(run)
    try:
        drafting.draft(run)
    except drafting.DraftingError as exc:  # on the run's row already, where people look
        logger.warning("run %s: %s", run_id, exc)


def count_run(run_id: int) -> None:
    """Take the counts of the run's page anew."""
    run = Run.objects.filter(pk=run_id).first()
    if run is not None:
        funnels.count(run)


def call_hands(run: Run) -> None:
    """Have the other workers come along, where there is enough for them to be worth loading a model."""
    drafts_left = (run.texts_total - run.texts_done) * run.samples
    if run.state in {JobState.QUEUED, JobState.RUNNING} and drafts_left >= DRAFTS_WORTH_HELP:
        queueing.ring_for_help(draft_run, run, DRAFT_QUEUE, at_most=settings.WORKERS_PER_RUN)


def score_language(language_id: int) -> None:
    """Score and embed the language's candidates that wait for it."""
    language = Language.objects.filter(pk=language_id).first()
    if language is None:
        logger.info("language %s is gone: nothing to score", language_id)
        return
    try:
        scoring.score(language)
    except scoring.ScoringError as exc:
        logger.warning("scoring of language %s: %s", language_id, exc)


def train_run(run_id: int) -> None:
    """Train the run that is first in line, which need not be the one that rang: a maintainer may have moved another up.

    As many jobs ring as runs wait, so each run gets its turn.
    """
    try:
        if finetuning.train_next() is None:
            logger.info("fine-tune run %s rang, and none waits: nothing to train", run_id)
    except (recipes.TrainingError, training.NotOurs) as exc:  # on the run's row already, where people look
        logger.warning("rung by fine-tune run %s: %s", run_id, exc)


def evaluate_model(evaluation_id: int) -> None:
    """Have the evaluation's model answer its questions, and count."""
    row = Evaluation.objects.filter(pk=evaluation_id).first()
    if row is None:
        logger.info("evaluation %s is gone: nothing to do", evaluation_id)
        return
    try:
        evaluation.evaluate(row)
    except evaluation.EvaluationError as exc:  # on the row already, where people look
        logger.warning("evaluation %s: %s", evaluation_id, exc)


def import_upload(upload_id: int) -> None:
    """Import the texts of a file that came through a page."""
    upload = Upload.objects.filter(pk=upload_id).first()
    if upload is None:
        logger.info("upload %s is gone: nothing to import", upload_id)
        return
    uploads.import_upload(upload)


def ring_again() -> None:
    """Periodic: queue rows again that wait without a job, or whose worker went silent."""
    queued = Run.objects.filter(state=JobState.QUEUED)
    queueing.ring_again(draft_run, queued, Run.objects.abandoned(), DRAFT_QUEUE)
    for run in Run.objects.filter(state=JobState.RUNNING):
        call_hands(run)
    queued_training = FineTuneRun.objects.filter(state=JobState.QUEUED)
    queueing.ring_again(train_run, queued_training, FineTuneRun.objects.abandoned(), TRAINING_QUEUE)
    ingest.close_abandoned()
    waiting = Upload.objects.filter(state=JobState.QUEUED)
    queueing.ring_again(import_upload, waiting, Upload.objects.abandoned(), IMPORT_QUEUE)
    queued_evaluations = Evaluation.objects.filter(state=JobState.QUEUED)
    queueing.ring_again(evaluate_model, queued_evaluations, Evaluation.objects.abandoned(), EVALUATION_QUEUE)
