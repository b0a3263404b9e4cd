"""Finding items and reading one's whole history: who sees what, and that nobody leans on another's answer."""

import re
import uuid

import pytest
from django.urls import reverse

from annotation import adjudicating, finding, practice, queues, reviewing
from annotation.adjudicating import Submission
from annotation.agreement import Wording
from annotation.models import Flag, Item, ItemKind, ItemState
from tests.factories import accepting, make_items, make_language, make_text, make_user, rejecting
from xinstruct_site.people.models import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def items(urdu) -> list[Item]:
    return make_items(urdu, texts=[make_text(urdu, f"متن {n}۔ " * 30, title=f"عنوان {n}") for n in range(4)])


def decide(user, item: Item, submission) -> None:
    queues.claim_again(user, item)
    reviewing.submit(user, item, submission)


def page_of(client, user, item: Item | None = None, **query: str) -> str:
    client.force_login(user)
    address = reverse("item", args=[item.public_id]) if item else reverse("items")
    answer = client.get(address, query)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def found(user, language, **asked) -> list[Item]:
    return list(finding.find_items(user, language, **asked).items)


# Who sees which items


def test_lead_finds_every_item_and_annotators_those_they_reviewed(client, lead, zara, items, urdu):
    decide(zara, items[1], accepting())

    assert found(lead, urdu) == items[::-1]
    assert found(zara, urdu) == [items[1]]
    assert "عنوان 1" in page_of(client, zara)
    assert "عنوان 2" not in page_of(client, zara)


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_items_of_others_and_of_other_languages_do_not_exist(client, zara, aino, stranger, items, headers):
    for person in (zara, aino, stranger):
        client.force_login(person)
        assert client.get(reverse("item", args=[items[0].public_id]), headers=headers).status_code == 404
    assert client.get(reverse("item", args=["nosuchitem"])).status_code == 404
    client.force_login(aino)
    assert client.get(reverse("items"), {"language": "ur"}).status_code == 404


def test_anonymous_signs_in_first(client, items):
    for address in (reverse("items"), reverse("item", args=[items[0].public_id])):
        assert client.get(address).status_code == 302


def test_practice_is_no_item_to_find(client, lead, urdu):
    sketch = practice.Sketch(
        title="", body="Torilla.", instruction="Say it.", decision="accept", overall=4, explanation="Yes."
    )
    lesson = practice.make_lesson(urdu, sketch)

    assert found(lead, urdu) == []
    client.force_login(lead)
    assert client.get(reverse("item", args=[lesson.item.public_id])).status_code == 404


def test_role_that_was_taken_away_ends_it(client, zara, items):
    decide(zara, items[0], accepting())
    zara.memberships.all().delete()
    client.force_login(zara)

    assert client.get(reverse("item", args=[items[0].public_id])).status_code == 404


# Blindness


def test_while_an_item_waits_nobody_reads_or_finds_others_answers(client, lead, maintainer, zara, omar, items, urdu):
    secret = rejecting("Hush, a secret.", flags={Flag.CULTURAL: "hush"}, instruction="Hush words.")
    decide(zara, items[0], secret)

    for person in (lead, maintainer):
        page = page_of(client, person, items[0])
        assert not {word for word in ("Hush", "hush", str(zara)) if word in page}
        assert found(person, urdu, flag=Flag.CULTURAL) == found(person, urdu, person=zara) == []
        assert found(person, urdu, words="Hush") == []
    decide(omar, items[0], rejecting())
    assert "Hush, a secret." not in page_of(client, omar, items[0])
    assert "Hush, a secret." in page_of(client, lead, items[0])
    assert found(lead, urdu, flag=Flag.CULTURAL) == found(lead, urdu, person=zara) == [items[0]]
    assert found(omar, urdu, flag=Flag.CULTURAL) == []


def test_page_of_an_item_that_waits_is_the_same_with_and_without_others_answers(client, lead, zara, items):
    before = page_of(client, lead, items[0])
    decide(zara, items[0], rejecting())

    token = re.compile(r'"\w{64}"')  # against forged requests: another one each time
    assert token.sub("", page_of(client, lead, items[0])) == token.sub("", before)


def test_gold_item_looks_like_any_other(client, lead, zara, items):
    Item.objects.filter(pk=items[0].pk).update(kind=ItemKind.GOLD)
    decide(zara, items[0], accepting())

    for person in (zara, lead):
        for page in (page_of(client, person), page_of(client, person, items[0])):
            assert "gold" not in re.sub(r"<nav.*?</nav>", "", page.lower(), flags=re.DOTALL)


def test_item_that_is_open_again_hides_its_answers_again(client, lead, zara, omar, items):
    decide(zara, items[0], accepting("Hush words."))
    decide(omar, items[0], accepting("Hush words."))
    assert "Hush words." in page_of(client, lead, items[0])
    reviewing.withdraw(omar, omar.reviews.get())

    assert "Hush words." not in page_of(client, lead, items[0])


# What is found and shown


def test_items_are_found_by_text_wording_id_state_person_and_flag(lead, zara, omar, items, urdu):
    for person in (zara, omar):
        decide(person, items[0], accepting("Describe the mango market.", flags={Flag.BOILERPLATE: ""}))
        decide(person, items[1], rejecting())

    assert found(lead, urdu, words="عنوان 2") == [items[2]]
    assert found(lead, urdu, words="متن 3") == [items[3]]
    assert found(lead, urdu, words="MANGO") == [items[0]]
    assert found(lead, urdu, words=items[1].public_id) == [items[1]]
    assert found(lead, urdu, state=ItemState.OPEN) == [items[3], items[2]]
    assert found(lead, urdu, person=omar) == [items[1], items[0]]
    assert found(lead, urdu, flag=Flag.BOILERPLATE, person=zara) == [items[0]]
    assert found(lead, urdu, flag=Flag.HARMFUL) == []


def test_search_takes_signs_as_they_are(lead, urdu, items):
    assert found(lead, urdu, words="%") == found(lead, urdu, words="_") == []


def test_annotator_can_ask_for_nobody_elses_items(client, zara, omar, items):
    for person in (zara, omar):
        decide(person, items[0], accepting())
    decide(omar, items[1], accepting())

    page = page_of(client, zara, person=omar.public_id)
    assert 'name="person"' not in page
    assert "عنوان 1" not in page


def test_pages_go_on_without_gap_or_repetition(lead, urdu, monkeypatch):
    monkeypatch.setattr(finding, "PER_PAGE", 2)
    monkeypatch.setattr(finding, "SEARCH_WINDOW", 3)
    expected = make_items(urdu, 7)[::-1]

    for words in ("", "Otsikko"):
        seen, after = [], ""
        while True:
            page = finding.find_items(lead, urdu, words=words, after=after)
            seen += page.items
            after = page.goes_on_after
            if not after:
                break
        assert seen == expected


@pytest.mark.parametrize(
    "query", [{"state": "x"}, {"flag": "x"}, {"person": "x"}, {"q": "a" * 201}, {"q": "\x00"}, {"after": "a" * 41}]
)
def test_nonsense_in_the_address_is_refused_and_not_a_crash(client, lead, items, query):
    client.force_login(lead)

    assert client.get(reverse("items"), query).status_code == 422


def test_history_of_a_decided_item_says_all_of_it_in_order(client, lead, zara, omar, items):
    draft = items[0].candidates()[0]
    changed = draft.instruction.replace("Describe", "Praise")
    flags = {Flag.BOILERPLATE: "the menu"}
    decide(zara, items[0], accepting(changed, candidate=draft, response_edit="ایک متن۔", flags=flags))
    decide(omar, items[0], rejecting("It sells something."))
    assert "It sells something." not in page_of(client, lead, items[0])  # until a linguist has decided
    words = Submission(uuid.uuid4(), "accept", 4, "", Wording(changed, "", "ایک متن۔"))
    adjudicating.adjudicate(make_user(language=items[0].language, role=Role.LINGUIST), items[0], words)

    page = page_of(client, lead, items[0])

    for words in (draft.instruction, "<del>Describe</del><ins>Praise</ins>", "ایک", "Boilerplate left in", "the menu"):
        assert words in page
    for words in ("It sells something.", str(zara), str(omar), "disputed", "web, edited by a person"):
        assert words in page
    assert page.index("claimed") < page.index("review sent") < page.index("verdict: disputed")
    assert page.index("verdict: disputed") < page.index("decided by a linguist")


def test_hostile_words_stay_words(client, lead, zara, omar, items):
    hostile = '"><script>alert(1)</script>'
    for person in (zara, omar):
        decide(person, items[0], rejecting(hostile, flags={Flag.HARMFUL: hostile}))

    assert "<script>alert" not in page_of(client, lead, items[0])
    assert "<script>alert" not in page_of(client, lead, q=hostile)


def test_moved_text_leads_from_either_item_to_the_other_for_who_leads_both(client, maintainer, lead, zara, omar, items):
    hindi = make_language("hi", overlap=1, quorum=1)
    for person in (zara, omar):
        decide(person, items[0], rejecting(flags={Flag.WRONG_LANGUAGE: ""}, relabel=hindi))
    moved = Item.objects.get(language=hindi)

    here = page_of(client, maintainer, items[0])
    assert reverse("item", args=[moved.public_id]) in here
    assert "moved to Hindi" in here
    assert reverse("item", args=[moved.public_id]) not in page_of(client, lead, items[0])
    assert "This text came from Urdu" in page_of(client, maintainer, moved)
    assert "This text came from" not in page_of(client, make_user(language=hindi, role=Role.LINGUIST), moved)


def test_pages_ask_few_questions_however_much_there_is(
    client, lead, zara, omar, items, urdu, django_assert_max_num_queries
):
    for item in items:
        for person in (zara, omar):
            decide(person, item, accepting(flags={Flag.BOILERPLATE: ""}))
    client.force_login(lead)

    with django_assert_max_num_queries(12):
        client.get(reverse("items"), {"flag": Flag.BOILERPLATE, "person": zara.public_id, "q": "عنوان"})
    with django_assert_max_num_queries(13):
        client.get(reverse("item", args=[items[0].public_id]))
