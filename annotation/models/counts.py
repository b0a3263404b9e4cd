"""Numbers that are too long to take at every look."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models import Language, User


class DeskFigures(models.Model):
    """What desk.py counted of a language's reviews, as of a moment: too long to count at every look."""

    language = models.OneToOneField(Language, on_delete=models.CASCADE, related_name="desk_figures")
    data = models.JSONField(default=dict, help_text="As figures.all_figures gives them, and more by desk.py.")
    pairs = models.JSONField(default=list, help_text="As figures.pairs gives them: long, and read by one page.")
    computed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"figures of language {self.language_id}"


class SignalKind(models.TextChoices):
    """What in a person's last reviews is worth a question. None of them is a verdict."""

    TOO_FAST = "too_fast", _("faster than the texts can be read")
    UNEDITED = "unedited", _("not one draft changed")
    COPIED = "copied", _("the same words for several texts")
    SAME_RATINGS = "same_ratings", _("always the same ratings")


class Signal(models.Model):
    """A signal of one person in a language. They see it first; who leads the language, then or a week on."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="signals")
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="signals")
    kind = models.CharField(max_length=12, choices=SignalKind)
    number = models.PositiveIntegerField(help_text="Of their last reviews.")
    noticed_at = models.DateTimeField(default=timezone.now)
    shown_at = models.DateTimeField(null=True, blank=True, help_text="To the person.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["language", "person", "kind"], name="one_signal_per_person_and_kind")
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.person_id}"


class Tally(models.Model):
    """How many reviews of a person, or with no person how many accepted pairs, a language got on one day."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="+")
    person = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    day = models.DateField(help_text="In the installation's time zone.")
    number = models.IntegerField(default=0)
    # Gold is no accepted pair. Only who decides on it sees the count go on as on every other item.
    seeming = models.IntegerField(default=0, help_text="What this person takes for accepted pairs, and is gold.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["language", "person", "day"], name="one_tally_per_language_person_and_day", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.number} on {self.day}"


class Overview(models.Model):
    """How many of a language's texts have reached each stage, as it was last counted. For large languages only."""

    language = models.OneToOneField(Language, on_delete=models.CASCADE, primary_key=True, related_name="+")
    counts = models.JSONField(default=dict)
    counted_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"overview of {self.language_id}"
