"""Delayed self-rechecks: after some days a person may give a second review of an item, blind to their first."""

import datetime as dt
import threading

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from annotation import policies, queues, reviewing
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


@pytest.fixture
def omar(urdu):
    return make_user("omar@example.org", urdu)


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
