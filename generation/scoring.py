"""Scores candidates: asks an evaluator what it makes of each, and keeps what it said.

The likelihood score orders candidates and says nothing about their quality: it is never turned into a level of the
rubric, which only people and evaluators that were asked the rubric fill.
"""

import itertools
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from generation import asking, backends, calibrating, embedding, judging, loading, rubric
from generation.backends.base import BackendError
from generation.models import Candidate, ModelVersion, Run, Score, ScoreState, Task
from xinstruct_site.people.models import Language

logger = logging.getLogger(__name__)

EMBED_BATCH = 256
MOST_SAMPLES = 20


class ScoringError(Exception):
    """Scoring cannot start. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What one call of `score` did. `waiting` candidates missed a score before it; `unparsed` counts replies."""

    evaluator: ModelVersion
    scored: int
    embedded: int
    waiting: int
    unparsed: int = 0


def score(
    scope: Language | Run,
    on_progress: Callable[[str, int, int], None] | None = None,
    *,
    backend: str | None = None,
    model: str | None = None,
    way: str | None = None,
    samples: int = 1,
) -> Scored:
    """Score and embed the kept candidates of a language or a run that are not scored and embedded yet.

    Without `backend`, the installation's local model evaluates; `way` is how it is asked (see rubric.py). The rubric
    may be asked several times (`samples`), which is averaged wherever scores are compared. An answer that names no
    level is stored as unparsed, and asking again does not ask it again.

    `on_progress` hears the stage ("score", "embed"), how many are done and how many there are.

    Raises:
        ScoringError: no evaluator is there that can be asked this way.
    """
    if not 1 <= samples <= MOST_SAMPLES:
        raise ScoringError(f"{samples} samples; 1 to {MOST_SAMPLES} can be asked for.")
    kept = Candidate.objects.kept().filter(text__withdrawn_at=None)
    kept = kept.filter(run=scope) if isinstance(scope, Run) else kept.filter(text__language=scope)
    version = evaluator_for(backend, model, way)
    if version.prompt_version != rubric.RUBRIC:
        samples = 1  # the others draw nothing by chance
    last = Score.objects.filter(candidate=OuterRef("pk"), evaluator=version, sample_number=samples - 1)
    unscored = kept.exclude(Exists(last))
    waiting = unscored.count()
    scored, unparsed = _score(unscored, version, samples, waiting, on_progress) if waiting else (0, 0)
    embedded = embed(kept, on_progress)
    logger.info("scored %d candidates of %s %s, embedded %d", scored, scope._meta.model_name, scope.pk, embedded)
    return Scored(version, scored, embedded, waiting, unparsed)


def evaluator_for(backend: str | None = None, model: str | None = None, way: str | None = None) -> ModelVersion:
    """The model version that scores: which model, and how it is asked.

    Without `way`, a trained evaluator is asked for levels and any other model for a likelihood. An endpoint tells no
    likelihoods, so there the starter model does, and the evaluator on each score says so.

    Raises:
        ScoringError: it is not there, or cannot be asked like that.
    """
    backend = backend or settings.BACKEND
    if model is None:
        model = settings.MODEL if backend == settings.BACKEND else ""
    known = ModelVersion.objects.filter(public_id=model).first() if model else None
    is_trained = bool(model) and calibrating.read(Path(known.location if known else model)) is not None
    if known is not None:
        backend = known.backend
    way = way or (known.prompt_version if known else "") or (rubric.LEVELS if is_trained else rubric.LIKELIHOOD)
    if way == rubric.LEVELS and not is_trained:
        raise ScoringError("Levels are asked of trained evaluators only: manage.py finetune SOURCE --task score")
    if way == rubric.RUBRIC and backend == backends.STARTER:
        raise ScoringError("The starter model cannot answer a rubric. Name a model that can chat: --backend, --model.")
    if way == rubric.LIKELIHOOD and backend == "openai":
        backend, model = backends.STARTER, ""
    try:
        return loading.model_version(backend, model, task=Task.SCORE, prompt_version=way)[0]
    except BackendError as exc:
        where = "local model" if way == rubric.LIKELIHOOD else "model"
        raise ScoringError(f"No {where} to score with. {exc}") from exc


def load(version: ModelVersion) -> judging.Evaluator:
    """The evaluator of that row, ready to be asked.

    Raises:
        BackendError: it is gone, or is not what it was.
    """
    backend = loading.load(version)
    calibration = calibrating.read(Path(version.location))
    if version.prompt_version == rubric.LEVELS and calibration is None:
        raise BackendError(f"'{version.name}' has lost what its levels mean: {calibrating.FILE} beside its weights.")
    return judging.Evaluator(
        backend,
        version.prompt_version or rubric.LIKELIHOOD,
        draft_prompt=asking.version_for(version, backend.identity),
        calibration=calibration or calibrating.Calibration(),
    )


def _score(
    unscored: QuerySet[Candidate],
    version: ModelVersion,
    samples: int,
    total: int,
    on_progress: Callable[[str, int, int], None] | None,
) -> tuple[int, int]:
    """How many candidates were scored, and how many replies named no level."""
    try:
        evaluator = load(version)
        done = unparsed = 0
        size = max(1, evaluator.backend.batch_size * 4 // samples)
        for batch in _by_key(unscored.select_related("text__language").defer("embedding", "text__original"), size):
            scores = _scores(evaluator, version, batch, samples)
            Score.objects.bulk_create(scores, ignore_conflicts=True)
            unparsed += sum(score.state == ScoreState.UNPARSED for score in scores)
            done += len(batch)
            if on_progress:
                on_progress("score", done, total)
    except BackendError as exc:
        raise ScoringError(str(exc)) from exc
    return done, unparsed


def _scores(
    evaluator: judging.Evaluator, version: ModelVersion, candidates: list[Candidate], samples: int
) -> list[Score]:
    """The scores that these candidates miss; not saved."""
    there = set(
        Score.objects.filter(evaluator=version, candidate__in=candidates).values_list("candidate", "sample_number")
    )
    wanted = [(one, n) for one, n in itertools.product(candidates, range(samples)) if (one.pk, n) not in there]
    pairs = [
        judging.Pair(one.instruction, one.text.body, one.input, one.text.language.name, one.text.sha256)
        for one, _ in wanted
    ]
    ratings = judging.rate(evaluator, pairs, [n for _, n in wanted])
    return [
        Score(
            candidate=one,
            evaluator=version,
            sample_number=n,
            state=ScoreState.UNPARSED if rating.raw is None else ScoreState.SCORED,
            raw=rating.raw,
            level=rating.level,
            reasoning=rating.reasoning,
        )
        for (one, n), rating in zip(wanted, ratings, strict=True)
        if rating.raw is None or math.isfinite(rating.raw)  # half-precision weights can overflow: no rank then
    ]


def embed(candidates: QuerySet[Candidate], on_progress: Callable[[str, int, int], None] | None = None) -> int:
    """Store the embedding of those candidates that have none. Returns how many."""
    missing = candidates.filter(embedding=None)
    total = missing.count()
    done = 0
    for batch in _by_key(missing, EMBED_BATCH):
        vectors = embedding.embed([candidate.instruction for candidate in batch])
        for candidate, vector in zip(batch, vectors, strict=True):
            candidate.embedding = vector
        Candidate.objects.bulk_update(batch, ["embedding"])
        done += len(batch)
        if on_progress:
            on_progress("embed", done, total)
    return done


def _by_key(rows: QuerySet[Candidate], size: int) -> Iterator[list[Candidate]]:
    """Rows in batches by primary key, each read when it is needed: what is worked off drops out of the query."""
    last = 0
    while batch := list(rows.filter(pk__gt=last).order_by("pk")[:size]):
        yield batch
        last = batch[-1].pk
