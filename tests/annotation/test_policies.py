"""Review policies: what a change does and does not touch, who counts alone, and what linguists-only means."""

import math

import pytest
from django.urls import reverse

from annotation import policies, queues, reviewing
from annotation.agreement import Ballot, Result, Wording, verdict
from annotation.models import ItemState, Pair
from annotation.policies import Policy
from tests.factories import accepting, decide, make_items, make_language, make_user, rejecting
from xinstruct_site.people.models import Event, EventKind, Language, PolicyVersion, Role, User

A, B = Wording("a"), Wording("b")


def fresh(language):
    return Language.objects.get(pk=language.pk)


def again(user):
    return User.objects.get(pk=user.pk)


def test_one_whose_accept_counts_alone_decides_and_a_reject_of_theirs_does_not():
    def alone(wording, overall=4):
        return Ballot("1", True, wording, overall, counts_alone=True)

    assert verdict([alone(A)], 2, 2).result == Result.ACCEPTED
    assert verdict([alone(A), Ballot("2", True, B, 5)], 2, 2).wording == A
    assert verdict([alone(A, 3), Ballot("2", True, A, 5)], 3, 3).agreeing == ("1",)
    assert verdict([Ballot("2", False, B), alone(A)], 2, 2).result == Result.ACCEPTED
    assert verdict([Ballot("1", False, A, counts_alone=True)], 2, 2).result == Result.PENDING
    two = [alone(A), Ballot("2", True, B, 4, counts_alone=True)]
    assert verdict(two, 2, 2).result != Result.ACCEPTED


def test_a_change_holds_for_items_opened_from_then_on_and_pairs_say_what_they_passed(urdu, lead):
    [old] = make_items(urdu)
    policies.change(urdu, Policy(1, 1), [], note="Two of us only.", author=lead, based_on=1)
    [new] = make_items(fresh(urdu))
    assert (old.overlap, old.policy_version) == (2, 1)
    assert (new.overlap, new.quorum, new.policy_version) == (1, 1, 2)
    decide(new, accepting())
    decide(old, accepting())
    assert (new.state, old.state) == (ItemState.ACCEPTED, ItemState.OPEN)
    decide(old, accepting())
    assert dict(Pair.objects.values_list("item", "policy_version")) == {old.pk: 1, new.pk: 2}
    first, second = PolicyVersion.objects.order_by("version")
    assert (first.overlap, first.author) == (2, None)
    assert (second.overlap, second.author, second.note) == (1, lead, "Two of us only.")
    assert Event.objects.filter(kind=EventKind.POLICY_CHANGED, actor=lead).count() == 1


def test_who_counts_alone_does_so_on_items_opened_since_and_no_more_once_it_is_taken_away(urdu, lead, zara):
    [old] = make_items(urdu)
    policies.change(urdu, Policy(2, 2), [zara], author=lead, based_on=1)
    new, other = make_items(fresh(urdu), 2)
    for item in (old, new):
        queues.claim_again(again(zara), item)
        reviewing.submit(again(zara), item, accepting())
        item.refresh_from_db()
    assert (old.state, new.state) == (ItemState.OPEN, ItemState.ACCEPTED)
    policies.change(urdu, Policy(2, 2), [], author=lead, based_on=2)
    queues.claim_again(again(zara), other)
    reviewing.submit(again(zara), other, accepting())
    other.refresh_from_db()
    assert other.state == ItemState.OPEN
    # What they accepted while it counted stands, whatever others say of it later.
    assert Pair.objects.current().get(item=new).state == "accepted"


def test_linguists_only_serves_items_opened_since_to_linguists_alone(urdu, lead, zara):
    [old] = make_items(urdu)
    policies.change(urdu, Policy(1, 1, linguists_only=True), [], author=lead, based_on=1)
    [new] = make_items(fresh(urdu))
    assert queues.claim_next(zara, urdu).item == old
    reviewing.submit(zara, old, rejecting())
    with pytest.raises(queues.QueueEmpty) as empty:
        queues.claim_next(zara, urdu)
    assert empty.value.reason == queues.EmptyReason.ONLY_YOURS  # the other review of the old one
    decide(old, rejecting())
    with pytest.raises(queues.QueueEmpty) as empty:
        queues.claim_next(zara, urdu)
    assert empty.value.reason == queues.EmptyReason.FOR_LINGUISTS
    assert queues.waiting(zara, urdu) == 0
    assert queues.claim_next(lead, urdu).item == new


def test_two_changes_at_once_and_impossible_ones_are_refused_in_words(urdu, lead):
    policies.change(urdu, Policy(3, 2), [], author=lead, based_on=1)
    with pytest.raises(policies.Outdated):
        policies.change(urdu, Policy(1, 1), [], author=lead, based_on=1)
    with pytest.raises(policies.NothingChanged):
        policies.change(urdu, Policy(3, 2), [], author=lead, based_on=2)
    for wrong in (Policy(2, 3), Policy(0, 0), Policy(10, 1), Policy(1, 1, recheck_days=7), Policy(2, 2, 400)):
        with pytest.raises(policies.PolicyError):
            policies.change(urdu, wrong, [], author=lead, based_on=2)


def test_a_forecast_is_the_rule_itself_over_chance():
    accepted, reviews = policies.chances(2, 2, 0.5)
    assert (accepted, reviews) == (0.25, 2.0)
    accepted, reviews = policies.chances(3, 2, 0.5)
    assert (accepted, reviews) == (0.5, 2.75)
    found = policies.Numbers(people=2, per_day=10, reviews=300, accepting=0.5, left=100)
    told = policies.forecast(Policy(2, 2), found)
    assert (told.accepted_of_100, told.reviews_per_pair, told.days) == (25, 8.0, 80)
    assert policies.forecast(Policy(3, 2), found).too_few_people
    assert policies.forecast(Policy(2, 2), policies.Numbers(0, 0.0, 0, 0.0, 100)).days is None


def test_a_forecast_counts_on_self_rechecks_where_people_are_too_few_without_them():
    policy = Policy(2, 2, recheck_days=14)
    alone, two = (policies.Numbers(people, 10, 300, accepting=0.5, left=100) for people in (1, 2))
    told = policies.forecast(policy, alone)
    assert (told.accepted_of_100, told.too_few_people) == (42, False)  # 0.5 × (0.7 + 0.3 × 0.5)
    assert told.days == math.ceil(100 * 2 / 0.425 / 10) + 14
    assert policies.forecast(Policy(3, 2, recheck_days=14), alone).too_few_people
    # With another person there, nobody waits for the rest of their own answers.
    assert policies.forecast(policy, two).days == policies.forecast(Policy(2, 2), two).days


def test_a_self_recheck_is_set_on_the_page_and_said_in_words(client, urdu, lead):
    address = reverse("policy", args=["ur"])
    client.force_login(lead)
    sent = {"overlap": "2", "quorum": "2", "based_on": "1"}
    for wrong in (
        {"recheck_days": "366"},
        {"recheck_days": "-1"},
        {"overlap": "1", "quorum": "1", "recheck_days": "7"},
    ):
        assert client.post(address, sent | wrong).status_code == 422
    assert client.post(address, sent | {"recheck_days": ""}).status_code == 409  # the policy that stands
    assert client.post(address, sent | {"recheck_days": "7"}).status_code == 302
    assert (fresh(urdu).recheck_days, PolicyVersion.objects.get(version=2).recheck_days) == (7, 7)
    assert "Whoever reviewed it may do so once more, 7 days later." in client.get(address).content.decode()
    [item] = make_items(fresh(urdu))
    assert item.recheck_days == 7


def test_the_page_explains_changes_and_keeps_versions(client, urdu, lead, zara):
    make_items(urdu, 3)
    address = reverse("policy", args=["ur"])
    client.force_login(lead)
    assert client.get(address).status_code == 200
    sent = {"overlap": "2", "quorum": "1", "alone": [zara.pk], "note": "Few.", "based_on": "1"}
    assert client.post(address, sent).status_code == 302
    page = client.get(address).content.decode()
    assert "3 open items were opened under an earlier policy" in page
    assert "Few." in page
    assert "Each item asks for 2 reviews; 1 must accept." in page
    assert client.post(address, sent).status_code == 409
    for wrong in ({"overlap": "1", "quorum": "2"}, {"overlap": "x"}, {"based_on": ""}, {"alone": ["99999"]}):
        assert client.post(address, sent | {"based_on": "2"} | wrong).status_code == 422


def test_the_page_is_for_who_leads_the_language(client, urdu, zara, maintainer):
    address = reverse("policy", args=["ur"])
    other = make_user(language=make_language("fi"), role=Role.LINGUIST)
    for user, status in ((zara, 404), (other, 404), (maintainer, 200)):
        client.force_login(user)
        assert client.get(address).status_code == status
        assert client.post(address, {}).status_code == (422 if status == 200 else 404)
