"""Audits: marks that quote what stands there, four verdicts, each undone, and nobody on their own work."""

import uuid

import pytest

from annotation import auditing, deciding, queues, reviewing, tallies
from annotation.agreement import Wording
from annotation.auditing import Submission
from annotation.deciding import DecidedMeanwhile, Invalid, NotYours, OwnWork, TooLate
from annotation.models import Audit, AuditVerdict, Concern, Flag, Item, ItemState, Pair, PairState, Review
from tests.factories import accepting, decide, make_items, make_text, make_user
from xinstruct_site.people.models import Event, EventKind, Role

pytestmark = pytest.mark.django_db

BODY = "شادی کے موقع پر مہندی 💚👩‍👩‍👧 لگائی جاتی ہے۔ یہ رسم پرانی ہے۔"


@pytest.fixture
def linguist(urdu):
    return make_user("noor@example.org", urdu, role=Role.LINGUIST)


@pytest.fixture
def pair(urdu) -> Pair:
    """Accepted by two, one of whom asked a linguist to look."""
    item = make_items(urdu, texts=[make_text(urdu, BODY)])[0]
    decide(item, accepting(flags={Flag.CULTURAL: "a rite"}), accepting())
    return item.pairs.get()


def said(verdict: str, **fields) -> Submission:
    return Submission(**{"id": uuid.uuid4(), "verdict": verdict, **fields})


def mark(part: str, whole: str, quote: str, **fields) -> dict:
    start = whole.index(quote)
    found = {"part": part, "start": start, "end": start + len(quote), "quote": quote}
    return found | {"tag": Concern.RESTRICTED.value, "severity": 2, "note": ""} | fields


def accepted(language) -> int:
    return queues.progress(make_user(language=language), language).language_accepted


def test_held_pair_waits_for_a_linguist_and_passes_into_what_can_be_released(urdu, linguist, pair):
    assert list(auditing.held(urdu)) == [pair]
    assert (pair.state, accepted(urdu)) == (PairState.HELD, 0)
    done = auditing.audit(linguist, pair, said("pass", marks=[mark("text", BODY, "👩‍👩‍👧 لگائی")]))
    pair.refresh_from_db()
    assert (pair.state, accepted(urdu)) == (PairState.ACCEPTED, 1)
    assert not auditing.held(urdu).exists()
    assert done.marks[0]["quote"] == "👩‍👩‍👧 لگائی"
    assert Event.objects.get(kind=EventKind.AUDITED).actor == linguist
    assert tallies.recount() == []


def test_same_audit_sent_twice_is_stored_once(urdu, linguist, pair):
    sent = said("exclude", note="not for print")
    assert auditing.audit(linguist, pair, sent) == auditing.audit(linguist, pair, sent)
    assert Audit.objects.count() == 1


def test_second_linguist_hears_that_the_first_was_faster(urdu, linguist, pair):
    auditing.audit(linguist, pair, said("pass"))
    with pytest.raises(DecidedMeanwhile):
        auditing.audit(make_user(language=urdu, role=Role.LINGUIST), pair, said("exclude", note="no"))


def test_fix_makes_a_new_pair_and_undoing_it_brings_the_old_one_back(urdu, linguist, pair):
    wording = Wording("Explain the henna rite.", "", BODY.replace("پرانی", "قدیم"))
    done = auditing.audit(linguist, pair, said("fix", wording=wording))
    fixed = pair.item.pairs.current().get()
    assert (fixed.instruction, fixed.response(), fixed.state) == (
        "Explain the henna rite.", BODY.replace("پرانی", "قدیم"), PairState.ACCEPTED,
    )  # fmt: skip
    assert fixed.decided_by == [*pair.decided_by, str(done.pk)]
    assert tallies.recount() == []
    auditing.withdraw(linguist, done)
    again = pair.item.pairs.current().get()
    assert (again, again.state) == (pair, PairState.HELD)
    assert tallies.recount() == []


def test_fix_that_changes_nothing_is_refused(linguist, pair):
    with pytest.raises(Invalid, match="Nothing was changed"):
        auditing.audit(linguist, pair, said("fix", wording=Wording(f" {pair.instruction}\n")))


@pytest.mark.parametrize("verdict", ["exclude", "send_back"])
def test_turning_a_pair_away_takes_a_reason_or_a_mark(linguist, pair, verdict):
    with pytest.raises(Invalid) as refused:
        auditing.audit(linguist, pair, said(verdict))
    assert list(refused.value.errors) == ["note"]


def test_excluded_pair_is_released_no_more_until_that_is_undone(urdu, linguist, pair):
    Pair.objects.update(state=PairState.ACCEPTED)
    tallies.recount()
    done = auditing.audit(linguist, pair, said("exclude", note="sacred"))
    assert not Pair.objects.releasable().exists()
    assert tallies.recount() == []
    auditing.withdraw(linguist, done)
    assert Pair.objects.releasable().get() == pair
    assert tallies.recount() == []


def test_sent_back_the_item_waits_for_as_many_other_people(urdu, linguist, pair):
    before = list(Review.objects.values_list("reviewer", flat=True))
    auditing.audit(linguist, pair, said("send_back", note="The rite is another one."))
    item = Item.objects.get()
    assert (item.state, item.pairs.current().count()) == (ItemState.OPEN, 0)
    with pytest.raises(queues.QueueEmpty):
        queues.claim_next(Review.objects.get(reviewer=before[0]).reviewer, urdu)
    decide(item, accepting("What is henna for?"), accepting("What is henna for?"))
    assert (item.state, item.pairs.current().get().instruction) == (ItemState.ACCEPTED, "What is henna for?")
    assert tallies.recount() == []


def test_sending_back_is_undone_while_nobody_has_begun(urdu, linguist, pair):
    done = auditing.audit(linguist, pair, said("send_back", note="look again"))
    auditing.withdraw(linguist, done)
    item = Item.objects.get()
    assert (item.state, item.pairs.current().get()) == (ItemState.ACCEPTED, pair)
    assert Review.objects.filter(slot__isnull=False).count() == 2
    assert item.slots.count() == 2
    assert tallies.recount() == []
    done = auditing.audit(linguist, pair, said("send_back", note="look again"))
    queues.claim_next(make_user(language=urdu), urdu)
    with pytest.raises(TooLate):
        auditing.withdraw(linguist, done)
    assert Audit.objects.standing().get() == done


def test_linguist_does_not_audit_what_they_reviewed(urdu, linguist):
    item = make_items(urdu)[0]
    queues.claim_again(linguist, item)
    reviewing.submit(linguist, item, accepting(flags={Flag.CULTURAL: ""}))
    decide(item, accepting())
    pair = item.pairs.get()
    assert not deciding.for_linguist(auditing.held(urdu), linguist).exists()
    with pytest.raises(OwnWork):
        auditing.audit(linguist, pair, said("pass"))
    assert deciding.for_linguist(auditing.held(urdu), make_user(language=urdu, role=Role.LINGUIST)).get() == pair


def test_only_the_linguist_who_decided_takes_it_back(urdu, linguist, pair):
    done = auditing.audit(linguist, pair, said("pass"))
    with pytest.raises(NotYours):
        auditing.withdraw(make_user(language=urdu, role=Role.LINGUIST), done)


def test_reviewers_cannot_take_a_review_back_from_under_an_audit(linguist, pair):
    auditing.audit(linguist, pair, said("exclude", note="sacred"))
    review = Review.objects.first()
    with pytest.raises(reviewing.DecidedByLinguist):
        reviewing.withdraw(review.reviewer, review)


@pytest.mark.parametrize(
    "broken",
    [
        {"end": 10_000},
        {"start": -1},
        {"start": True},
        {"quote": "something else"},
        {"part": "title"},
        {"tag": "no such tag"},
        {"severity": 4},
        {"severity": "2"},
        {"note": None},
    ],
)
def test_mark_that_does_not_quote_what_stands_there_is_refused(linguist, pair, broken):
    with pytest.raises(Invalid):
        auditing.audit(linguist, pair, said("pass", marks=[mark("text", BODY, "مہندی") | broken]))
    assert not Audit.objects.exists()


def test_language_marks_with_tags_of_its_own(urdu, linguist, pair):
    urdu.audit_tags.create(name="بدعت")
    done = auditing.audit(linguist, pair, said("pass", marks=[mark("text", BODY, "رسم", tag="بدعت")]))
    assert done.marks[0]["tag"] == "بدعت"


def test_sample_of_a_language_stays_the_same_while_it_is_worked_off(finnish, monkeypatch):
    monkeypatch.setattr(auditing, "SAMPLE", 3)
    for item in make_items(finnish, 6):
        decide(item, accepting(), accepting())
    drawn = list(auditing.sample(finnish))
    assert len(drawn) == 3
    auditing.audit(make_user(language=finnish, role=Role.LINGUIST), drawn[0], said("pass"))
    assert list(auditing.sample(finnish)) == drawn[1:]


def test_suggested_rule_waits_until_it_is_in_the_guidelines_or_set_aside(urdu, linguist, pair):
    marks = [mark("text", BODY, "مہندی", note="not\nhenna tattoo")]
    done = auditing.audit(linguist, pair, said("pass", rule="Name rites as people do.\n", marks=marks))
    assert list(auditing.with_open_rules(urdu)) == [done]
    assert auditing.as_guideline(done) == "- Name rites as people do.\n    - “مہندی”: not henna tattoo"
    assert auditing.close_rule(done)
    assert not auditing.close_rule(done)
    assert not auditing.with_open_rules(urdu).exists()


def test_verdicts_are_the_four(linguist, pair):
    with pytest.raises(Invalid):
        auditing.audit(linguist, pair, said("maybe"))
    assert set(AuditVerdict.values) == {"pass", "fix", "exclude", "send_back"}
