"""Fine-tune runs and what their trainers reported."""

from typing import Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from generation.models.keys import public_id_field
from generation.models.model_versions import ModelVersion, Task
from generation.models.releases import Release
from generation.models.work import JobModel, JobQuerySet, JobState
from xinstruct_site.people.models import EventKind, Language


class Method(models.TextChoices):
    FULL = "full", _("all weights")
    LORA = "lora", _("LoRA")


class FineTuneRunQuerySet(JobQuerySet):
    def within(self, languages: models.QuerySet[Language]) -> Self:
        """Runs that learn from no other language than these."""
        codes = list(languages.values_list("code", flat=True))
        beyond = Language.objects.filter(releases__fine_tune_runs=models.OuterRef("pk")).exclude(code__in=codes)
        return self.filter(~models.Exists(beyond), seeds__contained_by=codes)

    def in_line(self) -> Self:
        """Runs that a worker may take, in the order in which it should; one whose worker died waits, too."""
        return (self.filter(state=JobState.QUEUED) | self.abandoned()).order_by("-place", "id")


class FineTuneRun(JobModel):
    """Trains a model version for one task from releases and seeds. The same recipe is the same run."""

    FAILED_EVENT = EventKind.FINETUNE_FAILED

    public_id = public_id_field()
    key = models.CharField(max_length=64, unique=True)
    task = models.CharField(_("task"), max_length=10, choices=Task)
    base_model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="fine_tune_runs")
    releases: models.ManyToManyField = models.ManyToManyField(Release, related_name="fine_tune_runs", blank=True)
    seeds = models.JSONField(default=list, help_text="Language codes whose seed pairs take part.")
    method = models.CharField(_("method"), max_length=10, choices=Method, default=Method.FULL)
    config = models.JSONField(default=dict)
    pairs = models.PositiveIntegerField(default=0)
    place = models.IntegerField(default=0, help_text="Higher goes first; among equals the older one.")
    step = models.PositiveIntegerField(default=0)
    steps_total = models.PositiveIntegerField(default=0)
    step_kept = models.PositiveIntegerField(default=0, help_text="Of the checkpoint that a worker went on from last.")
    held_out = models.PositiveIntegerField(default=0, help_text="Pairs to validate on.")
    validation = models.JSONField(default=list, help_text="[step, loss on the held-out pairs], from step 0 on.")
    tail = models.TextField(blank=True, help_text="The last lines of the trainer's log.")

    objects = FineTuneRunQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        verbose_name = _("fine-tune run")
        verbose_name_plural = _("fine-tune runs")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"fine-tune run {self.public_id}"

    @property
    def progress(self) -> int:
        return self.step_kept

    @property
    def what_to_do(self) -> str:
        asked = {name: self.config.get(name) for name in ("batch_size", "max_length", "precision")}
        recipe = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
        return (
            f"The run trains {self.base_model.name} with the method {self.method}, {recipe}. If memory gave out, a "
            f"smaller batch_size with a larger accumulate, a shorter max_length, the method lora or a smaller model "
            f"needs less: start a run with that, or continue this one where there is more memory."
        )

    def move_to_front(self) -> bool:
        """Be the next that a worker takes. False where the run does not wait."""
        first = FineTuneRun.objects.filter(state=JobState.QUEUED).order_by("-place").values("place")[:1]
        waiting = FineTuneRun.objects.filter(pk=self.pk, state=JobState.QUEUED)
        return bool(waiting.update(place=models.Subquery(first) + 1))


class FineTuneLogQuerySet(models.QuerySet["FineTuneLog"]):
    def thinned(self, steps: int, at_most: int = 400) -> Self:
        """Lines in their order, evenly spread over so many steps; more than a chart can draw would only cost time."""
        stride = max(1, steps // at_most)
        spread = self.annotate(rest=models.F("step") % stride)
        return spread.filter(models.Q(rest=0) | models.Q(step__in=[1, steps])).order_by("step")


class FineTuneLog(models.Model):
    """What the trainer reported at one step."""

    run = models.ForeignKey(FineTuneRun, on_delete=models.CASCADE, related_name="log")
    step = models.PositiveIntegerField()
    loss = models.FloatField()
    learning_rate = models.FloatField(null=True, blank=True)
    tokens_per_second = models.FloatField(null=True, blank=True)
    at = models.DateTimeField(default=timezone.now)

    objects = FineTuneLogQuerySet.as_manager()

    class Meta:
        ordering = ["run", "step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="one_log_line_per_step")]

    def __str__(self) -> str:
        return f"step {self.step}: {self.loss:.4f}"
