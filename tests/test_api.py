"""The API: every operation by role, tokens, and the errors that a program has to understand."""

import io
import json

import hypothesis
import pytest
import schemathesis
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from django.utils import timezone
from schemathesis.checks import not_a_server_error

from annotation.models import Pair
from generation import uploads
from generation.models import ModelVersion, Release, Upload
from tests.factories import make_items, make_language, make_model_version, make_user
from tests.generation.test_ingest import as_lines, numbered
from xinstruct_site.api import api
from xinstruct_site.people.models import ApiToken, Event, EventKind, Role, User

MAINTAINERS = {"maintainer of it", "maintainer of all"}
# operation → who may; None: everybody with a token
TABLE: dict[str, set[str] | None] = {
    "languages": None,
    "releases": {*MAINTAINERS, "maintainer elsewhere"},
    "release": MAINTAINERS,
    "release_files": MAINTAINERS,
    "send_texts": MAINTAINERS,
    "uploads": {*MAINTAINERS, "maintainer elsewhere"},
    "upload": MAINTAINERS,
    "rejected_rows": MAINTAINERS,
    "models": {*MAINTAINERS, "maintainer elsewhere"},
    "runs": {*MAINTAINERS, "maintainer elsewhere"},
    "finetunes": {*MAINTAINERS, "maintainer elsewhere"},
}


@pytest.fixture
def people(finnish, urdu):
    return {
        "annotator": make_user(None, finnish),
        "linguist": make_user(None, finnish, role=Role.LINGUIST),
        "maintainer of it": make_user(None, finnish, role=Role.MAINTAINER),
        "maintainer elsewhere": make_user(None, urdu, role=Role.MAINTAINER),
        "maintainer of all": make_user(None, None, role=Role.MAINTAINER),
    }


def bearer(user, *, may_write: bool = True) -> dict[str, str]:
    return {"Authorization": f"Bearer {ApiToken.issue(user, 'a test', may_write=may_write)[1]}"}


def described() -> dict[str, tuple[str, str]]:
    """By operation, its verb and address, from the description that programs read."""
    paths = api.get_openapi_schema()["paths"]
    return {about["operationId"]: (verb, path) for path, verbs in paths.items() for verb, about in verbs.items()}


@pytest.fixture
def release(finnish):
    release = Release.objects.create(name="fi-1", sha256="")
    release.languages.add(finnish)
    return release


@pytest.fixture
def upload(finnish, maintainer):
    file = SimpleUploadedFile("texts.jsonl", b"{}")
    return uploads.receive(file, language=finnish, source="s", licence_id="CC0-1.0", sent_by=maintainer)


def test_every_operation_has_its_row_and_answers_by_role(people, release, upload):
    assert described().keys() == TABLE.keys()
    wrong = []
    for operation, (verb, path) in described().items():
        address = path.format(public_id=upload.public_id if "upload" in path else release.public_id, format="rows")
        assert Client().generic(verb.upper(), address).status_code == 401
        for role, user in people.items():
            body = {"language": "fi", "source": "s", "licence": "l", "file": io.BytesIO(b"x")} if verb == "post" else {}
            status = getattr(Client(), verb)(address, body, headers=bearer(user)).status_code
            allowed = TABLE[operation] is None or role in (TABLE[operation] or ())
            refused = status in {403, 404} if operation != "rejected_rows" else status == 403 or not allowed
            if operation == "send_texts" and role == "maintainer elsewhere":
                refused = status == 422  # their form does not know the language
            if refused == allowed:
                wrong.append((operation, role, status))

    assert not wrong


def test_lists_hold_ones_own_languages_only(people, release, upload):
    for operation in ("releases", "uploads", "runs", "finetunes"):
        assert Client().get(described()[operation][1], headers=bearer(people["maintainer elsewhere"])).json() == []
    seen = {
        role: [language["code"] for language in Client().get("/api/v1/languages", headers=bearer(user)).json()]
        for role, user in people.items()
    }
    assert seen["annotator"] == seen["maintainer of it"] == ["fi"]
    assert seen["maintainer elsewhere"] == ["ur"]
    assert seen["maintainer of all"] == ["fi", "ur"]


def test_a_token_ends_with_its_revocation_its_person_and_its_rights(client, maintainer):
    token, secret = ApiToken.issue(maintainer, "laptop", may_write=False)
    headers = {"Authorization": f"Bearer {secret}"}
    fields = {"language": "fi", "source": "s", "licence": "l", "file": io.BytesIO(b"x")}

    assert client.get("/api/v1/models", headers=headers).status_code == 200
    assert client.post("/api/v1/uploads", fields, headers=headers).status_code == 403
    token.refresh_from_db()
    assert token.used_on == timezone.localdate()
    assert secret not in json.dumps(list(ApiToken.objects.values()), default=str)

    maintainer.is_active = False
    maintainer.save()
    assert client.get("/api/v1/models", headers=headers).status_code == 401
    maintainer.is_active = True
    maintainer.save()
    token.revoke()
    assert client.get("/api/v1/models", headers=headers).status_code == 401


def test_a_session_opens_no_api(client, maintainer):
    client.force_login(maintainer)

    assert client.get("/api/v1/models").status_code == 401


def test_a_person_makes_reads_once_and_revokes_a_token(client, aino, stranger):
    client.force_login(aino)
    page = client.post("/account/tokens/", {"name": "<b>yöajo</b>", "may_write": "on"})
    token = aino.api_tokens.get()
    secret = page.context["secret"]

    assert secret in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert secret not in client.get("/account/tokens/").content.decode()
    assert client.post("/account/tokens/", {"name": ""}).status_code == 422
    assert ApiToken.of(secret) == token

    other = Client()
    other.force_login(stranger)
    assert other.post(f"/account/tokens/{token.pk}/revoke/").status_code == 404
    assert client.post(f"/account/tokens/{token.pk}/revoke/").status_code == 302
    assert ApiToken.of(secret) is None
    kinds = Event.objects.filter(actor=aino).values_list("kind", flat=True)
    assert {EventKind.TOKEN_MADE, EventKind.TOKEN_REVOKED} <= set(kinds)


def test_texts_that_are_sent_are_imported_and_reported(client, finnish, maintainer, monkeypatch, queue_is_empty):
    monkeypatch.setattr("generation.queueing.live_workers", lambda queue=None: ["one"])
    file = SimpleUploadedFile("texts.jsonl", as_lines(numbered(1), numbered(2), {"text": ""}))
    fields = {"language": "fi", "source": "tests", "licence": "CC0-1.0", "file": file}

    sent = client.post("/api/v1/uploads", fields, headers=bearer(maintainer))
    uploads.import_upload(Upload.objects.get())
    told = client.get(f"/api/v1/uploads/{sent.json()['id']}", headers=bearer(maintainer)).json()
    rejected = client.get(f"/api/v1/uploads/{sent.json()['id']}/rejected", headers=bearer(maintainer))

    assert (sent.status_code, sent.json()["state"]) == (201, "queued")
    assert (told["state"], told["language"], told["rows_read"]) == ("done", "fi", 3)
    assert told["counts"]["stored"] == finnish.texts.count() == 2
    assert rejected.status_code == 200
    assert len(b"".join(rejected.streaming_content).splitlines()) == 1


def test_bad_texts_are_refused_by_field(client, finnish, maintainer):
    file = SimpleUploadedFile("texts.exe", b"MZ")
    fields = {"language": "xx", "source": "", "licence": "CC0-1.0", "file": file}

    answer = client.post("/api/v1/uploads", fields, headers=bearer(maintainer))

    assert answer.status_code == 422
    assert {tuple(each["loc"]) for each in answer.json()["detail"]} == {
        ("form", "language"), ("form", "source"), ("form", "file"),
    }  # fmt: skip


def test_lists_go_on_after_a_row(client, maintainer):
    for n in range(3):
        make_model_version(name=f"model {n}")
    headers = bearer(maintainer)
    newest = list(ModelVersion.objects.order_by("-pk").values_list("public_id", flat=True))

    first = client.get("/api/v1/models?limit=2", headers=headers).json()
    rest = client.get(f"/api/v1/models?limit=2&after={first[-1]['id']}", headers=headers).json()

    assert [row["id"] for row in [*first, *rest]] == newest
    for query in (
        "after=nothing",
        "after=%00",
        "limit=0",
        "limit=x",
        "limit=99999999999999999999",
        "after=" + "x" * 41,
    ):
        assert client.get(f"/api/v1/models?{query}", headers=headers).status_code in {404, 422}, query


def test_languages_tell_the_numbers_of_the_pages(client, finnish, aino):
    make_items(finnish, 2)

    [told] = client.get("/api/v1/languages", headers=bearer(aino)).json()

    assert told["stages"]["waiting"] == 2
    assert told["stages"]["accepted"] == Pair.objects.count() == 0
    assert told["own_name"] == make_language("fi").own_name


def test_the_description_is_a_page_without_foreign_scripts(client):
    page = client.get("/api/v1/docs")
    described = client.get("/api/v1/openapi.json").json()

    assert page.status_code == 200
    assert b"https://" not in page.content
    assert b"<script>" not in page.content
    assert described["openapi"].startswith("3.")


schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())


@pytest.fixture
def one_connection(db):
    """Without Django's closing of connections between requests, which would end the test's transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@schema.parametrize()
@hypothesis.settings(max_examples=10, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_no_input_breaks_it(case, one_connection):
    """As somebody who may do everything, with what is described and with what is not."""
    user = User.objects.filter(email="everything@example.org").first()
    user = user or make_user("everything@example.org", None, role=Role.MAINTAINER)

    response = case.call(headers=bearer(user))

    case.validate_response(response, checks=[not_a_server_error])
