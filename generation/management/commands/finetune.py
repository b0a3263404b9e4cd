"""`manage.py finetune SOURCE... --task draft|answer|score --base-model M`: train a model version, here and now."""

from argparse import BooleanOptionalAction
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from generation import finetuning, loading, recipes, results, training
from generation.backends.base import BackendError
from generation.models import FineTuneRun, Method, ModelVersion, Release, SeedPair, Task
from generation.queueing import NoWorker, demand_worker, ring

SEEDS = "seeds"


class Command(BaseCommand):
    help = (
        "Train a model version from ready releases and seed pairs. The same recipe is the same run: called again, it "
        "says what came out, goes on where it was killed, or tries again what failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "sources",
            nargs="+",
            metavar="SOURCE",
            help="a ready release's name, seeds:CODE (seeds:fi), or seeds for all seeds",
        )
        parser.add_argument(
            "--task",
            required=True,
            choices=Task.values,
            help="text to instruction, instruction to response, or pair to level (an evaluator)",
        )
        parser.add_argument(
            "--base-model",
            required=True,
            metavar="M",
            help="starter, a folder, a hub id, or a model version's public id",
        )
        parser.add_argument("--method", choices=Method.values, default=Method.FULL)
        parser.add_argument("--epochs", type=float)
        parser.add_argument("--batch-size", type=int)
        parser.add_argument("--accumulate", type=int, help="batches per step, where memory is small")
        parser.add_argument(
            "--learning-rate",
            type=float,
            help="default: 1e-3 for all weights of a model as small as the starter, 1e-5 for those of a large one, "
            "2e-4 for LoRA; a tenth of it for preferences",
        )
        parser.add_argument(
            "--source-tags",
            action=BooleanOptionalAction,
            help="say in the prompt whether a pair is a seed or from the web (default: where both take part)",
        )
        parser.add_argument("--beta", type=float, help="of DPO, with releases of preferences (default: 0.1)")
        parser.add_argument("--max-length", type=int, help="tokens of prompt and reply together")
        parser.add_argument(
            "--packing", action="store_true", default=None, help="several pairs in one row of the batch: less padding"
        )
        parser.add_argument(
            "--precision", choices=recipes.PRECISIONS, help="default: bf16 on a GPU that has it, else fp32"
        )
        parser.add_argument(
            "--validation", type=float, metavar="SHARE", help="held out where a release has no split (default: 0.1)"
        )
        parser.add_argument(
            "--weight",
            action="append",
            default=[],
            metavar="SOURCE=W",
            help="take each pair of a release, or of the seeds, that often: seeds=0.5",
        )
        parser.add_argument("--seed", type=int)
        parser.add_argument(
            "--unverified",
            action="store_true",
            default=None,
            help="also train on seed pairs that nobody has verified (default: verified ones only)",
        )
        parser.add_argument("--queue", action="store_true", help="leave the training to a worker of the queue gpu")

    def handle(self, *args: str, **options: Any) -> None:
        releases, codes = demand_sources(options["sources"])
        names = (
            "epochs",
            "batch_size",
            "accumulate",
            "learning_rate",
            "max_length",
            "seed",
            "unverified",
            "source_tags",
            "beta",
            "packing",
            "precision",
            "validation",
        )
        config = {name: options[name] for name in names if options[name] is not None}
        try:
            run = finetuning.open_run(
                options["task"],
                releases=releases,
                seeds=codes,
                base_model=base_model(options["base_model"], options["task"]),
                method=options["method"],
                config=config | {"weights": weights(options["weight"])},
            )
            finetuning.try_again(run)
            if options["queue"]:
                self._queue(run)
                return
            version = self._train(run)
        except (recipes.TrainingError, training.NotOurs, BackendError, NoWorker) as exc:
            raise CommandError(str(exc)) from exc
        run.refresh_from_db()
        self._report(run, version)

    def _queue(self, run: FineTuneRun) -> None:
        from generation import jobs

        demand_worker(jobs.TRAINING_QUEUE)
        ring(jobs.train_run, run, jobs.TRAINING_QUEUE)
        self.stdout.write(f"{run} waits for a worker.")

    def _train(self, run: FineTuneRun) -> ModelVersion:
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
        ]
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:
            bar = bars.add_task("training", total=None, loss="")

            def show(progress: training.Progress) -> None:
                bars.update(bar, completed=progress.step, total=progress.steps_total, loss=f"loss {progress.loss:.3f}")

            return finetuning.train(run, on_progress=show)

    def _report(self, run: FineTuneRun, version: ModelVersion) -> None:
        recipe = results.read_recipe(version)
        table = Table("", "", title=f"{run}: {run.get_task_display()} from {run.base_model.name}", show_header=False)
        seconds = recipe["seconds"]
        speed = f"{recipe['tokens'] / seconds:,.0f}" if seconds else "–"
        rows = [
            (
                "pairs",
                f"{run.pairs:,} ({recipe['pairs_skipped']} too long)" if recipe["pairs_skipped"] else f"{run.pairs:,}",
            ),
            ("steps", f"{recipe['steps']:,}"),
            ("loss, first and last step", f"{recipe['loss_first']:.3f} → {recipe['loss_last']:.3f}"),
            *_validation(recipe),
            ("tokens per second", speed),
            ("seconds", f"{seconds:,.1f}"),
            *_calibration(recipe),
            ("model version", f"{version.public_id} {version.name}"),
            ("revision", version.revision[:12]),
        ]
        for row in rows:
            table.add_row(*row)
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        console.print(table)
        console.print(f"Lies in {version.location}", soft_wrap=True)
        if run.task == Task.SCORE:
            console.print(f"Score with it: manage.py score --language CODE --model {version.public_id}", soft_wrap=True)
        if run.task == Task.DRAFT:
            console.print(
                f"Draft with it: manage.py draft --language CODE --backend hf --model {version.public_id}",
                soft_wrap=True,
            )


def _validation(recipe: dict[str, Any]) -> list[tuple[str, str]]:
    if not recipe["validation"]:
        return []
    (_, first), (_, last) = recipe["validation"][0], recipe["validation"][-1]
    return [(f"validation loss ({recipe['held_out']:,} held-out pairs)", f"{first:.3f} → {last:.3f}")]


def _calibration(recipe: dict[str, Any]) -> list[tuple[str, str]]:
    """What is to be said of an evaluator, and of no other model."""
    said = recipe.get("calibration")
    if not said:
        return []
    learned = "ratings of people" if said["learned_from"] == "ratings" else "constructed levels"
    error = (
        f"{said['error_before']:.3f} → {said['error']:.3f} ({said['pairs']} held-out pairs)" if said["pairs"] else "–"
    )
    return [("learned from", f"{learned}, {said['levels']} of them"), ("calibration error", error)]


def demand_sources(names: list[str]) -> tuple[list[Release], list[str]]:
    """Releases and language codes of seeds that the arguments name."""
    releases: list[Release] = []
    codes: set[str] = set()
    seeded = list(SeedPair.objects.order_by("language__code").values_list("language__code", flat=True).distinct())
    for name in names:
        word, colon, code = name.partition(":")
        if word == SEEDS and (not colon or code):
            found = [known for known in seeded if not colon or known.lower() == code.lower()]
            if not found:
                raise CommandError(
                    f"There are no seed pairs{f' in {code}' if colon else ''}: manage.py seeds FILE brings them in."
                )
            codes |= set(found)
            continue
        release = Release.objects.filter(name=name).first()
        if release is None:
            known = ", ".join(Release.objects.values_list("name", flat=True)[:10]) or "none yet"
            raise CommandError(f"There is no release '{name}'. Releases: {known}. Seed pairs: seeds or seeds:CODE.")
        releases.append(release)
    return releases, sorted(codes)


def weights(said: list[str]) -> dict[str, float]:
    """How often each source's pairs are taken, from SOURCE=W."""
    known: dict[str, float] = {}
    for each in said:
        source, _, weight = each.rpartition("=")
        try:
            known[source] = float(weight)
        except ValueError:
            raise CommandError(f"--weight {each}: write SOURCE=W, such as seeds=0.5.") from None
    return known


def base_model(name: str, task: str) -> ModelVersion:
    """The model version to start from: starter, a public id, a folder or a hub id."""
    backend = "starter" if name == "starter" else "hf"
    return loading.model_version(backend, name, task=task)[0]
