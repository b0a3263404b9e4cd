"""Seed pairs: what people wrote or published, to begin with."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models import Language, User


class SeedState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    VERIFIED = "verified", _("verified")
    REJECTED = "rejected", _("rejected")


class SeedPairQuerySet(models.QuerySet["SeedPair"]):
    def waiting(self) -> Self:
        return self.filter(state=SeedState.WAITING)

    def verified(self) -> Self:
        return self.filter(state=SeedState.VERIFIED)

    def trainable(self, *, unverified: bool = False) -> Self:
        """The pairs that people vouch for, or with `unverified` those that nobody rejected."""
        return self.exclude(state=SeedState.REJECTED) if unverified else self.verified()


class SeedPair(models.Model):
    """An instruction and a response that people wrote or published; trained on once a person of the language agrees."""

    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="seed_pairs")
    instruction = models.TextField()
    response = models.TextField()
    sha256 = models.CharField(max_length=64, help_text="Of the pair as it was imported.")
    source = models.CharField(max_length=300, blank=True)
    licence_id = models.CharField(max_length=100)
    kind = models.CharField(max_length=60, blank=True)
    extra = models.JSONField(default=dict)
    state = models.CharField(_("state"), max_length=10, choices=SeedState, default=SeedState.WAITING)
    verified_at = models.DateTimeField(null=True, blank=True, help_text="When a person last decided on it.")
    verified_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    original = models.JSONField(null=True, blank=True, help_text="As imported, where a person corrected it.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SeedPairQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["language", "sha256"], name="one_seed_pair_per_content"),
            models.CheckConstraint(
                condition=Q(state=SeedState.WAITING) | Q(verified_at__isnull=False), name="decided_seed_pair_says_when"
            ),
        ]
        indexes = [models.Index(fields=["language", "state", "id"], name="seed_pair_by_state")]

    def __str__(self) -> str:
        return f"seed pair {self.pk}"

    def decide(self, state: SeedState, by: User, *, instruction: str = "", response: str = "") -> bool:
        """Verify it in these words, or reject it as it is. False where somebody decided since this row was read."""
        words = {}
        if state == SeedState.VERIFIED and (instruction, response) != (self.instruction, self.response):
            imported = self.original or {"instruction": self.instruction, "response": self.response}
            words = {"instruction": instruction, "response": response, "original": imported}
        won = SeedPair.objects.filter(pk=self.pk, state=self.state, verified_at=self.verified_at).update(
            state=state, verified_at=timezone.now(), verified_by=by, **words
        )
        if won:
            self.refresh_from_db()
        return bool(won)
