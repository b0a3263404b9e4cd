"""Does curation help? One base model tuned on curated pairs, tuned on as many that nobody chose, and left as it is.

Measured on pairs that neither side saw: the loss of a response after its own instruction, and how much larger it is
after another one. That gain says how much the model takes from the instruction, where a low loss may only say that it
has read more of the language. Intervals are of a bootstrap over instructions; every seed is a training of its own.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction
from django.template.loader import render_to_string

from generation import charts, evaluation, finetuning, intervals, jobs, lessons, prompts, queueing
from generation.backends.base import Backend, Sampling
from generation.intervals import Rate
from generation.models import Candidate, FineTuneRun, JobState, ModelVersion, Release, Split, Task
from xinstruct_site.people.languages import look_up

UNTUNED, CURATED, UNCURATED = "untuned", "curated", "uncurated"
TESTED = 0.2  # share of the pairs of a file
DRAFT = Sampling(temperature=0.7, top_p=0.9, top_k=50, max_new_tokens=96)
# What of a source's name stands for a part of a document: "guide.md#install (section 3)" is of guide.md.
PART = re.compile(r"#\S*| \((?:section|English heading)[^)]*\)")


class AblationError(Exception):
    """There is nothing to compare. The message says what is missing."""


@dataclass(slots=True)
class Arm:
    """What was measured of one side: for each seed the losses of every tested pair, own instruction and another's."""

    name: str
    own: list[list[float]] = field(default_factory=list)
    other: list[list[float]] = field(default_factory=list)

    def add(self, backend: Backend, tested: Sequence[Mapping[str, Any]]) -> None:
        self.own.append(evaluation.losses(backend, tested))
        self.other.append(evaluation.losses(backend, [dict(row) | {"instruction": row["other"]} for row in tested]))

    def losses(self) -> list[float]:
        """Of each tested pair, the mean over seeds."""
        return [sum(each) / len(each) for each in zip(*self.own, strict=True)]

    def gains(self) -> list[float]:
        """Of each tested pair, the mean over seeds of what another instruction costs."""
        others = [sum(each) / len(each) for each in zip(*self.other, strict=True)]
        return [other - own for other, own in zip(others, self.losses(), strict=True)]

    def gain_by_seed(self) -> list[float]:
        return [sum(other) / len(other) - sum(own) / len(own) for own, other in zip(self.own, self.other, strict=True)]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result: an arm, or the difference between two."""

    name: str
    loss: Rate
    gain: Rate
    by_seed: list[float]


def findings(arms: Sequence[Arm], tested: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Every arm, and then what curated pairs give beyond uncurated ones, pair by pair."""
    clusters = [row["instruction"] for row in tested]

    def mean(values: Sequence[float]) -> Rate:
        found = intervals.mean(zip(clusters, values, strict=True))
        if found is None:
            raise AblationError("Nothing was measured.")
        return found

    def found(name: str, losses: Sequence[float], gains: Sequence[float], by_seed: list[float]) -> Finding:
        return Finding(name, mean(losses), mean(gains), by_seed)

    of = {arm.name: arm for arm in arms}
    rows = [found(arm.name, arm.losses(), arm.gains(), arm.gain_by_seed()) for arm in arms]
    one, two = of[CURATED], of[UNCURATED]
    rows.append(
        found(
            f"{CURATED} − {UNCURATED}",
            _minus(one.losses(), two.losses()),
            _minus(one.gains(), two.gains()),
            _minus(one.gain_by_seed(), two.gain_by_seed()),
        )
    )
    return rows


def _minus(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(ones, others, strict=True)]


def with_others(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows, each with the instruction of another pair of its language; rows that find none are left out."""
    by_language: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_language[row["language"]].append(row["instruction"])
    turns: dict[str, Iterator[str]] = {}
    for code, asked in by_language.items():
        known = sorted(set(asked), key=lambda instruction: lessons.draw(instruction, 0))
        following = dict(zip(known, [*known[1:], known[0]], strict=True)) if len(known) > 1 else {}
        turns[code] = iter([following.get(instruction, "") for instruction in asked])
    paired = [dict(row) | {"other": next(turns[row["language"]])} for row in rows]
    return [row for row in paired if row["other"]]


# On a release: each side is queued runs


def open_runs(
    release: Release, base_model: ModelVersion, *, repeats: int, method: str, config: dict[str, Any]
) -> list[tuple[str, FineTuneRun]]:
    """The runs of both sides, a pair for each seed. Asked again they are the same runs.

    Raises:
        TrainingError: the recipe cannot be trained.
        AblationError: there is nothing to compare with.
    """
    until = drafts_until(release)
    if not until:
        raise AblationError("There are no drafts to draw the uncurated side from: manage.py draft makes them.")
    runs = []
    for seed in range(repeats):
        for arm, more in ((CURATED, {}), (UNCURATED, {"uncurated": until})):
            run = finetuning.open_run(
                Task.ANSWER,
                releases=[release],
                base_model=base_model,
                method=method,
                config=config | more | {"seed": seed},
            )
            finetuning.try_again(run)
            runs.append((arm, run))
    return runs


def drafts_until(release: Release) -> int:
    """The newest draft that may be drawn. An ablation that was begun on the release goes on with its own, since later
    drafts would make it another one; where it failed, as for want of drafts, it is begun anew."""
    begun = FineTuneRun.objects.filter(releases=release, config__uncurated__gt=0).order_by("-pk")
    until = begun.values_list("config__uncurated", flat=True).first()
    if until and not begun.filter(config__uncurated=until, state=JobState.FAILED).exists():
        return int(until)
    return Candidate.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def ring_for(runs: Sequence[tuple[str, FineTuneRun]]) -> None:
    """Hand the runs that wait to the workers.

    Raises:
        NoWorker: nobody would take them.
    """
    queueing.demand_worker(jobs.TRAINING_QUEUE)
    with transaction.atomic():
        for _arm, run in runs:
            if run.state == JobState.QUEUED and not queueing.is_waiting(run):
                queueing.ring(jobs.train_run, run, jobs.TRAINING_QUEUE)


def tested_of(run: FineTuneRun) -> list[dict[str, Any]]:
    """What to measure on: the release's test split, or else the pairs that its runs held out.

    Raises:
        AblationError: it has neither.
    """
    rows = lessons.rows_of(run)
    tested = [row for row in rows if row.get("split") == Split.TEST]
    tested = with_others(tested or lessons.split(rows, run.config["validation"])[1])
    if not tested:
        raise AblationError("No pair is left to measure on: the release has no test split, and nothing was held out.")
    return tested


# On a file of pairs: a check of the machinery, trained here


def read_pairs(data: bytes, languages: set[str], limit: int | None = None) -> list[dict[str, Any]]:
    """Pairs with the keys instruction, response, lang and source, as JSON lines.

    Raises:
        AblationError: a line is no such pair.
    """
    rows = []
    for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            code = str(row["lang"])
            pair = {"instruction": str(row["instruction"]).strip(), "response": str(row["response"]).strip()}
        except (ValueError, KeyError, TypeError) as exc:
            raise AblationError(f"Line {number} is no pair with instruction, response and lang: {exc}.") from exc
        known = look_up(code)
        if known and pair["instruction"] and pair["response"] and (not languages or code in languages):
            document = PART.sub("", str(row.get("source") or "")).strip()
            rows.append(pair | {"input": "", "language": code, "language_name": known.name, "url": document})
    if not rows:
        raise AblationError("The file holds no pair in the languages asked for.")
    rows.sort(key=lambda row: lessons.draw(f"{row['instruction']}\n{row['response']}", 0))
    return rows[:limit]


def drafted(backend: Backend, rows: Sequence[dict[str, Any]], batch: int = 64) -> Iterator[list[dict[str, Any]]]:
    """The rows with an instruction that a model drafts for the response, and nobody looks at; batch by batch."""
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        replies = backend.generate(
            [prompts.draft(row["response"], prompts.PAPER) for row in part],
            sampling=DRAFT,
            seeds=[int(lessons.draw(row["response"], 1) * 2**32) for row in part],
        )
        yield [
            row | {"instruction": prompts.parse_reply(reply.text).instruction}
            for row, reply in zip(part, replies, strict=True)
        ]


# The result


def write(folder: Path, title: str, found: Sequence[Finding]) -> list[Path]:
    """The plot and the figures, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(each.name, each.gain.value, each.gain.low, each.gain.high, each.by_seed) for each in found]
    plot = render_to_string("generation/ablation.svg", {"chart": charts.whiskers(rows), "title": title})
    figures = json.dumps({"title": title, "findings": [asdict(each) for each in found]}, indent=1) + "\n"
    written = []
    for name, content in (("ablation.svg", plot), ("ablation.json", figures)):
        partial = folder / f".{name}.partial"
        with partial.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / name)
        written.append(folder / name)
    return written
