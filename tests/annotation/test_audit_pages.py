"""The linguist's pages: who may open them, what they show, and that a refused decision loses no word."""

import json
import uuid

import pytest
from django.urls import reverse

from annotation.models import Adjudication, Audit, Flag, Item, ItemState, Pair, PairState
from tests.factories import accepting, decide, make_items, make_language, make_text, make_user, rejecting
from xinstruct_site.people.models import Role

pytestmark = pytest.mark.django_db

BODY = "شادی کے موقع پر مہندی 💚 لگائی جاتی ہے۔"


@pytest.fixture
def linguist(urdu):
    return make_user("noor@example.org", urdu, role=Role.LINGUIST)


@pytest.fixture
def item(urdu) -> Item:
    item = make_items(urdu, texts=[make_text(urdu, BODY)])[0]
    decide(item, accepting(flags={Flag.CULTURAL: "a rite"}), accepting())
    return item


@pytest.fixture
def disputed(urdu) -> Item:
    item = make_items(urdu)[0]
    decide(item, accepting("Describe the market."), rejecting("It is a menu."))
    return item


def posted(client, address: str, **data):
    pair = Pair.objects.current().get(item__public_id=address.split("?")[0].split("/")[-2])
    return client.post(address, {"id": str(uuid.uuid4()), "pair": pair.public_id, "marks": "[]", **data})


def test_annotators_and_linguists_of_other_languages_find_no_audit(client, urdu, item, disputed, zara):
    stranger = make_user(language=make_language("hi"), role=Role.LINGUIST)
    addresses = [
        reverse("audits", args=["ur"]),
        reverse("audit", args=["ur", item.public_id]),
        reverse("next_audit", args=["ur"]),
        reverse("audit_rules", args=["ur"]),
        reverse("audit_tags", args=["ur"]),
        reverse("disputes", args=["ur"]),
        reverse("dispute", args=["ur", disputed.public_id]),
    ]
    for user in (zara, stranger):
        client.force_login(user)
        assert [client.get(address).status_code for address in addresses] == [404] * len(addresses)


def test_lane_leads_from_pair_to_pair_and_back_when_it_is_empty(client, linguist, item):
    client.force_login(linguist)
    page = client.get(reverse("audits", args=["ur"]))
    assert "Asked for by reviewers" in page.content.decode()
    following = client.get(reverse("next_audit", args=["ur"]))
    assert following.url == reverse("audit", args=["ur", item.public_id]) + "?lane=held"
    start = BODY.index("مہندی 💚")
    mark = {
        "part": "text", "start": start, "end": start + 7, "quote": "مہندی 💚", "tag": "restricted", "severity": 3,
        "note": "of the family",
    }  # fmt: skip
    sent = posted(client, following.url, verdict="pass", marks=json.dumps([mark]), note="Fine.", rule="Say henna.")
    assert sent.status_code == 302
    assert Audit.objects.get().marks == [mark]
    assert Pair.objects.get().state == PairState.ACCEPTED
    assert client.get(sent.url).url == reverse("audits", args=["ur"]) + "?lane=held"


def test_a_long_lane_has_further_pages_and_later_leads_past_the_first(client, linguist, urdu, monkeypatch):
    monkeypatch.setattr("annotation.views.audits.SHOWN", 2)
    monkeypatch.setattr("annotation.views.disputes.SHOWN", 2)
    items = make_items(urdu, 10)
    for one in items[:5]:
        decide(one, accepting("Describe it.", flags={Flag.CULTURAL: ""}), accepting("Describe it."))
    for one in items[5:]:
        decide(one, accepting("Describe it."), rejecting("It is a menu."))
    client.force_login(linguist)

    for address, rows, expected in (("audits", "pairs", items[:5]), ("disputes", "items", items[5:])):
        seen, query = [], "?"
        while True:
            page = client.get(reverse(address, args=["ur"]) + query)
            shown = page.context[rows]
            seen += [pair.item for pair, _flags in shown] if rows == "pairs" else shown
            if not (after := page.context["goes_on_after"]):
                break
            query = f"?after={after}"
            assert query in page.content.decode().replace("lane=held&amp;", "")
        assert seen == expected

    met, address = [], reverse("next_audit", args=["ur"])
    while "/next/" in address:
        address = client.get(address).url
        if address.startswith(reverse("audits", args=["ur"]) + "?"):
            break
        page = client.get(address)
        met.append(page.context["pair"].item)
        address = f"{reverse('next_audit', args=['ur'])}?lane=held&after={page.context['pair'].public_id}"
    assert met == items[:5]
    assert client.get(reverse("audits", args=["ur"]) + "?after=junk").status_code == 200


def test_an_id_with_a_nul_is_a_bad_request(client, linguist, item):
    client.force_login(linguist)
    lane = reverse("audits", args=["ur"])
    for query in ("?after=%00", "?lane=sample&release=a%00", "?lane=%00"):
        assert client.get(lane + query).status_code == (200 if query == "?lane=%00" else 400), query
    assert client.post(reverse("audit", args=["ur", item.public_id]), {"pair": "\0"}).status_code == 400


def test_refused_audit_shows_what_was_written(client, linguist, item):
    client.force_login(linguist)
    page = posted(client, reverse("audit", args=["ur", item.public_id]), verdict="exclude", rule="ایک قاعدہ")
    assert page.status_code == 422
    assert "ایک قاعدہ" in page.content.decode()
    assert not Audit.objects.exists()


@pytest.mark.parametrize("marks", ["{", "null", '[{"part": "text"}]', "[" * 5000, '["x"]'])
def test_marks_that_cannot_be_read_are_a_message(client, linguist, item, marks):
    client.force_login(linguist)
    page = posted(client, reverse("audit", args=["ur", item.public_id]), verdict="pass", marks=marks)
    assert page.status_code == 422
    assert "could not be read" in page.content.decode()


def test_fix_from_the_page_makes_the_pair_and_taking_it_back_undoes_it(client, linguist, item):
    client.force_login(linguist)
    address = reverse("audit", args=["ur", item.public_id])
    posted(client, address, verdict="fix", instruction="Explain the rite.", response_edit="")
    assert Pair.objects.current().get().instruction == "Explain the rite."
    client.post(reverse("undo_audit", args=["ur", Audit.objects.get().pk]))
    assert Pair.objects.current().get().state == PairState.HELD


def test_audit_that_is_taken_back_is_written_in_the_form_again(client, linguist, item):
    client.force_login(linguist)
    address = reverse("audit", args=["ur", item.public_id]) + "?lane=flagged"
    mark = {"part": "text", "start": 0, "end": 4, "quote": BODY[:4], "tag": "taboo", "severity": 1, "note": ""}
    said = {"marks": json.dumps([mark]), "note": "ایک", "rule": "دو", "instruction": "Explain the rite."}
    posted(client, address, verdict="fix", response_edit="", **said)
    back = client.post(reverse("undo_audit", args=["ur", Audit.objects.get().pk]) + "?lane=flagged")
    assert back.url == address
    form = client.get(address).context["form"]
    shown = {name: form[name].value() for name in said}
    assert json.loads(shown.pop("marks")) == [mark]
    assert shown == {name: words for name, words in said.items() if name != "marks"}
    client.force_login(make_user(language=item.language, role=Role.LINGUIST))
    form = client.get(address).context["form"]
    assert (form["note"].value() or "", form["marks"].value()) == ("", "[]")


def test_lane_and_page_say_why_reviewers_asked(client, linguist, item):
    client.force_login(linguist)
    for address in (reverse("audits", args=["ur"]), reverse("audit", args=["ur", item.public_id])):
        assert "a rite" in client.get(address).content.decode().partition('class="answers"')[0]


def test_dispute_says_what_it_is_about_and_later_leads_to_the_next(client, urdu, linguist, disputed):
    client.force_login(linguist)
    far_apart, worded = make_items(urdu, 2)
    decide(far_apart, accepting(overall=3), accepting(overall=5))
    decide(worded, accepting("One."), accepting("Two."), accepting("Three."))
    words = {disputed: "some reject it", far_apart: "lie far apart", worded: "in different words"}
    address = reverse("dispute", args=["ur", disputed.public_id])
    for item, about in words.items():
        assert address.endswith(f"/{item.public_id}/")
        assert about in client.get(address).content.decode()
        address = client.get(address, {"later": "1"}).url
    assert address == reverse("disputes", args=["ur"])


def test_suggested_rule_goes_into_the_guidelines_with_its_example(client, urdu, linguist, item, zara):
    client.force_login(linguist)
    mark = {"part": "text", "start": 0, "end": 4, "quote": BODY[:4], "tag": "taboo", "severity": 1, "note": "why"}
    address = reverse("audit", args=["ur", item.public_id])
    posted(client, address, verdict="pass", rule="Name rites.", marks=json.dumps([mark]))
    done = Audit.objects.get()
    assert "Name rites." in client.get(reverse("audit_rules", args=["ur"])).content.decode()
    edit = reverse("guidelines_edit", args=["ur"]) + f"?rule={done.pk}"
    form = client.get(edit).context["form"]
    body = form["body"].value()
    assert body.endswith(f"- Name rites.\n    - “{BODY[:4]}”: why\n")
    client.post(edit, {"body": body, "note": "Rites", "based_on": urdu.guidelines_version, "written_in": ""})
    urdu.refresh_from_db()
    assert "Name rites." in urdu.guidelines
    done.refresh_from_db()
    assert done.rule_in_version == urdu.guidelines_version
    client.force_login(zara)
    assert (
        "have changed" in client.get("/").content.decode() or "There are guidelines" in client.get("/").content.decode()
    )


def test_language_gets_tags_of_its_own_and_retires_them(client, urdu, linguist, item):
    client.force_login(linguist)
    client.post(reverse("audit_tags", args=["ur"]), {"name": "بدعت"})
    assert "بدعت" in client.get(reverse("audit", args=["ur", item.public_id])).content.decode()
    client.post(reverse("retire_tag", args=["ur", urdu.audit_tags.get().pk]))
    assert "بدعت" not in client.get(reverse("audit", args=["ur", item.public_id])).content.decode()
    client.post(reverse("audit_tags", args=["ur"]), {"name": "بدعت"})
    assert urdu.audit_tags.get().retired_at is None


def test_disputed_item_is_read_without_names_until_it_is_decided(client, linguist, disputed):
    client.force_login(linguist)
    names = [str(review.reviewer) for review in disputed.reviews.all()]
    page = reverse("dispute", args=["ur", disputed.public_id])
    history = reverse("item", args=[disputed.public_id])
    for address in (page, history):
        shown = client.get(address).content.decode()
        assert not any(name in shown for name in names)
    assert "It is a menu." in client.get(page).content.decode()
    assert "It is a menu." not in client.get(history).content.decode()
    sent = posted(client, page, decision="accept", instruction="Describe it.", overall="4", note="Both are right.")
    assert sent.url == reverse("disputes", args=["ur"])
    disputed.refresh_from_db()
    assert disputed.state == ItemState.ACCEPTED
    assert all(name in client.get(history).content.decode() for name in names)


def test_decision_starts_from_the_wording_that_was_asked_for(client, urdu, linguist):
    item = make_items(urdu)[0]
    reviews = decide(item, accepting("One."), accepting("Two."), accepting("Three."))
    client.force_login(linguist)
    address = reverse("dispute", args=["ur", item.public_id])
    for review in reviews:
        form = client.get(address, {"start": str(review.pk)}).context["form"]
        assert form["instruction"].value() == review.instruction


def test_note_reaches_those_who_reviewed_it_and_names_nobody(client, linguist, disputed):
    client.force_login(linguist)
    page = reverse("dispute", args=["ur", disputed.public_id])
    posted(client, page, decision="reject", overall="1", note="The text is a menu; see rule 2.")
    reviewer = disputed.reviews.first().reviewer
    client.force_login(reviewer)
    for address in (reverse("mine", args=["ur"]), reverse("item", args=[disputed.public_id])):
        shown = client.get(address).content.decode()
        assert "see rule 2" in shown
        assert str(linguist) not in shown
    client.force_login(linguist)
    client.post(reverse("undo_dispute", args=["ur", Adjudication.objects.get().pk]))
    disputed.refresh_from_db()
    assert disputed.state == ItemState.DISPUTED


def test_home_tells_linguists_and_nobody_else_how_much_waits_for_them(client, linguist, item, disputed, zara):
    client.force_login(linguist)
    page = client.get("/").content.decode()
    assert "Audit</a>" not in page
    assert ">Audit: 1</a>" in page
    assert ">Disputed: 1</a>" in page
    client.force_login(zara)
    assert "Audit" not in client.get("/").content.decode()


def test_form_that_was_read_before_somebody_fixed_the_pair_decides_nothing(client, urdu, linguist, item):
    address = reverse("audit", args=["ur", item.public_id])
    client.force_login(make_user(language=urdu, role=Role.LINGUIST))
    read = client.get(address).context["form"]["pair"].value()
    client.force_login(linguist)
    posted(client, address, verdict="fix", instruction="Explain the rite.", response_edit="")
    client.force_login(make_user(language=urdu, role=Role.LINGUIST))
    late = client.post(address, {"id": str(uuid.uuid4()), "pair": read, "marks": "[]", "verdict": "pass"})
    assert late.status_code == 422
    assert "decided on this meanwhile" in late.content.decode()
    assert Audit.objects.get().linguist == linguist
    assert "Nothing waits here" in client.get(reverse("audits", args=["ur"]) + "?lane=flagged").content.decode()
