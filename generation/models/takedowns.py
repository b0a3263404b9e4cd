"""What was asked to be taken down: the list that every import is held against."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models import User


class TakeDownKind(models.TextChoices):
    URL = "url", _("address")
    DOMAIN = "domain", _("domain, with all below it")
    TEXT = "text", _("SHA-256 of a text")


class TakeDown(models.Model):
    """One thing that nothing may be taken from again. `value` is in the one form that blocklist.py gives it."""

    kind = models.CharField(max_length=10, choices=TakeDownKind)
    value = models.TextField()
    reason = models.TextField(blank=True)
    because_of = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="texts",
        help_text="Of a text: the address or domain it was taken down with.",
    )  # fmt: skip
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("take-down")
        verbose_name_plural = _("take-downs")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["kind", "value"], name="one_take_down_per_value")]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"
