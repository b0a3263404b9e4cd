"""How a choice is spread over clusters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation import diversity


def points(*centres: tuple[float, float], each: int = 10) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([np.array(c) + rng.normal(0, 0.01, (each, 2)) for c in centres]).astype(np.float32)


def test_neighbours_share_a_cluster_and_strangers_do_not():
    labels = diversity.cluster(points((0, 0), (1, 1), (0, 1)), 3, seed=0)

    assert [len(set(labels[i : i + 10].tolist())) for i in (0, 10, 20)] == [1, 1, 1]
    assert len(set(labels.tolist())) == 3


def test_same_seed_gives_the_same_clusters():
    vectors = np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32)

    assert (diversity.cluster(vectors, 10, seed=3) == diversity.cluster(vectors, 10, seed=3)).all()


def test_equal_vectors_are_one_cluster_whatever_k_says():
    assert set(diversity.cluster(np.ones((5, 3), dtype=np.float32), 4, seed=0).tolist()) == {0}
    assert len(diversity.cluster(np.zeros((0, 3), dtype=np.float32), 4, seed=0)) == 0


def test_spread_serves_every_cluster_once_before_any_twice_and_the_best_first():
    clusters = np.array([0, 0, 0, 1, 1, 2])
    scores = np.array([0.9, 0.8, 0.7, 0.1, 0.5, 0.6])

    assert diversity.spread(clusters, scores, 6).tolist() == [0, 5, 4, 1, 3, 2]
    assert diversity.spread(clusters, scores, 3).tolist() == [0, 5, 4]


@given(
    rows=st.lists(st.tuples(st.integers(-3, 12), st.floats(-50, 50)), max_size=60),
    target=st.integers(0, 70),
)
def test_spread_picks_distinct_rows_as_evenly_as_the_clusters_allow(rows, target):
    clusters = np.array([c for c, _ in rows], dtype=np.int64)
    scores = np.array([s for _, s in rows], dtype=np.float64)

    chosen = diversity.spread(clusters, scores, target).tolist()

    assert len(chosen) == len(set(chosen)) == min(target, len(rows))
    taken = {c: sum(clusters[i] == c for i in chosen) for c in set(clusters.tolist())}
    for cluster, count in taken.items():
        size = int((clusters == cluster).sum())
        assert count >= min(size, max(taken.values()) - 1)
        left = [scores[i] for i in range(len(rows)) if clusters[i] == cluster and i not in chosen]
        picked = [scores[i] for i in chosen if clusters[i] == cluster]
        assert not left or not picked or max(left) <= min(picked)


def test_number_of_clusters_grows_with_the_root_and_stops_at_500():
    assert [diversity.default_k(n) for n in (0, 1, 120, 20_000, 10_000_000)] == [1, 1, 8, 100, 500]


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="k=0"):
        diversity.cluster(np.ones((2, 2), dtype=np.float32), 0, seed=0)
    with pytest.raises(ValueError, match="2 clusters and 1 scores"):
        diversity.spread(np.array([1, 2]), np.array([0.5]), 1)
