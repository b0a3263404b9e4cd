"""Figures over reviews: agreement that is hidden where it rests on little, matrix, calibration, signals, shares."""

import datetime as dt

import numpy as np
import pytest

from annotation import figures, reliability
from annotation.editing import EditKind, kind_of_edit

DAY = dt.date(2026, 3, 2).toordinal()  # a Monday


def answer(item: int, person: int, *, accepts: bool = True, overall: int = 4, **fields) -> dict:
    usual = {
        "item": item, "person": person, "accepts": accepts, "ratings": [4, 4, 4, overall], "day": DAY, "seconds": 60,
        "chars": 500, "wording": item * 1000 + person, "edited": True, "outcome": figures.ACCEPTED,
    }  # fmt: skip
    return usual | fields


def of_rows(rows: list[dict]) -> figures.Answers:
    return figures.of_columns({name: [row[name] for row in rows] for name in figures.Answers.__slots__})


def test_agreement_is_the_coefficients_over_the_counts_and_hidden_below_the_minimum():
    rows = [
        answer(item, person, accepts=(item + person * (item % 5 == 0)) % 3 > 0)
        for item in range(40)
        for person in (1, 2)
    ]
    found = figures.agreement(of_rows(rows))
    counts = np.array([[2 - n, n] for n in (sum(r["accepts"] for r in rows if r["item"] == i) for i in range(40))])
    expected = reliability.alpha(counts, "nominal")
    assert found["decision"] == {
        "items": 40,
        "alpha": [expected.value, expected.low, expected.high],
        "ac2": found["decision"]["ac2"],
    }
    few = figures.agreement(of_rows(rows[:38]))
    assert few["decision"] == {"items": 19}


def test_matrix_counts_shared_items_and_equal_decisions_of_three_people():
    rows = [answer(item, person, accepts=person != 3 or item < 4) for item in range(12) for person in (3, 1, 2)]
    rows += [answer(item, 1) for item in range(100, 110)]
    assert sorted(figures.pairs(of_rows(rows))) == [[1, 2, 12, 12], [1, 3, 12, 4], [2, 3, 12, 4]]


def test_matrix_leaves_out_people_who_share_little():
    rows = [answer(item, person) for item in range(9) for person in (1, 2)]
    assert figures.pairs(of_rows(rows)) == []


def test_drift_has_a_point_for_each_week_with_enough_items():
    rows = [
        answer(item, person, accepts=bool(item % 2), day=DAY + 7 * (item // 30))
        for item in range(75)
        for person in (1, 2)
    ]
    found = figures.drift(of_rows(rows))
    assert [(point["week"], point["items"]) for point in found] == [("2026-03-02", 30), ("2026-03-09", 30)]
    assert all(point["ac2"] == pytest.approx(1) for point in found)


def test_severity_is_measured_on_the_same_items_and_below_zero_where_somebody_is_stricter():
    rows = [answer(item, 1, overall=3) for item in range(20)] + [answer(item, 2, overall=5) for item in range(20)]
    rows += [answer(item, 3, overall=1) for item in range(50, 60)]  # nobody else judged these
    found = figures.calibration(of_rows(rows))
    assert found["1"]["severity"] == -2
    assert found["2"]["severity"] == 2
    assert found["3"]["severity"] is None


def test_consistency_is_the_share_that_the_outcome_bore_out():
    rows = [
        answer(item, 1, accepts=item < 15, outcome=figures.ACCEPTED if item < 10 else figures.REJECTED)
        for item in range(20)
    ]
    rows += [answer(100, 1, outcome=figures.UNSETTLED)]
    rows += [answer(item, 2) for item in range(20)]
    # What nobody else judged bears nothing out.
    rows += [answer(item, 1, accepts=False, outcome=figures.REJECTED) for item in range(200, 220)]
    found = figures.calibration(of_rows(rows))["1"]
    assert (found["consistency"], found["settled"], found["reviews"]) == (0.75, 20, 41)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"seconds": 2}, "too_fast"),
        ({"edited": False, "ratings": None}, "unedited"),
        ({"wording": 7, "ratings": None}, "copied"),
        ({}, "same_ratings"),
    ],
)
def test_signals_are_asked_for_and_none_by_those_who_vary(fields, kind):
    ratings = lambda item: [3 + item % 3, 4, 4, 3 + item % 2]  # noqa: E731
    rows = [
        answer(item, 1) | {name: value if value is not None else ratings(item) for name, value in fields.items()}
        for item in range(40)
    ]
    careful = [answer(item, 2, edited=item % 3 == 0) | {"ratings": ratings(item)} for item in range(40)]
    few = [answer(item, 3, seconds=1) for item in range(29)]
    found = figures.signals(of_rows(rows + careful + few))
    assert set(found) == {1}
    assert kind in found[1]


def test_one_person_behind_most_of_what_was_accepted_is_an_alarm_where_there_are_others():
    rows = [answer(item, 1 if item < 5 else item) for item in range(10)]
    found = figures.concentration(of_rows(rows))
    assert (found["people"][0], found["alarm"]) == ([1, 0.5], True)
    assert found["top_five"] == pytest.approx(0.9)
    alone = figures.concentration(of_rows([answer(item, 1) for item in range(5)]))
    assert not alone["alarm"]


def test_language_without_reviews_has_figures_too():
    found = figures.all_figures(of_rows([]))
    assert found["agreement"]["decision"] == {"items": 0}
    assert found["people"] == {}


@pytest.mark.parametrize(
    ("draft", "final", "kind"),
    [
        ("Describe the market.", " Describe the market.\n", EditKind.NONE),
        ("describe the market", "Describe the market!", EditKind.COSMETIC),
        ("Describe market in town", "Describe the markets in a town.", EditKind.FLUENCY),
        ("What is the color of the sky?", "What colour is the sky?", EditKind.FLUENCY),
        ("Describe the market in 1990.", "Describe the market in 2010.", EditKind.MEANING),
        ("Describe the market in the town.", "Describe the harbour in the town.", EditKind.MEANING),
        ("Describe the market.", "Why do people in Lahore cook nihari overnight?", EditKind.REWRITE),
    ],
)
def test_kinds_of_edits(draft, final, kind):
    assert kind_of_edit(draft, final) == kind
