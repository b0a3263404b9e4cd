"""Releases, their frozen rows, and what evaluators said of them."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from generation.models.keys import public_id_field
from generation.models.model_versions import ModelVersion
from xinstruct_site.people.ids import LENGTH
from xinstruct_site.people.models import Language, User

GOLD = "gold"  # what a release's query says of its items where it is a gold set
PREFERENCES = "preferences"  # in a release's query


class ReleaseState(models.TextChoices):
    CANDIDATE = "candidate", _("candidate")  # asked for to be audited; frozen once it has a hash
    BUILDING = "building", _("building")
    READY = "ready", _("ready")
    WITHDRAWN = "withdrawn", _("withdrawn")
    FAILED = "failed", _("failed")


class Split(models.TextChoices):
    TRAIN = "train", _("training")
    VALIDATION = "validation", _("validation")
    TEST = "test", _("test")


class ReleaseQuerySet(models.QuerySet["Release"]):
    def within(self, languages: models.QuerySet[Language]) -> Self:
        """Releases that hold no other language than these."""
        beyond = Language.objects.filter(releases=models.OuterRef("pk")).exclude(pk__in=languages)
        return self.filter(~models.Exists(beyond))

    def ready(self) -> Self:
        return self.filter(state=ReleaseState.READY)

    def rated(self) -> Self:
        """What people said of items: evaluators learn from these and are measured on them."""
        return self.filter(query__kind="ratings")

    def exported(self) -> Self:
        """Releases of pairs or preferences that are out in the world, withdrawn or not: a next one may follow them."""
        out = self.filter(state__in=[ReleaseState.READY, ReleaseState.WITHDRAWN], ready_at__isnull=False)
        return out.exclude(query__contains={"kind": "ratings"})

    def comparable(self, release: "Release") -> Self:
        """Other frozen releases that hold rows of the same kind."""
        kind = release.query.get("kind")
        alike = self.filter(query__kind=kind) if kind else self.exclude(query__has_key="kind")
        return alike.exclude(pk=release.pk).exclude(sha256="")

    def unfrozen(self) -> Self:
        """Releases whose rows a worker is to write: asked for, or candidates that are to be published."""
        return self.filter(Q(state=ReleaseState.BUILDING) | Q(state=ReleaseState.CANDIDATE, sha256=""))


class Release(models.Model):
    """An immutable, hashed, versioned set of pairs (or preferences, or ratings).

    Its name is its own; releases of one line are told apart by `version` and tied together by `previous`. Only a
    ready one leaves this house or teaches a model. A candidate is frozen, too, but for audit.
    """

    public_id = public_id_field()
    name = models.SlugField(_("name"), max_length=100, unique=True)
    state = models.CharField(max_length=10, choices=ReleaseState, default=ReleaseState.BUILDING)
    languages: models.ManyToManyField = models.ManyToManyField(Language, related_name="releases")
    version = models.CharField(
        _("version"), max_length=40, default="1.0.0",
        help_text="MAJOR.MINOR.PATCH: rows edited or gone, rows added, neither. Says so against `previous`.",
    )  # fmt: skip
    previous = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="following",
        help_text="The release it follows; empty: the first of its line.",
    )  # fmt: skip
    licence = models.CharField(
        _("licence"), max_length=100, blank=True,
        help_text="SPDX id of the least restrictive licence that every row may be published under; empty: of ratings.",
    )  # fmt: skip
    changelog = models.JSONField(
        default=dict,
        help_text="Against `previous`: {added|edited|withdrawn: {language code: rows}}; empty without a previous one.",
    )
    splits = models.JSONField(default=dict, help_text="{split: {language code: rows}}; empty: of ratings.")
    query = models.JSONField(default=dict, help_text="What was asked for, readable.")
    counts = models.JSONField(default=dict, help_text="Rows by language.")
    versions = models.JSONField(default=dict, help_text="Of this software and what wrote the rows.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Over the canonical rows in order.")
    contributors = models.JSONField(
        default=dict,
        help_text="Whom its documents credit, and aggregates of what people said of themselves; see "
        "annotation.crediting. Empty: from before there were any.",
    )
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_because = models.TextField(blank=True)

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

    def publish(self) -> bool:
        """Have a frozen candidate built anew, of the items that it holds. False where it is not one."""
        frozen = Release.objects.filter(pk=self.pk, state=ReleaseState.CANDIDATE).exclude(sha256="")
        return self._moved(frozen.update(state=ReleaseState.BUILDING, error=""))

    def fail(self, error: str) -> bool:
        """Say why the rows were not written; a candidate that was to be published is one again. False where they
        were."""
        unfrozen = Release.objects.unfrozen().filter(pk=self.pk)
        candidate = unfrozen.exclude(sha256="").update(state=ReleaseState.CANDIDATE, error=error)
        return self._moved(candidate or unfrozen.update(state=ReleaseState.FAILED, error=error))

    def withdraw(self, because: str) -> bool:
        """Take it out of use for good: it stays to be looked up. False where it is not frozen, or withdrawn already."""
        frozen = Release.objects.filter(pk=self.pk, state__in=[ReleaseState.CANDIDATE, ReleaseState.READY])
        return self._moved(
            frozen.exclude(sha256="").update(
                state=ReleaseState.WITHDRAWN, withdrawn_at=timezone.now(), withdrawn_because=because
            )
        )

    def forget_credit(self, person: User) -> bool:
        """Credit somebody no longer. False where they were not; the database refuses it of a ready release."""
        credited = self.contributors.get("credited", {})
        if credited.pop(person.public_id, None) is None:
            return False
        self.save(update_fields=["contributors"])
        return True

    def _moved(self, rows: int) -> bool:
        if rows:
            self.refresh_from_db()
        return bool(rows)

    @property
    def is_frozen(self) -> bool:
        """Whether its rows stand, and the database refuses to change them."""
        return self.state in {ReleaseState.READY, ReleaseState.WITHDRAWN} or self.is_candidate

    @property
    def is_candidate(self) -> bool:
        """Frozen for audit."""
        return self.state == ReleaseState.CANDIDATE and bool(self.sha256)

    @property
    def is_going_on(self) -> bool:
        """A worker is to write its rows."""
        return not self.is_frozen and self.state != ReleaseState.FAILED

    @property
    def small_languages(self) -> list[str]:
        """Languages that have fewer rows than was asked for, where they are marked and not left out."""
        return [code for code, number in self.counts.items() if number < self.query.get("rows_min", 0)]

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
    """One frozen pair: the canonical row as it is hashed and exported. Ids of people's work are plain values.

    Taken down, `row` is empty and `blanked_at` says since when; `row_sha256` still says what stood there.
    """

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="rows")
    position = models.PositiveIntegerField()
    pair_public_id = models.CharField(max_length=LENGTH)
    item_public_id = models.CharField(
        max_length=LENGTH, blank=True, help_text="What a row is known by across releases."
    )
    split = models.CharField(
        max_length=10, choices=Split, default=Split.TRAIN,
        help_text="Texts of one document, one address or one near-duplicate cluster are all in one.",
    )  # fmt: skip
    language_code = models.CharField(max_length=35)
    text_sha256 = models.CharField(max_length=64)
    row = models.JSONField()
    row_sha256 = models.CharField(max_length=64)
    blanked_at = models.DateTimeField(null=True, blank=True)

    objects = ReleaseRowQuerySet.as_manager()

    class Meta:
        ordering = ["release", "position"]
        constraints = [
            models.UniqueConstraint(fields=["release", "position"], name="one_row_per_position"),
            models.UniqueConstraint(fields=["release", "pair_public_id"], name="pair_once_per_release"),
        ]
        indexes = [
            models.Index(fields=["pair_public_id"], name="release_row_by_pair"),
            models.Index(fields=["release", "item_public_id"], name="release_row_by_item"),
            models.Index(fields=["text_sha256"], name="release_row_by_text"),
        ]

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
