"""The facts that every document of a release is made from, and the words that are true of all releases.

What is not known is said to be not known. documents.py tells them to people, croissant.py to machines.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from annotation.formats import FORMATS, PAIRS, RATINGS, kind_of
from annotation.surveying import Survey
from generation.models import PREFERENCES, Release, Split

WHAT = {
    PAIRS: "an English instruction, written or checked by native speakers, with a natural text that answers it",
    PREFERENCES: "an English instruction that native speakers wanted for a text, and a draft that they did not",
    RATINGS: "what native speakers said of an English instruction for a natural text",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the documents say is said from here. `files`: what the manifest says of each file."""

    release: Release
    survey: Survey
    files: Mapping[str, Mapping[str, Any]]

    @property
    def licence(self) -> str:
        return self.release.licence or "unknown"

    @property
    def licence_url(self) -> str:
        return f"https://spdx.org/licenses/{self.release.licence}.html" if self.release.licence else ""

    @property
    def url(self) -> str:
        """Where the data are published; a name and no address where nobody has said."""
        return settings.PUBLISHED_AT or f"urn:sha256:{self.release.sha256}"

    @property
    def published(self) -> str:
        return self.release.ready_at.date().isoformat() if self.release.ready_at else ""

    @property
    def description(self) -> str:
        languages = ", ".join(self.survey.names[code] for code in sorted(self.survey.names))
        return f"{self.survey.rows:,} rows in {languages}: each {WHAT[kind_of(self.release)]}."

    def by_format(self) -> dict[str, dict[str, list[str]]]:
        """Names of files by format and split. Where a release has no splits, all of it is for training."""
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for name, said in sorted(self.files.items()):
            found[said["format"]][said["split"] or Split.TRAIN.value].append(name)
        order = list(Split)
        return {
            format: dict(sorted(found[format].items(), key=lambda part: order.index(Split(part[0]))))
            for format in FORMATS
            if format in found
        }

    def models(self) -> Counter[tuple[str, str, str]]:
        """Who drafted how many of the instructions that people began with."""
        return Counter({model: rows for model, rows in self.survey.by("model").items() if model})


def answers_of(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    answers = sorted(told["answers"].items())
    return [
        (f"{question}: {answer}", people) for question, cells in answers for answer, people in sorted(cells.items())
    ]


# What is true of every release, said once

PREPARED = (
    "Texts were repaired (mojibake) and normalised (NFC) once, at import; judged by length, repetition, script and "
    "language; and cut at paragraphs where a page was long. Exact and near duplicates were left out. Passages that "
    "people marked as not belonging, such as menus and footers, were cut."
)
PROCESS = (
    "A model drafts English instructions for a text; native speakers of the text's language choose, edit or write one "
    "and rate alignment, instruction and text from 1 to 5. A pair is accepted when as many people as the language's "
    "policy asks for accept the same words and their overall ratings differ by less than 2; a policy may let an accept "
    "of experienced people count alone. What people dispute is decided by a linguist, or stays out."
)
MASKED = (
    "E-mail and IP addresses, telephone numbers, and numbers of identity papers, cards and accounts are masked where "
    "they were recognised; names are not."
)
ANNOTATORS = (
    "Reviewers were invited by those who lead the language. What follows is what some of them chose to say of "
    "themselves, counted per language; everything else about them is kept apart from the data. Counts are told in "
    "steps of five: none of fewer than five people, nor one from which such a count would follow."
)
UNTOLD = "Too few people, or too few answers, to tell any of it."
NOT_HERE = (
    "Not part of these files. Reviewers were invited by those who lead the language; who they are, and anything about "
    "them, is kept apart from the data."
)
AGREED = (
    "Figures of agreement are of the people who decided for a row, and a row is accepted only where they are close: on "
    "all texts the share of equal levels is lower, and α, which asks how far people tell rows apart, may be higher."
)
AGREED_ON_ALL = "Figures of agreement are of everybody who rated an item, whether it was accepted or not."
LIMITS = [
    "Responses are texts of the web and were not written as answers; facts in them were not verified.",
    "Recognising personal data misses some of it.",
]
BIASES = [
    "What the web holds in a language is not what its speakers say: some genres, regions and ages write more of it.",
    "Reviewers chose to take part, and few of them may stand behind many rows of a language.",
]
MAINTAINED = (
    "A release never changes. Corrections come as a new version, with the number of rows added, edited and withdrawn. "
    "Rows that are taken down are emptied where they are kept, and the release is withdrawn."
)
