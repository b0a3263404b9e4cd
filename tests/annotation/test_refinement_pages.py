"""Refinement from the pages: who scores, what a round selects, ratings and gold frozen, evaluators measured on them."""

import django_rq
import pytest
from django.urls import reverse
from django.utils import timezone
from rq import Worker

from annotation import jobs, labels, overview, queues, reviewing
from annotation.models import Item, ItemKind, Overview
from generation import queueing, rubric
from generation.models import ARRIVALS, Measurement, Release, Round, Score, Task
from tests import endpoint
from tests.factories import (
    accepting,
    make_candidate,
    make_items,
    make_language,
    make_model_version,
    make_run,
    make_text,
    make_user,
    rejecting,
)
from xinstruct_site.people.models import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(client, finnish, queue_is_empty):
    """A maintainer of Finnish, and a worker that listens."""
    queue = django_rq.get_queue("cpu")
    Worker([queue], connection=queue.connection, name="tests-worker").register_birth()
    client.force_login(make_user("maija@example.org", finnish, role=Role.MAINTAINER))
    return client


@pytest.fixture
def press(desk, django_capture_on_commit_callbacks):
    def press(name, /, *args, **data):
        with django_capture_on_commit_callbacks(execute=True):
            return desk.post(reverse(name, args=args), data)

    return press


def work():
    """What waits in the queue, done as a worker does it."""
    queue = django_rq.get_queue("cpu")
    for job in queue.jobs:
        job.delete()
        job.func(*job.args)


@pytest.fixture
def judge(settings):
    """A chat model that answers the rubric."""
    with endpoint.serving(answer=lambda body: (200, "Good.\nScore: 4")) as server:
        settings.ENDPOINT = server.url
        yield make_model_version(
            task=Task.SCORE, backend="openai", location=f"{server.url} small-chat", revision="small-chat",
            prompt_version=rubric.RUBRIC, name="judge",
        )  # fmt: skip


@pytest.fixture
def run(finnish):
    run = make_run(finnish, state="done", texts_total=4, texts_done=4)
    for source in ("wiki", "wiki", "news", "news"):
        embedding = [0.0] * 384
        text = make_text(finnish, source_dataset=source)
        embedding[text.pk % 384] = 1.0
        make_candidate(text, run, instruction=f"Describe the market of day {text.pk}.", embedding=embedding)
    return run


def test_a_chosen_evaluator_scores_as_often_as_asked(press, run, judge):
    page = press("score_run", run.public_id, model=judge.public_id, samples=2)
    assert page.status_code == 302
    work()

    assert Score.objects.filter(evaluator=judge, level=4).count() == 8


def test_a_way_that_the_evaluator_cannot_be_asked_in_is_refused_at_once(press, run, finnish):
    page = press("score_run", run.public_id, way=rubric.RUBRIC)

    assert page.status_code == 409
    assert "starter model cannot answer a rubric" in page.content.decode()
    assert press("score_run", run.public_id, samples=1000).status_code == 422
    assert press("score_run", run.public_id, model="nobody").status_code == 422
    assert not queueing.is_waiting(finnish)


def test_what_a_worker_could_not_do_is_said_on_the_page_that_asked(desk, press, run, judge, settings):
    press("score_run", run.public_id, model=judge.public_id)
    up, settings.ENDPOINT = settings.ENDPOINT, "http://127.0.0.1:9/v1"
    work()

    settings.ENDPOINT = up
    page = desk.get(reverse("run", args=[run.public_id]))
    assert 'role="alert"' in page.content.decode()
    press("score_run", run.public_id, model=judge.public_id)
    assert 'role="alert"' not in desk.get(reverse("run", args=[run.public_id])).content.decode()


def scored(run, evaluator, raw=0.5):
    for number, candidate in enumerate(run.candidates.order_by("pk")):
        Score.objects.create(candidate=candidate, evaluator=evaluator, raw=raw + number / 10)


def test_quotas_evaluator_and_threshold_reach_the_round(press, finnish, run):
    ours, other = (make_model_version(task=Task.SCORE, prompt_version=rubric.LEVELS, name=name) for name in "ab")
    scored(run, ours)
    scored(run, other, raw=0.1)

    page = press(
        "language",
        "fi",
        count=2,
        quotas="source:wiki=1\n\nsource:news=50%",
        evaluator=other.public_id,
        threshold="0.15",
    )
    assert page.status_code == 302
    work()

    made = Round.objects.get(language=finnish, number__gt=ARRIVALS)
    assert made.evaluator == other
    assert made.settings["threshold"] == 0.15
    assert sorted(one.text.source_dataset for one in made.selections.select_related("text")) == ["news", "wiki"]
    assert Item.objects.filter(round=made).count() == 2


@pytest.mark.parametrize(
    ("field", "said", "why"),
    [
        ("quotas", "wiki=3", "is no quota"),
        ("quotas", "source:wiki=300", "ask for 300 texts"),
        ("precision", "80", "Nobody has compared"),
        ("threshold", "nan", "Enter a number"),
        ("evaluator", "nobody", "Select a valid choice"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused_at_the_field(press, run, field, said, why):
    scored(run, make_model_version(task=Task.SCORE, prompt_version=rubric.LEVELS))

    page = press("language", "fi", count=2, **{field: said})

    assert page.status_code == 422
    assert any(why in error for error in page.context_data["form"].errors[field])
    assert "<details" in page.content.decode().partition("rarer")[0][-20:]
    assert not django_rq.get_queue("cpu").jobs


def test_a_threshold_that_nothing_reaches_is_said_on_the_languages_page(desk, press, run):
    scored(run, make_model_version(task=Task.SCORE, prompt_version=rubric.LEVELS))
    press("language", "fi", count=2, threshold=9)
    work()

    assert "reaches the threshold of 9" in desk.get(reverse("language", args=["fi"])).content.decode()


@pytest.fixture
def decided(aino, finnish):
    """Six items: even ones accepted, odd ones rejected."""
    finnish.overlap = finnish.quorum = 1
    finnish.save()
    items = make_items(finnish, 6)
    for number, item in enumerate(items):
        queues.claim_next(aino, finnish)
        first = item.candidates()[0]
        reviewing.submit(
            aino, item, rejecting() if number % 2 else accepting(first.instruction, candidate=first, overall=5)
        )
    return items


def test_gold_is_drawn_and_an_evaluator_measured_on_it_from_the_pages(desk, press, decided, judge):
    assert press("build_ratings", name="fi-gold-1", languages=["fi"], gold=4).status_code == 302
    work()
    gold = Release.objects.get()
    assert gold.is_gold
    assert Item.objects.filter(kind=ItemKind.GOLD).count() == 4

    assert press("measure", judge.public_id, release=gold.public_id).status_code == 302
    work()

    assert Measurement.objects.get().evaluator == judge
    page = desk.get(reverse("evaluator", args=[judge.public_id])).content.decode()
    assert "fi-gold-1" in page
    assert "not compared with people yet" not in page


def test_ratings_without_gold_are_of_all_decided_items(press, decided):
    press("build_ratings", name="fi-said", languages=["fi"])
    work()

    assert Release.objects.get().counts == {"fi": 6}
    assert not Item.objects.filter(kind=ItemKind.GOLD).exists()


def test_a_rated_set_needs_a_name_that_is_free_and_a_language_that_is_mine(press, decided, finnish):
    labels.build("said", [finnish])
    make_items(make_language("ur"))

    for field, data in (
        ("name", {"name": "said", "languages": ["fi"]}),
        ("name", {"name": "../x", "languages": ["fi"]}),
        ("languages", {"name": "mine", "languages": ["ur"]}),
        ("gold", {"name": "mine", "languages": ["fi"], "gold": 0}),
    ):
        page = press("build_ratings", **data)
        assert page.status_code == 422
        assert list(page.context_data["form"].errors) == [field]
    assert Release.objects.count() == 1


def test_a_gold_set_of_nothing_is_said_on_the_page(desk, press, finnish):
    make_items(finnish)
    press("build_ratings", name="gold", languages=["fi"], gold=3)
    work()

    assert "No items are decided yet" in desk.get(reverse("evaluators")).content.decode()


def test_sets_of_other_languages_are_not_measured_on(press, judge, decided):
    urdu = make_language("ur")
    release = Release.objects.create(name="ur", query={"kind": "ratings", "items": "gold"})
    release.languages.add(urdu)
    Release.objects.filter(pk=release.pk).update(state="ready", sha256="0" * 64)

    assert press("measure", judge.public_id, release=release.public_id).status_code == 422


@pytest.mark.parametrize("name", ["measure", "build_ratings"])
def test_annotators_freeze_and_measure_nothing(client, finnish, judge, name):
    client.force_login(make_user("anna@example.org", finnish))

    assert client.post(reverse(name, args=[judge.public_id] if name == "measure" else [])).status_code == 403
    assert client.get(reverse(name, args=[judge.public_id] if name == "measure" else [])).status_code == 405


def test_a_worker_that_takes_a_selection_up_again_makes_no_second_round(run, finnish):
    scored(run, make_model_version(task=Task.SCORE, prompt_version=rubric.LEVELS))

    for _ in range(2):
        jobs.select_and_open(finnish.pk, 2, 0, None, {"quotas": ["source:wiki=1"], "evaluator": None})

    assert Round.objects.filter(number__gt=ARRIVALS).count() == 1


def test_a_large_languages_numbers_are_those_counted_last_and_a_worker_takes_them_anew(
    desk, run, finnish, monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr(overview, "COUNTED_AT_ONCE", 2)
    finnish.imports.update(counts={"stored": 3})
    assert overview.pipelines([finnish])[0].texts == 4  # nobody has counted yet
    make_text(finnish)
    with django_capture_on_commit_callbacks(execute=True):
        assert overview.pipelines([finnish])[0].texts == 4
    assert "count-language" not in str(django_rq.get_queue("default").job_ids)

    Overview.objects.update(counted_at=timezone.now() - 2 * overview.STALE)
    Worker([django_rq.get_queue("default")], connection=django_rq.get_connection(), name="counts").register_birth()
    with django_capture_on_commit_callbacks(execute=True):
        overview.pipelines([finnish])
    [job] = django_rq.get_queue("default").jobs
    job.func(*job.args)
    assert overview.pipelines([finnish])[0].texts == 5
    assert not overview.has_ready(finnish)
