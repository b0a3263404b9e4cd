"""Asks an evaluator about pairs of instruction and text: candidates, gold pairs and a bench's, all the same way.

Knows no rows. How an evaluator is asked is a version of rubric.py; what it says comes back as ratings, and an answer
that names no level is one without a score.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from generation import prompts, rubric
from generation.asking import sampling_seed, storable
from generation.backends.base import Backend, BackendError, Sampling
from generation.calibrating import Calibration

REASONS = Sampling(temperature=0.7, top_p=0.9, top_k=50, max_new_tokens=512)


@dataclass(frozen=True, slots=True)
class Pair:
    """What is judged. `key` tells pairs apart where answers are drawn by chance: the sha256 of the text."""

    instruction: str
    response: str
    input: str = ""
    language_name: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Rating:
    """`raw` is None where the answer names no level; `level` where the evaluator was not asked the five levels."""

    raw: float | None
    level: int | None = None
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Evaluator:
    """A model that is ready, and how it is asked."""

    backend: Backend
    way: str
    draft_prompt: str = prompts.PAPER  # of the likelihood
    calibration: Calibration = field(default_factory=Calibration)  # of the levels


def rate(evaluator: Evaluator, pairs: Sequence[Pair], samples: Sequence[int] | None = None) -> list[Rating]:
    """One rating for each pair; `samples` are the numbers of the draws, where the rubric is asked more than once.

    Raises:
        BackendError: the model does not answer, or cannot tell what this way of asking needs.
    """
    if not pairs:
        return []
    if evaluator.way == rubric.LIKELIHOOD:
        return [Rating(raw) for raw in _likelihoods(evaluator, pairs)]
    if evaluator.way == rubric.LEVELS:
        return _levels(evaluator, pairs)
    if evaluator.way == rubric.RUBRIC:
        return _rubric(evaluator, pairs, samples or [0] * len(pairs))
    raise BackendError(f"There is no way to ask an evaluator that is called '{evaluator.way}'.")


def _likelihoods(evaluator: Evaluator, pairs: Sequence[Pair]) -> list[float]:
    """How much the text raises the likelihood of the instruction, per token.

        mean log p(instruction | prompt with the text) - mean log p(instruction | prompt with an empty text)

    This is a pointwise mutual information. The second term takes away what makes any text's instruction likely:
    "Write about this" is likely everywhere and earns nothing. The numbers hang on the model, its tokenizer and the
    length of the instruction, so they put candidates in an order, and no number stands for "good": that is why they
    are shown as ranks and never as one of the rubric's levels.
    """
    instructions = [pair.instruction for pair in pairs]
    asked = [prompts.draft(pair.response, evaluator.draft_prompt) for pair in pairs]
    given = evaluator.backend.loglikelihood(asked, instructions)
    distinct = sorted(set(instructions))
    empty = prompts.draft("", evaluator.draft_prompt)
    alone = dict(zip(distinct, evaluator.backend.loglikelihood([empty] * len(distinct), distinct), strict=True))
    return [likelihood - alone[instruction] for likelihood, instruction in zip(given, instructions, strict=True)]


def _levels(evaluator: Evaluator, pairs: Sequence[Pair]) -> list[Rating]:
    """The calibrated chance that the pair is good, out of how likely each level is as the next token."""
    calibration = evaluator.calibration
    ratings = []
    for row in level_chances(evaluator.backend, pairs, calibration.levels):
        best = max(range(calibration.levels), key=row.__getitem__) + 1
        # Only who learned the five levels from people's ratings answers the rubric.
        answers_rubric = calibration.levels == rubric.BEST and calibration.learned_from == "ratings"
        ratings.append(Rating(calibration.chance(row), best if answers_rubric else None))
    return ratings


def level_chances(backend: Backend, pairs: Sequence[Pair], levels: int) -> list[list[float]]:
    """How likely each level is as the next token, as natural logarithms."""
    asked = [rubric.levels(pair.instruction, pair.input, pair.response) for pair in pairs]
    return backend.choose(asked, [str(level) for level in range(1, levels + 1)])


def _rubric(evaluator: Evaluator, pairs: Sequence[Pair], samples: Sequence[int]) -> list[Rating]:
    replies = evaluator.backend.generate(
        [rubric.ask(pair.instruction, pair.input, pair.response, pair.language_name) for pair in pairs],
        sampling=REASONS,
        seeds=[sampling_seed(0, f"{pair.key}:{pair.instruction}", n) for pair, n in zip(pairs, samples, strict=True)],
    )
    ratings = []
    for reply in replies:
        said = storable(reply.text)
        # A reply that was cut off may break off behind the wrong "Score: 1" of its own reasons.
        level = rubric.read_level(said) if reply.finish_reason == "stop" else None
        reasons = said if reply.finish_reason == "stop" else f"{said}\n[{reply.finish_reason}]".lstrip()
        ratings.append(Rating(level, level, reasons))
    return ratings


def mean(ratings: Sequence[Rating]) -> float | None:
    """Of the ratings that have a score; None where none has."""
    raws = [rating.raw for rating in ratings if rating.raw is not None and math.isfinite(rating.raw)]
    return sum(raws) / len(raws) if raws else None
