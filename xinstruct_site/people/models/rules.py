"""What a language asks of its people, from one change to the next: its review policy and its guidelines."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models.languages import Language
from xinstruct_site.people.models.users import User


class PolicyVersion(models.Model):
    """A language's review policy from one change to the next. The newest is on the language, too."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="policy_versions")
    version = models.PositiveIntegerField(_("version"))
    overlap = models.PositiveSmallIntegerField(_("overlap"))
    quorum = models.PositiveSmallIntegerField(_("quorum"))
    recheck_days = models.PositiveSmallIntegerField(_("days until a self-recheck"), default=0)
    linguists_only = models.BooleanField(_("linguists only"), default=False)
    alone: models.ManyToManyField = models.ManyToManyField(
        User, related_name="+", help_text="Whose accept made a pair by itself."
    )
    note = models.CharField(_("why"), max_length=300, blank=True)
    author = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(null=True, blank=True, help_text="Empty: from before versions were kept.")

    class Meta:
        ordering = ["language", "-version"]
        verbose_name = _("version of a policy")
        verbose_name_plural = _("versions of policies")
        constraints = [models.UniqueConstraint(fields=["language", "version"], name="one_policy_per_version")]

    def __str__(self) -> str:
        return f"review policy of {self.language}, version {self.version}"


class GuidelinesVersion(models.Model):
    """What a language's guidelines said from one change to the next. The newest is on the language, too."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="guidelines_versions")
    version = models.PositiveIntegerField(_("version"))
    body = models.TextField(_("guidelines"), blank=True)
    written_in = models.CharField(max_length=35, blank=True, help_text=_("BCP 47; empty: the language itself."))
    note = models.CharField(_("what changed"), max_length=300, blank=True)
    author = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(null=True, blank=True, help_text="Empty: from before versions were kept.")

    class Meta:
        ordering = ["language", "-version"]
        verbose_name = _("version of guidelines")
        verbose_name_plural = _("versions of guidelines")
        constraints = [models.UniqueConstraint(fields=["language", "version"], name="one_body_per_guidelines_version")]

    def __str__(self) -> str:
        return f"guidelines of {self.language}, version {self.version}"


class GuidelinesSeen(models.Model):
    """The newest version of a language's guidelines that a person has opened."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="+")
    version = models.PositiveIntegerField()
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "language"], name="one_newest_guidelines_seen_per_person")
        ]

    def __str__(self) -> str:
        return f"{self.user} saw version {self.version} of the guidelines of {self.language}"
