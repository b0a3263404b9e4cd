"""`manage.py backup FILE`: everything that cannot be made again, in one file."""

from pathlib import Path
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from xinstruct_site.backing_up import BackupError, back_up


class Command(BaseCommand):
    help = (
        "Write the database, trained models, rejected rows and waiting uploads to one tar file, while people go on "
        "working. Prepared exports (a release renders them again) and the secret key are left out. The file holds "
        "people's addresses: keep it as you keep the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--without-models", action="store_true", help="leave out trained models, which are large")
        parser.add_argument("--replace", action="store_true", help="write over a file of that name")

    def handle(self, *args: str, **options: Any) -> None:
        path: Path = options["file"].absolute()
        if path.exists() and not options["replace"]:
            raise CommandError(f"{path} is there already. Choose another name, or say --replace.", returncode=2)
        if not path.parent.is_dir():
            raise CommandError(f"There is no folder {path.parent}.", returncode=2)
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        try:
            with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("Dumping the database ...")
                made = back_up(
                    path,
                    with_models=not options["without_models"],
                    on_member=lambda name, size: bar.update(task, description=f"{name} ({filesizeformat(size)})"),
                )
        except (BackupError, OSError) as exc:
            raise CommandError(f"No backup was written. {exc}") from exc
        table = Table("", "in the backup", title=f"{path}, {filesizeformat(path.stat().st_size)}")
        for name, number in made.counts.items():
            table.add_row(name, f"{number:,}")
        table.add_row("files", f"{len(made.files) - 1:,}")
        Console(file=cast("Any", self.stdout), highlight=False).print(table)
        if not made.with_models:
            self.stdout.write("Trained models are not in it.")
