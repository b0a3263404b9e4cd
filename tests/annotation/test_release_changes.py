"""The pages of releases that follow each other: filters asked for, candidates published, changes read, take-downs."""

import pytest
from django.urls import reverse

from annotation import freezing, jobs
from annotation.filtering import Filters
from annotation.models import Pair, PairState
from generation.models import Release, ReleaseState, TakeDown, Text
from tests.annotation.test_release_lines import make_pairs
from tests.annotation.test_release_pages import keeper, worker_listens  # noqa: F401 - fixtures
from tests.factories import make_language
from xinstruct_site.people.models import Event, EventKind

pytestmark = pytest.mark.django_db


@pytest.fixture
def pairs(aino, finnish) -> list[Pair]:
    return make_pairs(aino, finnish, 3)


@pytest.fixture
def two(pairs, aino, finnish) -> tuple[Release, Release]:
    """The second edits one pair, loses one and gains one."""
    first = freezing.build_release("v1", [finnish])
    Pair.objects.filter(pk=pairs[0].pk).update(instruction="Describe a <b>quiet</b> market day.")
    Pair.objects.filter(pk=pairs[1].pk).update(state=PairState.WITHDRAWN, is_current=False)
    make_pairs(aino, finnish)
    return first, freezing.build_release("v2", [finnish], previous=first)


def test_the_form_asks_for_whatever_the_command_can(client, maintainer, pairs, worker_listens):  # noqa: F811
    first = freezing.build_release("v1", list(pairs[0].item.language.__class__.objects.filter(code="fi")))
    client.force_login(maintainer)
    data = {
        "name": "v2", "languages": ["fi"], "previous": first.public_id, "candidate": "on", "overall_min": "4",
        "agreement_min": "50", "reviews_min": "1", "policy_min": "1", "sources": "tests, other", "licences": "CC0-1.0",
        "licence": "CC-BY-4.0", "rows_min": "50", "small_languages": "mark", "splits": "8/1/1", "seed": "4",
        "without_flags": ["harmful"],
    }  # fmt: skip
    response = client.post(reverse("releases"), data)
    assert response.status_code == 302, response.context_data["form"].errors
    release = Release.objects.get(name="v2")
    jobs.build_release(release.pk)
    release.refresh_from_db()

    assert response.url == reverse("release", args=[release.public_id])
    assert release.is_candidate
    assert (release.version, release.licence, release.previous) == ("1.0.1", "CC-BY-4.0", first)
    assert Filters.of_query(release.query) == Filters(
        overall_min=4, agreement_min=50, reviews_min=1, policy_min=1, sources=("other", "tests"),
        licences=("CC0-1.0",), licence="CC-BY-4.0", rows_min=50, shares=(8, 1, 1), seed=4, split_from=0,
        without_flags=("harmful",),
    )  # fmt: skip
    page = client.get(response.url).content.decode()
    for words in ("other, tests", "≥ 50 %", "8 / 1 / 1, seed 4", "CC-BY-4.0", "Publish it"):
        assert words in page


@pytest.mark.parametrize(
    ("field", "value"),
    [("splits", "90"), ("splits", "0/1/1"), ("version", "two"), ("agreement_min", "101"), ("seed", "x")],
)
def test_nonsense_in_the_form_is_said_beside_its_field(field, value, client, maintainer, pairs, worker_listens):  # noqa: F811
    client.force_login(maintainer)
    response = client.post(reverse("releases"), {"name": "v1", "languages": ["fi"], field: value})

    assert response.status_code == 422
    assert response.context_data["form"].errors.keys() == {field}
    assert not Release.objects.exists()


def test_a_candidate_is_published_from_its_page_and_withdrawn_with_a_reason(
    client,
    maintainer,
    pairs,
    finnish,
    worker_listens,  # noqa: F811
):
    release = freezing.build_release("v1", [finnish], candidate=True)
    client.force_login(maintainer)
    page = client.get(reverse("release", args=[release.public_id])).content.decode()
    assert f"/audit/fi/?lane=sample&amp;release={release.public_id}" in page
    for _ in range(2):  # pressed twice
        assert client.post(reverse("publish_release", args=[release.public_id])).status_code == 302
    jobs.build_release(release.pk)
    release.refresh_from_db()
    assert release.state == ReleaseState.READY

    client.post(reverse("withdraw_release", args=[release.public_id]), {"reason": ""})
    release.refresh_from_db()
    assert release.state == ReleaseState.READY
    client.post(reverse("withdraw_release", args=[release.public_id]), {"reason": "A poem <of somebody>."})
    page = client.get(reverse("release", args=[release.public_id])).content.decode()

    assert "A poem &lt;of somebody&gt;." in page
    assert reverse("download_release", args=[release.public_id, "alpaca"]) not in page
    assert Event.objects.filter(kind=EventKind.RELEASE_WITHDRAWN, actor=maintainer).count() == 1
    answer = client.get(reverse("download_release", args=[release.public_id, "alpaca"]), follow=True)
    assert "cannot be exported" in answer.content.decode()


def test_changes_are_read_word_by_word_and_filtered(client, maintainer, two):
    first, second = two
    client.force_login(maintainer)
    address = reverse("compare_releases", args=[second.public_id, first.public_id])
    page = client.get(address)
    edited = client.get(address, {"kind": "edited", "language": "fi"})
    content = edited.content.decode()

    assert [change.kind for change in edited.context_data["shown"]] == ["edited"]
    assert "<ins>" in content
    assert "<b>" not in content
    assert sorted(change.kind for change in page.context_data["shown"]) == ["added", "edited", "withdrawn"]
    assert not client.get(address, {"language": "xx"}).context_data["shown"]
    for odd in ({"language": "\0"}, {"after": "~\0"}, {"kind": "\0"}):
        assert client.get(address, odd).status_code == 200
    assert address in client.get(reverse("release", args=[second.public_id])).content.decode()


def test_changes_go_on_page_by_page(client, maintainer, two, monkeypatch):
    monkeypatch.setattr("annotation.views.releases.CHANGES_SHOWN", 2)
    first, second = two
    client.force_login(maintainer)
    address = reverse("compare_releases", args=[second.public_id, first.public_id])
    page = client.get(address)
    rest = client.get(address, {"after": page.context_data["after"]})
    shown = [change.row.item_public_id for each in (page, rest) for change in each.context_data["shown"]]

    assert len(shown) == len(set(shown)) == 3
    assert not rest.context_data["after"]


def test_releases_of_others_are_not_compared_with(client, keeper, two, pairs, aino):  # noqa: F811
    first, second = two
    second.languages.add(make_language("ur"))
    client.force_login(keeper)

    for ids in ([first.public_id, second.public_id], [second.public_id, first.public_id]):
        assert client.get(reverse("compare_releases", args=ids)).status_code == 404
    for name in ("publish_release", "withdraw_release"):
        assert client.post(reverse(name, args=[second.public_id]), {"reason": "x"}).status_code == 404


def test_rows_are_found_by_words_and_language_window_by_window(client, maintainer, two, pairs, monkeypatch):
    monkeypatch.setattr("generation.finding.ROW_WINDOW", 1)
    _, second = two
    client.force_login(maintainer)
    address = reverse("release", args=[second.public_id])
    found, after = [], "-1"
    while after:
        page = client.get(address, {"q": "QUIET", "after": after} if after != "-1" else {"q": "QUIET"})
        found += page.context_data["page"].rows
        goes_on = page.context_data["page"].goes_on_after
        after = "" if goes_on is None else str(goes_on)

    assert [row.pair_public_id for row in found] == [pairs[0].public_id]
    assert len(client.get(address, {"language": "fi"}).context_data["rows"]) == 3
    for odd in ({"after": "x"}, {"after": "9" * 30}, {"language": "xx"}, {"q": "a\0"}):
        assert client.get(address, odd).status_code == 200


# Take-downs


def test_a_take_down_says_what_it_did_and_marks_the_rows(client, maintainer, aino, finnish):
    [pair] = make_pairs(aino, finnish, text_fields=[{"url": "https://a.example/1", "domain": "a.example"}])
    release = freezing.build_release("v1", [finnish])
    client.force_login(maintainer)
    page = client.post(reverse("take_down"), {"kind": "url", "given": "https://a.example/1", "reason": "They asked."})
    content = page.content.decode()

    assert page.status_code == 200
    assert reverse("release", args=[release.public_id]) in content
    assert Text.objects.get(pk=pair.item.text_id).withdrawn_at
    assert TakeDown.objects.get(kind="url").by == maintainer
    assert (
        "Taken down. What stood here had this hash:"
        in client.get(reverse("release", args=[release.public_id])).content.decode()
    )
    done = client.post(reverse("take_down"), {"kind": "contributor", "given": aino.email.upper()})
    assert done.context_data["done"].counts["reviews"] == 1


@pytest.mark.parametrize(
    ("kind", "given"),
    [("url", "nowhere"), ("domain", "a b"), ("text", "x"), ("contributor", "nobody@example.org"), ("moon", "x")],
)
def test_what_cannot_be_taken_down_is_said(kind, given, client, maintainer):
    client.force_login(maintainer)
    page = client.post(reverse("take_down"), {"kind": kind, "given": given})

    assert page.status_code == 422
    assert not TakeDown.objects.exists()


def test_only_who_maintains_every_language_takes_down(client, keeper, aino):  # noqa: F811
    for person in (keeper, aino):
        client.force_login(person)
        assert client.get(reverse("take_down")).status_code == 403
        assert client.post(reverse("take_down"), {"kind": "url", "given": "https://a.example/"}).status_code == 403
