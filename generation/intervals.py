"""Shares and means with 95 % intervals, also where several values hang together, such as votes on one question.

Numbers only.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

DRAWS = 2000
LEVEL = 0.95
Z = 1.959964
FEWEST = 5  # clusters: an interval from fewer would promise more than it holds


@dataclass(frozen=True, slots=True)
class Rate:
    """A mean of `n` values in so many clusters; without bounds where these are too few to tell."""

    value: float
    low: float | None
    high: float | None
    n: int
    clusters: int

    def as_list(self) -> list[float | None]:
        """Value, low and high as a record keeps them."""
        return [None if number is None else round(number, 4) for number in (self.value, self.low, self.high)]


def wilson(hits: float, total: float) -> tuple[float, float]:
    """The interval of a share, which of few is wide even where all are hits; of none it is everything.

    >>> [round(edge, 3) for edge in wilson(9, 10)]
    [0.596, 0.982]
    """
    if not total:
        return 0.0, 1.0
    share, square = hits / total, Z * Z
    middle = (share + square / (2 * total)) / (1 + square / total)
    reach = Z * math.sqrt(share * (1 - share) / total + square / (4 * total * total)) / (1 + square / total)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def rate(points: Iterable[tuple[Hashable, float]], seed: int = 0) -> Rate | None:
    """The mean of values in 0..1 with the 95 % interval of a bootstrap over their clusters; None for no points.

    Where all clusters say the same a bootstrap would know no doubt: there it is Wilson's interval over clusters.
    """
    found = mean(points, seed)
    if found and found.low is not None and found.high is not None and found.high - found.low < 1e-9:
        low, high = wilson(found.value * found.clusters, found.clusters)
        return Rate(found.value, low, high, found.n, found.clusters)
    return found


def mean(points: Iterable[tuple[Hashable, float]], seed: int = 0) -> Rate | None:
    """The same for values of any size."""
    sums: dict[Hashable, float] = defaultdict(float)
    numbers: dict[Hashable, int] = defaultdict(int)
    for cluster, value in points:
        sums[cluster] += value
        numbers[cluster] += 1
    if not numbers:
        return None
    total, n = np.array(list(sums.values())), np.array(list(numbers.values()))
    value, clusters = float(total.sum() / n.sum()), len(n)
    if clusters < FEWEST:
        return Rate(value, None, None, int(n.sum()), clusters)
    means = np.array([total[drawn].sum() / n[drawn].sum() for drawn in _draws(clusters, seed)])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Rate(value, float(low), float(high), int(n.sum()), clusters)


def _draws(clusters: int, seed: int) -> Iterable[np.ndarray]:
    """For each draw of the bootstrap, which clusters are in it."""
    chance = np.random.default_rng(seed)
    return (chance.integers(0, clusters, size=clusters) for _ in range(DRAWS))
