"""`manage.py withdraw_release NAME --reason WHY`: takes a release out of use."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from generation.models import Release, ReleaseState
from xinstruct_site.people.models import Event, EventKind


class Command(BaseCommand):
    help = "Withdraw a release for good: it is neither exported nor learnt from any more, and stays to be looked up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--reason", required=True, help="shown to whoever looks it up")

    def handle(self, *args: Any, **options: Any) -> None:
        release = Release.objects.filter(name=options["name"]).first()
        if release is None:
            raise CommandError(f"There is no release '{options['name']}'.")
        if release.withdraw(options["reason"]):
            Event.record(EventKind.RELEASE_WITHDRAWN, release)
        elif release.state != ReleaseState.WITHDRAWN:
            raise CommandError(f"'{release.name}' cannot be withdrawn: it is {release.get_state_display()}.")
        said = f"Release {release.name} {release.version} is withdrawn: {release.withdrawn_because}"
        Console(file=self.stdout, highlight=False).print(said, soft_wrap=True)  # type: ignore[arg-type]
