"""Selects a round: which texts go to people next, and with which candidates."""

import logging
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Avg, Count, Exists, Max, OuterRef
from django.utils import timezone

from generation import comparing, concentration, diversity, embedding, likeness
from generation.models import (
    ARRIVALS,
    EMBEDDING_DIMENSIONS,
    Candidate,
    ModelVersion,
    PassedOver,
    Round,
    Score,
    Selection,
)
from generation.phrasing import style_of
from generation.quotas import KINDS, QuotaError, Wish, read_quotas, shortfalls
from xinstruct_site.people.models import Event, EventKind, Language, User

logger = logging.getLogger(__name__)

CANDIDATES_PER_ITEM = 3


class CurationError(Exception):
    """Selecting cannot start. The message says why and what to do."""


class RoundIsClosed(CurationError):
    """The newest round is closed and smaller than asked for; a closed round does not grow."""


class NothingToSelect(CurationError):
    """No scored text waits that no earlier round took."""


def select(
    language: Language,
    *,
    target: int,
    seed: int = 0,
    created_by: User | None = None,
    new_round: bool = False,
    evaluator: ModelVersion | None = None,
    quotas: Sequence[str] = (),
    near: float | None = None,
    threshold: float | None = None,
    precision: float | None = None,
) -> Round:
    """Close a round of `target` texts, spread over what their instructions are about, best first.

    `target` is what the round holds in the end: asked for again it is the same round. Each text comes with its best
    candidates of distinct wording. Texts of earlier rounds are not selected again, nor are texts whose instruction is
    nearly that of a text selected now or before. Same rows and seed, same selection.

    Args:
        quotas: as `quotas.read_quotas` reads them.
        threshold: raw score that a text's best candidate must reach.
        precision: in place of a threshold, the share of pairs that people should find good (see comparing.py).
        near: cosine from which two instructions are nearly the same; the installation's where None.

    Raises:
        RoundIsClosed: the newest round was closed with a smaller target.
        NothingToSelect: no scored text is left, or none that differs enough.
        CurationError: the target or a quota makes no sense.
    """
    if target < 1:
        raise CurationError(f"A round of {target} texts is none; ask for at least 1.")
    try:
        wishes = read_quotas(quotas, target)
    except QuotaError as exc:
        raise CurationError(str(exc)) from exc
    before = language.rounds.filter(number__gt=ARRIVALS).order_by("-number").first()
    if before is not None and not new_round:
        return _standing(before, target)
    near = settings.NEAR_DUPLICATE_PERCENT / 100 if near is None else near
    evaluator = evaluator or evaluator_of(language)
    ranked = _ranked_candidates(language, evaluator) if evaluator else []
    ready = len(ranked)
    grounds: dict[str, Any] = {} if threshold is None else {"threshold": threshold}
    if precision is not None and evaluator is not None:
        try:
            grounds = comparing.threshold_for(evaluator, language, precision).as_settings()
        except comparing.ComparingError as exc:
            raise CurationError(str(exc)) from exc
    if grounds:
        ranked = [row for row in ranked if row.raw >= grounds["threshold"]]
    if ready and not ranked:
        raise NothingToSelect(f"None of {ready} texts that wait reaches the threshold of {grounds['threshold']:g}.")
    if not ranked:
        raise NothingToSelect(
            f"No text of {language.name} waits with a scored draft"
            + (" that no earlier round took." if before else ".")
            + f" Draft and score first: draft --language {language.code}, score --language {language.code}"
        )
    # Clustering takes its time, so it happens before the lock; whoever closes a round meanwhile wins.
    likeness.remember_selected(language)
    vectors = _embeddings([row.candidate_ids[0] for row in ranked])
    k = diversity.default_k(len(ranked))
    labels = diversity.cluster(vectors, k, seed)

    def known(rows: np.ndarray) -> np.ndarray:
        ids = [ranked[row].candidate_ids[0] for row in rows]
        found = likeness.nearest_known(language, ids, near)
        return np.array([found.get(pk, -1) for pk in ids], dtype=np.int64)

    choice = diversity.choose(
        labels,
        np.array([row.raw for row in ranked]),
        target,
        vectors=vectors,
        near=near,
        known=known,
        quotas=[wish.over([getattr(row, wish.kind) for row in ranked]) for wish in wishes],
    )
    if not len(choice.rows):
        raise NothingToSelect(
            f"Nothing new is left in {language.name}: all {len(ranked)} texts that wait have an instruction nearly "
            f"like one selected before, or no place within the quotas."
        )
    with transaction.atomic():
        Language.objects.select_for_update(no_key=True).get(pk=language.pk)
        newest = language.rounds.filter(number__gt=ARRIVALS).order_by("-number").first()
        if newest is not None and newest != before:
            return _standing(newest, target)
        round_ = Round.objects.create(
            language=language,
            number=before.number + 1 if before else 1,
            evaluator=evaluator,
            created_by=created_by,
            settings={"target": target, "seed": seed, "clusters": k, "embedder": embedding.NAME, "near": near,
                      "quotas": list(quotas), "runs": sorted({row.run_id for row in ranked}), **grounds},
            metrics=_metrics(ranked, labels, choice, wishes, seed) | {"texts_ready": ready, "kept": len(ranked)},
            closed_at=timezone.now(),
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
                for rank, row in enumerate(choice.rows, start=1)
            ],
            batch_size=2000,
        )
        likes = {row: ranked[like].text_id for row, like in choice.near_chosen.items()} | choice.near_known
        PassedOver.objects.bulk_create(
            [
                PassedOver(
                    round=round_,
                    text_id=ranked[row].text_id,
                    candidate_id=ranked[row].candidate_ids[0],
                    like_id=text_id,
                )
                for row, text_id in likes.items()
            ],
            batch_size=2000,
        )
        Event.record(
            EventKind.ROUND_CLOSED,
            round_,
            actor=created_by,
            language=language,
            number=round_.number,
            selected=len(choice.rows),
        )
    likeness.remember_selected(language)
    logger.info("closed round %d of %s: %d of %d texts", round_.number, language.code, len(choice.rows), len(ranked))
    return round_


def _metrics(
    ranked: list["_Ranked"], labels: np.ndarray, choice: diversity.Choice, wishes: list[Wish], seed: int
) -> dict[str, Any]:
    """What a round's page shows: what there was, what was taken, and how evenly it is spread."""
    chosen = [ranked[row] for row in choice.rows]
    verbs = concentration.verb_table(_instructions([row.candidate_ids[0] for row in chosen]))
    domains = concentration.domain_table([row.domain for row in chosen])
    taken = {kind: Counter(getattr(row, kind) for row in chosen) for kind in KINDS}
    return {
        "texts_ready": len(ranked),
        "selected": len(chosen),
        "near_chosen": len(choice.near_chosen),
        "near_known": len(choice.near_known),
        "clusters_found": len(set(labels.tolist())),
        "clusters_served": len(set(labels[choice.rows].tolist())),
        "mean_raw_ready": round(float(np.mean([row.raw for row in ranked])), 4),
        "mean_raw_selected": round(float(np.mean([row.raw for row in chosen])), 4),
        **concentration.spread_of(labels, choice.rows, seed),
        "verbs": verbs,
        "domains": domains,
        "styles": taken["style"].most_common(),
        "sources": taken["source"].most_common(concentration.DOMAINS_SHOWN),
        "shortfalls": [short for wish in wishes for short in shortfalls(wish, taken[wish.kind])],
        "warnings": concentration.warnings(verbs, domains, len(chosen)),
    }


def _standing(newest: Round, target: int) -> Round:
    """The newest round, where it holds what is asked for."""
    if target <= newest.settings.get("target", 0):
        return newest
    raise RoundIsClosed(
        f"Round {newest.number} of {newest.language.name} was closed with a target of "
        f"{newest.settings.get('target', 0)}, and a closed round does not grow. For more texts, start the next round "
        f"(--new-round) with a target of its own."
    )


def evaluator_of(language: Language) -> ModelVersion | None:
    """The evaluator that scored most of the language's kept candidates; of equals, the one that scored last."""
    scores = Score.objects.scored().filter(candidate__text__language=language)
    best = scores.values("evaluator").annotate(n=Count("pk"), last=Max("created_at")).order_by("-n", "-last").first()
    return ModelVersion.objects.get(pk=best["evaluator"]) if best else None


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A text that may be selected, with its best candidates; `raw`, `run_id` and `style` are of the best one."""

    text_id: int
    raw: float
    run_id: int
    candidate_ids: list[int]
    source: str
    style: str
    domain: str


def _ranked_candidates(language: Language, evaluator: ModelVersion) -> list[_Ranked]:
    rows = (
        Score.objects.scored()
        .filter(evaluator=evaluator, candidate__in=Candidate.objects.kept())
        .filter(
            candidate__text__language=language, candidate__text__withdrawn_at=None, candidate__embedding__isnull=False
        )
        .exclude(Exists(Selection.objects.filter(text=OuterRef("candidate__text"))))
        .values("candidate")
        .annotate(mean=Avg("raw"))  # of an evaluator's samples
        .order_by("candidate__text", "-mean", "candidate")
        .values_list(
            "candidate__text", "mean", "candidate__run", "candidate", "candidate__instruction",
            "candidate__style", "candidate__text__source_dataset", "candidate__text__domain",
        )
    )  # fmt: skip
    ranked = []
    for text_id, rows_of_text in groupby(rows.iterator(chunk_size=5000), key=lambda row: row[0]):
        of_text = list(rows_of_text)
        _, raw, run_id, _, instruction, style, source, domain = of_text[0]
        distinct: dict[str, int] = {}
        for row in of_text:
            distinct.setdefault(_wording(row[4]), row[3])
        ids = list(distinct.values())[:CANDIDATES_PER_ITEM]
        # Of a million rows, few differ in where they come from.
        labels = sys.intern(source), sys.intern(style or style_of(instruction)), sys.intern(domain)
        ranked.append(_Ranked(text_id, raw, run_id, ids, *labels))
    return ranked


def _instructions(candidate_ids: list[int]) -> list[str]:
    found: list[str] = []
    for start in range(0, len(candidate_ids), 5000):
        some = candidate_ids[start : start + 5000]
        found += Candidate.objects.filter(pk__in=some).values_list("instruction", flat=True)
    return found


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
