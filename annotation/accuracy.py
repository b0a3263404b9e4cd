"""How often a person is right on gold, and when that asks for a pause. Pure: no Django, no clock, no people.

The pause is a sequential test (Wald 1945), one-sided. Each answer adds to the evidence that the person is right 60 % of
the time (POOR) rather than 90 % (GOOD): log(0.4/0.1) where they are wrong, log(0.6/0.9) where they are right. At log 20
they are paused. Why not a bound on the share of the last 20 answers: that looks again after each answer, so with time
everybody falls below it once. Wald's evidence has no such drift: without a floor somebody who is right 90 % of the time
would ever get there with a chance below 1 in 20, however often one looks (Ville's inequality).

The evidence for a person is capped at FLOOR, so that somebody who was good for a year and then stops reading is found
after some 25 answers and not never. Exact chances to be paused within 40 answers and within 400: 98.2 % and all at 60 %
right, 2.8 % and 5.0 % at 90 %, 0.2 % and 0.2 % at 95 % (bench/policies.md).
"""

import math
from collections.abc import Iterable, Sequence

from generation.intervals import wilson

GOOD, POOR = 0.9, 0.6
LIMIT = math.log(20)
FLOOR = -4.5
RIGHT, WRONG = math.log(POOR / GOOD), math.log((1 - POOR) / (1 - GOOD))
WINDOW = 40  # answers that rolling accuracy is over


def asks_for_pause(answers: Iterable[bool]) -> bool:
    """Whether the evidence has ever reached the limit in these answers, oldest first, True where right."""
    evidence = 0.0
    for is_right in answers:
        evidence = max(evidence + (RIGHT if is_right else WRONG), FLOOR)
        if evidence >= LIMIT:
            return True
    return False


def rolling(answers: Sequence[bool]) -> tuple[float, float, float] | None:
    """(share, low, high): how often the last answers were right, with its 95 % interval; None without any.

    Wilson's interval: with ten answers, all of them right, it still says that less than 100 % is likely.
    """
    last = answers[-WINDOW:]
    return share(sum(last), len(last)) if last else None


def share(right: int, answers: int) -> tuple[float, float, float]:
    """(share, low, high) of so many answers, one at least."""
    return right / answers, *wilson(right, answers)
