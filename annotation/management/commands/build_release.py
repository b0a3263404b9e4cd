"""`manage.py build_release NAME --language CODE...`: freezes accepted pairs, or people's ratings, under a name."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from annotation import freezing, labels
from generation.management.reading import demand_language
from generation.models import Release, ReleaseState


class Command(BaseCommand):
    help = (
        "Freeze the accepted pairs of the languages as a release: hashed and immutable. The same name and content "
        "again changes nothing; other content needs another name. --ratings freezes what people said of decided items, "
        "to train evaluators on; --gold N draws so many items per language for measuring them, which then take part in "
        "no other release and in no training."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--language", required=True, nargs="+", action="extend", metavar="CODE")

        other = parser.add_mutually_exclusive_group()
        other.add_argument("--ratings", action="store_true", help="ratings of decided items in place of pairs")
        other.add_argument(
            "--preferences", action="store_true", help="pairs with the drafts that people did not want, for DPO"
        )
        other.add_argument("--gold", type=int, metavar="N", help="a gold set of N decided items per language")

    def handle(self, *args: Any, **options: Any) -> None:
        languages = list({language.pk: language for language in map(demand_language, options["language"])}.values())
        name = options["name"]
        if options["gold"] is not None and options["gold"] < 1:
            raise CommandError("--gold takes a number from 1 up", returncode=2)
        stood = Release.objects.filter(name=name, state=ReleaseState.READY).exists()
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"freezing {name}", total=None)
            try:
                if options["ratings"] or options["gold"]:
                    release = labels.build(name, languages, gold=options["gold"] or 0)
                else:
                    release = freezing.build_release(
                        name,
                        languages,
                        on_progress=lambda done, total: bar.update(task, completed=done, total=total),
                        preferences=options["preferences"],
                    )
            except freezing.ReleaseError as exc:
                raise CommandError(str(exc)) from exc
        table = Table("language", "rated items" if options["ratings"] or options["gold"] else "pairs")
        table.columns[1].justify = "right"
        for code, count in release.counts.items():
            table.add_row(code, f"{count:,}")
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        said = "stands already with this content; nothing changed" if stood else "is ready"
        console.print(f"Release {name} {said}")
        console.print(table)
        console.print(f"sha256 {release.sha256}", soft_wrap=True)
