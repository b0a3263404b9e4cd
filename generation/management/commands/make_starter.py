"""`manage.py make_starter`: train the starter model again, from nothing but the seeds."""

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from generation import recipes, training
from generation.backends import hf_local
from generation.starter import making


class Command(BaseCommand):
    help = (
        "Train the starter model from the seeds that come with the project, and put it in place of the one that is "
        "there. Needs no network, no GPU and no database."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--out", type=Path, default=hf_local.STARTER_DIR, metavar="DIR", help="default: %(default)s"
        )
        parser.add_argument(
            "--hold-out",
            action="store_true",
            help="leave one topic of each subject out, to measure on it (needs --out)",
        )

    def handle(self, *args: str, **options: Any) -> None:
        out: Path = options["out"].resolve()
        if options["hold_out"] and out == hf_local.STARTER_DIR.resolve():
            raise CommandError("--hold-out makes a model to measure with; give it a folder with --out.", returncode=2)
        if out.exists() and any(out.iterdir()) and not (out / "config.json").exists():
            raise CommandError(f"{out} holds something that is no model; nothing was done.", returncode=2)
        wall, processor = time.monotonic(), time.process_time()
        columns = [TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}")]
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:
            bar = bars.add_task("training", total=None, loss="")

            def show(progress: training.Progress) -> None:
                bars.update(bar, completed=progress.step, total=progress.steps_total, loss=f"loss {progress.loss:.3f}")

            try:
                made = making.make(out, hold_out=options["hold_out"], on_progress=show)
            except recipes.TrainingError as exc:
                raise CommandError(str(exc)) from exc
        table = Table(title="Starter model", show_header=False)
        for name, value in [
            ("pairs", f"{made.pairs:,}"),
            ("parameters", f"{made.parameters:,}"),
            ("megabytes", f"{made.megabytes:.1f}"),
            ("steps", f"{made.outcome.steps:,}"),
            ("loss, first and last step", f"{made.outcome.loss_first:.3f} → {made.outcome.loss_last:.3f}"),
            ("tokens per second", f"{made.outcome.tokens / made.outcome.seconds:,.0f}"),
            ("minutes, on the clock", f"{(time.monotonic() - wall) / 60:.1f}"),
            ("minutes, of all processors", f"{(time.process_time() - processor) / 60:.1f}"),
        ]:
            table.add_row(name, value)
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        console.print(table)
        console.print(f"Lies in {out}", soft_wrap=True)
