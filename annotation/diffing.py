"""Differences between a text and what a person made of it, in reading order. The browser shows words with jsdiff."""

from typing import Literal, NamedTuple

import regex
from rapidfuzz.distance import Levenshtein

# Scripts that write no space between words are compared by grapheme, so that no vowel sign loses its consonant.
UNSPACED = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Han}\p{Hiragana}\p{Katakana}\p{Tibetan}"
GRAPHEME = regex.compile(r"\X")
WORD = regex.compile(rf"(?![{UNSPACED}])[\p{{L}}\p{{N}}'’]")
LINES = regex.compile(r"[^\n]*\n+|[^\n]+")
MOST_CELLS = 30_000_000  # of the table that a comparison fills; beyond it, lines are compared instead of words


class Piece(NamedTuple):
    kind: Literal["same", "gone", "new"]
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """What went and what came. The "same" and "new" pieces put together are `after`."""
    old, new = words(before), words(after)
    if len(old) * len(new) > MOST_CELLS:
        old, new = LINES.findall(before), LINES.findall(after)
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


def words(text: str) -> list[str]:
    """Words, runs of white space, and one by one the graphemes that belong to neither."""
    found: list[str] = []
    kind_before = None
    for grapheme in GRAPHEME.findall(text):
        kind = "space" if grapheme.isspace() else "word" if WORD.match(grapheme) else None
        if kind and kind == kind_before:
            found[-1] += grapheme
        else:
            found.append(grapheme)
        kind_before = kind
    return found


def shortened(pieces: list[Piece], around: int = 60) -> list[Piece]:
    """The changes with some of what stands around them: long texts with one new word need not be sent twice."""
    last = len(pieces) - 1
    short: list[Piece] = []
    for number, piece in enumerate(pieces):
        before, after = around * (number > 0), around * (number < last)
        if piece.kind != "same" or len(piece.text) <= before + after + 20:
            short.append(piece)
            continue
        graphemes = regex.findall(r"\X", piece.text)
        if len(graphemes) <= before + after:
            short.append(piece)
            continue
        end = "".join(graphemes[len(graphemes) - after :]) if after else ""
        short.append(Piece("same", "".join(graphemes[:before]) + " … " + end))
    return short
