"""Counts what the rows of a release are made of, in one pass, for the documents that come with it. Knows no files."""

import math
from collections import Counter
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from annotation import reliability
from annotation.files import Row

LEVELS = 5
RATED_MIN = 20  # rows that two people rated; of fewer no agreement is told


class Traits(NamedTuple):
    """What the documents count. Few rows of a release are alike in nothing, so each combination is counted once."""

    language: str
    split: str
    licence: str
    source: str
    origin: str
    has_input: bool
    is_edited: bool
    is_masked: bool
    is_audited: bool  # a linguist has looked at it
    model: tuple[str, str, str] | None  # name, revision, licence
    variety: str
    orthography: str
    crawled: str  # year
    overall: tuple[int | None, ...]  # what each person gave
    under: tuple[tuple[int | None, int | None], ...]  # versions of guidelines and agreement that each worked under


class Survey:
    """What the rows are made of. What older rows did not tell is empty."""

    def __init__(self) -> None:
        self.rows = 0
        self.names: dict[str, str] = {}  # of languages
        self.traits: Counter[Traits] = Counter()
        # By language: the characters of instructions and of responses, and their squares.
        self.lengths: dict[str, list[int]] = {}

    def add(self, row: Row, split: str) -> None:
        code, model = row["language"], row.get("model")
        lineage = row.get("lineage") or {}
        text = lineage.get("text") or {}
        self.rows += 1
        self.traits[
            Traits(
                code,
                split,
                row["licence"],
                row.get("source", ""),
                row.get("origin", ""),
                bool(row["input"]),
                bool(row.get("edited")),
                bool(row.get("masked")),
                bool(lineage.get("audit")),
                (model["name"], model["revision"], model["licence"]) if model else None,
                text.get("variety") or "",
                text.get("orthography") or "",
                (text.get("crawled") or "")[:4],
                tuple([said.get("overall") for said in row["ratings"]]),
                tuple([(each.get("guidelines"), each.get("agreement")) for each in lineage.get("reviews") or ()]),
            )
        ] += 1
        if code not in self.names:
            self.names[code], self.lengths[code] = row["language_name"], [0, 0, 0, 0]
        instruction, response, sums = len(row["instruction"]), len(row["response"]), self.lengths[code]
        sums[0] += instruction
        sums[1] += instruction * instruction
        sums[2] += response
        sums[3] += response * response

    def by(self, *traits: str) -> Counter[Any]:
        """How many rows have each value of a trait, or each combination of several."""
        pick, found = attrgetter(*traits), Counter[Any]()
        for each, rows in self.traits.items():
            found[pick(each)] += rows
        return found

    def guidelines(self) -> set[tuple[str, int | None]]:
        """Each language with the versions that its reviewers worked under."""
        return {(each.language, guidelines) for each in self.traits for guidelines, _ in each.under}

    def agreements(self) -> set[int]:
        """Versions of what contributors agreed to."""
        return {agreement for each in self.traits for _, agreement in each.under if agreement}

    def raters(self) -> Counter[int]:
        """How many rows so many people's ratings stand behind."""
        found = Counter[int]()
        for overall, rows in self.by("overall").items():
            found[len(_given(overall))] += rows
        return found

    def chars(self, code: str) -> tuple[str, str]:
        """Mean and standard deviation of the characters (code points) of instructions and of responses."""
        rows, sums = self.by("language")[code], self.lengths[code]
        return _spread(rows, *sums[:2]), _spread(rows, *sums[2:])

    def agreement(self, code: str) -> tuple[int, float, reliability.Estimate | None] | None:
        """Of the rows of a language that two people or more rated: how many, the share on which all gave the same
        level, and Krippendorff's alpha for ordered levels. None where they are too few to tell."""
        shared = Counter[tuple[int, ...]]()
        for (language, overall), rows in self.by("language", "overall").items():
            if language == code and len(given := _given(overall)) > 1:
                shared[given] += rows
        if shared.total() < RATED_MIN:
            return None
        same = sum(rows for given, rows in shared.items() if len(set(given)) == 1)
        counts = np.array([[given.count(level) for level in range(1, LEVELS + 1)] for given in sorted(shared)])
        alpha = reliability.alpha(np.repeat(counts, [shared[given] for given in sorted(shared)], axis=0), "ordinal")
        return shared.total(), same / shared.total(), alpha


def _given(overall: Iterable[int | None]) -> tuple[int, ...]:
    return tuple(sorted(level for level in overall if level))


def _spread(rows: int, total: int, squares: int) -> str:
    mean = total / max(rows, 1)
    return f"{mean:.1f} ± {math.sqrt(max(squares / max(rows, 1) - mean * mean, 0)):.1f}"
