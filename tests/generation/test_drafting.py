"""Runs: what makes them the same, how they go on after whatever stopped them, and what is kept of each reply."""

import datetime as dt
import signal
import subprocess
import sys
import time

import pytest
from django.conf import settings as project_settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from generation import asking, drafting, funnels, loading, prompts, sharing
from generation.backends.base import Sampling
from generation.models import Candidate, CandidateState, JobState, Run, SeedPair, SeedState, Share, Task
from tests.endpoint import serving
from tests.factories import make_model_version, make_text
from tests.processes import env_of_test
from tests.tiny_models import make_tiny_model
from xinstruct_site.people.models import Event, EventKind

FEW = Sampling(max_new_tokens=6)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def endpoint(settings):
    """A real server that drafts well; tests change how it answers."""
    with serving() as server:
        settings.BACKEND, settings.ENDPOINT = "openai", server.url
        yield server


@pytest.fixture
def texts(finnish):
    return [make_text(finnish) for _ in range(5)]


@pytest.fixture
def in_small_steps(monkeypatch):
    """Two texts in a share of the endpoint's, saved as they come."""
    monkeypatch.setattr("generation.drafting.BATCHES_PER_SHARE", 1 / 8)
    monkeypatch.setattr("generation.drafting.SAVE_SECONDS", 0)


@pytest.fixture
def no_waiting(monkeypatch):
    """The endpoint's pauses between attempts."""
    monkeypatch.setattr("generation.backends.openai_endpoint.pause_seconds", lambda *args: 0.0)


def drafted(run):
    rows = run.candidates.order_by("text_id", "sample_number")
    return list(rows.values_list("text_id", "sample_number", "raw_reply"))


# The same run


def test_the_same_question_is_the_same_run(finnish, texts, endpoint):
    first = drafting.open_run(finnish, samples=2)
    second = drafting.open_run(finnish, samples=2)

    assert first == second
    assert (first.state, first.texts_total, first.samples) == (JobState.QUEUED, 5, 2)
    assert Event.objects.filter(kind=EventKind.RUN_QUEUED).count() == 1


@pytest.mark.parametrize("other", [{"seed": 1}, {"sampling": FEW}, {"again": True}])
def test_another_question_is_another_run(finnish, texts, endpoint, other):
    assert drafting.open_run(finnish) != drafting.open_run(finnish, **other)


def test_again_makes_a_new_run_each_time_and_a_plain_call_goes_on_with_the_newest(finnish, texts, endpoint):
    runs = [drafting.open_run(finnish), drafting.open_run(finnish, again=True), drafting.open_run(finnish, again=True)]

    assert len({run.pk for run in runs}) == 3
    assert len({run.seed for run in runs}) == 3
    assert drafting.open_run(finnish) == runs[-1]


def test_new_weights_are_a_new_run(finnish, texts, tmp_path):
    folder = make_tiny_model(tmp_path / "model", seed=1)
    first = drafting.open_run(finnish, backend="hf", model=str(folder))
    make_tiny_model(folder, seed=2)
    second = drafting.open_run(finnish, backend="hf", model=str(folder))

    assert first != second
    assert first.model_version.revision != second.model_version.revision
    with pytest.raises(drafting.DraftingError, match="not the model it was"):
        drafting.draft(first)


def test_run_grows_to_a_higher_limit_more_samples_and_new_texts_and_never_shrinks(finnish, texts, endpoint):
    run = drafting.open_run(finnish, samples=1, limit=2)
    assert drafting.draft(run).drafted == 2
    drafting.draft(drafting.open_run(finnish, samples=2, limit=4))
    assert run.candidates.count() == 8
    assert drafting.open_run(finnish, samples=1, limit=1).state == JobState.DONE

    drafting.draft(drafting.open_run(finnish, samples=2))
    make_text(finnish)
    grown = drafting.open_run(finnish, samples=2)
    drafting.draft(grown)

    grown.refresh_from_db()
    assert grown == run
    assert grown.candidates.count() == 12
    assert (grown.state, grown.texts_done, grown.texts_total) == (JobState.DONE, 6, 6)


def test_limit_holds_for_texts_that_came_since_a_run_without_one(finnish, texts, endpoint):
    drafting.draft(drafting.open_run(finnish, samples=1))
    for _ in range(4):
        make_text(finnish)

    run = drafting.open_run(finnish, samples=1, limit=7)
    drafting.draft(run)

    assert run.candidates.count() == 7
    assert drafting.open_run(finnish, samples=1, limit=2).state == JobState.DONE


def test_limit_takes_the_first_texts_and_what_is_taken_down_is_not_replaced(finnish, texts, endpoint):
    texts[1].withdrawn_at = timezone.now()
    texts[1].save()

    run = drafting.open_run(finnish, samples=1, limit=3)
    drafting.draft(run)

    assert set(run.candidates.values_list("text_id", flat=True)) == {texts[0].pk, texts[2].pk}


def test_prompt_follows_the_model(finnish, texts, endpoint, tiny):
    version = loading.model_version("hf", tiny)[0]

    assert drafting.open_run(finnish).prompt_version == "chat-2"
    assert drafting.open_run(finnish, backend="hf", model=tiny).prompt_version == "paper-1"
    assert drafting.open_run(finnish, backend="hf", model=version.public_id).model_version == version


def test_styles_are_drawn_from_the_seed_and_kept_with_the_candidate(finnish, endpoint):
    for _ in range(12):
        make_text(finnish)

    def draw(**options):
        run = drafting.open_run(finnish, samples=3, **options)
        drafting.draft(run)
        return run, list(run.candidates.order_by("text_id", "sample_number").values_list("style", flat=True))

    run, styles = draw()
    _, others = draw(seed=1)
    run.candidates.all().delete()
    _, again = draw()

    assert set(styles) == set(prompts.STYLES)
    assert styles == again
    assert styles != others
    assert (run.prompt_sha256, run.asking["styles"]) == (prompts.wording_sha256("chat-2"), prompts.STYLE_MIX)
    assert (
        "three to ten English words"
        in next(body for body in endpoint.asked if "search query" in body["messages"][-1]["content"])["messages"][0][
            "content"
        ]
    )


def test_mix_of_the_language_holds_unless_the_call_names_one(finnish, texts, endpoint):
    finnish.style_mix = "question=1"
    finnish.save()

    run = drafting.open_run(finnish, samples=1)
    drafting.draft(run)
    other = drafting.open_run(finnish, samples=1, styles={"search": 1.0})

    assert set(run.candidates.values_list("style", flat=True)) == {"question"}
    assert other != run
    assert drafting.open_run(finnish, samples=1) == run
    finnish.style_mix = "poem=1"
    with pytest.raises(drafting.DraftingError, match="no share of a style"):
        drafting.open_run(finnish)


def test_verified_seed_pairs_are_the_examples_and_stay_so_while_the_run_goes_on(finnish, texts, endpoint):
    def add_seed(number, **fields):
        return SeedPair.objects.create(
            language=finnish, instruction=f"Who sells fish number {number}?", response=f"Kalaa myy {number}. " * 5,
            sha256=f"{number:064x}", licence_id="CC0-1.0", **fields,
        )  # fmt: skip

    verified = add_seed(1, verified_at=timezone.now(), state=SeedState.VERIFIED)
    add_seed(2)
    run = drafting.open_run(finnish, samples=1, styles={"question": 1.0})
    verified.delete()
    drafting.draft(drafting.open_run(finnish, samples=1, styles={"question": 1.0}))

    assert Run.objects.get() == run
    replies = [m["content"] for m in endpoint.asked[0]["messages"] if m["role"] == "assistant"]
    assert replies[0] == "Who sells fish number 1?"
    assert "Who sells fish number 2?" not in replies


def test_run_whose_words_changed_under_it_is_not_continued(finnish, texts, endpoint):
    run = drafting.open_run(finnish, samples=1)
    Run.objects.filter(pk=run.pk).update(prompt_sha256="0" * 64)

    with pytest.raises(drafting.DraftingError, match="chat-2 are not those this run began with"):
        drafting.draft(Run.objects.get(pk=run.pk))

    assert Run.objects.get(pk=run.pk).state == JobState.FAILED
    assert not Candidate.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"samples": 0}, "0 samples"),
        ({"limit": 0}, "limit of 0"),
        ({"token_budget": 0}, "more than nothing"),
        ({"backend": "hf", "model": "/nowhere/at/all"}, "no model folder"),
        ({"backend": "starter", "model": "", "prompt_version": "chat-2"}, "no chat template"),
        ({"backend": "starter", "model": "", "prompt_version": "paper-9"}, "no prompt version"),
    ],
)
def test_question_that_cannot_be_answered_is_refused(finnish, wrong, message):
    with pytest.raises(drafting.DraftingError, match=message):
        drafting.open_run(finnish, **wrong)
    assert not Run.objects.exists()


# Drafting


def test_every_text_gets_its_samples_with_the_raw_reply(finnish, texts, endpoint):
    endpoint.answer = lambda body: (200, 'Sure! Here is one: "Describe the harbour in spring."')
    run = drafting.open_run(finnish, samples=3)

    progress = drafting.draft(run)

    run.refresh_from_db()
    assert (progress.drafted, progress.kept) == (15, 15)
    assert (run.state, run.texts_done, run.tokens) == (JobState.DONE, 5, 15 * 9)
    one = run.candidates.first()
    assert one.instruction == "Describe the harbour in spring."
    assert one.raw_reply.startswith("Sure!")
    assert one.state == CandidateState.KEPT
    assert len({body["seed"] for body in endpoint.asked}) == 15
    assert Event.objects.filter(kind=EventKind.RUN_FINISHED, subject_id=run.pk).count() == 1


def test_unsound_replies_are_kept_as_rejected_with_their_reasons(finnish, texts, endpoint):
    replies = iter(
        ["Summarize the following text.", "", "Kuvaile tori.", "a\x00b \ud800 describe it", "1. Tell.\n2. Explain."]
    )
    endpoint.answer = lambda body: (200, next(replies))
    run = drafting.open_run(finnish, samples=1)

    drafting.draft(run)

    assert run.candidates.filter(state=CandidateState.KEPT).count() == 0
    assert funnels.rejected_by_reason(run).keys() >= {"needs_input", "empty", "not_english", "several"}
    assert run.candidates.filter(raw_reply__contains="\ufffd").count() == 1


def test_what_the_server_refuses_is_on_record(finnish, texts, endpoint):
    endpoint.answer = lambda body: (400, "content filter")
    run = drafting.open_run(finnish, samples=1)

    drafting.draft(run)

    assert funnels.rejected_by_reason(run) == {"refused": 5}
    assert "content filter" in run.candidates.first().raw_reply


def test_local_model_drafts_the_same_whatever_was_done_before(finnish, texts, tiny):
    run = drafting.open_run(finnish, backend="hf", model=tiny, samples=2, sampling=FEW)
    drafting.draft(run)
    whole = drafted(run)
    assert len(whole) == 10

    run.candidates.filter(text__in=texts[1:4]).delete()
    run.candidates.filter(text=texts[0], sample_number=1).delete()
    again = drafting.draft(drafting.open_run(finnish, backend="hf", model=tiny, samples=2, sampling=FEW))

    assert again.drafted == 7
    assert drafted(run) == whole


def test_finished_run_drafts_nothing_more(finnish, texts, endpoint):
    run = drafting.open_run(finnish, samples=1)
    drafting.draft(run)
    asked = len(endpoint.asked)

    assert drafting.draft(drafting.open_run(finnish, samples=1)).drafted == 0
    assert len(endpoint.asked) == asked
    assert Event.objects.filter(kind=EventKind.RUN_FINISHED).count() == 1


def test_text_that_comes_while_the_run_goes_is_drafted_too(finnish, texts, endpoint):
    run = drafting.open_run(finnish, samples=1)
    late = []

    def on_progress(now):
        if not late:
            late.append(make_text(finnish))

    drafting.draft(run, on_progress)

    assert run.candidates.filter(text=late[0]).exists()


# Stopped, failed, killed


def test_server_that_fails_at_everything_fails_the_run_readably_and_it_goes_on_later(finnish, endpoint, no_waiting):
    for _ in range(40):
        make_text(finnish)
    good = endpoint.answer
    endpoint.answer = lambda body: good(body) if len(endpoint.asked) <= 12 else (500, "out of memory")
    run = drafting.open_run(finnish, samples=1)

    with pytest.raises(drafting.DraftingError, match="out of memory"):
        drafting.draft(run)
    run.refresh_from_db()
    assert run.state == JobState.FAILED
    assert 0 < run.candidates.count() <= 12
    assert "out of memory" in run.error
    assert not run.dead_letters.exists()

    endpoint.answer = good
    drafting.draft(drafting.open_run(finnish, samples=1))
    run.refresh_from_db()
    assert (run.state, run.error, run.candidates.count()) == (JobState.DONE, "", 40)


def test_text_that_the_server_fails_at_is_a_dead_letter_and_can_be_asked_again(finnish, texts, endpoint, no_waiting):
    good = endpoint.answer
    poison = texts[2].body[:60]
    endpoint.answer = lambda body: (500, "kernel panic") if poison in body["messages"][-1]["content"] else good(body)
    run = drafting.open_run(finnish, samples=2)

    drafting.draft(run)

    run.refresh_from_db()
    letter = run.dead_letters.get()
    assert (letter.text, "kernel panic" in letter.error) == (texts[2], True)
    assert (run.state, run.texts_done, run.candidates.count()) == (JobState.DONE, 5, 8)
    asked = len(endpoint.asked)
    drafting.draft(drafting.open_run(finnish, samples=2))
    assert len(endpoint.asked) == asked

    endpoint.answer = good
    assert drafting.draft(drafting.open_run(finnish, samples=2, dead_letters=True)).drafted == 2
    assert not run.dead_letters.exists()
    assert run.candidates.count() == 10


def test_samples_that_came_before_a_text_died_are_kept_and_only_the_others_asked_again(
    finnish, texts, endpoint, no_waiting
):
    good = endpoint.answer
    second = asking.sampling_seed(0, texts[0].sha256, 1) % 2**31
    endpoint.answer = lambda body: (500, "kernel panic") if body["seed"] == second else good(body)
    run = drafting.open_run(finnish, samples=3)

    drafting.draft(run)
    assert run.candidates.filter(text=texts[0]).count() == 2
    endpoint.answer = good
    again = drafting.draft(drafting.open_run(finnish, samples=3, dead_letters=True))

    assert again.drafted == 1
    assert run.candidates.filter(text=texts[0]).count() == 3


def test_budget_in_tokens_pauses_the_run_and_a_higher_one_lets_it_go_on(finnish, texts, endpoint, in_small_steps):
    run = drafting.open_run(finnish, samples=1, token_budget=200)  # a draft reads 100 and writes 9

    with pytest.raises(drafting.BudgetSpent, match="200 tokens"):
        drafting.draft(run)
    run.refresh_from_db()
    assert (run.state, run.tokens + run.prompt_tokens) == (JobState.PAUSED, run.candidates.count() * 109)
    assert 2 <= run.candidates.count() < 5
    asked = len(endpoint.asked)
    with pytest.raises(drafting.BudgetSpent):
        drafting.draft(drafting.open_run(finnish, samples=1))
    assert len(endpoint.asked) == asked

    drafting.draft(drafting.open_run(finnish, samples=1, token_budget=10_000))
    run.refresh_from_db()
    assert (run.state, run.error, run.candidates.count()) == (JobState.DONE, "", 5)


def test_budget_in_money_counts_with_the_prices_of_reading_and_writing(
    finnish, texts, endpoint, settings, in_small_steps
):
    with pytest.raises(drafting.DraftingError, match="XI_PRICE_READ"):
        drafting.open_run(finnish, cost_budget=1)
    settings.PRICE_READ, settings.PRICE_WRITTEN = 1000.0, 10_000.0  # a draft costs 0.1 + 0.09
    run = drafting.open_run(finnish, samples=1, cost_budget=0.3)

    with pytest.raises(drafting.BudgetSpent, match=r"0\.3"):
        drafting.draft(run)

    run.refresh_from_db()
    assert run.cost == pytest.approx(run.candidates.count() * 0.19)
    assert 2 <= run.candidates.count() < 5


def test_stopped_run_ends_at_the_next_batch_and_keeps_what_it_has(finnish, texts, endpoint, in_small_steps):
    run = drafting.open_run(finnish, samples=1)

    with pytest.raises(drafting.RunIsTaken, match="stopped or"):
        drafting.draft(run, lambda now: Run.objects.get(pk=run.pk).stop())

    run.refresh_from_db()
    assert run.state == JobState.STOPPED
    assert 0 < run.candidates.count() < 5


def test_paused_run_keeps_what_it_has_and_resumed_it_goes_on(finnish, texts, endpoint, in_small_steps):
    run = drafting.open_run(finnish, samples=1)

    with pytest.raises(drafting.RunIsTaken, match="paused"):
        drafting.draft(run, lambda now: run.pause())
    run.refresh_from_db()
    had = run.candidates.count()
    assert (run.state, 0 < had < 5) == (JobState.PAUSED, True)
    assert drafting.draft(run).drafted == 0  # a job that was in the queue meanwhile
    assert not Run.objects.unfinished().exists()

    assert run.resume()
    assert not run.resume()
    assert drafting.draft(run).drafted == 5 - had
    run.refresh_from_db()
    assert (run.state, run.candidates.count()) == (JobState.DONE, 5)
    assert not run.pause()


@pytest.mark.parametrize("end", [Run.stop, Run.requeue])
def test_paused_run_may_be_stopped_and_continued_too(finnish, texts, endpoint, end):
    run = drafting.open_run(finnish, samples=1)
    assert run.pause()

    assert end(run)
    run.refresh_from_db()
    assert run.state == (JobState.STOPPED if end is Run.stop else JobState.QUEUED)


def test_ctrl_c_stops_the_run_and_calling_again_goes_on(finnish, texts, endpoint, in_small_steps):
    run = drafting.open_run(finnish, samples=1)

    def interrupt(now):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drafting.draft(run, interrupt)
    run.refresh_from_db()
    assert run.state == JobState.STOPPED

    drafting.draft(drafting.open_run(finnish, samples=1))
    assert run.candidates.count() == 5


def test_share_of_a_living_worker_is_left_alone_and_of_a_silent_one_taken_up(finnish, texts, endpoint):
    run = drafting.open_run(finnish, samples=1)
    other = Run.objects.get(pk=run.pk)
    assert other.join()
    share = sharing.Part(other).take(2)

    drafting.draft(run)
    run.refresh_from_db()
    assert (run.state, run.candidates.count()) == (JobState.RUNNING, 3)
    assert not run.candidates.filter(text__in=share.text_ids).exists()

    run.shares.update(heartbeat_at=timezone.now() - dt.timedelta(hours=1))
    drafting.draft(run)
    run.refresh_from_db()
    assert (run.state, run.candidates.count()) == (JobState.DONE, 5)
    assert not run.shares.exists()


@pytest.mark.django_db(transaction=True)
def test_worker_whose_run_was_stopped_and_queued_again_saves_what_it_has_and_leaves(finnish, endpoint, in_small_steps):
    for _ in range(40):
        make_text(finnish)
    run = drafting.open_run(finnish, samples=1)

    def queued_again_meanwhile(now):
        run.stop()
        run.requeue()
        assert Run.objects.get(pk=run.pk).join()

    with pytest.raises(drafting.RunIsTaken):
        drafting.draft(run, queued_again_meanwhile)

    assert 0 < run.candidates.count() < 40
    assert Run.objects.get(pk=run.pk).state == JobState.RUNNING  # the other one's
    assert not run.shares.exists()


@pytest.mark.django_db(transaction=True)
def test_heart_beats_while_one_batch_takes_long(finnish, endpoint, settings):
    make_text(finnish)
    settings.HEARTBEAT_SECONDS = 1
    endpoint.seconds = 2.5
    run = drafting.open_run(finnish, samples=1)
    seen = []

    def look(body):
        now = Run.objects.get(pk=run.pk)
        seen.append((now.heartbeat_at - now.started_at, Run.objects.abandoned().exists()))
        connection.close()
        return 200, "Describe a market day."

    endpoint.answer = look
    drafting.draft(run)

    assert seen[0][0] > dt.timedelta(seconds=1)
    assert not seen[0][1]


@pytest.mark.django_db(transaction=True)
def test_killed_in_the_middle_and_started_again_loses_nothing_and_doubles_nothing(finnish, endpoint, settings):
    for _ in range(200):
        make_text(finnish)
    endpoint.seconds = 0.2
    env = env_of_test(XI_BACKEND="openai", XI_ENDPOINT=endpoint.url)
    command = [sys.executable, "manage.py", "draft", "--language", "fi", "--samples", "2"]

    with subprocess.Popen(command, env=env, cwd=project_settings.BASE_DIR, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not Candidate.objects.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    saved = dict(Candidate.objects.values_list("pk", "raw_reply"))
    run = Run.objects.get()
    assert run.state == JobState.RUNNING
    assert 0 < len(saved) < 400
    assert run.shares.exists()

    Share.objects.update(heartbeat_at=timezone.now() - dt.timedelta(hours=1))  # the time that makes it silent
    endpoint.seconds = 0
    drafting.draft(drafting.open_run(finnish, samples=2))

    run.refresh_from_db()
    assert (run.state, run.texts_done) == (JobState.DONE, 200)
    assert run.candidates.count() == 400
    assert dict(Candidate.objects.filter(pk__in=saved).values_list("pk", "raw_reply")) == saved


# The command


def test_command_drafts_and_says_what_it_did(finnish, texts, endpoint, capsys):
    replies = iter(["Summarize the following text."] * 2)
    good = endpoint.answer
    endpoint.answer = lambda body: (200, reply) if (reply := next(replies, "")) else good(body)

    call_command("draft", "--language", "fi", "--samples", "1")
    first = capsys.readouterr().out
    call_command("draft", "--language", "fi", "--samples", "1")
    second = capsys.readouterr().out

    assert "5 (kept 3)" in first
    assert "rejected: needs_input" in first
    assert "0 (kept 0)" in second
    assert Candidate.objects.count() == 5


def test_command_explains_what_is_wrong(finnish, endpoint):
    with pytest.raises(CommandError, match="no language 'xx'"):
        call_command("draft", "--language", "xx")
    with pytest.raises(CommandError, match="no texts yet"):
        call_command("draft", "--language", "fi")
    with pytest.raises(CommandError, match="no model folder"):
        call_command("draft", "--language", "fi", "--backend", "hf", "--model", "/nowhere")


@pytest.mark.django_db(transaction=True)
def test_command_waits_for_what_others_have_in_hand_and_takes_it_up_where_they_go_silent(
    finnish, texts, endpoint, settings, capsys
):
    settings.HEARTBEAT_SECONDS = 3
    run = drafting.open_run(finnish, samples=1)
    assert run.join()
    assert sharing.Part(run).take(2)

    call_command("draft", "--language", "fi", "--samples", "1")

    run.refresh_from_db()
    assert (run.state, run.candidates.count()) == (JobState.DONE, 5)
    assert "5 (kept 5)" in capsys.readouterr().out


def test_score_rows_of_a_model_are_no_draft_rows(finnish, tiny):
    assert loading.model_version("hf", tiny)[0] != loading.model_version("hf", tiny, task=Task.SCORE)[0]
    assert make_model_version().task == Task.DRAFT
