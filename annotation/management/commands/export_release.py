"""`manage.py export_release NAME --format F --out DIR`: a release as files that trainers read."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from annotation import exports, freezing
from annotation.formats import FORMATS, TAGS
from generation.models import Release


class Command(BaseCommand):
    help = (
        "Write a ready release as NAME.FORMAT.jsonl with manifest.json beside it. The bytes are the same every time; "
        "several formats of one release may share a folder."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--format", required=True, choices=list(FORMATS))
        parser.add_argument("--out", required=True, type=Path, metavar="DIR")
        parser.add_argument(
            "--tag",
            choices=TAGS,
            help=(
                "what is added to each instruction: nothing, 'Answer in LANGUAGE.', or that and the style of an AI "
                "assistant (default: language where trainers read the file as it stands, else none)"
            ),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        release = Release.objects.filter(name=options["name"]).first()
        if release is None:
            known = ", ".join(Release.objects.values_list("name", flat=True)[:10]) or "none yet"
            raise CommandError(f"There is no release '{options['name']}' ({known}).")
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"writing {release.name}", total=None)
            try:
                done = exports.export_release(
                    release,
                    options["format"],
                    options["out"],
                    tag=options["tag"],
                    on_progress=lambda done, total: bar.update(task, completed=done, total=total),
                )
            except freezing.ReleaseError as exc:
                raise CommandError(str(exc)) from exc
            except OSError as exc:
                raise CommandError(f"Cannot write to {options['out']}: {exc.strerror or exc}") from exc
        table = Table("file", "bytes")
        for path in (*done.files, done.manifest):
            table.add_row(str(path), f"{path.stat().st_size:,}")
        console = Console(file=self.stdout, highlight=False, soft_wrap=True)  # type: ignore[arg-type]
        said = f"Written: {done.rows:,} rows" if done.changed else "The same files were there already; nothing changed"
        console.print(said)
        console.print(table)
        console.print(f"Not in this format: {', '.join(done.drops)}." if done.drops else "Nothing is left out.")
