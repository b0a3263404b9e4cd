"""Scores of candidates, and their embeddings."""

import math

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from generation import curation, loading, prompts, rubric, scoring
from generation.models import CandidateState, Score, ScoreState, Task
from tests import endpoint
from tests.factories import make_candidate, make_model_version, make_run, make_text
from tests.tiny_models import make_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def tiny_chat(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("models") / "tiny-chat", chat=True, context=2048))


@pytest.fixture
def evaluator(db):
    return make_model_version(task=Task.SCORE)


def test_score_is_what_the_text_adds_to_the_likelihood_of_the_instruction(finnish, tiny):
    candidate = make_candidate(make_text(finnish), instruction="Describe market food.")

    scored = scoring.score(finnish, backend="hf", model=tiny)

    model = loading.load(scored.evaluator)
    body = candidate.text.body
    given, alone = model.loglikelihood(
        [prompts.draft(body, prompts.PAPER), prompts.draft("", prompts.PAPER)], [candidate.instruction] * 2
    )
    row = Score.objects.get()
    assert row.raw == pytest.approx(given - alone, abs=1e-4)
    assert row.level is None
    assert (scored.scored, scored.embedded) == (1, 1)
    assert scored.evaluator.task == Task.SCORE


def test_scoring_twice_changes_nothing_and_new_candidates_are_added(finnish, tiny):
    make_candidate(make_text(finnish))
    scoring.score(finnish, backend="hf", model=tiny)
    before = list(Score.objects.values_list("pk", "raw"))

    again = scoring.score(finnish, backend="hf", model=tiny)
    assert (again.scored, again.embedded) == (0, 0)
    assert list(Score.objects.values_list("pk", "raw")) == before

    make_candidate(make_text(finnish))
    assert scoring.score(finnish, backend="hf", model=tiny).scored == 1


def test_only_kept_candidates_of_texts_that_are_not_taken_down_are_scored(finnish, urdu, tiny):
    run = make_run(finnish)
    make_candidate(make_text(finnish), run)
    make_candidate(make_text(finnish), run, state=CandidateState.REJECTED, instruction="")
    make_candidate(make_text(finnish, withdrawn_at=timezone.now()), run)
    make_candidate(make_text(finnish))
    make_candidate(make_text(urdu))

    assert scoring.score(run, backend="hf", model=tiny).scored == 1
    assert scoring.score(finnish, backend="hf", model=tiny).scored == 1


def test_embeddings_are_unit_vectors_that_bring_like_instructions_together(finnish, tiny):
    text, run = make_text(finnish), make_run(finnish)
    wordings = ["Explain how to bake rye bread.", "Describe baking bread from rye flour.", "Who won the hockey final?"]
    rows = [make_candidate(text, run, instruction=one, sample_number=i) for i, one in enumerate(wordings)]

    scoring.score(run, backend="hf", model=tiny)

    for row in rows:
        row.refresh_from_db()
    bread, loaf, hockey = (np.asarray(row.embedding) for row in rows)
    assert [math.isclose(np.linalg.norm(v), 1, abs_tol=1e-4) for v in (bread, loaf, hockey)] == [True] * 3
    assert bread @ loaf > bread @ hockey + 0.3


def test_where_an_endpoint_drafts_the_starter_model_scores(db, settings, monkeypatch, tiny):
    from pathlib import Path

    monkeypatch.setattr("generation.backends.hf_local.STARTER_DIR", Path(tiny))
    settings.BACKEND, settings.MODEL, settings.ENDPOINT = "openai", "some-chat", "http://127.0.0.1:9/v1"

    version = scoring.evaluator_for()

    assert (version.backend, version.location, version.is_starter, version.task) == (
        "starter",
        "starter",
        True,
        "score",
    )


def test_without_a_local_model_scoring_says_so(finnish, monkeypatch, tmp_path):
    monkeypatch.setattr("generation.backends.hf_local.STARTER_DIR", tmp_path / "gone")

    with pytest.raises(scoring.ScoringError, match="No local model to score with"):
        scoring.score(finnish, backend="starter")
    with pytest.raises(CommandError, match="No local model"):
        call_command("score", "--language", "fi", "--backend", "starter")


def test_score_command_prints_what_it_did(finnish, tiny, capsys):
    make_candidate(make_text(finnish))

    call_command("score", "--language", "fi", "--backend", "hf", "--model", tiny)

    out = capsys.readouterr().out
    assert "scored now" in out
    assert "│ 1" in out


# An evaluator that is asked the rubric


@pytest.fixture
def judge(settings):
    with endpoint.serving() as server:
        settings.ENDPOINT = server.url
        yield server


def ask_rubric(language, **options):
    return scoring.score(language, backend="openai", model="small-chat", way=rubric.RUBRIC, **options)


def test_a_model_that_can_chat_gives_a_level_and_its_reasons(finnish, judge):
    judge.answer = lambda body: (200, "It names the market and stays on topic.\nScore: 4")
    candidate = make_candidate(make_text(finnish), instruction="Describe the market.")

    scored = ask_rubric(finnish)

    row = Score.objects.get()
    assert (row.candidate, row.state, row.raw, row.level) == (candidate, ScoreState.SCORED, 4.0, 4)
    assert row.reasoning == "It names the market and stays on topic.\nScore: 4"
    assert (row.evaluator, row.evaluator.prompt_version) == (scored.evaluator, rubric.RUBRIC)
    asked = judge.asked[-1]["messages"]
    assert "Describe the market." in asked[-1]["content"]
    assert candidate.text.body.strip() in asked[-1]["content"]
    assert "Finnish" in asked[0]["content"]


def test_a_reply_without_a_level_is_unparsed_and_never_a_score(finnish, evaluator, judge):
    judge.answer = lambda body: (200, "I would say somewhere between three and four.")
    candidate = make_candidate(make_text(finnish))

    scored = ask_rubric(finnish)

    row = Score.objects.get()
    assert (scored.scored, scored.unparsed) == (1, 1)
    assert (row.state, row.raw, row.level) == (ScoreState.UNPARSED, None, None)
    assert row.reasoning == "I would say somewhere between three and four."
    with pytest.raises(curation.NothingToSelect):
        curation.select(finnish, target=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Score.objects.create(candidate=candidate, evaluator=evaluator, state=ScoreState.UNPARSED, raw=3.0)
    with pytest.raises(IntegrityError), transaction.atomic():
        Score.objects.create(candidate=candidate, evaluator=evaluator, state=ScoreState.SCORED, raw=None)


def test_samples_are_all_kept_and_their_mean_decides_the_order(finnish, judge):
    text = make_text(finnish)
    steady = make_candidate(text, instruction="Steady.")
    lucky = make_candidate(text, steady.run, instruction="Lucky.", sample_number=1)
    said = {"Steady.": ["4", "4", "4"], "Lucky.": ["5", "2", "none"]}
    judge.answer = lambda body: (
        200,
        "Score: " + said["Lucky." if "Lucky." in body["messages"][-1]["content"] else "Steady."].pop(0),
    )

    ask_rubric(finnish, samples=2)
    assert Score.objects.count() == 4
    assert ask_rubric(finnish, samples=3).unparsed == 1

    rows = Score.objects.order_by("raw")  # which answer comes first is up to the server
    assert [(row.candidate, row.raw) for row in rows] == [
        (lucky, 2.0), (steady, 4.0), (steady, 4.0), (steady, 4.0), (lucky, 5.0), (lucky, None),
    ]  # fmt: skip
    assert sorted(rows.filter(candidate=lucky).values_list("sample_number", flat=True)) == [0, 1, 2]
    asked = len(judge.asked)
    assert ask_rubric(finnish, samples=3).scored == 0
    assert len(judge.asked) == asked
    selection = curation.select(finnish, target=1).selections.get()
    assert selection.candidate_ids == [steady.pk, lucky.pk]
    assert selection.round.metrics["mean_raw_selected"] == 4.0


def test_the_same_model_asked_two_ways_is_two_evaluators(finnish, tiny_chat):
    make_candidate(make_text(finnish))

    by_likelihood = scoring.score(finnish, backend="hf", model=tiny_chat).evaluator
    by_rubric = scoring.score(finnish, backend="hf", model=tiny_chat, way=rubric.RUBRIC).evaluator

    assert by_likelihood != by_rubric
    assert by_likelihood.revision == by_rubric.revision
    assert Score.objects.get(evaluator=by_likelihood).state == ScoreState.SCORED
    assert Score.objects.get(evaluator=by_rubric).state == ScoreState.UNPARSED  # random weights know no rubric


def test_the_starter_is_not_asked_a_rubric_nor_an_untrained_model_for_levels(finnish, tiny):
    with pytest.raises(scoring.ScoringError, match="cannot answer a rubric"):
        scoring.score(finnish, backend="starter", way=rubric.RUBRIC)
    with pytest.raises(CommandError, match="trained evaluators only"):
        call_command("score", "--language", "fi", "--backend", "hf", "--model", tiny, "--by", "levels")
    with pytest.raises(CommandError, match="1 to 20"):
        call_command("score", "--language", "fi", "--samples", "0")


def test_an_endpoint_that_is_down_is_said_to_be(finnish, settings):
    settings.ENDPOINT = "http://127.0.0.1:9/v1"

    with pytest.raises(scoring.ScoringError, match="does not list its models"):
        ask_rubric(finnish)
