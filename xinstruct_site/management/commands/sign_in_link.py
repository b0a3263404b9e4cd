"""`manage.py sign_in_link EMAIL`: a one-time link, for people who cannot get mail from this installation."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xinstruct_site.people.models import User
from xinstruct_site.people.signin import sign_in_link


class Command(BaseCommand):
    help = "Print a one-time sign-in link for a person who has an account."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--base-url", default="http://127.0.0.1:8000", help="address of the site")

    def handle(self, *args: str, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"], is_active=True).first()
        if user is None:
            raise CommandError(f"Nobody here has the address {options['email']}. `manage.py invite` invites a person.")
        self.stdout.write(sign_in_link(user, options["base_url"]))
