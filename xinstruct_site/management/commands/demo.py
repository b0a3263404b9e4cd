"""`manage.py demo`: fills an installation with the demo corpus, drafted, scored and selected, and people to sign in as.

`make demo` runs it and then `up`. Every stage is the ordinary command; running it again only does what is missing.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from xinstruct_site.management.commands.up import demand_free_port
from xinstruct_site.people.languages import FIRST_TEN, add_language
from xinstruct_site.people.models import ContributorAgreement, Language, Membership, Role, User

CORPUS = settings.BASE_DIR / "generation" / "demo" / "texts"
SINGLE_REVIEW = {"fi", "id", "th", "bn", "ur"}  # half of the languages, so that both kinds of policy can be seen
TEXTS_PER_LANGUAGE = 12
SAMPLES = 3
PEOPLE = {
    "annotator@demo.invalid": ("Demo annotator", Role.ANNOTATOR),
    "linguist@demo.invalid": ("Demo linguist", Role.LINGUIST),
    "maintainer@demo.invalid": ("Demo maintainer", Role.MAINTAINER),
}


class Command(BaseCommand):
    help = "Fill this installation with the demo corpus in ten languages and three people to sign in as."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, help="check first that this port is free for `up`")

    def handle(self, *args: str, **options: Any) -> None:
        if options["port"]:
            demand_free_port("127.0.0.1", options["port"])
        stages: list[tuple[str, Callable[[], None], str]] = [
            ("Preparing the database", migrate, "See the message above; `manage.py doctor` checks the database."),
            ("Adding ten languages and three people", add_people, "Remove the data folder to start from nothing."),
            ("Importing the demo corpus", import_corpus, "Is generation/demo/texts complete? `git status` tells."),
            ("Drafting instructions", draft, "Check MODEL= or ENDPOINT=; without them the starter model is used."),
            ("Scoring the drafts", score, "`manage.py score --language CODE` shows more."),
            ("Selecting what people see", select, "`manage.py select --language CODE --count N` shows more."),
        ]
        for number, (title, stage, advice) in enumerate(stages, start=1):
            self.stdout.write(self.style.MIGRATE_HEADING(f"[{number}/{len(stages)}] {title}"))
            started = time.monotonic()
            try:
                stage()
            except CommandError as exc:
                raise CommandError(f"{title} failed: {exc}\n{advice}") from exc
            self.stdout.write(f"      {time.monotonic() - started:.1f} s")


def migrate() -> None:
    call_command("migrate", verbosity=0, interactive=False)


def add_people() -> None:
    """Languages, the agreement, and one person per role. Links sign them in; their passwords cannot be used."""
    for code, profile in FIRST_TEN.items():
        reviews = 1 if code in SINGLE_REVIEW else 2
        add_language(profile, overlap=reviews, quorum=reviews, goal=TEXTS_PER_LANGUAGE)
    agreement = Path(settings.BASE_DIR, "xinstruct_site", "people", "agreement.md").read_text(encoding="utf-8")
    ContributorAgreement.objects.get_or_create(version=1, defaults={"body": agreement})
    for email, (name, role) in PEOPLE.items():
        user = User.objects.filter(email=email).first() or User.objects.create_user(email, display_name=name)
        languages: list[Language | None] = [None] if role == Role.MAINTAINER else list(Language.objects.all())
        for language in languages:
            Membership.objects.get_or_create(user=user, language=language, role=role)


def import_corpus() -> None:
    for code in FIRST_TEN:
        call_command(
            "import_texts", str(CORPUS / f"{code}.jsonl"), language=code, source="xinstruct-demo", license="CC0-1.0"
        )


def draft() -> None:
    for code in FIRST_TEN:
        call_command("draft", language=code, samples=SAMPLES)


def score() -> None:
    for code in FIRST_TEN:
        call_command("score", language=code)


def select() -> None:
    for code in FIRST_TEN:
        call_command("select", language=code, count=TEXTS_PER_LANGUAGE)
