"""Items and the slots that people hold on them, with what they have not sent."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from generation.models import Candidate, Round, Text, public_id_field
from xinstruct_site.people.models import Language, User


class ItemKind(models.TextChoices):
    NORMAL = "normal", _("normal")
    GOLD = "gold", _("gold")
    PRACTICE = "practice", _("practice")


class ItemState(models.TextChoices):
    OPEN = "open", _("waiting for reviews")
    ACCEPTED = "accepted", _("accepted")
    REJECTED = "rejected", _("rejected")
    DISPUTED = "disputed", _("disputed")
    WITHDRAWN = "withdrawn", _("withdrawn")


class Item(models.Model):
    """A text in a round with its candidates, waiting for people. Only its random public id appears in URLs."""

    public_id = public_id_field()
    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="items")
    text = models.ForeignKey(Text, on_delete=models.PROTECT, related_name="items")
    round = models.ForeignKey(
        Round, on_delete=models.PROTECT, null=True, blank=True, related_name="items",
        help_text="Empty: a practice item, which no round selected.",
    )  # fmt: skip
    kind = models.CharField(max_length=10, choices=ItemKind, default=ItemKind.NORMAL)
    state = models.CharField(max_length=10, choices=ItemState, default=ItemState.OPEN)
    candidate_ids = ArrayField(models.BigIntegerField(), default=list, help_text="Best first.")
    # The policy as it stood when the item was opened: changing it half-way moves no goalposts.
    overlap = models.PositiveSmallIntegerField()
    quorum = models.PositiveSmallIntegerField()
    policy_version = models.PositiveIntegerField()
    recheck_days = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="After so many days whoever reviewed it may do so once more. 0: never."
    )
    created_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True, blank=True)
    gold = models.ForeignKey(
        "Gold", on_delete=models.PROTECT, null=True, blank=True, related_name="copies",
        help_text="Of a gold item that people are served: whose known answer it has.",
    )  # fmt: skip

    class Meta:
        verbose_name = _("item")
        verbose_name_plural = _("items")
        constraints = [
            models.UniqueConstraint(
                fields=["text", "round"], condition=Q(gold=None), name="one_item_per_text_and_round"
            ),
            models.CheckConstraint(
                condition=Q(round__isnull=False) | Q(kind=ItemKind.PRACTICE), name="only_practice_is_in_no_round"
            ),
        ]
        indexes = [
            models.Index(fields=["language", "id"], name="item_by_language"),
            models.Index(fields=["language", "state", "id"], name="item_by_language_and_state"),
            models.Index(
                fields=["language", "-decided_at"], condition=Q(decided_at__isnull=False), name="item_by_decision"
            ),
            models.Index(fields=["language"], condition=Q(kind=ItemKind.PRACTICE), name="practice_item"),
        ]

    def __str__(self) -> str:
        return f"item {self.public_id}"

    def candidates(self) -> list[Candidate]:
        """The drafted candidates, best first."""
        shown = ("text", "run", "instruction", "input", "run__model_version__is_starter", "run__model_version__name")
        by_id = Candidate.objects.select_related("run__model_version").only(*shown).in_bulk(self.candidate_ids)
        return [by_id[pk] for pk in self.candidate_ids if pk in by_id]


class SlotState(models.TextChoices):
    FREE = "free"
    HELD = "held"  # until lease_expires_at; expiry is judged where it is read
    DONE = "done"
    CLOSED = "closed"  # the item was decided or withdrawn without it


class Slot(models.Model):
    """One of the reviews an item needs. One row per review wanted: nobody can be assigned beyond that."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="slots")
    # The item's own; here as well, so that a claim reads one narrow table.
    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=SlotState, default=SlotState.FREE)
    holder = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="slots")
    review_pass = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="Of the holder: 2 is a self-recheck. Nothing where there is none."
    )
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    priority = models.SmallIntegerField(default=100, help_text="Lower is served first.")
    order = models.PositiveIntegerField(default=0, help_text="Most doubted first, else by rank.")
    expects_good = models.BooleanField(
        null=True, blank=True, help_text="What the evaluator expects; empty: no idea. Never shown to who reviews."
    )
    wordings = models.JSONField(null=True, blank=True, help_text="A tie-break's choices, blind.")
    for_linguists = models.BooleanField(default=False, help_text="Only who leads the language is served it.")
    gold_text = models.ForeignKey(
        Text, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False,
        help_text="Of a gold item: its text. Nobody who has met the text in another item is served it.",
    )  # fmt: skip
    # What a claim leaves out by the group. Kept where the priority is; the reviews themselves are looked at as well.
    reviewed_by = ArrayField(
        models.BigIntegerField(), default=list, blank=True, help_text="While open: who reviewed the item, ascending."
    )
    recheck_from = models.DateTimeField(
        null=True, blank=True, help_text="While open: when the first of them may take it for a self-recheck."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "number"], name="one_slot_per_number"),
            models.UniqueConstraint(
                fields=["item", "holder", "review_pass"],
                condition=Q(holder__isnull=False),
                name="one_slot_per_item_holder_and_pass",
            ),
            models.CheckConstraint(
                condition=~Q(state=SlotState.HELD) | Q(holder__isnull=False, lease_expires_at__isnull=False),
                name="held_slot_has_holder_and_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state=SlotState.FREE) | Q(holder__isnull=True), name="free_slot_has_no_holder"
            ),
            models.CheckConstraint(condition=Q(review_pass__in=[1, 2]), name="nobody_holds_a_third_slot"),
        ]
        indexes = [
            models.Index(
                fields=["language", "priority", "order", "id"],
                condition=Q(state__in=["free", "held"]),
                name="slot_queue",
            ),
            models.Index(
                fields=["language", "priority", "reviewed_by", "order", "id"],
                condition=Q(state__in=["free", "held"]),
                name="slot_queue_by_reviewers",
            ),
            models.Index(
                fields=["language", "reviewed_by", "recheck_from", "id"],
                condition=Q(state__in=["free", "held"], recheck_from__isnull=False),
                name="slot_queue_of_rechecks",
            ),
            models.Index(fields=["holder", "state"], name="slot_by_holder"),
        ]

    def __str__(self) -> str:
        return f"slot {self.number} of item {self.item_id}"


class Skip(models.Model):
    """That a person passed on an item; it goes to others, not back to them."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="skips")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="skips")
    reason = models.TextField(blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "user"], name="one_skip_per_item_and_person")]

    def __str__(self) -> str:
        return f"{self.user} skipped item {self.item_id}"


class Autosave(models.Model):
    """A person's unsent work on an item. A newer version never yields to an older one."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="autosaves")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="autosaves")
    version = models.PositiveIntegerField(default=0)
    data = models.JSONField(default=dict)
    saved_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "user"], name="one_autosave_per_item_and_person")]

    def __str__(self) -> str:
        return f"autosave {self.version} of item {self.item_id}"
