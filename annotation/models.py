"""Rows of the human half: an item asks for slots, people hold slots and write reviews, reviews make a pair."""

import uuid
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Greatest, Least
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.trimming import response
from generation.models import (
    Answer,
    Candidate,
    JobModel,
    ModelVersion,
    Question,
    QuestionSet,
    Round,
    Text,
    public_id_field,
)
from xinstruct_site.people.models import ContributorAgreement, Language, User

RATING = (1, 5)


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


class SlotQuerySet(models.QuerySet["Slot"]):
    def claimable(self) -> Self:
        """Free, or held under a lease that ran out."""
        return self.filter(Q(state=SlotState.FREE) | Q(state=SlotState.HELD, lease_expires_at__lt=timezone.now()))

    def live(self) -> Self:
        """Held under a lease that still runs."""
        return self.filter(state=SlotState.HELD, lease_expires_at__gte=timezone.now())


class Slot(models.Model):
    """One of the reviews an item needs. One row per review wanted: nobody can be assigned beyond that."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="slots")
    # The item's own; here as well, so that a claim reads one narrow table.
    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=SlotState, default=SlotState.FREE)
    holder = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="slots")
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

    objects = SlotQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "number"], name="one_slot_per_number"),
            models.UniqueConstraint(
                fields=["item", "holder"], condition=Q(holder__isnull=False), name="one_slot_per_item_and_holder"
            ),
            models.CheckConstraint(
                condition=~Q(state=SlotState.HELD) | Q(holder__isnull=False, lease_expires_at__isnull=False),
                name="held_slot_has_holder_and_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state=SlotState.FREE) | Q(holder__isnull=True), name="free_slot_has_no_holder"
            ),
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


class Decision(models.TextChoices):
    ACCEPT = "accept", _("accept")
    REJECT = "reject", _("reject")


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


class Gold(models.Model):
    """The known answer of a decided item. People are served copies of the item and never the item itself."""

    item = models.OneToOneField(Item, on_delete=models.PROTECT, related_name="known_answer")
    decision = models.CharField(_("decision"), max_length=6, choices=Decision)
    overall_low = models.PositiveSmallIntegerField()
    overall_high = models.PositiveSmallIntegerField()
    made_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    retired_at = models.DateTimeField(null=True, blank=True)

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
                fields=["slot"], condition=Q(withdrawn_at=None, review_pass=1), name="one_standing_review_per_slot"
            ),
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
            models.Index(fields=["item"], condition=~Q(flags={}), name="flagged_review_by_item"),
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
        indexes = [models.Index(fields=["state", "is_current"], name="pair_by_state")]

    def __str__(self) -> str:
        return f"pair {self.public_id}"

    def response(self) -> str:
        """The response as released: the edit if there is one, else the kept spans of the body, else the body."""
        if self.response_edit is not None:
            return self.response_edit
        return response(self.item.text.body, [(span["start"], span["end"]) for span in self.spans])


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

    class Meta:
        verbose_name = _("adjudication")
        verbose_name_plural = _("adjudications")
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


class Comment(models.Model):
    """A question or remark on an item, or an answer to one: those of one thread name the first as their thread."""

    public_id = public_id_field()
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="comments")
    thread = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="answers")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="comments")
    body = models.TextField(_("question or remark"))
    at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True, help_text="Of a thread.")
    resolved_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = _("comment")
        verbose_name_plural = _("comments")
        indexes = [models.Index(fields=["author", "-at"], name="comment_by_author")]

    def __str__(self) -> str:
        return f"comment {self.public_id}"


class DeskFigures(models.Model):
    """What desk.py counted of a language's reviews, as of a moment: too long to count at every look."""

    language = models.OneToOneField(Language, on_delete=models.CASCADE, related_name="desk_figures")
    data = models.JSONField(default=dict, help_text="As figures.all_figures gives them, and more by desk.py.")
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


# Duels


class DuelState(models.TextChoices):
    OPEN = "open", _("open")
    CLOSED = "closed", _("closed")


class Duel(models.Model):
    """A blind pairwise comparison of two models' answers to one question set, in one language."""

    public_id = public_id_field()
    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="duels")
    question_set = models.ForeignKey(QuestionSet, on_delete=models.PROTECT, related_name="duels")
    base = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    rival = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+", help_text="Whose wins count.")
    overlap = models.PositiveSmallIntegerField(default=2, help_text="Votes that each bout asks for.")
    state = models.CharField(max_length=10, choices=DuelState, default=DuelState.OPEN)
    left_out = models.PositiveIntegerField(default=0, help_text="Questions on which both said the same.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        verbose_name = _("duel")
        verbose_name_plural = _("duels")
        constraints = [
            models.UniqueConstraint(
                "question_set", "language", Least("base", "rival"), Greatest("base", "rival"),
                name="one_duel_per_two_models",
            ),
            models.CheckConstraint(condition=~Q(base=F("rival")), name="nobody_duels_with_itself"),
            models.CheckConstraint(condition=Q(overlap__range=(1, 99)), name="duel_asks_for_1_to_99_votes"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"duel {self.public_id}"


class Bout(models.Model):
    """One question of a duel with the two answers that stand side by side."""

    duel = models.ForeignKey(Duel, on_delete=models.CASCADE, related_name="bouts")
    question = models.ForeignKey(Question, on_delete=models.PROTECT, related_name="+")
    base_answer = models.ForeignKey(Answer, on_delete=models.PROTECT, related_name="+")
    rival_answer = models.ForeignKey(Answer, on_delete=models.PROTECT, related_name="+")
    order = models.PositiveIntegerField(help_text="By chance, and the same for everybody, so that votes meet.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["duel", "question"], name="one_bout_per_duel_and_question")]
        indexes = [models.Index(fields=["duel", "order", "id"], name="bout_queue")]

    def __str__(self) -> str:
        return f"bout {self.pk} of duel {self.duel_id}"


class VoteState(models.TextChoices):
    SHOWN = "shown"
    GIVEN = "given"
    SKIPPED = "skipped"
    LAPSED = "lapsed"  # shown and not answered for as long as a lease runs: the seat went to others


class VoteChoice(models.TextChoices):
    """What was pressed. A is the answer that stands first."""

    A = "a", _("A is better")
    B = "b", _("B is better")
    BOTH_GOOD = "both_good", _("Both good")
    BOTH_BAD = "both_bad", _("Both bad")


class Vote(models.Model):
    """One person at one bout: which answer stood first for them, and what they said. Never twice the same bout."""

    public_id = public_id_field()
    bout = models.ForeignKey(Bout, on_delete=models.CASCADE, related_name="votes")
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="votes")
    seat = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Empty: skipped, lapsed, or one extra.")
    base_is_first = models.BooleanField(help_text="Drawn by chance for this person.")
    state = models.CharField(max_length=10, choices=VoteState, default=VoteState.SHOWN)
    choice = models.CharField(max_length=10, choices=VoteChoice, blank=True)
    rationale = models.TextField(_("why"), blank=True)
    shown_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True, blank=True)
    interface_language = models.CharField(max_length=10, blank=True)
    agreement = models.ForeignKey(ContributorAgreement, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = _("vote")
        verbose_name_plural = _("votes")
        constraints = [
            models.UniqueConstraint(fields=["bout", "person"], name="one_vote_per_bout_and_person"),
            models.UniqueConstraint(
                fields=["bout", "seat"], condition=Q(seat__isnull=False), name="one_vote_per_bout_and_seat"
            ),
            models.CheckConstraint(
                condition=Q(state=VoteState.GIVEN, agreement__isnull=False) & ~Q(choice="")
                | ~Q(state=VoteState.GIVEN) & Q(choice=""),
                name="given_vote_says_which",
            ),
        ]
        indexes = [models.Index(fields=["person", "-decided_at"], name="vote_by_person")]

    def __str__(self) -> str:
        return f"vote {self.public_id}"

    def shown(self) -> list[Answer]:
        """The two answers in the order in which they stand for this person."""
        both = [self.bout.base_answer, self.bout.rival_answer]
        return both if self.base_is_first else both[::-1]

    @property
    def preferred(self) -> str:
        """Whose answer was preferred: base, rival, or what else was pressed."""
        if self.choice not in {VoteChoice.A, VoteChoice.B}:
            return self.choice
        return "base" if (self.choice == VoteChoice.A) == self.base_is_first else "rival"


class JudgeRun(JobModel):
    """Has a model judge every bout of a duel, in both orders. What it says counts by its agreement with people."""

    public_id = public_id_field()
    duel = models.ForeignKey(Duel, on_delete=models.CASCADE, related_name="judge_runs")
    judge = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    prompt_version = models.CharField(max_length=60)
    done = models.PositiveIntegerField(default=0, help_text="Bouts judged.")
    total = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["duel", "judge", "prompt_version"], name="one_judge_run_per_duel_and_judge")
        ]

    def __str__(self) -> str:
        return f"judge run {self.public_id}"


class RulingOutcome(models.TextChoices):
    BASE = "base", _("base")
    RIVAL = "rival", _("rival")
    TIE = "tie", _("tie")
    UNSTABLE = "unstable", _("unstable")  # the two orders say different things: counted as a tie
    UNPARSED = "unparsed", _("unparsed")  # a reply names no verdict


class Ruling(models.Model):
    """What a judge said of one bout: both replies as they came, and what they amount to."""

    run = models.ForeignKey(JudgeRun, on_delete=models.CASCADE, related_name="rulings")
    bout = models.ForeignKey(Bout, on_delete=models.CASCADE, related_name="rulings")
    base_first = models.TextField(blank=True, help_text="The reply where the base's answer stood first.")
    rival_first = models.TextField(blank=True, help_text="The reply where the rival's answer stood first.")
    outcome = models.CharField(max_length=10, choices=RulingOutcome)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "bout"], name="one_ruling_per_run_and_bout")]

    def __str__(self) -> str:
        return f"ruling on bout {self.bout_id}: {self.outcome}"
