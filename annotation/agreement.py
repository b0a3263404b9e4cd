"""From reviews to a verdict, by the rule in `verdict`. Pure: no Django, no clock, no people.

What a verdict does to the item, its slots and its pair is in verdicts.py.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

SPREAD = 2  # overall ratings of a quorum differ by less than this


@dataclass(frozen=True, slots=True)
class Wording:
    """What a pair would say. `spans` are the kept parts of the body as (start, end); none is all of it."""

    instruction: str
    input: str = ""
    response_edit: str | None = None
    spans: tuple[tuple[int, int], ...] = ()

    def key(self) -> Hashable:
        """The same for wordings that a reader cannot tell apart: they differ in surrounding white space, in line
        ends (browsers send both kinds) or in composed and decomposed characters (keyboards make both)."""
        edit = None if self.response_edit is None else plain(self.response_edit)
        return plain(self.instruction), plain(self.input), edit, self.spans


def trimmed(text: str) -> str:
    """With one kind of line end and no surrounding white space."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def plain(text: str) -> str:
    """What two people's typing is compared by."""
    return unicodedata.normalize("NFC", trimmed(text))


@dataclass(frozen=True, slots=True)
class Ballot:
    """One counted review. `id` is whatever the caller knows it by."""

    id: str
    accepts: bool
    wording: Wording
    overall: int | None = None  # an accepting ballot has one
    counts_alone: bool = False  # its accept is a quorum by itself


class Result(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    TIE_BREAK = "tie_break"  # one more review, of the wordings that differ
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result and what carries it.

    Attributes:
        wording: what the pair says; where disputed, the wording with the most support, for the linguist to start from.
        agreeing: ids of the ballots that ended with it, sorted.
        wordings: where a tie-break is wanted, the choices in an order that tells nothing of who wrote which.
    """

    result: Result
    wording: Wording | None = None
    agreeing: tuple[str, ...] = ()
    wordings: tuple[Wording, ...] = ()


def verdict(ballots: Sequence[Ballot], overlap: int, quorum: int) -> Verdict:
    """What the counted reviews of an item amount to. The order of the ballots does not matter.

    A *quorum* is at least `quorum` accepting ballots whose overall ratings differ by less than 2, or fewer with one
    among them that counts alone. The first line that applies decides; `n` is the number of ballots, the
    tie-break's included:

    | line | ballots                                                                       | result    |
    |------|-------------------------------------------------------------------------------|-----------|
    | 1    | a quorum ended with one wording (of several such, the one with most support)   | accepted  |
    | 2    | n < overlap                                                                    | pending   |
    | 3    | n = overlap, a quorum accepts but in different wordings, and one more ballot   | tie-break |
    |      | could make a quorum for one of them                                            |           |
    | 4    | more rejects than accepts, and no quorum accepts                               | rejected  |
    | 5    | anything else: as many rejects as accepts, ratings 3 beside 5, a tie-break     | disputed  |
    |      | that ended in a third wording, in a rejection or in another tie                |           |

    So, with A₄ an accept rated 4 in wording a, and R a reject:

    | overlap/quorum | ballots          | result    |    | overlap/quorum | ballots          | result    |
    |----------------|------------------|-----------|----|----------------|------------------|-----------|
    | 1/1            | A₃               | accepted  |    | 3/2            | A₄ A₄            | accepted  |
    | 1/1            | R                | rejected  |    | 3/2            | A₄ B₄            | pending   |
    | 2/2            | A₄               | pending   |    | 3/2            | A₄ B₄ A₅         | accepted  |
    | 2/2            | A₄ A₅            | accepted  |    | 3/2            | A₄ B₄ R          | tie-break |
    | 2/2            | A₃ A₅            | disputed  |    | 3/2            | A₃ A₅            | pending   |
    | 2/2            | A₄ B₄            | tie-break |    | 3/2            | A₃ A₅ A₄         | accepted  |
    | 2/2            | A₄ B₄, A₄        | accepted  |    | 3/2            | A₄ R R           | rejected  |
    | 2/2            | A₄ B₄, C₄        | disputed  |    | 3/2            | A₄ B₄ C₄         | tie-break |
    | 2/2            | A₄ B₄, R         | disputed  |    | 3/3            | A₄ A₄ B₄         | tie-break |
    | 2/2            | A₃ B₅            | disputed  |    | 3/3            | A₄ B₄ C₄         | disputed  |
    | 2/2            | A₄ R             | disputed  |    | 3/3            | A₄ A₄ R          | disputed  |
    | 2/2            | R R              | rejected  |    | 2/1            | R, A₄            | accepted  |

    A quorum that is no majority (2 of 4) means what it says: whichever wording has one first is taken.

    Raises:
        ValueError: quorum outside 1..overlap, or an accepting ballot without an overall rating.
    """
    if not 1 <= quorum <= overlap:
        raise ValueError(f"a quorum of {quorum} cannot be had from {overlap} reviews")
    accepts = [ballot for ballot in ballots if ballot.accepts]
    if any(ballot.overall is None for ballot in accepts):
        raise ValueError("an accepting ballot has no overall rating")
    camps = _camps(accepts)
    # Line 1. Two camps of the same size are no outcome: a tie-break or a linguist decides.
    if camps and _weight(camps[0]) >= (False, quorum) and (len(camps) == 1 or _weight(camps[1]) < _weight(camps[0])):
        return Verdict(Result.ACCEPTED, _said(camps[0]), _ids(camps[0]))
    if len(ballots) < overlap:
        return Verdict(Result.PENDING)
    quorum_accepts = _weight(_close_in_rating(accepts)) >= (False, quorum)
    if len(ballots) == overlap and quorum_accepts and len(camps) > 1 and len(camps[0]) + 1 >= quorum:
        return Verdict(Result.TIE_BREAK, wordings=_wordings(accepts))
    if not quorum_accepts and len(ballots) > 2 * len(accepts):
        return Verdict(Result.REJECTED, agreeing=_ids(ballot for ballot in ballots if not ballot.accepts))
    return Verdict(Result.DISPUTED, _said(camps[0]), _ids(camps[0]))


def _by_wording(accepts: Iterable[Ballot]) -> list[list[Ballot]]:
    groups: dict[Hashable, list[Ballot]] = defaultdict(list)
    for ballot in accepts:
        groups[ballot.wording.key()].append(ballot)
    return list(groups.values())


def _camps(accepts: Iterable[Ballot]) -> list[list[Ballot]]:
    """For each wording its ballots that are close in rating; most support first, then higher ratings, then by text."""
    camps = [_close_in_rating(group) for group in _by_wording(accepts)]
    camps.sort(key=lambda camp: (-sum(b.overall or 0 for b in camp), _order(_said(camp))))
    return sorted(camps, key=_weight, reverse=True)


def _weight(camp: list[Ballot]) -> tuple[bool, int]:
    """Of two camps the one with somebody whose accept counts alone weighs more, then the larger one."""
    return any(ballot.counts_alone for ballot in camp), len(camp)


def _close_in_rating(accepts: list[Ballot]) -> list[Ballot]:
    """The most ballots whose overall ratings differ by less than SPREAD; of several such sets the higher rated."""
    best: list[Ballot] = []
    for top in sorted({ballot.overall or 0 for ballot in accepts}, reverse=True):
        close = [ballot for ballot in accepts if top - SPREAD < (ballot.overall or 0) <= top]
        if _weight(close) > _weight(best):
            best = close
    return best


def _said(camp: list[Ballot]) -> Wording:
    """One wording for a camp: as most of its people typed it, the white space around it gone."""
    counts = Counter(_trimmed(ballot.wording) for ballot in camp)
    return min(counts, key=lambda wording: (-counts[wording], _order(wording)))


def _wordings(accepts: list[Ballot]) -> tuple[Wording, ...]:
    return tuple(sorted((_said(group) for group in _by_wording(accepts)), key=_order))


def _trimmed(wording: Wording) -> Wording:
    edit = wording.response_edit
    return Wording(
        instruction=trimmed(wording.instruction),
        input=trimmed(wording.input),
        response_edit=None if edit is None else trimmed(edit),
        spans=wording.spans,
    )


def _order(wording: Wording) -> tuple[str, str, str, tuple[tuple[int, int], ...]]:
    return wording.instruction, wording.input, wording.response_edit or "", wording.spans


def _ids(ballots: Iterable[Ballot]) -> tuple[str, ...]:
    return tuple(sorted(ballot.id for ballot in ballots))
