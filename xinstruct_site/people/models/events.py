"""The log of who did what when."""

import json
from typing import Any

from django.db import connection, models
from django.utils import timezone

from xinstruct_site.people.models.languages import Language
from xinstruct_site.people.models.users import User


class EventKind(models.TextChoices):
    """What the log can say. Past tense: each is a fact."""

    INVITED = "invited"
    INVITATION_WITHDRAWN = "invitation_withdrawn"
    JOINED = "joined"
    AGREED = "agreed"
    AGREEMENT_PUBLISHED = "agreement_published"
    TOKEN_MADE = "token_made"  # noqa: S105 - a fact, not a password
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    GUIDELINES_CHANGED = "guidelines_changed"
    POLICY_CHANGED = "policy_changed"
    GOLD_MADE = "gold_made"
    GOLD_RETIRED = "gold_retired"
    PAUSED = "paused"
    PAUSE_LIFTED = "pause_lifted"
    PRACTICE_MADE = "practice_made"
    PRACTICE_RETIRED = "practice_retired"
    TEXTS_IMPORTED = "texts_imported"
    SEEDS_IMPORTED = "seeds_imported"
    SEED_VERIFIED = "seed_verified"
    SEED_REJECTED = "seed_rejected"
    RUN_QUEUED = "run_queued"
    RUN_FINISHED = "run_finished"
    RUN_FAILED = "run_failed"
    RUN_STOPPED = "run_stopped"
    RUN_PAUSED = "run_paused"
    RUN_RESUMED = "run_resumed"
    ROUND_CLOSED = "round_closed"
    ITEM_CLAIMED = "item_claimed"
    ITEM_SKIPPED = "item_skipped"
    SKIP_TAKEN_BACK = "skip_taken_back"
    REVIEW_SUBMITTED = "review_submitted"
    REVIEW_WITHDRAWN = "review_withdrawn"
    PAIR_DECIDED = "pair_decided"
    ITEM_RELABELLED = "item_relabelled"
    RELABEL_TAKEN_BACK = "relabel_taken_back"
    AUDITED = "audited"
    AUDIT_TAKEN_BACK = "audit_taken_back"
    ADJUDICATED = "adjudicated"
    ADJUDICATION_TAKEN_BACK = "adjudication_taken_back"
    RELEASE_PROPOSED = "release_proposed"
    RELEASE_BUILT = "release_built"
    RELEASE_FAILED = "release_failed"
    RELEASE_EXPORTED = "release_exported"
    RELEASE_WITHDRAWN = "release_withdrawn"
    TAKEN_DOWN = "taken_down"
    FINETUNE_QUEUED = "finetune_queued"
    FINETUNE_FINISHED = "finetune_finished"
    FINETUNE_FAILED = "finetune_failed"
    FINETUNE_CANCELLED = "finetune_cancelled"
    LICENCE_STATED = "licence_stated"
    DUEL_OPENED = "duel_opened"
    DUEL_CLOSED = "duel_closed"
    VOTE_GIVEN = "vote_given"
    VOTE_TAKEN_BACK = "vote_taken_back"


class Event(models.Model):
    """The append-only log of who did what when; `subject` is the model's name and key, so rows of every app fit."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    kind = models.CharField(max_length=30, choices=EventKind)
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="events")
    language = models.ForeignKey(Language, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    subject_type = models.CharField(max_length=40)
    subject_id = models.BigIntegerField()
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["subject_type", "subject_id", "at"], name="event_by_subject")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_type} {self.subject_id}"

    @classmethod
    def record(
        cls,
        kind: EventKind,
        subject: models.Model,
        *,
        actor: User | None = None,
        language: Language | None = None,
        **data: Any,
    ) -> None:
        """Append one fact. `data` holds ids and counts, never review text."""
        about = {
            "at": timezone.now(),
            "kind": kind.value,
            "actor": actor.pk if actor else None,
            "language": language.pk if language else None,
            "subject_type": subject._meta.model_name,
            "subject": subject.pk,
            "data": json.dumps(data),
        }
        with connection.cursor() as cursor:  # plain SQL: a review is three facts
            cursor.execute(RECORD, about)


RECORD = """
    INSERT INTO people_event (at, kind, actor_id, language_id, subject_type, subject_id, data)
    VALUES (%(at)s, %(kind)s, %(actor)s, %(language)s, %(subject_type)s, %(subject)s, %(data)s)
"""
