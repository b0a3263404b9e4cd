"""The figures of a duel against values worked out by hand or by other tools."""

import numpy as np
import pytest

from annotation.duel_figures import BASE, RIVAL, TIE, Ballot, figures, majority
from generation.intervals import rate, wilson


def test_win_rate_is_wins_and_half_the_ties_over_all_votes():
    votes = [Ballot(n, "aino", outcome) for n, outcome in enumerate([RIVAL] * 5 + [TIE] * 2 + [BASE] * 3)]

    said = figures(votes)

    assert (said.votes, said.wins, said.ties, said.losses, said.people) == (10, 5, 2, 3, 1)
    assert said.win_rate.value == pytest.approx(0.6)


def test_interval_of_one_vote_per_question_is_the_binomial_one():
    """Of 100 independent votes with 60 wins the bootstrap's interval is about 0.6 ± 1.96 · sqrt(0.6 · 0.4 / 100)."""
    found = rate((n, float(n < 60)) for n in range(100))

    assert found.value == 0.6
    assert found.low == pytest.approx(0.504, abs=0.015)
    assert found.high == pytest.approx(0.696, abs=0.015)


def test_votes_on_one_question_narrow_the_interval_no_further_than_that_question():
    once = rate((n, float(n < 60)) for n in range(100))
    tenfold = rate((n, float(n < 60)) for n in range(100) for _ in range(10))

    assert (tenfold.n, tenfold.clusters) == (1000, 100)
    assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high))


def test_interval_covers_the_truth_about_95_times_in_100():
    chance = np.random.default_rng(7)
    covered = 0
    for draw in range(200):
        truth = chance.beta(3, 2, size=60)  # each question has its own odds; two people vote on it
        points = [(n, float(chance.random() < odds)) for n, odds in enumerate(truth) for _ in range(2)]
        found = rate(points, seed=draw)
        covered += found.low <= 0.6 <= found.high

    assert 0.90 <= covered / 200 <= 0.99


def test_where_every_question_says_the_same_wilson_stands_in_for_a_bootstrap_that_knows_no_doubt():
    found = rate((n, 1.0) for n in range(20))

    assert (found.low, found.high) == pytest.approx((0.8389, 1.0), abs=1e-4)


def test_wilsons_interval_is_the_textbooks():
    """Of 10 in 20: 0.299 to 0.701 (Brown, Cai and DasGupta's tables, and statsmodels)."""
    assert wilson(10, 20) == pytest.approx((0.2993, 0.7007), abs=1e-4)


def test_four_questions_are_too_few_for_an_interval():
    found = rate((n, 1.0) for n in range(4))

    assert (found.value, found.low, found.high) == (1.0, None, None)


def test_no_votes_have_no_figures():
    said = figures([])

    assert said.votes == 0
    assert said.win_rate is said.first_wins is said.same is said.alpha is None


def test_position_bias_counts_decided_votes_only():
    votes = [Ballot(n, "aino", RIVAL, first_won=n < 9) for n in range(12)] + [Ballot(99, "aino", TIE)]

    said = figures(votes)

    assert (said.first_wins.value, said.first_wins.n) == (0.75, 12)
    assert said.first_wins.low <= 0.75 <= said.first_wins.high


def test_agreement_is_of_pairs_of_people_and_krippendorffs_alpha():
    import krippendorff

    aino = [RIVAL, RIVAL, BASE, TIE, RIVAL, BASE, BASE, RIVAL]
    eino = [RIVAL, BASE, BASE, TIE, RIVAL, BASE, TIE, RIVAL]
    votes = [Ballot(n, "aino", said) for n, said in enumerate(aino)]
    votes += [Ballot(n, "eino", said) for n, said in enumerate(eino)]

    said = figures(votes)

    codes = {BASE: 0, TIE: 1, RIVAL: 2}
    expected = krippendorff.alpha([[codes[x] for x in aino], [codes[x] for x in eino]], level_of_measurement="nominal")
    assert (said.same.value, said.same.n) == (0.75, 8)
    assert said.alpha.value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([RIVAL], RIVAL),
        ([RIVAL, BASE], TIE),
        ([RIVAL, TIE], TIE),
        ([RIVAL, RIVAL, BASE], RIVAL),
        ([TIE, TIE, BASE], TIE),
        ([BASE, BASE, RIVAL, RIVAL, TIE], TIE),
    ],
)
def test_majority_of_people_is_a_tie_where_none_is_in_front(outcomes, expected):
    assert majority(outcomes) == expected
