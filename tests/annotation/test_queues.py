"""Who gets what next: order, leases, skips, and what an empty queue says."""

import datetime as dt

import numpy as np
import pytest
from django.utils import timezone

from annotation import practice, queues, reviewing
from annotation.models import Autosave, ItemState, Slot, SlotState
from annotation.queues import EmptyReason, QueueEmpty
from generation import diversity, rubric
from generation.models import Round, Score, Selection
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
from xinstruct_site.people.models import Event, EventKind

pytestmark = pytest.mark.django_db


def expire(slot: Slot) -> None:
    Slot.objects.filter(pk=slot.pk).update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))


def why_empty(user, language) -> QueueEmpty:
    with pytest.raises(QueueEmpty) as caught:
        queues.claim_next(user, language)
    return caught.value


# Opening


def test_open_items_copies_the_policy_and_makes_one_slot_per_review(urdu):
    item = make_items(urdu)[0]

    assert (item.overlap, item.quorum, item.policy_version) == (2, 2, 1)
    assert list(item.slots.values_list("number", "state")) == [(1, SlotState.FREE), (2, SlotState.FREE)]


def test_open_items_again_adds_only_what_the_round_has_gained(urdu):
    first = make_items(urdu, 2)[0]
    Selection.objects.create(round=first.round, text=make_text(urdu), rank=3, cluster=0, candidate_ids=[])

    assert queues.open_items(first.round) == 1
    assert queues.open_items(first.round) == 0
    assert Slot.objects.count() == 6


def test_open_items_leaves_out_withdrawn_texts(urdu):
    text = make_text(urdu, withdrawn_at=timezone.now())

    assert make_items(urdu, texts=[text]) == []


def test_changed_policy_does_not_touch_open_items(urdu):
    item = make_items(urdu)[0]
    urdu.overlap, urdu.quorum = 1, 1
    urdu.save()
    queues.open_items(item.round)
    item.refresh_from_db()

    assert item.overlap == 2


# Claiming


def test_items_come_in_the_order_of_the_selection(aino, finnish):
    items = make_items(finnish, 3)
    got = []
    for _ in items:
        slot = queues.claim_next(aino, finnish)
        got.append(slot.item)
        reviewing.submit(aino, slot.item, accepting())

    assert got == items


def test_items_are_served_over_the_clusters_in_turn(aino, finnish):
    """As the real choice of a round puts them: best of each cluster, then second best of each."""
    clusters = np.repeat(np.arange(4), 3)
    chosen = diversity.choose(clusters, np.linspace(1, 0, 12), 12).rows
    texts = [make_text(finnish) for _ in clusters]
    cluster_of = {text.pk: cluster for text, cluster in zip(texts, clusters.tolist(), strict=True)}
    make_items(finnish, texts=[texts[row] for row in chosen])
    served = []
    for _ in texts:
        slot = queues.claim_next(aino, finnish)
        served.append(cluster_of[slot.item.text_id])
        reviewing.submit(aino, slot.item, accepting())

    assert [sorted(served[start : start + 4]) for start in (0, 4, 8)] == [[0, 1, 2, 3]] * 3


def test_people_who_come_one_after_the_other_finish_items_before_new_ones_are_begun(urdu):
    first, second = make_items(urdu, 2)
    people = [make_user(language=urdu) for _ in range(4)]

    assert [queues.claim_next(user, urdu).item for user in people] == [first, first, second, second]


def test_what_waits_for_others_does_not_stand_in_the_way_of_who_reviewed_it(zara, omar, urdu):
    first, second, third = make_items(urdu, 3)
    for item in (first, second):
        queues.claim_next(zara, urdu)
        reviewing.submit(zara, item, accepting())

    assert queues.claim_next(zara, urdu).item == third
    assert queues.claim_next(omar, urdu).item == first
    assert set(Slot.objects.filter(item=second, state=SlotState.FREE).values_list("priority")) == {(50,)}
    assert Slot.objects.get(item=second, state=SlotState.FREE).reviewed_by == [zara.pk]


def test_one_short_goes_before_two_short_and_both_before_fresh_ones(db):
    three = make_language("ur", overlap=3, quorum=3)
    fresh, two_short, one_short = make_items(three, 3)
    people = [make_user(language=three) for _ in range(3)]
    wanted = [one_short, one_short, two_short]
    for user, item in zip(people, wanted, strict=True):
        while (got := queues.claim_next(user, three).item) != item:
            queues.skip(user, got)
        reviewing.submit(user, item, accepting())
    newcomer, served = make_user(language=three), []
    for _ in range(3):
        served.append(queues.claim_next(newcomer, three).item)
        reviewing.submit(newcomer, served[-1], accepting())

    assert served == [one_short, two_short, fresh]


def test_own_slot_comes_back_first_and_its_lease_starts_anew(aino, finnish):
    make_items(finnish, 2)
    first = queues.claim_next(aino, finnish)
    Slot.objects.filter(pk=first.pk).update(lease_expires_at=timezone.now() + dt.timedelta(seconds=5))
    again = queues.claim_next(aino, finnish)

    assert again.pk == first.pk
    assert again.lease_expires_at > timezone.now() + dt.timedelta(minutes=5)
    assert Event.objects.filter(kind=EventKind.ITEM_CLAIMED).count() == 1


def test_own_slot_comes_back_even_when_its_lease_ran_out(aino, finnish):
    make_items(finnish)
    first = queues.claim_next(aino, finnish)
    expire(first)

    assert queues.claim_next(aino, finnish).pk == first.pk


def test_two_people_get_two_slots_of_the_same_item(zara, omar, urdu):
    make_items(urdu, 2)
    one, other = queues.claim_next(zara, urdu), queues.claim_next(omar, urdu)

    assert one.item == other.item
    assert one.pk != other.pk


def test_nobody_gets_an_item_twice(zara, urdu):
    make_items(urdu, 1)
    item = queues.claim_next(zara, urdu).item
    reviewing.submit(zara, item, accepting())

    assert why_empty(zara, urdu).reason == EmptyReason.ONLY_YOURS


def test_expired_slot_goes_to_the_next_person_and_the_text_typed_stays(aino, finnish):
    other = make_user(language=finnish)
    make_items(finnish)
    slot = queues.claim_next(aino, finnish)
    reviewing.autosave(aino, slot.item, version=0, data={"instruction": "kesken"})
    expire(slot)
    taken = queues.claim_next(other, finnish)

    assert (taken.pk, taken.holder) == (slot.pk, other)
    assert Autosave.objects.get(user=aino).data == {"instruction": "kesken"}
    assert why_empty(aino, finnish).reason == EmptyReason.ALL_HELD


def test_item_that_lacks_one_review_goes_before_fresh_ones(zara, omar, urdu):
    _, second = make_items(urdu, 2)
    Slot.objects.filter(item=second).update(priority=90)
    slot = queues.claim_next(zara, urdu)
    assert slot.item == second
    Slot.objects.filter(item=second).update(priority=200)
    reviewing.submit(zara, second, accepting())

    assert queues.claim_next(omar, urdu).item == second


def test_tie_break_goes_before_everything(zara, omar, urdu):
    third = make_user(language=urdu)
    item = make_items(urdu)[0]
    for user, words in ((zara, "Describe the market."), (omar, "Say what is sold.")):
        queues.claim_next(user, urdu)
        reviewing.submit(user, item, accepting(words))
    make_items(urdu, 2)
    Slot.objects.exclude(item=item).update(priority=20)
    slot = queues.claim_next(third, urdu)

    assert (slot.item, slot.number) == (item, 3)
    assert [w["instruction"] for w in slot.wordings] == ["Describe the market.", "Say what is sold."]


def test_languages_do_not_mix(zara, finnish, urdu):
    make_items(finnish)

    assert why_empty(zara, urdu).reason == EmptyReason.NOTHING_YET


# Leases


def test_renewing_keeps_a_lease_and_a_lost_one_stays_lost(aino, finnish):
    other = make_user(language=finnish)
    make_items(finnish)
    slot = queues.claim_next(aino, finnish)
    expire(slot)

    assert queues.renew(slot)
    assert Slot.objects.get().lease_expires_at > timezone.now()

    expire(slot)
    queues.claim_next(other, finnish)

    assert not queues.renew(slot)


# Skipping


def test_skipped_item_goes_to_others_and_not_back(aino, finnish):
    other = make_user(language=finnish)
    first, second = make_items(finnish, 2)
    queues.claim_next(aino, finnish)
    reviewing.autosave(aino, first, version=0, data={"instruction": "kesken"})
    queues.skip(aino, first, "too technical")
    queues.skip(aino, first)

    assert queues.claim_next(aino, finnish).item == second
    assert queues.claim_next(other, finnish).item == first
    assert first.skips.get().reason == "too technical"
    assert Autosave.objects.filter(user=aino).exists()


def test_skipping_what_somebody_else_took_over_leaves_it_with_them(aino, finnish):
    other = make_user(language=finnish)
    item = make_items(finnish)[0]
    expire(queues.claim_next(aino, finnish))
    queues.claim_next(other, finnish)
    queues.skip(aino, item)

    assert Slot.objects.get().holder == other


# Empty


def test_empty_queue_says_that_there_is_nothing_yet(aino, finnish):
    assert why_empty(aino, finnish).reason == EmptyReason.NOTHING_YET


def test_empty_queue_says_when_what_others_hold_may_free(aino, finnish):
    make_items(finnish)
    slot = queues.claim_next(make_user(language=finnish), finnish)
    empty = why_empty(aino, finnish)

    assert (empty.reason, empty.frees_at) == (EmptyReason.ALL_HELD, slot.lease_expires_at)


def test_empty_queue_says_that_all_is_done(aino, finnish):
    other = make_user(language=finnish)
    item = make_items(finnish)[0]
    queues.claim_next(aino, finnish)
    reviewing.submit(aino, item, rejecting())

    assert why_empty(other, finnish).reason == EmptyReason.ALL_DONE
    assert Slot.objects.get().state == SlotState.DONE
    item.refresh_from_db()
    assert item.state == ItemState.REJECTED


def test_language_with_nothing_but_practice_has_nothing_to_review_yet(aino, finnish):
    sketch = practice.Sketch(
        title="", body="Torilla myydään kalaa.", instruction="Say it.", decision="accept", overall=4, explanation="Yes."
    )
    practice.make_lesson(finnish, sketch)

    assert why_empty(aino, finnish).reason == EmptyReason.NOTHING_YET


def test_empty_queue_says_that_the_rest_waits_for_others(aino, finnish):
    item = make_items(finnish)[0]
    queues.skip(aino, item)

    assert why_empty(aino, finnish).reason == EmptyReason.ONLY_YOURS


# Numbers


def test_waiting_counts_items_that_this_person_may_review(zara, omar, urdu):
    first, _, _ = make_items(urdu, 3)
    queues.claim_next(zara, urdu)
    queues.skip(omar, first)

    assert (queues.waiting(zara, urdu), queues.waiting(omar, urdu)) == (3, 2)


# What the evaluator doubts


def judged_round(language, prompt_version, raws, **settings):
    """A round of one text per list of raw scores, by rank."""
    evaluator = make_model_version(task="score", prompt_version=prompt_version)
    round_ = Round.objects.create(language=language, number=1, evaluator=evaluator, settings=settings)
    for rank, of_text in enumerate(raws, 1):
        candidate = make_candidate(make_text(language))
        Selection.objects.create(round=round_, text=candidate.text, rank=rank, cluster=0, candidate_ids=[candidate.pk])
        for number, raw in enumerate(of_text):
            Score.objects.create(candidate=candidate, evaluator=evaluator, sample_number=number, raw=raw)
    queues.open_items(round_)
    return [item.slots.first() for item in round_.items.order_by("pk")]  # by rank


def test_what_the_evaluator_doubts_is_handed_out_first(finnish, aino):
    raws = [[0.98], [0.03], [0.52], [0.91], [0.45], [0.88], [0.2], [0.6]]
    slots = judged_round(finnish, rubric.LEVELS, raws)

    assert [raws[i] for i in sorted(range(8), key=lambda i: slots[i].order)] == [
        [0.52], [0.45], [0.2], [0.6], [0.91], [0.88], [0.98], [0.03],
    ]  # fmt: skip
    assert [slot.expects_good for slot in slots] == [raw >= 0.5 for (raw,) in raws]
    assert queues.claim_next(aino, finnish).item == slots[2].item


def test_samples_that_disagree_are_doubted_more_than_a_mean_near_the_threshold(finnish):
    slots = judged_round(finnish, rubric.RUBRIC, [[5, 5], [4, 4], [5, 2], [1, 1]])

    assert [slot.order for slot in slots] == [3, 2, 1, 4]


def test_a_threshold_of_the_round_decides_what_is_doubted(finnish):
    slots = judged_round(finnish, rubric.LEVELS, [[0.98], [0.91], [0.93], [0.96]], threshold=0.93)

    assert [slot.order for slot in slots] == [4, 2, 1, 3]
    assert [slot.expects_good for slot in slots] == [True, False, True, True]


def test_a_likelihood_says_nothing_about_good_so_the_rank_stands(finnish):
    slots = judged_round(finnish, rubric.LIKELIHOOD, [[0.9], [0.5], [0.1]])

    assert [slot.order for slot in slots] == [1, 2, 3]
    assert [slot.expects_good for slot in slots] == [None] * 3


def test_where_a_person_and_the_evaluator_disagree_the_next_person_comes_first(finnish, aino):
    finnish.overlap = finnish.quorum = 2
    finnish.save()
    slots = judged_round(finnish, rubric.LEVELS, [[0.52], [0.53], [0.97]])
    for said in (accepting(), accepting(), rejecting()):
        reviewing.submit(aino, queues.claim_next(aino, finnish).item, said)
    other = make_user("second@example.org", finnish)

    assert queues.claim_next(other, finnish).item == slots[2].item
