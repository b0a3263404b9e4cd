"""Leads and people at once: audits, disputes, gold, relabels, voices that count alone, second thoughts, in any order.

Hypothesis makes the orders up, as in test_state_machine.py, which plays the slots in full. What should be there is
worked out anew after each step.
"""

import uuid

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from annotation import adjudicating, auditing, gold, policies, queues, relabelling, reviewing, tallies, verdicts
from annotation.agreement import Result, verdict
from annotation.deciding import DecisionError
from annotation.models import (
    Adjudication,
    Audit,
    AuditVerdict,
    Flag,
    Gold,
    Item,
    ItemKind,
    ItemState,
    Pair,
    PairState,
    Review,
    Slot,
    SlotState,
    Tally,
)
from annotation.queues import QueueEmpty
from generation.models import Text
from tests.annotation.test_state_machine import OPEN, _is_kept, ballot
from tests.factories import accepting, make_items, make_language, make_user, rejecting
from xinstruct_site.people.models import Language, Role

PEOPLE = 4
people = st.integers(0, PEOPLE - 1)
which = st.integers(0, 99)  # of what there is
WORDS = ["Words A.", "Words A.", "Words B."]
DECIDED = {ItemState.ACCEPTED: {PairState.ACCEPTED, PairState.HELD, PairState.EXCLUDED}, ItemState.REJECTED: set()}


class LeadsAtWork(RuleBasedStateMachine):
    """Four people of two languages over three items of one, and a linguist of each."""

    @initialize(policy=st.sampled_from([(1, 1), (2, 1), (2, 2)]), alone=st.sets(people, max_size=1))
    def start(self, policy, alone):
        tables = ", ".join(f'"{name}"' for name in connection.introspection.table_names() if not _is_kept(name))
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        overlap, quorum = policy
        self.language = make_language("ur", overlap=overlap, quorum=quorum, gold_share=50)
        self.other = make_language("hi", overlap=1, quorum=1, gold_share=0)
        self.people = [make_user(language=self.language) for _ in range(PEOPLE)]
        self.readers = [make_user(language=self.other) for _ in range(2)]
        self.lead = make_user(language=self.language, role=Role.LINGUIST)
        self.let_count_alone(alone)
        make_items(self.language, 3)

    # What people do

    @rule(alone=st.sets(people, max_size=1))
    def let_count_alone(self, alone):
        language = Language.objects.get(pk=self.language.pk)
        voices = [self.people[who] for who in sorted(alone)]
        if voices == list(policies.alone_in(language)):
            return
        policies.change(
            language, policies.of(language), voices, note="", author=self.lead, based_on=language.policy_version
        )

    @rule(who=people, words=st.sampled_from([*WORDS, None]), overall=st.sampled_from([3, 4, 5]), says=st.integers(0, 5))
    def review(self, who, words, overall, says):
        """Says that it is Hindi, that it is a variety, that a linguist should look, or nothing."""
        flags = {2: {Flag.CULTURAL: ""}, 1: {Flag.WRONG_LANGUAGE: "Rekhta"}, 0: {Flag.WRONG_LANGUAGE: ""}}.get(says, {})
        relabel = {1: self.language, 0: self.other}.get(says)
        user = type(self.people[who]).objects.get(pk=self.people[who].pk)
        try:
            item = queues.claim_next(user, self.language).item
        except QueueEmpty:
            return
        assert not self.has_met(user, item)
        sent = {"flags": flags, "relabel": relabel}
        alone = user.counts_alone(self.language, item.policy_version)
        outcome = reviewing.submit(
            user, item, rejecting(**sent) if words is None else accepting(words, overall=overall, **sent)
        )
        assert outcome.counted
        assert outcome.review.counts_alone == alone
        if alone and words is not None:
            assert Item.objects.get(pk=item.pk).state == ItemState.ACCEPTED

    @rule(one=people, says=st.sampled_from(["hindi", "variety"]))
    def all_say_the_same(self, one, says):
        for who in range(one, one + self.language.overlap):
            self.review(who % PEOPLE, None if says == "hindi" else "Words A.", 4, 0 if says == "hindi" else 1)

    @rule(who=st.integers(0, 1))
    def review_elsewhere(self, who):
        try:
            item = queues.claim_next(self.readers[who], self.other).item
        except QueueEmpty:
            return
        reviewing.submit(self.readers[who], item, accepting())

    @rule(n=which)
    def withdraw(self, n):
        reviews = Review.objects.standing().select_related("item__text", "item__language", "reviewer").order_by("item")
        if found := list(reviews):
            review = found[n % len(found)]
            try:
                reviewing.withdraw(review.reviewer, review)
            except reviewing.DecidedByLinguist:
                return
            slots = Slot.objects.filter(holder=review.reviewer, state=SlotState.HELD)
            for slot in slots.select_related("item__language"):
                queues.skip(review.reviewer, slot.item)

    # What leads do

    @rule(n=which, said=st.sampled_from(AuditVerdict.values))
    def audit(self, n, said):
        pairs = list(auditing.auditable(self.language).select_related("item__text", "item__language").order_by("pk"))
        if not pairs:
            return
        pair = pairs[n % len(pairs)]
        wording = verdicts.wording_of(pair)
        fixed = type(wording)("Fixed words.", wording.input, wording.response_edit, wording.spans)
        sent = auditing.Submission(uuid.uuid4(), said, note="So.", wording=fixed)
        try:
            auditing.audit(self.lead, pair, sent)
        except DecisionError:
            assert said == AuditVerdict.FIX  # of what is fixed like this already

    @rule(n=which)
    def take_an_audit_back(self, n):
        if found := list(Audit.objects.standing().select_related("item__text", "item__language").order_by("at")):
            self.take_back(auditing.withdraw, found[n % len(found)])

    @rule(n=which, accepts=st.booleans())
    def adjudicate(self, n, accepts):
        found = list(adjudicating.disputed(self.language).select_related("text", "language"))
        if not found:
            return
        words = verdicts.Wording("The last word.")
        sent = adjudicating.Submission(uuid.uuid4(), "accept" if accepts else "reject", 3, "So.", words)
        adjudicating.adjudicate(self.lead, found[n % len(found)], sent)

    @rule(n=which)
    def take_a_decision_back(self, n):
        standing = Adjudication.objects.filter(withdrawn_at=None).select_related("item__text", "item__language")
        if found := list(standing.order_by("at")):
            self.take_back(adjudicating.withdraw, found[n % len(found)])

    def take_back(self, withdraw, done):
        try:
            withdraw(self.lead, done)
        except DecisionError:
            assert type(done).objects.get(pk=done.pk).withdrawn_at is None

    @rule(n=which)
    def make_gold(self, n):
        decided = Item.objects.filter(language=self.language, state__in=DECIDED, gold=None)
        if found := list(decided.select_related("text", "language").order_by("pk")):
            try:
                gold.make(found[n % len(found)], self.lead)
            except gold.NoGold:
                return

    @rule(n=which, is_wrong=st.booleans())
    def retire_gold(self, n, is_wrong):
        if found := list(Gold.objects.select_related("item__language").order_by("pk")):
            gold.retire(found[n % len(found)], self.lead, is_wrong=is_wrong)

    @rule(n=which, name=st.sampled_from(["Dakhini", ""]), moves=st.booleans())
    def relabel(self, n, name, moves):
        found = list(Item.objects.filter(language=self.language, gold=None).select_related("text", "language"))
        item = found[n % len(found)]
        if not moves:
            relabelling.say(item, self.lead, variety=name)
            assert Text.objects.get(pk=item.text_id).variety == name
            return
        try:
            relabelling.move(item, self.other, self.lead)
        except relabelling.NotMoved:
            return
        assert Item.objects.filter(language=self.other, text__relabelled_from=item.text, state=ItemState.OPEN).exists()

    @rule()
    def more_items(self):
        if Item.objects.filter(language=self.language, gold=None).count() < 6:
            make_items(self.language)

    # What always holds

    @invariant()
    def who_waits_has_a_slot_and_what_is_decided_has_none(self):
        for item in Item.objects.all():
            waiting = item.slots.filter(state__in=OPEN).count()
            assert bool(waiting) == (item.state == ItemState.OPEN)
            for review in item.reviews.standing().exclude(slot=None):
                assert (review.slot.state, review.slot.holder_id) == (SlotState.DONE, review.reviewer_id)

    @invariant()
    def the_pair_is_what_the_item_came_to(self):
        for item in Item.objects.all():
            pairs = list(Pair.objects.current().filter(item=item))
            if item.state == ItemState.OPEN:
                assert pairs == []
            elif item.state in DECIDED:
                assert {pair.state for pair in pairs} <= DECIDED[item.state]
                assert len(pairs) == (item.state == ItemState.ACCEPTED)
            elif item.state == ItemState.DISPUTED:
                assert {pair.state for pair in pairs} <= {PairState.DISPUTED}

    @invariant()
    def where_no_lead_has_decided_the_verdict_is_that_of_the_reviews(self):
        ruled = {*Audit.objects.values_list("item", flat=True), *Adjudication.objects.values_list("item", flat=True)}
        for item in Item.objects.exclude(pk__in=ruled).exclude(state=ItemState.WITHDRAWN):
            counted = list(item.reviews.standing().exclude(slot=None))
            reached = verdict([ballot(review) for review in counted], item.overlap, item.quorum).result
            is_waited_for = item.slots.filter(state__in=OPEN).exists()
            if reached == Result.ACCEPTED:
                assert item.state == ItemState.ACCEPTED
            elif reached in {Result.REJECTED, Result.DISPUTED} and not is_waited_for:
                assert item.state == reached.value
            else:
                assert item.state == ItemState.OPEN

    @invariant()
    def counts_are_what_a_recount_says_and_what_could_be_released(self):
        kept = {(t.language_id, t.person_id, t.day): t.number for t in Tally.objects.exclude(number=0)}
        assert kept == tallies.counted()
        for language in (self.language, self.other):
            releasable = Pair.objects.releasable().filter(item__language=language).count()
            assert queues.progress(self.lead, language).language_accepted == releasable

    @invariant()
    def gold_is_known_and_met_once(self):
        known = set(Gold.objects.values_list("item", flat=True))
        assert known == set(Item.objects.filter(kind=ItemKind.GOLD, gold=None).values_list("pk", flat=True))
        assert not Item.objects.filter(gold__isnull=False).exclude(kind=ItemKind.GOLD).exists()
        assert not Pair.objects.releasable().filter(item__text__items__gold__isnull=False).exists()
        for copy in Item.objects.filter(gold__isnull=False):
            readers = set(copy.reviews.values_list("reviewer", flat=True))
            others = Review.objects.filter(item__text=copy.text_id).exclude(item=copy)
            assert readers.isdisjoint(others.values_list("reviewer", flat=True))
        retired = Item.objects.filter(gold__retired_at__isnull=False, state=ItemState.OPEN)
        assert all(item.slots.exclude(state=SlotState.FREE).exists() for item in retired)

    @invariant()
    def a_text_waits_in_one_language_unless_somebody_there_has_begun(self):
        for moved in Item.objects.filter(language=self.other):
            source = Item.objects.get(text=moved.text.relabelled_from_id, gold=None)
            has_begun = moved.reviews.exists() or moved.slots.exclude(claimed_at=None).exists()
            assert source.state != ItemState.OPEN or has_begun
            assert moved.candidate_ids == source.candidate_ids

    def has_met(self, user, item) -> bool:
        same = Review.objects.filter(reviewer=user, item__text=item.text_id)
        return same.exists() if item.gold_id else same.standing().filter(item=item).exists()


@pytest.mark.django_db(transaction=True)
def test_whatever_leads_and_people_do_items_pairs_gold_and_counts_stay_in_step():
    run_state_machine_as_test(
        LeadsAtWork,
        settings=settings(
            max_examples=5,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
        ),
    )
    assert Language.objects.count() == 2  # of the last example, and nothing of the ones before
