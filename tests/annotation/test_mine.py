"""My work: a person's own reviews, unsent and skipped items, and what is never shown of others'."""

import datetime as dt
import uuid

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation import freezing, mine, queues, reviewing
from annotation.models import Autosave, Item, ItemKind, ItemState, Pair, PairState, Review, Skip, Slot, SlotState
from tests.factories import accepting, make_items, make_text, make_user, rejecting
from xinstruct_site.people.models import Event, EventKind, Role

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
HEADERS = pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])


def decide(user, item: Item, submission=None) -> Review:
    """The person claims the item itself and decides on it."""
    assert queues.claim_again(user, item)
    return reviewing.submit(user, item, submission or accepting()).review


def page_of(client, name: str = "mine", code: str = "fi", **query: str) -> str:
    return client.get(reverse(name, args=[code]), query).content.decode()


# Reviews


def test_history_shows_own_wording_title_and_decision_in_their_languages(client, zara, urdu):
    item = make_items(urdu, texts=[make_text(urdu, "بہار کی آمد کے ساتھ ہی", title="بسنت کی تیاری")])[0]
    decide(zara, item, accepting("Describe how Basant is prepared."))
    client.force_login(zara)

    page = page_of(client, code="ur")

    assert '<p class="wording" lang="en" dir="ltr">Describe how Basant is prepared.</p>' in page
    assert "بسنت کی تیاری" in page
    assert 'dir="rtl">بسنت کی تیاری</span>' in page
    assert "you accepted it" in page
    assert "waiting for others" in page


def test_others_reviews_are_neither_shown_nor_found(client, zara, omar, urdu):
    item = make_items(urdu)[0]
    decide(omar, item, accepting("Omar's secret wording.", reason="Omar's reason."))
    decide(zara, item, accepting("Zara's own wording."))
    client.force_login(zara)

    for page in (page_of(client, code="ur"), page_of(client, code="ur", q="secret")):
        assert "secret wording" not in page
        assert "Omar" not in page
        assert "omar@" not in page
    assert "No review of yours matches" in page_of(client, code="ur", q="secret")


@pytest.mark.parametrize(
    ("theirs", "said"),
    [(accepting(), "accepted"), (rejecting(), "people differ"), (None, "waiting for others")],
    ids=["agreed", "split", "alone"],
)
def test_what_became_of_a_review_is_the_state_of_its_item(client, zara, omar, urdu, theirs, said):
    item = make_items(urdu)[0]
    decide(zara, item)
    if theirs:
        reviewing.submit(omar, *[queues.claim_next(omar, urdu).item, theirs])
    if said == "people differ":
        Item.objects.filter(pk=item.pk).update(state=ItemState.DISPUTED)

    (row,) = mine.find_reviews(zara, urdu).rows

    assert str(row.state).startswith(said)


def test_gold_item_looks_like_any_other(client, zara, urdu):
    normal, gold = make_items(urdu, 2)
    for item in (normal, gold):
        decide(zara, item)
    client.force_login(zara)
    before = page_of(client, code="ur")

    Item.objects.filter(pk=gold.pk).update(kind=ItemKind.GOLD)

    after = page_of(client, code="ur")
    assert "gold" not in after.lower()
    assert without_tokens(after) == without_tokens(before)


def without_tokens(page: str) -> list[str]:
    return [line for line in page.splitlines() if "csrf" not in line and 'name="next"' not in line]


def test_release_that_took_the_pair_in_is_named_and_ends_reopening(signed_in, aino, finnish):
    item = make_items(finnish)[0]
    review = decide(aino, item)
    assert "Open again" in page_of(signed_in)

    freezing.build_release("first-hundred", [finnish])

    page = page_of(signed_in)
    assert "in the release first-hundred" in page
    assert "Open again" not in page
    signed_in.post(reverse("undo", args=["fi", review.pk]))
    review.refresh_from_db()
    assert review.withdrawn_at is None


def test_reopening_brings_the_card_back_to_the_person(signed_in, aino, finnish):
    item = make_items(finnish)[0]
    review = decide(aino, item)

    response = signed_in.post(reverse("undo", args=["fi", review.pk]))

    assert response.url == reverse("review_item", args=["fi", item.public_id])
    assert item.slots.get().holder == aino
    assert "You have not reviewed anything" in page_of(signed_in)


def test_search_looks_into_instruction_and_title_and_takes_signs_as_they_are(signed_in, aino, finnish):
    items = make_items(finnish, texts=[make_text(finnish, title=f"Otsikko {name}") for name in ("Kala", "Mansikka")])
    decide(aino, items[0], accepting("List 100% of the fish_es."))
    decide(aino, items[1], accepting("Name the berries."))

    def found(words: str) -> list[str]:
        return [row.review.item.text.title for row in mine.find_reviews(aino, finnish, words=words).rows]

    assert found("BERRIES") == ["Otsikko Mansikka"]
    assert found("kala") == ["Otsikko Kala"]
    assert found("%") == ["Otsikko Kala"]
    assert found("h_e") == ["Otsikko Kala"]
    assert found("'; --") == []


def test_pages_go_on_without_gap_or_repetition(aino, finnish, monkeypatch):
    monkeypatch.setattr(mine, "PER_PAGE", 3)
    reviews = [decide(aino, item) for item in make_items(finnish, 8)]
    Review.objects.filter(pk__in=[r.pk for r in reviews[:4]]).update(submitted_at=timezone.now())  # a tie

    seen, after = [], None
    while True:
        page = mine.find_reviews(aino, finnish, after=after)
        seen += [row.review.pk for row in page.rows]
        if not (after := page.goes_on_after):
            break

    assert len(seen) == 8
    assert set(seen) == {review.pk for review in reviews}


def test_search_reads_one_window_and_says_where_to_go_on(aino, finnish, monkeypatch):
    monkeypatch.setattr(mine, "SEARCH_WINDOW", 3)
    for number, item in enumerate(make_items(finnish, 7)):
        decide(aino, item, accepting("A needle." if number == 0 else "Hay."))

    pages, after = [], None
    while True:
        pages.append(mine.find_reviews(aino, finnish, words="needle", after=after))
        if not (after := pages[-1].goes_on_after):
            break

    assert [len(page.rows) for page in pages] == [0, 0, 1]
    assert [page.window_exhausted for page in pages] == [True, True, False]


@pytest.mark.parametrize(
    "query", [{"after": "not-a-uuid"}, {"q": "\0"}, {"q": "x" * 201}, {"after": "' OR 1=1"}], ids=str
)
def test_nonsense_in_the_address_is_refused_and_not_a_crash(signed_in, finnish, query):
    assert signed_in.get("/mine/fi/", query).status_code == 422


def test_going_on_after_a_review_of_somebody_else_tells_nothing(client, zara, omar, urdu):
    item = make_items(urdu)[0]
    decide(zara, item)
    theirs = decide(omar, item)
    client.force_login(zara)

    first, after_theirs, after_nothing = (
        page_of(client, code="ur", **query) for query in ({}, {"after": str(theirs.pk)}, {"after": str(uuid.uuid4())})
    )

    assert without_tokens(after_theirs) == without_tokens(first)
    assert without_tokens(after_nothing) == without_tokens(first)


# Unsent


def save_words(user, item: Item, words: str = "Half a thought.") -> None:
    reviewing.autosave(user, item, version=0, data={"instruction": words, "choice": "own"})


def test_unsent_work_on_an_item_still_held_leads_back_to_its_card(signed_in, aino, finnish):
    item = queues.claim_next(aino, make_items(finnish)[0].language).item
    save_words(aino, item)

    page = page_of(signed_in, "my_unsent")

    assert "Half a thought." in page
    assert reverse("review_item", args=["fi", item.public_id]) in page
    assert reverse("claim_again", args=["fi", item.public_id]) not in page


def test_unsent_work_on_a_free_item_can_be_claimed_again_though_it_was_skipped(signed_in, aino, finnish):
    item = queues.claim_next(aino, make_items(finnish)[0].language).item
    save_words(aino, item)
    queues.skip(aino, item)

    response = signed_in.post(reverse("claim_again", args=["fi", item.public_id]))

    assert response.url == reverse("review_item", args=["fi", item.public_id])
    assert Slot.objects.get(state=SlotState.HELD).holder == aino
    assert not Skip.objects.exists()


def test_unsent_work_on_an_item_that_others_hold_is_there_to_copy_and_send_as_an_extra(signed_in, aino, finnish):
    item = queues.claim_next(aino, make_items(finnish)[0].language).item
    save_words(aino, item)
    Slot.objects.update(lease_expires_at=timezone.now() - dt.timedelta(minutes=1))
    other = make_user(None, finnish)
    queues.claim_next(other, finnish)

    page = page_of(signed_in, "my_unsent")
    claimed = signed_in.post(reverse("claim_again", args=["fi", item.public_id]))
    card = signed_in.get(reverse("review_item", args=["fi", item.public_id]))

    assert "Others have the places on this item now" in page
    assert claimed.url == reverse("my_unsent", args=["fi"])
    assert Slot.objects.get().holder == other
    assert "Half a thought." in card.content.decode()
    assert Autosave.objects.get().data["instruction"] == "Half a thought."


def test_unsent_text_is_shown_as_text_and_runs_nothing(signed_in, aino, finnish):
    item = queues.claim_next(aino, make_items(finnish)[0].language).item
    save_words(aino, item, "</textarea><script>alert(1)</script>")

    assert "<script>alert" not in page_of(signed_in, "my_unsent")


def test_throwing_away_takes_the_persons_own_text_only(signed_in, aino, finnish):
    item = queues.claim_next(aino, make_items(finnish)[0].language).item
    other = make_user(None, finnish)
    for user in (aino, other):
        save_words(user, item)

    signed_in.post(reverse("throw_away", args=["fi", item.public_id]))

    assert Autosave.objects.get().user == other


def test_claiming_again_never_gives_a_second_slot_or_an_item_already_decided(zara, omar, urdu):
    item = make_items(urdu)[0]
    assert queues.claim_again(zara, item)
    assert queues.claim_again(zara, item)
    assert item.slots.filter(holder=zara).count() == 1
    reviewing.submit(zara, item, accepting())

    assert not queues.claim_again(zara, item)
    decide(omar, item)
    assert not queues.claim_again(make_user(None, urdu), item)


# Skipped


def test_skip_taken_back_lets_the_item_come_again(signed_in, aino, finnish):
    item = queues.claim_next(aino, make_items(finnish)[0].language).item
    queues.skip(aino, item, "Too technical.")
    assert "Too technical." in page_of(signed_in, "my_skipped")

    signed_in.post(reverse("take_back", args=["fi", item.public_id]))

    assert queues.claim_next(aino, finnish).item == item
    assert Event.objects.filter(kind=EventKind.SKIP_TAKEN_BACK, actor=aino).count() == 1


def test_skip_of_an_item_that_others_decided_is_listed_without_a_way_back(signed_in, aino, finnish):
    item = queues.claim_next(aino, make_items(finnish)[0].language).item
    queues.skip(aino, item)
    decide(make_user(None, finnish), item)

    page = page_of(signed_in, "my_skipped")

    assert "no longer waits for reviews" in page
    assert "Take it back" not in page
    assert "accepted it" not in page


# Where the language is heading


def accepted_on(item: Item, days_ago: int) -> None:
    Pair.objects.create(
        item=item, state=PairState.ACCEPTED, instruction="x", policy_version=1,
        created_at=timezone.now() - dt.timedelta(days=days_ago),
    )  # fmt: skip


@pytest.mark.parametrize(("pairs", "days", "says"), [(9, 9, False), (14, 2, False), (14, 7, True)])
def test_finish_is_projected_only_from_enough(finnish, pairs, days, says):
    for number, item in enumerate(make_items(finnish, pairs)):
        accepted_on(item, number % days)

    outlook = mine.outlook(finnish, accepted=pairs)

    assert (outlook.finish is not None) == says


def test_finish_is_what_is_left_at_the_pace_of_two_weeks(finnish):
    finnish.goal = 100
    for number, item in enumerate(make_items(finnish, 29)):
        accepted_on(item, number % 14 if number < 28 else 15)

    outlook = mine.outlook(finnish, accepted=29)

    assert outlook.per_day == 2
    assert outlook.finish == timezone.localdate() + dt.timedelta(days=36)  # 71 left, 2 a day


def test_goal_reached_and_goal_far_away_are_said_in_words(finnish):
    for number, item in enumerate(make_items(finnish, 10)):
        accepted_on(item, number % 5)
    finnish.goal = 1_000_000

    assert mine.outlook(finnish, accepted=10).is_far
    assert mine.outlook(finnish, accepted=1_000_000).is_reached


# Who sees what


ADDRESSES = ["mine", "my_unsent", "my_skipped"]
ACTS = ["claim_again", "throw_away", "take_back"]


@HEADERS
def test_anonymous_signs_in_first(client, finnish, headers):
    item = make_items(finnish)[0]
    answers = [client.get(reverse(name, args=["fi"]), headers=headers) for name in ADDRESSES]
    answers += [client.get("/mine/", headers=headers)]
    answers += [client.post(reverse(name, args=["fi", item.public_id]), headers=headers) for name in ACTS]

    for response in answers:
        assert reverse("account_login") in (response.headers.get("HX-Redirect") or response.url)


@HEADERS
@pytest.mark.parametrize("who", ["zara", "stranger"])
def test_languages_without_a_role_do_not_exist(client, request, finnish, who, headers):
    item = make_items(finnish)[0]
    client.force_login(request.getfixturevalue(who))

    for name in ADDRESSES:
        assert client.get(reverse(name, args=["fi"]), headers=headers).status_code == 404
    for name in ACTS:
        assert client.post(reverse(name, args=["fi", item.public_id]), headers=headers).status_code == 404


@HEADERS
def test_colleagues_and_maintainers_can_neither_use_nor_see_what_is_another_persons(client, aino, finnish, headers):
    unsent_item, skipped_item = make_items(finnish, 2)
    save_words(aino, unsent_item, "Aino's unsent words.")
    queues.skip(aino, skipped_item, "Aino's reason.")
    for person in (make_user(None, finnish), make_user(None, None, role=Role.MAINTAINER)):
        client.force_login(person)
        for name in ADDRESSES:
            assert "Aino" not in client.get(reverse(name, args=["fi"]), headers=headers).content.decode()
        for name in ACTS:
            for item in (unsent_item, skipped_item):
                address = reverse(name, args=["fi", item.public_id])
                assert client.post(address, headers=headers).status_code == 404
    assert Autosave.objects.count() == Skip.objects.count() == 1
    assert not Slot.objects.filter(state=SlotState.HELD).exists()


def test_own_work_begins_with_the_first_of_ones_languages(client, signed_in, stranger):
    assert signed_in.get("/mine/").url == "/mine/fi/"
    client.force_login(stranger)
    assert "You have no work in any language yet" in client.get("/mine/").content.decode()


def test_reviewed_page_asks_few_questions_however_much_was_done(
    signed_in, aino, finnish, django_assert_max_num_queries
):
    for item in make_items(finnish, 30):
        decide(aino, item)

    with django_assert_max_num_queries(12):
        signed_in.get("/mine/fi/")
