"""Questions and answers in: as written, once, and never changed by a later file."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from generation import jsonl, questions
from generation.models import IMPORTED, Answer, Question, QuestionSet, Task
from generation.rejections import Reason
from tests.factories import make_questions

QUESTION = {"id": "q1", "prompt": "Mikä on tori?", "lang": "fi", "source": "käsin", "license": "CC0-1.0"}


def lines(*rows: object) -> list[jsonl.Source]:
    content = b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)
    return [jsonl.stream_source("rows.jsonl", io.BytesIO(content))]


def ask(*rows: object, **options) -> questions.Imported:
    return questions.import_questions(lines(*rows), "arena", **options)[1]


def test_question_is_stored_as_written_with_where_it_comes_from(finnish):
    done = ask(QUESTION | {"prompt": " Mikä\non ﬁ? ", "category": "markets", "reference": "Paikka."})

    question = Question.objects.get()
    assert (question.language, question.key, question.instruction) == (finnish, "q1", " Mikä\non ﬁ? ")
    assert (question.source, question.licence_id, question.reference) == ("käsin", "CC0-1.0", "Paikka.")
    assert question.written_in == "fi"
    assert question.extra == {"category": "markets"}
    assert done.tally.stored == 1


def test_question_file_of_vicuna_comes_in_as_it_is(finnish):
    row = {"question_id": 7, "text": "How is fish smoked?", "category": "generic"}

    ask(row, language=finnish, licence="Apache-2.0", written_in="en")

    question = Question.objects.get()
    assert (question.key, question.instruction, question.written_in) == ("7", "How is fish smoked?", "en")


def test_called_again_nothing_is_doubled_and_nothing_that_stands_is_changed(finnish):
    ask(QUESTION)

    done = ask(QUESTION, QUESTION | {"prompt": "Muuta?"}, QUESTION | {"id": "q2"})

    assert (done.tally.stored, done.tally.duplicate) == (1, 1)
    assert done.tally.rejected == {Reason.ID_TAKEN: 1}
    assert Question.objects.get(key="q1").instruction == "Mikä on tori?"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"prompt": "  "}, Reason.NO_INSTRUCTION),
        ({"id": None}, Reason.NO_ID),
        ({"lang": "xx"}, Reason.UNKNOWN_LANGUAGE),
        ({"lang": None}, Reason.NO_LANGUAGE),
        ({"license": None}, Reason.NO_LICENCE),
        ({"id": "k" * 300}, Reason.FIELD_TOO_LONG),
        ({"prompt": ["a"]}, Reason.WRONG_TYPE),
        ({"id": True}, Reason.WRONG_TYPE),
    ],
)
def test_bad_question_is_a_reason_and_the_next_one_is_read(finnish, change, reason):
    done = ask(QUESTION | change, QUESTION | {"id": "good"})

    assert done.tally.rejected == {reason: 1}
    assert Question.objects.get().key == "good"


def answer(*rows: object, model: str = "far-model", **options):
    question_set = QuestionSet.objects.get()
    return questions.import_answers(lines(*rows), question_set, model, **options)


def test_answers_of_a_model_that_ran_elsewhere_come_to_their_questions(finnish):
    make_questions(finnish, 2)

    version, done = answer(
        {"id": "0", "lang": "fi", "answer": " Kalaa.\n"}, {"id": 1, "answer": ""}, language=finnish, licence="MIT"
    )

    assert (version.task, version.backend, version.name, version.licence_id) == (
        Task.ANSWER, IMPORTED, "far-model", "MIT",
    )  # fmt: skip
    assert done.tally.stored == 2
    assert dict(Answer.objects.values_list("question__key", "body")) == {"0": " Kalaa.\n", "1": ""}


def test_of_each_model_there_is_one_answer_to_a_question_the_first_that_came(finnish):
    make_questions(finnish, 1)
    row = {"id": "0", "lang": "fi", "answer": "Kalaa."}

    answer(row)
    _, done = answer(row, row | {"answer": "Marjoja."}, {"id": "9", "lang": "fi", "answer": "?"}, {"id": "0"})

    assert done.tally.duplicate == 1
    assert done.tally.rejected == {Reason.ANSWER_STANDS: 1, Reason.UNKNOWN_QUESTION: 1, Reason.NO_ANSWER: 1}
    assert Answer.objects.get().body == "Kalaa."


def test_command_imports_both_and_says_what_it_did(finnish, tmp_path, capsys):
    (tmp_path / "questions.jsonl").write_text(json.dumps(QUESTION) + "\n", encoding="utf-8")
    (tmp_path / "answers.jsonl").write_text(json.dumps({"id": "q1", "answer": "Paikka."}) + "\n", encoding="utf-8")

    call_command("evaluate", "questions", str(tmp_path / "questions.jsonl"), "--set", "arena")
    call_command(
        "evaluate", "answers", str(tmp_path / "answers.jsonl"), "--set", "arena", "--model", "far", "--language", "fi"
    )

    assert Answer.objects.get().body == "Paikka."
    assert "Answers of far" in capsys.readouterr().out


def test_command_refuses_names_that_cannot_be(finnish, tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text("", encoding="utf-8")
    for args in (["questions", str(file), "--set", "a b"], ["answers", str(file), "--set", "none", "--model", "x"]):
        with pytest.raises(CommandError):
            call_command("evaluate", *args)
    assert not QuestionSet.objects.exists()
