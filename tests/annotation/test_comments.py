"""Questions on items: who reads them when, answers, resolving, and no names while an item waits."""

import pytest
from django.urls import reverse

from annotation import comments, queues
from annotation.models import Comment, Item
from tests.factories import accepting, decide, make_items, make_user
from xinstruct_site.people.models import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(urdu):
    return make_user("lead@example.org", urdu, role=Role.LINGUIST)


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
