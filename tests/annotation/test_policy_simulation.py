"""Thirty reviewers of known skill over 3,000 pairs with planted faults: what the rules promise, they keep."""

import pytest

from annotation import accuracy
from bench import policies
from bench.policies import PLANS, coverage, paused_raters, paused_within, play, written


@pytest.fixture(scope="module")
def tallies():
    items = written(3_000, seed=11)
    return {plan.name: play(plan, items, seed=12) for plan in PLANS}


def test_reviewers_are_as_right_as_they_are_said_to_be():
    shares = {fault: share for fault, (share, _) in policies.FAULTS.items()}
    for skill in policies.SKILLS:
        right = sum(share * policies.right_chance(skill, fault) for fault, share in shares.items()) / sum(
            shares.values()
        )
        assert right == pytest.approx(skill, abs=0.01)


def test_more_eyes_make_cleaner_pairs_at_more_reviews_each(tallies):
    assert tallies["1/1"].clean < tallies["2/2"].clean < tallies["3/3"].clean
    assert tallies["1/1"].per_pair < tallies["2/2"].per_pair < tallies["3/3"].per_pair
    assert tallies["2/1"].clean < tallies["1/1"].clean  # two chances to be taken in
    assert tallies["1/1"].accuracy < tallies["2/2"].accuracy
    assert 0.75 < tallies["1/1"].accuracy < 0.83  # about the mean skill
    assert tallies["2/2"].accuracy > 0.88


def test_a_third_opinion_spares_the_linguist_what_two_leave_open(tallies):
    assert tallies["3/2"].disputed < 0.2 * tallies["2/2"].disputed
    assert tallies["3/2"].per_pair < tallies["2/2"].per_pair


def test_a_voice_that_counts_alone_saves_reviews_and_a_self_recheck_is_no_second_person(tallies):
    alone, recheck, two = tallies["2/2, three people count alone"], tallies["2/2, self-recheck"], tallies["2/2"]
    assert alone.per_pair < two.per_pair
    assert recheck.clean < two.clean
    assert recheck.clean > tallies["1/1"].clean


def test_hidden_gold_and_pauses_make_the_verdicts_better(tallies):
    with_gold = tallies["2/2, hidden gold and pause"]
    assert with_gold.accuracy > tallies["2/2"].accuracy
    assert 0.03 < with_gold.gold / (with_gold.gold + with_gold.reviews) < 0.07
    # Some ten gold answers each: who is paused is mostly who is poor.
    assert len(with_gold.paused) >= 4
    paused = [policies.SKILLS[person] for person in with_gold.paused]
    assert sum(paused) / len(paused) < sum(policies.SKILLS) / len(policies.SKILLS) - 0.05


def test_the_interval_of_alpha_holds_the_value_of_a_million_items_in_90_of_100_seeds():
    found = coverage(seeds=100, items=1_000)

    assert found.decision >= 90
    assert found.overall >= 90
    assert 0.2 < found.true_decision < 0.4


@pytest.mark.parametrize("right", [0.3, 0.5, 0.6])
def test_raters_under_60_percent_are_paused_within_40_gold_items_in_90_of_100_cases(right):
    assert paused_raters(right, raters=2_000, answers=40, seed=1) >= 0.9
    assert paused_within(right, 40)[-1] >= 0.95


@pytest.mark.parametrize("right", [0.9, 0.93, 0.97])
def test_raters_above_90_percent_are_paused_in_5_of_100_cases_at_most(right):
    assert paused_raters(right, raters=2_000, answers=40, seed=2) <= 0.05
    assert paused_raters(right, raters=500, answers=300, seed=3) <= 0.075
    assert paused_within(right, 40)[-1] <= 0.03


def test_somebody_who_stops_reading_after_a_good_year_is_paused_soon():
    assert not accuracy.asks_for_pause([True] * 400)
    assert accuracy.asks_for_pause([True] * 400 + [False] * 6)


def test_rolling_accuracy_is_over_the_last_forty_and_says_how_sure_it_is():
    share, low, high = accuracy.rolling([False] * 100 + [True] * 40)
    assert (share, high) == (1.0, 1.0)
    assert 0.9 < low < 0.93
    assert accuracy.rolling([]) is None
    share, low, high = accuracy.rolling([True, False])
    assert share == 0.5
    assert low < 0.1
    assert high > 0.9
