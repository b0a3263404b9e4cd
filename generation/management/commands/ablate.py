"""`manage.py ablate RELEASE` and `manage.py ablate --seeds FILE`: does curation help, and does tuning work at all?"""

import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from generation import ablation, finetuning, lessons, queueing, recipes, training
from generation.ablation import CURATED, UNCURATED, UNTUNED, Arm
from generation.backends import hf_local
from generation.backends.base import BackendError, Source
from generation.intervals import Rate
from generation.management.commands.finetune import base_model
from generation.models import FineTuneRun, JobState, Method, Release, Task

POLL_SECONDS = 2


class Command(BaseCommand):
    help = (
        "Tune one base model on the curated pairs of a release and on as many raw drafts of other texts, some seeds "
        "each, and set both beside the untuned model: the loss of held-out responses after their own instruction, and "
        "how much larger it is after another one. Every side is a queued fine-tune run; called again it goes on. With "
        "--seeds FILE it is a check of the machinery on any pairs: split by instruction and source, tuned on the pairs "
        "as they are and on the same responses with an instruction that the starter model drafts and nobody filters. "
        "It then trains here, and keeps nothing but the figures. What a small model shows is no claim about a real one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("release", nargs="?", metavar="RELEASE", help="a ready release of pairs")
        parser.add_argument("--seeds", type=Path, metavar="FILE", help="JSONL: instruction, response, lang, source")
        parser.add_argument("--languages", default="", help="of FILE: th,tr (default: all)")
        parser.add_argument("--pairs", type=int, metavar="N", help="of FILE: use no more than N pairs")
        parser.add_argument("--base-model", default="starter", metavar="M", help="as for finetune (default: starter)")
        parser.add_argument("--method", choices=Method.values, default=Method.FULL)
        parser.add_argument("--repeats", type=int, default=3, metavar="N", help="seeds (default: 3)")
        parser.add_argument("--epochs", type=float)
        parser.add_argument("--batch-size", type=int)
        parser.add_argument("--learning-rate", type=float)
        parser.add_argument("--max-length", type=int)
        parser.add_argument("--here", action="store_true", help="train here, one after the other, and not in workers")
        parser.add_argument("--out", type=Path, metavar="DIR", help="also write ablation.svg and ablation.json there")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["release"]) == bool(options["seeds"]):
            raise CommandError("Name either a release or --seeds FILE.")
        if options["repeats"] < 1:
            raise CommandError("--repeats is at least 1.")
        names = ("epochs", "batch_size", "learning_rate", "max_length")
        config = {name: options[name] for name in names if options[name] is not None}
        try:
            with Progress(console=Console(stderr=True), transient=True) as bars:
                run = _on_file if options["seeds"] else _on_release
                title, arms, tested = run(options, config, bars)
            found = ablation.findings(arms, tested)
            written = ablation.write(options["out"], title, found) if options["out"] else []
        except (
            ablation.AblationError,
            recipes.TrainingError,
            training.NotOurs,
            queueing.NoWorker,
            BackendError,
            OSError,
        ) as exc:
            raise CommandError(str(exc)) from exc
        self._report(title, found, tested, written)

    def _report(self, title: str, found: list[ablation.Finding], tested: list[dict[str, Any]], written: Any) -> None:
        table = Table(title=title, title_justify="left")
        for column in ("", "loss, own instruction", "gain over another one", "gain of each seed"):
            table.add_column(column)
        for each in found:
            by_seed = ", ".join(f"{gain:+.3f}" for gain in each.by_seed)
            table.add_row(each.name, _said(each.loss, ""), _said(each.gain, "+"), by_seed)
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        console.print(table)
        console.print(
            f"On {len(tested)} pairs ({len({row['instruction'] for row in tested})} instructions) that no side has "
            "seen; in nats per token, with 95 % intervals of a bootstrap over instructions."
        )
        for path in written:
            console.print(f"Written: {path}", soft_wrap=True)


def _said(rate: Rate, sign: str) -> str:
    bounds = "" if rate.low is None else f" ({rate.low:{sign}.3f} to {rate.high:{sign}.3f})"
    return f"{rate.value:{sign}.3f}{bounds}"


def _on_release(options: dict[str, Any], config: dict[str, Any], bars: Progress) -> tuple[str, list[Arm], Any]:
    release = Release.objects.filter(name=options["release"]).first()
    if release is None:
        raise CommandError(f"There is no release '{options['release']}'.")
    base = base_model(options["base_model"], Task.ANSWER)
    runs = ablation.open_runs(release, base, repeats=options["repeats"], method=options["method"], config=config)
    tested = ablation.tested_of(runs[0][1])
    if options["here"]:
        _train_here(runs, bars)
    else:
        ablation.ring_for(runs)
        _wait(runs, bars)
    measured = bars.add_task("measuring", total=len(runs) + 1)
    arms = {name: Arm(name) for name in (UNTUNED, CURATED, UNCURATED)}
    arms[UNTUNED].add(hf_local.load(Source(model=base.location)), tested)
    bars.advance(measured)
    for arm, run in runs:
        version = FineTuneRun.objects.get(pk=run.pk).model_version
        arms[arm].add(hf_local.load(Source(model=version.location)), tested)
        bars.advance(measured)
    return f"{base.name} tuned on {release.name}", list(arms.values()), tested


def _train_here(runs: list[tuple[str, FineTuneRun]], bars: Progress) -> None:
    for number, (arm, run) in enumerate(runs, start=1):
        bar = bars.add_task(f"{arm}, run {number} of {len(runs)}", total=None)

        def show(at: training.Progress, bar: Any = bar) -> None:
            bars.update(bar, completed=at.step, total=at.steps_total)

        finetuning.train(run, on_progress=show)


def _wait(runs: list[tuple[str, FineTuneRun]], bars: Progress) -> None:
    """Until the workers are through. Who stops waiting leaves the runs in the queue."""
    tasks = {run.pk: bars.add_task(f"{arm}, seed {run.config['seed']}", total=None) for arm, run in runs}
    while True:
        rows = list(FineTuneRun.objects.filter(pk__in=tasks))
        for row in rows:
            bars.update(tasks[row.pk], completed=row.step, total=row.steps_total or None)
            if row.state in {JobState.FAILED, JobState.STOPPED}:
                raise CommandError(f"{row} is {row.get_state_display()}. {row.error}".strip())
        if all(row.state == JobState.DONE for row in rows):
            return
        time.sleep(POLL_SECONDS)


def _on_file(options: dict[str, Any], config: dict[str, Any], bars: Progress) -> tuple[str, list[Arm], Any]:
    languages = {code for code in options["languages"].split(",") if code}
    rows = ablation.read_pairs(options["seeds"].read_bytes(), languages, options["pairs"])
    learned, held_out = lessons.split(rows, ablation.TESTED)
    tested = ablation.with_others(held_out)
    if not tested:
        raise ablation.AblationError("Too few pairs: none is left to measure on.")
    base = base_model(options["base_model"], Task.ANSWER)
    sides = _sides(learned, bars)
    whole = recipes.whole(config)
    whole["learning_rate"] = whole["learning_rate"] or recipes.learning_rate_for(options["method"], base)
    arms = {name: Arm(name) for name in (UNTUNED, CURATED, UNCURATED)}
    arms[UNTUNED].add(hf_local.load(Source(model=base.location)), tested)
    for seed in range(options["repeats"]):
        for arm, taken in sides.items():
            bar = bars.add_task(f"{arm}, seed {seed}", total=None)

            def show(at: training.Progress, bar: Any = bar) -> None:
                bars.update(bar, completed=at.step, total=at.steps_total)

            with tempfile.TemporaryDirectory() as work:
                written, _outcome = training.fit(
                    taken,
                    task=Task.ANSWER,
                    base=training.load_base(base, options["method"], whole["precision"]),
                    method=options["method"],
                    config=whole | {"seed": seed},
                    work=Path(work),
                    watch=training.Watch(show),
                )
                arms[arm].add(hf_local.load(Source(model=str(written))), tested)
    return f"A check of the machinery: {base.name}, {len(sides[CURATED])} pairs", list(arms.values()), tested


def _sides(learned: list[dict[str, Any]], bars: Progress) -> dict[str, list[dict[str, Any]]]:
    """The pairs as they are, and the same responses with a drafted instruction; without one a pair is in neither."""
    drafting_bar = bars.add_task("drafting", total=len(learned))
    drafts: list[dict[str, Any]] = []
    for batch in ablation.drafted(hf_local.load(Source(model=hf_local.STARTER)), learned):
        drafts += batch
        bars.advance(drafting_bar, len(batch))
    both = [(pair, draft) for pair, draft in zip(learned, drafts, strict=True) if draft["instruction"]]
    if not both:
        raise ablation.AblationError("No draft could be read.")
    return {CURATED: [pair for pair, _ in both], UNCURATED: [draft for _, draft in both]}
