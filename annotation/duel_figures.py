"""What the votes of a duel amount to: win rate, position bias, agreement. Numbers only; knows no rows.

Votes on one question are no independent draws, so intervals are bootstrapped over questions, not over votes.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from annotation.reliability import Estimate, alpha
from generation.intervals import Rate, rate

BASE, TIE, RIVAL = OUTCOMES = ("base", "tie", "rival")
WORTH = {BASE: 0.0, TIE: 0.5, RIVAL: 1.0}


@dataclass(frozen=True, slots=True)
class Ballot:
    """One vote: on which question, by whom, who won it, and whether the answer that stood first did (None: a tie)."""

    question: Hashable
    person: Hashable
    outcome: str
    first_won: bool | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """All that a report says of a duel; parts that have nothing to be computed from are None."""

    votes: int
    people: int
    wins: int
    ties: int
    losses: int
    win_rate: Rate | None
    first_wins: Rate | None  # of the votes that are no tie; 0.5 where the place makes no difference
    same: Rate | None  # of two people's votes on one question, how many say the same
    alpha: Estimate | None


def figures(ballots: Sequence[Ballot]) -> Figures:
    counts = {outcome: sum(ballot.outcome == outcome for ballot in ballots) for outcome in OUTCOMES}
    return Figures(
        votes=len(ballots),
        people=len({ballot.person for ballot in ballots}),
        wins=counts[RIVAL],
        ties=counts[TIE],
        losses=counts[BASE],
        win_rate=win_rate(ballots),
        first_wins=rate(
            (ballot.question, float(ballot.first_won)) for ballot in ballots if ballot.first_won is not None
        ),
        same=rate(_meetings(ballots)),
        alpha=alpha(_counts(ballots), "nominal"),
    )


def win_rate(ballots: Iterable[Ballot]) -> Rate | None:
    """The rival's: wins and half the ties over all votes."""
    return rate((ballot.question, WORTH[ballot.outcome]) for ballot in ballots)


def majority(outcomes: Sequence[str]) -> str:
    """What most people said of a question; a tie where no outcome has more than each other one."""
    counts = sorted(((outcomes.count(outcome), outcome) for outcome in OUTCOMES), reverse=True)
    return TIE if counts[0][0] == counts[1][0] else counts[0][1]


def by_question(ballots: Iterable[Ballot]) -> dict[Hashable, list[str]]:
    said: dict[Hashable, list[str]] = defaultdict(list)
    for ballot in ballots:
        said[ballot.question].append(ballot.outcome)
    return said


def _meetings(ballots: Iterable[Ballot]) -> Iterable[tuple[Hashable, float]]:
    for question, outcomes in by_question(ballots).items():
        for one, other in combinations(outcomes, 2):
            yield question, float(one == other)


def _counts(ballots: Sequence[Ballot]) -> np.ndarray:
    rows = [[outcomes.count(outcome) for outcome in OUTCOMES] for outcomes in by_question(ballots).values()]
    return np.array(rows, dtype=np.int64).reshape(-1, len(OUTCOMES))
