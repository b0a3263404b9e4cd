"""Delayed self-rechecks: after some days a person may give a second review of an item, blind to their first."""

import datetime as dt
import re
import threading
import uuid

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from annotation import desk, finding, policies, queues, reviewing
from annotation.models import Autosave, Item, ItemState, Pair, Review, Slot, SlotState
from annotation.policies import Policy
from annotation.queues import EmptyReason, QueueEmpty
from tests.factories import accepting, decide, make_items, make_language, make_user, rejecting
from xinstruct_site.people.models import Language

pytestmark = pytest.mark.django_db
DAYS = 7
SAME = "Describe a market day in the town."


@pytest.fixture
def urdu(db):
    return make_language("ur", recheck_days=DAYS)


def let_days_pass(days: float = DAYS) -> None:
    """For everything that was reviewed so far."""
    back = dt.timedelta(days=days)
    Review.objects.update(submitted_at=F("submitted_at") - back, shown_at=F("shown_at") - back)
    Slot.objects.filter(recheck_from__isnull=False).update(recheck_from=F("recheck_from") - back)


def review(user, language, submission=None) -> Review:
    slot = queues.claim_next(user, language)
    return reviewing.submit(user, slot.item, submission or accepting(SAME)).review


def why_empty(user, language) -> QueueEmpty:
    with pytest.raises(QueueEmpty) as caught:
        queues.claim_next(user, language)
    return caught.value


# Serving


def test_the_same_person_gives_the_second_review_once_it_is_due_and_it_counts(zara, urdu):
    [item] = make_items(urdu)
    first = review(zara, urdu)
    empty = why_empty(zara, urdu)
    assert (empty.reason, empty.frees_at) == (
        EmptyReason.RECHECK_LATER, first.submitted_at + dt.timedelta(days=DAYS),
    )  # fmt: skip
    assert queues.waiting(zara, urdu) == 0

    let_days_pass()
    assert queues.waiting(zara, urdu) == 1
    second = review(zara, urdu)

    item.refresh_from_db()
    assert (first.review_pass, second.review_pass) == (1, 2)
    assert item.state == ItemState.ACCEPTED
    assert sorted(Pair.objects.get(item=item).decided_by) == sorted([str(first.pk), str(second.pk)])
    assert why_empty(zara, urdu).reason == EmptyReason.ALL_DONE


def test_fresh_items_and_those_of_others_go_before_ones_own_again(zara, omar, urdu):
    old, others = make_items(urdu, 2)
    assert review(zara, urdu).item == old
    assert queues.claim_again(omar, others)
    reviewing.submit(omar, others, accepting(SAME))
    let_days_pass()
    [fresh] = make_items(urdu)

    assert [review(zara, urdu).item for _ in range(3)] == [others, fresh, old]


def test_anybody_else_may_come_before_the_recheck(zara, omar, urdu):
    [item] = make_items(urdu)
    review(zara, urdu)
    assert review(omar, urdu).review_pass == 1
    item.refresh_from_db()
    assert item.state == ItemState.ACCEPTED
    let_days_pass()
    assert why_empty(zara, urdu).reason == EmptyReason.ALL_DONE


def test_without_a_policy_that_knows_rechecks_there_are_none(zara, db):
    language = Language.objects.get(code="ur")
    Language.objects.filter(pk=language.pk).update(recheck_days=0)
    language.refresh_from_db()
    [item] = make_items(language)
    review(zara, language)
    let_days_pass(400)
    assert why_empty(zara, language).reason == EmptyReason.ONLY_YOURS
    assert not queues.claim_again(zara, item)


def test_a_change_of_policy_half_way_moves_no_item(zara, urdu):
    lead = make_user(language=urdu, role="linguist")
    [before] = make_items(urdu)
    review(zara, urdu)
    policies.change(urdu, Policy(2, 2, recheck_days=0), [], author=lead, based_on=1)
    urdu.refresh_from_db()
    [after] = make_items(urdu)
    review(zara, urdu)
    assert (before.recheck_days, after.recheck_days) == (DAYS, 0)

    let_days_pass(400)
    assert review(zara, urdu).item == before
    assert why_empty(zara, urdu).reason == EmptyReason.ONLY_YOURS


def test_nobody_looks_at_an_item_a_third_time(zara, db):
    language = make_language("fi", overlap=3, quorum=3, recheck_days=DAYS)
    user, other = make_user(language=language), make_user(language=language)
    [item] = make_items(language)
    review(user, language)
    let_days_pass()
    review(user, language)
    let_days_pass()
    assert why_empty(user, language).reason == EmptyReason.ONLY_YOURS
    assert not queues.claim_again(user, item)
    assert Slot.objects.get(item=item, state=SlotState.FREE).reviewed_by == [user.pk]
    assert review(other, language).review_pass == 1
    item.refresh_from_db()
    assert item.state == ItemState.ACCEPTED


def test_each_of_two_people_is_asked_again_when_their_own_review_is_old_enough(db):
    language = make_language("fi", overlap=4, quorum=4, recheck_days=DAYS)
    early, late = make_user(language=language), make_user(language=language)
    [item] = make_items(language)
    review(early, language)
    let_days_pass(3)
    first_of_late = review(late, language)
    let_days_pass(4)

    empty = why_empty(late, language)
    first_of_late.refresh_from_db()
    assert empty.frees_at == first_of_late.submitted_at + dt.timedelta(days=DAYS)
    assert review(early, language).review_pass == 2
    let_days_pass(3)
    assert review(late, language).review_pass == 2
    item.refresh_from_db()
    assert item.state == ItemState.ACCEPTED


def test_nobody_breaks_a_tie_with_themselves(zara, omar, urdu):
    [item] = make_items(urdu)
    review(zara, urdu, accepting("Words A."))
    let_days_pass()
    review(zara, urdu, accepting("Words B."))
    let_days_pass()

    item.refresh_from_db()
    assert item.state == ItemState.OPEN
    assert why_empty(zara, urdu).reason == EmptyReason.ONLY_YOURS
    slot = queues.claim_next(omar, urdu)
    assert slot.wordings
    reviewing.submit(omar, item, accepting("Words B."))
    assert Pair.objects.get(item=item).instruction == "Words B."


def test_who_answers_otherwise_the_second_time_leaves_the_item_to_a_linguist(zara, urdu):
    [item] = make_items(urdu)
    review(zara, urdu)
    let_days_pass()
    review(zara, urdu, rejecting())
    item.refresh_from_db()
    assert item.state == ItemState.DISPUTED


def test_nobody_is_asked_twice_about_a_known_answer(zara, urdu):
    from annotation import gold

    urdu.gold_share = 50
    urdu.save()
    [known] = make_items(urdu)
    decide(known, accepting(SAME), accepting(SAME))
    gold.make(known, make_user(language=urdu, role="linguist"))
    make_items(urdu)
    copy = Item.objects.get(gold__isnull=False)
    assert copy.recheck_days == 0
    for _ in range(2):
        review(zara, urdu)
    let_days_pass()
    assert review(zara, urdu).item != copy
    assert why_empty(zara, urdu).reason == EmptyReason.ONLY_YOURS


# Leases, skips and second thoughts


def test_two_tabs_get_the_same_recheck_and_its_lease_can_run_out_for_others(zara, omar, urdu):
    [item] = make_items(urdu)
    review(zara, urdu)
    let_days_pass()
    slot = queues.claim_next(zara, urdu)
    assert queues.claim_next(zara, urdu) == slot
    assert why_empty(omar, urdu).reason == EmptyReason.ALL_HELD
    Slot.objects.filter(pk=slot.pk).update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))
    taken = queues.claim_next(omar, urdu)
    assert (taken.pk, taken.review_pass) == (slot.pk, 1)

    late = reviewing.submit(zara, item, accepting(SAME))
    assert (late.counted, late.review.review_pass) == (False, 2)
    with pytest.raises(reviewing.AlreadyReviewed):
        reviewing.submit(zara, item, accepting(SAME))
    assert reviewing.submit(omar, item, accepting(SAME)).counted


def test_a_skipped_recheck_goes_to_others_and_comes_back_when_asked_for(zara, urdu):
    [item] = make_items(urdu)
    review(zara, urdu)
    let_days_pass()
    queues.claim_next(zara, urdu)
    queues.skip(zara, item)
    assert why_empty(zara, urdu).reason == EmptyReason.ONLY_YOURS
    assert queues.claim_again(zara, item)
    assert item.slots.get(state=SlotState.HELD).review_pass == 2
    assert reviewing.submit(zara, item, accepting(SAME)).counted


def test_a_page_from_before_the_first_review_gives_no_second_one(zara, urdu):
    [item] = make_items(urdu)
    old_page = timezone.now() - dt.timedelta(minutes=1)
    review(zara, urdu)
    with pytest.raises(reviewing.AlreadyReviewed):
        reviewing.submit(zara, item, accepting(SAME))
    let_days_pass()
    queues.claim_next(zara, urdu)
    with pytest.raises(reviewing.AlreadyReviewed):
        reviewing.submit(zara, item, accepting(SAME, shown_at=old_page - dt.timedelta(days=DAYS)))
    with pytest.raises(reviewing.AlreadyReviewed):
        reviewing.autosave(zara, item, version=0, data={}, shown_at=old_page - dt.timedelta(days=DAYS))
    assert not Autosave.objects.exists()
    assert reviewing.autosave(zara, item, version=0, data={}, shown_at=timezone.now()).version == 1


def test_the_second_review_is_taken_back_before_the_first(zara, urdu):
    [item] = make_items(urdu)
    first = review(zara, urdu)
    let_days_pass()
    second = review(zara, urdu, accepting(SAME, reason="Later words."))
    first.refresh_from_db()
    with pytest.raises(reviewing.SecondLookStands):
        reviewing.withdraw(zara, first)

    reviewing.withdraw(zara, second)
    item.refresh_from_db()
    held = item.slots.get(state=SlotState.HELD)
    assert (item.state, held.holder, held.review_pass) == (ItemState.OPEN, zara, 2)
    assert Autosave.objects.get(item=item).data["reason"] == "Later words."
    reviewing.withdraw(zara, first)
    held = item.slots.get(state=SlotState.HELD)
    assert (held.holder, held.review_pass) == (zara, 1)
    assert item.slots.get(state=SlotState.FREE).recheck_from is None

    # What is reviewed anew rests as long as any first review.
    again = reviewing.submit(zara, item, accepting(SAME)).review
    assert again.review_pass == 1
    assert why_empty(zara, urdu).frees_at == again.submitted_at + dt.timedelta(days=DAYS)


def test_the_schema_knows_no_third_slot_and_no_two_reviews_of_one_slot(zara, urdu):
    make_items(urdu)
    first = review(zara, urdu)
    let_days_pass()
    second = review(zara, urdu)
    for wrong in ({"review_pass": 3}, {"review_pass": 1}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Slot.objects.filter(pk=second.slot_id).update(**wrong)
    with pytest.raises(IntegrityError), transaction.atomic():
        Review.objects.filter(pk=second.pk).update(slot=first.slot_id)


# The second look


def card_of(client, user) -> str:
    client.force_login(user)
    page = client.get(reverse("review", args=["ur"])).content.decode()
    return re.sub(r'name="(?:id|shown|tab|csrfmiddlewaretoken)" value="[^"]*"|"csrf"[^,}]*', "", page)


def test_the_second_look_is_blind_to_the_first(client, zara, omar, urdu):
    make_items(urdu)
    words = {"instruction": "A wording of mine, grxpq.", "reason": "A reason, grxpq.", "flags": {"cultural": "grxpq"}}
    review(zara, urdu, accepting(**words, input="Input grxpq", response_edit="Edit grxpq", overall=5))
    let_days_pass()

    again = card_of(client, zara)
    assert "grxpq" not in again
    queues.skip(zara, Item.objects.get())
    # But for whose progress it shows, the card is the one that everybody gets.
    progress = re.compile(r'<(p|div)[^>]*class="[^"]*progress.*?</\1>', re.S)
    form = re.compile(r'<form id="card-form".*?</form>', re.S)
    other = card_of(client, omar)
    assert progress.sub("", form.search(again)[0]) == progress.sub("", form.search(other)[0])


def test_a_recheck_goes_through_the_pages_like_any_review(client, zara, urdu):
    [item] = make_items(urdu)
    review(zara, urdu)
    client.force_login(zara)
    queue = reverse("review", args=["ur"])
    assert "second look" in client.get(queue).content.decode()
    let_days_pass()
    shown = re.search(r'name="shown" value="([^"]*)"', client.get(queue).content.decode())[1]
    sent = {
        "id": str(uuid.uuid4()), "shown": shown, "decision": "reject", "reason": "A menu.", "instruction": "",
        "version": 0, "choice": "own", "active_seconds": 5,
    }  # fmt: skip
    kept = client.post(reverse("autosave", args=["ur", item.public_id]), sent)
    assert (kept.status_code, Autosave.objects.get().data["reason"]) == (200, "A menu.")
    # Somebody takes the slot over: what was typed is offered as an extra, and kept.
    Slot.objects.filter(state=SlotState.HELD).update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))
    queues.claim_next(make_user(language=urdu), urdu)
    address = reverse("review_item", args=["ur", item.public_id])
    refused = client.post(address, sent)
    assert (refused.status_code, refused.context_data["conflict"]) == (409, "taken")
    client.post(address, sent | {"extra": "1"})
    assert Review.objects.get(pk=sent["id"]).review_pass == 2
    assert client.post(address, sent | {"id": str(uuid.uuid4())}).context_data["conflict"] == "already"


# What is said of it


def test_a_pair_accepted_by_one_person_twice_is_no_pair_of_two_people(zara, omar, urdu):
    from annotation.filtering import Filters, accepted
    from annotation.rows import rows
    from annotation.splitting import Splitter

    alone, both = make_items(urdu, 2)
    assert [review(zara, urdu).item for _ in range(2)] == [alone, both]
    queues.claim_again(omar, both)
    reviewing.submit(omar, both, accepting(SAME))
    let_days_pass()
    review(zara, urdu, accepting(SAME, overall=3))

    def found(**asked) -> list[Item]:
        return [pair.item for pair in accepted([urdu], Filters(**asked)).order_by("item")]

    assert found() == [alone, both]
    assert found(reviews_min=2) == [both]
    assert found(overall_min=4) == [both]
    pairs = accepted([urdu], Filters())
    made = {row["item"]: row for row in rows(pairs, Splitter(pairs))}
    assert [given["overall"] for given in made[alone.public_id]["ratings"]] == [4]
    assert len(made[both.public_id]["ratings"]) == 2
    assert sorted(said["pass"] for said in made[alone.public_id]["lineage"]["reviews"]) == [1, 2]


def test_agreement_counts_nobody_with_themselves_and_people_show_how_often_they_say_the_same(client, zara, urdu):
    lead = make_user(language=urdu, role="linguist")
    make_items(urdu, 12)
    for _ in range(12):
        review(zara, urdu)
    let_days_pass()
    for number in range(12):
        review(zara, urdu, rejecting() if number < 3 else accepting(SAME))
    known = desk.count_anew(urdu)
    assert known.data["agreement"]["decision"] == {"items": 0}
    assert known.pairs == []
    said = known.data["people"][str(zara.pk)]
    assert (said["reviews"], said["consistency"], said["twice"], said["alike"]) == (12, None, 12, 9)
    client.force_login(lead)
    page = client.get(reverse("people", args=["ur"])).content.decode()
    assert re.search(r"75 %\s*<span class=\"soft\">\(12\)", page)

    item = Item.objects.filter(state=ItemState.ACCEPTED).first()
    assert "second look of the same person" in client.get(reverse("item", args=[item.public_id])).content.decode()


def test_few_rechecks_tell_nothing_of_a_person(client, zara, urdu):
    make_items(urdu)
    review(zara, urdu)
    let_days_pass()
    review(zara, urdu)
    desk.count_anew(urdu)
    client.force_login(make_user(language=urdu, role="linguist"))
    page = client.get(reverse("people", args=["ur"])).content.decode()
    assert re.search(r"–\s*<span class=\"soft\">\(1\)", page)


def test_an_item_that_rests_for_its_recheck_is_not_stuck(zara, urdu):
    [item] = make_items(urdu)
    Item.objects.update(recheck_days=30)
    review(zara, urdu)
    for days, is_stuck in ((20, False), (20, False), (20, True)):
        let_days_pass(days)
        assert finding.waiting_items(urdu, "stuck").contains(item) == is_stuck


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_want_the_last_slot_one_gets_it(urdu, zara, omar):
    """One for their self-recheck, the other for a first review; round after round."""
    got: list[tuple[str, int]] = []

    def take(user, barrier):
        barrier.wait()
        try:
            slot = queues.claim_next(user, urdu)
            got.append((user.email, slot.pk))
        except QueueEmpty as empty:
            got.append((str(empty.reason), 0))
        finally:
            connection.close()

    for _ in range(8):
        [item] = make_items(urdu)
        review(zara, urdu)
        let_days_pass()
        got.clear()
        barrier = threading.Barrier(3)
        threads = [threading.Thread(target=take, args=(user, barrier)) for user in (zara, zara, omar)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        held = item.slots.get(state=SlotState.HELD)
        assert {pk for _, pk in got} - {0} == {held.pk}
        assert {who for who, pk in got if pk} == {held.holder.email}
        assert held.review_pass == (2 if held.holder == zara else 1)
        reviewing.submit(held.holder, item, accepting(SAME))
