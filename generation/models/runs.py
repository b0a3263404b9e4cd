"""Generation runs and what they wrote: candidates, and the scores that evaluators gave them."""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from pgvector.django import VectorField

from generation.models.keys import EMBEDDING_DIMENSIONS, public_id_field
from generation.models.model_versions import ModelVersion
from generation.models.texts import Text
from generation.models.work import JobModel, JobState, silent_since
from xinstruct_site.people.models import Language


class Run(JobModel):
    """One generation run: which model drafts which texts, with which prompt, sampling and seed.

    `key` hashes all of that, so asking for the same run again continues it.
    """

    public_id = public_id_field()
    key = models.CharField(max_length=64, unique=True)
    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="runs")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="runs")
    prompt_version = models.CharField(max_length=60)
    prompt_sha256 = models.CharField(max_length=64, blank=True, help_text="Of the version's words.")
    asking = models.JSONField(default=dict, help_text="Styles, share of length hints, and examples, by asking.py.")
    sampling = models.JSONField(default=dict)
    seed = models.BigIntegerField(default=0)
    samples = models.PositiveSmallIntegerField(default=1, help_text="Candidates per text.")
    # The text set: texts of the language in order of import, the first `text_limit` of them, or all.
    text_limit = models.PositiveIntegerField(null=True, blank=True)
    repetition = models.PositiveIntegerField(default=0, help_text="Grows with --again.")
    texts_total = models.PositiveIntegerField(default=0)
    texts_done = models.PositiveIntegerField(default=0)
    tokens = models.BigIntegerField(default=0, help_text="Tokens written by the model.")
    # Kept by funnels.py, since counting anew at every look would take a large run's page seconds.
    counts = models.JSONField(default=dict)
    counted_at = models.DateTimeField(null=True, blank=True)
    prompt_tokens = models.BigIntegerField(default=0, help_text="Tokens read by the model, where it says so.")
    cost = models.FloatField(default=0, help_text="At the prices of the settings.")
    seconds = models.FloatField(default=0, help_text="Time spent in the model, of all workers together.")
    token_budget = models.BigIntegerField(null=True, blank=True, help_text="Read and written; empty: no limit.")
    cost_budget = models.FloatField(null=True, blank=True, help_text="Empty: no limit.")
    cursor = models.BigIntegerField(default=0, help_text="Texts up to this one have been handed to workers.")

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=Q(samples__gte=1), name="run_draws_at_least_one_sample")]

    def __str__(self) -> str:
        return f"run {self.public_id} ({self.language.code})"

    @property
    def progress(self) -> int:
        return self.texts_done

    @property
    def what_to_do(self) -> str:
        return (
            f"The run drafts with {self.model_version.name} ({self.model_version.backend}). If memory gave out, start "
            f"a run with a smaller model, or continue this one where there is more memory; what was drafted is kept."
        )

    def join(self) -> bool:
        """Take part in the work: the first worker starts it, others come along. False where it rests or is over."""
        now = timezone.now()
        Run.objects.filter(pk=self.pk, state=JobState.QUEUED).update(
            state=JobState.RUNNING, started_at=now, heartbeat_at=now, finished_at=None, error="", cursor=0
        )
        self.refresh_from_db()
        return self.state == JobState.RUNNING

    def pause(self) -> bool:
        """Ask for a rest: workers save what they have and leave. False where nothing waits or works."""
        waiting = Run.objects.unfinished().filter(pk=self.pk)
        return bool(waiting.update(state=JobState.PAUSED, finished_at=None))

    def resume(self) -> bool:
        """Queue a paused run again; the caller rings for a worker. False where it is not paused."""
        paused = Run.objects.filter(pk=self.pk, state=JobState.PAUSED)
        return bool(paused.update(state=JobState.QUEUED, error="", started_at=None, heartbeat_at=None))


class ShareQuerySet(models.QuerySet["Share"]):
    def alive(self) -> Self:
        """Shares whose worker was heard of lately."""
        return self.filter(heartbeat_at__gte=silent_since())

    def abandoned(self) -> Self:
        """Shares whose worker went silent: anybody may take them up."""
        return self.filter(heartbeat_at__lt=silent_since())


class Share(models.Model):
    """A block of a run's texts that one worker has in hand, for as long as its heart beats."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="shares")
    holder = models.CharField(
        max_length=100, db_index=True, help_text="One worker's part in the run: machine, process, and a random name."
    )
    text_ids = ArrayField(models.BigIntegerField())
    heartbeat_at = models.DateTimeField()

    objects = ShareQuerySet.as_manager()

    def __str__(self) -> str:
        return f"share {self.pk} of run {self.run_id}"


class DeadLetter(models.Model):
    """A text that a run gave up on: the model failed however often it was asked. Taken away, it is asked again."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="dead_letters")
    text = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="+")
    error = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "text"], name="one_dead_letter_per_text")]

    def __str__(self) -> str:
        return f"dead letter {self.pk} of run {self.run_id}"


class CandidateState(models.TextChoices):
    KEPT = "kept", _("kept")
    REJECTED = "rejected", _("rejected by the reply checks")


class CandidateQuerySet(models.QuerySet["Candidate"]):
    def kept(self) -> Self:
        return self.filter(state=CandidateState.KEPT)

    def drafted_in(self, code: str, until: int) -> Self:
        """First drafts of the language's texts, whatever was thought of them, up to one of them."""
        texts = {"text__language__code": code, "text__withdrawn_at": None, "text__is_practice": False}
        return self.filter(pk__lte=until, sample_number=0, **texts).exclude(instruction="")


class Candidate(models.Model):
    """One drafted English instruction (and optional input) for one text, with the raw reply it was read from."""

    text = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="candidates")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="candidates")
    sample_number = models.PositiveSmallIntegerField(default=0)
    style = models.CharField(max_length=20, blank=True, help_text="The style it was asked for in.")
    instruction = models.TextField(blank=True)
    input = models.TextField(blank=True)
    raw_reply = models.TextField()
    state = models.CharField(max_length=10, choices=CandidateState)
    reasons = ArrayField(models.CharField(max_length=40), default=list, help_text="Codes of the checks it failed.")
    repairs = ArrayField(models.CharField(max_length=40), default=list, help_text="What repairing.py mended.")
    tokens = models.PositiveIntegerField(default=0)
    embedding = VectorField(dimensions=EMBEDDING_DIMENSIONS, null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = CandidateQuerySet.as_manager()

    class Meta:
        verbose_name = _("candidate")
        verbose_name_plural = _("candidates")
        constraints = [
            models.UniqueConstraint(fields=["text", "run", "sample_number"], name="one_candidate_per_sample"),
            models.CheckConstraint(
                condition=~Q(state=CandidateState.KEPT) | ~Q(instruction=""), name="kept_candidate_has_an_instruction"
            ),
        ]
        indexes = [models.Index(fields=["run", "state", "id"], name="candidate_by_run_state_and_id")]

    def __str__(self) -> str:
        return f"candidate {self.pk}"


class ScoreState(models.TextChoices):
    SCORED = "scored", _("scored")
    UNPARSED = "unparsed", _("unparsed")  # the evaluator answered, and its answer names no level


class ScoreQuerySet(models.QuerySet["Score"]):
    def scored(self) -> Self:
        return self.filter(state=ScoreState.SCORED)


class Score(models.Model):
    """One machine rating of one candidate."""

    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="scores")
    evaluator = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="scores")
    sample_number = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=10, choices=ScoreState, default=ScoreState.SCORED)
    raw = models.FloatField(
        null=True, blank=True, help_text="On the evaluator's own scale; higher is better. Empty where unparsed."
    )
    level = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="1–5, only where an evaluator truly answered the rubric."
    )
    reasoning = models.TextField(blank=True, help_text="The evaluator's answer as it came.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = ScoreQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["candidate", "evaluator", "sample_number"], name="one_score_per_sample"),
            models.CheckConstraint(condition=Q(level=None) | Q(level__range=(1, 5)), name="score_level_within_rubric"),
            models.CheckConstraint(
                condition=Q(state=ScoreState.SCORED, raw__isnull=False)
                | Q(state=ScoreState.UNPARSED, raw=None, level=None),
                name="unparsed_is_a_state_and_no_score",
            ),
        ]

    def __str__(self) -> str:
        said = self.get_state_display() if self.raw is None else f"{self.raw:.3f}"
        return f"score {said} of candidate {self.candidate_id}"
