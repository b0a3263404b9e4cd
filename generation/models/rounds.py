"""Rounds: what was selected for people, what was not, and whether that was right."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from pgvector.django import HnswIndex, VectorField

from generation.models.keys import EMBEDDING_DIMENSIONS
from generation.models.model_versions import ModelVersion
from generation.models.runs import Candidate
from generation.models.texts import Text
from xinstruct_site.people.models import Language, User

ARRIVALS = 0  # the round that takes in what people of other languages say is in this one; it is never closed


class Round(models.Model):
    """Iteration k of a language: what went in, who evaluated, what was kept and selected. Immutable once closed."""

    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="rounds")
    number = models.PositiveIntegerField()
    evaluator = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    settings = models.JSONField(default=dict, help_text="target, threshold, seed, clusters, embedder, runs")
    metrics = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["language", "number"]
        constraints = [models.UniqueConstraint(fields=["language", "number"], name="one_round_per_number")]

    def __str__(self) -> str:
        return f"round {self.number} of {self.language.code}"


class Selection(models.Model):
    """A text that a round selected for people, with its candidates best first."""

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="selections")
    text = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="selections")
    rank = models.PositiveIntegerField(help_text="Order of selection: spread over clusters, best first.")
    cluster = models.IntegerField()
    candidate_ids = ArrayField(models.BigIntegerField())

    class Meta:
        ordering = ["round", "rank"]
        constraints = [
            models.UniqueConstraint(fields=["round", "text"], name="text_selected_once_per_round"),
            models.UniqueConstraint(fields=["round", "rank"], name="one_selection_per_rank"),
        ]

    def __str__(self) -> str:
        return f"selection {self.rank} of {self.round}"


class PassedOver(models.Model):
    """A text that a round did not take because its instruction is nearly that of another text, taken then or before."""

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="passed_over")
    text = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="+")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="+")
    like = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["round", "text"], name="text_passed_over_once_per_round")]

    def __str__(self) -> str:
        return f"text {self.text_id} passed over by {self.round}"


class Gate(models.TextChoices):
    """Where the machine turns something away."""

    IMPORT = "import", _("import")
    REPLY = "reply", _("reply checks")
    NEAR_DUPLICATE = "near_duplicate", _("nearly the same instruction")


class SpotCheck(models.Model):
    """Whether a gate was right to turn one thing away, as a person saw it."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="+")
    gate = models.CharField(max_length=20, choices=Gate)
    reason = models.CharField(max_length=40, blank=True, help_text="Code of the gate.")
    subject = models.CharField(max_length=100, help_text="What was turned away, as spotchecks.py names it.")
    was_right = models.BooleanField()
    person = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["language", "gate", "reason", "subject", "person"], name="one_spot_check_per_person_and_subject"
            )
        ]

    def __str__(self) -> str:
        return f"{'right' if self.was_right else 'wrong'}: {self.gate} {self.reason} {self.subject}"


class KnownInstruction(models.Model):
    """An instruction that a round selected, or the wording that people accepted for it: the next ones should differ."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="+")
    text = models.OneToOneField(Text, on_delete=models.CASCADE, related_name="known_instruction")
    instruction = models.TextField()
    is_accepted = models.BooleanField(default=False)
    embedding = VectorField(dimensions=EMBEDDING_DIMENSIONS)

    class Meta:
        indexes = [
            models.Index(fields=["language", "is_accepted"], name="known_by_language"),
            HnswIndex(fields=["embedding"], opclasses=["vector_cosine_ops"], name="known_by_meaning"),
        ]

    def __str__(self) -> str:
        return f"known instruction of text {self.text_id}"
