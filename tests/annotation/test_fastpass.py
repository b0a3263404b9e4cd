"""The fast pass: an opinion per person and instruction, which moves drafts on the card and tells nobody whose it is."""

import re
from html import unescape

import pytest

from annotation import cards, fastpass, queues
from annotation.models import FastOpinion, Item, Review, Slot, SlotState
from tests.factories import make_candidate, make_items, make_user

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def item(finnish) -> Item:
    item = make_items(finnish)[0]
    drafts = [make_candidate(item.text, instruction=f"Draft number {n}.") for n in (1, 2, 3)]
    Item.objects.filter(pk=item.pk).update(candidate_ids=[draft.pk for draft in drafts])
    item.refresh_from_db()
    return item


def asked(page: str) -> str:
    return re.search(r'name="stamp"\s+value="([^"]+)"', page)[1]


def judged(user, item: Item, number: int, *, good: bool) -> None:
    candidate = next(c for c in item.candidates() if c.instruction == f"Draft number {number}.")
    stamp = fastpass.stamp(user, item, candidate)
    fastpass.judge(user, item.language, stamp, good=good, reason="" if good else "vague")


def order(item: Item) -> list[str]:
    return [draft.candidate.instruction[13] for draft in cards.ranked(item)]


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_opinion_is_stored_and_the_next_instruction_comes(signed_in, finnish, item, headers):
    second = make_items(finnish)[0]
    page = signed_in.get("/review/fi/fast/").content.decode()

    answer = signed_in.post("/review/fi/fast/", {"stamp": unescape(asked(page)), "reason": "vague"}, headers=headers)

    opinion = FastOpinion.objects.get()
    assert "Draft number 1." in page
    assert (opinion.item, opinion.good, opinion.reason) == (item, False, "vague")
    following = answer if headers else signed_in.get(answer.url)
    assert second.candidates()[0].instruction in following.content.decode()
    assert not Review.objects.exists()
    assert Slot.objects.filter(state=SlotState.FREE).count() == 2


def test_end_of_the_fast_pass_says_so(signed_in, item, aino):
    judged(aino, item, 1, good=True)

    assert "No more instructions" in signed_in.get("/review/fi/fast/").content.decode()


def test_opinions_move_the_drafts_and_what_all_call_bad_comes_last(finnish, aino, item):
    assert order(item) == ["1", "2", "3"]
    judged(aino, item, 1, good=False)
    assert order(item) == ["2", "3", "1"]
    judged(make_user(language=finnish), item, 3, good=True)
    assert order(item) == ["3", "2", "1"]
    judged(make_user(language=finnish), item, 1, good=True)
    assert order(item) == ["3", "1", "2"]


def test_second_opinion_of_a_person_replaces_the_first(aino, item):
    judged(aino, item, 1, good=False)
    judged(aino, item, 1, good=True)

    assert FastOpinion.objects.get().good
    assert FastOpinion.objects.get().reason == ""


def test_card_starts_from_the_best_draft_and_shows_no_opinion(signed_in, finnish, item):
    judged(make_user(language=finnish), item, 1, good=False)

    page = signed_in.get("/review/fi/").content.decode()

    assert re.search(r'<textarea id="instruction"[^>]*>\s*Draft number 2\.', page)
    assert "is too vague" not in page


@pytest.mark.parametrize("sent", [{"reason": "vague"}, {"reason": "vague", "stamp": "forged"}])
def test_what_nobody_was_asked_is_not_stored(signed_in, item, sent):
    answer = signed_in.post("/review/fi/fast/", sent)

    assert answer.status_code == 409
    assert "out of date" in answer.content.decode()
    assert not FastOpinion.objects.exists()


def test_stamp_of_another_person_is_worth_nothing(signed_in, finnish, item):
    other = make_user(language=finnish)
    stamp = fastpass.stamp(other, item, item.candidates()[0])

    assert signed_in.post("/review/fi/fast/", {"stamp": stamp, "good": "1"}).status_code == 409
    assert not FastOpinion.objects.exists()


@pytest.mark.parametrize("reason", ["", "because"])
def test_bad_needs_one_of_the_reasons(signed_in, item, aino, reason):
    stamp = fastpass.stamp(aino, item, item.candidates()[0])

    answer = signed_in.post("/review/fi/fast/", {"stamp": stamp, "reason": reason})

    assert answer.status_code == 422
    assert not FastOpinion.objects.exists()


@pytest.mark.parametrize("who", ["zara", "stranger"])
def test_other_languages_do_not_exist(client, request, item, who):
    client.force_login(request.getfixturevalue(who))

    assert client.get("/review/fi/fast/").status_code == 404
    assert client.post("/review/fi/fast/", {"good": "1"}).status_code == 404


def test_reviewed_and_skipped_items_are_not_asked_about(signed_in, finnish, item, aino):
    queues.claim_next(aino, finnish)
    queues.skip(aino, item)

    assert fastpass.next_instruction(aino, finnish) is None
