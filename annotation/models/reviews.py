"""What native speakers decided, and what they think of an instruction by itself."""

import uuid
from typing import Self

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models.items import Item, Slot
from generation.models import Candidate
from xinstruct_site.people.models import ContributorAgreement, Language, User

RATING = (1, 5)


class Decision(models.TextChoices):
    ACCEPT = "accept", _("accept")
    REJECT = "reject", _("reject")


class Flag(models.TextChoices):
    """What can be wrong with a text or an instruction beyond a low rating."""

    NEEDS_INPUT = "needs_input", _("Needs an input that is not given")
    WRONG_LANGUAGE = "wrong_language", _("Wrong language or variety")
    MACHINE_TRANSLATED = "machine_translated", _("Machine-translated")
    BOILERPLATE = "boilerplate", _("Boilerplate left in")
    HARMFUL = "harmful", _("Harmful")
    PERSONAL_DATA = "personal_data", _("Personal data")
    CULTURAL = "cultural", _("Cultural concern")
    BROKEN_TEXT = "broken_text", _("Broken text")


class ReviewQuerySet(models.QuerySet["Review"]):
    def standing(self) -> Self:
        """Reviews that count: not withdrawn."""
        return self.filter(withdrawn_at=None)


class Review(models.Model):
    """What one native speaker decided. The client makes the id, so a replayed submit finds the stored result."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="reviews")
    slot = models.ForeignKey(
        Slot, on_delete=models.PROTECT, null=True, blank=True, related_name="reviews",
        help_text="Empty: an extra review, stored but not counted towards the verdict.",
    )  # fmt: skip
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="reviews")
    review_pass = models.PositiveSmallIntegerField(default=1, help_text="2 is a later self-recheck.")
    decision = models.CharField(_("decision"), max_length=6, choices=Decision)
    candidate = models.ForeignKey(
        Candidate, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="Empty: own wording."
    )
    instruction = models.TextField(_("instruction"))
    input = models.TextField(_("input"), blank=True)
    response_edit = models.TextField(_("edited response"), null=True, blank=True)  # noqa: DJ001 - None says unedited
    spans = models.JSONField(
        default=list, help_text="Parts of the body that are the response: [{start, end, quote}], code points, ordered."
    )
    rating_alignment = models.PositiveSmallIntegerField(_("text answers it"), null=True, blank=True)
    rating_instruction = models.PositiveSmallIntegerField(_("instruction"), null=True, blank=True)
    rating_text = models.PositiveSmallIntegerField(_("text"), null=True, blank=True)
    overall = models.PositiveSmallIntegerField(_("overall"), null=True, blank=True)
    flags = models.JSONField(default=dict, help_text="Flag → note, which may be empty.")
    relabel = models.ForeignKey(
        Language, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False,
        help_text="Of a flag for the wrong language: which one it is; the item's own where its note names a variety.",
    )  # fmt: skip
    reason = models.TextField(_("reason"), blank=True)
    shown_at = models.DateTimeField()
    submitted_at = models.DateTimeField(default=timezone.now)
    active_seconds = models.PositiveIntegerField(default=0, help_text="Visible and not idle.")
    interface_language = models.CharField(max_length=10)
    guidelines_version = models.PositiveIntegerField()
    agreement = models.ForeignKey(ContributorAgreement, on_delete=models.PROTECT, related_name="+")
    scores_visible = models.BooleanField(default=False, help_text="Whether machine scores were shown.")
    counts_alone = models.BooleanField(default=False, help_text="Their accept made a pair by itself at the time.")
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = ReviewQuerySet.as_manager()

    class Meta:
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        constraints = [
            models.UniqueConstraint(
                fields=["item", "reviewer", "review_pass"],
                condition=Q(withdrawn_at=None),
                name="one_standing_review_per_item_reviewer_and_pass",
            ),
            models.UniqueConstraint(
                fields=["slot"], condition=Q(withdrawn_at=None), name="one_standing_review_per_slot"
            ),
            models.CheckConstraint(condition=Q(review_pass__in=[1, 2]), name="nobody_reviews_an_item_a_third_time"),
            models.CheckConstraint(
                condition=~Q(decision=Decision.ACCEPT)
                | Q(
                    rating_alignment__isnull=False,
                    rating_instruction__isnull=False,
                    rating_text__isnull=False,
                    overall__range=(3, 5),
                )
                & ~Q(instruction=""),
                name="accept_has_all_ratings_and_overall_3_to_5",
            ),
            models.CheckConstraint(
                condition=~Q(decision=Decision.REJECT) | (~Q(reason="") & (Q(overall=None) | Q(overall__lte=3))),
                name="reject_has_a_reason_and_no_4_or_5",
            ),
            models.CheckConstraint(
                condition=(
                    (Q(rating_alignment=None) | Q(rating_alignment__range=RATING))
                    & (Q(rating_instruction=None) | Q(rating_instruction__range=RATING))
                    & (Q(rating_text=None) | Q(rating_text__range=RATING))
                    & (Q(overall=None) | Q(overall__range=RATING))
                ),
                name="ratings_within_1_to_5",
            ),
        ]
        indexes = [
            models.Index(fields=["reviewer", "-submitted_at"], name="review_by_reviewer"),
            GinIndex(fields=["flags"], condition=~Q(flags={}), name="review_by_flag"),
            models.Index(fields=["item"], condition=Q(withdrawn_at=None) & ~Q(flags={}), name="flagged_review_by_item"),
        ]

    def __str__(self) -> str:
        return f"review {self.pk}"


class FastReason(models.TextChoices):
    """Why an instruction alone is not good, whatever the text says."""

    SENSELESS = "senseless", _("makes no sense")
    VAGUE = "vague", _("is too vague")
    FALSE = "false", _("says something false or outdated")
    PRIVATE = "private", _("names a private person")
    TANGLED = "tangled", _("is too complicated")
    OTHER = "other", _("something else")


class FastOpinion(models.Model):
    """What a person thought of an instruction by itself, in the fast pass. It only moves drafts up or down a card."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="fast_opinions")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="fast_opinions")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="fast_opinions")
    good = models.BooleanField(_("good"))
    reason = models.CharField(_("reason"), max_length=10, choices=FastReason, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("fast opinion")
        verbose_name_plural = _("fast opinions")
        constraints = [
            models.UniqueConstraint(fields=["user", "candidate"], name="one_fast_opinion_per_person_and_candidate"),
            models.CheckConstraint(condition=Q(good=True) | ~Q(reason=""), name="bad_fast_opinion_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{'good' if self.good else 'bad'}: candidate {self.candidate_id}"
