"""Offers a role to somebody: prints a link that works once, for one address, until it expires."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.urls import reverse

from xinstruct_site.people.inviting import invite
from xinstruct_site.people.models import Language, Membership, Role


class Command(BaseCommand):
    help = "Print a one-use link with which a person takes up a role."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address that the invitation is bound to")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--language", metavar="CODE", help="needed unless the role is maintainer of all languages")
        parser.add_argument("--base-url", default="http://localhost:8000", help="where this installation is reached")

    def handle(self, *args: Any, **options: Any) -> None:
        email, role = options["email"], options["role"]
        try:
            validate_email(email)
        except ValidationError as exc:
            raise CommandError(f"{email} is not an e-mail address") from exc
        language = None
        if code := options["language"]:
            language = Language.objects.filter(code=code).first()
            if not language:
                known = ", ".join(Language.objects.values_list("code", flat=True)) or "none yet"
                raise CommandError(
                    f"There is no language {code} (there are: {known}). `manage.py add_language {code}` adds it."
                )
        elif role != Role.MAINTAINER:
            raise CommandError(f"A {role} works in one language: say which with --language")
        if Membership.objects.filter(user__email__iexact=email, role=role, language=language).exists():
            self.stdout.write(f"{email} is {role} of {language or 'all languages'} already; no invitation is needed.")
            return
        invitation, token = invite(email, role, language)
        self.stdout.write(f"{'for':<10} {invitation.email}")
        self.stdout.write(f"{'role':<10} {role} of {language or 'all languages'}")
        self.stdout.write(f"{'until':<10} {invitation.expires_at:%Y-%m-%d %H:%M %Z}")
        self.stdout.write(f"{'link':<10} {options['base_url'].rstrip('/')}{reverse('invitation', args=[token])}")
