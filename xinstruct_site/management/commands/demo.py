"""`manage.py demo`: fills an installation with the demo corpus, drafted, scored and selected, and people to sign in as.

`make demo` runs it and then `up`. Every stage is the ordinary command; running it again only does what is missing.
"""

import contextlib
import io
import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.models import Item
from generation.models import Candidate, Score, Text
from xinstruct_site.management.commands.up import demand_free_port
from xinstruct_site.people.agreements import current_agreement
from xinstruct_site.people.languages import FIRST_TEN, add_language
from xinstruct_site.people.models import Language, Membership, Role, User

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
        logging.disable(logging.INFO)  # the stages say in words what the log would say in lines
        stages: list[tuple[str, Callable[[], str], str]] = [
            ("Preparing the database", migrate, "`manage.py doctor` checks the database."),
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
                result = stage()
            except CommandError as exc:
                raise CommandError(f"{title} failed: {exc}\n{advice}") from exc
            self.stdout.write(f"      {result} ({time.monotonic() - started:.1f} s)")


def for_each_language(command: str, *args: str, **options: Any) -> None:
    """Run the ordinary command for each language. Its progress is seen; its table gives way to the stage's one line."""
    for code in FIRST_TEN:
        with contextlib.redirect_stdout(io.StringIO()):
            call_command(command, *(arg.format(code=code) for arg in args), language=code, **options)


def migrate() -> str:
    call_command("migrate", verbosity=0, interactive=False)
    return "up to date"


def add_people() -> str:
    """Languages, the agreement, and one person per role. Links sign them in; their passwords cannot be used."""
    for code, profile in FIRST_TEN.items():
        reviews = 1 if code in SINGLE_REVIEW else 2
        add_language(profile, overlap=reviews, quorum=reviews, goal=TEXTS_PER_LANGUAGE)
    current_agreement()
    for email, (name, role) in PEOPLE.items():
        user = User.objects.filter(email=email).first() or User.objects.create_user(email, display_name=name)
        languages: list[Language | None] = [None] if role == Role.MAINTAINER else list(Language.objects.all())
        for language in languages:
            Membership.objects.get_or_create(user=user, language=language, role=role)
    return f"{Language.objects.count()} languages, {User.objects.count()} people"


def import_corpus() -> str:
    for_each_language("import_texts", str(CORPUS / "{code}.jsonl"), source="xinstruct-demo", license="CC0-1.0")
    return f"{Text.objects.count()} texts"


def draft() -> str:
    for_each_language("draft", samples=SAMPLES)
    return f"{Candidate.objects.count()} drafts, {Candidate.objects.kept().count()} kept by the reply checks"


def score() -> str:
    for_each_language("score")
    return f"{Score.objects.count()} scores"


def select() -> str:
    for_each_language("select", count=TEXTS_PER_LANGUAGE)
    return f"{Item.objects.count()} items wait for people"
