"""How a release's row looks in each format that trainers and other projects read. Knows rows, not files.

A format is a function and a line in the table. It either keeps the whole row, and can be taken in again, or names the
columns it keeps; what it drops follows from that.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.utils.translation import gettext_lazy

from annotation.files import ARRAY, CANONICAL, CSV, LINES, PARQUET, File, Row
from generation import prompts, ratings, rubric
from generation.models import PREFERENCES, Release

PAIRS, RATINGS = "pairs", "ratings"  # what a release holds; and PREFERENCES
# What may be added to an instruction: nothing, "Answer in Swahili.", or that and the style of an AI assistant. The last
# two are the response prompts of X-Instruction, for texts of the web and for answers that were written as answers.
NONE, LANGUAGE, ASSISTANT = TAGS = ("none", "language", "assistant")
LABELS = {
    NONE: gettext_lazy("instructions as they are"),
    LANGUAGE: gettext_lazy("the language named in each instruction"),
    ASSISTANT: gettext_lazy("the language and the style of an assistant"),
}
SOURCES = {LANGUAGE: prompts.WEB, ASSISTANT: prompts.SEED}


def whole(row: Row, tag: str) -> Iterator[Row]:
    yield row


def alpaca(row: Row, tag: str) -> Iterator[Row]:
    yield {"instruction": _instruction(row, tag), "input": row["input"], "output": row["response"]}


def sharegpt(row: Row, tag: str) -> Iterator[Row]:
    turns = [("human", _question(row, tag)), ("gpt", row["response"])]
    yield {"conversations": [{"from": who, "value": said} for who, said in turns]}


def messages(row: Row, tag: str) -> Iterator[Row]:
    turns = [("user", _question(row, tag)), ("assistant", row["response"])]
    yield {"messages": [{"role": who, "content": said} for who, said in turns]}


def prompt_completion(row: Row, tag: str) -> Iterator[Row]:
    """Plain strings, which base models without a chat template read; the response follows the prompt's newline."""
    named = row["language_name"] if tag in SOURCES else ""
    prompt = prompts.answer_prompt(row["instruction"], named, row["input"], source=SOURCES.get(tag, prompts.WEB))
    yield {"prompt": prompt, "completion": row["response"]}


def aya(row: Row, tag: str) -> Iterator[Row]:
    """Columns of the Aya dataset. A person's own wording is an original; what was drafted before is re-annotated.
    There is nobody's id: releases hold nothing of people."""
    yield {
        "inputs": _question(row, tag),
        "targets": row["response"],
        "language": row["language_name"],
        "language_code": row["language"],
        "annotation_type": "re-annotations" if row.get("model") else "original-annotations",
        "user_id": "",
    }


def generator(row: Row, tag: str) -> Iterator[Row]:
    """For models that draft: the text asks, the instruction is the reply."""
    yield {"prompt": prompts.draft_prompt(row["response"]), "completion": _drafted(row)}


def evaluator(row: Row, tag: str) -> Iterator[Row]:
    """For models that score: the pair asks, the level that people gave is the reply."""
    level = ratings.level_of(row)
    if level is not None:
        asked = rubric.levels(row["instruction"], row["input"], row["response"])
        yield {"prompt": asked.plain(), "completion": str(level)}


def preference(row: Row, tag: str) -> Iterator[Row]:
    """For DPO of a model that drafts: the text asks, people's instruction is chosen, the draft is rejected."""
    prompt = prompts.draft_prompt(row["response"])
    yield {"prompt": prompt, "chosen": _drafted(row), "rejected": _drafted(row["rejected"])}


def kto(row: Row, tag: str) -> Iterator[Row]:
    """For KTO of a model that drafts: instructions for a text, each wanted or not. Of preferences, both sides."""
    prompt = prompts.draft_prompt(row["response"])
    if "rejected" in row:
        yield {"prompt": prompt, "completion": _drafted(row), "label": True}
        yield {"prompt": prompt, "completion": _drafted(row["rejected"]), "label": False}
    elif (level := ratings.level_of(row)) is not None:
        yield {"prompt": prompt, "completion": _drafted(row), "label": level >= rubric.GOOD}


def _instruction(row: Row, tag: str) -> str:
    if tag not in SOURCES:
        return str(row["instruction"])
    said = prompts.wording(prompts.ANSWER)["tags"][SOURCES[tag]].replace("{language}", row["language_name"])
    return f"{row['instruction']}{said}"


def _question(row: Row, tag: str) -> str:
    question = _instruction(row, tag)
    return f"{question}\n\n{row['input']}" if row["input"] else question


def _drafted(said: Row) -> str:
    return prompts.drafted_reply(said["instruction"], said["input"])


PAIR = ("instruction", "input", "response")
NAMED = (*PAIR, "language_name")  # where the tag may say the language


@dataclass(frozen=True, slots=True)
class Format:
    """`keeps` are the row's columns that can be read off the files; None is all of them, word for word.

    `tag` is what is added unless asked otherwise: what a trainer reads as it stands names the language; in forms for
    interchange the words of the pair are left alone. A format without a tag takes none.
    """

    render: Callable[[Row, str], Iterator[Row]]
    keeps: tuple[str, ...] | None
    kinds: tuple[str, ...] = (PAIRS,)
    tag: str | None = None
    file: File = LINES
    per_language: bool = False

    @property
    def is_lossless(self) -> bool:
        return self.keeps is None

    def dropped(self, columns: Iterable[str]) -> list[str]:
        """Which of a release's columns its files do not tell."""
        return [] if self.keeps is None else [column for column in columns if column not in self.keeps]


ALL = (PAIRS, PREFERENCES, RATINGS)
FORMATS = {
    "rows": Format(whole, None, ALL, file=CANONICAL),
    "parquet": Format(whole, None, ALL, file=PARQUET),
    "csv": Format(whole, None, ALL, file=CSV),
    "alpaca": Format(alpaca, PAIR, tag=NONE),
    "sharegpt": Format(sharegpt, NAMED, tag=LANGUAGE),
    "messages": Format(messages, NAMED, tag=LANGUAGE),
    "prompt-completion": Format(prompt_completion, NAMED, tag=LANGUAGE),
    "xinstruction": Format(alpaca, (*PAIR, "language"), tag=NONE, file=ARRAY, per_language=True),
    "aya": Format(aya, (*NAMED, "language"), tag=NONE),
    "generator-sft": Format(generator, PAIR),
    "preference": Format(preference, (*PAIR, "rejected"), (PREFERENCES,)),
    "kto": Format(kto, (*PAIR, "rejected", "ratings"), (PREFERENCES, RATINGS)),
    "evaluator-sft": Format(evaluator, (*PAIR, "ratings"), (RATINGS,)),
}


def kind_of(release: Release) -> str:
    """What a release holds."""
    return RATINGS if release.holds_ratings else PREFERENCES if release.holds_preferences else PAIRS


def formats_of(release: Release) -> list[str]:
    """Names of the formats that a release can be written in. Gold is archived and never made into training data."""
    return [
        name
        for name, format in FORMATS.items()
        if kind_of(release) in format.kinds and (format.is_lossless or not release.is_gold)
    ]


def offered(release: Release) -> list[dict[str, object]]:
    """The formats that fit, each with the tags it can take, the usual one first, and the columns it drops."""
    first = release.rows.order_by("position").first()
    columns = sorted(first.row) if first else []
    return [
        {
            "name": name,
            "tags": sorted(LABELS.items(), key=lambda tag: tag[0] != FORMATS[name].tag) if FORMATS[name].tag else [],
            "drops": FORMATS[name].dropped(columns),
        }
        for name in formats_of(release)
    ]
