"""How far an evaluator can be trusted: its scores against what people said. Pure functions over points.

A point is a raw score and whether people called the pair good. Intervals are 95 %: Wilson's for shares, of a bootstrap
for what is no share.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from generation.intervals import wilson

Point = tuple[float, bool]
FEWEST_KEPT = 10  # below this many pairs a precision is no more than luck
DRAWS = 2000


def curve(points: Sequence[Point]) -> list[tuple[float, float, float]]:
    """Threshold, precision and recall where everything from the threshold up is kept; thresholds fall."""
    total = sum(good for _, good in points)
    ordered = sorted(points, key=lambda point: -point[0])
    rows, hits = [], 0
    for number, (raw, good) in enumerate(ordered, start=1):
        hits += good
        if number == len(ordered) or ordered[number][0] != raw:  # equal scores are kept or left together
            rows.append((raw, hits / number, hits / total if total else 0.0))
    return rows


def threshold_for(points: Sequence[Point], precision: float) -> float | None:
    """The lowest threshold that keeps the wanted precision; None where none does with enough pairs to tell."""
    scores = np.sort([raw for raw, _ in points])
    lowest = None
    for raw, reached, _ in curve(points):
        kept = len(scores) - np.searchsorted(scores, raw, "left")
        if reached >= precision and kept >= FEWEST_KEPT:
            lowest = raw
    return lowest


def figures(points: Sequence[Point], threshold: float | None) -> dict[str, Any]:
    """Precision, recall, F1 and kappa at the threshold, and AUC, each as [value, low, high] or None where undefined."""
    said: dict[str, Any] = {"pairs": len(points), "good": sum(good for _, good in points), "auc": _auc(points)}
    if threshold is None:
        return said
    both = sum(raw >= threshold and good for raw, good in points)
    kept = sum(raw >= threshold for raw, _ in points)
    good = said["good"]
    cells = np.array([both, kept - both, good - both, len(points) - kept - good + both])
    said |= {"kept": kept, "precision": _share(both, kept), "recall": _share(both, good)}
    for name, value in (("f1", _f1), ("kappa", _kappa)):
        said[name] = _of_cells(cells, value)
    return said


def _share(hits: int, total: int) -> list[float] | None:
    return _rounded(hits / total, *wilson(hits, total)) if total else None


def _of_cells(cells: np.ndarray, value: Any) -> list[float] | None:
    """Of the table kept-and-good, kept, good, neither; drawn again with replacement for the interval."""
    if not cells.sum():
        return None
    drawn = np.random.default_rng(0).multinomial(cells.sum(), cells / cells.sum(), size=DRAWS)
    with np.errstate(invalid="ignore", divide="ignore"):
        one, values = value(cells[None, :].astype(float))[0], value(drawn.astype(float))
    values = values[np.isfinite(values)]
    return _rounded(one, *np.quantile(values, [0.025, 0.975])) if np.isfinite(one) and len(values) else None


def _f1(cells: np.ndarray) -> np.ndarray:
    both, wrong, missed, _ = cells.T
    return np.asarray(2 * both / (2 * both + wrong + missed))


def _kappa(cells: np.ndarray) -> np.ndarray:
    """Cohen's: agreement beyond what chance would give."""
    both, wrong, missed, neither = cells.T
    total = cells.sum(axis=1)
    agreed = (both + neither) / total
    chance = ((both + wrong) * (both + missed) + (missed + neither) * (wrong + neither)) / total**2
    return np.asarray((agreed - chance) / (1 - chance))


def _auc(points: Sequence[Point]) -> list[float] | None:
    right = np.array([raw for raw, good in points if good])
    wrong = np.array([raw for raw, good in points if not good])
    if not len(right) or not len(wrong):
        return None
    chance = np.random.default_rng(0)
    draws = [auc(chance.choice(right, len(right)), chance.choice(wrong, len(wrong))) for _ in range(DRAWS // 4)]
    return _rounded(auc(right, wrong), *np.quantile(draws, [0.025, 0.975]))


def auc(right: np.ndarray, wrong: np.ndarray) -> float:
    """How often a good one is above another; ties count half."""
    order = np.sort(wrong)
    below = np.searchsorted(order, right, "left") + np.searchsorted(order, right, "right")
    return float(below.mean() / (2 * len(wrong)))


def _rounded(*values: float) -> list[float]:
    return [round(float(value), 4) for value in values]
