"""Blind comparisons of two models' answers: bouts, votes, and what judges say of them."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Greatest, Least
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from generation.models import Answer, JobModel, ModelVersion, Question, QuestionSet, public_id_field
from xinstruct_site.people.models import ContributorAgreement, Language, User


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

    @property
    def progress(self) -> int:
        return self.done

    @property
    def what_to_do(self) -> str:
        return (
            f"The judge is {self.judge.name} ({self.judge.backend}). If memory gave out, ask a smaller one, or ask "
            f"this one again where there is more memory; what it judged so far is kept."
        )


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
