"""What models are asked so that people can compare them, what they answered, and what was counted of it."""

from typing import Self

from django.db import models
from django.utils import timezone

from generation.models.keys import public_id_field
from generation.models.model_versions import ModelVersion
from generation.models.releases import Release
from generation.models.work import JobModel
from xinstruct_site.people.models import Language, User


class QuestionSetQuerySet(models.QuerySet["QuestionSet"]):
    def within(self, languages: models.QuerySet[Language]) -> Self:
        """Sets that hold questions of no other language than these."""
        beyond = Question.objects.filter(question_set=models.OuterRef("pk")).exclude(language__in=languages)
        return self.filter(~models.Exists(beyond))


class QuestionSet(models.Model):
    """Questions that models are compared on, in one or more languages. Others call it a prompt set."""

    public_id = public_id_field()
    name = models.SlugField(max_length=100, unique=True)
    release = models.ForeignKey(
        Release, on_delete=models.PROTECT, null=True, blank=True, related_name="question_sets",
        help_text="Whose test split it is.",
    )  # fmt: skip
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    objects = QuestionSetQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class QuestionQuerySet(models.QuerySet["Question"]):
    def standing(self) -> Self:
        """Those that were not taken down."""
        return self.exclude(instruction="")


class Question(models.Model):
    """One thing that models are asked, in the language or in English; the answer is to be in the language."""

    question_set = models.ForeignKey(QuestionSet, on_delete=models.CASCADE, related_name="questions")
    language = models.ForeignKey(Language, on_delete=models.PROTECT, related_name="questions")
    key = models.CharField(max_length=200, help_text="Its id in the file that it came from.")
    instruction = models.TextField()
    input = models.TextField(blank=True)
    written_in = models.CharField(max_length=35, help_text="BCP 47 code of the instruction.")
    reference = models.TextField(blank=True, help_text="An answer that people vouch for, where there is one.")
    source = models.CharField(max_length=300, blank=True)
    licence_id = models.CharField(max_length=100)
    extra = models.JSONField(default=dict)

    objects = QuestionQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["question_set", "language", "key"], name="one_question_per_key")]

    def __str__(self) -> str:
        return f"question {self.key} of {self.question_set_id}"


class Answer(models.Model):
    """What a model version answers to a question: one fixed sample, drawn here or imported, which never changes."""

    question = models.ForeignKey(Question, on_delete=models.PROTECT, related_name="answers")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="answers")
    body = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=40, blank=True)
    tokens = models.PositiveIntegerField(null=True, blank=True)
    made = models.JSONField(default=dict, help_text="Prompt version, sampling and seed; or the file it came from.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["question", "model_version"], name="one_answer_per_question_and_model")
        ]

    def __str__(self) -> str:
        return f"answer of {self.model_version_id} to {self.question_id}"


class Evaluation(JobModel):
    """Has a model version answer a question set and counts what can be counted. Asked for again it is the same row."""

    public_id = public_id_field()
    question_set = models.ForeignKey(QuestionSet, on_delete=models.PROTECT, related_name="evaluations")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="evaluations")
    sampling = models.JSONField(default=dict)
    seed = models.BigIntegerField(default=0)
    done = models.PositiveIntegerField(default=0, help_text="Questions with an answer.")
    total = models.PositiveIntegerField(default=0)
    figures = models.JSONField(default=dict, help_text="By language code, as evaluation.figures gives them.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["question_set", "model_version"], name="one_evaluation_per_set_and_model"),
        ]

    def __str__(self) -> str:
        return f"evaluation {self.public_id}"

    @property
    def progress(self) -> int:
        return self.done

    @property
    def what_to_do(self) -> str:
        return (
            f"The model that answers is {self.model_version.name} ({self.model_version.backend}). If memory gave out, "
            f"ask a smaller one, or ask this one again where there is more memory; its answers so far are kept."
        )
