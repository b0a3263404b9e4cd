"""`manage.py recount`: the counts on cards and in "My work", taken anew from the reviews and pairs themselves."""

from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from annotation import tallies
from xinstruct_site.people.models import Language, User


class Command(BaseCommand):
    help = "Take the counts of reviews and accepted pairs anew, and say which were wrong (none should be)."

    def handle(self, *args: Any, **options: Any) -> None:
        drifts = tallies.recount()
        if not drifts:
            self.stdout.write("Every count was right.")
            return
        languages = Language.objects.in_bulk({drift.language_id for drift in drifts})
        people = User.objects.in_bulk({drift.person_id for drift in drifts if drift.person_id})
        table = Table("language", "of", "day", "was", "is now")
        for drift in drifts:
            of = str(people[drift.person_id]) if drift.person_id else "accepted pairs"
            table.add_row(str(languages[drift.language_id]), of, str(drift.day), str(drift.was), str(drift.should_be))
        Console().print(table)
