"""`manage.py publish_release NAME`: makes a candidate a release, of what still stands of it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from annotation import freezing
from generation.models import Release, ReleaseState


class Command(BaseCommand):
    help = "Publish a candidate: it is built anew of the items that it held, as they stand after the audit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        release = Release.objects.filter(name=options["name"]).first()
        if release is None:
            raise CommandError(f"There is no release '{options['name']}'.")
        if not release.publish() and release.state not in {ReleaseState.BUILDING, ReleaseState.READY}:
            raise CommandError(f"'{release.name}' is no candidate: it is {release.get_state_display()}.")
        try:
            release = freezing.freeze(release)
        except freezing.ReleaseError as exc:
            raise CommandError(str(exc)) from exc
        rows = sum(release.counts.values())
        said = f"Release {release.name} {release.version} is ready: {rows:,} pairs, {release.licence}"
        Console(file=self.stdout, highlight=False).print(said, soft_wrap=True)  # type: ignore[arg-type]
