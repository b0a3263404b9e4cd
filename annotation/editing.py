"""What kind of edit a person made to a drafted English instruction. Pure: no Django, no people."""

from enum import StrEnum

import regex
from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from annotation.agreement import plain

WORD = regex.compile(r"[\p{L}\p{N}]+(?:['’\-][\p{L}\p{N}]+)*")
SAME_WORD = 75  # per cent of letters: "story" and "stories", "color" and "colour"
REWRITE = 0.4  # share of words kept, below which little of the draft is left
# Words that carry grammar and little of the question.
GRAMMAR_WORDS = """
    a an the this that these those and or but nor so yet if then than as at by for from in into of off on onto out
    over to up with without within about is are was were be been being am do does did has have had will would shall
    should can could may might must it its he she they them his her their you your we our i me my please just also
    very really quite there here which who whom whose what when where why how
"""
GRAMMAR = frozenset(GRAMMAR_WORDS.split())


class EditKind(StrEnum):
    NONE = "none"
    COSMETIC = "cosmetic"  # capitals, punctuation, spaces
    FLUENCY = "fluency"  # grammar, inflection, order: the words that carry the question are the same
    MEANING = "meaning"  # it asks for something else, in part
    REWRITE = "rewrite"  # little of the draft is left


def kind_of_edit(draft: str, final: str) -> EditKind:
    """How far the final wording is from the draft.

    >>> str(kind_of_edit("describe a market", "Describe the market."))
    'fluency'
    """
    if plain(draft) == plain(final):
        return EditKind.NONE
    before, after = _words(draft), _words(final)
    if before == after:
        return EditKind.COSMETIC
    if Indel.normalized_similarity(before, after) < REWRITE:
        return EditKind.REWRITE
    content_before, content_after = _content(before), _content(after)
    if _all_found(content_before, content_after) and _all_found(content_after, content_before):
        return EditKind.FLUENCY
    return EditKind.MEANING


def _words(text: str) -> list[str]:
    return [word.casefold() for word in WORD.findall(plain(text))]


def _content(words: list[str]) -> set[str]:
    return {word for word in words if word not in GRAMMAR}


def _all_found(words: set[str], among: set[str]) -> bool:
    """Whether each word, or an inflected form of it, is there."""
    return all(word in among or any(_is_form(word, other) for other in among) for word in words)


def _is_form(word: str, other: str) -> bool:
    if word.isdecimal() or other.isdecimal():
        return False  # another number is another question
    return word[:3] == other[:3] and fuzz.ratio(word, other) >= SAME_WORD
