"""Word-level differences between a draft and what a person made of it. The browser shows the same with jsdiff."""

from typing import Literal, NamedTuple

import regex
from rapidfuzz.distance import Levenshtein

WORDS = regex.compile(r"\s+|[\p{L}\p{M}\p{N}'’]+|[^\p{L}\p{M}\p{N}\s]")


class Piece(NamedTuple):
    kind: Literal["same", "gone", "new"]
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """What went and what came, in reading order. The "same" and "new" pieces put together are `after`."""
    old, new = WORDS.findall(before), WORDS.findall(after)
    pieces: list[Piece] = []
    for step in Levenshtein.opcodes(old, new):
        gone, come = "".join(old[step.src_start : step.src_end]), "".join(new[step.dest_start : step.dest_end])
        if step.tag == "equal":
            pieces.append(Piece("same", come))
            continue
        if gone:
            pieces.append(Piece("gone", gone))
        if come:
            pieces.append(Piece("new", come))
    return pieces
