"""What a person may be in a language."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    ANNOTATOR = "annotator", _("annotator")  # reviews
    LINGUIST = "linguist", _("linguist")  # audits, adjudicates, leads a language
    MAINTAINER = "maintainer", _("maintainer")  # everything; publishes and trains


class Membership(models.Model):
    """One role of one person in one language; a maintainer's language may be empty, which means all."""

    user = models.ForeignKey("User", on_delete=models.CASCADE, related_name="memberships")
    language = models.ForeignKey(
        "Language", on_delete=models.CASCADE, null=True, blank=True, related_name="memberships"
    )
    role = models.CharField(_("role"), max_length=12, choices=Role)
    variety = models.CharField(_("variety"), max_length=80, blank=True, help_text=_("Commas between several."))
    orthography = models.CharField(_("orthography"), max_length=80, blank=True, help_text=_("Commas between several."))
    granted_by = models.ForeignKey("User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    granted_at = models.DateTimeField(auto_now_add=True)
    counts_alone_from = models.PositiveIntegerField(
        null=True, blank=True, help_text="Since which policy version this person's accept makes a pair by itself."
    )
    paused_at = models.DateTimeField(null=True, blank=True, help_text="Served nothing until a linguist lifts it.")

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "language", "role"], name="one_membership_per_role", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(language__isnull=False) | Q(role=Role.MAINTAINER), name="only_maintainers_span_languages"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role} of {self.language or 'all languages'}"
