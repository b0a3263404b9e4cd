"""Adds a language that works at once: texts, drafts, review pages in its own script and direction."""

import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xinstruct_site.people.agreements import current_agreement
from xinstruct_site.people.languages import Profile, add_language, look_up
from xinstruct_site.people.models import Direction

CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
MOST_REVIEWS = 9  # as the table's constraint has it


class Command(BaseCommand):
    help = "Add a language by its BCP 47 code. What is not known of it has to be said."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("code", help="BCP 47, for example fi, yo or sr-Latn")
        parser.add_argument("--name", help="English name")
        parser.add_argument("--own-name", help="the language's name for itself")
        parser.add_argument("--script", help="ISO 15924, for example Latn, Arab, Deva")
        parser.add_argument("--direction", choices=Direction.values)
        parser.add_argument("--overlap", type=int, default=2, help="reviews that an item asks for (default 2)")
        parser.add_argument("--quorum", type=int, default=2, help="how many of them must accept (default 2)")

    def handle(self, *args: Any, **options: Any) -> None:
        code = options["code"]
        if not CODE.fullmatch(code):
            raise CommandError(
                f"{code} is not a BCP 47 code: two or three small letters, then subtags (yo, ckb, sr-Latn)"
            )
        known = look_up(code)
        said: dict[str, str] = {
            key: options[key] or getattr(known, key, "") for key in ("name", "own_name", "script", "direction")
        }
        missing = [f"--{key.replace('_', '-')}" for key, value in said.items() if not value]
        if missing:
            raise CommandError(f"Not known of {code}, so please say it: {' '.join(missing)}")
        if not re.fullmatch(r"[A-Z][a-z]{3}", said["script"]):
            raise CommandError(
                f"{said['script']} is not an ISO 15924 script: four letters, the first a capital (Latn, Arab)"
            )
        overlap, quorum = options["overlap"], options["quorum"]
        if not 1 <= quorum <= overlap <= MOST_REVIEWS:
            raise CommandError(f"quorum {quorum} of overlap {overlap}: both from 1 to {MOST_REVIEWS}, quorum not above")
        language, is_new = add_language(Profile(code=code, **said), overlap=overlap, quorum=quorum)
        current_agreement()
        self.stdout.write(f"{'added' if is_new else 'was there already'}: {language.code}")
        for label, value in (
            ("name", language.name),
            ("own name", language.own_name),
            ("script", language.script),
            ("direction", language.direction),
            ("reviews", f"{language.overlap} per item, {language.quorum} must accept"),
        ):
            self.stdout.write(f"  {label:<10} {value}")
