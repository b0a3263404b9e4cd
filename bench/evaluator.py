"""A trained evaluator against the first cut, on seed pairs: which one puts the right answer above a wrong one?

    python -m bench.evaluator --seeds seed_pairs.jsonl

Reads pairs with the keys instruction, response, lang and kind; takes questions and FAQ of the languages named. The
instruction decides which side a pair is on, so no instruction, in whatever language it is answered, is on both. The
evaluator is trained on one side from the starter model on constructed levels, as `finetune --task score` does, and
both are asked about the other side: the right answer, the answer to another question (same language, similar length)
and the right answer spoilt. AUC is how often the right answer gets the higher score; intervals are of a bootstrap over
instructions, and that of the gain is paired. Needs no database.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from generation.reliability import auc

DRAWS = 1000
TESTED = 0.4  # share of the instructions
KINDS = ("question-answer-sentence", "question-short-answer", "faq")
CONFIG = {"batch_size": 16, "learning_rate": 1e-3, "max_length": 384, "order": "group_by_length"}  # else the defaults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=Path, required=True, metavar="FILE", help="JSONL of seed pairs")
    parser.add_argument("--languages", default="th,tr,vi,hi", help="(default: th,tr,vi,hi)")
    parser.add_argument("--epochs", type=float, default=3.0, help="(default: 3)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("XI_DEBUG", "1")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xinstruct_site.settings")
    import django

    django.setup()
    from generation import ratings

    console = Console()
    data = options.seeds.read_bytes()
    rows = read(data, set(options.languages.split(",")))
    learned, tested = ratings.split(rows, options.seed, TESTED)
    cases = ratings.constructed(tested, options.seed + 7)
    started = time.process_time()
    with console.status("asking the first cut"):
        first = first_cut(cases)
    with tempfile.TemporaryDirectory() as folder:
        trained, about = train_and_ask(learned, cases, Path(folder), options, console)
    scores = {"first cut (likelihood)": first, "names and numbers alone": evidence_alone(cases), "trained": trained}
    console.print(table(cases, scores, options.languages.split(",")))
    for level, name in ((ratings.WORST, "mismatched, similar length"), (ratings.FLAWED, "degraded")):
        for than in list(scores)[:-1]:
            gain, low, high = gain_of(cases, trained, scores[than], level)
            verdict = "the interval includes 0: no gain is shown" if low <= 0 <= high else "the interval leaves 0 out"
            console.print(f"{name}, trained over {than}: {gain:+.3f} ({low:+.3f} to {high:+.3f}); {verdict}")
    console.print(
        f"{len(learned)} pairs to learn from, {len(tested)} to test on "
        f"({len({row['instruction'] for row in tested})} instructions)\n{about}\n"
        f"{time.process_time() - started:.0f} seconds of CPU; sha256 of the file: {hashlib.sha256(data).hexdigest()}",
        highlight=False,
    )
    return 0


def read(data: bytes, languages: set[str]) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in data.decode("utf-8").splitlines() if line.strip()]
    return [
        {"instruction": row["instruction"], "response": row["response"], "language": row["lang"]}
        for row in rows
        if row["lang"] in languages and row["kind"] in KINDS
    ]


def first_cut(cases: Sequence[dict[str, Any]]) -> list[float]:
    from generation import judging, rubric
    from generation.backends import hf_local
    from generation.backends.base import Source

    starter = hf_local.load(Source(model=hf_local.STARTER))
    return [rating.raw or 0.0 for rating in judging.rate(judging.Evaluator(starter, rubric.LIKELIHOOD), pairs(cases))]


def train_and_ask(
    learned: list[dict[str, Any]], cases: Sequence[dict[str, Any]], folder: Path, options: Any, console: Console
) -> tuple[list[float], str]:
    """What the trained evaluator says of the cases, and a line about it."""
    from generation import finetuning, judging, ratings, recipes, rubric, training
    from generation.backends import hf_local
    from generation.backends.base import Source
    from generation.models import Method, ModelVersion, Task

    lesson = ratings.lesson(learned, options.seed + 1)  # with the same seed its held-out pairs would be the tested
    config = recipes.DEFAULTS | CONFIG | {"epochs": options.epochs, "seed": options.seed}
    with console.status("training") as status:
        written, outcome = training.fit(
            lesson.training,
            task=Task.SCORE,
            base=training.load_base(ModelVersion(name="starter model", location=hf_local.STARTER)),
            method=Method.FULL,
            config=config,
            work=folder,
            watch=training.Watch(lambda at: status.update(f"training, step {at.step} of {at.steps_total}")),
        )
    calibration = finetuning.calibrated(written, lesson)
    evaluator = judging.Evaluator(hf_local.load(Source(model=str(written))), rubric.LEVELS, calibration=calibration)
    scores = [rating.raw or 0.0 for rating in judging.rate(evaluator, pairs(cases))]
    return scores, (
        f"{len(lesson.training)} constructed examples, {outcome.steps} steps; calibrated on {calibration.pairs}: "
        f"expected calibration error {calibration.error_before} before, {calibration.error} after"
    )


def evidence_alone(cases: Sequence[dict[str, Any]]) -> list[float]:
    """Share of the instruction's names and numbers that the text holds: what needs no training at all."""
    from generation import evidence

    shares = []
    for case in cases:
        there, missing = evidence.found(case["instruction"], case["response"])
        shares.append(len(there) / len(there + missing) if there or missing else 0.3)
    return shares


def pairs(cases: Sequence[dict[str, Any]]) -> list[Any]:
    from generation import judging

    return [judging.Pair(case["instruction"], case["response"]) for case in cases]


def table(cases: Sequence[dict[str, Any]], scores: dict[str, list[float]], languages: list[str]) -> Table:
    from generation import ratings

    drawn = Table(title="AUC, with its 95 % interval", title_justify="left")
    for column in ("against", "language", *scores):
        drawn.add_column(column)
    for level, name in ((ratings.WORST, "mismatched"), (ratings.FLAWED, "degraded")):
        for language in ["all", *languages]:
            inside = [i for i, case in enumerate(cases) if language in {"all", case["language"]}]
            draws = bootstrap([cases[i] for i in inside], [[one[i] for i in inside] for one in scores.values()], level)
            low, high = np.quantile(draws[1:], [0.025, 0.975], axis=0)
            cells = [f"{draws[0, n]:.3f} ({low[n]:.3f}–{high[n]:.3f})" for n in range(len(scores))]
            drawn.add_row(name, language, *cells)
    return drawn


def gain_of(
    cases: Sequence[dict[str, Any]], scores: Sequence[float], base: Sequence[float], level: int
) -> tuple[float, float, float]:
    draws = bootstrap(cases, [scores, base], level)
    gains = draws[:, 0] - draws[:, 1]
    return gains[0], *np.quantile(gains[1:], [0.025, 0.975])


def bootstrap(cases: Sequence[dict[str, Any]], scores: Sequence[Sequence[float]], level: int) -> np.ndarray:
    """AUC of each list of scores (columns): first of all cases, then of instructions drawn with replacement."""
    from generation import ratings

    groups: dict[str, list[int]] = defaultdict(list)
    for i, case in enumerate(cases):
        groups[case["instruction"]].append(i)
    grouped = [np.array(inside) for inside in groups.values()]
    levels = np.array([case["level"] for case in cases])
    values = np.array(scores)
    chance = np.random.default_rng(0)
    draws = [np.arange(len(cases))]
    for _ in range(DRAWS):
        draws.append(np.concatenate([grouped[i] for i in chance.integers(0, len(grouped), len(grouped))]))
    return np.array(
        [[auc(one[i][levels[i] == ratings.BEST], one[i][levels[i] == level]) for one in values] for i in draws]
    )


if __name__ == "__main__":
    sys.exit(main())
