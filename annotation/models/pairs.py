"""The outcome of items."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models.items import Item, ItemKind
from annotation.trimming import response
from generation.models import Candidate, public_id_field


class PairState(models.TextChoices):
    ACCEPTED = "accepted", _("accepted")
    DISPUTED = "disputed", _("disputed")
    HELD = "held", _("held for audit")
    EXCLUDED = "excluded", _("excluded")
    WITHDRAWN = "withdrawn", _("withdrawn")


class Origin(models.TextChoices):
    """Who had a hand in the response."""

    WEB = "web", _("web")
    WEB_HUMAN = "web+human", _("web, edited by a person")
    WEB_MODEL = "web+model", _("web, edited by a model")
    WEB_MODEL_HUMAN = "web+model+human", _("web, edited by a model and a person")


class PairQuerySet(models.QuerySet["Pair"]):
    def current(self) -> Self:
        return self.filter(is_current=True)

    def releasable(self) -> Self:
        """Current accepted pairs of normal items whose text was not taken down."""
        return self.current().filter(
            state=PairState.ACCEPTED, item__kind=ItemKind.NORMAL, item__text__withdrawn_at=None
        )


class Pair(models.Model):
    """The outcome for an item: the one current instruction, input and response, and where each part comes from."""

    public_id = public_id_field()
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="pairs")
    is_current = models.BooleanField(default=True)
    state = models.CharField(max_length=10, choices=PairState)
    instruction = models.TextField()
    input = models.TextField(blank=True)
    spans = models.JSONField(default=list, help_text="Kept parts of the body; empty: all of it.")
    response_edit = models.TextField(null=True, blank=True)  # noqa: DJ001 - None says unedited
    origin = models.CharField(max_length=20, choices=Origin, default=Origin.WEB)
    variety = models.CharField(max_length=80, blank=True)
    orthography = models.CharField(max_length=80, blank=True, default="", db_default="")
    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    policy_version = models.PositiveIntegerField()
    decided_by = models.JSONField(default=list, help_text="Ids of the reviews that agreed, or of the adjudication.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = PairQuerySet.as_manager()

    class Meta:
        verbose_name = _("pair")
        verbose_name_plural = _("pairs")
        constraints = [
            models.UniqueConstraint(fields=["item"], condition=Q(is_current=True), name="one_current_pair_per_item")
        ]
        indexes = [
            models.Index(fields=["state", "id"], include=["item"], condition=Q(is_current=True), name="pair_by_state")
        ]

    def __str__(self) -> str:
        return f"pair {self.public_id}"

    def response(self) -> str:
        """The response as released: the edit if there is one, else the kept spans of the body, else the body."""
        if self.response_edit is not None:
            return self.response_edit
        return response(self.item.text.body, [(span["start"], span["end"]) for span in self.spans])
