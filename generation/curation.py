"""Scores candidates and selects a round: which texts go to people next, and with which candidates.

The machine's score here orders candidates and says nothing about their quality: it is never turned into a level of
the rubric, which only people and evaluators that were asked the rubric fill.
"""

import logging
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, QuerySet
from django.utils import timezone

from generation import backends, diversity, drafting, embedding, prompts
from generation.backends.base import Backend, BackendError
from generation.drafting import DraftingError
from generation.models import EMBEDDING_DIMENSIONS, Candidate, ModelVersion, Round, Run, Score, Selection, Task
from xinstruct_site.people.models import Event, EventKind, Language, User

logger = logging.getLogger(__name__)

CANDIDATES_PER_ITEM = 3
EMBED_BATCH = 256


class CurationError(Exception):
    """Scoring or selecting cannot start. The message says why and what to do."""


class RoundIsClosed(CurationError):
    """The newest round is closed and smaller than asked for; a closed round does not grow."""


class NothingToSelect(CurationError):
    """No scored text waits that no earlier round took."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What one call of `score` did. `waiting` candidates had neither score nor embedding before it."""

    evaluator: ModelVersion
    scored: int
    embedded: int
    waiting: int


# Scoring


def score(
    scope: Language | Run,
    on_progress: Callable[[str, int, int], None] | None = None,
    *,
    backend: str | None = None,
    model: str | None = None,
) -> Scored:
    """Score and embed the kept candidates of a language or a run that are not scored and embedded yet.

    The raw score is how much the text raises the likelihood of the instruction, per token:

        mean log p(instruction | prompt with the text) - mean log p(instruction | prompt with an empty text)

    This is a pointwise mutual information. The second term takes away what makes any text's instruction likely:
    "Write about this" is likely everywhere and earns nothing. The numbers hang on the model, its tokenizer and the
    length of the instruction, so they put candidates in an order, and no number stands for "good": that is why they
    are shown as ranks and never as one of the rubric's levels.

    Without `backend`, the installation's local model evaluates; an endpoint tells no likelihoods, so there the starter
    model does, and the evaluator on each score says so.

    `on_progress` hears the stage ("score", "embed"), how many are done and how many there are.

    Raises:
        CurationError: no local model is there to score with.
    """
    kept = Candidate.objects.kept().filter(text__withdrawn_at=None)
    kept = kept.filter(run=scope) if isinstance(scope, Run) else kept.filter(text__language=scope)
    version = evaluator_for(backend, model)
    unscored = kept.exclude(Exists(Score.objects.filter(candidate=OuterRef("pk"), evaluator=version)))
    waiting = unscored.count()
    scored = _score(unscored, version, waiting, on_progress) if waiting else 0
    embedded = embed(kept, on_progress)
    logger.info("scored %d candidates of %s %s, embedded %d", scored, scope._meta.model_name, scope.pk, embedded)
    return Scored(version, scored, embedded, waiting)


def evaluator_for(backend: str | None = None, model: str | None = None) -> ModelVersion:
    """The model version that scores.

    Raises:
        CurationError: it is not there, or cannot tell likelihoods.
    """
    backend = backend or settings.BACKEND
    if model is None:
        model = settings.MODEL if backend == settings.BACKEND else ""
    if backend not in {backends.STARTER, "hf"}:
        backend, model = backends.STARTER, ""
    try:
        return drafting.model_version(backend, model, task=Task.SCORE)[0]
    except DraftingError as exc:
        raise CurationError(f"No local model to score with. {exc}") from exc


def _score(
    unscored: QuerySet[Candidate],
    version: ModelVersion,
    total: int,
    on_progress: Callable[[str, int, int], None] | None,
) -> int:
    try:
        evaluator = drafting.load(version)
        prompt_version = drafting.prompt_version_for(version, evaluator.identity)
        done = 0
        for batch in _by_key(unscored.select_related("text"), evaluator.batch_size * 4):
            raws = _raw_scores(evaluator, prompt_version, batch)
            Score.objects.bulk_create(
                [
                    Score(candidate=one, evaluator=version, raw=raw)
                    for one, raw in zip(batch, raws, strict=True)
                    if math.isfinite(raw)  # half-precision weights can overflow; such a candidate has no rank
                ],
                ignore_conflicts=True,
            )
            done += len(batch)
            if on_progress:
                on_progress("score", done, total)
    except BackendError as exc:
        raise CurationError(str(exc)) from exc
    return done


def _raw_scores(evaluator: Backend, prompt_version: str, candidates: list[Candidate]) -> list[float]:
    asked = [prompts.draft(candidate.text.body, prompt_version) for candidate in candidates]
    instructions = [candidate.instruction for candidate in candidates]
    given = evaluator.loglikelihood(asked, instructions)
    distinct = sorted(set(instructions))
    empty = prompts.draft("", prompt_version)
    alone = dict(zip(distinct, evaluator.loglikelihood([empty] * len(distinct), distinct), strict=True))
    return [likelihood - alone[instruction] for likelihood, instruction in zip(given, instructions, strict=True)]


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


# Selection


def select(
    language: Language,
    *,
    target: int,
    seed: int = 0,
    created_by: User | None = None,
    new_round: bool = False,
    evaluator: ModelVersion | None = None,
) -> Round:
    """Close a round of `target` texts, spread over what their instructions are about, best first.

    `target` is what the round holds in the end: asked for again it is the same round. Each text comes with its best
    candidates of distinct wording. Texts of earlier rounds are not selected again.

    Raises:
        RoundIsClosed: the newest round was closed with a smaller target.
        NothingToSelect: no scored text is left.
        CurationError: the target makes no sense.
    """
    if target < 1:
        raise CurationError(f"A round of {target} texts is none; ask for at least 1.")
    before = language.rounds.order_by("-number").first()
    if before is not None and not new_round:
        return _standing(before, target)
    evaluator = evaluator or _evaluator_of(language)
    ranked = _ranked_candidates(language, evaluator) if evaluator else []
    if not ranked:
        raise NothingToSelect(
            f"No text of {language.name} waits with a scored draft"
            + (" that no earlier round took." if before else ".")
            + f" Draft and score first: draft --language {language.code}, score --language {language.code}"
        )
    # Clustering takes its time, so it happens before the lock; whoever closes a round meanwhile wins.
    vectors = _embeddings([row.candidate_ids[0] for row in ranked])
    k = diversity.default_k(len(ranked))
    labels = diversity.cluster(vectors, k, seed)
    chosen = diversity.spread(labels, np.array([row.raw for row in ranked]), target)
    with transaction.atomic():
        Language.objects.select_for_update(no_key=True).get(pk=language.pk)
        newest = language.rounds.order_by("-number").first()
        if newest is not None and newest != before:
            return _standing(newest, target)
        round_ = Round.objects.create(
            language=language,
            number=before.number + 1 if before else 1,
            evaluator=evaluator,
            created_by=created_by,
            settings={"target": target, "seed": seed, "clusters": k, "embedder": embedding.NAME,
                      "runs": sorted({row.run_id for row in ranked})},
        )  # fmt: skip
        Selection.objects.bulk_create(
            [
                Selection(
                    round=round_,
                    text_id=ranked[row].text_id,
                    rank=rank,
                    cluster=int(labels[row]),
                    candidate_ids=ranked[row].candidate_ids,
                )
                for rank, row in enumerate(chosen, start=1)
            ],
            batch_size=2000,
        )
        round_.metrics = {
            "texts_ready": len(ranked),
            "selected": len(chosen),
            "clusters_found": len(set(labels.tolist())),
            "clusters_served": len(set(labels[chosen].tolist())),
            "mean_raw_ready": round(float(np.mean([row.raw for row in ranked])), 4),
            "mean_raw_selected": round(float(np.mean([ranked[row].raw for row in chosen])), 4),
        }
        round_.closed_at = timezone.now()
        round_.save(update_fields=["metrics", "closed_at"])
        Event.record(
            EventKind.ROUND_CLOSED,
            round_,
            actor=created_by,
            language=language,
            number=round_.number,
            selected=len(chosen),
        )
    logger.info("closed round %d of %s: %d of %d texts", round_.number, language.code, len(chosen), len(ranked))
    return round_


def _standing(newest: Round, target: int) -> Round:
    """The newest round, where it holds what is asked for."""
    if target <= newest.settings.get("target", 0):
        return newest
    raise RoundIsClosed(
        f"Round {newest.number} of {newest.language.name} was closed with a target of "
        f"{newest.settings.get('target', 0)}, and a closed round does not grow. For more texts, start the next round "
        f"(--new-round) with a target of its own."
    )


def _evaluator_of(language: Language) -> ModelVersion | None:
    """The evaluator that scored most of the language's kept candidates; of equals, the one that scored last."""
    scores = Score.objects.filter(candidate__text__language=language)
    best = scores.values("evaluator").annotate(n=Count("pk"), last=Max("created_at")).order_by("-n", "-last").first()
    return ModelVersion.objects.get(pk=best["evaluator"]) if best else None


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A text that may be selected, with its best candidates; `raw` and `run_id` are of the best one."""

    text_id: int
    raw: float
    run_id: int
    candidate_ids: list[int]


def _ranked_candidates(language: Language, evaluator: ModelVersion) -> list[_Ranked]:
    rows = (
        Score.objects.filter(evaluator=evaluator, candidate__in=Candidate.objects.kept())
        .filter(
            candidate__text__language=language, candidate__text__withdrawn_at=None, candidate__embedding__isnull=False
        )
        .exclude(Exists(Selection.objects.filter(text=OuterRef("candidate__text"))))
        .order_by("candidate__text", "-raw", "candidate")
        .values_list("candidate__text", "raw", "candidate__run", "candidate", "candidate__instruction")
    )
    ranked = []
    for text_id, of_text in groupby(rows.iterator(chunk_size=5000), key=lambda row: row[0]):
        distinct: dict[str, int] = {}
        best: tuple[float, int] | None = None
        for _, raw, run_id, candidate_id, instruction in of_text:
            best = best or (raw, run_id)
            distinct.setdefault(_wording(instruction), candidate_id)
        if best is not None:
            ranked.append(_Ranked(text_id, *best, list(distinct.values())[:CANDIDATES_PER_ITEM]))
    return ranked


def _wording(instruction: str) -> str:
    """What makes two wordings the same to a reader: case, punctuation and spaces do not count."""
    return " ".join(re.findall(r"\w+", instruction.casefold()))


def _embeddings(candidate_ids: list[int]) -> np.ndarray:
    vectors = np.empty((len(candidate_ids), EMBEDDING_DIMENSIONS), dtype=np.float32)
    place = {pk: i for i, pk in enumerate(candidate_ids)}
    for start in range(0, len(candidate_ids), 5000):
        some = candidate_ids[start : start + 5000]
        for pk, vector in Candidate.objects.filter(pk__in=some).values_list("pk", "embedding"):
            vectors[place[pk]] = np.asarray(vector, dtype=np.float32)
    return vectors
