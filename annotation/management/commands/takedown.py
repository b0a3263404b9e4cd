"""`manage.py takedown --url U | --domain D | --text-sha256 H | --contributor EMAIL`: out of every release, for good."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from annotation import taking_down
from generation.blocklist import NotOne
from generation.models import TakeDownKind
from xinstruct_site.people.models import User


class Command(BaseCommand):
    help = (
        "Take texts down by address, domain or hash: no import brings them back, their items and pairs are withdrawn. "
        "Or take down what a contributor gave: their reviews are withdrawn and their words erased, and items they "
        "decided wait for somebody else. Either way the rows of earlier releases are blanked (their hashes stay) and "
        "those releases withdrawn; they are listed, with the models that learnt from them. Run again, it lists the "
        "same and changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--url", metavar="URL", help="the page at an address, with all its passages")
        what.add_argument("--domain", help="all texts of a domain and of what is below it")
        what.add_argument("--text-sha256", metavar="HASH", help="a text, as its page and its rows name it")
        what.add_argument("--contributor", metavar="EMAIL")
        parser.add_argument("--reason", default="", help="kept with the entry and on the releases")

    def handle(self, *args: Any, **options: Any) -> None:
        given = {
            TakeDownKind.URL: options["url"],
            TakeDownKind.DOMAIN: options["domain"],
            TakeDownKind.TEXT: options["text_sha256"],
        }
        try:
            if options["contributor"]:
                person = User.objects.filter(email__iexact=options["contributor"]).first()
                if person is None:
                    raise CommandError(f"There is no account of {options['contributor']}.")
                done = taking_down.take_down_contributor(person, reason=options["reason"])
            else:
                [(kind, value)] = [(kind, value) for kind, value in given.items() if value is not None]
                done = taking_down.take_down(kind, value, reason=options["reason"])
        except NotOne as exc:
            raise CommandError(str(exc), returncode=2) from exc
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        table = Table("withdrawn or blanked", "now")
        table.columns[1].justify = "right"
        for name in taking_down.COUNTED:
            table.add_row(name, f"{done.counts[name]:,}")
        console.print(table)
        for release in done.releases:
            console.print(f"release {release.name} {release.version}: {release.get_state_display()}", soft_wrap=True)
        for model in done.models:
            console.print(f"learnt from it: {model.name}", soft_wrap=True)
