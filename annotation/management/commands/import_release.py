"""`manage.py import_release FILE`: a release from files that `export_release` wrote, here or elsewhere."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from annotation import taking_in
from annotation.formats import FORMATS
from annotation.freezing import ReleaseError

LOSSLESS = ", ".join(name for name, format in FORMATS.items() if format.is_lossless)


class Command(BaseCommand):
    help = (
        f"Take a release in again from a file of a format that keeps whole rows ({LOSSLESS}), with manifest.json and "
        "the files of its other splits beside it. It is the same release: the same rows, hash and version. Where "
        "anything differs from the manifest nothing is taken in."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--name", default="", help="another name than the manifest's")

    def handle(self, *args: Any, **options: Any) -> None:
        file = options["file"]
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"reading {file.name}", total=None)
            try:
                release = taking_in.take_in(
                    file, options["name"], lambda done, total: bar.update(task, completed=done, total=total)
                )
            except ReleaseError as exc:
                raise CommandError(str(exc)) from exc
            except OSError as exc:
                raise CommandError(f"Cannot read {exc.filename or file}: {exc.strerror or exc}") from exc
        table = Table("language", "rows")
        table.columns[1].justify = "right"
        for code, count in release.counts.items():
            table.add_row(code, f"{count:,}")
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        console.print(f"Release {release.name} {release.version} is ready")
        console.print(table)
        console.print(f"sha256 {release.sha256}", soft_wrap=True)
