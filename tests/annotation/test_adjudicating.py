"""Adjudication: disputed items decided by a linguist who took no part, and taken back."""

import uuid

import pytest

from annotation import adjudicating, auditing, deciding, queues, reviewing, tallies
from annotation.adjudicating import Submission
from annotation.agreement import Wording
from annotation.deciding import DecidedMeanwhile, Invalid, OwnWork, TooLate
from annotation.models import Adjudication, Item, ItemState, Pair, PairState
from tests.factories import accepting, decide, make_items, make_user, rejecting
from xinstruct_site.people.models import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def linguist(urdu):
    return make_user("kaisa@example.org", urdu, role=Role.LINGUIST)


@pytest.fixture
def item(urdu) -> Item:
    """Two wordings, and a third voice for neither."""
    item = make_items(urdu)[0]
    decide(item, accepting("Describe the market."), accepting("Tell about the fair."), accepting("Sell me fish."))
    assert item.state == ItemState.DISPUTED
    return item


def said(decision: str = "accept", **fields) -> Submission:
    usual = {"wording": Wording("Describe the market day."), "overall": 4}
    return Submission(**{"id": uuid.uuid4(), "decision": decision, **usual, **fields})


def test_disputed_item_is_decided_with_the_linguists_words(urdu, linguist, item):
    assert list(adjudicating.disputed(urdu)) == [item]
    done = adjudicating.adjudicate(linguist, item, said())
    item.refresh_from_db()
    pair = Pair.objects.releasable().get()
    assert (item.state, pair.instruction, pair.decided_by) == (
        ItemState.ACCEPTED, "Describe the market day.", [str(done.pk)],
    )  # fmt: skip
    assert tallies.recount() == []


def test_taken_back_the_item_is_disputed_as_before(urdu, linguist, item):
    before = list(item.pairs.values("pk", "state", "is_current"))
    done = adjudicating.adjudicate(linguist, item, said())
    adjudicating.withdraw(linguist, done)
    item.refresh_from_db()
    assert item.state == ItemState.DISPUTED
    assert list(item.pairs.exclude(pk=done.pair_id).values("pk", "state", "is_current")) == before
    assert tallies.recount() == []
    adjudicating.adjudicate(linguist, item, said("reject", overall=2, note="Two texts in one."))
    item.refresh_from_db()
    assert (item.state, item.pairs.current().count()) == (ItemState.REJECTED, 0)


def test_same_decision_sent_twice_is_stored_once(linguist, item):
    sent = said()
    assert adjudicating.adjudicate(linguist, item, sent) == adjudicating.adjudicate(linguist, item, sent)
    assert Adjudication.objects.count() == 1


def test_second_linguist_hears_that_the_first_was_faster(urdu, linguist, item):
    adjudicating.adjudicate(linguist, item, said())
    with pytest.raises(DecidedMeanwhile):
        adjudicating.adjudicate(make_user(language=urdu, role=Role.LINGUIST), item, said())


def test_linguist_does_not_decide_on_their_own_review(urdu, linguist):
    item = make_items(urdu)[0]
    queues.claim_again(linguist, item)
    reviewing.submit(linguist, item, accepting("Describe the market."))
    decide(item, accepting("Tell about the fair."), accepting("Sell me fish."))
    assert not deciding.for_linguist(adjudicating.disputed(urdu), linguist).exists()
    with pytest.raises(OwnWork):
        adjudicating.adjudicate(linguist, item, said())


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"overall": None}, "overall"),
        ({"overall": 2}, "overall"),
        ({"wording": Wording(" ")}, "instruction"),
        ({"decision": "reject", "overall": 4, "note": "no"}, "overall"),
        ({"decision": "reject", "overall": 1}, "note"),
        ({"decision": "perhaps"}, "decision"),
    ],
)
def test_decision_keeps_the_rules_of_a_review(linguist, item, fields, wrong):
    with pytest.raises(Invalid) as refused:
        adjudicating.adjudicate(linguist, item, said(**fields))
    assert list(refused.value.errors) == [wrong]
    item.refresh_from_db()
    assert item.state == ItemState.DISPUTED


def test_answers_come_without_names_and_counted_ones_first(item):
    answers = adjudicating.answers(item)
    assert [answer.review.instruction for answer in answers] != []
    assert all(not answer.is_own for answer in answers)


def test_reviewers_cannot_take_a_review_back_from_under_a_decision(linguist, item):
    adjudicating.adjudicate(linguist, item, said())
    review = item.reviews.first()
    with pytest.raises(reviewing.DecidedByLinguist):
        reviewing.withdraw(review.reviewer, review)


def test_decision_whose_pair_was_audited_stands(urdu, linguist, item):
    done = adjudicating.adjudicate(linguist, item, said())
    item.audits.create(pair=done.pair, linguist=linguist, verdict="pass", undoing={"state": PairState.ACCEPTED})
    with pytest.raises(TooLate):
        adjudicating.withdraw(linguist, done)


def test_decision_falls_when_its_item_is_sent_back_and_stands_again_when_that_is_undone(urdu, linguist, item):
    done = adjudicating.adjudicate(linguist, item, said())
    other = make_user(language=urdu, role=Role.LINGUIST)
    back = auditing.audit(other, done.pair, auditing.Submission(uuid.uuid4(), "send_back", note="look again"))
    assert not Adjudication.objects.filter(withdrawn_at=None).exists()
    auditing.withdraw(other, back)
    assert Adjudication.objects.get(withdrawn_at=None) == done
    auditing.audit(other, done.pair, auditing.Submission(uuid.uuid4(), "send_back", note="look again"))
    decide(item, accepting("One."), rejecting())
    adjudicating.adjudicate(linguist, item, said())
    assert tallies.recount() == []
