"""The words that models are asked with. Knows neither Django nor any model.

Every wording is a file in wording/ and has a version, which a run records with the file's hash: change the words, add
a file, and add it to SHA256SUMS. A prompt keeps its text apart from the words around it, so that a backend can shorten
the text, and never the question, where the context is too small.
"""

import functools
import hashlib
import random
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generation.prompts.replies import Reply, parse_reply
from generation.prompts.shielding import apart_from, neutralise

__all__ = ["Reply", "neutralise", "parse_reply"]

PAPER = "paper-1"  # the Alpaca-style prompt of X-Instruction, for base models
PAPER_TAGGED = "paper-2"  # the same with where the text is from, for models trained on web texts and seed pairs
CHAT = "chat-2"  # few-shot messages in three styles, for models with a chat template
ANSWER = "answer-1"  # instruction → response
WORDING = Path(__file__).parent / "wording"
VERSIONS = tuple(sorted(path.stem for path in WORDING.glob("*.toml") if path.stem != ANSWER))  # of the draft prompts

INSTRUCTION, QUESTION, SEARCH = STYLES = ("instruction", "question", "search")
STYLE_MIX = {INSTRUCTION: 5.0, QUESTION: 3.0, SEARCH: 2.0}  # where a language has no mix of its own
LENGTH_HINTS = 0.2  # share of drafts that are asked to name the answer's length
WEB, SEED = "web", "seed"  # where a text is from

EXAMPLES = 3  # per prompt
EXAMPLE_CHARS = 400


@dataclass(frozen=True, slots=True)
class Example:
    """A text and what was to be written for it."""

    text: str
    reply: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a model: `text` is what may be shortened, `before` and `after` are not."""

    before: str
    text: str
    after: str
    system: str = ""
    is_chat: bool = False
    examples: tuple[Example, ...] = ()
    schema: str = ""  # JSON schema that the reply is held to, by backends that can

    def plain(self) -> str:
        """For base models. The completion follows without a space."""
        return f"{self.before}{self.text}{self.after}"

    def messages(self, *, has_system_role: bool = True) -> list[dict[str, str]]:
        """For chat models; without a system role, its words stand at the head of the first question."""
        turns = []
        for example in self.examples:
            turns.append({"role": "user", "content": replace(self, text=example.text).plain()})
            turns.append({"role": "assistant", "content": example.reply})
        turns.append({"role": "user", "content": self.plain()})
        if not self.system:
            return turns
        if has_system_role:
            return [{"role": "system", "content": self.system}, *turns]
        return [{"role": "user", "content": f"{self.system}\n\n{turns[0]['content']}"}, *turns[1:]]

    def shortened(self, chars: int) -> "Prompt":
        """A shorter question about the same text: one example fewer, or where there is none, the first `chars` code
        points of the text, cut between words where there are any."""
        if chars >= len(self.text):
            return self
        if self.examples:
            return replace(self, examples=self.examples[:-1])
        return replace(self, text=beginning(self.text, chars))

    def neutral_to(self, special_tokens: Iterable[str]) -> "Prompt":
        """The same prompt with a tokenizer's own special tokens in the texts taken apart."""
        tokens = list(special_tokens)
        examples = tuple(replace(each, text=apart_from(tokens, each.text)) for each in self.examples)
        return replace(self, text=apart_from(tokens, self.text), examples=examples)


def beginning(text: str, chars: int) -> str:
    """The first code points of a text, cut between words where there are any."""
    if len(text) <= chars:
        return text
    cut = text[: max(chars, 0)]
    space = cut.rfind(" ")
    return (cut[:space] if space > len(cut) // 2 else cut).rstrip()


# Versions


@functools.cache
def wording(version: str) -> dict[str, Any]:
    """What a version's file says.

    Raises:
        ValueError: no such version.
    """
    if version not in {*VERSIONS, ANSWER}:
        raise ValueError(f"no prompt version '{version}'; known: {', '.join(VERSIONS)}")
    return tomllib.loads((WORDING / f"{version}.toml").read_text(encoding="utf-8"))


@functools.cache
def wording_sha256(version: str) -> str:
    """The hash of a version's file, which goes on record with what was drafted with it."""
    return hashlib.sha256((WORDING / f"{version}.toml").read_bytes()).hexdigest()


def has_styles(version: str) -> bool:
    """Whether this version asks in styles, with examples."""
    return "styles" in wording(version)


def is_chat(version: str) -> bool:
    """Whether only a model with a chat template can be asked this way."""
    return bool(wording(version).get("is_chat"))


# Asking


def draft(
    body: str,
    version: str,
    *,
    style: str = INSTRUCTION,
    names_length: bool = False,
    examples: Sequence[Example] = (),
    source: str = WEB,
) -> Prompt:
    """The prompt of that version for a text. What the version has no words for is left out.

    Args:
        names_length: have the instruction say how long the answer is to be.
        examples: pairs of the language itself, in this style; the version's own fill up the number.
        source: where the text is from, for a model that learnt to tell.
    Raises:
        ValueError: no such version or style.
    """
    words = wording(version)
    text = neutralise(body.strip())
    if version == PAPER_TAGGED:
        words = words | {"before": words["before"].replace("{source}", words["sources"][source])}
    if not has_styles(version):
        return Prompt(words["before"], text, words["after"], system=words.get("system", ""), is_chat=is_chat(version))
    if style not in words["styles"]:
        raise ValueError(f"no style '{style}' in {version}; known: {', '.join(words['styles'])}")
    question = words["styles"][style]["question"]
    if names_length:
        question += " " + words["length"].replace("{length}", length_of(text))
    shown = [Example(neutralise(beginning(each.text.strip(), EXAMPLE_CHARS)), each.reply) for each in examples]
    shown += [Example(each["text"], each[style]) for each in words["examples"]]
    return Prompt(
        words["before"],
        text,
        words["after"].replace("{question}", question),
        system=words["system"].strip().replace("{style}", words["styles"][style]["system"]),
        is_chat=True,
        examples=tuple(shown[:EXAMPLES]),
    )


def draft_prompt(body: str) -> str:
    """The paper's prompt for a draft, for base models and fine-tuning. The instruction follows its last newline."""
    return draft(body, PAPER).plain()


def drafted_reply(instruction: str, input: str = "") -> str:
    """What a model replies to the paper's prompt, as `parse_reply` reads it."""
    return f"{instruction}\n\n### Input:\n{input}" if input else instruction


def answer(instruction: str, language_name: str, input: str = "", *, source: str = WEB) -> Prompt:
    """The paper's prompt for an answer in the language. Ends in a newline; the response follows.

    An empty language name leaves the language open. Source `seed` asks for the style of an assistant, as the paper's
    second wording does.
    """
    words = wording(ANSWER)
    header = words["with_input"] if input else words["plain"]
    tag = words["tags"][source].replace("{language}", language_name) if language_name else ""
    given = f"### Input:\n{input}\n\n" if input else ""
    return Prompt(f"{header}\n\n### Instruction:\n", instruction, f"{tag}\n\n{given}### Response:\n")


def answer_prompt(instruction: str, language_name: str, input: str = "", *, source: str = WEB) -> str:
    """The same as one string."""
    return answer(instruction, language_name, input, source=source).plain()


def answer_in_chat(instruction: str, language_name: str, input: str = "") -> Prompt:
    """The same question for models with a chat template, which bring their own words around it."""
    tag = wording(ANSWER)["tags"][WEB].replace("{language}", language_name) if language_name else ""
    return Prompt("", instruction, f"{tag}\n\n{input}" if input else tag, is_chat=True)


# Styles and lengths


def draw(mix: Mapping[str, float], length_hints: float, seed: int) -> tuple[str, bool]:
    """The style of one draft, and whether it names the answer's length. The same seed draws the same."""
    drawn = random.Random(seed)  # noqa: S311 - a fair draw that can be repeated is what is wanted
    styles = sorted(mix)
    style = drawn.choices(styles, weights=[mix[style] for style in styles])[0]
    return style, drawn.random() < length_hints and style != SEARCH


def parse_mix(said: str) -> dict[str, float]:
    """A style mix as people write it: "instruction=5 question=3", in shares of any size.

    Raises:
        ValueError: an unknown style, or shares that leave nothing.
    """
    mix: dict[str, float] = {}
    for part in said.replace(",", " ").split():
        style, _, share = part.partition("=")
        if style not in STYLES or not re.fullmatch(r"\d{1,6}(?:\.\d{1,6})?", share):
            raise ValueError(f"'{part}' is no share of a style; write instruction=5 question=3 search=2.")
        mix[style] = float(share)
    if not sum(mix.values()):
        raise ValueError("The style mix leaves nothing to draft: give at least one style a share above 0.")
    return mix


def style_of(instruction: str) -> str:
    """The style that a finished instruction reads as."""
    said = instruction.strip()
    if said.endswith(("?", "？", '?"', "?”")):
        return QUESTION
    return SEARCH if said[:1].islower() and not said.endswith((".", "!", ":")) else INSTRUCTION


def length_of(text: str) -> str:
    """How long a text is, in words that fit every script: by its paragraphs, and a single one by its size."""
    paragraphs = sum(any(map(str.isalnum, line)) for line in text.splitlines())
    if paragraphs <= 1:
        return "a sentence or two" if len(text) < 200 else "one short paragraph" if len(text) < 500 else "one paragraph"
    return f"about {paragraphs} paragraphs" if paragraphs <= 12 else "a long text of many short paragraphs"
