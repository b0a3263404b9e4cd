"""Tokens with which a person's programs use the API."""

import secrets
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models.invitations import token_digest
from xinstruct_site.people.models.users import User

PREFIX = "xi_"  # so that a scanner of leaked secrets, or a person, knows what it is
SHOWN = 8


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def live(self) -> Self:
        return self.filter(revoked_at=None, user__is_active=True)


class ApiToken(models.Model):
    """Lets a program do what its person may, or only read it. Only the digest is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=100, help_text=_("What uses it, such as the nightly backup."))
    may_write = models.BooleanField(_("may change things, too"), default=False)
    begins_with = models.CharField(max_length=SHOWN)
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    used_on = models.DateField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.begins_with}…)"

    @classmethod
    def issue(cls, user: User, name: str, *, may_write: bool) -> tuple["ApiToken", str]:
        """A new token and its secret, which is shown once."""
        secret = PREFIX + secrets.token_urlsafe(32)
        made = cls.objects.create(
            user=user, name=name, may_write=may_write, begins_with=secret[:SHOWN], token_sha256=token_digest(secret)
        )
        return made, secret

    @classmethod
    def of(cls, secret: str) -> "ApiToken | None":
        """The live token that this is the secret of; its day of use is noted."""
        token = cls.objects.live().filter(token_sha256=token_digest(secret)).select_related("user").first()
        if token:
            cls.objects.filter(Q(used_on=None) | ~Q(used_on=timezone.localdate()), pk=token.pk).update(
                used_on=timezone.localdate()
            )
        return token

    def revoke(self) -> bool:
        return bool(type(self).objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=Now()))
