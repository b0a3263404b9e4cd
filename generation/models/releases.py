"""Releases, their frozen rows, and what evaluators said of them."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from generation.models.keys import public_id_field
from generation.models.model_versions import ModelVersion
from xinstruct_site.people.ids import LENGTH
from xinstruct_site.people.models import Language, User

GOLD = "gold"  # what a release's query says of its items where it is a gold set
PREFERENCES = "preferences"  # in a release's query


class ReleaseState(models.TextChoices):
    CANDIDATE = "candidate", _("candidate")  # frozen for audit
    BUILDING = "building", _("building")
    READY = "ready", _("ready")
    WITHDRAWN = "withdrawn", _("withdrawn")
    FAILED = "failed", _("failed")


class ReleaseQuerySet(models.QuerySet["Release"]):
    def within(self, languages: models.QuerySet[Language]) -> Self:
        """Releases that hold no other language than these."""
        beyond = Language.objects.filter(releases=models.OuterRef("pk")).exclude(pk__in=languages)
        return self.filter(~models.Exists(beyond))

    def ready(self) -> Self:
        return self.filter(state=ReleaseState.READY)


class Release(models.Model):
    """An immutable, hashed, versioned set of pairs."""

    public_id = public_id_field()
    name = models.SlugField(_("name"), max_length=100, unique=True)
    state = models.CharField(max_length=10, choices=ReleaseState, default=ReleaseState.BUILDING)
    languages: models.ManyToManyField = models.ManyToManyField(Language, related_name="releases")
    query = models.JSONField(default=dict, help_text="What was asked for, readable.")
    counts = models.JSONField(default=dict, help_text="Rows by language.")
    versions = models.JSONField(default=dict, help_text="Of this software and what wrote the rows.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Over the canonical rows in order.")
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    ready_at = models.DateTimeField(null=True, blank=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("release")
        verbose_name_plural = _("releases")
        constraints = [
            models.CheckConstraint(
                condition=~Q(state=ReleaseState.READY) | ~Q(sha256=""), name="ready_release_is_hashed"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_gold(self) -> bool:
        """A set that evaluators are measured on and nothing is trained on."""
        return bool(self.query.get("items") == GOLD)

    @property
    def holds_ratings(self) -> bool:
        """What people said of items, good or not, in place of accepted pairs."""
        return bool(self.query.get("kind") == "ratings")

    @property
    def holds_preferences(self) -> bool:
        """Pairs, each with the draft that people did not want in place of its instruction."""
        return bool(self.query.get("kind") == PREFERENCES)


class ReleaseRowQuerySet(models.QuerySet["ReleaseRow"]):
    def gold(self) -> Self:
        """Rows of gold sets, whatever became of the release: what was once gold is never trained on."""
        return self.filter(release__query__items=GOLD)


class ReleaseRow(models.Model):
    """One frozen pair: the canonical row as it is hashed and exported. Ids of people's work are plain values."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="rows")
    position = models.PositiveIntegerField()
    pair_public_id = models.CharField(max_length=LENGTH)
    language_code = models.CharField(max_length=35)
    text_sha256 = models.CharField(max_length=64)
    row = models.JSONField()
    row_sha256 = models.CharField(max_length=64)

    objects = ReleaseRowQuerySet.as_manager()

    class Meta:
        ordering = ["release", "position"]
        constraints = [
            models.UniqueConstraint(fields=["release", "position"], name="one_row_per_position"),
            models.UniqueConstraint(fields=["release", "pair_public_id"], name="pair_once_per_release"),
        ]
        indexes = [models.Index(fields=["pair_public_id"], name="release_row_by_pair")]

    def __str__(self) -> str:
        return f"row {self.position} of release {self.release_id}"


class Measurement(models.Model):
    """What an evaluator said of a frozen set that people rated, in one language. Written once."""

    evaluator = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="measurements")
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="measurements")
    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="measurements")
    points = models.JSONField(help_text="[raw score, whether people called the pair good] of each pair.")
    unparsed = models.PositiveIntegerField(default=0, help_text="Pairs that the evaluator gave no level.")
    threshold = models.FloatField(null=True, blank=True, help_text="That the figures are for.")
    figures = models.JSONField(default=dict, help_text="As reliability.figures gives them.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["evaluator", "release", "language"], name="one_measurement_per_set")
        ]

    def __str__(self) -> str:
        return f"{self.evaluator} on {self.release} ({self.language.code})"

    @property
    def is_gold(self) -> bool:
        return bool(self.release.is_gold)
