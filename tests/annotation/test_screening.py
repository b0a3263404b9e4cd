"""Entry, rolling accuracy, pauses and talks: who is asked to stop, what they are told, and how they come back."""

import pytest
from django.urls import reverse

from annotation import gold, practice, queues, reviewing, screening
from annotation.models import Pause, PauseReason, Review
from annotation.practice import Sketch
from tests.factories import accepting, decide, make_items, make_language, make_user, rejecting
from xinstruct_site.people.models import Language, Role, User


@pytest.fixture
def language(db):
    return make_language("ur", gold_share=50, overlap=1, quorum=1)


@pytest.fixture
def lead(language):
    return make_user("lead@example.org", language, role=Role.LINGUIST)


@pytest.fixture
def zara(language):
    return make_user("zara@example.org", language)


@pytest.fixture
def copies(language, lead, zara):
    """Eight known answers, each with a copy among eight items that wait."""
    items = make_items(language, 8)
    for item in items:
        decide(item, accepting())
    for item in items:
        gold.make(item, lead)
    make_items(language, 8)
    return [item.copies.first() for item in gold.Gold.objects.all()]


def say(user, items, sent):
    for item in items:
        queues.claim_again(user, item)
        reviewing.submit(user, item, sent())


def again(user):
    return User.objects.get(pk=user.pk)


def test_who_is_wrong_again_and_again_is_paused_once_and_who_is_right_is_not(language, zara, copies):
    say(zara, copies[:2], rejecting)
    assert screening.look(language) == []
    say(zara, copies[2:5], rejecting)
    assert Pause.objects.count() == 0  # never by the submit itself
    [paused] = screening.look(language)
    assert (paused.user, paused.right, paused.answers, paused.reason) == (zara, 0, 5, PauseReason.GOLD)
    assert screening.look(language) == []
    assert again(zara).is_paused(language)


def test_who_is_right_goes_on(language, zara, copies):
    say(zara, copies, accepting)
    assert screening.look(language) == []
    [person] = screening.people_on_gold(language)
    assert (person.right, person.answers, person.share) == (8, 8, 1.0)
    assert 0.6 < person.low < 0.7


def test_a_paused_person_reads_why_and_loses_nothing_and_a_linguist_lifts_it_with_a_note(
    client, language, lead, zara, copies
):
    say(zara, copies[:5], rejecting)
    held = queues.claim_next(zara, language).item
    screening.look(language)
    client.force_login(zara)
    answer = client.get("/review/ur/")
    assert answer.status_code == 302
    page = client.get(answer.url).content.decode()
    assert "Let us talk first" in page
    assert "lead@example.org" in page
    assert client.get("/review/ur/", headers={"HX-Request": "true"}).headers["HX-Redirect"] == answer.url
    reviewing.submit(again(zara), held, accepting())  # what was begun is taken
    assert Review.objects.filter(reviewer=zara).count() == 6
    [paused] = Pause.objects.all()
    talk = reverse("talk", args=["ur", paused.pk])
    assert client.get(talk).status_code == 404
    assert client.post(talk, {"note": "I am fine."}).status_code == 404
    client.post(answer.url)  # it does not lift itself
    assert client.get("/review/ur/").url == answer.url
    client.force_login(lead)
    page = client.get(talk).content.decode()
    assert "otherwise" in page
    assert client.post(talk, {"note": " "}).status_code == 422
    assert client.post(talk, {"note": "Menus are no answers."}).status_code == 302
    client.force_login(zara)
    read = client.get("/review/ur/").url
    assert "Menus are no answers." in client.get(read).content.decode()
    assert client.post(read).url == "/review/ur/"
    assert client.get("/review/ur/").status_code == 200
    paused.refresh_from_db()
    assert (paused.lifted_by, paused.note) == (lead, "Menus are no answers.")
    assert screening.look(language) == []  # she begins anew
    assert client.get(reverse("paused", args=["ur"])).status_code == 302


def test_a_pause_in_one_language_is_none_in_another(language, zara, copies):
    say(zara, copies[:5], rejecting)
    screening.look(language)
    assert not again(zara).is_paused(make_language("fi"))


def practise(client, language, lead, right):
    for number in range(10):
        sketch = Sketch(f"Describe {number}.", "accept", 4, "Because.", body=f"A text of {number} to practise on.")
        practice.make_lesson(language, sketch, made_by=lead)
    make_items(language, 2)
    assert client.get("/review/ur/").url == "/practice/ur/"
    assert client.post("/practice/ur/finish").url == "/practice/ur/"  # it cannot be passed over
    for number, lesson in enumerate(practice.lessons_of(language)):
        sent = {"decision": "accept", "overall": 4} if number < right else {"decision": "reject", "overall": 2}
        assert client.post(f"/practice/ur/{lesson.item.public_id}/", sent).status_code == 302


def test_nine_of_ten_at_the_entry_let_a_person_in(client, language, lead, zara):
    client.force_login(zara)
    practise(client, language, lead, right=9)
    assert client.get("/review/ur/").status_code == 200
    assert not Pause.objects.exists()


def test_eight_of_ten_at_the_entry_ask_for_a_talk_and_the_note_lets_them_in(client, language, lead, zara):
    client.force_login(zara)
    practise(client, language, lead, right=8)
    page = client.get("/review/ur/", follow=True).content.decode()
    assert "In 8 of 10 practice items" in page
    assert client.post("/practice/ur/start-over").status_code == 302
    assert len(practice.course(zara, language).answers) == 10  # the answers have been read
    [paused] = Pause.objects.all()
    client.force_login(lead)
    assert "Describe 9." in client.get(reverse("talk", args=["ur", paused.pk])).content.decode()
    client.post(reverse("talk", args=["ur", paused.pk]), {"note": "Welcome."})
    client.force_login(zara)
    assert "Welcome." in client.get("/review/ur/", follow=True).content.decode()
    client.post(reverse("paused", args=["ur"]))
    assert client.get("/review/ur/").status_code == 200


def test_the_lead_sets_share_and_mark_and_others_do_not(client, language, lead, zara):
    address = reverse("gold", args=["ur"])
    client.force_login(lead)
    assert client.get(address).status_code == 200
    assert client.post(address, {"gold_share": "10", "entry_mark": "70"}).status_code == 302
    assert (Language.objects.get().gold_share, Language.objects.get().entry_mark) == (10, 70)
    for wrong in ({"gold_share": "51", "entry_mark": "70"}, {"gold_share": "x", "entry_mark": ""}, {}):
        assert client.post(address, wrong or {"gold_share": ""}).status_code == 422
    client.force_login(zara)
    assert client.get(address).status_code == 404
    assert client.post(address, {"gold_share": "0", "entry_mark": "0"}).status_code == 404


def test_who_answered_all_that_is_left_is_let_in_or_asked_for_a_talk_when_an_item_is_retired(
    client, language, lead, zara
):
    sketch = Sketch("Describe it.", "accept", 4, "Because.", body="The eleventh text to practise on.")
    last = practice.make_lesson(language, sketch, made_by=lead)
    practice.Lesson.objects.filter(pk=last.pk).update(position=99)
    client.force_login(zara)
    for number in range(10):
        made = Sketch(f"Describe {number}.", "accept", 4, "Because.", body=f"A text of {number} to practise on.")
        lesson = practice.make_lesson(language, made, made_by=lead)
        client.post(f"/practice/ur/{lesson.item.public_id}/", {"decision": "accept", "overall": 4})
    assert not practice.PracticeDone.objects.exists()
    practice.retire(last, by=lead)
    assert client.get("/practice/ur/").status_code == 200
    assert practice.PracticeDone.objects.filter(user=zara).exists()


def test_who_leads_is_not_screened_by_their_own_items(client, language, lead, maintainer):
    for user in (lead, maintainer):
        client.force_login(user)
        if not practice.lessons_of(language):
            practise_all_wrong(client, language, lead)
        assert client.post("/practice/ur/finish").url == "/review/ur/"
        assert client.get("/review/ur/").status_code == 200
    assert not Pause.objects.exists()


def practise_all_wrong(client, language, lead):
    for number in range(10):
        sketch = Sketch(f"Describe {number}.", "accept", 4, "Because.", body=f"A text of {number} to practise on.")
        practice.make_lesson(language, sketch, made_by=lead)
    for lesson in practice.lessons_of(language):
        client.post(f"/practice/ur/{lesson.item.public_id}/", {"decision": "reject", "overall": 2})


def test_the_fast_pass_begins_after_practice_and_ends_with_a_pause(client, language, lead, zara, copies):
    client.force_login(zara)
    assert client.get("/review/ur/fast/").status_code == 200
    say(zara, copies[:5], rejecting)
    screening.look(language)
    assert client.get("/review/ur/fast/").url == reverse("paused", args=["ur"])
    assert client.post("/review/ur/fast/", {"good": "1"}).url == reverse("paused", args=["ur"])
    newcomer = make_user(language=language)
    practice.make_lesson(language, Sketch("Describe.", "accept", 4, "So.", body="A text to practise on."))
    client.force_login(newcomer)
    assert client.get("/review/ur/fast/").url == "/practice/ur/"


def test_where_there_is_no_linguist_a_paused_person_writes_to_a_maintainer(client, language, lead, zara, copies):
    chief = make_user("chief@example.org", None, role=Role.MAINTAINER)
    lead.memberships.all().delete()
    say(zara, copies[:5], rejecting)
    screening.look(language)
    client.force_login(zara)
    assert chief.email in client.get(reverse("paused", args=["ur"])).content.decode()
