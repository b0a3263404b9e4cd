"""Texts and where they came from."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from generation.models.keys import public_id_field
from generation.models.work import JobModel
from xinstruct_site.people.models import Language, User

if TYPE_CHECKING:
    from generation.models.runs import Run


class ImportState(models.TextChoices):
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    CUT_SHORT = "cut_short", _("cut short")  # called again for the same files, it goes on


class Import(models.Model):
    """What came in from some files, and what was turned away and why. Cut short and called again it is the same row.

    `key` hashes the files and how they are read; a stream has none. `position` says how many rows are through and how
    many bytes of rejected rows were written by then.
    """

    public_id = public_id_field()
    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="imports")
    source = models.CharField(max_length=200)
    files = models.JSONField(default=list)
    counts = models.JSONField(default=dict, help_text="read, stored, duplicate, and rejected by reason")
    state = models.CharField(max_length=10, choices=ImportState, default=ImportState.DONE)
    key = models.CharField(max_length=64, blank=True, db_index=True)
    position = models.JSONField(default=dict)
    gates_version = models.PositiveSmallIntegerField(default=0, help_text="Of the thresholds that judged the texts.")
    rejected_path = models.CharField(max_length=500, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    started_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    def __str__(self) -> str:
        return f"import {self.public_id} ({self.language.code})"


class RejectedSample(models.Model):
    """A row that an import turned away, kept for people to say whether that was right. See rejected_samples.py."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="+")
    batch = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="rejected_samples")
    reason = models.CharField(max_length=40)
    place = models.BigIntegerField(help_text="Drawn by hash; of a reason the lowest are kept.")
    words = models.TextField(help_text="The beginning of the row, or of its passage.")
    detail = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["language", "reason", "place"], name="rejected_row_drawn_once")]

    def __str__(self) -> str:
        return f"{self.reason} in {self.batch}"


class TextQuerySet(models.QuerySet["Text"]):
    def available(self) -> Self:
        """Texts that may be drafted for and shown to people."""
        return self.filter(withdrawn_at=None, is_practice=False)

    def missing_in(self, run: "Run") -> Self:
        """Texts of which the run has not drafted every sample yet, and has not given up on."""
        of_text = run.candidates.filter(text=models.OuterRef("pk")).order_by().values("text")
        drafted = models.Subquery(of_text.annotate(n=models.Count("pk")).values("n"))
        dead = run.dead_letters.filter(text=models.OuterRef("pk"))
        return self.alias(drafted=Coalesce(drafted, 0)).filter(~models.Exists(dead), drafted__lt=run.samples)


class Text(models.Model):
    """A natural web text in one language: the response. Body and untouched original side by side, with provenance."""

    public_id = public_id_field()
    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="texts")
    title = models.TextField(blank=True)
    body = models.TextField(help_text="After ftfy and NFC, done once at import.")
    original = models.TextField(help_text="As it came.")
    sha256 = models.CharField(max_length=64, help_text="Of the body, UTF-8.")
    chars = models.PositiveIntegerField(help_text="Code points of the body.")
    normalisation = models.JSONField(default=dict, help_text="Versions of ftfy and Unicode.")
    variety = models.CharField(max_length=80, blank=True, help_text="Region, dialect or register.")
    orthography = models.CharField(max_length=80, blank=True, default="", db_default="", help_text="Script, spelling.")
    # Provenance
    source_dataset = models.CharField(max_length=200)
    source_release = models.CharField(max_length=100, blank=True)
    source_doc_id = models.CharField(max_length=300, blank=True)
    url = models.TextField(blank=True)
    domain = models.CharField(max_length=253, blank=True, db_index=True)
    crawl_date = models.CharField(max_length=40, blank=True)
    lang_declared = models.CharField(max_length=35, blank=True)
    lang_detected = models.CharField(max_length=35, blank=True)
    lang_score = models.FloatField(null=True, blank=True)
    script = models.CharField(max_length=4, blank=True)
    licence_id = models.CharField(max_length=100)
    licence_url = models.TextField(blank=True)
    robots_status = models.CharField(max_length=20, blank=True)
    pii_spans = models.JSONField(default=list)
    dedup_cluster_size = models.PositiveIntegerField(default=1)
    segment_start = models.PositiveIntegerField(null=True, blank=True)
    segment_end = models.PositiveIntegerField(null=True, blank=True)
    extra = models.JSONField(default=dict, help_text="Fields of the source that have no column here.")
    imported_in = models.ForeignKey(Import, on_delete=models.PROTECT, related_name="texts")
    imported_at = models.DateTimeField(default=timezone.now)
    relabelled_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="relabelled_as", db_index=False,
        help_text="The text as it was first taken to be in another language.",
    )  # fmt: skip
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    is_practice = models.BooleanField(default=False, help_text="Written to teach: never drafted for or released.")

    objects = TextQuerySet.as_manager()

    class Meta:
        verbose_name = _("text")
        verbose_name_plural = _("texts")
        constraints = [models.UniqueConstraint(fields=["language", "sha256"], name="one_text_per_body")]
        indexes = [
            models.Index(fields=["language", "id"], name="text_by_language"),
            models.Index(fields=["language", "variety"], condition=~Q(variety=""), name="text_by_variety"),
            models.Index(fields=["language", "orthography"], condition=~Q(orthography=""), name="text_by_orthography"),
            models.Index(
                fields=["relabelled_from"], condition=Q(relabelled_from__isnull=False), name="text_by_relabelled_from"
            ),
        ]

    def __str__(self) -> str:
        return f"text {self.public_id}"

    @property
    def link(self) -> str:
        """Its address, if it leads to a page: a crawled one may be anything."""
        return self.url if self.url.startswith(("https://", "http://")) else ""


class NearDuplicate(models.Model):
    """A wording that was turned away because a text says nearly the same, so that it is counted once however often it
    comes."""

    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64, help_text="Of its body.")
    text = models.ForeignKey(Text, on_delete=models.CASCADE, related_name="near_duplicates")
    jaccard = models.FloatField(help_text="Of the character 5-grams of both.")
    imported_in = models.ForeignKey(Import, on_delete=models.PROTECT, related_name="near_duplicates")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["language", "sha256"], name="one_near_duplicate_per_body")]

    def __str__(self) -> str:
        return f"near-duplicate of text {self.text_id}"


class Band(models.Model):
    """One hash of a text under which its near-duplicates are looked for (near_duplicates.py).

    Fourteen for every text, and read by hash alone: no key to the text that the database would check, and no index
    but the primary key. A band whose text is gone is found and passed over.
    """

    pk = models.CompositePrimaryKey("hash", "text_id")
    hash = models.BigIntegerField()
    text = models.ForeignKey(Text, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")

    def __str__(self) -> str:
        return f"band of text {self.text_id}"


class Upload(JobModel):
    """A file of texts that a maintainer sent from a page, waiting for a worker to import it. Gone once imported."""

    public_id = public_id_field()
    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="uploads")
    source = models.CharField(max_length=200)
    licence_id = models.CharField(max_length=100)
    file_name = models.CharField(max_length=255, help_text="As the browser called it; never used as a path.")
    stored_as = models.CharField(max_length=80, help_text="Random name in the folder of uploads.")
    size = models.PositiveBigIntegerField()
    imported_in = models.ForeignKey(Import, on_delete=models.PROTECT, null=True, blank=True, related_name="uploads")
    done = models.PositiveBigIntegerField(default=0, help_text="Rows read.")

    class Meta:
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"upload {self.public_id} ({self.language.code})"

    @property
    def progress(self) -> int:
        return self.done

    @property
    def what_to_do(self) -> str:
        return "What was stored is kept. Send the file again in smaller parts, or where there is more memory."
