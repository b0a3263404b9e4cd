"""Guidelines: versions, who may write them, who is told, and the way from the card to the rule that matters."""

import re

import pytest
from django.template import Context, Template
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from annotation import queues, reviewing
from tests.factories import accepting, make_items, make_user
from xinstruct_site.people import guidelines, markdown
from xinstruct_site.people.models import Event, EventKind, GuidelinesSeen, GuidelinesVersion, Role

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
HEADERS = pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
HOSTILE = '# Hi\n\n<script>alert(1)</script><img src=x onerror=alert(1)> [x](javascript:alert(1)) ## {#"><b>}'


@pytest.fixture
def linguist(finnish):
    return make_user("linguist@example.org", finnish, role=Role.LINGUIST)


@pytest.fixture
def writing(client, linguist):
    client.force_login(linguist)
    return client


def publish(language, author, body: str = "## Liput {#flags}\n\nOle tarkka.", **fields):
    language.refresh_from_db()
    return guidelines.publish(
        language, **{"body": body, "author": author, "based_on": language.guidelines_version, **fields}
    )


def send(client, body: str, *, based_on: int = 1, **fields):
    return client.post("/languages/fi/guidelines/edit/", {"body": body, "based_on": based_on, **fields})


# Versions


def test_publishing_keeps_what_stood_before_and_who_changed_it(writing, finnish, linguist):
    finnish.guidelines = "Ensin."
    finnish.save()

    response = send(writing, "Sitten.\r\nLisää.", note="Toinen rivi.")

    finnish.refresh_from_db()
    assert response.url == "/languages/fi/guidelines/"
    assert (finnish.guidelines, finnish.guidelines_version) == ("Sitten.\nLisää.", 2)
    versions = list(finnish.guidelines_versions.values_list("version", "body", "author", "note"))
    assert versions == [(2, "Sitten.\nLisää.", linguist.pk, "Toinen rivi."), (1, "Ensin.", None, "")]
    assert Event.objects.get(kind=EventKind.GUIDELINES_CHANGED).data == {"version": 2}


def test_version_page_shows_what_changed_and_what_it_says(writing, finnish, linguist):
    publish(finnish, linguist, "Ota kala.")
    publish(finnish, linguist, "Ota marja.", note="Kalasta marjaksi.")

    page = writing.get("/languages/fi/guidelines/3/").content.decode()
    history = writing.get("/languages/fi/guidelines/history/").content.decode()

    assert "<del>kala</del><ins>marja</ins>" in page
    assert "<p>Ota marja.</p>" in page
    assert "Kalasta marjaksi." in history
    assert history.index("Version 3") < history.index("Version 2") < history.index("Version 1")
    assert writing.get("/languages/fi/guidelines/9/").status_code == 404


def test_second_author_keeps_their_text_and_sees_the_difference(writing, finnish, linguist, maintainer):
    publish(finnish, maintainer, "Ota kala.")

    response = send(writing, "Ota marja.", based_on=1)

    page = response.content.decode()
    assert response.status_code == 409
    assert "Ota marja.</textarea>" in page
    assert "<del>kala</del><ins>marja</ins>" in page
    assert re.search(r'name="based_on"\s+value="2"', page)
    finnish.refresh_from_db()
    assert finnish.guidelines == "Ota kala."
    assert send(writing, "Ota marja.", based_on=2).status_code == 302


def test_publishing_what_stands_makes_no_version(writing, finnish, linguist):
    publish(finnish, linguist, "Sama.")

    send(writing, "Sama.", based_on=2)

    finnish.refresh_from_db()
    assert finnish.guidelines_version == 2


def test_old_version_can_be_taken_up_again(writing, finnish, linguist):
    publish(finnish, linguist, "Vanha.")
    publish(finnish, linguist, "Uusi.")

    page = writing.get("/languages/fi/guidelines/edit/?from=2").content.decode()

    assert "Vanha.</textarea>" in page
    assert 'value="3"' in page
    assert writing.get("/languages/fi/guidelines/edit/?from=99").status_code == 404
    assert writing.get("/languages/fi/guidelines/edit/?from=²").status_code == 200


def test_review_says_under_which_version_it_was_made(finnish, aino, linguist):
    item = make_items(finnish)[0]
    queues.claim_next(aino, finnish)
    publish(finnish, linguist)

    assert reviewing.submit(aino, item, accepting()).review.guidelines_version == 2


@pytest.mark.parametrize(
    "data",
    [
        {"body": "x\0y", "based_on": 1},
        {"body": "x" * 40_001, "based_on": 1},
        {"body": "x", "based_on": "one"},
        {"body": "x"},
        {"body": "x", "based_on": 1, "written_in": "tlh"},
        {"body": "x", "based_on": 1, "note": "n" * 301},
    ],
    ids=["nul", "long", "word", "missing", "language", "note"],
)
def test_what_cannot_be_published_is_refused_and_comes_back(writing, finnish, data):
    response = writing.post("/languages/fi/guidelines/edit/", data)

    assert response.status_code == 422
    assert not GuidelinesVersion.objects.exists()


# Preview and safety


@HEADERS
def test_preview_shows_clean_html_and_publishes_nothing(writing, finnish, headers):
    response = writing.post(
        "/languages/fi/guidelines/edit/",
        {"body": HOSTILE + "\n\n**tärkeää**", "based_on": 1, "preview": "1"},
        headers=headers,
    )

    page = response.content.decode()
    assert response.status_code == 200
    assert "<strong>tärkeää</strong>" in page
    assert "<script>alert" not in page
    assert "<img" not in page
    assert not re.search(r"""(href|src)=["']?javascript:""", page)
    assert ("<html" in page) == (not headers)
    assert not GuidelinesVersion.objects.exists()


def test_every_page_of_the_guidelines_is_safe_from_what_they_say(writing, finnish, linguist):
    publish(finnish, linguist, HOSTILE, note="<script>alert(2)</script>")

    for name in ("", "edit/", "history/", "2/"):
        page = writing.get(f"/languages/fi/guidelines/{name}").content.decode()
        assert "<script>alert" not in page
        assert "onerror=alert(1)>" not in page.replace("onerror=alert(1)&gt;", "")


@given(st.text(max_size=300))
def test_anchors_hold_no_sign_that_ends_an_attribute(source):
    html = markdown.render(f"# {source}\n")

    for name in markdown.anchors(f"# {source}\n"):
        assert re.fullmatch(r"rule-[^\s\"'<>&=`]+", name)
        assert f'id="{name}"' in html


def test_heading_names_its_rule_in_english_or_in_braces():
    source = "## Flags\n\n### machine_translated\n\n### Valikot *pois* {#boilerplate}\n\n## Flags\n\n##### small\n"

    html = markdown.render(source)

    assert markdown.anchors(source) == {"rule-flags", "rule-machine-translated", "rule-boilerplate"}
    assert '<h3 id="rule-boilerplate">Valikot <em>pois</em></h3>' in html
    assert html.count('id="rule-flags"') == 1


def test_urdu_guidelines_stand_in_their_language_and_direction(client, zara, urdu, maintainer):
    publish(urdu, maintainer, "## پرچم {#flags}\n\nدھیان سے۔")
    client.force_login(zara)

    page = client.get("/languages/ur/guidelines/").content.decode()

    assert re.search(r'class="prose guidelines"\s+lang="ur"\s+dir="rtl"', page)
    publish(urdu, maintainer, "Be careful.", written_in="en")
    page = client.get("/languages/ur/guidelines/").content.decode()
    assert re.search(r'class="prose guidelines"\s+lang="en"\s+dir="ltr"', page)


# From the card to the rule


def test_card_links_to_the_heading_that_names_the_rule(finnish, linguist):
    publish(finnish, linguist, "## Liput {#flags}\n\n## Text\n")
    finnish.refresh_from_db()

    def link(name: str) -> str:
        return Template("{% load rules %}{% rule_link name 'Label' %}").render(
            Context({"language": finnish, "name": name})
        )

    assert 'href="/languages/fi/guidelines/#rule-flags"' in link("flags")
    assert 'target="_blank"' in link("flags")
    assert 'href="/languages/fi/guidelines/#rule-text"' in link("rating_text")
    assert not link("boilerplate").strip()


# Telling people


def test_people_are_told_of_a_change_until_they_open_it(client, aino, finnish, linguist):
    publish(finnish, linguist, note="Liput ensin.")
    client.force_login(aino)
    assert "There are guidelines for Finnish." in client.get("/").content.decode()
    client.get("/languages/fi/guidelines/")
    assert "guidelines-notice" not in client.get("/").content.decode()

    publish(finnish, linguist, "Uusi.", note="Kaikki uusiksi.")

    home = client.get("/").content.decode()
    assert "have changed" in home
    assert "Kaikki uusiksi." in home
    client.head("/languages/fi/guidelines/")
    assert "have changed" in client.get("/").content.decode()
    client.get("/languages/fi/")
    assert "guidelines-notice" not in client.get("/").content.decode()
    assert GuidelinesSeen.objects.get(user=aino).version == 3


def test_nobody_is_told_of_guidelines_that_say_nothing_or_that_they_wrote(aino, finnish, linguist):
    assert guidelines.unseen(aino, [finnish]) == {}
    publish(finnish, linguist)
    finnish.refresh_from_db()

    assert guidelines.unseen(linguist, [finnish]) == {}
    assert guidelines.unseen(aino, [finnish])[finnish.pk].is_first


# Who may


@HEADERS
def test_annotators_read_and_only_linguists_and_maintainers_write(client, aino, linguist, maintainer, finnish, headers):
    for user, expected in ((aino, 404), (linguist, 200), (maintainer, 200)):
        client.force_login(user)
        assert client.get("/languages/fi/guidelines/", headers=headers).status_code == 200
        assert client.get("/languages/fi/guidelines/history/", headers=headers).status_code == 200
        assert client.get("/languages/fi/guidelines/edit/", headers=headers).status_code == expected
        preview = {"body": "x", "based_on": 1, "preview": "1"}
        assert client.post("/languages/fi/guidelines/edit/", preview, headers=headers).status_code == expected
    client.force_login(aino)
    assert "guidelines/edit" not in client.get("/languages/fi/guidelines/").content.decode()


@HEADERS
@pytest.mark.parametrize("who", ["zara", "stranger", "other_linguist"])
def test_other_languages_guidelines_do_not_exist(client, request, finnish, urdu, who, headers):
    user = make_user(None, urdu, role=Role.LINGUIST) if who == "other_linguist" else request.getfixturevalue(who)
    client.force_login(user)

    for name in ("", "edit/", "history/", "1/"):
        assert client.get(f"/languages/fi/guidelines/{name}", headers=headers).status_code == 404
    assert client.post("/languages/fi/guidelines/edit/", {"body": "x", "based_on": 1}).status_code == 404


@HEADERS
def test_anonymous_signs_in_first(client, finnish, headers):
    for name in ("", "edit/", "history/", "1/"):
        response = client.get(f"/languages/fi/guidelines/{name}", headers=headers)
        assert reverse("account_login") in (response.headers.get("HX-Redirect") or response.url)


def test_publishing_from_another_site_is_refused(linguist, finnish):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(linguist)

    assert send(client, "x").status_code == 403
    assert not GuidelinesVersion.objects.exists()
