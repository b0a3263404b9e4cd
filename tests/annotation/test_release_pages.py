"""The pages of releases: who may build, see and take them away, and what the downloads are."""

import io
import json
import os
import re
import tracemalloc
import zipfile

import django_rq
import pytest
from django.urls import reverse
from rq import Worker

from annotation import exports, jobs
from annotation.documents import DOCUMENTS
from annotation.models import Item, Pair, PairState
from annotation.views import release_files
from generation import queueing
from generation.models import Release, ReleaseState, Round
from tests.factories import make_candidate, make_text, make_user
from xinstruct_site.people.models import Role

HTMX = {"HX-Request": "true"}


@pytest.fixture
def worker_listens(queue_is_empty):
    """A worker's own registration in Redis, as rq writes it when one starts."""
    queue = django_rq.get_queue("cpu")
    worker = Worker([queue], connection=queue.connection, name="tests-worker")
    worker.register_birth()
    return worker


@pytest.fixture
def keeper(finnish):
    """Maintains Finnish and nothing else."""
    return make_user("keeper@example.org", finnish, role=Role.MAINTAINER)


def make_pair(language, **fields) -> Pair:
    text = make_text(language)
    candidate = make_candidate(text)
    round_, _ = Round.objects.get_or_create(language=language, number=1)
    item = Item.objects.create(
        language=language, text=text, round=round_, overlap=1, quorum=1, policy_version=1, state="accepted"
    )
    return Pair.objects.create(
        item=item,
        state=PairState.ACCEPTED,
        instruction=candidate.instruction,
        candidate=candidate,
        policy_version=1,
        **fields,
    )


@pytest.fixture
def built(finnish, maintainer, worker_listens, client):
    """A ready release of two Finnish pairs, built as from the page."""
    make_pair(finnish)
    make_pair(finnish)
    client.force_login(maintainer)
    client.post(reverse("releases"), {"name": "fi-1", "languages": ["fi"]})
    release = Release.objects.get()
    jobs.build_release(release.pk)
    release.refresh_from_db()
    return release


def addresses(release: Release) -> list[str]:
    return [
        reverse("release", args=[release.public_id]),
        reverse("download_release", args=[release.public_id, "alpaca"]),
        reverse("download_manifest", args=[release.public_id]),
        reverse("release_document", args=[release.public_id, "README.md"]),
    ]


def test_releases_are_for_maintainers_only(client, built, stranger, aino):
    client.logout()
    for address in [reverse("releases"), *addresses(built)]:
        assert client.get(address).url.startswith(reverse("account_login"))
    for person in (stranger, aino):
        client.force_login(person)
        for address in [reverse("releases"), *addresses(built)]:
            assert client.get(address).status_code == 403


def test_a_release_with_another_language_does_not_exist_for_a_maintainer_of_one(client, built, finnish, urdu):
    keeper_of_urdu = make_user("urdu@example.org", urdu, role=Role.MAINTAINER)
    keeper_of_finnish = make_user("fi@example.org", finnish, role=Role.MAINTAINER)
    client.force_login(keeper_of_finnish)
    assert [client.get(address).status_code for address in addresses(built)] == [200] * 4

    client.force_login(keeper_of_urdu)
    assert [client.get(address).status_code for address in addresses(built)] == [404] * 4
    assert not client.get(reverse("releases")).context_data["releases"]
    response = client.post(reverse("releases"), {"name": "mine", "languages": ["fi"]})
    assert response.status_code == 422
    assert Release.objects.count() == 1


def test_a_failed_release_of_others_is_not_taken_over_by_its_name(client, keeper, finnish, urdu, worker_listens):
    make_pair(finnish)
    others = Release.objects.create(name="spring", state=ReleaseState.FAILED)
    others.languages.set([urdu])
    client.force_login(keeper)

    response = client.post(reverse("releases"), {"name": "spring", "languages": ["fi"]})

    assert response.status_code == 409
    assert list(others.languages.all()) == [urdu]


def test_building_pressed_twice_is_one_release_and_one_job(
    client, maintainer, finnish, worker_listens, django_capture_on_commit_callbacks
):
    make_pair(finnish)
    client.force_login(maintainer)

    responses = []
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            responses.append(client.post(reverse("releases"), {"name": "fi-1", "languages": ["fi"]}))

    release = Release.objects.get()
    assert [response.url for response in responses] == [reverse("release", args=[release.public_id])] * 2
    assert django_rq.get_queue(jobs.QUEUE).job_ids == [queueing.job_id(release)]


def test_building_a_ready_release_again_leads_to_it(client, built):
    response = client.post(reverse("releases"), {"name": "fi-1", "languages": ["fi"]})

    assert response.url == reverse("release", args=[built.public_id])
    assert Release.objects.get().sha256 == built.sha256


def test_without_a_worker_no_release_is_opened(client, maintainer, finnish, queue_is_empty):
    make_pair(finnish)
    client.force_login(maintainer)

    response = client.post(reverse("releases"), {"name": "fi-1", "languages": ["fi"]})

    assert response.status_code == 409
    assert "worker" in response.context_data["refusal"]
    assert not Release.objects.exists()


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "fi 1", "ä", "x" * 101, "a\0b", ""])
def test_a_name_that_cannot_be_a_files_is_refused(client, maintainer, finnish, worker_listens, name):
    make_pair(finnish)
    client.force_login(maintainer)

    response = client.post(reverse("releases"), {"name": name, "languages": ["fi"]})

    assert response.status_code in {409, 422}
    assert not Release.objects.exists()


def test_the_list_without_pairs_says_what_comes_first(client, maintainer, finnish):
    client.force_login(maintainer)

    assert "Nothing to release yet" in client.get(reverse("releases")).content.decode()


def test_the_page_polls_until_the_release_is_ready(client, maintainer, finnish, worker_listens):
    pair = make_pair(finnish)
    client.force_login(maintainer)
    client.post(reverse("releases"), {"name": "fi-1", "languages": ["fi"]})
    release = Release.objects.get()
    address = reverse("release", args=[release.public_id])

    building = client.get(address, headers=HTMX).content.decode()
    jobs.build_release(release.pk)
    ready = client.get(address, headers=HTMX).content.decode()

    assert "hx-trigger" in building
    assert "<html" not in building
    assert "hx-trigger" not in ready
    assert pair.instruction in ready
    assert re.search(r'lang="fi"\s+dir="ltr"', ready)
    assert Release.objects.get().sha256 in ready
    assert f"{reverse('finetunes')}?release={release.public_id}" in ready


def test_a_release_that_failed_says_why(client, maintainer, finnish, worker_listens):
    make_pair(finnish)
    client.force_login(maintainer)
    client.post(reverse("releases"), {"name": "fi-1", "languages": ["fi"]})
    Pair.objects.update(state=PairState.EXCLUDED)
    release = Release.objects.get()

    jobs.build_release(release.pk)

    content = client.get(reverse("release", args=[release.public_id])).content.decode()
    assert "There are no accepted pairs in Finnish yet." in content
    assert "hx-trigger" not in content


@pytest.mark.parametrize("format", ["alpaca", "messages", "prompt-completion"])
def test_a_download_is_an_attachment_with_every_row(client, built, settings, format):
    response = client.get(reverse("download_release", args=[built.public_id, format]))
    lines = b"".join(response.streaming_content).splitlines()

    assert response.headers["Content-Disposition"] == f'attachment; filename="fi-1.{format}.jsonl"'
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert len([json.loads(line) for line in lines]) == 2
    assert (settings.DATA_DIR / "exports" / built.public_id / f"fi-1.{format}.jsonl").is_file()


def test_the_manifest_names_the_files_asked_for_so_far(client, built):
    client.get(reverse("download_release", args=[built.public_id, "alpaca"]))
    response = client.get(reverse("download_manifest", args=[built.public_id]))
    manifest = json.loads(b"".join(response.streaming_content))

    assert response.headers["Content-Disposition"] == 'attachment; filename="fi-1.manifest.json"'
    assert manifest["sha256"] == built.sha256
    assert set(manifest["files"]) == {"fi-1.rows.jsonl", "fi-1.alpaca.jsonl"}


def test_a_format_of_several_files_is_an_archive_with_documents(client, built):
    address = reverse("download_release", args=[built.public_id, "xinstruction"])
    response = client.get(address)
    packed = b"".join(response.streaming_content)

    assert response.headers["Content-Disposition"] == 'attachment; filename="fi-1.xinstruction.zip"'
    assert (response.headers["Content-Type"], response.headers["Content-Length"]) == (
        "application/zip",
        f"{len(packed)}",
    )
    folder = exports.prepared_folder(built)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["fi.json", *DOCUMENTS, "manifest.json"]
        for name in archive.namelist():
            assert archive.read(name) == (folder / name).read_bytes()
    assert not list(folder.glob("*.zip")), "nothing is written for it"


def test_an_archive_is_of_one_moment_and_is_never_whole_in_memory(client, built, settings):
    address = reverse("download_release", args=[built.public_id, "xinstruction"])
    list(client.get(address).streaming_content)
    folder = exports.prepared_folder(built)
    before = (folder / "manifest.json").read_bytes()
    (folder / "fi.json").write_bytes(large := os.urandom(20 * exports.WRITE_BYTES))

    response = client.get(address)
    client.get(reverse("download_release", args=[built.public_id, "alpaca"]))  # another manifest, meanwhile
    tracemalloc.start()
    size = sum(len(chunk) for chunk in response.streaming_content)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 4 * exports.WRITE_BYTES
    assert size == int(response.headers["Content-Length"]) > len(large)
    assert (folder / "manifest.json").read_bytes() != before


def test_a_tag_has_files_of_its_own(client, built):
    address = reverse("download_release", args=[built.public_id, "messages"])

    usual, styled, none = (
        b"".join(client.get(f"{address}?tag={tag}" if tag else address).streaming_content).decode()
        for tag in ("", "assistant", "none")
    )

    assert usual.count("Answer in Finnish.") == 2
    assert styled.count("Answer in Finnish and the style of an AI assistant.") == 2
    assert "Answer in" not in none
    assert client.get(f"{address}?tag=loud").status_code == 404


def test_what_lies_there_is_not_written_again(client, built, monkeypatch):
    address = reverse("download_release", args=[built.public_id, "alpaca"])
    first = b"".join(client.get(address).streaming_content)
    monkeypatch.setattr(exports, "export_release", None)

    assert b"".join(client.get(address).streaming_content) == first


def test_a_large_release_is_written_by_a_worker(client, built, monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr(release_files, "ROWS_AT_ONCE", 1)
    address = reverse("download_release", args=[built.public_id, "alpaca"])

    responses = []
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            responses.append(client.get(address, follow=True))

    assert all("A worker writes these files" in response.content.decode() for response in responses)
    (name,) = django_rq.get_queue(jobs.QUEUE).job_ids
    assert name == f"export-{built.pk}-alpaca-"
    jobs.export_release(built.pk, "alpaca")
    assert client.get(address).status_code == 200


@pytest.mark.parametrize("asked", ["", "?tag=language"])
def test_a_withdrawn_release_is_not_handed_out_though_its_files_lie_there(client, built, asked):
    address = reverse("download_release", args=[built.public_id, "alpaca"]) + asked
    assert client.get(address).status_code == 200

    built.withdraw("because")

    assert "cannot be exported" in client.get(address, follow=True).content.decode()


def test_the_page_says_what_a_format_drops_and_leads_to_the_documents(client, built):
    page = client.get(reverse("release", args=[built.public_id])).content.decode()

    assert "Holds everything, and can be taken in again" in page
    assert re.search(r"Leaves out \d+ columns", page)
    assert "?tag=assistant" in page
    assert reverse("release_document", args=[built.public_id, "README.md"]) in page


@pytest.mark.parametrize(
    ("name", "words"),
    [("README.md", "<h2"), ("DATA_STATEMENT.md", "Executive summary"), ("croissant.json", "rai:dataBiases")],
)
def test_documents_can_be_read_on_a_page_and_taken_away(client, built, name, words):
    address = reverse("release_document", args=[built.public_id, name])
    page, file = client.get(address), client.get(f"{address}?file")

    assert words in page.content.decode()
    assert "2 rows in Finnish" in page.content.decode()
    assert file.headers["Content-Disposition"] == f'attachment; filename="fi-1.{name}"'
    assert client.get(reverse("release_document", args=[built.public_id, "passwd"])).status_code == 404


def test_only_formats_of_the_table_can_be_asked_for(client, built, settings):
    base = reverse("release", args=[built.public_id])

    for wrong in ("exe/", "..%2f..%2fetc%2fpasswd/", "alpaca.jsonl/"):
        assert client.get(base + wrong).status_code == 404
    assert not (settings.DATA_DIR / "exports").exists()


def test_an_unfinished_release_is_not_downloaded_but_explained(client, maintainer, finnish):
    release = Release.objects.create(name="fi-2")
    release.languages.set([finnish])
    client.force_login(maintainer)

    for address in addresses(release)[1:]:
        response = client.get(address, follow=True)
        assert "cannot be exported" in response.content.decode()


def test_the_pages_need_few_queries_however_many_rows(
    client, maintainer, finnish, worker_listens, django_assert_max_num_queries
):
    for _ in range(30):
        make_pair(finnish)
    client.force_login(maintainer)
    client.post(reverse("releases"), {"name": "fi-1", "languages": ["fi"]})
    release = Release.objects.get()
    jobs.build_release(release.pk)
    for number in range(20):
        Release.objects.create(name=f"other-{number}").languages.set([finnish])

    with django_assert_max_num_queries(12):
        client.get(reverse("releases"))
    with django_assert_max_num_queries(12):
        response = client.get(reverse("release", args=[release.public_id]))
    assert len(response.context_data["rows"]) == 20
