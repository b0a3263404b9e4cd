"""The maintainers' pages of texts, runs and fine-tune runs: who may see them, and what pressing the buttons does."""

import gzip
import json
import re

import django_rq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from rq import Worker

from generation import jobs, queueing
from generation.charts import line_chart, nice_ticks
from generation.models import (
    CandidateState,
    FineTuneLog,
    FineTuneRun,
    Import,
    JobState,
    Release,
    ReleaseState,
    Run,
    SeedPair,
    SeedState,
    Text,
    Upload,
)
from tests import endpoint
from tests.factories import make_candidate, make_language, make_model_version, make_run, make_text, make_user
from xinstruct_site.people.models import Event, EventKind, Role

VERIFIED = {
    "instruction": "i", "response": "r", "licence_id": "CC0-1.0", "state": SeedState.VERIFIED,
    "verified_at": timezone.now(),
}  # fmt: skip
HTMX = {"HX-Request": "true"}
BODY = (
    "Lauantaina tori täyttyy jo aamulla. Kalastajat tuovat muikkuja ja silakoita, ja mummot myyvät villasukkia, "
    "marjoja ja juuri leivottuja piirakoita. Kahvi maistuu kojun ääressä paremmalta kuin kotona, ja lopuksi "
    "ostetaan vielä pussillinen uusia perunoita."
)


@pytest.fixture
def worker_listens(queue_is_empty):
    """A worker's own registration in Redis, as rq writes it when one starts."""
    queues = [django_rq.get_queue(name) for name in ("default", "cpu", "gpu")]
    worker = Worker(queues, connection=queues[0].connection, name="tests-worker")
    worker.register_birth()
    return worker


@pytest.fixture
def keeper(finnish):
    """Maintains Finnish and nothing else."""
    return make_user("keeper@example.org", finnish, role=Role.MAINTAINER)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    from tests.tiny_models import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def hf(settings, tiny_model):
    """The installation drafts with a real, if tiny, model."""
    settings.BACKEND, settings.MODEL = "hf", str(tiny_model)


def make_finetune(*seeds: str, **fields) -> FineTuneRun:
    base = fields.pop("base_model", None) or make_model_version()
    return FineTuneRun.objects.create(key=f"{base.pk:064x}", task="draft", base_model=base, seeds=list(seeds), **fields)


def jsonl(*rows: dict) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def upload_of(name: str, content: bytes, **fields: str) -> dict:
    return {
        "language": "fi",
        "source": "Torin lehti",
        "licence": "CC-BY-4.0",
        **fields,
        "file": SimpleUploadedFile(name, content),
    }


# Who may


PAGES = ["texts", "import_texts", "runs", "finetunes"]


@pytest.mark.parametrize("page", PAGES)
def test_anonymous_people_sign_in_first(client, db, page):
    response = client.get(reverse(page))

    assert response.status_code == 302
    assert response.url.startswith(reverse("account_login"))


@pytest.mark.parametrize("page", PAGES)
def test_people_who_maintain_nothing_are_refused(client, stranger, aino, page):
    for person in (stranger, aino):
        client.force_login(person)

        assert client.get(reverse(page)).status_code == 403
        assert client.post(reverse(page)).status_code in {403, 405}


@pytest.mark.parametrize("page", PAGES)
def test_maintainers_see_the_pages_empty_and_are_told_what_to_do(client, keeper, maintainer, page):
    for person in (keeper, maintainer):
        client.force_login(person)
        response = client.get(reverse(page))

        assert response.status_code == 200
        assert 'class="empty' in response.content.decode()


@pytest.fixture
def things(urdu, finnish):
    """One of each in Urdu, which the keeper of Finnish has no part in."""
    text = make_text(urdu)
    run = make_run(urdu, state=JobState.RUNNING)
    finetune = make_finetune("ur", state=JobState.RUNNING)
    batch = Import.objects.get(language=urdu)
    upload = Upload.objects.create(
        language=urdu, source="s", licence_id="CC0-1.0", file_name="ur.jsonl", stored_as="ur.jsonl", size=1
    )
    return {
        "text": text.public_id, "run": run.public_id, "finetune": finetune.public_id, "rejected_rows": batch.public_id,
        "stop_run": run.public_id, "continue_run": run.public_id, "score_run": run.public_id,
        "cancel_finetune": finetune.public_id, "continue_finetune": finetune.public_id,
        "move_finetune": finetune.public_id, "stop_upload": upload.public_id,
    }  # fmt: skip


def test_things_of_a_language_exist_for_its_maintainers_only(client, things, keeper, aino, stranger):
    posts = {"stop_run", "continue_run", "score_run", "cancel_finetune", "continue_finetune", "move_finetune",
             "stop_upload"}  # fmt: skip
    for person, expected in ((keeper, 404), (aino, 403), (stranger, 403), (None, 302)):
        if person:
            client.force_login(person)
        else:
            client.logout()
        for name, public_id in things.items():
            address = reverse(name, args=[public_id])
            response = client.post(address) if name in posts else client.get(address)

            assert response.status_code == expected, (name, person)
    assert Run.objects.get().state == JobState.RUNNING
    assert FineTuneRun.objects.get().state == JobState.RUNNING


def test_lists_show_a_maintainer_the_own_language_only(client, things, keeper, finnish):
    own = make_text(finnish, title="Torilla tavataan")
    make_run(finnish)
    client.force_login(keeper)

    assert [text.pk for text in client.get(reverse("texts")).context_data["page"].texts] == [own.pk]
    assert [run.language for run in client.get(reverse("runs")).context_data["runs"]] == [finnish]
    assert not client.get(reverse("finetunes")).context_data["runs"]
    assert b"Urdu" not in client.get(reverse("runs")).content


def test_a_model_trained_on_another_language_is_not_offered(client, things, keeper, maintainer):
    make_model_version(name="urdu-model", fine_tune_run=FineTuneRun.objects.get())

    client.force_login(keeper)
    assert b"urdu-model" not in client.get(reverse("finetunes")).content
    client.force_login(maintainer)
    assert b"urdu-model" in client.get(reverse("finetunes")).content


def test_state_changes_by_post_only(client, maintainer, things):
    client.force_login(maintainer)

    for name in ("stop_run", "continue_run", "score_run", "cancel_finetune", "continue_finetune",
                 "move_finetune", "stop_upload"):  # fmt: skip
        assert client.get(reverse(name, args=[things[name]])).status_code == 405


def test_posts_without_a_csrf_token_are_refused(maintainer, things):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(maintainer)

    assert client.post(reverse("stop_run", args=[things["stop_run"]])).status_code == 403
    assert client.post(reverse("runs"), {"language": "fi", "samples": 1}).status_code == 403


# Texts


def test_texts_go_on_from_page_to_page_without_gaps_or_repeats(client, maintainer, finnish):
    made = [make_text(finnish).public_id for _ in range(60)]
    client.force_login(maintainer)

    seen, query = [], ""
    while True:
        page = client.get(f"{reverse('texts')}?{query}").context_data["page"]
        seen += [text.public_id for text in page.texts]
        if not page.goes_on_after:
            break
        query = f"after={page.goes_on_after}"

    assert seen == made[::-1]


def test_the_text_list_needs_few_queries_however_many_texts(client, maintainer, finnish, django_assert_max_num_queries):
    for _ in range(30):
        make_candidate(make_text(finnish))
    client.force_login(maintainer)

    with django_assert_max_num_queries(12):
        client.get(reverse("texts"))
    with django_assert_max_num_queries(12):
        client.get(reverse("texts"), {"q": "torilla", "language": "fi"})


@pytest.mark.parametrize("words", ["100 %", "a_b", "C:\\kala", "'; DROP", "ÄITI", "%", "\\"])
def test_search_takes_every_character_as_it_stands(client, maintainer, finnish, words):
    hit = make_text(finnish, body=f"Tässä lukee {words.lower()} ja muuta. " * 5)
    make_text(finnish, body="Tässä ei lue mitään erityistä, axb ja 100 x. " * 5)
    client.force_login(maintainer)

    page = client.get(reverse("texts"), {"q": words}).context_data["page"]

    assert [text.pk for text in page.texts] == [hit.pk]


@pytest.mark.parametrize("query", [{"q": "a\0b"}, {"q": "x" * 1_000_000}, {"language": "xx"}, {"after": "\0"}])
def test_a_search_that_makes_no_sense_is_answered_with_a_message(client, maintainer, finnish, query):
    make_text(finnish)
    client.force_login(maintainer)

    response = client.get(reverse("texts"), query)

    assert response.status_code == 422
    assert response.context_data["form"].errors


def test_a_search_reads_one_window_and_offers_to_go_on(client, maintainer, finnish, monkeypatch):
    monkeypatch.setattr("generation.finding.SEARCH_WINDOW", 10)
    old = make_text(finnish, title="Kultaa")
    for _ in range(12):
        make_text(finnish)
    client.force_login(maintainer)

    first = client.get(reverse("texts"), {"q": "kultaa"})
    second = client.get(f"{reverse('texts')}?{first.context_data['next_query']}")

    assert first.context_data["page"].window_exhausted
    assert not first.context_data["page"].texts
    assert [text.pk for text in second.context_data["page"].texts] == [old.pk]
    assert not second.context_data["page"].goes_on_after


def test_a_text_shows_its_candidates_scores_and_why_some_were_turned_away(
    client, maintainer, urdu, django_assert_max_num_queries
):
    text = make_text(urdu, original="raw form", url="https://example.pk/1", extra={"items": [1], "quality": "high"})
    kept = make_candidate(text)
    kept.scores.create(evaluator=kept.run.model_version, raw=-1.25)
    make_candidate(text, instruction="", raw_reply="???", state=CandidateState.REJECTED, reasons=["not_english"])
    client.force_login(maintainer)

    with django_assert_max_num_queries(12):
        content = client.get(reverse("text", args=[text.public_id])).content.decode()

    assert kept.instruction in content
    assert "-1.250" in content
    assert "not English" in content
    assert "raw form" in content
    assert "https://example.pk/1" in content
    assert "quality" in content
    assert re.search(r'lang="ur"\s+dir="rtl"', content)


# Import


def test_a_file_is_imported_by_the_queue_and_its_rejected_rows_can_be_fetched(
    client, maintainer, finnish, worker_listens, settings, django_capture_on_commit_callbacks
):
    content = (
        jsonl({"text": BODY, "title": "Tori", "url": "https://example.fi/tori"}, {"text": "lyhyt"}) + b"not json\n"
    )
    client.force_login(maintainer)

    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(reverse("import_texts"), upload_of("../../tori.jsonl.gz", gzip.compress(content)))
    upload = Upload.objects.get()
    assert response.status_code == 302
    assert queueing.is_waiting(upload)
    jobs.import_upload(upload.pk)
    jobs.import_upload(upload.pk)

    upload.refresh_from_db()
    assert upload.state == JobState.DONE
    assert Text.objects.get().url == "https://example.fi/tori"
    assert Text.objects.get().licence_id == "CC-BY-4.0"
    assert Import.objects.get().counts["rejected"] == {"too_short": 1, "malformed_json": 1}
    assert not list((settings.DATA_DIR / "uploads").iterdir())
    page = client.get(reverse("import_texts")).content.decode()
    assert "text too short" in page
    rejected = client.get(reverse("rejected_rows", args=[Import.objects.get().public_id]))
    assert rejected.headers["Content-Disposition"].startswith("attachment")
    assert len(b"".join(rejected.streaming_content).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("texts.pdf", b"%PDF-1.7", "name"),
        ("texts.jsonl.gz", b'{"text": "plain"}', "compression"),
        ("texts.jsonl", gzip.compress(b"{}"), "compression"),
        ("texts.jsonl", b"x" * 2001, "size"),
        ("texts.jsonl", b"", "empty"),
    ],
)
def test_a_file_that_is_no_import_is_refused_with_the_reason(
    client, maintainer, finnish, worker_listens, settings, name, content, code
):
    settings.UPLOAD_BYTES = 2000
    client.force_login(maintainer)

    response = client.post(reverse("import_texts"), upload_of(name, content))

    assert response.status_code == 422
    assert response.context_data["form"].errors.as_data()["file"][0].code == code
    assert not Upload.objects.exists()
    assert not (settings.DATA_DIR / "uploads").exists()


def test_the_limit_of_a_file_is_said_beforehand(client, maintainer, finnish, settings):
    settings.UPLOAD_BYTES = 3 * 1024 * 1024
    client.force_login(maintainer)

    assert "3.0\xa0MB" in client.get(reverse("import_texts")).content.decode()


def test_a_maintainer_imports_into_the_own_language_only(client, keeper, urdu, worker_listens):
    client.force_login(keeper)

    response = client.post(reverse("import_texts"), upload_of("a.jsonl", jsonl({"text": BODY}), language="ur"))

    assert response.status_code == 422
    assert not Upload.objects.exists()


def test_without_a_worker_no_file_is_taken(client, maintainer, finnish, queue_is_empty, settings):
    client.force_login(maintainer)

    response = client.post(reverse("import_texts"), upload_of("a.jsonl", jsonl({"text": BODY})))

    assert response.status_code == 409
    assert "worker" in response.context_data["refusal"]
    assert not Upload.objects.exists()
    assert not (settings.DATA_DIR / "uploads").exists()


def test_an_upload_stopped_while_it_waits_is_never_imported(client, maintainer, finnish, worker_listens):
    client.force_login(maintainer)
    client.post(reverse("import_texts"), upload_of("a.jsonl", jsonl({"text": BODY})))
    upload = Upload.objects.get()

    client.post(reverse("stop_upload", args=[upload.public_id]))
    jobs.import_upload(upload.pk)

    assert not Text.objects.exists()


def test_an_upload_whose_file_is_gone_says_so(client, maintainer, finnish, worker_listens, settings):
    client.force_login(maintainer)
    client.post(reverse("import_texts"), upload_of("a.jsonl", jsonl({"text": BODY})))
    upload = Upload.objects.get()
    (settings.DATA_DIR / "uploads" / upload.stored_as).unlink()

    jobs.import_upload(upload.pk)

    upload.refresh_from_db()
    assert upload.state == JobState.FAILED
    assert "Send it again" in client.get(reverse("import_texts")).content.decode()


def test_the_list_of_imports_polls_only_while_something_waits(client, maintainer, finnish, worker_listens):
    client.force_login(maintainer)
    assert b"hx-trigger" not in client.get(reverse("import_texts"), headers=HTMX).content
    client.post(reverse("import_texts"), upload_of("a.jsonl", jsonl({"text": BODY})))

    waiting = client.get(reverse("import_texts"), headers=HTMX).content.decode()
    assert "hx-trigger" in waiting
    assert "<html" not in waiting

    jobs.import_upload(Upload.objects.get().pk)
    assert b"hx-trigger" not in client.get(reverse("import_texts"), headers=HTMX).content


# Runs


def test_starting_a_run_twice_makes_one_run_and_one_job(
    client, maintainer, finnish, worker_listens, hf, django_capture_on_commit_callbacks
):
    make_text(finnish)
    client.force_login(maintainer)

    responses = []
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            responses.append(client.post(reverse("runs"), {"language": "fi", "samples": 2}))

    run = Run.objects.get()
    assert [response.status_code for response in responses] == [302, 302]
    assert all(response.url == reverse("run", args=[run.public_id]) for response in responses)
    assert run.samples == 2
    assert run.created_by == maintainer
    assert django_rq.get_queue(jobs.DRAFT_QUEUE).job_ids == [queueing.job_id(run)]


def test_drafting_anew_twice_in_a_row_makes_one_new_run(client, maintainer, finnish, worker_listens, hf):
    make_text(finnish)
    client.force_login(maintainer)
    client.post(reverse("runs"), {"language": "fi", "samples": 1})
    Run.objects.update(state=JobState.DONE)

    for _ in range(2):
        client.post(reverse("runs"), {"language": "fi", "samples": 1, "again": "on"})

    assert Run.objects.count() == 2


@pytest.mark.parametrize("page", ["runs", "finetunes"])
def test_without_a_worker_nothing_is_started(client, maintainer, finnish, queue_is_empty, hf, page):
    make_text(finnish)
    SeedPair.objects.create(language=finnish, sha256="0" * 64, **VERIFIED)
    client.force_login(maintainer)
    data = {
        "language": "fi", "samples": 1, "task": "draft", "seeds": ["fi"], "method": "full", "epochs": 1,
        "learning_rate": 0.001,
    }  # fmt: skip

    response = client.post(reverse(page), data)

    assert response.status_code == 409
    assert "worker" in response.context_data["refusal"]
    assert response.context_data["refusal"].split("'")[0] in response.content.decode()
    assert not Run.objects.exists()
    assert not FineTuneRun.objects.exists()
    assert not django_rq.get_queue("cpu").job_ids


def test_without_a_worker_the_pages_say_so_beforehand(client, maintainer, queue_is_empty):
    client.force_login(maintainer)

    for page in ("import_texts", "runs", "finetunes"):
        assert "No worker is running" in client.get(reverse(page)).content.decode()


def test_a_model_that_is_not_there_is_explained(client, maintainer, finnish, worker_listens, settings):
    settings.BACKEND, settings.MODEL = "hf", "/nowhere/at/all"
    make_text(finnish)
    client.force_login(maintainer)

    response = client.post(reverse("runs"), {"language": "fi", "samples": 1})

    assert response.status_code == 409
    assert "/nowhere/at/all" in response.context_data["refusal"]
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "data", [{"samples": "0"}, {"samples": "many"}, {"limit": "-1"}, {"model": "bogus"}, {"language": "xx"}]
)
def test_a_run_that_makes_no_sense_is_refused_on_its_form(client, maintainer, finnish, worker_listens, data):
    make_text(finnish)
    client.force_login(maintainer)

    response = client.post(reverse("runs"), {"language": "fi", "samples": "1", **data})

    assert response.status_code == 422
    assert set(response.context_data["form"].errors) == set(data)


def test_the_run_page_polls_until_the_run_is_finished(client, maintainer, urdu):
    run = make_run(urdu, state=JobState.RUNNING, texts_total=4, texts_done=1, seconds=2.0)
    make_candidate(make_text(urdu), run)
    make_candidate(make_text(urdu), run, state=CandidateState.REJECTED, reasons=["too_short", "not_english"])
    address = reverse("run", args=[run.public_id])
    client.force_login(maintainer)

    running = client.get(address, headers=HTMX)
    Run.objects.update(state=JobState.DONE)
    done = client.get(address, headers=HTMX).content.decode()

    content = running.content.decode()
    assert running.template_name == "generation/run.html#live"
    assert "<html" not in content
    assert 'hx-trigger="every 3s"' in content
    assert "1 of 4 texts" in content
    assert re.search(r"1 ×\s+not English", content)
    assert re.search(r'lang="ur"\s+dir="rtl"', content)
    assert "hx-trigger" not in done
    assert 'id="actions"' in done
    assert 'hx-swap-oob="true"' in done
    assert reverse("score_run", args=[run.public_id]) in done


def test_the_run_page_needs_few_queries_however_many_candidates(
    client, maintainer, finnish, django_assert_max_num_queries
):
    run = make_run(finnish, state=JobState.RUNNING)
    for number in range(30):
        state = CandidateState.REJECTED if number % 2 else CandidateState.KEPT
        make_candidate(make_text(finnish), run, state=state, reasons=["too_short"] if number % 2 else [])
    client.force_login(maintainer)

    with django_assert_max_num_queries(17):
        client.get(reverse("run", args=[run.public_id]))
    with django_assert_max_num_queries(17):
        client.get(reverse("runs"))


def test_a_run_is_stopped_continued_and_scored_by_buttons(
    client, maintainer, finnish, worker_listens, django_capture_on_commit_callbacks
):
    run = make_run(finnish, state=JobState.RUNNING)
    client.force_login(maintainer)

    client.post(reverse("stop_run", args=[run.public_id]))
    run.refresh_from_db()
    assert run.state == JobState.STOPPED
    assert Event.objects.filter(kind=EventKind.RUN_STOPPED, actor=maintainer).count() == 1

    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("continue_run", args=[run.public_id]))
        client.post(reverse("continue_run", args=[run.public_id]))
        client.post(reverse("score_run", args=[run.public_id]))
    run.refresh_from_db()
    assert run.state == JobState.QUEUED
    assert sorted(django_rq.get_queue("cpu").job_ids) == sorted([queueing.job_id(run), queueing.job_id(finnish)])


def test_a_stopped_run_is_not_continued_without_a_worker(client, maintainer, finnish, queue_is_empty):
    run = make_run(finnish, state=JobState.STOPPED)
    client.force_login(maintainer)

    response = client.post(reverse("continue_run", args=[run.public_id]))

    run.refresh_from_db()
    assert response.status_code == 409
    assert run.state == JobState.STOPPED


# Fine-tuning


def start_data(**fields):
    return {"task": "draft", "seeds": ["fi"], "method": "full", "epochs": "1", "learning_rate": "0.001", **fields}


def test_training_started_twice_is_one_run_and_one_job(
    client, maintainer, finnish, worker_listens, hf, django_capture_on_commit_callbacks
):
    SeedPair.objects.create(language=finnish, sha256="0" * 64, **VERIFIED)
    client.force_login(maintainer)

    responses = []
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            responses.append(client.post(reverse("finetunes"), start_data()))

    run = FineTuneRun.objects.get()
    assert [response.url for response in responses] == [reverse("finetune", args=[run.public_id])] * 2
    assert run.config["learning_rate"] == 0.001
    assert django_rq.get_queue(jobs.TRAINING_QUEUE).job_ids == [queueing.job_id(run)]


def test_training_on_nothing_is_refused(client, maintainer, finnish, worker_listens):
    client.force_login(maintainer)

    response = client.post(reverse("finetunes"), start_data(seeds=[]))

    assert response.status_code == 422
    assert response.context_data["form"].non_field_errors()
    assert "Choose at least one" in response.content.decode()


def test_only_ready_releases_of_own_languages_can_be_trained_on(client, keeper, finnish, urdu, worker_listens):
    releases = {}
    for name, state, languages in (
        ("ready", ReleaseState.READY, [finnish]), ("failed", ReleaseState.FAILED, [finnish]),
        ("both", ReleaseState.READY, [finnish, urdu]),
    ):  # fmt: skip
        releases[name] = Release.objects.create(name=name, state=state, sha256="0" * 64)
        releases[name].languages.set(languages)
    client.force_login(keeper)

    offered = client.get(reverse("finetunes")).context_data["form"].fields["releases"].queryset
    response = client.post(reverse("finetunes"), start_data(seeds=[], releases=[releases["both"].public_id]))

    assert list(offered) == [releases["ready"]]
    assert response.status_code == 422


def test_the_finetune_page_draws_the_loss_and_stops_polling_at_the_end(
    client, maintainer, finnish, django_assert_max_num_queries
):
    run = make_finetune("fi", state=JobState.RUNNING, step=3, steps_total=10)
    FineTuneLog.objects.bulk_create(FineTuneLog(run=run, step=step, loss=4.0 / step) for step in (1, 2, 3))
    address = reverse("finetune", args=[run.public_id])
    client.force_login(maintainer)

    with django_assert_max_num_queries(12):
        page = client.get(address).content.decode()
    fragment = client.get(address, headers=HTMX).content.decode()
    FineTuneRun.objects.update(state=JobState.DONE)
    result = make_model_version(name="fi-drafter", fine_tune_run=run)
    done = client.get(address, headers=HTMX).content.decode()

    assert "<polyline" in page
    assert "1.333" in page
    assert "style=" not in page
    assert "hx-trigger" in fragment
    assert "<html" not in fragment
    assert "hx-trigger" not in done
    assert f"{reverse('runs')}?model={result.public_id}" in done


def test_the_form_of_runs_is_filled_with_the_model_that_a_link_names(client, maintainer, finnish):
    make_text(finnish)
    model = make_model_version(name="fi-drafter")
    client.force_login(maintainer)

    content = client.get(reverse("runs"), {"model": model.public_id, "language": "fi"}).content.decode()

    assert f'<option value="{model.public_id}" selected>' in content


def test_training_is_cancelled_and_continued_by_buttons(
    client, maintainer, finnish, worker_listens, django_capture_on_commit_callbacks
):
    run = make_finetune("fi", state=JobState.RUNNING)
    client.force_login(maintainer)

    client.post(reverse("cancel_finetune", args=[run.public_id]))
    run.refresh_from_db()
    assert run.state == JobState.STOPPED

    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("continue_finetune", args=[run.public_id]))
    run.refresh_from_db()
    assert run.state == JobState.QUEUED
    assert queueing.is_waiting(run)


def test_a_waiting_run_is_moved_before_the_others(client, maintainer, finnish):
    runs = [make_finetune("fi") for _ in range(3)]
    client.force_login(maintainer)

    client.post(reverse("move_finetune", args=[runs[2].public_id]))
    client.post(reverse("move_finetune", args=[runs[1].public_id]))

    page = client.get(reverse("finetunes"))
    assert [run.pk for run in page.context_data["line"]] == [runs[1].pk, runs[2].pk, runs[0].pk]
    assert not page.context_data["runs"]


def test_one_person_has_no_more_runs_in_the_queue_than_the_installation_allows(
    client, maintainer, finnish, worker_listens, hf, settings
):
    settings.FINETUNES_PER_PERSON = 1
    SeedPair.objects.create(language=finnish, sha256="0" * 64, **VERIFIED)
    stopped = make_finetune("fi", state=JobState.STOPPED)
    client.force_login(maintainer)

    first = client.post(reverse("finetunes"), start_data())
    again = client.post(reverse("finetunes"), start_data())
    second = client.post(reverse("finetunes"), start_data(epochs="2"))
    continued = client.post(reverse("continue_finetune", args=[stopped.public_id]))

    assert (first.status_code, again.status_code) == (302, 302)  # the same recipe is the same run
    assert (second.status_code, continued.status_code) == (409, 409)
    assert "nobody may have more than 1 at once" in second.content.decode()
    assert FineTuneRun.objects.unfinished().count() == 1


def test_the_list_of_finetunes_needs_few_queries_however_many(
    client, maintainer, finnish, django_assert_max_num_queries
):
    for _ in range(15):
        make_model_version(fine_tune_run=make_finetune("fi"))
    client.force_login(maintainer)

    with django_assert_max_num_queries(12):
        client.get(reverse("finetunes"))


# Charts and admin


def test_a_chart_needs_two_finite_points_and_keeps_the_last_one():
    assert line_chart([(1, 2.0)]) is None
    assert line_chart([(1, 2.0), (2, float("nan"))]) is None

    chart = line_chart([(step, 5 - step / 1000) for step in range(1, 2001)], x_max=4000)

    assert len(chart.line.split()) <= 402
    assert chart.line.split()[-1] == f"{chart.last_x},{chart.last_y}"
    assert float(chart.last_x) == pytest.approx((52 + 620) / 2, abs=1)
    assert chart.last_label == "3.000"


def test_ticks_are_round_and_cover_the_values():
    assert nice_ticks(0, 9.3) == [0, 2, 4, 6, 8, 10]
    assert nice_ticks(0, 0.03) == [0, 0.01, 0.02, 0.03]
    assert nice_ticks(0, 0) == [0]


def test_the_admin_lists_everything_and_changes_nothing_immutable(admin_client, finnish):
    candidate = make_candidate(make_text(finnish))
    score = candidate.scores.create(evaluator=candidate.run.model_version, raw=-1)
    release = Release.objects.create(name="fi-1")
    row = release.rows.create(
        position=0, pair_public_id="p", language_code="fi", text_sha256="0", row={}, row_sha256="0"
    )
    Release.objects.update(state=ReleaseState.READY, sha256="0" * 64)
    make_finetune("fi")

    for model in (
        "import", "upload", "text", "modelversion", "run", "candidate", "score", "round", "seedpair", "release",
        "releaserow", "finetunerun",
    ):  # fmt: skip
        assert admin_client.get(reverse(f"admin:generation_{model}_changelist")).status_code == 200, model
    for thing in (score, release, row):
        name = thing._meta.model_name
        page = admin_client.get(reverse(f"admin:generation_{name}_change", args=[thing.pk]))
        assert page.status_code == 200
        assert b'name="_save"' not in page.content
        assert admin_client.post(reverse(f"admin:generation_{name}_change", args=[thing.pk]), {}).status_code == 403


def test_other_languages_stay_out_of_the_filters(client, keeper, urdu):
    make_text(make_language("sw"))
    make_text(urdu)
    client.force_login(keeper)

    form = client.get(reverse("texts")).context_data["form"]

    assert [language.code for language in form.fields["language"].queryset] == ["fi"]
    assert [value for value, _ in form.fields["source"].widget.choices] == [""]


def test_a_mix_of_styles_seed_and_budget_reach_the_run(client, maintainer, finnish, worker_listens, settings):
    make_text(finnish)
    client.force_login(maintainer)
    with endpoint.serving() as server:
        settings.BACKEND, settings.MODEL, settings.ENDPOINT = "openai", "small-chat", server.url
        asked = {"language": "fi", "samples": 2, "styles": "question=3 search=1", "seed": 7, "token_budget": 5000}
        response = client.post(reverse("runs"), asked)

    run = Run.objects.get()
    assert response.status_code == 302
    assert run.asking["styles"] == {"question": 3.0, "search": 1.0}
    assert (run.seed, run.token_budget) == (7, 5000)


def test_a_mix_that_cannot_be_is_refused(client, maintainer, finnish, worker_listens):
    make_text(finnish)
    client.force_login(maintainer)
    asked = {"language": "fi", "samples": 1}

    page = client.post(reverse("runs"), asked | {"styles": "poem=3"})
    assert page.status_code == 422
    assert "no share of a style" in page.content.decode()
    page = client.post(reverse("runs"), asked | {"styles": "question=3"})
    assert page.status_code == 409
    assert "knows no styles" in page.content.decode()
    assert client.post(reverse("runs"), asked | {"prompt": "nonsense"}).status_code == 422
    assert not Run.objects.exists()
