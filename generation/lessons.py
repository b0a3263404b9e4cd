"""What a fine-tune run learns from: the pairs of its releases and seeds, each as a question and the reply to learn."""

from collections.abc import Iterable, Sequence
from typing import Any

from generation import prompts, ratings, rubric
from generation.models import FineTuneRun, SeedPair, Task


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
        frozen = release.rows.order_by("position").values_list("row", "text_sha256")
        rows += [row | {"text_sha256": sha256} for row, sha256 in frozen]
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
            }
        )
    return ratings.without_gold(row for row in rows if row["instruction"].strip() and row["response"].strip())


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
