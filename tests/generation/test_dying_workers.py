"""Workers that the kernel kills: the next one tries, and after some in a row without progress the row says so."""

import datetime as dt
import os
import subprocess
import sys
import time

import psutil
import pytest
from django.conf import settings
from django.utils import timezone

from generation import finetuning, jobs, loading, queueing
from generation.models import Evaluation, FineTuneRun, JobState, Run, work
from generation.models.work import DEATHS
from generation.sharing import Part
from tests.factories import make_model_version, make_questions, make_release, make_run, make_text, released
from tests.processes import env_of_test
from tests.tiny_models import make_tiny_model
from xinstruct_site.people.models import Event, EventKind
from xinstruct_site.worker import last_words

KILLED = "it was killed by signal 9"


@pytest.fixture
def run(finnish):
    for _ in range(4):
        make_text(finnish)
    return make_run(finnish, model_version=make_model_version(name="tiny"), texts_total=4)


def fall_silent(row) -> None:
    long_ago = timezone.now() - dt.timedelta(hours=1)
    type(row).objects.filter(pk=row.pk).update(heartbeat_at=long_ago)


def die_over(row, seen: str = KILLED) -> None:
    assert row.claim()
    assert row.bury(seen)
    row.refresh_from_db()


def test_work_that_kills_every_worker_is_given_up_with_what_was_seen_and_what_to_do(run):
    for _ in range(DEATHS - 1):
        die_over(run)
        assert (run.state, KILLED in run.error) == (JobState.QUEUED, True)
    die_over(run)

    assert run.state == JobState.FAILED
    assert f"{DEATHS} workers in a row" in run.error
    assert KILLED in run.error
    assert "tiny" in run.error  # what it was asked for
    assert "smaller model" in run.error  # what to do
    assert not run.claim()
    assert Event.objects.filter(kind=EventKind.RUN_FAILED, subject_id=run.pk).count() == 1


def test_workers_that_get_further_than_the_one_before_may_die_as_often_as_they_like(run):
    for number in range(2 * DEATHS):
        Run.objects.filter(pk=run.pk).update(texts_done=number + 1)
        die_over(run)
    assert (run.state, run.deaths) == (JobState.QUEUED, 1)


def test_who_starts_it_again_gives_it_as_many_workers_anew(run):
    for _ in range(DEATHS):
        die_over(run)
    assert run.requeue()
    run.refresh_from_db()
    assert run.error == ""
    for _ in range(DEATHS - 1):
        die_over(run)
    assert run.state == JobState.QUEUED


def test_only_the_worker_that_holds_the_work_can_die_over_it(run):
    assert run.claim()
    stale = Run.objects.get(pk=run.pk)
    fall_silent(run)
    assert run.claim()  # by another
    assert Run.objects.get(pk=run.pk).deaths == 1

    assert not stale.bury(KILLED)
    assert Run.objects.get(pk=run.pk).state == JobState.RUNNING


def test_a_worker_that_is_heard_of_again_is_left_its_work(run):
    assert run.claim()
    fall_silent(run)
    [taken_for_dead] = Run.objects.abandoned()
    assert run.beat()

    assert not taken_for_dead.bury()
    assert run.beat()


@pytest.mark.django_db(transaction=True)
def test_workers_that_only_fall_silent_are_counted_too(finnish, queue_is_empty):
    base = make_model_version(name="large")
    run = finetuning.open_run("answer", releases=[make_release(released())], base_model=base, config={"batch_size": 64})
    for _ in range(DEATHS):
        run.refresh_from_db()
        assert run.claim()
        fall_silent(run)
        jobs.ring_again()

    run.refresh_from_db()
    assert run.state == JobState.FAILED
    assert "nothing was heard" in run.error
    assert "batch_size 64" in run.error
    assert "lora" in run.error


def test_of_a_shared_run_only_the_last_worker_takes_the_run_with_it(run):
    assert run.join()
    one, other = Part(run), Part(run)
    one.holder, other.holder = "here:1:a", "there:2:b"
    one.take(2)
    other.take(2)

    jobs.mourn("run-1", "here:1", KILLED)
    run.refresh_from_db()
    assert (run.state, run.deaths, run.shares.count()) == (JobState.RUNNING, 0, 1)

    jobs.mourn("run-1", "there:2", KILLED)
    run.refresh_from_db()
    assert (run.state, run.deaths, run.shares.count()) == (JobState.QUEUED, 1, 0)


def test_a_worker_that_was_told_to_go_counts_against_nothing(finnish):
    [question] = make_questions(finnish)
    evaluation = Evaluation.objects.create(
        question_set=question.question_set, model_version=make_model_version(task="answer"), total=1
    )
    for _ in range(2 * DEATHS):
        assert evaluation.claim()
        jobs.lay_down(work.holder())
        evaluation.refresh_from_db()
        assert (evaluation.state, evaluation.deaths) == (JobState.QUEUED, 0)


def test_last_words_tell_a_kill_from_a_crash():
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "kill -9 $$"], os.environ)
    _, status, usage = os.wait4(pid, 0)
    assert last_words(status, usage).startswith(KILLED)
    assert "memory gave out" in last_words(status, usage)

    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], os.environ)
    _, status, usage = os.wait4(pid, 0)
    assert last_words(status, usage) == "it ended with exit code 3"


@pytest.mark.django_db(transaction=True)
def test_a_fine_tune_whose_work_horse_is_killed_each_time_fails_and_says_so(finnish, queue_is_empty, tmp_path):
    base, _ = loading.model_version("hf", str(make_tiny_model(tmp_path / "model")))
    release = make_release(*(released() for _ in range(8)))
    run = finetuning.open_run("answer", releases=[release], base_model=base, config={"epochs": 500})
    env = env_of_test(XI_DATA_DIR=str(tmp_path), OMP_NUM_THREADS="1")
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "worker"], env=env, cwd=settings.BASE_DIR, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: bool(queueing.live_workers(jobs.TRAINING_QUEUE)))
        for deaths in range(1, DEATHS + 1):
            jobs.ring_again()
            until(lambda: FineTuneRun.objects.get(pk=run.pk).state == JobState.RUNNING)
            [horse] = psutil.Process(worker.pid).children()
            horse.kill()
            until(lambda deaths=deaths: FineTuneRun.objects.get(pk=run.pk).deaths == deaths)
        jobs.ring_again()
        run.refresh_from_db()
        assert run.state == JobState.FAILED
        assert KILLED in run.error
        assert not queueing.is_waiting(run)
    finally:
        worker.kill()
        worker.wait()


def until(is_so, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
