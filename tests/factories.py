"""Builds the rows that tests start from. Where an object has a history, call the domain's own functions instead."""

import hashlib
import itertools
import uuid
from collections import Counter
from typing import Any

from django.utils import timezone

from annotation import duels, queues, reviewing
from annotation.files import canonical
from annotation.models import Decision, Duel, Item, Review
from annotation.submissions import Submission
from generation.models import (
    Answer,
    Candidate,
    CandidateState,
    Import,
    ModelVersion,
    Question,
    QuestionSet,
    Release,
    ReleaseRow,
    ReleaseState,
    Round,
    Run,
    Selection,
    Split,
    Task,
    Text,
)
from xinstruct_site.people.languages import FIRST_TEN, add_language
from xinstruct_site.people.models import Acceptance, ContributorAgreement, Language, Membership, Role, User

_numbers = itertools.count(1)


def make_language(code: str = "fi", **fields: Any) -> Language:
    return add_language(FIRST_TEN[code], **fields)[0]


def make_agreement() -> ContributorAgreement:
    return ContributorAgreement.objects.get_or_create(version=1, defaults={"body": "I agree."})[0]


def make_user(
    email: str | None = None, language: Language | None = None, *, role: str = Role.ANNOTATOR, agreed: bool = True
) -> User:
    """A person with one role, who has accepted the contributor agreement."""
    user = User.objects.create_user(email or f"person{next(_numbers)}@example.org", "a long password")
    Membership.objects.create(user=user, language=language, role=role)
    if agreed:
        Acceptance.objects.create(user=user, agreement=make_agreement())
    return user


def make_text(language: Language, body: str | None = None, **fields: Any) -> Text:
    number = next(_numbers)
    body = body if body is not None else f"Teksti {number}. Torilla myydään marjoja ja kalaa joka lauantai. " * 5
    batch, _ = Import.objects.get_or_create(language=language, source="tests")
    return Text.objects.create(
        **{
            "language": language,
            "title": f"Otsikko {number}",
            "body": body,
            "original": body,
            "sha256": hashlib.sha256(body.encode()).hexdigest(),
            "chars": len(body),
            "source_dataset": "tests",
            "licence_id": "CC0-1.0",
            "script": language.script,
            "imported_in": batch,
            **fields,
        }
    )


def make_model_version(**fields: Any) -> ModelVersion:
    number = next(_numbers)
    return ModelVersion.objects.create(
        **{
            "task": Task.DRAFT,
            "name": f"model {number}",
            "backend": "hf",
            "location": f"/nowhere/{number}",
            "revision": f"{number:040x}",
            "licence_id": "Apache-2.0",
            **fields,
        }
    )


def make_run(language: Language, **fields: Any) -> Run:
    model_version = fields.pop("model_version", None) or make_model_version()
    return Run.objects.create(
        **{
            "language": language,
            "model_version": model_version,
            "key": f"{next(_numbers):064x}",
            "prompt_version": "base-1",
            **fields,
        }
    )


def make_candidate(text: Text, run: Run | None = None, **fields: Any) -> Candidate:
    run = run or make_run(text.language)
    instruction = fields.pop("instruction", f"Describe market day number {next(_numbers)} in the town.")
    return Candidate.objects.create(
        **{
            "text": text,
            "run": run,
            "instruction": instruction,
            "raw_reply": instruction,
            "state": CandidateState.KEPT,
            **fields,
        }
    )


def make_items(language: Language, count: int = 1, *, texts: list[Text] | None = None) -> list[Item]:
    """A round of new texts, each with one candidate, put before people."""
    texts = texts or [make_text(language) for _ in range(count)]
    run = make_run(language)
    round_ = Round.objects.create(language=language, number=language.rounds.count() + 1)
    Selection.objects.bulk_create(
        Selection(round=round_, text=text, rank=rank, cluster=0, candidate_ids=[make_candidate(text, run).pk])
        for rank, text in enumerate(texts, 1)
    )
    queues.open_items(round_)
    return list(round_.items.filter(gold=None).order_by("slots__order").distinct())


def make_release(*rows: dict[str, Any], name: str = "spring", splits: tuple[str, ...] = (), **fields: Any) -> Release:
    """A ready release of these rows, each in its split; in training, where none are named."""
    release = Release.objects.create(name=name)
    digest, counts = hashlib.sha256(), Counter(row["language"] for row in rows)
    parts: dict[str, dict[str, int]] = {split: {} for split in Split.values}
    for position, row in enumerate(rows):
        line, split = canonical(row), splits[position] if splits else "train"
        digest.update(line + b"\n")
        parts[split].setdefault(row["language"], 0)
        parts[split][row["language"]] += 1
        ReleaseRow.objects.create(
            release=release, position=position, pair_public_id=row.get("pair", row["item"]),
            item_public_id=row["item"], language_code=row["language"], text_sha256=row["text_sha256"],
            split=split, row=row, row_sha256=hashlib.sha256(line).hexdigest(),
        )  # fmt: skip
    release.languages.set(make_language(code) for code in counts)
    about = {"sha256": digest.hexdigest(), "counts": counts, "splits": parts, "ready_at": timezone.now(), **fields}
    for field, value in about.items():
        setattr(release, field, value)
    release.state = ReleaseState.READY
    release.save()
    return release


def released(language: str = "fi", **fields: Any) -> dict[str, Any]:
    """A row as a release of pairs holds it."""
    number = next(_numbers)
    language_name = FIRST_TEN[language].name
    sha256 = hashlib.sha256(f"{language}{number}".encode()).hexdigest()
    rating = {"alignment": 4, "instruction": 4, "text": 5, "overall": 4}
    return {
        "instruction": f"Describe market day {number}.", "input": "", "response": f"Torilla myydään kalaa {number}.",
        "language": language, "language_name": language_name, "licence": "CC0-1.0", "source": "tests", "url": "",
        "title": "", "masked": False, "text_sha256": sha256, "pair": f"pair{number:08}", "item": f"item{number:08}",
        "origin": "web", "policy_version": 1, "ratings": [rating, rating], "prompt_version": "base-1", "run": "run1",
        "model": {"name": "starter", "revision": "1", "licence": "Apache-2.0"}, "edited": False, **fields,
    }  # fmt: skip


def make_questions(language: Language, count: int = 1, *, name: str = "arena", **fields: Any) -> list[Question]:
    question_set, _ = QuestionSet.objects.get_or_create(name=name)
    start = question_set.questions.count()
    return [
        Question.objects.create(
            **{
                "question_set": question_set, "language": language, "key": str(number), "written_in": "en",
                "instruction": f"What is sold on market day {number}?", "licence_id": "CC0-1.0", **fields,
            }
        )
        for number in range(start, start + count)
    ]  # fmt: skip


def make_answers(questions: list[Question], name: str, **fields: Any) -> ModelVersion:
    """A model version that answers, its words told apart by the last letter of its name."""
    version = make_model_version(task=Task.ANSWER, name=name, **fields)
    Answer.objects.bulk_create(
        Answer(question=question, model_version=version, body=f"Vastaus {question.key} {name[-1:]}.")
        for question in questions
    )
    return version


def make_duel(language: Language, count: int = 1, *, overlap: int = 2, **fields: Any) -> Duel:
    """A duel of SecretBase and SecretRival over that many questions."""
    questions = make_questions(language, count, **fields)
    base, rival = make_answers(questions, "SecretBase-x"), make_answers(questions, "SecretRival-y")
    return duels.open_duel(questions[0].question_set, language, base, rival, overlap=overlap)


def accepting(instruction: str = "Describe a market day in the town.", **fields: Any) -> Submission:
    """A submission that accepts, with 4 everywhere."""
    ratings = dict.fromkeys(("rating_alignment", "rating_instruction", "rating_text", "overall"), 4)
    return Submission(
        **{
            "id": uuid.uuid4(), "decision": Decision.ACCEPT, "candidate": None, "instruction": instruction,
            **ratings, **fields,
        }
    )  # fmt: skip


def rejecting(reason: str = "It is a menu.", **fields: Any) -> Submission:
    return Submission(
        **{
            "id": uuid.uuid4(), "decision": Decision.REJECT, "candidate": None, "instruction": "", "reason": reason,
            **fields,
        }
    )  # fmt: skip


def decide(item: Item, *submissions: Submission) -> list[Review]:
    """Each submission comes from a new person of the language, who holds a slot of the item."""
    reviews = []
    for submission in submissions:
        person = make_user(language=item.language)
        queues.claim_again(person, item)
        reviews.append(reviewing.submit(person, item, submission).review)
    item.refresh_from_db()
    return reviews
