"""Texts in the wrong language move to the right one's queue when those who rejected them agree; varieties are tags."""

import re

import pytest
from django.urls import reverse

from annotation import comments, queues, reviewing, tallies
from annotation.models import Autosave, Flag, Item, ItemState, Pair, Review, SlotState
from annotation.submissions import InvalidReview
from generation import curation
from generation.models import ARRIVALS, EMBEDDING_DIMENSIONS, Candidate, Round, Score, Task, Text
from tests.factories import (
    accepting,
    make_candidate,
    make_items,
    make_language,
    make_model_version,
    make_text,
    make_user,
    rejecting,
)
from xinstruct_site.people.models import Event, EventKind, Language, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def hindi(db) -> Language:
    return make_language("hi")


@pytest.fixture
def item(urdu) -> Item:
    text = make_text(urdu, "मंडी में आम बिकते हैं। " * 9, url="https://example.org/aam", variety="Dakhini")
    return make_items(urdu, texts=[text])[0]


def wrong(language: Language | None, note: str = "") -> dict:
    return {"flags": {Flag.WRONG_LANGUAGE: note}, "relabel": language}


def decide(user, item: Item, submission) -> Review:
    queues.claim_again(user, item)
    return reviewing.submit(user, item, submission).review


def in_queue(language: Language) -> list[Item]:
    return list(Item.objects.filter(language=language, state=ItemState.OPEN))


def test_text_that_all_who_rejected_it_place_elsewhere_waits_there_with_its_drafts(zara, omar, item, hindi):
    decide(zara, item, rejecting(**wrong(hindi)))
    assert in_queue(hindi) == []
    decide(omar, item, rejecting(**wrong(hindi)))

    [moved] = in_queue(hindi)
    assert (moved.text.body, moved.text.url) == (item.text.body, item.text.url)
    assert (moved.text.relabelled_from, moved.text.variety) == (item.text, "")
    assert moved.candidate_ids == item.candidate_ids
    assert (moved.overlap, moved.slots.count(), moved.round.number) == (hindi.overlap, hindi.overlap, ARRIVALS)
    item.refresh_from_db()
    assert (item.state, item.reviews.count(), item.text.language.code) == (ItemState.REJECTED, 2, "ur")
    events = Event.objects.filter(kind=EventKind.ITEM_RELABELLED)
    assert {(event.subject_id, event.language.code) for event in events} == {(item.pk, "ur"), (moved.pk, "hi")}


def test_maintainers_find_the_drafts_and_the_round_of_a_text_that_moved(client, maintainer, zara, omar, item, hindi):
    for person in (zara, omar):
        decide(person, item, rejecting(**wrong(hindi)))
    client.force_login(maintainer)

    page = client.get(reverse("text", args=[Text.objects.get(language=hindi).public_id])).content.decode()
    assert item.candidates()[0].instruction in page
    assert client.get(reverse("round", args=["hi", ARRIVALS])).status_code == 200


def test_moved_item_is_reviewed_from_its_drafts_like_any_other(client, zara, omar, item, hindi):
    for person in (zara, omar):
        decide(person, item, rejecting(**wrong(hindi)))
    asha = make_user("asha@example.org", hindi)
    client.force_login(asha)

    page = client.get(reverse("review", args=["hi"]))
    assert item.candidates()[0].instruction in page.content.decode()
    [moved] = in_queue(hindi)
    outcome = reviewing.submit(asha, moved, accepting(candidate=item.candidates()[0]))
    assert outcome.counted


@pytest.mark.parametrize("second", ["another", "unsaid", "unflagged"])
def test_text_stays_where_those_who_rejected_it_do_not_agree(zara, omar, item, hindi, finnish, second):
    decide(zara, item, rejecting(**wrong(hindi)))
    said = {"another": wrong(finnish), "unsaid": wrong(None, "Hindi"), "unflagged": {}}[second]
    decide(omar, item, rejecting(**said))

    item.refresh_from_db()
    assert item.state == ItemState.REJECTED
    assert in_queue(hindi) == []
    assert not Text.objects.exclude(relabelled_from=None).exists()


def test_accepted_text_goes_nowhere(zara, omar, item, hindi):
    for person in (zara, omar):
        decide(person, item, accepting(**wrong(hindi)))

    assert in_queue(hindi) == []


def test_second_text_of_the_same_language_takes_the_next_place_in_its_round(zara, omar, urdu, item, hindi):
    for one in (item, *make_items(urdu, 2)):
        for person in (zara, omar):
            decide(person, one, rejecting(**wrong(hindi)))

    arrivals = Round.objects.get(language=hindi)
    assert list(arrivals.selections.values_list("rank", flat=True)) == [1, 2, 3]
    assert len(in_queue(hindi)) == 3


def test_text_that_waits_there_already_is_not_doubled(zara, omar, item, hindi):
    [there] = make_items(hindi, texts=[make_text(hindi, item.text.body)])
    for person in (zara, omar):
        decide(person, item, rejecting(**wrong(hindi)))

    assert in_queue(hindi) == [there]
    assert Event.objects.filter(kind=EventKind.ITEM_RELABELLED, subject_id=there.pk).exists()


def test_second_thoughts_take_the_move_back(zara, omar, item, hindi):
    decide(zara, item, rejecting(**wrong(hindi)))
    review = decide(omar, item, rejecting(**wrong(hindi)))

    reviewing.withdraw(omar, review)
    item.refresh_from_db()
    assert item.state == ItemState.OPEN
    assert (in_queue(hindi), Text.objects.filter(language=hindi).count()) == ([], 0)
    assert Autosave.objects.get(item=item).data["relabel"] == "hi"

    decide(omar, item, rejecting(**wrong(hindi)))
    assert len(in_queue(hindi)) == 1


def test_what_people_there_have_begun_on_is_not_taken_from_them(zara, omar, item, hindi):
    decide(zara, item, rejecting(**wrong(hindi)))
    review = decide(omar, item, rejecting(**wrong(hindi)))
    slot = queues.claim_next(make_user(language=hindi), hindi)

    reviewing.withdraw(omar, review)

    slot.refresh_from_db()
    assert slot.state == SlotState.HELD
    assert in_queue(hindi) == [slot.item]


def test_variety_that_all_name_is_on_text_and_pair_until_taken_back(zara, omar, item, urdu):
    decide(zara, item, accepting(**wrong(urdu, "Rekhta")))
    review = decide(omar, item, accepting(**wrong(urdu, " rekhta ")))

    pair = Pair.objects.current().get()
    assert pair.variety.casefold() == "rekhta"
    assert Text.objects.get().variety == pair.variety

    reviewing.withdraw(omar, review)
    assert Text.objects.get().variety == "Dakhini"


def test_varieties_that_differ_stay_notes(zara, omar, item, urdu):
    decide(zara, item, accepting(**wrong(urdu, "Rekhta")))
    decide(omar, item, accepting(**wrong(urdu, "Lucknow")))

    assert Pair.objects.current().get().variety == Text.objects.get().variety == "Dakhini"


@pytest.mark.parametrize(("note", "message"), [(" ", "Name the variety"), ("x" * 81, "at most 80")])
def test_variety_needs_a_name_of_its_own(zara, item, urdu, note, message):
    with pytest.raises(InvalidReview, match=message):
        decide(zara, item, accepting(**wrong(urdu, note)))


def test_language_is_chosen_on_the_card_kept_while_unsent_and_stored(client, zara, item, hindi):
    client.force_login(zara)
    address = reverse("review_item", args=["ur", item.public_id])
    client.get(reverse("review", args=["ur"]))
    page = client.get(address)
    form = page.context["form"]
    data = {"id": form["id"].value(), "shown": form["shown"].value(), "flags": "wrong_language", "relabel": "hi"}

    client.post(reverse("autosave", args=["ur", item.public_id]), data | {"version": 0})
    assert re.search(r'<option value="hi"\s+selected>', client.get(address).content.decode())
    client.post(address, data | {"decision": "reject", "reason": "It is Hindi.", "version": 1})

    assert Review.objects.get().relabel == hindi


def test_language_without_its_flag_says_nothing(zara, item, hindi):
    assert decide(zara, item, rejecting(relabel=hindi)).relabel is None


def test_language_that_is_not_here_is_refused_with_a_message(client, zara, item):
    client.force_login(zara)
    address = reverse("review_item", args=["ur", item.public_id])
    client.get(reverse("review", args=["ur"]))
    form = client.get(address).context["form"]
    sent = {"id": form["id"].value(), "shown": form["shown"].value(), "flags": "wrong_language", "relabel": "xx"}

    answer = client.post(address, sent | {"decision": "reject", "reason": "No."})

    assert answer.status_code == 422
    assert "not one of the available choices" in answer.content.decode()


def test_rounds_of_ones_own_begin_at_one_whatever_has_arrived(zara, omar, item, hindi):
    for person in (zara, omar):
        decide(person, item, rejecting(**wrong(hindi)))

    with pytest.raises(curation.NothingToSelect):
        curation.select(hindi, target=1)
    Score.objects.create(candidate=embedded(hindi), evaluator=make_model_version(task=Task.SCORE), raw=0.5)
    assert curation.select(hindi, target=1).number == 1


def test_who_leads_the_other_language_reads_what_was_said_of_it_where_it_came_from(client, zara, omar, item, hindi):
    for person in (zara, omar):
        decide(person, item, rejecting(f"Hindi, says {person.email}.", **wrong(hindi)))
    [moved] = in_queue(hindi)
    client.force_login(make_user(language=hindi, role=Role.LINGUIST))
    page = client.get(reverse("item", args=[moved.public_id])).content.decode()
    assert "Hindi, says zara" in page
    assert "Reviews in Urdu, which do not count here" in page
    assert str(zara) not in page.replace("says zara@example.org", "")

    asha = make_user("asha@example.org", hindi)
    decide(asha, moved, accepting())
    client.force_login(asha)
    assert "Hindi, says" not in client.get(reverse("item", args=[moved.public_id])).content.decode()
    assert moved.reviews.count() == 1


@pytest.mark.parametrize("overlap", [1, 3])
def test_the_other_languages_policy_holds_and_its_goal_counts_it(zara, omar, item, overlap):
    bengali = make_language("bn", overlap=overlap, quorum=overlap, linguists_only=True)
    for person in (zara, omar):
        decide(person, item, rejecting(**wrong(bengali)))
    [moved] = in_queue(bengali)
    assert list(moved.slots.values_list("for_linguists", flat=True)) == [True] * overlap
    with pytest.raises(queues.QueueEmpty):
        queues.claim_next(make_user(language=bengali), bengali)
    for _ in range(overlap):
        lead = make_user(language=bengali, role=Role.LINGUIST)
        assert queues.claim_next(lead, bengali).item == moved
        reviewing.submit(lead, moved, accepting())
    assert queues.progress(lead, bengali).language_accepted == 1
    assert queues.progress(zara, item.language).language_accepted == 0
    assert tallies.recount() == []


def test_a_question_that_was_asked_there_keeps_the_item_there(zara, omar, item, hindi):
    decide(zara, item, rejecting(**wrong(hindi)))
    review = decide(omar, item, rejecting(**wrong(hindi)))
    [moved] = in_queue(hindi)
    comments.say(make_user(language=hindi, role=Role.LINGUIST), moved, "Is this ours?")

    reviewing.withdraw(omar, review)

    assert in_queue(hindi) == [moved]


def test_text_of_a_language_that_is_not_here_waits_as_a_note_and_moves_once_it_is(client, zara, omar, item, urdu):
    for person in (zara, omar):
        decide(person, item, rejecting(**wrong(None, "Bangla")))
    lead = make_user(language=urdu, role=Role.LINGUIST)
    client.force_login(lead)
    found = client.get(reverse("items"), {"language": "ur", "flag": "wrong_language", "state": "rejected"})
    assert item.public_id in found.content.decode()
    address = reverse("relabel", args=[item.public_id])
    assert client.post(address, {"language": "bn"}).status_code == 422

    bengali = make_language("bn")
    assert client.post(address, {"language": "bn"}).status_code == 302
    assert [moved.text.body for moved in in_queue(bengali)] == [item.text.body]


def test_a_text_that_the_other_language_decided_on_is_not_said_to_wait_there(client, zara, omar, item, hindi, urdu):
    [there] = make_items(hindi, texts=[make_text(hindi, item.text.body)])
    Item.objects.filter(pk=there.pk).update(state=ItemState.REJECTED)
    for person in (zara, omar):
        decide(person, item, rejecting())
    client.force_login(make_user(language=urdu, role=Role.LINGUIST))
    answer = client.post(reverse("relabel", args=[item.public_id]), {"language": "hi"})
    assert answer.status_code == 422
    assert "decided on this text already" in answer.content.decode()
    assert not Event.objects.filter(kind=EventKind.ITEM_RELABELLED).exists()


def embedded(language: Language) -> Candidate:
    return make_candidate(make_text(language), embedding=[0.1] * EMBEDDING_DIMENSIONS)
