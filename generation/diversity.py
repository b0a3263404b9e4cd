"""Spreads a choice over what instructions are about: clusters of embeddings, served in turn, best first."""

import math
from typing import Any

import numpy as np

LARGE = 20_000  # from here on k-means looks at samples: whole passes would take minutes
K_MAX = 500


def default_k(n: int) -> int:
    """How many clusters for n candidates: sqrt(n/2), at most 500."""
    return max(1, min(K_MAX, round(math.sqrt(n / 2))))


def cluster(vectors: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Group vectors by k-means.

    Args:
        vectors: (n, d) float32, L2-normalised; row i belongs to candidate i.
        k: how many clusters; where fewer rows differ, there are fewer.
    Returns:
        (n,) int64 labels from 0. Same input and seed, same labels.
    Raises:
        ValueError: k is below 1.
    """
    if k < 1:
        raise ValueError(f"k={k} clusters; at least 1 is needed")
    n = len(vectors)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    k = min(k, len(np.unique(vectors, axis=0)) if n <= LARGE else n)
    if k == 1:
        return np.zeros(n, dtype=np.int64)
    from sklearn.cluster import KMeans, MiniBatchKMeans

    means: Any
    if n <= LARGE:
        means = KMeans(n_clusters=k, n_init=3, random_state=seed)
    else:
        means = MiniBatchKMeans(n_clusters=k, n_init=1, batch_size=4096, max_iter=20, random_state=seed)
    labels: np.ndarray = means.fit_predict(vectors).astype(np.int64)
    return labels


def spread(clusters: np.ndarray, scores: np.ndarray, target: int) -> np.ndarray:
    """Pick round-robin over clusters: the best of each, then the second best of each, and so on.

    Within one lap the better score goes first; equal scores keep the order of the rows.

    Args:
        clusters: (n,) labels.
        scores: (n,) higher is better, finite.
        target: how many to pick; all where there are fewer.
    Returns:
        (min(n, target),) int64 row indices in order of choice.
    Raises:
        ValueError: lengths differ or the target is negative.
    """
    clusters, scores = np.asarray(clusters), np.asarray(scores, dtype=np.float64)
    if len(clusters) != len(scores):
        raise ValueError(f"{len(clusters)} clusters and {len(scores)} scores")
    if target < 0:
        raise ValueError(f"target {target} is negative")
    rows = np.arange(len(scores))
    by_cluster = np.lexsort((rows, -scores, clusters))
    starts = np.flatnonzero(np.r_[True, np.diff(clusters[by_cluster]) != 0]) if len(rows) else rows
    sizes = np.diff(np.r_[starts, len(rows)])
    lap = np.empty(len(rows), dtype=np.int64)
    lap[by_cluster] = rows - np.repeat(starts, sizes)
    return np.lexsort((rows, -scores, lap))[:target].astype(np.int64)
