"""Many people at once, on real PostgreSQL, in threads and processes: nothing is given twice, nobody is sent away."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from annotation import queues, reviewing, tallies
from annotation.cards import autosave_version
from annotation.models import Item, ItemState, Pair, Review, Slot, SlotState
from annotation.queues import EmptyReason, QueueEmpty
from bench.races import race
from tests.factories import accepting, make_items, make_language, make_user
from xinstruct_site.people.models import Event, EventKind, User

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(jobs: list[Callable[[], Any]]) -> list[Any]:
    """Run the jobs in threads that start together, each with its own connection; an exception in one is raised here."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            start.wait(timeout=30)
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(run, job) for job in jobs]]


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_50_people_over_500_items_get_every_slot_once_and_nobody_is_sent_away_early(overlap):
    language = make_language("fi", overlap=overlap, quorum=overlap)
    make_items(language, 500)
    people = [make_user(language=language) for _ in range(50)]

    result = race(language, people, threads=10)

    assert result.wrongs() == {}, result.errors
    assert result.claims == result.reviews == 500 * overlap
    assert result.empty_answers == 50
    assert set(Counter(Review.objects.values_list("item", flat=True)).values()) == {overlap}
    assert Review.objects.filter(slot=None).count() == 0
    assert set(Slot.objects.values_list("state", flat=True)) == {SlotState.DONE}
    assert Item.objects.filter(state=ItemState.ACCEPTED).count() == Pair.objects.current().count() == 500


def test_what_killed_people_held_is_claimed_again_within_5_seconds_of_the_leases_end(settings):
    settings.LEASE_MINUTES = 3 / 60
    language = make_language("fi", overlap=2, quorum=2)
    make_items(language, 60)
    people = [make_user(language=language) for _ in range(40)]

    result = race(language, people, threads=19, dying=2)

    assert result.wrongs() == {}, result.errors
    assert len(result.waits) == result.died == 2
    assert result.reviews == 120
    assert result.claims >= 122


def test_12_people_over_exactly_12_slots_get_one_each():
    language = make_language("ur")
    for _ in range(3):
        make_items(language, 6)
        people = [make_user(language=language) for _ in range(12)]

        slots = at_once([lambda user=user: queues.claim_next(user, language) for user in people])

        assert len({slot.pk for slot in slots}) == 12
        assert set(Counter(slot.item_id for slot in slots).values()) == {2}
        Slot.objects.update(state=SlotState.CLOSED)


def test_free_slot_that_is_only_locked_is_waited_for():
    """What SKIP LOCKED alone gets wrong: somebody touches the last free slot's row, and lets go of it free."""
    language = make_language("fi", overlap=1, quorum=1)
    make_items(language, 1)
    user = make_user(language=language)
    locked, answered = threading.Event(), threading.Event()

    def touch() -> None:
        with transaction.atomic():
            Slot.objects.select_for_update().get()
            locked.set()
            # Long enough for an impatient claim to give up; a patient one is still waiting when this ends.
            assert not answered.wait(timeout=0.5)

    def claim() -> Slot:
        assert locked.wait(timeout=10)
        try:
            return queues.claim_next(user, language)
        finally:
            answered.set()

    _, slot = at_once([touch, claim])

    assert slot.holder == user


def test_slot_that_comes_free_while_the_reason_is_sought_is_taken(monkeypatch):
    language = make_language("fi", overlap=1, quorum=1)
    make_items(language, 1)
    user = make_user(language=language)
    claims = iter([lambda *args: None, queues._claim])  # the first look came a moment too early
    monkeypatch.setattr(queues, "_claim", lambda *args: next(claims)(*args))

    assert queues.claim_next(user, language).holder == user


def test_slot_cannot_be_taken_over_between_a_submits_look_and_its_commit(monkeypatch):
    language = make_language("fi", overlap=1, quorum=1)
    late, quick = make_user(language=language), make_user(language=language)
    item = make_items(language, 1)[0]
    queues.claim_next(late, language)
    Slot.objects.update(lease_expires_at=timezone.now() - queues.lease())
    inside, claimed = threading.Event(), threading.Event()
    record = Event.record

    def slowly(kind: EventKind, *args: Any, **kwargs: Any) -> Event:
        if kind == EventKind.REVIEW_SUBMITTED:
            inside.set()
            claimed.wait(timeout=0.5)
        return record(kind, *args, **kwargs)

    monkeypatch.setattr(Event, "record", slowly)

    def take() -> EmptyReason | Slot:
        assert inside.wait(timeout=10)
        try:
            return queues.claim_next(quick, language)
        except QueueEmpty as empty:
            return empty.reason
        finally:
            claimed.set()

    outcome, taken = at_once([lambda: reviewing.submit(late, item, accepting()), take])

    assert outcome.counted
    assert taken == EmptyReason.ALL_DONE


def test_two_tabs_of_one_person_get_the_same_slot():
    language = make_language("ur")
    make_items(language, 20)
    user = make_user(language=language)

    slots = at_once([lambda: queues.claim_next(user, language)] * 8)

    assert len({slot.pk for slot in slots}) == 1
    assert Slot.objects.filter(state=SlotState.HELD).count() == 1


def test_same_submission_many_times_at_once_is_one_review_and_the_same_answer():
    language = make_language("fi", overlap=1, quorum=1)
    user = make_user(language=language)
    for item in make_items(language, 5):
        queues.claim_next(user, language)
        sent = accepting(id=uuid.uuid4())

        outcomes = at_once([lambda item=item, sent=sent: reviewing.submit(user, item, sent) for _ in range(6)])

        assert {(outcome.review.pk, outcome.counted) for outcome in outcomes} == {(sent.id, True)}
        assert Counter(outcome.replayed for outcome in outcomes) == {False: 1, True: 5}
        assert Pair.objects.filter(item=item).count() == 1
    assert Review.objects.count() == 5


def test_same_id_on_two_items_at_once_is_stored_once():
    language = make_language("fi", overlap=1, quorum=1)
    one, other = make_items(language, 2)
    user = make_user(language=language)
    sent = accepting()

    def submit(item: Item) -> str:
        try:
            reviewing.submit(user, item, sent)
        except reviewing.UnknownSubmission:
            return "refused"
        return "stored"

    assert sorted(at_once([lambda: submit(one), lambda: submit(other)])) == ["refused", "stored"]
    assert Review.objects.count() == 1


def test_taking_a_lease_over_while_its_holder_submits_counts_one_of_them():
    language = make_language("fi", overlap=1, quorum=1)
    late, quick = make_user(language=language), make_user(language=language)
    counted: Counter[bool] = Counter()
    for _ in range(10):
        item = make_items(language, 1)[0]
        queues.claim_next(late, language)
        Slot.objects.filter(item=item).update(lease_expires_at=timezone.now() - queues.lease())

        def take(item: Item = item) -> bool:
            try:
                slot = queues.claim_next(quick, language)
            except QueueEmpty:
                return False
            return reviewing.submit(quick, slot.item, accepting("Quick words.")).counted

        taken, outcome = at_once([take, lambda item=item: reviewing.submit(late, item, accepting("Late words."))])

        # Whoever came second keeps their text: as an extra, or by not having been given the slot at all.
        assert taken != outcome.counted
        assert Review.objects.get(pk=outcome.review.pk).instruction == "Late words."
        words = Pair.objects.current().get(item=item).instruction
        assert words == ("Quick words." if taken else "Late words.")
        counted[taken] += 1
    assert sum(counted.values()) == 10


def test_last_reviews_arriving_together_decide_once():
    language = make_language("ur", overlap=3, quorum=2)
    for item in make_items(language, 8):
        people = [make_user(language=language) for _ in range(3)]
        for user in people:
            queues.claim_next(user, language)

        at_once([lambda user=user, item=item: reviewing.submit(user, item, accepting()) for user in people])

        assert Review.objects.filter(item=item).count() == 3
        assert Review.objects.filter(item=item, slot=None).count() == 1
        assert Pair.objects.filter(item=item).count() == 1


def test_claiming_skipping_saving_and_undoing_at_once_ends_in_order():
    language = make_language("ur")
    make_items(language, 12)
    people = [make_user(language=language) for _ in range(10)]

    def work(number: int, user: User) -> None:
        for turn in range(12):
            try:
                slot = queues.claim_next(user, language)
            except QueueEmpty:
                return
            version = autosave_version(user, slot.item)  # an undo makes the words unsent ones
            reviewing.autosave(user, slot.item, version=version, data={"turn": str(turn)})
            if (number + turn) % 5 == 0:
                queues.skip(user, slot.item)
                continue
            outcome = reviewing.submit(user, slot.item, accepting("Words A." if number % 3 else "Words B."))
            if (number + turn) % 4 == 0:
                reviewing.withdraw(user, outcome.review)

    at_once([lambda n=n, user=user: work(n, user) for n, user in enumerate(people)])

    for item in Item.objects.all():
        standing = item.reviews.standing().exclude(slot=None).count()
        open_slots = item.slots.filter(state__in=[SlotState.FREE, SlotState.HELD]).count()
        assert item.slots.filter(state=SlotState.DONE).count() == standing <= 3
        assert (item.state == ItemState.OPEN) == bool(open_slots)
        assert item.pairs.current().exists() == (item.state in {ItemState.ACCEPTED, ItemState.DISPUTED})
        assert standing + open_slots <= 3
    assert tallies.recount() == []
