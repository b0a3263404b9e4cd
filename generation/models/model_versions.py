"""Models as they stood."""

from typing import Self

from django.db import models, transaction
from django.db.models import Q, Value
from django.db.models.functions import Concat, Substr
from django.utils.translation import gettext_lazy as _

from generation import licences
from generation.models.keys import public_id_field
from xinstruct_site.people.models import Event, EventKind, Language, User

IMPORTED = "imported"  # in place of a backend: only its answers are here, so it can be compared and not asked


class Task(models.TextChoices):
    DRAFT = "draft", _("draft")  # text → instruction
    ANSWER = "answer", _("answer")  # instruction → response
    SCORE = "score", _("score")  # pair → rating


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    def within(self, languages: models.QuerySet[Language]) -> Self:
        """Models that came from outside, and those that learnt here from no other language than these."""
        from generation.models.finetunes import FineTuneRun  # which points here

        return self.filter(Q(fine_tune_run=None) | Q(fine_tune_run__in=FineTuneRun.objects.within(languages))).order_by(
            "-is_starter", "-pk"
        )

    def same_as(self, model: "ModelVersion") -> Self:
        """The rows of these weights, whatever they are asked for."""
        return self.filter(backend=model.backend, location=model.location, revision=model.revision)

    def runnable(self) -> Self:
        """Those that can be asked and trained on."""
        return self.exclude(backend=IMPORTED)

    def moved(self, old: str, new: str) -> int:
        """Say that what lay in one folder lies in another now. Returns how many models that are."""
        inside = self.filter(location__startswith=f"{old}/")
        return inside.update(location=Concat(Value(new), Substr("location", len(old) + 1)))


class ModelVersion(models.Model):
    """One model as it stood: where it is, at which revision, under which licence, and who trained it."""

    public_id = public_id_field()
    task = models.CharField(max_length=10, choices=Task)
    name = models.CharField(_("name"), max_length=200)
    backend = models.CharField(max_length=20, help_text="Label in the table of backends.")
    location = models.TextField(help_text="Folder, hub id, or address and model name.")
    revision = models.CharField(max_length=100, help_text="Hash of the weights, or the hub's commit.")
    prompt_version = models.CharField(
        max_length=60, blank=True, help_text="Of an evaluator: how it is asked, without which a score means nothing."
    )
    licence_id = models.CharField(max_length=100, blank=True)
    is_starter = models.BooleanField(default=False)
    fine_tune_run = models.OneToOneField(
        "FineTuneRun", on_delete=models.PROTECT, null=True, blank=True, related_name="model_version"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        constraints = [
            models.UniqueConstraint(
                fields=["task", "backend", "location", "revision", "prompt_version"], name="one_row_per_model_version"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_known_licence(self) -> bool:
        return bool(licences.spdx(self.licence_id))

    def state_licence(self, licence: str, terms: str, by: User) -> None:
        """Have a person answer for what the model's terms ask of whoever publishes what it wrote; kept with the name.

        Args:
            terms: where they stand.
        """
        with transaction.atomic():
            for row in ModelVersion.objects.same_as(self).select_for_update():
                told, row.licence_id = row.licence_id, licence
                row.save(update_fields=["licence_id"])
                Event.record(EventKind.LICENCE_STATED, row, actor=by, licence=licence, told=told, terms=terms)
