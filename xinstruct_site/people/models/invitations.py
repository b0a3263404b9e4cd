"""Offers of a role, sent to an e-mail address."""

import datetime as dt
import hashlib
import secrets
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models.languages import Language
from xinstruct_site.people.models.roles import Role
from xinstruct_site.people.models.users import User


def token_digest(token: str) -> str:
    """What is stored of a one-use token: a leaked table opens no account."""
    return hashlib.sha256(token.encode()).hexdigest()


def invitation_expiry() -> dt.datetime:
    return timezone.now() + dt.timedelta(days=settings.INVITATION_DAYS)


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        return self.filter(used_at=None, withdrawn_at=None, expires_at__gt=timezone.now())

    def for_token(self, token: str) -> Self:
        return self.open().filter(token_sha256=token_digest(token))


class Invitation(models.Model):
    """A one-use, expiring offer of one role in one language to one e-mail address."""

    email = models.EmailField(_("e-mail address"))
    role = models.CharField(_("role"), max_length=12, choices=Role)
    language = models.ForeignKey(Language, on_delete=models.CASCADE, null=True, blank=True, related_name="invitations")
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(default=invitation_expiry)
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(language__isnull=False) | Q(role=Role.MAINTAINER), name="invitation_names_a_language"
            ),
        ]

    def __str__(self) -> str:
        return f"invitation {self.pk} as {self.role} of {self.language or 'all languages'}"

    @classmethod
    def issue(
        cls, *, email: str, role: str, language: Language | None, invited_by: User | None = None
    ) -> tuple["Invitation", str]:
        """A new invitation and its token, which is shown once and stored only as a digest."""
        token = secrets.token_urlsafe(24)
        invitation = cls.objects.create(
            email=email.strip().lower(),
            role=role,
            language=language,
            invited_by=invited_by,
            token_sha256=token_digest(token),
        )
        return invitation, token
