"""What contributors agree to, and who did."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models.users import User


class ContributorAgreement(models.Model):
    """What contributors agree to, in versions; the newest counts. Contributions record the version they fall under."""

    version = models.PositiveIntegerField(_("version"), unique=True)
    body = models.TextField(_("text"), help_text=_("Markdown."))
    licence_id = models.CharField(_("licence of contributions (SPDX)"), max_length=60, default="CC0-1.0")
    published_at = models.DateTimeField(auto_now_add=True)
    accepted_by: models.ManyToManyField = models.ManyToManyField(User, through="Acceptance", related_name="agreements")

    class Meta:
        ordering = ["-version"]
        get_latest_by = "version"

    def __str__(self) -> str:
        return f"contributor agreement {self.version}"

    @classmethod
    def current(cls) -> "ContributorAgreement | None":
        return cls.objects.order_by("-version").first()


class Acceptance(models.Model):
    """That one person accepted one version of the agreement, once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="acceptances")
    agreement = models.ForeignKey(ContributorAgreement, on_delete=models.PROTECT, related_name="acceptances")
    accepted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "agreement"], name="one_acceptance_per_version")]

    def __str__(self) -> str:
        return f"{self.user} accepted {self.agreement}"
