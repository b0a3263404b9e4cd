"""The contributor agreement stands once in front of the work, in every version."""

import pytest
from django.urls import reverse

from tests.factories import make_user
from xinstruct_site.management.commands import doctor
from xinstruct_site.people import agreements
from xinstruct_site.people.markdown import render
from xinstruct_site.people.models import Acceptance, ContributorAgreement, Event, EventKind

pytestmark = pytest.mark.django_db


@pytest.fixture
def newcomer(finnish):
    return make_user("newcomer@example.org", finnish, agreed=False)


def test_review_waits_for_the_agreement_and_comes_back_after(client, newcomer):
    client.force_login(newcomer)

    gate = client.get(reverse("review", args=["fi"]))
    page = client.get(gate.url)
    accepted = client.post(reverse("agreement"), {"version": "1", "next": "/review/fi/"})

    assert gate.url == "/account/agreement/?next=%2Freview%2Ffi%2F"
    assert "CC0" in page.content.decode()
    assert accepted.url == "/review/fi/"
    assert client.get("/review/fi/").status_code == 200


def test_gate_holds_for_htmx_as_a_whole_page(client, newcomer):
    client.force_login(newcomer)

    response = client.get("/review/fi/", headers={"HX-Request": "true"})

    assert response.headers["HX-Redirect"].startswith("/account/agreement/")


def test_accepting_twice_is_accepting_once(client, newcomer):
    client.force_login(newcomer)

    for _ in range(2):
        client.post(reverse("agreement"), {"version": "1"})

    assert Acceptance.objects.filter(user=newcomer).count() == 1


def test_new_version_is_asked_for_anew(client, aino):
    client.force_login(aino)
    assert client.get("/review/fi/").status_code == 200

    ContributorAgreement.objects.create(version=2, body="More.")

    assert client.get("/review/fi/").url.startswith("/account/agreement/")


def test_nobody_accepts_a_text_they_have_not_seen(client, newcomer):
    client.force_login(newcomer)
    client.get(reverse("agreement"))
    ContributorAgreement.objects.create(version=2, body="More.")

    response = client.post(reverse("agreement"), {"version": "1"})

    assert response.status_code == 200
    assert "has changed" in response.content.decode()
    assert not Acceptance.objects.filter(user=newcomer).exists()


def test_anonymous_is_sent_to_sign_in(client):
    assert client.get(reverse("agreement")).url.startswith(reverse("account_login"))


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>)",
        "<svg><a xlink:href='javascript:x'>",
        '<b hx-get="/x" hx-trigger="load">',
        "![x](https://evil.example/pixel.png)",
        "<math><mtext></mtext><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    ],
)
def test_markdown_lets_nothing_active_through(hostile):
    from html.parser import HTMLParser

    seen: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.append((tag, dict(attrs)))

    Reader().feed(render(hostile))

    assert {tag for tag, _ in seen} <= {"p", "a"}
    assert all(set(attributes) <= {"href", "title", "rel"} for _, attributes in seen)
    assert not any((attributes.get("href") or "").startswith(("javascript:", "data:")) for _, attributes in seen)


def test_markdown_keeps_what_guidelines_need():
    html = render("# Title\n\n- one\n\n[page](https://example.org)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")

    assert '<h1 id="rule-title">Title</h1>' in html
    assert "<li>" in html
    assert "<table>" in html
    assert 'rel="noopener nofollow"' in html


# A newer text of ours


def test_the_hash_of_our_text_is_the_last_in_the_list():
    assert agreements.digest(agreements.our_text()) == agreements.OURS_SHA256[-1], "add the hash of the changed text"


def test_who_maintains_all_is_told_of_a_newer_text_and_publishes_it(client, aino, maintainer, monkeypatch):
    old = agreements.current_agreement()
    agreements.accept(aino, old)
    address = reverse("newer_agreement")
    client.force_login(maintainer)
    assert address not in client.get("/").content.decode()
    assert "none" in client.get(address).content.decode()
    assert client.post(address).status_code == 302  # and nothing happens
    monkeypatch.setattr(agreements, "OURS_SHA256", (agreements.digest(old.body), "of the newer text"))
    monkeypatch.setattr(agreements, "our_text", lambda: "# Newer")

    assert address in client.get("/").content.decode()
    assert doctor.agreement().status == doctor.WARNING
    assert "Newer</h1>" in client.get(address).content.decode()
    for _twice in range(2):
        client.post(address)

    newest = ContributorAgreement.current()
    assert (newest.version, newest.body, newest.licence_id) == (2, "# Newer", old.licence_id)
    assert ContributorAgreement.objects.count() == 2
    assert Event.objects.get(kind=EventKind.AGREEMENT_PUBLISHED).actor == maintainer
    assert not agreements.newest_if_accepted(aino)
    assert address not in client.get("/").content.decode()
    assert doctor.agreement().status == doctor.GOOD


def test_a_house_with_a_text_of_its_own_is_left_alone(client, maintainer):
    agreements.current_agreement()
    ContributorAgreement.objects.create(version=2, body="# Our own")

    assert not agreements.has_newer()
    assert agreements.publish_ours(maintainer) is None
