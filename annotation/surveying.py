"""Counts what the rows of a release are made of, in one pass, for the documents that come with it. Knows no files."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from annotation import reliability
from annotation.files import Row

LEVELS = 5
RATED_MIN = 20  # rows that two people rated; of fewer no agreement is told


@dataclass(slots=True)
class Lengths:
    """Characters (code points) of a part of the rows."""

    rows: int = 0
    total: int = 0
    squares: int = 0

    def add(self, chars: int) -> None:
        self.rows += 1
        self.total += chars
        self.squares += chars * chars

    def __str__(self) -> str:
        if not self.rows:
            return "none"
        mean = self.total / self.rows
        return f"{mean:.1f} ± {math.sqrt(max(self.squares / self.rows - mean * mean, 0)):.1f}"


@dataclass(slots=True)
class Survey:
    """What the rows are made of. What older rows did not tell is not counted, and the documents say so."""

    rows: int = 0
    names: dict[str, str] = field(default_factory=dict)  # of languages
    languages: Counter[str] = field(default_factory=Counter)
    splits: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    instructions: dict[str, Lengths] = field(default_factory=lambda: defaultdict(Lengths))
    responses: dict[str, Lengths] = field(default_factory=lambda: defaultdict(Lengths))
    licences: Counter[str] = field(default_factory=Counter)
    sources: Counter[tuple[str, str]] = field(default_factory=Counter)  # with the licence
    origins: Counter[str] = field(default_factory=Counter)
    models: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    varieties: Counter[tuple[str, str]] = field(default_factory=Counter)
    guidelines: set[tuple[str, int]] = field(default_factory=set)
    agreements: set[int] = field(default_factory=set)  # versions of what contributors agree to
    crawled: set[str] = field(default_factory=set)  # years
    edited: int = 0
    masked: int = 0
    given: int = 0  # rows with an input
    ratings: dict[str, Counter[tuple[int, ...]]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, row: Row, split: str) -> None:
        code = row["language"]
        self.rows += 1
        self.names[code] = row["language_name"]
        self.languages[code] += 1
        self.splits[split][code] += 1
        self.instructions[code].add(len(row["instruction"]))
        self.responses[code].add(len(row["response"]))
        self.licences[row["licence"]] += 1
        self.sources[row.get("source", ""), row["licence"]] += 1
        self.origins[row.get("origin", "")] += 1
        self.given += bool(row["input"])
        self.edited += bool(row.get("edited"))
        self.masked += bool(row.get("masked"))
        if model := row.get("model"):
            self.models[model["name"], model["revision"], model["licence"]] += 1
        said = tuple(sorted(each["overall"] for each in row["ratings"] if each.get("overall")))
        self.ratings[code][said] += 1
        if lineage := row.get("lineage"):
            self._add_lineage(code, lineage)

    def _add_lineage(self, code: str, lineage: Row) -> None:
        text = lineage.get("text") or {}
        if variety := text.get("variety"):
            self.varieties[code, variety] += 1
        if crawled := text.get("crawled"):
            self.crawled.add(crawled[:4])
        for review in lineage.get("reviews") or ():
            self.guidelines.add((code, review.get("guidelines") or 0))
            self.agreements.add(review.get("agreement") or 0)

    def raters(self) -> Counter[int]:
        """How many rows so many people's ratings stand behind."""
        found: Counter[int] = Counter()
        for patterns in self.ratings.values():
            for said, rows in patterns.items():
                found[len(said)] += rows
        return found

    def agreement(self, code: str) -> tuple[int, float, reliability.Estimate | None] | None:
        """Of the rows of a language that two people or more rated: how many, the share on which all gave the same
        level, and Krippendorff's alpha for ordered levels. None where they are too few to tell."""
        shared = {said: rows for said, rows in self.ratings[code].items() if len(said) > 1}
        rows = sum(shared.values())
        if rows < RATED_MIN:
            return None
        same = sum(number for said, number in shared.items() if len(set(said)) == 1)
        counts = np.array([[said.count(level) for level in range(1, LEVELS + 1)] for said in shared])
        alpha = reliability.alpha(np.repeat(counts, list(shared.values()), axis=0), "ordinal")
        return rows, same / rows, alpha
