"""What linguists decide, and what is asked of them."""

import uuid
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models.items import Item
from annotation.models.pairs import Pair
from annotation.models.reviews import Decision
from xinstruct_site.people.models import Language, User


class Concern(models.TextChoices):
    """What a linguist can mark in a text or an instruction. A language adds its own (AuditTag)."""

    ENTITY = "entity", _("Name or place wrongly localised")
    TABOO = "taboo", _("Taboo")
    REGISTER = "register", _("Register: too formal or too familiar")
    VARIETY = "variety", _("Dialect or orthography")
    STEREOTYPE = "stereotype", _("Stereotype")
    ANGLOCENTRIC = "anglocentric", _("Anglocentric assumption")
    OUTDATED = "outdated", _("Outdated")
    RESTRICTED = "restricted", _("Sacred or restricted knowledge")


class AuditTag(models.Model):
    """A concern of one language's own, beside those that every language has."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="audit_tags")
    name = models.CharField(_("name"), max_length=80)
    made_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    retired_at = models.DateTimeField(null=True, blank=True, help_text="Marks that carry it stay.")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["language", "name"], name="one_audit_tag_per_name")]

    def __str__(self) -> str:
        return self.name


class AuditVerdict(models.TextChoices):
    PASS = "pass", _("pass")
    FIX = "fix", _("fix")
    EXCLUDE = "exclude", _("exclude")
    SEND_BACK = "send_back", _("send back")


class AuditQuerySet(models.QuerySet["Audit"]):
    def standing(self) -> Self:
        return self.filter(withdrawn_at=None)

    def with_open_rule(self) -> Self:
        """Audits that suggest a rule which is neither in the guidelines nor set aside."""
        return self.standing().exclude(rule="").filter(rule_closed_at=None)


class Audit(models.Model):
    """What a linguist decided on a pair's cultural content. The client makes the id, so a replay finds the stored one.

    `marks` are [{part, start, end, quote, tag, severity, note}]: part is "text" or "instruction", start and end count
    code points, tag is a Concern or the name of one of the language's own.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="audits")
    pair = models.ForeignKey(Pair, on_delete=models.PROTECT, related_name="audits", help_text="As it was audited.")
    linguist = models.ForeignKey(User, on_delete=models.PROTECT, related_name="audits")
    verdict = models.CharField(_("verdict"), max_length=10, choices=AuditVerdict)
    marks = models.JSONField(default=list)
    note = models.TextField(_("note"), blank=True, help_text="The reviewers of the item read it.")
    rule = models.TextField(_("suggested rule"), blank=True)
    rule_closed_at = models.DateTimeField(null=True, blank=True, help_text="Taken into the guidelines, or set aside.")
    rule_in_version = models.PositiveIntegerField(null=True, blank=True, help_text="Of the guidelines that have it.")
    outcome = models.ForeignKey(
        Pair, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="The pair that a fix made."
    )
    undoing = models.JSONField(default=dict, help_text="What it takes to undo it: the pair's state, reviews' slots.")
    at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit")
        verbose_name_plural = _("audits")
        constraints = [
            models.UniqueConstraint(fields=["pair"], condition=Q(withdrawn_at=None), name="one_standing_audit_per_pair")
        ]

    def __str__(self) -> str:
        return f"audit {self.pk}"


class AdjudicationQuerySet(models.QuerySet["Adjudication"]):
    def standing(self) -> Self:
        return self.filter(withdrawn_at=None)


class Adjudication(models.Model):
    """What a linguist decided where reviewers did not agree. The client makes the id, as for a review."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="adjudications")
    linguist = models.ForeignKey(User, on_delete=models.PROTECT, related_name="adjudications")
    decision = models.CharField(_("decision"), max_length=6, choices=Decision)
    overall = models.PositiveSmallIntegerField(_("overall"))
    note = models.TextField(_("note"), blank=True, help_text="The reviewers of the item read it.")
    pair = models.ForeignKey(Pair, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    was_pair = models.ForeignKey(Pair, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = AdjudicationQuerySet.as_manager()

    class Meta:
        verbose_name = _("adjudication")
        verbose_name_plural = _("adjudications")
        indexes = [models.Index(fields=["-at"], condition=Q(withdrawn_at=None), name="adjudication_by_age")]
        constraints = [
            models.UniqueConstraint(
                fields=["item"], condition=Q(withdrawn_at=None), name="one_standing_adjudication_per_item"
            ),
            models.CheckConstraint(
                condition=Q(decision=Decision.ACCEPT, overall__range=(3, 5))
                | Q(decision=Decision.REJECT, overall__range=(1, 3)),
                name="adjudication_keeps_the_rules_of_a_review",
            ),
        ]

    def __str__(self) -> str:
        return f"adjudication {self.pk}"
