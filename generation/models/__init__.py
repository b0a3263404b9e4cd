"""Rows of the machine half: text → run → candidate → score → round → release → fine-tune run → model version.

Rows below know nothing of people's work: a release keeps item and pair ids as plain values.
"""

from generation.models.finetunes import FineTuneLog, FineTuneRun, FineTuneRunQuerySet, Method
from generation.models.keys import EMBEDDING_DIMENSIONS, public_id_field
from generation.models.model_versions import IMPORTED, ModelVersion, ModelVersionQuerySet, Task
from generation.models.questions import Answer, Evaluation, Question, QuestionSet
from generation.models.releases import (
    GOLD,
    PREFERENCES,
    Measurement,
    Release,
    ReleaseQuerySet,
    ReleaseRow,
    ReleaseRowQuerySet,
    ReleaseState,
    Split,
)
from generation.models.rounds import ARRIVALS, Gate, KnownInstruction, PassedOver, Round, Selection, SpotCheck
from generation.models.runs import (
    Candidate,
    CandidateQuerySet,
    CandidateState,
    DeadLetter,
    Run,
    Score,
    ScoreQuerySet,
    ScoreState,
    Share,
    ShareQuerySet,
)
from generation.models.seeds import SeedPair, SeedPairQuerySet, SeedState
from generation.models.takedowns import TakeDown, TakeDownKind
from generation.models.texts import Band, Import, ImportState, NearDuplicate, RejectedSample, Text, TextQuerySet, Upload
from generation.models.work import JobModel, JobQuerySet, JobState

__all__ = [
    "ARRIVALS",
    "EMBEDDING_DIMENSIONS",
    "GOLD",
    "IMPORTED",
    "PREFERENCES",
    "Answer",
    "Band",
    "Candidate",
    "CandidateQuerySet",
    "CandidateState",
    "DeadLetter",
    "Evaluation",
    "FineTuneLog",
    "FineTuneRun",
    "FineTuneRunQuerySet",
    "Gate",
    "Import",
    "ImportState",
    "JobModel",
    "JobQuerySet",
    "JobState",
    "KnownInstruction",
    "Measurement",
    "Method",
    "ModelVersion",
    "ModelVersionQuerySet",
    "NearDuplicate",
    "PassedOver",
    "Question",
    "QuestionSet",
    "RejectedSample",
    "Release",
    "ReleaseQuerySet",
    "ReleaseRow",
    "ReleaseRowQuerySet",
    "ReleaseState",
    "Round",
    "Run",
    "Score",
    "ScoreQuerySet",
    "ScoreState",
    "SeedPair",
    "SeedPairQuerySet",
    "SeedState",
    "Selection",
    "Share",
    "ShareQuerySet",
    "Split",
    "SpotCheck",
    "TakeDown",
    "TakeDownKind",
    "Task",
    "Text",
    "TextQuerySet",
    "Upload",
    "public_id_field",
]
