"""Questions on items: who reads them when, answers, resolving, and no names while an item waits."""

import re

import pytest
from django.urls import reverse

from annotation import comments, gold, queues
from annotation.models import Comment, Item
from annotation.taking_down import take_down_contributor
from tests.factories import accepting, decide, make_items, make_user
from xinstruct_site.people.models import Language, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def item(urdu) -> Item:
    return make_items(urdu)[0]


def page(client, user, item: Item) -> str:
    client.force_login(user)
    answer = client.get(reverse("item_questions", args=[item.public_id]))
    return answer.content.decode() if answer.status_code == 200 else ""


def test_reviewer_asks_the_lead_answers_and_both_read_it(client, zara, lead, item, urdu):
    queues.claim_next(zara, urdu)
    client.force_login(zara)
    address = reverse("item_questions", args=[item.public_id])
    client.post(address, {"body": "Is this a <b>rite</b>?\r\n؟"})
    asked = Comment.objects.get()
    assert asked.body == "Is this a <b>rite</b>?\n؟"
    client.force_login(lead)
    shown = client.get(reverse("questions", args=["ur"])).content.decode()
    assert "Is this a &lt;b&gt;rite" in shown
    assert str(zara) not in shown  # while it waits
    client.post(address, {"body": "It is.", "thread": asked.public_id})
    read = page(client, zara, item)
    assert "It is." in read
    assert "A linguist" in read
    client.post(address, {"resolve": "1", "thread": asked.public_id})
    assert "It is." not in client.get(reverse("questions", args=["ur"])).content.decode()
    assert "It is." in client.get(reverse("questions", args=["ur"]) + "?all=1").content.decode()


def test_other_reviewers_read_nothing_before_the_item_is_decided(client, zara, urdu, item):
    comments.say(zara, item, "I think that it is bad.")
    first, second = (review.reviewer for review in decide(item, accepting(), accepting()))
    Item.objects.update(state="open")
    assert "I think" not in page(client, first, item)
    Item.objects.update(state="disputed")
    assert "I think" not in page(client, second, item)
    Item.objects.update(state="accepted")
    assert "I think" in page(client, first, item)
    assert str(zara) not in page(client, first, item)


def test_who_has_nothing_to_do_with_an_item_finds_no_questions(client, urdu, item, stranger):
    for user in (make_user(language=urdu), stranger):
        assert page(client, user, item) == ""


def test_answer_opens_a_resolved_thread_again(zara, lead, item):
    thread = comments.say(zara, item, "Why?")
    assert comments.resolve(lead, thread)
    assert not comments.resolve(lead, thread)
    comments.say(zara, item, "But why?", thread)
    thread.refresh_from_db()
    assert thread.resolved_at is None


def test_reviewer_does_not_resolve_somebody_elses_thread(zara, urdu, item):
    assert not comments.resolve(make_user(language=urdu), comments.say(zara, item, "Why?"))


def test_empty_question_is_refused(client, lead, item):
    client.force_login(lead)
    assert client.post(reverse("item_questions", args=[item.public_id]), {"body": " \n"}).status_code == 422
    assert not Comment.objects.exists()


def send(client, user, item: Item, **sent):
    client.force_login(user)
    return client.post(reverse("item_questions", args=[item.public_id]), sent)


def home(client, user) -> str:
    client.force_login(user)
    return client.get("/").content.decode()


def test_home_tells_leads_what_is_open_and_askers_what_was_answered_until_they_look(client, zara, lead, item, urdu):
    other = make_user(language=urdu)
    thread = comments.say(zara, item, "Why?")
    assert "1 open question" in home(client, lead)
    assert "answered" not in home(client, zara)

    comments.say(lead, item, "Because.", thread)
    assert "1 question of yours was answered" in home(client, zara)
    assert "answered" not in home(client, other)
    client.force_login(zara)
    feed = client.get(reverse("questions", args=["ur"])).content.decode()
    assert "Because." in feed
    assert f"#{thread.public_id}" in feed
    assert "answered" not in home(client, zara)
    comments.say(lead, item, "And so.", thread)
    assert "1 question of yours was answered" in home(client, zara)

    comments.resolve(lead, thread)
    assert "open question" not in home(client, lead)


def test_an_answer_that_stands_in_the_field_goes_with_the_word_resolved(client, zara, lead, item):
    thread = comments.say(zara, item, "Why?")
    send(client, lead, item, thread=thread.public_id, body="Because.", resolve="1")
    thread.refresh_from_db()
    assert thread.resolved_by == lead
    assert thread.answers.get().body == "Because."

    send(client, lead, item, thread=thread.public_id, reopen="1")
    thread.refresh_from_db()
    assert thread.resolved_at is None
    assert not comments.reopen(make_user(language=item.language), thread)


def test_words_are_taken_back_by_who_wrote_them_or_leads_and_come_back_from_who_leads(client, zara, lead, item, urdu):
    thread = comments.say(zara, item, "Something rude.")
    answer = comments.say(lead, item, "Please.", thread)
    assert not comments.hide(make_user(language=urdu), thread)
    send(client, zara, item, thread=thread.public_id, hide=answer.public_id)  # not theirs
    assert "Please." in page(client, zara, item)
    send(client, lead, item, thread=thread.public_id, hide=thread.public_id)
    assert "Something rude." not in page(client, zara, item)
    assert "taken back" in page(client, zara, item)
    assert "Something rude." in page(client, lead, item)
    send(client, zara, item, thread=thread.public_id, show=thread.public_id)
    assert "Something rude." not in page(client, zara, item)
    send(client, lead, item, thread=thread.public_id, show=thread.public_id)
    assert "Something rude." in page(client, zara, item)


def test_words_of_another_thread_are_not_taken_back_through_this_one(client, zara, lead, item, finnish):
    [elsewhere] = make_items(finnish)
    foreign = comments.say(make_user(language=finnish), elsewhere, "Miksi?")
    thread = comments.say(zara, item, "Why?")
    send(client, lead, item, thread=thread.public_id, hide=foreign.public_id)
    foreign.refresh_from_db()
    assert foreign.hidden_at is None


def test_an_answer_to_a_thread_that_is_not_open_to_them_begins_none_and_is_not_lost(client, zara, urdu, item):
    thread = comments.say(zara, item, "Why?")
    [reviewer, _other] = [review.reviewer for review in decide(item, accepting(), accepting())]
    Item.objects.update(state="open")
    answer = send(client, reviewer, item, thread=thread.public_id, body="I know why.")
    assert answer.status_code == 422
    assert "I know why.</textarea>" in answer.content.decode()
    assert Comment.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status"), [("x" * 10_000, 302), ("x" * 10_001, 422), ("\0", 422), ("<script>\u202e" * 9, 302)]
)
def test_what_cannot_be_kept_is_refused_at_the_thread_it_was_written_for(client, lead, item, body, status):
    thread = comments.say(lead, item, "Why?")
    assert send(client, lead, item, thread=thread.public_id, body=body).status_code == status
    assert "<script>\u202e" not in page(client, lead, item)


def test_the_feed_goes_on_to_older_questions(client, lead, item, monkeypatch):
    monkeypatch.setattr(comments, "SHOWN", 2)
    for number in range(5):
        comments.say(lead, item, f"Question {number}.")
    client.force_login(lead)
    address, seen = reverse("questions", args=["ur"]), []
    while address:
        shown = client.get(address).content.decode()
        seen += re.findall(r"Question \d\.", shown)
        more = re.search(r'href="(\?[^"]*)"\s+rel="next"', shown)
        address = reverse("questions", args=["ur"]) + more[1] if more else ""
    assert seen == [f"Question {number}." for number in (4, 3, 2, 1, 0)]


def test_a_question_on_a_copy_of_gold_leads_to_the_gold_and_tells_who_asked_nothing(client, urdu, lead):
    [known] = make_items(urdu)
    decide(known, accepting(), accepting())
    make_user(language=urdu)
    Language.objects.update(gold_share=50)
    gold.make(known, lead)
    make_items(urdu, 2)
    copy = Item.objects.filter(gold__isnull=False).first()
    asker = make_user(language=urdu)
    queues.claim_again(asker, copy)
    send(client, asker, copy, body="What is meant?")
    own = page(client, asker, copy)
    assert "What is meant?" in own
    assert "gold" not in own

    client.force_login(lead)
    feed = client.get(reverse("questions", args=["ur"])).content.decode()
    [address] = re.findall(r'href="(/items/[^"]*/questions/)#', feed)
    assert address == reverse("item_questions", args=[known.public_id])
    assert "Asked on a copy of this gold" in client.get(address).content.decode()
    assert client.get(reverse("item_questions", args=[copy.public_id])).url == address
    client.post(address, {"thread": Comment.objects.get().public_id, "body": "A market."})
    assert "A market." in page(client, asker, copy)


def test_a_contributors_take_down_takes_their_questions_too(zara, lead, item):
    thread = comments.say(zara, item, "My name is Zara.")
    comments.say(lead, item, "Welcome.", thread)
    take_down_contributor(zara)
    thread.refresh_from_db()
    assert (thread.body, thread.hidden_at is None) == ("", False)
    assert thread.answers.get().body == "Welcome."


def test_the_feed_of_many_askers_takes_few_queries(client, lead, urdu, django_assert_max_num_queries):
    for item in make_items(urdu, 12):
        thread = comments.say(make_user(language=urdu), item, "Why?")
        comments.say(make_user(language=urdu, role=Role.LINGUIST), item, "Because.", thread)
    client.force_login(lead)
    with django_assert_max_num_queries(12):
        assert client.get(reverse("questions", args=["ur"])).content.decode().count("A linguist") == 12
