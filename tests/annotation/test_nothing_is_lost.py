"""What becomes of typed words on every way but the straight one: two devices, undo, skip, a queue in a browser."""

import datetime as dt
import json
import re
import unicodedata

import pytest
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation import freezing, queues, reviewing
from annotation.models import Autosave, Item, Pair, Review, Slot, SlotState
from tests.annotation.test_review_pages import HTMX, RATED, address, hidden, opened, textarea
from tests.factories import accepting, make_candidate, make_items, make_text, make_user, rejecting
from xinstruct_site.people.models import ContributorAgreement

pytestmark = pytest.mark.django_db

BODY = "Etusivu | Uutiset\n\nTorilla 👩‍👩‍👧 myydään kalaa.\n\nPäivä päättyy.\n\nJaa tämä"


@pytest.fixture
def item(finnish) -> Item:
    return make_items(finnish, texts=[make_text(finnish, BODY)])[0]


def undo(client, **data: str):
    review = Review.objects.standing().latest("submitted_at")
    return client.post(reverse("undo", args=[review.item.language.code, review.pk]), data)


# Two devices


@pytest.fixture
def two_devices(signed_in, item):
    """What the desk would send, after the phone has saved something else."""
    desk = opened(signed_in, item, **RATED, decision="accept", instruction="From the desk.", reason="Desk's reason")
    phone = opened(signed_in, item, instruction="From the phone.", overall="3")
    assert signed_in.post(address(item, "autosave"), phone, headers=HTMX).status_code == 200
    return desk


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_submit_throws_no_newer_words_of_another_device_away(signed_in, item, two_devices, headers):
    for _ in range(2):  # pressing the button again is no choice
        answer = signed_in.post(address(item), two_devices, headers=headers)
        page = answer.content.decode()
        assert answer.status_code == 409
        assert textarea(page, "instruction") == "From the desk."
        assert "From the phone." in page
        two_devices |= {"version": hidden(page, "version")}
    assert not Review.objects.exists()
    assert Autosave.objects.get().data["instruction"] == "From the phone."


@pytest.mark.parametrize(("which", "other"), [("mine", "phone"), ("theirs", "desk")])
def test_chosen_version_goes_on_and_the_other_stays_on_the_card(signed_in, item, two_devices, which, other):
    page = signed_in.post(address(item), two_devices).content.decode()
    against = {"against": hidden(page, "against")}

    card = signed_in.post(address(item), two_devices | against | {"keep": which}).content.decode()
    reloaded = signed_in.get(address(item)).content.decode()

    chosen = "From the desk." if which == "mine" else "From the phone."
    for shown in (card, reloaded):
        assert textarea(shown, "instruction") == chosen
        assert f"From the {other}." in textarea(shown, "set_aside")
    signed_in.post(
        address(item), two_devices | {"version": hidden(card, "version"), "instruction": textarea(card, "instruction")}
    )
    assert Review.objects.get().instruction == chosen
    assert not Autosave.objects.exists()


def test_third_version_that_came_while_choosing_is_asked_about_again(signed_in, item, two_devices):
    page = signed_in.post(address(item), two_devices).content.decode()
    later = opened(signed_in, item, instruction="From the tablet.")
    signed_in.post(address(item, "autosave"), later)

    answer = signed_in.post(address(item), two_devices | {"keep": "mine", "against": hidden(page, "against")})

    assert answer.status_code == 409
    assert "From the tablet." in answer.content.decode()
    assert Autosave.objects.get().data["instruction"] == "From the tablet."


def test_page_goes_on_where_only_the_answer_was_lost(signed_in, item):
    page = opened(signed_in, item)
    signed_in.post(address(item, "autosave"), page | {"instruction": "First", "turn": "1"})

    second = signed_in.post(address(item, "autosave"), page | {"instruction": "First and second", "turn": "2"})
    late = signed_in.post(address(item, "autosave"), page | {"instruction": "Fir", "turn": "0"})
    sent = signed_in.post(address(item), page | RATED | {"decision": "accept", "instruction": "All of it", "turn": "3"})

    assert (second.status_code, late.status_code, sent.status_code) == (200, 409, 302)
    assert Review.objects.get().instruction == "All of it"


def test_reload_is_a_page_of_its_own(signed_in, item):
    first, second = opened(signed_in, item), opened(signed_in, item)

    assert first["tab"] != second["tab"]


@pytest.mark.parametrize("way", ["missing rating", "taken", "agreement"])
def test_refused_submit_is_unsent_work(signed_in, item, ilmo, way):
    data = opened(signed_in, item, **RATED, decision="accept", instruction="Two hours of thought.")
    if way == "missing rating":
        del data["overall"]
    elif way == "taken":
        Slot.objects.update(lease_expires_at=timezone.now() - dt.timedelta(hours=1))
        queues.claim_next(ilmo, item.language)
    else:
        ContributorAgreement.objects.create(version=2, body="More.")

    assert signed_in.post(address(item), data).status_code in {409, 422}
    assert Autosave.objects.get().data["instruction"] == "Two hours of thought."


def test_unsent_work_opens_its_item_after_the_lease_is_gone(signed_in, client, item, ilmo):
    signed_in.post(address(item, "autosave"), opened(signed_in, item, instruction="Mine."))
    Slot.objects.update(lease_expires_at=timezone.now() - dt.timedelta(hours=1))
    queues.claim_next(ilmo, item.language)

    assert textarea(signed_in.get(address(item)).content.decode(), "instruction") == "Mine."
    client.force_login(make_user(language=item.language))
    assert client.get(address(item)).status_code == 404


def test_skipped_item_keeps_what_was_typed_and_nothing_where_nothing_was(signed_in, finnish, item):
    second = make_items(finnish)[0]
    signed_in.post(address(item, "skip"), opened(signed_in, item, instruction="Half a thought"))
    untouched = opened(signed_in, second) | {"instruction": second.candidates()[0].instruction}
    signed_in.post(address(second, "skip"), untouched)

    assert Autosave.objects.get().data["instruction"] == "Half a thought"


EVERYTHING = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=300)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mine=EVERYTHING, theirs=EVERYTHING, form=st.sampled_from(["NFC", "NFD", None]), times=st.sampled_from([1, 1, 400])
)
def test_conflicts_keep_every_character(signed_in, item, mine, theirs, form, times):
    mine, theirs = mine * times, theirs * times
    if form:
        mine, theirs = unicodedata.normalize(form, mine), unicodedata.normalize(form, theirs)
    Autosave.objects.all().delete()
    desk = opened(signed_in, item, **RATED, decision="accept", instruction="x" + mine)
    phone = opened(signed_in, item, instruction="y" + theirs)
    signed_in.post(address(item, "autosave"), phone)

    refused = signed_in.post(address(item), desk)
    chosen = signed_in.post(address(item), desk | {"keep": "theirs", "against": "1"})

    assert refused.status_code == 409
    assert textarea(refused.content.decode(), "instruction") == "x" + mine
    saved = Autosave.objects.get().data
    assert (saved["instruction"], saved["set_aside"]) == ("y" + theirs, f"x{mine}")
    assert textarea(chosen.content.decode(), "set_aside") == "x" + mine


# Undo


def test_undo_brings_the_card_back_with_all_its_words(signed_in, finnish, item):
    second = make_items(finnish)[0]
    start = BODY.index("Torilla")
    kept = {"start": start, "end": len(BODY), "quote": BODY[start:]}
    data = opened(
        signed_in, item, **RATED, decision="accept", instruction="Mine.", input="Given.", reason="Because.",
        spans=json.dumps([kept]), response_edit="Torilla myydään mustikoita.", flags="harmful", note_harmful="Look.",
    )  # fmt: skip
    following = signed_in.get(signed_in.post(address(item), data).url).content.decode()
    assert "Sent: accepted" in following
    assert second.public_id in following

    page = signed_in.get(undo(signed_in).url).content.decode()

    assert hidden(page, "at") == item.public_id
    assert [textarea(page, name) for name in ("instruction", "input", "reason", "response_edit")] == [
        "Mine.", "Given.", "Because.", "Torilla myydään mustikoita.",
    ]  # fmt: skip
    assert json.loads(hidden(page, "spans")) == [kept]
    assert re.search(r'id="flag-harmful"[^>]*checked', page)
    assert re.search(r'id="rating_instruction-5"[^>]*checked', page)
    assert 'value="Look."' in page
    assert hidden(page, "id") != data["id"]
    assert not Review.objects.standing().exists()

    again = data | {name: hidden(page, name) for name in ("id", "shown", "version", "tab")}
    assert signed_in.post(address(item), again | {"instruction": "Better."}).status_code == 302
    assert Review.objects.standing().get().instruction == "Better."


def test_undo_by_htmx_answers_with_the_card(signed_in, item):
    signed_in.post(address(item), opened(signed_in, item, decision="reject", reason="No."), headers=HTMX)
    review = Review.objects.get()

    answer = signed_in.post(reverse("undo", args=["fi", review.pk]), headers=HTMX)

    assert answer.headers["HX-Replace-Url"] == address(item)
    assert textarea(answer.content.decode(), "reason") == "No."


def test_undo_from_another_card_keeps_that_cards_words(signed_in, finnish, item):
    second = make_items(finnish)[0]
    signed_in.post(address(item), opened(signed_in, item, decision="reject", reason="No."))
    here = opened(signed_in, second, instruction="Just begun", at=second.public_id)

    undo(signed_in, **here)

    assert Autosave.objects.get(item=second).data["instruction"] == "Just begun"


def test_undo_is_offered_at_the_end_of_the_queue(signed_in, item):
    answer = signed_in.post(
        address(item), opened(signed_in, item, decision="reject", reason="No."), headers=HTMX
    ).content.decode()

    assert "Sent: rejected" in answer
    assert reverse("undo", args=["fi", Review.objects.get().pk]) in answer


def test_what_is_in_a_release_is_not_undone(signed_in, item, maintainer):
    signed_in.post(address(item), opened(signed_in, item, **RATED, decision="accept"))
    freezing.build_release("v1", [item.language], maintainer)

    answer = signed_in.post(reverse("undo", args=["fi", Review.objects.get().pk]), follow=True)

    assert "part of a release" in answer.content.decode()
    assert Review.objects.standing().exists()


def test_nobody_undoes_anothers_review(signed_in, item, ilmo):
    queues.claim_next(ilmo, item.language)
    reviewing.submit(ilmo, item, accepting())

    assert undo(signed_in).status_code == 404
    assert Review.objects.standing().exists()


def test_old_reviews_are_not_offered_for_undoing(signed_in, finnish, item):
    make_items(finnish)
    signed_in.post(address(item), opened(signed_in, item, decision="reject", reason="No."))
    Review.objects.update(submitted_at=timezone.now() - dt.timedelta(hours=2))

    assert "Sent: rejected" not in signed_in.get("/review/fi/").content.decode()


# What a browser kept while offline


def test_replay_is_answered_with_nothing_and_stored_once(signed_in, item):
    data = opened(signed_in, item, **RATED, decision="accept") | {"replay": "1"}

    assert [signed_in.post(address(item), data).status_code for _ in range(3)] == [204] * 3
    assert Review.objects.count() == 1


def test_refused_replay_says_why_in_words(signed_in, item, ilmo):
    data = opened(signed_in, item, **RATED, decision="accept", instruction="Kept.") | {"replay": "1"}
    missing = signed_in.post(address(item), data | {"overall": ""})
    Slot.objects.update(lease_expires_at=timezone.now() - dt.timedelta(hours=1))
    queues.claim_next(ilmo, item.language)
    taken = signed_in.post(address(item), data)
    extra = signed_in.post(address(item), data | {"extra": "accept"})

    assert (missing.status_code, missing.json()["message"]) == (422, "Choose 1 to 5.")
    assert (taken.status_code, taken.json()["conflict"]) == (409, "taken")
    assert "extra review" in taken.json()["message"]
    assert extra.status_code == 204
    assert Review.objects.get().slot is None


def test_sender_says_who_is_signed_in_and_gives_a_token(client, aino):
    assert client.get(reverse("sender")).json() == {"user": None}
    client.force_login(aino)

    said = client.get(reverse("sender")).json()

    assert said["user"] == aino.public_id
    assert len(said["token"]) == 64


# Which parts of the text are the response


def ticked(page: str) -> dict[str, bool]:
    boxes = re.findall(r'<input type="checkbox"\s+name="part"[^>]*>', page)
    return {re.search(r'value="([^"]+)"', box)[1]: "checked" in box for box in boxes}


def test_parts_are_ticked_without_javascript(signed_in, item):
    page = signed_in.get("/review/fi/").content.decode()
    keys = list(ticked(page))
    data = opened(signed_in, item, **RATED, decision="accept") | {"parts_shown": hidden(page, "parts_shown")}

    shown = signed_in.post(address(item), data | {"part": keys[1:3], "use": "parts"}).content.decode()
    signed_in.post(address(item), data | {"part": keys[1:3]})

    assert list(ticked(page).values()) == [True] * 4
    assert list(ticked(shown).values()) == [False, True, True, False]
    body = re.search(r'<div class="body.*?</div>', shown, re.DOTALL)[0]
    assert re.findall(r"<del>([^<]*)</del>", body) == ["Etusivu | Uutiset\n\n", "\n\nJaa tämä"]
    assert Review.objects.get().spans == json.loads(hidden(shown, "spans"))
    assert Pair.objects.get().response() == "Torilla 👩‍👩‍👧 myydään kalaa.\n\nPäivä päättyy."


def test_something_of_the_text_must_be_kept(signed_in, item):
    page = signed_in.get("/review/fi/").content.decode()
    data = opened(signed_in, item, **RATED, decision="accept") | {"parts_shown": hidden(page, "parts_shown")}

    answer = signed_in.post(address(item), data)

    assert answer.status_code == 422
    assert "Keep at least one part" in answer.content.decode()


@pytest.mark.parametrize(
    "spans",
    [
        "{", "[[[[", "7", '[{"start": 0}]', '[{"start": 0, "end": 7, "quote": "etusivu"}]',
        '[{"start": 0, "end": 9999, "quote": "Etusivu"}]', "[" * 5000,
    ],
)  # fmt: skip
def test_parts_that_the_text_does_not_have_are_refused(signed_in, item, spans):
    answer = signed_in.post(address(item), opened(signed_in, item, **RATED, decision="accept", spans=spans))

    assert answer.status_code == 422
    assert "art" in answer.content.decode()
    assert not Review.objects.exists()


def test_all_of_the_text_is_put_back(signed_in, item):
    spans = json.dumps([{"start": 0, "end": 7, "quote": "Etusivu"}])

    page = signed_in.post(address(item), opened(signed_in, item, spans=spans, use="whole")).content.decode()

    assert hidden(page, "spans") == ""
    assert all(ticked(page).values())


def test_edit_of_the_response_stands_beside_the_original(signed_in, item):
    data = opened(signed_in, item, **RATED, decision="accept")
    page = signed_in.post(address(item), data | {"use": "response"}).content.decode()
    edit = textarea(page, "response_edit").replace("kalaa", "marjoja")

    saved = signed_in.post(address(item, "autosave"), data | {"response_edit": edit}, headers=HTMX).content.decode()
    signed_in.post(address(item), data | {"response_edit": edit})

    assert textarea(page, "response_edit") == BODY
    assert "<del>kalaa</del><ins>marjoja</ins>" in saved
    assert Review.objects.get().response_edit == edit
    item.text.refresh_from_db()
    assert item.text.body == BODY


def test_response_field_that_says_what_the_text_says_is_no_edit(signed_in, item):
    data = opened(signed_in, item, **RATED, decision="accept", response_edit=BODY.replace("\n", "\r\n"))
    signed_in.post(address(item), data)

    assert Review.objects.get().response_edit is None


def test_wording_of_a_tie_break_brings_its_parts_and_its_edit(signed_in, item):
    draft = make_candidate(item.text, instruction="Draft.")
    span = {"start": 0, "end": 7, "quote": "Etusivu"}
    Slot.objects.update(
        wordings=[
            {"candidate": draft.pk, "instruction": "Trimmed.", "input": "", "response_edit": None, "spans": [span]},
            {"candidate": None, "instruction": "Edited.", "input": "", "response_edit": "Muutettu.", "spans": []},
        ]
    )
    page = signed_in.get("/review/fi/").content.decode()
    key = re.search(r'value="(w\d)"\s+data-instruction="Trimmed\."', page)[1]
    data = opened(signed_in, item, **RATED, decision="accept")

    chosen = signed_in.post(address(item), data | {"use": key}).content.decode()
    names = ("loaded", "spans")
    signed_in.post(
        address(item),
        data | {name: hidden(chosen, name) for name in names} | {"choice": key, "instruction": "Trimmed."},
    )

    assert 'data-response="Muutettu."' in page
    assert Review.objects.get().spans == [span]
    assert Review.objects.get().candidate == draft


def test_withdrawn_rejection_is_unsent_work_again(finnish, aino, item):
    queues.claim_next(aino, finnish)
    review = reviewing.submit(aino, item, rejecting("A menu.")).review
    reviewing.withdraw(aino, review)

    assert Autosave.objects.get().data["reason"] == "A menu."
    assert Slot.objects.get().state == SlotState.HELD
