"""What queue workers run: ids in, nothing out.

Each is safe to run twice, after its row is gone and after a killed worker.
"""

import logging
from collections.abc import Iterator

from django.apps import apps
from django.conf import settings

from generation import (
    comparing,
    drafting,
    evaluation,
    finetuning,
    funnels,
    ingest,
    queueing,
    recipes,
    scoring,
    sharing,
    training,
    uploads,
)
from generation.models import Evaluation, FineTuneRun, JobModel, JobState, ModelVersion, Release, Run, Upload
from xinstruct_site.people.models import Language, User

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


def score_language(language_id: int, evaluator: str | None = None, samples: int = 1) -> None:
    """Score and embed the language's candidates that wait for it. `evaluator` is a public id; None: the usual one."""
    language = Language.objects.filter(pk=language_id).first()
    if language is None:
        logger.info("language %s is gone: nothing to score", language_id)
        return
    try:
        scoring.score(language, model=evaluator, samples=samples)
    except scoring.ScoringError as exc:
        logger.warning("scoring of language %s: %s", language_id, exc)
        queueing.refuse(queueing.job_id(language), str(exc))


def measuring(evaluator: ModelVersion) -> str:
    return f"measure-{evaluator.pk}"


def freezing_ratings(user: User) -> str:
    """What the other half freezes ratings under, for the page of evaluators that asks for it."""
    return f"ratings-{user.pk}"


def measure_evaluator(evaluator_id: int, release_id: int) -> None:
    """Ask an evaluator about every pair of a rated set; what stands is not asked again."""
    evaluator = ModelVersion.objects.filter(pk=evaluator_id).first()
    release = Release.objects.filter(pk=release_id).first()
    if evaluator is None or release is None:
        logger.info("evaluator %s or release %s is gone: nothing to measure", evaluator_id, release_id)
        return
    try:
        comparing.measure(evaluator, release)
    except comparing.ComparingError as exc:
        logger.warning("measuring evaluator %s: %s", evaluator_id, exc)
        queueing.refuse(measuring(evaluator), str(exc))


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


def mourn(job: str, holder: str, seen: str) -> None:
    """A worker process died over a job: its row goes to the next, or fails where too many died over it."""
    queueing.refuse(job, f"The worker that did it died: {seen}.")
    for row in left_by(holder):
        if row.bury(seen):
            logger.warning("%s: its worker died: %s", row, seen)


def lay_down(holder: str) -> None:
    """A worker was told to go and takes its process down: whatever that did is for the next one."""
    for row in left_by(holder):
        if row.lay_down():
            logger.info("%s waits again: its worker was told to go", row)


def left_by(holder: str) -> Iterator[JobModel]:
    """Rows of every app that nobody works on now that this process is gone."""
    yield from sharing.left_by(holder)
    for model in apps.get_models():
        if issubclass(model, JobModel):
            yield from model._default_manager.held_by(holder)


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
