"""Practice: before the first real item, skippable, and out of reach of everything that counts."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.urls import reverse

from annotation import freezing, practice, queues, reviewing
from annotation.models import (
    Decision,
    Item,
    ItemKind,
    ItemState,
    Lesson,
    Pair,
    PairState,
    PracticeAnswer,
    PracticeDone,
    Review,
    Slot,
    SlotState,
)
from annotation.practice import AlreadyTaught, PracticeError, Sketch
from generation.models import Text
from tests.factories import accepting, make_items, make_text, make_user, rejecting
from xinstruct_site.people.models import Role

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
HEADERS = pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
BODY = "Torilla myydään marjoja ja kalaa joka lauantai."


def sketch(**fields) -> Sketch:
    said = {"instruction": "Describe the market.", "decision": "accept", "overall": 5, "explanation": "It **answers**."}
    return Sketch(**said | {"body": BODY, "title": "Tori"} | fields)


@pytest.fixture
def lesson(finnish) -> Lesson:
    return practice.make_lesson(finnish, sketch())


@pytest.fixture
def second(finnish, lesson) -> Lesson:
    return practice.make_lesson(finnish, sketch(body="Osta nyt!", decision="reject", overall=1))


@pytest.fixture
def linguist(finnish):
    return make_user("linguist@example.org", finnish, role=Role.LINGUIST)


def address(lesson: Lesson) -> str:
    return reverse("practise", args=["fi", lesson.item.public_id])


# The way through


def test_first_visit_to_a_language_begins_with_practice(signed_in, aino, finnish, lesson):
    make_items(finnish)

    response = signed_in.get("/review/fi/")

    assert response.url == "/practice/fi/"
    assert not Slot.objects.filter(state=SlotState.HELD).exists()


def test_language_without_practice_goes_straight_to_work(signed_in, finnish):
    make_items(finnish)

    assert 'id="card-form"' in signed_in.get("/review/fi/").content.decode()
    assert signed_in.get("/practice/fi/").url == "/review/fi/"


def test_who_has_reviewed_before_is_not_stopped_by_new_practice(signed_in, aino, finnish):
    first, second = make_items(finnish, 2)
    queues.claim_next(aino, finnish)
    reviewing.submit(aino, first, accepting())
    practice.make_lesson(finnish, sketch())

    assert second.public_id in signed_in.get("/review/fi/").content.decode()


def test_each_answer_is_followed_by_what_was_expected_and_why(signed_in, aino, lesson, second):
    question = signed_in.get("/practice/fi/").content.decode()
    assert "<strong>answers</strong>" not in question

    response = signed_in.post(address(lesson), {"decision": "reject", "overall": "2"})
    feedback = signed_in.get(response.url).content.decode()

    assert "We would have said something else" in feedback
    assert "<strong>answers</strong>" in feedback
    assert "Osta nyt!" in signed_in.get("/practice/fi/").content.decode()


def test_end_says_how_it_went_and_leads_to_work(signed_in, aino, finnish, lesson, second):
    make_items(finnish)
    signed_in.post(address(lesson), {"decision": "accept", "overall": "4"})
    signed_in.post(address(second), {"decision": "accept", "overall": "3"})

    assert "In 1 of 2" in signed_in.get("/practice/fi/").content.decode()
    assert 'id="card-form"' in signed_in.get("/review/fi/").content.decode()


def test_practice_can_be_passed_over_and_does_not_come_back(signed_in, aino, finnish, lesson):
    make_items(finnish)

    assert signed_in.post("/practice/fi/finish").url == "/review/fi/"
    assert signed_in.post("/practice/fi/finish").url == "/review/fi/"

    assert PracticeDone.objects.count() == 1
    assert 'id="card-form"' in signed_in.get("/review/fi/").content.decode()


def test_first_answer_stands_until_one_starts_over(signed_in, aino, lesson):
    for decision, overall in (("reject", "1"), ("accept", "5")):
        signed_in.post(address(lesson), {"decision": decision, "overall": overall})
    assert PracticeAnswer.objects.get().decision == Decision.REJECT

    signed_in.post("/practice/fi/start-over")

    assert not PracticeAnswer.objects.exists()
    assert "Describe the market." in signed_in.get("/practice/fi/").content.decode()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"decision": "accept"},
        {"overall": "3"},
        {"decision": "accept", "overall": "2"},
        {"decision": "reject", "overall": "5"},
        {"decision": "publish", "overall": "3"},
        {"decision": "accept", "overall": "6"},
    ],
    ids=str,
)
def test_answer_keeps_the_rules_of_a_review(signed_in, lesson, data):
    response = signed_in.post(address(lesson), data)

    assert response.status_code == 422
    assert 'class="error"' in response.content.decode()
    assert not PracticeAnswer.objects.exists()


def test_urdu_practice_stands_in_its_language_and_direction(client, zara, urdu):
    practice.make_lesson(urdu, sketch(title="بسنت", body="بہار کی آمد کے ساتھ ہی"))
    client.force_login(zara)

    page = client.get("/practice/ur/").content.decode()

    assert 'lang="ur"\n           dir="rtl">بہار کی آمد کے ساتھ ہی</div>' in page
    assert 'lang="en" dir="ltr">Describe the market.</p>' in page


# Out of reach of what counts


def test_practice_makes_no_slot_review_or_pair_and_moves_no_item(signed_in, aino, finnish, lesson, second):
    make_items(finnish)
    before = list(Item.objects.values()), list(Slot.objects.values())

    signed_in.get("/practice/fi/")
    for one in (lesson, second):
        signed_in.post(address(one), {"decision": "accept", "overall": "4"})
        signed_in.get(address(one))
    signed_in.post("/practice/fi/start-over")
    signed_in.post("/practice/fi/finish")

    assert (list(Item.objects.values()), list(Slot.objects.values())) == before
    assert not Review.objects.exists()
    assert not Pair.objects.exists()
    assert not Slot.objects.filter(item__kind=ItemKind.PRACTICE).exists()


def test_practice_item_is_never_claimed_waited_for_or_counted(aino, finnish, lesson):
    (item,) = make_items(finnish)

    assert queues.waiting(aino, finnish) == 1
    assert queues.claim_next(aino, finnish).item == item
    assert not queues.claim_again(aino, lesson.item)
    assert queues.progress(aino, finnish).language_accepted == 0


def test_practice_item_gets_into_no_release_even_with_a_pair(finnish, lesson):
    Pair.objects.create(item=lesson.item, state=PairState.ACCEPTED, instruction="x", policy_version=1)

    assert not Pair.objects.releasable().exists()
    with pytest.raises(freezing.NothingToRelease):
        freezing.build_release("r1", [finnish])


def test_text_written_for_practice_is_not_drafted_for(finnish, lesson):
    make_text(finnish)

    assert lesson.item.text not in Text.objects.available()
    assert Text.objects.available().count() == 1


@pytest.mark.parametrize("name", ["review_item", "autosave", "skip"])
def test_card_of_a_practice_item_does_not_exist(signed_in, lesson, name):
    path = reverse(name, args=["fi", lesson.item.public_id])

    assert signed_in.post(path, {"instruction": "x", "decision": "accept"}).status_code == 404


def test_schema_holds_rounds_for_all_but_practice(finnish):
    (item,) = make_items(finnish)

    with pytest.raises(IntegrityError), transaction.atomic():
        Item.objects.filter(pk=item.pk).update(round=None)


# Making them


def test_lead_writes_a_practice_item_on_the_languages_page(client, linguist, finnish):
    client.force_login(linguist)

    response = client.post(
        "/languages/fi/practice/",
        {
            "title": "Tori", "body": " Torilla.\r\nKalaa. ", "instruction": "What is sold?", "input": "",
            "decision": "accept", "overall": "4", "explanation": "Because.",
        },
    )  # fmt: skip

    lesson = Lesson.objects.get()
    assert response.url == "/languages/fi/practice/"
    assert lesson.item.text.body == " Torilla.\nKalaa. "
    assert (lesson.item.kind, lesson.made_by, lesson.overall) == (ItemKind.PRACTICE, linguist, 4)
    assert "What is sold?" in client.get("/languages/fi/practice/").content.decode()


def test_lead_makes_practice_of_a_decided_item_and_sees_no_undecided_ones(client, linguist, aino, finnish):
    first, second = make_items(finnish, 2)
    queues.claim_next(aino, finnish)
    reviewing.submit(aino, first, accepting("Describe the fish market."))
    client.force_login(linguist)

    listed = client.get("/languages/fi/practice/").content.decode()
    form = client.get(f"/languages/fi/practice/?item={first.public_id}").content.decode()
    undecided = client.get(f"/languages/fi/practice/?item={second.public_id}")
    data = {"instruction": "Describe it.", "decision": "accept", "overall": "5", "explanation": "It does."}
    client.post(f"/languages/fi/practice/?item={first.public_id}", data)

    assert f"?item={first.public_id}" in listed
    assert second.public_id not in listed
    assert "Describe the fish market.</textarea>" in form
    assert undecided.status_code == 404
    lesson = Lesson.objects.get()
    assert lesson.item.text == first.text
    assert lesson.item != first
    first.refresh_from_db()
    assert first.kind == ItemKind.NORMAL
    assert Pair.objects.releasable().count() == 1


def test_rejected_item_teaches_with_its_draft(aino, finnish):
    (item,) = make_items(finnish)
    queues.claim_next(aino, finnish)
    reviewing.submit(aino, item, rejecting())
    item.refresh_from_db()

    offered = practice.sketch_of(item)

    assert (offered.decision, offered.overall) == ("reject", 1)
    assert offered.instruction == item.candidates()[0].instruction


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"explanation": " "}, "Say why"),
        ({"instruction": ""}, "needs an instruction"),
        ({"body": " \n"}, "needs a text"),
        ({"overall": 2}, "3 to 5"),
        ({"decision": "reject", "overall": 4}, "1 to 3"),
        ({"decision": "maybe"}, "Accept or reject"),
        ({"body": "x" * 1_000_000}, "characters"),
    ],
    ids=["why", "instruction", "text", "low", "high", "decision", "long"],
)
def test_practice_item_that_breaks_the_rules_is_refused(finnish, fields, message):
    with pytest.raises(PracticeError, match=message):
        practice.make_lesson(finnish, sketch(**fields))
    assert not Item.objects.exists()


def test_same_text_is_taught_once_and_imported_texts_not_at_all(finnish, lesson):
    with pytest.raises(AlreadyTaught):
        practice.make_lesson(finnish, sketch())
    work = make_text(finnish)
    with pytest.raises(PracticeError, match="imported"):
        practice.make_lesson(finnish, sketch(body=work.body))


def test_retired_item_is_gone_from_practice_and_can_be_made_anew(client, linguist, aino, finnish, lesson):
    practice.answer(aino, lesson, decision="accept", overall=5)
    client.force_login(linguist)

    client.post(reverse("retire_lesson", args=["fi", lesson.item.public_id]))
    client.post(reverse("retire_lesson", args=["fi", lesson.item.public_id]))

    lesson.item.refresh_from_db()
    assert lesson.item.state == ItemState.WITHDRAWN
    assert PracticeAnswer.objects.count() == 1
    assert practice.lessons_of(finnish) == []
    assert client.get(address(lesson)).url == "/practice/fi/"
    assert practice.make_lesson(finnish, sketch(overall=4)).item != lesson.item


def row(**fields) -> str:
    said = {"body": BODY, "instruction": "Describe it.", "decision": "accept", "overall": 4, "explanation": "It does."}
    return json.dumps(said | fields, ensure_ascii=False)


def test_command_makes_items_once_and_counts_what_it_refuses(finnish, tmp_path, capsys):
    path = tmp_path / "practice.jsonl"
    path.write_text("\n".join([row(), row(body="Osta!", decision="reject", overall=1, title="Mainos")]) + "\n")

    for _ in range(2):
        call_command("make_practice", str(path), language="fi")

    assert Lesson.objects.count() == 2
    assert "was there already" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "[" * 99_999,
        '{"body": "x"}',
        row(overall="4"),
        row(decision="maybe"),
        row(surplus=1),
        row(body="a\0b"),
    ],
    ids=["broken", "list", "deep", "keys", "type", "decision", "unknown", "nul"],
)
def test_command_says_which_rows_it_cannot_take_and_takes_the_others(finnish, tmp_path, line, capsys):
    path = tmp_path / "practice.jsonl"
    path.write_text(f"{line}\n{row()}\n")

    with pytest.raises(CommandError, match="1 row"):
        call_command("make_practice", str(path), language="fi")

    assert Lesson.objects.count() == 1
    assert "refused" in capsys.readouterr().out


def test_command_refuses_unknown_languages_and_missing_files(finnish, tmp_path):
    with pytest.raises(CommandError, match="no language"):
        call_command("make_practice", "-", language="xx")
    with pytest.raises(CommandError, match="Cannot read"):
        call_command("make_practice", str(tmp_path / "none"), language="fi")


# Who may


@HEADERS
def test_anonymous_signs_in_first(client, lesson, headers):
    for path in ("/practice/fi/", address(lesson), "/languages/fi/practice/"):
        response = client.get(path, headers=headers)
        assert reverse("account_login") in (response.headers.get("HX-Redirect") or response.url)


@HEADERS
@pytest.mark.parametrize("who", ["zara", "stranger"])
def test_other_languages_practice_does_not_exist(client, request, lesson, who, headers):
    client.force_login(request.getfixturevalue(who))

    for path in ("/practice/fi/", address(lesson), "/languages/fi/practice/"):
        assert client.get(path, headers=headers).status_code == 404
    retire = reverse("retire_lesson", args=["fi", lesson.item.public_id])
    for path in (address(lesson), "/practice/fi/finish", "/practice/fi/start-over", retire):
        assert client.post(path, {"decision": "accept", "overall": "4"}, headers=headers).status_code == 404
    assert not PracticeAnswer.objects.exists()


@HEADERS
def test_annotators_neither_make_nor_retire_nor_read_the_answers(signed_in, lesson, headers):
    assert signed_in.get("/languages/fi/practice/", headers=headers).status_code == 404
    assert signed_in.post("/languages/fi/practice/", {}, headers=headers).status_code == 404
    retire = reverse("retire_lesson", args=["fi", lesson.item.public_id])
    assert signed_in.post(retire, headers=headers).status_code == 404
    lesson.item.refresh_from_db()
    assert lesson.item.state == ItemState.ACCEPTED


def test_ordinary_item_is_no_practice_whatever_the_address_says(signed_in, finnish, lesson):
    (item,) = make_items(finnish)

    path = reverse("practise", args=["fi", item.public_id])
    assert signed_in.get(path).status_code == 404
    assert signed_in.post(path, {"decision": "accept", "overall": "4"}).status_code == 404
