"""A model answers a question set and is counted: one fixed answer each, nothing doubled, figures of known values."""

import math

import pytest
from django.core.management import CommandError, call_command

from generation import evaluation, jobs, loading, questions
from generation.backends.base import Sampling
from generation.models import Answer, Evaluation, JobState, QuestionSet, Task
from tests.factories import make_answers, make_questions, make_release, released
from tests.tiny_models import make_tiny_model
from xinstruct_site.people.models import Event, EventKind

FINNISH = "Torilla myydään kesäisin marjoja, kalaa ja uusia perunoita, ja sinne tullaan tapaamaan tuttuja."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def _short_answers(monkeypatch):
    monkeypatch.setattr(evaluation, "SAMPLING", Sampling(max_new_tokens=12))


@pytest.fixture
def version(tiny, db):
    return loading.model_version("hf", str(tiny), task=Task.ANSWER)[0]


@pytest.fixture
def arena(finnish) -> QuestionSet:
    return make_questions(finnish, 3, reference=FINNISH)[0].question_set


def test_model_answers_each_question_once_and_is_counted(arena, version):
    row = evaluation.open_evaluation(arena, version)
    evaluation.evaluate(row)
    row.refresh_from_db()
    first = list(Answer.objects.order_by("pk").values_list("pk", "body"))

    evaluation.evaluate(evaluation.open_evaluation(arena, version))

    assert (row.state, row.done, row.total) == (JobState.DONE, 3, 3)
    assert list(Answer.objects.order_by("pk").values_list("pk", "body")) == first
    assert len(first) == 3
    said = row.figures["fi"]
    assert said["answers"] == said["references"] == 3
    assert math.isfinite(said["loss"][0])
    assert 0 <= said["chrf"] <= 100
    made = Answer.objects.first().made
    assert (made["prompt_version"], made["sampling"]["max_new_tokens"]) == ("answer-1", 12)


def test_who_takes_it_up_asks_only_what_is_missing_and_draws_the_same_answers(arena, version):
    evaluation.evaluate(evaluation.open_evaluation(arena, version))
    bodies = dict(Answer.objects.values_list("question__key", "body"))
    Answer.objects.filter(question__key="1").delete()
    kept = set(Answer.objects.values_list("pk", flat=True))
    Evaluation.objects.update(state=JobState.QUEUED)

    jobs.evaluate_model(Evaluation.objects.get().pk)

    assert kept < set(Answer.objects.values_list("pk", flat=True))
    assert dict(Answer.objects.values_list("question__key", "body")) == bodies


def test_evaluation_that_is_interrupted_is_stopped_and_keeps_its_answers(arena, version, monkeypatch):
    monkeypatch.setattr(evaluation, "BATCH", 1)
    row = evaluation.open_evaluation(arena, version)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluation.evaluate(row, interrupt)

    row.refresh_from_db()
    assert (row.state, row.done, Answer.objects.count()) == (JobState.STOPPED, 1, 1)
    assert Event.objects.filter(kind=EventKind.RUN_STOPPED, subject_type="evaluation", subject_id=row.pk).exists()


def test_question_that_was_taken_down_is_asked_of_no_model(arena, version, finnish):
    make_questions(finnish, 1, extra={"text_sha256": "b" * 64})
    questions.erase(["b" * 64])

    row = evaluation.open_evaluation(arena, version)
    evaluation.evaluate(row)

    row.refresh_from_db()
    assert (row.state, row.done, row.total) == (JobState.DONE, 3, 3)


def test_set_that_grew_is_gone_on_with(arena, version, finnish):
    evaluation.evaluate(evaluation.open_evaluation(arena, version))
    make_questions(finnish, 2)

    row = evaluation.open_evaluation(arena, version)

    assert (row.state, row.total) == (JobState.QUEUED, 5)


def test_answer_takes_at_most_half_of_a_small_models_context(version):
    backend = loading.load(version)

    assert evaluation._fitting(Sampling(max_new_tokens=5000), backend).max_new_tokens == backend.context // 2 == 256


def test_imported_answers_are_counted_without_a_model(arena):
    imported = make_answers(list(arena.questions.all()), "far", backend="imported")
    row = evaluation.open_evaluation(arena, imported)

    evaluation.evaluate(row)
    row.refresh_from_db()

    assert row.state == JobState.DONE
    assert row.figures["fi"]["answers"] == 3
    assert "loss" not in row.figures["fi"]


def test_model_that_is_gone_fails_with_its_reason_on_the_row(arena, version, tmp_path):
    version.location = str(tmp_path / "gone")
    version.save()
    row = evaluation.open_evaluation(arena, version)

    with pytest.raises(evaluation.EvaluationError):
        evaluation.evaluate(row)

    row.refresh_from_db()
    assert row.state == JobState.FAILED
    assert "gone" in row.error
    jobs.evaluate_model(row.pk)
    jobs.evaluate_model(0)


def test_loss_is_the_mean_negative_log_likelihood_of_the_response_tokens(version, tiny):
    """Against torch's own cross entropy over the same tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from generation import prompts

    row = {"instruction": "Describe the market.", "input": "", "response": FINNISH, "language_name": "Finnish"}
    [found] = evaluation.losses(loading.load(version), [row])

    tokenizer, model = AutoTokenizer.from_pretrained(tiny), AutoModelForCausalLM.from_pretrained(tiny)
    question = tokenizer(prompts.answer_prompt("Describe the market.", "Finnish"))["input_ids"]
    reply = tokenizer(FINNISH, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([question + reply])
    with torch.inference_mode():
        logits = model.eval()(ids).logits[0, len(question) - 1 : -1]
    assert found == pytest.approx(torch.nn.functional.cross_entropy(logits, torch.tensor(reply)).item(), abs=1e-4)


def test_response_is_likelier_after_its_own_words_than_after_noise(version):
    """Not of quality: that the instruction takes part in the loss at all."""
    rows = [{"instruction": words, "response": FINNISH, "language_name": "Finnish"} for words in ("a b c", "Torilla")]

    first, second = evaluation.losses(loading.load(version), rows)

    assert first != second


@pytest.mark.parametrize(
    ("body", "code", "script", "expected"),
    [
        (FINNISH, "fi", "Latn", True),
        ("The market sells berries and fish in the summer, and people come to meet each other.", "fi", "Latn", False),
        ("بازار میں پھل اور سبزیاں ملتی ہیں اور لوگ ایک دوسرے سے ملنے آتے ہیں۔", "ur", "Arab", True),
        (FINNISH, "ur", "Arab", False),
    ],
)
def test_language_of_an_answer_is_told_by_script_and_identifier(body, code, script, expected):
    assert evaluation.is_in(body, code, script) is expected


def test_shares_leave_out_what_is_too_short_to_tell_and_count_circles(finnish):
    version = make_answers(make_questions(finnish, 6), "far", backend="imported")
    bodies = [FINNISH, FINNISH, "The fish are sold on the market by the people of the town.", "Joo.", "", "kalaa " * 60]
    for answer, body in zip(version.answers.order_by("question"), bodies, strict=True):
        Answer.objects.filter(pk=answer.pk).update(body=body)

    said = evaluation.figures(list(version.answers.select_related("question__language").order_by("question")))

    assert (said["answers"], said["empty"], said["told_of"]) == (6, 1, 4)
    assert said["in_language"][0] in {0.5, 0.75}  # whether the identifier takes "kalaa kalaa" for Finnish is its own
    assert said["repeated"][0] == pytest.approx(1 / 6, abs=1e-4)


def test_chrf_is_sacrebleus():
    assert evaluation.chrf([(FINNISH, FINNISH)]) == 100
    assert evaluation.chrf([]) is None
    # From sacrebleu's own test suite: chrF of these two is 62.2 or so with the default signature.
    assert 55 < evaluation.chrf([("the cat sat on the mat", "the cat is on the mat")]) < 75


def test_gain_is_paired_question_by_question():
    base = {"losses": {str(n): 2.0 + n for n in range(20)}}
    tuned = {"losses": {str(n): 1.9 + n for n in range(20)} | {"99": 0.0}}

    found = evaluation.gained(base, tuned)

    assert (found.value, found.n) == (pytest.approx(0.1), 20)
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert evaluation.gained({}, tuned) is None


def test_questions_come_from_the_test_split_alone_with_its_responses_as_references(finnish):
    rows = [released() for _ in range(4)]
    release = make_release(*rows, splits=("train", "test", "validation", "test"))

    question_set, new = questions.from_release(release, "held-out")
    again, none_new = questions.from_release(release, "held-out")

    assert (new, none_new, again) == (2, 0, question_set)
    assert list(question_set.questions.order_by("key").values_list("reference", flat=True)) == [
        rows[1]["response"], rows[3]["response"],
    ]  # fmt: skip
    of_another = make_release(released(), name="other", splits=("test",))
    without_split = make_release(released(), name="third")
    for name, of in (("held-out", of_another), ("new", without_split)):
        with pytest.raises(questions.QuestionError):
            questions.from_release(of, name)


def test_command_runs_a_model_and_reports_it(arena, tiny, capsys):
    call_command("evaluate", "run", "arena", "--backend", "hf", "--model", str(tiny))
    call_command("evaluate", "report")

    assert Evaluation.objects.get().state == JobState.DONE
    assert capsys.readouterr().out.count("arena") == 2
    with pytest.raises(CommandError):
        call_command("evaluate", "run", "arena", "--backend", "hf", "--model", "/nowhere")
