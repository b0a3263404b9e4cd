"""Submits, autosaves and second thoughts: what is stored, what counts, and what becomes of the item."""

import datetime as dt
import uuid

import pytest
from django.utils import timezone

from annotation import freezing, queues, reviewing
from annotation.models import Autosave, Flag, ItemState, Origin, Pair, PairState, Review, Slot, SlotState
from annotation.queues import EmptyReason, QueueEmpty
from annotation.reviewing import (
    AlreadyReviewed,
    NoAgreement,
    StaleAutosave,
    TooLate,
    UnknownSubmission,
)
from annotation.submissions import InvalidReview
from tests.factories import accepting, make_candidate, make_items, make_text, make_user, rejecting
from xinstruct_site.people.models import Event, EventKind

pytestmark = pytest.mark.django_db

# Persian letters with a joiner, decomposed Vietnamese, bidi marks, an emoji family, a plane-16 character
EVERY_KIND = "  می‌خواهم\u202e x\u202c Cho\u031b\u0323\t👩‍👩‍👧 \U0010fffd\n\n"


@pytest.fixture
def lee(urdu):
    return make_user("lee@example.org", urdu)


def review(user, item, submission):
    queues.claim_next(user, item.language)
    outcome = reviewing.submit(user, item, submission)
    item.refresh_from_db()
    return outcome


def expire_all() -> None:
    Slot.objects.filter(state=SlotState.HELD).update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))


def states(item) -> list[str]:
    return list(item.slots.order_by("number").values_list("state", flat=True))


# What is stored


def test_review_stores_what_was_typed_to_the_last_character(aino, finnish):
    item = make_items(finnish)[0]
    sent = accepting(EVERY_KIND, input=EVERY_KIND, response_edit=EVERY_KIND, flags={Flag.HARMFUL: EVERY_KIND})
    review(aino, item, sent)
    stored = Review.objects.get()

    assert (stored.instruction, stored.input, stored.response_edit) == (EVERY_KIND,) * 3
    assert stored.flags == {"harmful": EVERY_KIND}
    assert stored.agreement.version == 1
    assert stored.guidelines_version == finnish.guidelines_version
    assert not stored.scores_visible


def test_same_submission_again_gets_the_stored_answer(aino, finnish):
    item = make_items(finnish)[0]
    sent = accepting("First words.")
    first = review(aino, item, sent)
    again = reviewing.submit(aino, item, accepting("Other words.", id=sent.id))

    assert (again.review, again.counted, again.replayed) == (first.review, True, True)
    assert again.review.instruction == "First words."
    assert Event.objects.filter(kind=EventKind.REVIEW_SUBMITTED).count() == 1


@pytest.mark.parametrize("case", ["another person", "another item"])
def test_id_of_another_submission_is_refused_and_tells_nothing(case, zara, omar, urdu):
    item, other = make_items(urdu, 2)
    sent = accepting("A secret wording.")
    review(zara, item, sent)

    user, target = (omar, item) if case == "another person" else (zara, other)
    with pytest.raises(UnknownSubmission) as caught:
        reviewing.submit(user, target, accepting(id=sent.id))
    assert "secret" not in str(caught.value)
    assert Review.objects.count() == 1


def test_second_review_by_the_same_person_is_refused_and_their_text_kept(zara, urdu):
    item = make_items(urdu)[0]
    review(zara, item, accepting())

    with pytest.raises(AlreadyReviewed):
        reviewing.submit(zara, item, accepting("Second thoughts."))


def test_nobody_contributes_without_the_agreement(finnish):
    user = make_user(language=finnish, agreed=False)
    item = make_items(finnish)[0]

    with pytest.raises(NoAgreement):
        review(user, item, accepting())
    assert not Review.objects.exists()


def test_submit_never_touches_redis(aino, finnish, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("somebody rang the bell")

    monkeypatch.setattr("redis.connection.AbstractConnection.connect", fail)
    monkeypatch.setattr("redis.connection.ConnectionPool.get_connection", fail)

    assert review(aino, make_items(finnish)[0], accepting()).counted


# What counts


def test_review_under_an_expired_lease_still_counts(aino, finnish):
    item = make_items(finnish)[0]
    queues.claim_next(aino, finnish)
    expire_all()

    assert reviewing.submit(aino, item, accepting()).counted


def test_review_of_a_slot_taken_over_is_kept_whole_as_an_extra(aino, finnish):
    other = make_user(language=finnish)
    item = make_items(finnish)[0]
    queues.claim_next(aino, finnish)
    expire_all()
    queues.claim_next(other, finnish)
    outcome = reviewing.submit(aino, item, accepting(EVERY_KIND))
    item.refresh_from_db()

    assert not outcome.counted
    assert Review.objects.get().instruction == EVERY_KIND
    assert item.state == ItemState.OPEN
    assert Slot.objects.get().holder == other
    assert reviewing.submit(other, item, accepting()).counted


def test_review_of_a_decided_item_is_an_extra_and_changes_no_verdict(urdu, zara, omar):
    urdu.quorum = 1
    urdu.save()
    item = make_items(urdu)[0]
    queues.claim_next(omar, urdu)
    review(zara, item, accepting("The pair's words."))
    outcome = reviewing.submit(omar, item, rejecting())
    item.refresh_from_db()

    assert not outcome.counted
    assert item.state == ItemState.ACCEPTED
    assert states(item) == [SlotState.CLOSED, SlotState.DONE]
    assert Pair.objects.current().get().instruction == "The pair's words."


def test_submit_deletes_the_autosave_and_a_late_autosave_does_not_bring_it_back(aino, finnish):
    item = make_items(finnish)[0]
    queues.claim_next(aino, finnish)
    reviewing.autosave(aino, item, version=0, data={"instruction": "kes"})
    reviewing.submit(aino, item, accepting())

    assert not Autosave.objects.exists()
    with pytest.raises(AlreadyReviewed):
        reviewing.autosave(aino, item, version=1, data={"instruction": "kesken"})
    assert not Autosave.objects.exists()


# The rules of a review

FULL = {"rating_alignment": 4, "rating_instruction": 4, "rating_text": 4, "overall": 4}


@pytest.mark.parametrize(
    ("submission", "field"),
    [
        (accepting(""), "instruction"),
        (accepting(" \n"), "instruction"),
        (accepting(overall=None), "overall"),
        (accepting(overall=2), "overall"),
        (accepting(rating_text=None), "rating_text"),
        (accepting(rating_alignment=6), "rating_alignment"),
        (accepting(rating_instruction=0), "rating_instruction"),
        (rejecting(" "), "reason"),
        (rejecting(overall=4), "overall"),
        (rejecting(overall=5), "overall"),
        (accepting(decision="maybe"), "decision"),
        (accepting(flags={"ugly": ""}), "flags"),
        (accepting(response_edit=" "), "response_edit"),
        (accepting("a\x00b"), "instruction"),
        (accepting("a\ud800b"), "instruction"),
        (rejecting("a\udfff"), "reason"),
        (accepting(flags={"harmful": "\x00"}), "flags"),
        (accepting(spans="all"), "spans"),
        (accepting(spans=[{"start": 0}]), "spans"),
        (accepting(spans=[{"start": True, "end": 5, "quote": "eksti"}]), "spans"),
        (accepting(spans=[{"start": 0, "end": 6, "quote": "Tekst"}]), "spans"),
        (accepting(spans=[{"start": 3, "end": 3, "quote": ""}]), "spans"),
        (accepting(spans=[{"start": -6, "end": -1, "quote": "lauan"}]), "spans"),
        (accepting(spans=[{"start": 0, "end": 99_999, "quote": "Teksti"}]), "spans"),
        (
            accepting(spans=[{"start": 0, "end": 6, "quote": "Teksti"}, {"start": 5, "end": 7, "quote": "i "}]),
            "spans",
        ),
        (
            accepting(spans=[{"start": 7, "end": 8, "quote": "t"}, {"start": 0, "end": 6, "quote": "Teksti"}]),
            "spans",
        ),
    ],
)
def test_review_that_breaks_a_rule_is_refused_with_the_field_and_a_reason(submission, field, aino, finnish):
    item = make_items(finnish, texts=[make_text(finnish, "Teksti torista ja kalasta, joka lauantai.")])[0]
    slot = queues.claim_next(aino, finnish)

    with pytest.raises(InvalidReview) as caught:
        reviewing.submit(aino, item, submission)
    assert list(caught.value.errors) == [field]
    assert caught.value.errors[field]
    assert not Review.objects.exists()
    slot.refresh_from_db()
    assert slot.state == SlotState.HELD


def test_candidate_of_another_text_is_refused(aino, finnish):
    item = make_items(finnish)[0]

    with pytest.raises(InvalidReview, match="another text"):
        review(aino, item, accepting(candidate=make_candidate(make_text(finnish))))


@pytest.mark.parametrize("submission", [rejecting(overall=3), rejecting(overall=1), rejecting(), accepting(overall=3)])
def test_review_within_the_rules_is_stored(submission, aino, finnish):
    assert review(aino, make_items(finnish)[0], submission).counted


# From reviews to a pair


def test_agreeing_reviews_make_the_pair(zara, omar, urdu):
    item = make_items(urdu)[0]
    candidate = item.candidates()[0]
    one = review(zara, item, accepting("Describe the market.", candidate=candidate))
    assert (item.state, Pair.objects.count()) == (ItemState.OPEN, 0)
    two = review(omar, item, accepting("Describe the market. ", candidate=candidate, overall=5))
    pair = Pair.objects.current().get()

    assert item.state == ItemState.ACCEPTED
    assert item.decided_at
    assert (pair.state, pair.instruction, pair.origin) == (PairState.ACCEPTED, "Describe the market.", Origin.WEB)
    assert pair.candidate == candidate
    assert set(pair.decided_by) == {str(one.review.pk), str(two.review.pk)}
    assert pair.response() == item.text.body
    assert Event.objects.filter(kind=EventKind.PAIR_DECIDED).count() == 1


def test_edited_response_and_kept_parts_are_the_pairs(aino, finnish):
    body = "Otsikko\nTorilla myydään kalaa.\nJaa tämä"
    item, other = make_items(finnish, texts=[make_text(finnish, body), make_text(finnish)])
    span = {"start": 8, "end": 30, "quote": body[8:30]}
    review(aino, item, accepting(spans=[span]))
    review(aino, other, accepting(response_edit="Torilla myydään kalaa."))
    kept, edited = Pair.objects.order_by("id")

    assert (kept.response(), kept.origin, kept.spans) == ("Torilla myydään kalaa.", Origin.WEB, [span])
    assert (edited.response(), edited.origin) == ("Torilla myydään kalaa.", Origin.WEB_HUMAN)


def test_edit_or_part_that_changes_nothing_is_none(aino, finnish):
    body = "Torilla\nmyydään kalaa."
    first, second = make_items(finnish, texts=[make_text(finnish, body), make_text(finnish, body + "!")])
    review(aino, first, accepting(response_edit="Torilla\r\nmyydään kalaa.\r\n"))
    review(aino, second, accepting(spans=[{"start": 0, "end": len(body) + 1, "quote": body + "!"}]))

    assert [(pair.origin, pair.spans) for pair in Pair.objects.all()] == [(Origin.WEB, [])] * 2


def test_wordings_that_differ_ask_for_one_more_review_and_it_decides(zara, omar, lee, urdu):
    item = make_items(urdu)[0]
    candidate = item.candidates()[0]
    review(zara, item, accepting("Say what is sold.", candidate=candidate))
    review(omar, item, accepting("Describe the market."))
    slot = item.slots.get(number=3)

    assert item.state == ItemState.OPEN
    alike = {"input": "", "response_edit": None, "spans": []}
    assert slot.wordings == [
        {"candidate": None, "instruction": "Describe the market."} | alike,
        {"candidate": candidate.pk, "instruction": "Say what is sold."} | alike,
    ]
    review(lee, item, accepting("Say what is sold."))
    pair = Pair.objects.get()

    assert item.state == ItemState.ACCEPTED
    assert (pair.instruction, pair.candidate) == ("Say what is sold.", candidate)


def test_tie_break_with_a_third_wording_is_disputed_and_not_releasable(zara, omar, lee, urdu):
    item = make_items(urdu)[0]
    for user, words in ((zara, "Say what is sold."), (omar, "Describe the market."), (lee, "What is a market?")):
        review(user, item, accepting(words))

    assert item.state == ItemState.DISPUTED
    assert Pair.objects.get().state == PairState.DISPUTED
    assert not Pair.objects.releasable().exists()
    assert states(item) == [SlotState.DONE] * 3


def test_split_decision_is_disputed(zara, omar, urdu):
    item = make_items(urdu)[0]
    review(zara, item, accepting())
    review(omar, item, rejecting())

    assert item.state == ItemState.DISPUTED


def test_rejected_item_has_no_pair(aino, finnish):
    item = make_items(finnish)[0]
    review(aino, item, rejecting())

    assert item.state == ItemState.REJECTED
    assert not Pair.objects.exists()


def test_quorum_before_the_last_review_closes_what_is_left(zara, omar, lee, urdu):
    urdu.overlap = 3
    urdu.save()
    item = make_items(urdu)[0]
    review(zara, item, accepting())
    review(omar, item, accepting())

    assert item.state == ItemState.ACCEPTED
    assert states(item) == [SlotState.DONE, SlotState.DONE, SlotState.CLOSED]
    with pytest.raises(QueueEmpty) as caught:
        queues.claim_next(lee, urdu)
    assert caught.value.reason == EmptyReason.ALL_DONE


def test_pair_with_a_cultural_concern_waits_for_a_linguist(aino, finnish):
    review(aino, make_items(finnish)[0], accepting(flags={Flag.CULTURAL: "A saint's day."}))

    assert Pair.objects.get().state == PairState.HELD
    assert not Pair.objects.releasable().exists()


# Autosave


def test_autosave_counts_versions_and_keeps_the_lease(aino, finnish):
    item = make_items(finnish)[0]
    queues.claim_next(aino, finnish)
    expire_all()
    first = reviewing.autosave(aino, item, version=0, data={"instruction": "k"})
    second = reviewing.autosave(aino, item, version=first.version, data={"instruction": EVERY_KIND})

    assert (first.version, second.version) == (1, 2)
    assert Autosave.objects.get().data == {"instruction": EVERY_KIND}
    assert Slot.objects.get().lease_expires_at > timezone.now()


def test_older_autosave_does_not_overwrite_a_newer_one(aino, finnish):
    item = make_items(finnish)[0]
    reviewing.autosave(aino, item, version=0, data={"instruction": "on the phone"})

    with pytest.raises(StaleAutosave) as caught:
        reviewing.autosave(aino, item, version=0, data={"instruction": "on the desk"})
    assert caught.value.current.data == {"instruction": "on the phone"}
    assert Autosave.objects.get().version == 1


def test_autosave_whose_answer_was_lost_may_be_sent_again(aino, finnish):
    item = make_items(finnish)[0]
    reviewing.autosave(aino, item, version=0, data={"instruction": "same"})

    assert reviewing.autosave(aino, item, version=0, data={"instruction": "same"}).version == 1


def test_autosave_refuses_what_cannot_be_stored(aino, finnish):
    item = make_items(finnish)[0]

    with pytest.raises(InvalidReview):
        reviewing.autosave(aino, item, version=0, data={"flags": ["x", {"deep": "\x00"}]})
    assert not Autosave.objects.exists()


def test_autosave_of_a_lost_slot_is_kept_and_takes_nothing_back(aino, finnish):
    other = make_user(language=finnish)
    item = make_items(finnish)[0]
    queues.claim_next(aino, finnish)
    expire_all()
    queues.claim_next(other, finnish)
    reviewing.autosave(aino, item, version=0, data={"instruction": "late"})

    assert Autosave.objects.get().user == aino
    assert Slot.objects.get().holder == other


# Second thoughts


def test_withdrawn_review_gives_the_slot_back_and_the_pair_is_undone(aino, finnish):
    item = make_items(finnish)[0]
    outcome = review(aino, item, accepting("First."))
    reviewing.withdraw(aino, outcome.review)
    item.refresh_from_db()

    assert item.state == ItemState.OPEN
    assert not Pair.objects.current().exists()
    assert Pair.objects.get().state == PairState.WITHDRAWN
    assert queues.claim_next(aino, finnish).item == item

    assert reviewing.submit(aino, item, accepting("Second.")).counted
    assert Pair.objects.current().get().instruction == "Second."


def test_withdrawing_reopens_what_the_quorum_had_closed(zara, omar, urdu):
    urdu.overlap = 3
    urdu.save()
    item = make_items(urdu)[0]
    first = review(zara, item, accepting())
    review(omar, item, accepting())
    reviewing.withdraw(zara, first.review)

    assert states(item) == [SlotState.HELD, SlotState.DONE, SlotState.FREE]


def test_withdrawing_after_a_tie_break_waits_for_the_new_decision(zara, omar, lee, urdu):
    item = make_items(urdu)[0]
    review(zara, item, accepting("Say what is sold."))
    second = review(omar, item, accepting("Describe the market."))
    review(lee, item, rejecting())
    assert item.state == ItemState.DISPUTED
    reviewing.withdraw(omar, second.review)
    item.refresh_from_db()

    assert item.state == ItemState.OPEN
    assert states(item) == [SlotState.DONE, SlotState.HELD, SlotState.DONE]
    reviewing.submit(omar, item, accepting("Say what is sold."))
    item.refresh_from_db()
    assert item.state == ItemState.ACCEPTED


def test_withdrawing_one_of_two_wordings_takes_the_tie_break_back(zara, omar, lee, urdu):
    item = make_items(urdu)[0]
    review(zara, item, accepting("Say what is sold."))
    second = review(omar, item, accepting("Describe the market."))
    assert states(item) == [SlotState.DONE, SlotState.DONE, SlotState.FREE]
    reviewing.withdraw(omar, second.review)

    assert states(item) == [SlotState.DONE, SlotState.HELD, SlotState.CLOSED]
    reviewing.submit(omar, item, accepting("What is a market?"))
    assert states(item) == [SlotState.DONE, SlotState.DONE, SlotState.FREE]
    assert len(item.slots.get(number=3).wordings) == 2
    assert queues.claim_next(lee, urdu).number == 3


def test_withdrawing_a_minority_review_decides_anew_without_it(zara, omar, lee, urdu):
    item = make_items(urdu)[0]
    review(zara, item, accepting("Say what is sold."))
    second = review(omar, item, accepting("Describe the market."))
    review(lee, item, accepting("Say what is sold."))
    reviewing.withdraw(omar, second.review)
    item.refresh_from_db()

    assert item.state == ItemState.ACCEPTED
    assert Pair.objects.current().get().instruction == "Say what is sold."
    assert not item.slots.filter(state__in=[SlotState.FREE, SlotState.HELD]).exists()


def test_only_the_reviewer_withdraws_and_only_once(zara, omar, urdu):
    item = make_items(urdu)[0]
    outcome = review(zara, item, accepting())

    with pytest.raises(UnknownSubmission):
        reviewing.withdraw(omar, outcome.review)
    reviewing.withdraw(zara, outcome.review)
    reviewing.withdraw(zara, outcome.review)
    assert Event.objects.filter(kind=EventKind.REVIEW_WITHDRAWN).count() == 1


def test_review_whose_pair_is_released_stands(aino, finnish):
    item = make_items(finnish)[0]
    outcome = review(aino, item, accepting())
    freezing.build_release("first", [finnish])

    with pytest.raises(TooLate):
        reviewing.withdraw(aino, outcome.review)


def test_replay_after_withdrawal_answers_with_the_withdrawn_review(aino, finnish):
    item = make_items(finnish)[0]
    sent = accepting(id=uuid.uuid4())
    reviewing.withdraw(aino, review(aino, item, sent).review)

    assert reviewing.submit(aino, item, sent).replayed
    assert Review.objects.standing().count() == 0
