"""`manage.py restore FILE`: puts a backup back."""

from pathlib import Path
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from xinstruct_site import restoring
from xinstruct_site.backing_up import BackupError


class Command(BaseCommand):
    help = (
        "Put a backup back into an empty installation, or with --replace over what this one holds. The file is read to "
        "its end and checked first; the database changes whole or not at all; migrations that came since are applied."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--replace", action="store_true", help="throw away what this installation's database holds")
        parser.add_argument("--check", action="store_true", help="only read the file and say whether it is whole")

    def handle(self, *args: str, **options: Any) -> None:
        path: Path = options["file"].absolute()
        if not path.is_file():
            raise CommandError(f"There is no file {path}.", returncode=2)
        try:
            manifest = restoring.read(path)
            if options["check"]:
                self.report(f"{path}, made {manifest.made_at}, is whole", manifest.counts, {})
                return
            self.demand_room(replace=options["replace"])
            there = restoring.restore(path, manifest)
        except (BackupError, OSError) as exc:
            raise CommandError(str(exc)) from exc
        self.report(f"Restored from {path}, made {manifest.made_at}", manifest.counts, there)
        if manifest.counts != there:
            raise CommandError("Not everything came back: compare the columns.")
        if not manifest.with_models:
            self.stdout.write("It was made without trained models: those that are not here cannot draft.")
        self.stdout.write("`manage.py doctor` checks the rest; `manage.py up` starts it.")

    def demand_room(self, *, replace: bool) -> None:
        if (people := restoring.people_here()) and not replace:
            raise CommandError(
                f"This installation knows {people} people already. Back it up, then say --replace to throw it away.",
                returncode=2,
            )
        if others := restoring.others_connected():
            raise CommandError(f"{others} others use this database. Stop the web server and the workers first.")

    def report(self, title: str, written: dict[str, int], there: dict[str, int]) -> None:
        table = Table("", "in the backup", *(["here now"] if there else []), title=title)
        for name, number in written.items():
            table.add_row(name, f"{number:,}", *([f"{there.get(name, 0):,}"] if there else []))
        Console(file=cast("Any", self.stdout), highlight=False).print(table)
