"""What a language's reviews say of themselves and of those who wrote them: agreement, drift, calibration, signals.

Pure numpy over arrays with one place per review. Figures that rest on too little are left out: a coefficient of
fifteen items says nothing, and a person is not compared on five.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotation import reliability

RATINGS = ("rating_alignment", "rating_instruction", "rating_text", "overall")
DIMENSIONS = ("decision", *RATINGS)
ENOUGH_ITEMS = 20  # judged by two people or more, for a coefficient
ENOUGH_SHARED = 10  # items of two people, for a cell of the matrix
ENOUGH_REVIEWS = 30  # of a person, for a signal
LAST = 50  # reviews of a person that signals look at
WEEKS = 26
TOO_MANY_CHARS_PER_SECOND = 100  # nobody reads that fast; skimming adults manage some 30
COPIES = 3
ALARM_SHARE = 0.4  # of one person in what was accepted

UNSETTLED, REJECTED, ACCEPTED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Answers:
    """One place per standing review that counts, in the order they were sent."""

    item: np.ndarray  # int64
    person: np.ndarray  # int64
    accepts: np.ndarray  # bool
    ratings: np.ndarray  # (reviews, 4) int8, 0 where there is none
    day: np.ndarray  # int32, proleptic ordinal
    seconds: np.ndarray  # int32, active
    chars: np.ndarray  # int32, of the text
    wording: np.ndarray  # int64, a hash of the instruction as it was sent
    edited: np.ndarray  # bool, whether it differs from the draft it started from
    outcome: np.ndarray  # int8, what the item came to: UNSETTLED, REJECTED or ACCEPTED

    def __len__(self) -> int:
        return len(self.item)


def all_figures(answers: Answers) -> dict[str, Any]:
    """Everything below but `pairs`, as JSON holds it."""
    people = calibration(answers)
    for person, kinds in signals(answers).items():
        people[str(person)]["signals"] = kinds
    return {
        "agreement": agreement(answers),
        "drift": drift(answers),
        "people": people,
        "concentration": concentration(answers),
    }


def agreement(answers: Answers) -> dict[str, Any]:
    """By dimension: alpha and AC2 with their intervals, and over how many items; only the number where it is small."""
    items = _numbered(answers.item)
    found: dict[str, Any] = {}
    for place, dimension in enumerate(DIMENSIONS):
        counts = _counts(answers, items, place)
        shared = int((counts.sum(axis=1) >= 2).sum())
        found[dimension] = {"items": shared}
        if shared < ENOUGH_ITEMS:
            continue
        metric: reliability.Metric = "nominal" if dimension == "decision" else "ordinal"
        for name, coefficient in (("alpha", reliability.alpha), ("ac2", reliability.ac2)):
            if estimate := coefficient(counts, metric):
                found[dimension][name] = [estimate.value, estimate.low, estimate.high]
    return found


def pairs(answers: Answers) -> list[list[int]]:
    """[one person, another, items both judged, those of them on which they decided alike]; small numbers left out."""
    people, person = np.unique(answers.person, return_inverse=True)
    order = np.lexsort((person, answers.item))
    item, person, accepts = answers.item[order], person[order], answers.accepts[order]
    n = len(people)
    shared, alike = np.zeros(n * n, np.int64), np.zeros(n * n, np.int64)
    for step in range(1, len(item)):
        same = item[step:] == item[:-step]
        if not same.any():
            break
        cell = (person[:-step] * n + person[step:])[same]
        shared += np.bincount(cell, minlength=n * n)
        alike += np.bincount(cell, weights=(accepts[step:] == accepts[:-step])[same], minlength=n * n).astype(np.int64)
    return [
        [int(people[cell // n]), int(people[cell % n]), int(shared[cell]), int(alike[cell])]
        for cell in np.flatnonzero(shared >= ENOUGH_SHARED)
        if cell // n != cell % n
    ]


def lately(answers: Answers, since: int) -> dict[str, int]:
    """How many people sent how many reviews from that day on (an ordinal), and how many of those accept."""
    chosen = answers.day >= since
    return {
        "people": len(np.unique(answers.person[chosen])),
        "reviews": int(chosen.sum()),
        "accepts": int(answers.accepts[chosen].sum()),
    }


def drift(answers: Answers) -> list[dict[str, Any]]:
    """AC2 of the decision by the week in which an item got its last review; weeks with too few items are left out."""
    if not len(answers):
        return []
    items = _numbered(answers.item)
    last = np.zeros(items.max() + 1, np.int64)
    np.maximum.at(last, items, answers.day)
    week = (last - 1) // 7  # ordinal 1 is a Monday
    found = []
    for number in range(int(week.max()) - WEEKS + 1, int(week.max()) + 1):
        chosen = week[items] == number
        counts = _counts(answers, items, 0, chosen)
        shared = int((counts.sum(axis=1) >= 2).sum())
        if shared >= ENOUGH_ITEMS and (estimate := reliability.ac2(counts, "nominal")):
            monday = dt.date.fromordinal(number * 7 + 1).isoformat()
            found.append({"week": monday, "ac2": estimate.value, "items": shared})
    return found


def calibration(answers: Answers) -> dict[str, dict[str, Any]]:
    """By person (key as text): how they judge beside others on the same items.

    severity: mean of their overall rating minus the others' on the same item; below zero is stricter.
    consistency: share of their decisions that the item's outcome bore out, where another person judged it as well: what
        came of one's own word alone, given twice perhaps, bears nothing out.
    """
    items = _numbered(answers.item)
    overall = answers.ratings[:, 3].astype(float)
    rated = overall > 0
    n = items.max() + 1 if len(items) else 0
    total = np.bincount(items[rated], weights=overall[rated], minlength=n)
    raters = np.bincount(items[rated], minlength=n)
    beside = rated & (raters[items] > 1)
    difference = np.zeros(len(answers))
    others = raters[items[beside]] - 1
    difference[beside] = overall[beside] - (total[items[beside]] - overall[beside]) / others
    settled = (answers.outcome != UNSETTLED) & (np.bincount(items, minlength=n)[items] > 1)
    borne_out = (answers.outcome == ACCEPTED) == answers.accepts
    found = {}
    for person in np.unique(answers.person):
        own = answers.person == person
        compared, decided = own & beside, own & settled
        found[str(person)] = {
            "reviews": int(own.sum()),
            "accepts": float(answers.accepts[own].mean()),
            "edited": float(answers.edited[own & answers.accepts].mean()) if (own & answers.accepts).any() else 0.0,
            "seconds": float(np.median(answers.seconds[own])),
            "last": dt.date.fromordinal(int(answers.day[own].max())).isoformat(),
            "compared": int(compared.sum()),
            "severity": float(difference[compared].mean()) if compared.sum() >= ENOUGH_SHARED else None,
            "settled": int(decided.sum()),
            "consistency": float(borne_out[decided].mean()) if decided.sum() >= ENOUGH_SHARED else None,
            "signals": {},
        }
    return found


def signals(answers: Answers) -> dict[int, dict[str, int]]:
    """By person: what in their last reviews is worth a question, and in how many of them."""
    found: dict[int, dict[str, int]] = {}
    for person in np.unique(answers.person):
        own = np.flatnonzero(answers.person == person)[-LAST:]
        if len(own) < ENOUGH_REVIEWS:
            continue
        kinds: dict[str, int] = {}
        too_fast = int((answers.seconds[own] * TOO_MANY_CHARS_PER_SECOND < answers.chars[own]).sum())
        if too_fast > len(own) / 2:
            kinds["too_fast"] = too_fast
        accepts = own[answers.accepts[own]]
        if len(accepts) >= ENOUGH_REVIEWS and not answers.edited[accepts].any():
            kinds["unedited"] = len(accepts)
        written = accepts[answers.edited[accepts]]
        if len(written):
            _wordings, times = np.unique(answers.wording[written], return_counts=True)
            if times.max() >= COPIES:
                kinds["copied"] = int(times.max())
        if len(accepts) >= ENOUGH_REVIEWS and len(np.unique(answers.ratings[accepts], axis=0)) == 1:
            kinds["same_ratings"] = len(accepts)
        if kinds:
            found[int(person)] = kinds
    return found


def concentration(answers: Answers) -> dict[str, Any]:
    """Whose reviews are behind what was accepted: the share of each of the first five people, and of all five."""
    behind = answers.person[answers.accepts & (answers.outcome == ACCEPTED)]
    if not len(behind):
        return {"reviews": 0, "people": [], "top_five": 0.0, "alarm": False}
    people, times = np.unique(behind, return_counts=True)
    order = np.argsort(-times, kind="stable")[:5]
    shares = [[int(people[place]), float(times[place] / len(behind))] for place in order]
    return {
        "reviews": len(behind),
        "people": shares,
        "top_five": float(sum(share for _person, share in shares)),
        "alarm": len(people) > 1 and shares[0][1] > ALARM_SHARE,
    }


def of_columns(columns: Mapping[str, Sequence[Any]]) -> Answers:
    """Arrays from columns with the names of `Answers`; each of `ratings` has four numbers."""
    types = {"accepts": bool, "edited": bool, "day": np.int32, "seconds": np.int32, "chars": np.int32,
             "outcome": np.int8}  # fmt: skip
    arrays = {
        name: np.array(columns[name], dtype=types.get(name, np.int64))
        for name in Answers.__slots__
        if name != "ratings"
    }
    ratings = np.array(columns["ratings"], dtype=np.int8).reshape(len(arrays["item"]), len(RATINGS))
    return Answers(ratings=ratings, **arrays)


def _numbered(items: np.ndarray) -> np.ndarray:
    numbers: np.ndarray = np.unique(items, return_inverse=True)[1]
    return numbers


def _counts(answers: Answers, items: np.ndarray, dimension: int, chosen: np.ndarray | None = None) -> np.ndarray:
    """(items, categories): how many people put the item there. Dimension 0 is the decision."""
    chosen = np.ones(len(answers), bool) if chosen is None else chosen
    size = items.max() + 1 if len(items) else 0
    if dimension == 0:
        counts = np.zeros((size, 2), np.int64)
        np.add.at(counts, (items[chosen], answers.accepts[chosen].astype(int)), 1)
        return counts
    rating = answers.ratings[:, dimension - 1]
    chosen = chosen & (rating > 0)
    counts = np.zeros((size, 5), np.int64)
    np.add.at(counts, (items[chosen], rating[chosen] - 1), 1)
    return counts
