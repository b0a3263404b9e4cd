"""Rows of the human half: an item asks for slots, people hold slots and write reviews, reviews make a pair."""

from annotation.models.audits import Adjudication, Audit, AuditQuerySet, AuditTag, AuditVerdict, Concern
from annotation.models.comments import Comment, ThreadSeen
from annotation.models.counts import DeskFigures, Overview, Signal, SignalKind, Tally
from annotation.models.duels import Bout, Duel, DuelState, JudgeRun, Ruling, RulingOutcome, Vote, VoteChoice, VoteState
from annotation.models.items import Autosave, Item, ItemKind, ItemState, Skip, Slot, SlotState
from annotation.models.pairs import Origin, Pair, PairQuerySet, PairState
from annotation.models.reviews import Decision, FastOpinion, FastReason, Flag, Review, ReviewQuerySet
from annotation.models.training import Gold, Lesson, Pause, PauseReason, PracticeAnswer, PracticeDone

__all__ = [
    "Adjudication",
    "Audit",
    "AuditQuerySet",
    "AuditTag",
    "AuditVerdict",
    "Autosave",
    "Bout",
    "Comment",
    "Concern",
    "Decision",
    "DeskFigures",
    "Duel",
    "DuelState",
    "FastOpinion",
    "FastReason",
    "Flag",
    "Gold",
    "Item",
    "ItemKind",
    "ItemState",
    "JudgeRun",
    "Lesson",
    "Origin",
    "Overview",
    "Pair",
    "PairQuerySet",
    "PairState",
    "Pause",
    "PauseReason",
    "PracticeAnswer",
    "PracticeDone",
    "Review",
    "ReviewQuerySet",
    "Ruling",
    "RulingOutcome",
    "Signal",
    "SignalKind",
    "Skip",
    "Slot",
    "SlotState",
    "Tally",
    "ThreadSeen",
    "Vote",
    "VoteChoice",
    "VoteState",
]
