"""Questions in, and answers that models gave elsewhere: JSONL, as strict as texts are and as safe to call twice.

Words are stored as they are written. What is in never changes: people compare answers to the very same question, and
of each model there is one answer, the first that came.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from django.db import reset_queries, transaction

from generation import jsonl
from generation.models import IMPORTED, Answer, ModelVersion, Question, QuestionSet, Release, ReleaseState, Split, Task
from generation.rejections import Reason, Rejected, Tally, max_length, rejected_rows
from xinstruct_site.people.ids import new_public_id
from xinstruct_site.people.models import Language, User

logger = logging.getLogger(__name__)

QUESTION_NAMES = {
    "key": ("id", "question_id"),
    "instruction": ("prompt", "instruction", "question", "text"),
    "language": ("lang", "language"),
    "written_in": ("prompt_lang", "written_in"),
    "input": ("input",),
    "reference": ("reference", "response"),
    "source": ("source",),
    "licence_id": ("license", "licence"),
}
ANSWER_NAMES = {
    "key": ("id", "question_id"),
    "language": ("lang", "language"),
    "body": ("answer", "response", "output", "text"),
}
NAME = re.compile(r"\A[\w-]{1,100}\Z", re.ASCII)  # of a set
Row = dict[str, Any]
T = TypeVar("T", Question, Answer)


class QuestionError(Exception):
    """There are no questions to be had. The message says why."""


@dataclass
class Imported:
    """What one call did. `rejected_path` is None where nothing was rejected."""

    tally: Tally = field(default_factory=Tally)
    rejected_path: Path | None = None


def import_questions(
    sources: Iterable[jsonl.Source],
    name: str,
    *,
    language: Language | None = None,
    source: str = "",
    licence: str = "",
    written_in: str = "",
    within: Iterable[Language] | None = None,
    created_by: User | None = None,
    on_progress: Callable[[Tally], None] | None = None,
) -> tuple[QuestionSet, Imported]:
    """Put every question that passes into the set of that name. What the call names is for rows that do not say.

    `written_in` is the language of the instructions themselves; where nothing says, it is that of the answer. `within`
    are the languages that the person who asks may fill.
    """
    question_set, _ = QuestionSet.objects.get_or_create(name=name, defaults={"created_by": created_by})
    languages = {each.code.lower(): each for each in (Language.objects.all() if within is None else within)}
    defaults = {
        "language": language.code if language else "", "source": source, "licence_id": licence,
        "written_in": written_in,
    }  # fmt: skip
    known = {
        (question.language_id, question.key): (question.instruction, question.input)
        for question in question_set.questions.only("language", "key", "instruction", "input")
    }

    def read(row: Row) -> Question | None:
        question = _question(row, languages, defaults)
        question.question_set = question_set
        place, words = (question.language_id, question.key), (question.instruction, question.input)
        if place not in known:
            known[place] = words
            return question
        if known[place] != words:
            raise Rejected(Reason.ID_TAKEN, question.key[:80])
        return None

    return question_set, _import(sources, "questions", read, Question, on_progress)


def import_answers(
    sources: Iterable[jsonl.Source],
    question_set: QuestionSet,
    model: str,
    *,
    revision: str = "",
    licence: str = "",
    language: Language | None = None,
    on_progress: Callable[[Tally], None] | None = None,
) -> tuple[ModelVersion, Imported]:
    """Store what the model of that name answered elsewhere, each to the question of the set whose id it names."""
    version, _ = ModelVersion.objects.get_or_create(
        task=Task.ANSWER, backend=IMPORTED, location=model, revision=revision, prompt_version="",
        defaults={"name": model, "licence_id": licence},
    )  # fmt: skip
    questions = {
        (code.lower(), key): pk for code, key, pk in question_set.questions.values_list("language__code", "key", "pk")
    }
    standing = version.answers.filter(question__question_set=question_set)
    known = dict(standing.values_list("question", "body"))

    def read(row: Row) -> Answer | None:
        values, _extra = _values(row, ANSWER_NAMES, {"language": language.code if language else ""})
        if not any(isinstance(row.get(name), str) for name in ANSWER_NAMES["body"]):
            raise Rejected(Reason.NO_ANSWER)  # an empty one is an answer, too
        found = questions.get((values["language"].lower(), values["key"]))
        if found is None:
            raise Rejected(Reason.UNKNOWN_QUESTION, f"{values['language']} {values['key']}"[:80])
        if found not in known:
            known[found] = values["body"]
            return Answer(question_id=found, model_version=version, body=values["body"], made={"imported": True})
        if known[found] != values["body"]:
            raise Rejected(Reason.ANSWER_STANDS, values["key"][:80])
        return None

    return version, _import(sources, "answers", read, Answer, on_progress)


def _import(
    sources: Iterable[jsonl.Source],
    what: str,
    read: Callable[[Row], T | None],
    model: type[T],
    on_progress: Callable[[Tally], None] | None,
) -> Imported:
    """Read and store in batches; what `read` returns nothing for is there already."""
    done = Imported()
    with rejected_rows(f"{what}-{new_public_id()}") as rejected:
        for batch in jsonl.read_batches(sources, read, done.tally, rejected):
            new = [row for row in batch if row is not None]
            model._default_manager.bulk_create(new, ignore_conflicts=True)  # of two imports at once one is first
            done.tally.stored += len(new)
            done.tally.duplicate += len(batch) - len(new)
            reset_queries()  # in debug Django keeps every statement
            if on_progress:
                on_progress(done.tally)
    if done.tally.rejected:
        done.rejected_path = rejected.path
    logger.info("%s: %d read, %d stored", what, done.tally.read, done.tally.stored)
    return done


def _question(row: Row, languages: Mapping[str, Language], defaults: Mapping[str, str]) -> Question:
    values, extra = _values(row, QUESTION_NAMES, defaults)
    for column, reason in (
        ("instruction", Reason.NO_INSTRUCTION),
        ("key", Reason.NO_ID),
        ("language", Reason.NO_LANGUAGE),
        ("licence_id", Reason.NO_LICENCE),
    ):
        if not values[column].strip():
            raise Rejected(reason)
    for column in ("key", "source", "licence_id", "written_in"):
        if len(values[column]) > max_length(Question, column):
            raise Rejected(Reason.FIELD_TOO_LONG, column)
    code = values.pop("language")
    if code.lower() not in languages:
        raise Rejected(Reason.UNKNOWN_LANGUAGE, code[:80])
    language = languages[code.lower()]
    values["written_in"] = values["written_in"] or language.code
    return Question(language=language, extra=extra, **values)


def _values(
    row: Row, names: Mapping[str, tuple[str, ...]], defaults: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, Any]]:
    """The columns that a row fills, by any of their names, and what else it holds."""
    values: dict[str, str] = {}
    used: set[str] = set()
    for column, known in names.items():
        name = next((name for name in known if row.get(name) is not None), None)
        value = row[name] if name else ""
        if column == "key" and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # as question files of others have it
        if not isinstance(value, str):
            raise Rejected(Reason.WRONG_TYPE, name or "")
        if name:
            used.add(name)
        values[column] = value or defaults.get(column, "")
    return values, {key: value for key, value in row.items() if key not in used}


def from_release(release: Release, name: str, created_by: User | None = None) -> tuple[QuestionSet, int]:
    """A set of the release's test split, with the responses as references; and how many questions are new.

    Nothing is trained on those rows, so the loss on them is held out.

    Raises:
        QuestionError: the release has none, or the name belongs to other questions.
    """
    if release.state != ReleaseState.READY or release.holds_ratings or release.holds_preferences:
        raise QuestionError(f"'{release.name}' is no ready release of pairs.")
    if QuestionSet.objects.filter(name=name).exclude(release=release).exists():
        raise QuestionError(f"There is a question set '{name}' already. Choose another name.")
    rows = release.rows.filter(split=Split.TEST, blanked_at=None).order_by("position")
    if not rows.exists():
        raise QuestionError(f"'{release.name}' has no test split.")
    languages = {language.code: language for language in release.languages.all()}
    with transaction.atomic():
        question_set, _ = QuestionSet.objects.get_or_create(
            name=name, defaults={"release": release, "created_by": created_by}
        )
        before = question_set.questions.count()
        Question.objects.bulk_create(
            (
                Question(
                    question_set=question_set, language=languages[row.language_code], key=row.pair_public_id,
                    instruction=row.row["instruction"], input=row.row.get("input") or "", written_in="en",
                    reference=row.row["response"], source=release.name, licence_id=row.row["licence"],
                    extra={"text_sha256": row.text_sha256},
                )
                for row in rows.iterator(chunk_size=500)
            ),
            ignore_conflicts=True,
            batch_size=500,
        )  # fmt: skip
    return question_set, question_set.questions.count() - before


def erase(sha256s: Iterable[str]) -> int:
    """Empty the questions that came from texts of these hashes; nobody is asked them any more. Returns how many."""
    held = Question.objects.standing().filter(extra__text_sha256__in=list(sha256s))
    return held.update(instruction="", input="", reference="")
