"""How people learn and how they are doing: practice items, gold among their items, and pauses."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models.items import Item
from annotation.models.reviews import RATING, Decision
from xinstruct_site.people.models import Language, User


class Lesson(models.Model):
    """What a practice item teaches: what is shown, what we would decide on it, and why."""

    item = models.OneToOneField(Item, on_delete=models.CASCADE, related_name="lesson")
    position = models.PositiveIntegerField(default=0)
    instruction = models.TextField(_("instruction"))
    input = models.TextField(_("input"), blank=True)
    decision = models.CharField(_("decision"), max_length=6, choices=Decision)
    overall = models.PositiveSmallIntegerField(_("overall"))
    explanation = models.TextField(_("explanation"), help_text=_("Markdown."))
    made_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(decision=Decision.ACCEPT, overall__range=(3, 5))
                | Q(decision=Decision.REJECT, overall__range=(1, 3)),
                name="lesson_keeps_the_rules_of_a_review",
            )
        ]

    def __str__(self) -> str:
        return f"lesson of item {self.item_id}"


class PracticeAnswer(models.Model):
    """What a person decided on a practice item. It counts for nothing but their own learning."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="practice_answers")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    decision = models.CharField(max_length=6, choices=Decision)
    overall = models.PositiveSmallIntegerField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "user"], name="one_practice_answer_per_item_and_person"),
            models.CheckConstraint(condition=Q(overall__range=RATING), name="practice_answer_within_1_to_5"),
        ]

    def __str__(self) -> str:
        return f"practice answer of {self.user} on item {self.item_id}"


class PracticeDone(models.Model):
    """That a person went through the practice of a language, or passed it over: it is not put before them again."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "language"], name="one_practice_done_per_person_and_language")
        ]

    def __str__(self) -> str:
        return f"{self.user} is through with the practice of {self.language}"


class Gold(models.Model):
    """The known answer of a decided item. People are served copies of the item and never the item itself."""

    item = models.OneToOneField(Item, on_delete=models.PROTECT, related_name="known_answer")
    decision = models.CharField(_("decision"), max_length=6, choices=Decision)
    overall_low = models.PositiveSmallIntegerField()
    overall_high = models.PositiveSmallIntegerField()
    made_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    retired_at = models.DateTimeField(null=True, blank=True)
    is_wrong = models.BooleanField(default=False, help_text="Retired because the known answer was: it judges nobody.")

    class Meta:
        verbose_name = _("gold")
        verbose_name_plural = _("gold")
        constraints = [
            models.CheckConstraint(
                condition=Q(overall_low__gte=1, overall_high__lte=5, overall_low__lte=F("overall_high")),
                name="known_overall_is_a_range_in_1_to_5",
            )
        ]

    def __str__(self) -> str:
        return f"known answer of item {self.item_id}"


class PauseReason(models.TextChoices):
    GOLD = "gold", _("answers on gold")
    ENTRY = "entry", _("entry")


class Pause(models.Model):
    """That somebody is served nothing in a language until a linguist has talked with them."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="pauses")
    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="pauses")
    reason = models.CharField(max_length=6, choices=PauseReason)
    at = models.DateTimeField(default=timezone.now)
    right = models.PositiveIntegerField(help_text="Of the answers that led to it.")
    answers = models.PositiveIntegerField()
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    note = models.TextField(_("note"), blank=True, help_text="The person reads it.")

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "language"], condition=Q(lifted_at=None), name="one_pause_per_person_and_language"
            )
        ]

    def __str__(self) -> str:
        return f"pause of {self.user} in {self.language}"
