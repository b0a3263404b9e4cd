"""What workers run, on a real queue."""

import datetime as dt

import django_rq
import pytest
from django.utils import timezone
from rq import SimpleWorker

from generation import drafting, jobs, queueing
from generation.models import JobState, Run, Score
from tests.endpoint import serving
from tests.factories import make_candidate, make_text
from tests.tiny_models import make_tiny_model


@pytest.fixture
def endpoint(settings):
    with serving() as server:
        settings.BACKEND, settings.ENDPOINT = "openai", server.url
        yield server


def work_off(name: str) -> None:
    """What a worker does, in this process."""
    queue = django_rq.get_queue(name)
    SimpleWorker([queue], connection=queue.connection, serializer=queue.serializer).work(
        burst=True, logging_level="WARNING"
    )


def test_jobs_of_rows_that_are_gone_do_nothing(db):
    jobs.draft_run(987_654)
    jobs.score_language(987_654)


def test_drafting_job_run_twice_drafts_once(finnish, endpoint):
    make_text(finnish)
    run = drafting.open_run(finnish, samples=2)

    jobs.draft_run(run.pk)
    jobs.draft_run(run.pk)

    run.refresh_from_db()
    assert (run.state, run.candidates.count(), len(endpoint.asked)) == (JobState.DONE, 2, 2)


def test_drafting_job_leaves_its_error_on_the_run(finnish, endpoint):
    make_text(finnish)
    run = drafting.open_run(finnish, samples=1)
    endpoint.models[:] = [{"id": "another"}]

    jobs.draft_run(run.pk)

    run.refresh_from_db()
    assert run.state == JobState.FAILED
    assert "another" in run.error


def test_scoring_job_scores_and_without_a_model_it_ends_quietly(finnish, settings, tmp_path, monkeypatch):
    make_candidate(make_text(finnish))
    settings.BACKEND, settings.MODEL = "hf", str(make_tiny_model(tmp_path / "model"))

    jobs.score_language(finnish.pk)
    jobs.score_language(finnish.pk)
    assert Score.objects.count() == 1

    settings.MODEL = "/nowhere"
    jobs.score_language(finnish.pk)
    assert Score.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_queued_run_is_drafted_by_a_worker(finnish, endpoint, queue_is_empty):
    make_text(finnish)
    run = drafting.open_run(finnish, samples=1)

    queueing.ring(jobs.draft_run, run, jobs.DRAFT_QUEUE)
    work_off(jobs.DRAFT_QUEUE)

    run.refresh_from_db()
    assert (run.state, run.candidates.count()) == (JobState.DONE, 1)


@pytest.mark.django_db(transaction=True)
def test_lost_and_abandoned_runs_are_rung_for_again_and_waiting_ones_are_not(finnish, endpoint, queue_is_empty):
    make_text(finnish)
    lost, waiting, silent = (drafting.open_run(finnish, samples=1, seed=seed) for seed in range(3))
    queueing.ring(jobs.draft_run, waiting, jobs.DRAFT_QUEUE)
    assert silent.claim()
    Run.objects.filter(pk=silent.pk).update(heartbeat_at=timezone.now() - dt.timedelta(hours=1))

    jobs.ring_again()
    assert django_rq.get_queue(jobs.DRAFT_QUEUE).count == 3
    jobs.ring_again()
    assert django_rq.get_queue(jobs.DRAFT_QUEUE).count == 3
    work_off(jobs.DRAFT_QUEUE)

    assert set(Run.objects.values_list("state", flat=True)) == {JobState.DONE}
    assert {run.candidates.count() for run in (lost, waiting, silent)} == {1}
