"""The review page: who sees which card, what becomes of what they typed, with HTMX and without."""

import datetime as dt
import re
import uuid
from html import unescape
from urllib.parse import quote_plus

import django_rq
import pytest
from django.core import signing
from django.urls import reverse
from django.utils import timezone
from rq import Worker

from annotation import jobs, queues, reading, reviewing
from annotation.forms import SALT
from annotation.models import Autosave, Decision, Item, ItemState, Review, Skip, Slot, SlotState
from generation.models import Candidate, Score
from tests.factories import accepting, make_candidate, make_items, make_text, make_user
from xinstruct_site.people.models import ContributorAgreement, Role

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
RATED = {"rating_alignment": "4", "rating_instruction": "5", "rating_text": "3", "overall": "4"}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@pytest.fixture
def item(finnish) -> Item:
    return make_items(finnish)[0]


def address(item: Item, name: str = "review_item") -> str:
    return reverse(name, args=[item.language.code, item.public_id])


def hidden(page: str, name: str) -> str:
    tag = next(tag for tag in re.findall(r"<input[^>]*>", page) if f'name="{name}"' in tag)
    found = re.search(r'value="([^"]*)"', tag)
    return unescape(found[1]) if found else ""


def opened(client, item: Item, **typed: str) -> dict[str, str]:
    """What the browser would send back of the card that the person is shown."""
    page = client.get(reverse("review", args=[item.language.code])).content.decode()
    form = {name: hidden(page, name) for name in ("id", "shown", "loaded", "active_seconds", "version", "tab", "turn")}
    return form | {"choice": form["loaded"], "instruction": "Describe a market day."} | typed


def textarea(page: str, name: str) -> str:
    """What a browser would show in the field: it drops the line end after the tag."""
    found = re.search(rf'<textarea[^>]*name="{name}"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL)
    assert found
    return unescape(found[1])


# Who sees what


def test_card_shows_text_and_instruction_in_their_languages_and_directions(client, zara, urdu):
    text = make_text(urdu, "بہار کی آمد کے ساتھ ہی", title="بسنت کی تیاری", domain="example.pk", licence_id="CC-BY-4.0")
    make_items(urdu, texts=[text])
    client.force_login(zara)

    page = client.get("/review/ur/").content.decode()

    assert re.search(r'<div class="body native"\s+lang="ur"\s+dir="rtl"[^>]*>بہار کی آمد کے ساتھ ہی</div>', page)
    assert '<span lang="ur" dir="rtl">بسنت کی تیاری</span>' in page
    assert re.search(r'<textarea id="instruction" name="instruction" lang="en" dir="ltr"', page)
    assert "example.pk" in page
    assert "CC-BY-4.0" in page


def test_card_comes_with_the_best_draft_and_a_lease(signed_in, item, aino):
    page = signed_in.get("/review/fi/").content.decode()

    assert textarea(page, "instruction") == item.candidates()[0].instruction
    assert Slot.objects.get(state=SlotState.HELD, lease_expires_at__gt=timezone.now()).holder == aino


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_anonymous_signs_in_first(client, item, headers):
    for path in ("/review/fi/", address(item), "/languages/fi/"):
        response = client.get(path, headers=headers)
        assert reverse("account_login") in (response.headers.get("HX-Redirect") or response.url)
    for name in ("review_item", "autosave", "skip"):
        response = client.post(address(item, name), headers=headers)
        assert reverse("account_login") in (response.headers.get("HX-Redirect") or response.url)


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
@pytest.mark.parametrize("who", ["zara", "stranger", "ilmo"])
def test_what_is_not_theirs_does_not_exist_for_them(client, request, item, aino, who, headers):
    queues.claim_next(aino, item.language)
    client.force_login(request.getfixturevalue(who))

    assert client.get(address(item), headers=headers).status_code == 404
    for name in ("review_item", "autosave", "skip"):
        assert client.post(address(item, name), {"instruction": "x"}, headers=headers).status_code == 404
    assert Slot.objects.get().holder == aino
    assert not Autosave.objects.exists()
    if who != "ilmo":
        assert client.get("/review/fi/", headers=headers).status_code == 404
        assert client.get("/languages/fi/", headers=headers).status_code == 404


def test_item_under_another_language_does_not_exist(client, item, urdu, maintainer):
    client.force_login(maintainer)
    client.get("/review/fi/")

    assert client.get(f"/review/fi/{item.public_id}/").status_code == 200
    assert client.get(f"/review/ur/{item.public_id}/").status_code == 404


def test_somebody_elses_stamp_opens_no_item(signed_in, client, item, ilmo):
    data = opened(signed_in, item, **RATED, decision="accept")
    client.force_login(ilmo)

    assert client.post(address(item), data).status_code == 404


def test_role_taken_away_in_mid_session_ends_access(signed_in, item, aino):
    data = opened(signed_in, item, **RATED, decision="accept")
    aino.memberships.all().delete()

    assert signed_in.post(address(item), data).status_code == 404
    assert not Review.objects.exists()


# Deciding


def test_accepting_stores_what_was_sent_and_leads_to_the_next_card(signed_in, finnish, aino):
    first, second = make_items(finnish, 2)
    data = opened(signed_in, first, **RATED, decision="accept", flags="cultural", note_cultural="Ask an elder.")

    response = signed_in.post(address(first), data)

    review = Review.objects.get()
    assert response.status_code == 302
    assert response.url == "/review/fi/"
    assert (review.decision, review.instruction, review.overall) == (Decision.ACCEPT, "Describe a market day.", 4)
    assert review.flags == {"cultural": "Ask an elder."}
    assert review.candidate == first.candidates()[0]
    assert str(review.pk) == data["id"]
    assert second.public_id in signed_in.get(response.url).content.decode()


def test_htmx_gets_the_next_card_as_a_fragment(signed_in, finnish):
    first, second = make_items(finnish, 2)

    response = signed_in.post(address(first), opened(signed_in, first, **RATED, decision="accept"), headers=HTMX)

    page = response.content.decode()
    assert response.status_code == 200
    assert response.template_name == "annotation/review.html#swap"
    assert response.headers["HX-Replace-Url"] == "/review/fi/"
    assert second.public_id in page
    assert "<html" not in page
    assert 'id="card"' in page
    assert re.search(r'<div id="place"[^>]*hx-swap-oob="true"', page)


def test_rejecting_needs_a_reason_and_no_ratings(signed_in, item):
    data = opened(signed_in, item, decision="reject")

    without = signed_in.post(address(item), data)
    reviewed = signed_in.post(address(item), data | {"reason": "Advertising."})

    assert without.status_code == 422
    assert "Say in a few words" in without.content.decode()
    assert reviewed.status_code == 302
    assert Review.objects.get().reason == "Advertising."


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_what_was_typed_comes_back_when_something_is_missing(signed_in, item, headers):
    typed = "  Kerro, mitä torilla\n\nmyydään. <b>&amp;</b> "
    raised = {"flags": "harmful", "note_harmful": "n"}
    data = (
        opened(signed_in, item, decision="accept", instruction=typed, input="Lista", overall="5", reason="r") | raised
    )

    response = signed_in.post(address(item), data, headers=headers)

    page = response.content.decode()
    assert response.status_code == 422
    assert textarea(page, "instruction") == typed
    assert textarea(page, "input") == "Lista"
    assert textarea(page, "reason") == "r"
    assert 'value="n"' in page
    assert re.search(r'id="flag-harmful"[^>]*checked', page)
    assert re.search(r'id="overall-5"[^>]*checked', page)
    assert 'data-first-error="rating_alignment"' in page
    assert hidden(page, "id") == data["id"]
    assert ("<html" in page) == (not headers)
    assert not Review.objects.exists()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"decision": "accept", **RATED, "overall": "2"}, "cannot be used"),
        ({"decision": "accept", **RATED, "instruction": " \n "}, "needs an instruction"),
        ({"decision": "reject", "reason": "bad", "overall": "5"}, "it is good"),
        ({"decision": "publish", **RATED}, "valid choice"),
        ({"decision": "accept", **RATED, "overall": "9"}, "valid choice"),
        ({"decision": "accept", **RATED, "id": "not-a-uuid"}, "Not sent yet"),
        ({"decision": "accept", **RATED, "shown": "forged"}, "not made for you"),
        ({"decision": "accept", **RATED, "choice": "999999"}, "valid choice"),
        ({"decision": "accept", **RATED, "flags": "no_such_flag"}, "Not sent yet"),
    ],
)
def test_what_breaks_the_rules_is_refused_with_a_message(signed_in, item, sent, message):
    response = signed_in.post(address(item), opened(signed_in, item) | sent)

    assert response.status_code == 422
    assert message in response.content.decode()
    assert not Review.objects.exists()


def test_same_form_sent_twice_is_one_review_with_the_same_answer(signed_in, finnish):
    first, second = make_items(finnish, 2)
    data = opened(signed_in, first, **RATED, decision="accept")

    answers = [signed_in.post(address(first), data, headers=HTMX) for _ in range(2)]

    assert Review.objects.count() == 1
    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(second.public_id in answer.content.decode() for answer in answers)


@pytest.mark.parametrize("extra", [{}, {"extra": "accept"}], ids=["as it was", "as an extra"])
def test_second_review_of_an_item_is_refused_and_its_text_kept(signed_in, item, extra):
    data = opened(signed_in, item, **RATED, decision="accept")
    signed_in.post(address(item), data)

    again = data | extra | {"id": str(uuid.uuid4()), "instruction": "Another thought."}
    response = signed_in.post(address(item), again)

    assert response.status_code == 409
    assert "You have reviewed this item already" in response.content.decode()
    assert textarea(response.content.decode(), "instruction") == "Another thought."
    assert Review.objects.count() == 1


def test_lease_that_ran_out_counts_while_nobody_took_the_item(signed_in, item):
    data = opened(signed_in, item, **RATED, decision="accept")
    Slot.objects.update(lease_expires_at=timezone.now() - dt.timedelta(hours=1))

    signed_in.post(address(item), data)

    assert Review.objects.get().slot is not None


def test_lease_lost_to_another_keeps_the_text_and_offers_an_extra_review(signed_in, item, ilmo):
    data = opened(signed_in, item, **RATED, decision="accept", instruction="Two hours of thought.")
    Slot.objects.update(lease_expires_at=timezone.now() - dt.timedelta(hours=1))
    queues.claim_next(ilmo, item.language)

    conflict = signed_in.post(address(item), data, headers=HTMX)
    extra = signed_in.post(address(item), data | {"extra": "accept"})

    page = conflict.content.decode()
    assert conflict.status_code == 409
    assert "Send as an extra review" in page
    assert textarea(page, "instruction") == "Two hours of thought."
    assert extra.status_code == 302
    assert Review.objects.get().slot is None
    assert Slot.objects.get().holder == ilmo


def test_new_agreement_in_mid_work_keeps_the_text(signed_in, item):
    data = opened(signed_in, item, **RATED, decision="accept", instruction="Kept.")
    ContributorAgreement.objects.create(version=2, body="More.")

    response = signed_in.post(address(item), data)

    assert response.status_code == 409
    assert textarea(response.content.decode(), "instruction") == "Kept."
    assert not Review.objects.exists()


# Text as typed


@pytest.mark.parametrize("where", ["instruction", "input", "reason", "note_harmful"])
@pytest.mark.parametrize("broken", ["%00", "%ED%A0%80", "%FF"], ids=["nul", "surrogate", "no utf-8"])
def test_characters_that_cannot_be_stored_are_refused_with_a_message(signed_in, item, where, broken):
    data = opened(signed_in, item, **RATED, decision="accept")
    body = (
        "&".join(f"{key}={quote_plus(value)}" for key, value in data.items() if key != where) + f"&{where}=abc{broken}d"
    )

    for name in ("review_item", "skip", "autosave"):
        response = signed_in.post(address(item, name), body, content_type="application/x-www-form-urlencoded")

        assert response.status_code == 422, name
        assert "nothing was stored" in response.content.decode(), name
    assert not Review.objects.exists()
    assert not Autosave.objects.exists()
    assert not Skip.objects.exists()


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("  a\n b\t\n", id="spaces"),
        pytest.param("\n\nline", id="line ends first"),
        pytest.param("e\u0301 \u00e9 \u200d\u200c\u200f\u202e", id="marks"),
        pytest.param("\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0010fffd \ufffd", id="astral"),
        pytest.param("ไ" * 33_334, id="100 kB of Thai"),
        pytest.param("x" * 100_000, id="100 kB"),
    ],
)
def test_text_is_stored_as_it_was_typed(signed_in, item, typed):
    data = opened(signed_in, item, **RATED, decision="accept", instruction=typed)

    signed_in.post(address(item, "autosave"), data, headers=HTMX)
    shown = textarea(signed_in.get("/review/fi/").content.decode(), "instruction")
    signed_in.post(address(item), data | {"instruction": typed.replace("\n", "\r\n")})  # as a plain form sends it

    assert shown == typed
    assert Review.objects.get().instruction == typed


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_hostile_text_stays_text(client, finnish, headers):
    text = make_text(
        finnish,
        HOSTILE,
        title=HOSTILE,
        domain=HOSTILE,
        licence_id=HOSTILE,
        url="javascript:alert(1)",
    )
    items = make_items(finnish, texts=[text])
    candidate = make_candidate(text, instruction=HOSTILE, input=HOSTILE)
    Item.objects.filter(pk=items[0].pk).update(candidate_ids=[candidate.pk])
    user = make_user("x@example.org", finnish)
    user.display_name = HOSTILE
    user.save(update_fields=["display_name"])
    client.force_login(user)

    shown = client.get("/review/fi/", headers=headers)
    stamp = {"shown": hidden(shown.content.decode(), "shown")}
    refused = client.post(
        address(items[0]), stamp | {"instruction": HOSTILE, "reason": HOSTILE, "choice": HOSTILE}, headers=headers
    )

    assert refused.status_code == 422
    for page in (shown.content.decode(), refused.content.decode()):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "javascript:" not in page


# Time


def test_time_at_work_is_capped_by_the_time_since_the_card_was_shown(signed_in, item):
    signed_in.post(address(item), opened(signed_in, item, **RATED, decision="accept", active_seconds="99999"))

    assert Review.objects.get().active_seconds < 60


def test_stamp_of_another_time_is_taken_as_signed_and_not_as_typed(signed_in, item, aino):
    an_hour_ago = timezone.now() - dt.timedelta(hours=1)
    data = opened(signed_in, item, **RATED, decision="accept", active_seconds="1200")
    data["shown"] = signing.dumps([aino.public_id, item.public_id, an_hour_ago.isoformat()], salt=SALT)

    signed_in.post(address(item), data)

    review = Review.objects.get()
    assert review.active_seconds == 1200
    assert review.shown_at == an_hour_ago


# Drafts and differences


@pytest.fixture
def three_drafts(finnish) -> Item:
    item = make_items(finnish)[0]
    drafts = [make_candidate(item.text, instruction=f"Draft number {n}.") for n in (1, 2, 3)]
    Item.objects.filter(pk=item.pk).update(candidate_ids=[draft.pk for draft in drafts])
    item.refresh_from_db()
    return item


def test_without_javascript_a_button_puts_another_draft_into_the_field(signed_in, three_drafts):
    data = opened(signed_in, three_drafts, overall="4")
    second = three_drafts.candidates()[1]

    key = reading.draft_key(three_drafts, second.pk)

    response = signed_in.post(address(three_drafts), data | {"use": key})

    page = response.content.decode()
    assert textarea(page, "instruction") == "Draft number 2."
    assert hidden(page, "loaded") == key
    assert hidden(page, "id") == data["id"]
    assert re.search(r'id="overall-4"[^>]*checked', page)


def test_without_javascript_nobody_accepts_a_draft_they_have_not_seen(signed_in, three_drafts):
    third = three_drafts.candidates()[2]
    data = opened(
        signed_in,
        three_drafts,
        **RATED,
        decision="accept",
        instruction="Draft number 1.",
        choice=reading.draft_key(three_drafts, third.pk),
    )

    shown = signed_in.post(address(three_drafts), data)
    page = shown.content.decode()
    signed_in.post(
        address(three_drafts), data | {"loaded": hidden(page, "loaded"), "instruction": textarea(page, "instruction")}
    )

    assert shown.status_code == 422
    assert Review.objects.get().instruction == "Draft number 3."
    assert Review.objects.get().candidate == third


def test_own_wording_names_no_candidate(signed_in, three_drafts):
    signed_in.post(address(three_drafts), opened(signed_in, three_drafts, **RATED, decision="accept", choice="own"))

    assert Review.objects.get().candidate is None


def test_refused_form_shows_what_was_changed_word_by_word(signed_in, three_drafts):
    data = opened(signed_in, three_drafts, decision="accept", instruction="Draft letter 1.")

    page = signed_in.post(address(three_drafts), data).content.decode()

    assert "Draft <del>number</del><ins>letter</ins> 1." in page


def test_candidates_of_the_starter_model_are_marked(signed_in, item):
    candidate = item.candidates()[0]
    before = signed_in.get("/review/fi/").content.decode()
    candidate.run.model_version.is_starter = True
    candidate.run.model_version.save(update_fields=["is_starter"])

    after = signed_in.get("/review/fi/").content.decode()

    assert "starter model" not in before
    assert "starter model" in after
    assert "XI_BACKEND" not in after


def test_maintainer_is_told_how_to_get_better_drafts(client, item, maintainer):
    candidate = item.candidates()[0]
    candidate.run.model_version.is_starter = True
    candidate.run.model_version.save(update_fields=["is_starter"])
    client.force_login(maintainer)

    page = client.get("/review/fi/").content.decode()

    assert all(name in page for name in ("XI_BACKEND", "XI_MODEL", "XI_ENDPOINT"))


def test_tie_break_offers_the_wordings_that_differed(signed_in, item):
    Slot.objects.update(wordings=["Describe the market.", "Explain the market."])

    page = signed_in.get("/review/fi/").content.decode()

    assert sorted(re.findall(r'data-instruction="([^"]+)"', page)) == ["Describe the market.", "Explain the market."]
    assert item.candidates()[0].instruction not in page


# Unsent work


def test_unsent_work_is_there_again_with_its_id_and_its_clock(signed_in, item):
    data = opened(signed_in, item, instruction="Half a thought", overall="4", active_seconds="12")

    saved = signed_in.post(address(item, "autosave"), data, headers=HTMX)
    page = signed_in.get("/review/fi/").content.decode()

    assert "Saved" in saved.content.decode()
    assert textarea(page, "instruction") == "Half a thought"
    assert [hidden(page, name) for name in ("id", "shown", "active_seconds", "version")] == [
        data["id"],
        data["shown"],
        "12",
        "1",
    ]


def test_older_window_is_told_of_newer_text_and_loses_nothing(signed_in, item):
    data = opened(signed_in, item)
    signed_in.post(address(item, "autosave"), data | {"instruction": "from the phone"}, headers=HTMX)

    desk = data | {"instruction": "from the desk", "tab": "desk"}
    response = signed_in.post(address(item, "autosave"), desk, headers=HTMX)

    page = response.content.decode()
    assert response.status_code == 409
    assert "from the phone" in page
    assert "from the desk" in page
    assert 'id="saved"' in page
    assert "Saved" not in page
    assert Autosave.objects.get().data["instruction"] == "from the phone"
    assert (hidden(page, "version"), hidden(page, "against")) == ("0", "1")


def test_versions_side_by_side_leave_out_a_response_that_nobody_changed(signed_in, item):
    data = opened(signed_in, item, tab="phone", response_edit=item.text.body, instruction="from the phone")
    signed_in.post(address(item, "autosave"), data, headers=HTMX)

    desk = data | {"tab": "desk", "instruction": "from the desk", "response_edit": "Torilla myydään kalaa."}
    page = signed_in.post(address(item, "autosave"), desk, headers=HTMX).content.decode()

    assert re.findall(r'<p class="typed"[^>]*>([^<]*)</p>', page) == [
        "from the desk\n\nTorilla myydään kalaa.",
        "from the phone",
    ]


def test_autosave_after_the_submit_brings_nothing_back(signed_in, item):
    data = opened(signed_in, item, **RATED, decision="accept")
    signed_in.post(address(item), data)

    assert signed_in.post(address(item, "autosave"), data, headers=HTMX).status_code == 204
    assert not Autosave.objects.exists()


def test_autosave_renews_the_lease(signed_in, item):
    data = opened(signed_in, item)
    Slot.objects.update(lease_expires_at=timezone.now() + dt.timedelta(seconds=5))

    signed_in.post(address(item, "autosave"), data, headers=HTMX)

    assert Slot.objects.filter(lease_expires_at__gt=timezone.now() + dt.timedelta(minutes=1)).exists()


# Skipping and empty queues


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_skipped_item_goes_to_others_and_not_back(signed_in, finnish, ilmo, headers):
    first, second = make_items(finnish, 2)
    data = opened(signed_in, first, reason="Too technical for me.")

    response = signed_in.post(address(first, "skip"), data, headers=headers)

    page = response.content.decode() if headers else signed_in.get(response.url).content.decode()
    assert second.public_id in page
    assert Skip.objects.get().reason == "Too technical for me."
    assert queues.claim_next(ilmo, finnish).item == first


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_empty_queue_says_which_it_is(signed_in, finnish, ilmo, headers):
    def said() -> str:
        return signed_in.get("/review/fi/", headers=headers).content.decode()

    assert "Nothing here yet" in said()
    item = make_items(finnish)[0]
    queues.claim_next(ilmo, finnish)
    assert "Others are at work" in said()
    assert re.search(r"(29|30).minutes", said())
    reviewing.submit(ilmo, item, accepting())
    assert "Everything is reviewed" in said()


def test_empty_queue_says_that_the_rest_waits_for_others(signed_in, item):
    signed_in.post(address(item, "skip"), opened(signed_in, item))

    assert "You have seen all that is left" in signed_in.get("/review/fi/").content.decode()


# Home and language pages


def test_visitor_reads_what_this_is(client):
    page = client.get("/").content.decode()

    assert "native speakers" in page
    assert reverse("account_login") in page


def test_annotator_sees_what_waits_and_goes_on(signed_in, finnish, urdu):
    make_items(finnish, 3)

    page = signed_in.get("/").content.decode()

    assert "3 items wait for you" in page
    assert "/review/fi/" in page
    assert "/review/ur/" not in page
    assert "No worker" not in page


def test_person_without_a_role_is_told_so(client, stranger):
    client.force_login(stranger)

    assert "You have no role yet" in client.get("/").content.decode()


def test_maintainer_sees_the_pipeline_and_that_no_worker_runs(client, maintainer, item, queue_is_empty):
    client.force_login(maintainer)

    response = client.get("/")

    row = response.context_data["pipelines"][0]
    assert (row.texts, row.drafted, row.selected, row.waiting, row.accepted) == (1, 1, 1, 1, 0)
    assert "No worker is running" in response.content.decode()


def test_maintainer_of_one_language_sees_that_one(client, finnish, urdu):
    client.force_login(make_user("m@example.org", urdu, role=Role.MAINTAINER))

    assert [row.language for row in client.get("/").context_data["pipelines"]] == [urdu]


def test_home_asks_few_questions_of_the_database(client, maintainer, finnish, urdu, django_assert_max_num_queries):
    make_items(finnish, 3)
    make_items(urdu, 3)
    client.force_login(maintainer)

    with django_assert_max_num_queries(14):
        client.get("/")


def test_guidelines_are_shown_without_their_scripts(signed_in, finnish):
    finnish.guidelines = "# Ohjeet\n\n<script>alert(1)</script> **tärkeää**"
    finnish.save(update_fields=["guidelines"])

    page = signed_in.get("/languages/fi/").content.decode()

    assert "<strong>tärkeää</strong>" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize(("overlap", "words"), [(1, "asks for 1 review; 1 must"), (3, "asks for 3 reviews; 1 must")])
def test_language_page_says_how_many_reviews_an_item_asks_for(signed_in, finnish, overlap, words):
    type(finnish).objects.update(overlap=overlap)

    assert words in signed_in.get(reverse("language", args=["fi"])).content.decode()


def test_annotator_neither_sees_nor_uses_the_selection(signed_in, item, queue_is_empty):
    assert "Select items" not in signed_in.get("/languages/fi/").content.decode()
    assert signed_in.post("/languages/fi/", {"count": "5"}).status_code == 403


@pytest.fixture
def scored_draft(finnish):
    candidate = make_candidate(make_text(finnish))
    Score.objects.create(candidate=candidate, evaluator=candidate.run.model_version, raw=1.0)
    return candidate


def test_nothing_is_selected_into_the_void(client, maintainer, scored_draft, queue_is_empty):
    client.force_login(maintainer)

    page = client.post("/languages/fi/", {"count": "5"}, follow=True).content.decode()

    assert "No worker listens" in page
    assert queued() == []


def test_maintainer_without_scored_drafts_is_told_what_comes_first(client, maintainer, finnish, queue_is_empty):
    client.force_login(maintainer)

    assert "score them first" in client.post("/languages/fi/", {"count": "5"}, follow=True).content.decode()


def test_selection_is_queued_where_a_worker_listens(
    client, maintainer, scored_draft, queue_is_empty, django_capture_on_commit_callbacks
):
    queue = django_rq.get_queue("cpu")
    Worker([queue], connection=queue.connection, name="tests-select").register_birth()
    client.force_login(maintainer)

    with django_capture_on_commit_callbacks(execute=True):
        page = client.post("/languages/fi/", {"count": "5"}, follow=True).content.decode()

    assert "A worker selects now" in page
    assert queued() == [f"select-{scored_draft.text.language_id}"]


def test_selection_puts_texts_before_people_once(scored_draft, finnish):
    Candidate.objects.update(embedding=[1.0] + [0.0] * 383)

    for _ in range(2):
        jobs.select_and_open(finnish.pk, 5, 0)

    assert Item.objects.get().text == scored_draft.text
    assert finnish.rounds.count() == 1


def queued() -> list[str]:
    return django_rq.get_queue("cpu").get_job_ids()


def test_finished_items_leave_no_slot_open(signed_in, item):
    signed_in.post(address(item), opened(signed_in, item, **RATED, decision="accept"))

    item.refresh_from_db()
    assert item.state == ItemState.ACCEPTED
    assert not Slot.objects.filter(state__in=[SlotState.FREE, SlotState.HELD]).exists()


def test_pages_carry_no_inline_script_or_style(signed_in, item):
    pages = [signed_in.get(path).content.decode() for path in ("/", "/review/fi/", "/languages/fi/", "/account/")]

    for page in pages:
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)


def test_admin_shows_reviews_and_changes_none(client, item, aino):
    queues.claim_next(aino, item.language)
    outcome = reviewing.submit(aino, item, accepting())
    root = make_user("root@example.org", None, role=Role.MAINTAINER)
    root.is_staff = root.is_superuser = True
    root.save(update_fields=["is_staff", "is_superuser"])
    client.force_login(root)

    for name in ("item", "slot", "review", "pair", "skip", "autosave"):
        assert client.get(reverse(f"admin:annotation_{name}_changelist")).status_code == 200
    for name in ("user", "language", "membership", "invitation", "event", "acceptance", "contributoragreement"):
        assert client.get(reverse(f"admin:people_{name}_changelist")).status_code == 200
    change = reverse("admin:annotation_review_change", args=[outcome.review.pk])
    assert client.get(change).status_code == 200
    assert client.post(change, {"reason": "x"}).status_code == 403
