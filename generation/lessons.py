"""What a fine-tune run learns from: the pairs of its releases and seeds, each as a question and the reply to learn.

Some pairs are held out, so that the run can be told what it has understood from what it has learned by heart. Nothing
is on both sides: neither a source document nor an instruction, whatever language it is answered in.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import TextField, Value
from django.db.models.functions import MD5, Concat

from generation import prompts, ratings, rubric
from generation.models import Candidate, FineTuneRun, SeedPair, Split, Task

SEEDS, UNCURATED = "seeds", "uncurated"  # what they are called where sources are named
VALIDATION_MOST = 1000  # pairs; more would only take time from the training


def example(task: str, row: dict[str, Any], *, tags: bool = False) -> tuple[prompts.Prompt, str]:
    """The question and the reply to learn, for one pair. Loss is on the reply alone.

    With `tags` the question says whether the pair is a seed or comes from the web, as X-Instruction's two response
    prompts do; drafts and answers are later asked for with the tag of the web.
    """
    instruction, given, response = row["instruction"], row.get("input") or "", row["response"]
    source = prompts.SEED if tags and row.get("is_seed") else prompts.WEB
    if task == Task.DRAFT:
        version = prompts.PAPER_TAGGED if tags else prompts.PAPER
        return prompts.draft(response, version, source=source), prompts.drafted_reply(instruction, given)
    if task == Task.SCORE:
        return rubric.levels(instruction, given, response), str(row["level"])
    asked = prompts.answer_prompt(instruction, row["language_name"], given, source=source)
    return prompts.Prompt("", "", asked), response


def rows_of(run: FineTuneRun) -> list[dict[str, Any]]:
    """Every pair of the run's sources, in an order that does not depend on chance."""
    rows: list[dict[str, Any]] = []
    for release in run.releases.order_by("sha256"):
        frozen = release.rows.filter(blanked_at=None).order_by("position").values_list("row", "text_sha256", "split")
        train = Split.TRAIN if release.rows.filter(split=Split.VALIDATION).exists() else ""  # some may be held out yet
        rows += [
            row | {"text_sha256": sha256, "split": train if split == Split.TRAIN else split, "from": release.name}
            for row, sha256, split in frozen
        ]
    for seed in seed_pairs(run.seeds, run.config).select_related("language"):
        rows.append(
            {
                "instruction": seed.instruction,
                "input": "",
                "response": seed.response,
                "language": seed.language.code,
                "language_name": seed.language.name,
                "licence": seed.licence_id,
                "pair": seed.sha256,
                "is_seed": True,
                "from": SEEDS,
            }
        )
    return ratings.without_gold(row for row in rows if row["instruction"].strip() and row["response"].strip())


def split(rows: Sequence[dict[str, Any]], share: float, seed: int = 0) -> tuple[list[Any], list[Any]]:
    """Training and validation rows; rows that hang together by a document or an instruction go to one side.

    A release's own split decides where it has one, and its test rows are on neither side. Elsewhere chance does, by a
    hash, so that the same rows fall to the same side in every run, whatever the seed of its training. A group that is
    larger than what is wanted, as where half the pairs have one wording in common, is learned from.
    """
    training: list[dict[str, Any]] = []
    validation: list[dict[str, Any]] = []
    unnamed = []
    for group in _groups(rows):
        named = {row["split"] for row in group if row.get("split")}
        if Split.VALIDATION in named and Split.TEST not in named:
            validation += group
        elif not named:
            unnamed.append(group)
        elif Split.TEST not in named:
            training += group
    wanted = share * sum(map(len, unnamed))
    for group in sorted(unnamed, key=lambda group: draw(min(map(_instruction, group)), seed)):
        if len(group) <= wanted:
            validation += group
            wanted -= len(group)
        else:
            training += group
    order = {id(row): number for number, row in enumerate(rows)}
    training.sort(key=lambda row: order[id(row)])
    validation.sort(key=lambda row: draw(f"{row['instruction']}\n{row['response']}", seed))
    return (training, validation[:VALIDATION_MOST]) if training else (validation, [])


def _groups(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows that share a source document or an instruction, with others or through others."""
    parent = list(range(len(rows)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    first: dict[tuple[str, str | None], int] = {}
    for place, row in enumerate(rows):
        text = row.get("text_sha256") or hashlib.sha256(row["response"].encode()).hexdigest()
        for mark in (("text", text), ("url", row.get("url")), ("instruction", _instruction(row))):
            if mark[1]:
                parent[root(place)] = root(first.setdefault(mark, place))
    groups: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups[root(place)].append(row)
    return list(groups.values())


def _instruction(row: dict[str, Any]) -> str:
    return " ".join(row["instruction"].casefold().split())


def uncurated(like: Sequence[dict[str, Any]], apart: Sequence[dict[str, Any]], until: int, seed: int) -> list[Any]:
    """As many raw drafts as there are pairs in each language, whatever became of them: the other side of an ablation.

    Args:
        apart: pairs whose documents are kept out, as they are measured on.
        until: the newest candidate that takes part.
    Raises:
        NotEnough: there are fewer drafts in a language.
    """
    shut = {row.get(name) for row in apart for name in ("text_sha256", "url")} - {None, ""}
    drawn: list[dict[str, Any]] = []
    for code, number in sorted(Counter(row["language"] for row in like).items()):
        found: dict[str, dict[str, Any]] = {}
        by_chance = MD5(Concat("pk", Value(f":{seed}"), output_field=TextField()))
        drafts = Candidate.objects.drafted_in(code, until).order_by(by_chance).select_related("text__language")
        for draft in drafts.iterator(chunk_size=1000):
            text = draft.text
            if len(found) == number:
                break
            if text.sha256 not in shut and text.url not in shut:
                found.setdefault(text.sha256, _as_row(draft))
        if len(found) < number:
            raise ratings.NotEnough(
                f"{number} pairs in {code} were chosen, and only {len(found)} other texts have a draft."
            )
        drawn += found.values()
    return ratings.without_gold(drawn)


def _as_row(draft: Candidate) -> dict[str, Any]:
    text = draft.text
    return {
        "instruction": draft.instruction,
        "input": draft.input,
        "response": text.body,
        "language": text.language.code,
        "language_name": text.language.name,
        "licence": text.licence_id,
        "text_sha256": text.sha256,
        "url": text.url,
        "from": UNCURATED,
    }


def draw(subject: str, seed: int) -> float:
    """A number from 0 to 1 that is chance to everybody and always the same."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{subject}".encode()).digest()[:8]) / 2**64


def weighted(rows: Sequence[dict[str, Any]], weights: dict[str, float], seed: int) -> list[dict[str, Any]]:
    """The rows as often as their source weighs: 2 takes each twice, 0.5 every other one, by a hash."""
    taken = []
    for row in rows:
        whole, part = divmod(weights.get(row.get("from", ""), 1.0), 1)
        taken += [row] * (int(whole) + (draw(f"{row['instruction']}\n{row['response']}", seed) < part))
    return taken


def seed_pairs(codes: Sequence[str], config: dict[str, Any]) -> Any:
    pairs = SeedPair.objects.trainable(unverified=config.get("unverified", True))  # runs from before it was asked
    return pairs.filter(language__code__in=codes).order_by("language__code", "sha256")


def fitted(tokenizer: Any, examples: Sequence[tuple[prompts.Prompt, str]], max_length: int) -> list[dict[str, str]]:
    """Prompt and completion as TRL wants them; texts are shortened until both fit, and what cannot fit is left out."""
    rows = []
    for prompt, completion in examples:
        room = max_length - len(tokenizer(completion, add_special_tokens=False)["input_ids"]) - 1
        room = max(room, max_length // 4)  # a long reply is cut at its end instead
        tokens = len(tokenizer(prompt.plain())["input_ids"])
        while tokens > room and prompt.text:
            prompt = prompt.shortened(min(int(len(prompt.text) * max(room - 16, 0) / tokens), len(prompt.text) - 1))
            tokens = len(tokenizer(prompt.plain())["input_ids"])
        if tokens < max_length:
            rows.append({"prompt": prompt.plain(), "completion": completion})
    return rows


def preferences(tokenizer: Any, rows: Iterable[dict[str, Any]], max_length: int) -> list[dict[str, str]]:
    """Prompt, the instruction people wanted and the draft they did not, with texts shortened until both fit."""
    examples = []
    for row in rows:
        prompt, chosen = example(Task.DRAFT, row)
        rejected = prompts.drafted_reply(row["rejected"]["instruction"], row["rejected"]["input"])
        for fit in fitted(tokenizer, [(prompt, max(chosen, rejected, key=len))], max_length):
            examples.append({"prompt": fit["prompt"], "chosen": chosen, "rejected": rejected})
    return examples
