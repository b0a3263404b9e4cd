"""Run pages: the funnel and the rows behind it, histograms, two runs side by side, gates and spot checks, rounds."""

import io
import json
import random

import numpy as np
import pytest
from django.utils import timezone

from generation import charts, curation, funnels, ingest, intervals, jsonl, rejected_samples, spotchecks
from generation.models import CandidateState, Import, JobState, RejectedSample, Run, Score, SpotCheck, Task
from generation.rejections import Reason, Rejected
from tests.factories import make_candidate, make_model_version, make_run, make_text


@pytest.fixture
def desk(client, maintainer):
    client.force_login(maintainer)
    return client


@pytest.fixture
def run(finnish):
    """Five texts: one undrafted, one with a rejected draft only, three scored, of which one echoes another."""
    evaluator = make_model_version(task=Task.SCORE)
    run = make_run(finnish, state=JobState.DONE, texts_total=5, texts_done=4, tokens=900, seconds=3, samples=1)
    texts = [make_text(finnish) for _ in range(5)]
    rejected = {"state": CandidateState.REJECTED, "reasons": ["too_short"], "instruction": "Why?"}
    make_candidate(texts[1], run, **rejected)
    for number, text in enumerate(texts[2:]):
        vector = np.eye(384)[min(number, 1)] + (0.1 if number == 2 else 0) * np.eye(384)[50]
        made = make_candidate(
            text, run, instruction=f"Describe thing {number}.", embedding=(vector / np.linalg.norm(vector)).tolist()
        )
        Score.objects.create(candidate=made, evaluator=evaluator, raw=3 - number)
    curation.select(finnish, target=3)
    return run


def test_funnel_says_how_many_came_through_and_why_others_did_not(desk, run):
    page = desk.get(f"/runs/{run.public_id}/")

    assert [(step.code, step.number) for step in page.context["steps"]] == [
        ("texts", 5), ("drafted", 4), ("kept", 3), ("scored", 3), ("selected", 2),
    ]  # fmt: skip
    assert page.context["counts"]["reasons"] == [["too_short", 1]]
    assert page.context["counts"]["texts_passed_over"] == 1
    [shown] = page.context["histograms"]
    assert (shown["number"], shown["chosen"], len(shown["chart"].bars)) == (3, 2, funnels.BINS)
    assert b"tokens per second" in page.content


@pytest.mark.parametrize(
    ("at", "query", "rows"),
    [
        ("drafted", "", 4), ("kept", "", 3), ("rejected", "", 1), ("rejected", "?reason=too_short", 1),
        ("rejected", "?reason=refused", 0), ("scored", "", 3), ("unscored", "", 0), ("selected", "", 2),
        ("passed_over", "", 1), ("waiting", "", 1), ("kept", "?after=junk", 3), ("kept", "?after=1", 0),
    ],
)  # fmt: skip
def test_every_number_opens_the_rows_behind_it(desk, run, at, query, rows):
    page = desk.get(f"/runs/{run.public_id}/rows/{at}/{query}")

    assert page.status_code == 200
    assert len(page.context["page"].rows) == rows


def test_rows_go_on_where_a_page_or_a_window_ends(desk, run, monkeypatch):
    monkeypatch.setattr(funnels, "TEXTS_PER_PAGE", 2)
    first = desk.get(f"/runs/{run.public_id}/rows/kept/").context["page"]
    second = desk.get(f"/runs/{run.public_id}/rows/kept/?after={first.goes_on_after}").context["page"]
    assert (len(first.rows), len(second.rows), second.goes_on_after) == (2, 1, None)

    monkeypatch.setattr(funnels, "SEARCH_WINDOW", 2)
    for at, number in (("scored", 3), ("selected", 2), ("passed_over", 1), ("waiting", 1)):
        found, after, pages = 0, None, 0
        while pages == 0 or after is not None:
            page = funnels.rows_of(run, at, after=after)
            found, pages, after = found + len(page.rows), pages + 1, page.goes_on_after
        assert found == number, at
        assert pages == (3 if at == "waiting" else 2), at


def test_a_large_run_shows_kept_counts_and_asks_a_worker_for_new_ones(
    desk, run, monkeypatch, django_assert_max_num_queries
):
    asked = []
    monkeypatch.setattr(funnels, "COUNTED_AT_ONCE", 0)
    monkeypatch.setattr(funnels.queueing, "live_workers", lambda queue: ["worker"])
    monkeypatch.setattr(funnels.queueing, "ring_named", lambda work, row, queue, name: asked.append((row, name)))
    Run.objects.filter(pk=run.pk).update(counts={"drafts": 77}, counted_at=None)

    with django_assert_max_num_queries(25):
        page = desk.get(f"/runs/{run.public_id}/")
    assert page.context["drafted"] == 77
    assert asked == [(run, f"count-run-{run.pk}")]

    Run.objects.filter(pk=run.pk).update(counted_at=timezone.now())
    desk.get(f"/runs/{run.public_id}/")
    assert len(asked) == 1


def test_pages_of_other_peoples_languages_are_not_there(client, aino, run, urdu):
    from tests.factories import make_user

    client.force_login(aino)
    for path in (f"/runs/{run.public_id}/rows/kept/", "/gates/fi/", "/rounds/fi/1/", "/rounds/fi/1/passed-over/"):
        assert client.get(path).status_code == 403
    client.force_login(make_user(language=urdu, role="maintainer"))
    for path in (f"/runs/{run.public_id}/rows/kept/", "/gates/fi/", "/gates/fi/reply/too_short/", "/rounds/fi/1/"):
        assert client.get(path).status_code == 404
    assert client.post("/gates/fi/judge/", {}).status_code == 404


def test_two_runs_stand_side_by_side_on_the_texts_of_both(desk, run, urdu):
    other = make_run(run.language)
    shared = run.candidates.first().text
    make_candidate(shared, other, instruction="Say it another way.")
    make_candidate(make_text(run.language), other)

    page = desk.get(f"/runs/{run.public_id}/compare/?with={other.public_id}")

    [beside] = page.context["page"].rows
    assert beside.text == shared
    assert [c.instruction for c in beside.right] == ["Say it another way."]
    assert desk.get(f"/runs/{run.public_id}/compare/?with=nothing").status_code == 404
    assert desk.get(f"/runs/{run.public_id}/compare/?with={make_run(urdu).public_id}").status_code == 404


def test_run_is_paused_resumed_and_stopped_from_its_page(desk, finnish, monkeypatch):
    monkeypatch.setattr("generation.queueing.demand_worker", lambda queue: None)
    run = make_run(finnish, state=JobState.QUEUED)

    def state():
        run.refresh_from_db()
        return run.state

    assert desk.post(f"/runs/{run.public_id}/pause/").status_code == 302
    assert state() == JobState.PAUSED
    assert b"Resume" in desk.get(f"/runs/{run.public_id}/").content
    desk.post(f"/runs/{run.public_id}/resume/")
    assert state() == JobState.QUEUED
    desk.post(f"/runs/{run.public_id}/pause/")
    desk.post(f"/runs/{run.public_id}/stop/")
    assert state() == JobState.STOPPED


def test_answers_give_a_gate_its_precision_with_an_interval(desk, run, maintainer):
    funnels.count(run)
    candidate = run.candidates.get(state=CandidateState.REJECTED)

    shown = desk.get("/gates/fi/reply/too_short/").context["samples"]
    assert [sample.candidate for sample in shown] == [candidate]
    answer = {"gate": "reply", "reason": "too_short", "subject": f"candidate:{candidate.pk}", "was_right": "1"}
    fragment = desk.post("/gates/fi/judge/", answer, headers={"HX-Request": "true"})
    assert b"<html" not in fragment.content
    assert b"Noted" in fragment.content
    assert desk.get("/gates/fi/reply/too_short/").context["samples"] == []

    [near, reply] = sorted((row for row, _ in desk.get("/gates/fi/").context["rows"]), key=lambda row: row.gate)
    assert (reply.turned_away, reply.right, reply.wrong, reply.share) == (1, 1, 0, 1.0)
    assert reply.interval == pytest.approx((0.2065, 1.0), abs=1e-3)
    assert (near.gate, near.turned_away, near.share) == ("near_duplicate", 1, None)
    assert desk.post("/gates/fi/judge/", answer | {"was_right": "0"}).status_code == 302
    assert SpotCheck.objects.get().was_right is False
    assert desk.post("/gates/fi/judge/", answer | {"subject": "'; drop"}).status_code == 422


def rejected_rows(number, name):
    """An import of rows that are too short, but for one that has no text."""
    words = [json.dumps({"text": f"{name} rivi {n}", "license": "CC0-1.0"}).encode() for n in range(number)]
    content = b"\n".join([*words, json.dumps({"license": "CC0-1.0"}).encode()])
    return jsonl.stream_source(name, io.BytesIO(content))


def test_samples_of_a_gate_come_from_every_import_however_old_and_no_more_are_kept_than_are_needed(
    desk, finnish, monkeypatch
):
    for number in range(25):
        ingest.import_texts([rejected_rows(2, f"tuonti-{number}")], language=finnish, source="x")

    words = {one.words for one in spotchecks._import_rows(finnish, "too_short", random.Random(1))}
    assert len(words) == 50
    assert any("tuonti-0 rivi 0" in said for said in words)
    shown = desk.get("/gates/fi/import/too_short/").context["samples"]
    assert len(shown) == spotchecks.SAMPLES
    answer = {"gate": "import", "reason": "too_short", "subject": shown[0].subject, "was_right": "1"}
    assert desk.post("/gates/fi/judge/", answer).status_code == 302

    monkeypatch.setattr(rejected_samples, "KEPT", 60)
    ingest.import_texts([rejected_rows(3000, "suuri")], language=finnish, source="x")
    kept = RejectedSample.objects.filter(reason="too_short")
    assert kept.count() == 60
    lines = [int(one.words.split()[-3].strip('",')) for one in kept if "suuri" in one.words]
    # By chance, so nearly all from the large import, and from all over it.
    assert len(lines) > 50
    assert min(lines) < 500 < 2500 < max(lines)
    assert RejectedSample.objects.filter(reason="no_text").count() == 26


def test_rows_that_no_column_takes_are_sampled_too_and_what_was_taken_down_is_not(finnish):
    batch = Import.objects.create(language=finnish, source="x")
    sampling = rejected_samples.Sampling(batch)
    for line, reason in enumerate((Reason.NUL, Reason.LONE_SURROGATE, Reason.INVALID_UTF8, Reason.TAKEN_DOWN)):
        sampling.offer("f", line, Rejected(reason, "at \ud800"), b"a\x00b\xff \xed\xa0\x80")
    sampling.keep()

    assert sorted(RejectedSample.objects.values_list("reason", flat=True)) == ["invalid_utf8", "lone_surrogate", "nul"]


def test_samples_of_near_duplicates_say_what_they_are_like(desk, run):
    [near] = desk.get("/gates/fi/near_duplicate/").context["samples"]

    assert (near.candidate.instruction, near.like) == ("Describe thing 2.", "Describe thing 1.")
    assert desk.get("/gates/fi/nonsense/").status_code == 404


def test_round_page_reports_its_spread_and_opens_what_was_passed_over(desk, run):
    page = desk.get("/rounds/fi/1/")

    assert page.status_code == 200
    assert [key for key, _, _ in page.context["entropies"]] == ["selected", "random"]
    assert sum(taken for _, _, taken, _, _ in page.context["clusters"]) == 2
    [(row, candidate)] = desk.get("/rounds/fi/1/passed-over/").context["rows"]
    assert (candidate.instruction, row.like.known_instruction.instruction) == ("Describe thing 2.", "Describe thing 1.")
    assert desk.get("/rounds/fi/2/").status_code == 404


def test_wilson_interval_is_wide_for_few_and_narrow_for_many():
    assert intervals.wilson(0, 0) == (0.0, 1.0)
    few, many = intervals.wilson(9, 10), intervals.wilson(900, 1000)
    assert few == pytest.approx((0.5958, 0.9821), abs=1e-3)
    assert many == pytest.approx((0.8799, 0.9171), abs=1e-3)


def test_histogram_bars_fill_the_frame():
    chart = charts.histogram([[4, 1], [0, 0], [8, 8]], -1, 2)

    assert [float(bar.height) for bar in chart.bars] == [98, 0, 196]
    assert (chart.bars[2].part_y, chart.bars[1].height) == (chart.bars[2].y, "0.0")
    assert [tick.label for tick in chart.x_ticks] == ["-1", "0", "1", "2"]
