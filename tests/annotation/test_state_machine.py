"""People claim, skip, save, submit, run out of time and change their minds in any order: what must hold, always holds.

Hypothesis makes the orders up, against real PostgreSQL; every example starts from truncated tables. What should be
there is worked out anew after each step, from the reviews alone.
"""

import datetime as dt
import uuid
from collections import Counter

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from annotation import queues, reviewing, tallies
from annotation.agreement import Ballot, Result, Wording, verdict
from annotation.models import Autosave, Item, ItemState, Pair, PairState, Review, Slot, SlotState, Tally
from annotation.queues import EmptyReason, QueueEmpty
from tests.factories import accepting, make_items, make_language, make_user, rejecting
from xinstruct_site.people.models import Language

PEOPLE = 4
ITEMS = 3
REST = 7  # days until a self-recheck, where the policy knows them
OPEN = {SlotState.FREE, SlotState.HELD}
people = st.integers(0, PEOPLE - 1)
items = st.integers(0, ITEMS - 1)
decisions = st.one_of(
    st.builds(
        lambda words, overall: {"instruction": words, "overall": overall},
        st.sampled_from(["Words A.", "Words A. ", "Words B.", "Words C."]),
        st.sampled_from([3, 4, 4, 5]),
    ),
    st.none(),
)


class PeopleAtWork(RuleBasedStateMachine):
    """Four people over three items of one language."""

    @initialize(
        policy=st.sampled_from([(1, 1), (2, 1), (2, 2), (3, 2), (3, 3)]),
        rests=st.booleans(),
        alone=st.one_of(st.none(), people),
    )
    def start(self, policy, rests, alone):
        tables = ", ".join(f'"{name}"' for name in connection.introspection.table_names() if not _is_kept(name))
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        overlap, quorum = policy
        rest = REST if rests and overlap > 1 else 0
        self.language = make_language("ur", overlap=overlap, quorum=quorum, recheck_days=rest)
        self.people = [make_user(language=self.language) for _ in range(PEOPLE)]
        if alone is not None:  # whose accept makes a pair by itself
            self.people[alone].memberships.update(counts_alone_from=self.language.policy_version)
        self.items = make_items(self.language, ITEMS)
        self.versions = {}

    # What people do

    @rule(who=people)
    def claim(self, who):
        user = self.people[who]
        held_before = {slot.pk: (slot.holder_id, slot.lease_expires_at) for slot in Slot.objects.filter(state="held")}
        own = {pk for pk, (holder, _) in held_before.items() if holder == user.pk}
        try:
            slot = queues.claim_next(user, self.language)
        except QueueEmpty as empty:
            reason = empty.reason
        else:
            reason = None
        if reason:
            assert not own
            assert reason == self.why_nothing(user)
            return
        assert slot.holder == user
        assert slot.lease_expires_at > timezone.now()
        if own:
            assert slot.pk in own
        else:
            assert not slot.wordings or not self.own(user, slot.item)
            assert slot.review_pass == (2 if self.is_due(user, slot.item) else 1)
            assert slot.review_pass == 2 or not self.own(user, slot.item)
            assert not slot.item.skips.filter(user=user).exists()
            holder, lease = held_before.get(slot.pk, (None, None))
            assert holder is None or lease < timezone.now()

    @rule(who=people, which=items)
    def skip(self, who, which):
        queues.skip(self.people[who], self.items[which])
        assert not self.items[which].slots.filter(holder=self.people[who], state=SlotState.HELD).exists()

    @rule(who=people, which=items)
    def take_up_again(self, who, which):
        had = queues.claim_again(self.people[who], self.items[which])
        assert had == self.items[which].slots.filter(holder=self.people[who], state=SlotState.HELD).exists()

    @rule(who=people, which=items, text=st.text(max_size=5).filter(lambda t: "\0" not in t), is_stale=st.booleans())
    def autosave(self, who, which, text, is_stale):
        user, item = self.people[who], self.items[which]
        before = Autosave.objects.filter(user=user, item=item).first()
        version = before.version if before else 0
        try:
            saved = reviewing.autosave(user, item, version=version + is_stale, data={"instruction": text})
        except reviewing.AlreadyReviewed:
            assert Review.objects.standing().filter(item=item, reviewer=user).exists()
        except reviewing.StaleAutosave:
            assert is_stale
            assert Autosave.objects.get(pk=before.pk).data == before.data
        else:
            assert saved.data == {"instruction": text}
            assert not before or not is_stale or before.data == saved.data

    @rule(who=people, which=items, decision=decisions)
    def submit_unasked(self, who, which, decision):
        self.submit(self.people[who], self.items[which], decision)

    @precondition(lambda self: Slot.objects.filter(state=SlotState.HELD).exists())
    @rule(data=st.data(), decision=decisions)
    def submit_what_somebody_holds(self, data, decision):
        held = Slot.objects.filter(state=SlotState.HELD).select_related("item__text", "item__language", "holder")
        slot = data.draw(st.sampled_from(list(held.order_by("pk"))))
        self.submit(slot.holder, slot.item, decision)

    @rule(one=decisions, other=decisions, first=people)
    def two_take_one_after_the_other(self, one, other, first):
        self.one_then_other(one, other, first)

    def one_then_other(self, one, other, first):
        self.claim_and_submit(first, one)
        self.claim_and_submit((first + 1) % PEOPLE, other)

    @rule(first=people)
    def two_differ_in_wording_only(self, first):
        self.one_then_other({"instruction": "Words A.", "overall": 4}, {"instruction": "Words B.", "overall": 4}, first)

    @rule(who=people, decision=decisions)
    def claim_and_submit(self, who, decision):
        try:
            slot = queues.claim_next(self.people[who], self.language)
        except QueueEmpty:
            return
        self.submit(self.people[who], slot.item, decision)

    @rule()
    def days_pass(self):
        days = dt.timedelta(days=REST)
        Review.objects.update(submitted_at=F("submitted_at") - days)
        Slot.objects.exclude(recheck_from=None).update(recheck_from=F("recheck_from") - days)
        tallies.recount()

    def submit(self, user, item, decision):
        sent = rejecting() if decision is None else accepting(**decision)
        is_theirs = item.slots.filter(holder=user, state=SlotState.HELD).exists()
        has_reviewed = bool(self.own(user, item)) and not self.is_due(user, item)
        is_open = Item.objects.get(pk=item.pk).state == ItemState.OPEN
        try:
            outcome = reviewing.submit(user, item, sent)
        except reviewing.AlreadyReviewed:
            assert has_reviewed
            assert not Review.objects.filter(pk=sent.id).exists()
            return
        assert not has_reviewed
        assert outcome.review.review_pass == len(self.own(user, item))
        assert outcome.counted == (is_theirs and is_open)
        again = reviewing.submit(user, item, sent)
        assert (again.review, again.counted, again.replayed) == (outcome.review, outcome.counted, True)
        assert not Autosave.objects.filter(user=user, item=item).exists()

    @precondition(lambda self: Slot.objects.filter(state=SlotState.HELD).exists())
    @rule(data=st.data())
    def expire(self, data):
        pk = data.draw(st.sampled_from(sorted(Slot.objects.filter(state="held").values_list("pk", flat=True))))
        Slot.objects.filter(pk=pk).update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))

    @precondition(lambda self: Review.objects.standing().exists())
    @rule(data=st.data())
    def withdraw(self, data):
        reviews = Review.objects.standing().select_related("item__text", "item__language", "reviewer")
        review = data.draw(st.sampled_from(list(reviews.order_by("item", "submitted_at"))))
        if review.review_pass == 1 and len(self.own(review.reviewer, review.item)) > 1:
            with pytest.raises(reviewing.SecondLookStands):
                reviewing.withdraw(review.reviewer, review)
            return
        reviewing.withdraw(review.reviewer, review)
        assert review.withdrawn_at
        assert Autosave.objects.filter(user=review.reviewer, item=review.item).exists()

    @precondition(lambda self: Review.objects.standing().exists())
    @rule(who=people)
    def withdraw_what_somebody_else_wrote(self, who):
        review = Review.objects.standing().exclude(reviewer=self.people[who]).first()
        if review:
            with pytest.raises(reviewing.UnknownSubmission):
                reviewing.withdraw(self.people[who], review)

    @rule(who=people, which=items)
    def submit_with_an_id_that_is_taken(self, who, which):
        taken = Review.objects.exclude(reviewer=self.people[who], item=self.items[which]).first()
        if taken:
            with pytest.raises(reviewing.UnknownSubmission):
                reviewing.submit(self.people[who], self.items[which], accepting(id=uuid.UUID(str(taken.pk))))

    # What always holds

    @invariant()
    def slots_are_as_the_reviews_say(self):
        for item in Item.objects.all():
            slots = list(item.slots.all())
            counted = list(item.reviews.standing().exclude(slot=None))
            limit = item.overlap + any(slot.number > item.overlap for slot in slots)
            assert len(counted) == sum(slot.state == SlotState.DONE for slot in slots) <= limit
            assert {review.slot_id for review in counted} == {s.pk for s in slots if s.state == SlotState.DONE}
            assert all(review.slot.holder_id == review.reviewer_id for review in counted)
            waiting = [slot for slot in slots if slot.state in OPEN]
            assert len(waiting) == (max(item.overlap - len(counted), 1) if item.state == ItemState.OPEN else 0)
            assert all(review.slot.review_pass == review.review_pass for review in counted)
            reviewers = Counter(review.reviewer_id for review in counted)
            assert all(slot.reviewed_by == sorted(reviewers) for slot in waiting)
            once = [review.submitted_at for review in counted if reviewers[review.reviewer_id] == 1]
            due = min(once) + dt.timedelta(days=REST) if once and item.recheck_days else None
            assert all(slot.recheck_from == (None if slot.wordings else due) for slot in waiting)

    @invariant()
    def nobody_has_two_slots_or_two_reviews_of_an_item_but_for_a_recheck(self):
        taken = Slot.objects.exclude(holder=None).exclude(state="closed")
        holders = Counter(taken.values_list("item", "holder"))
        reviewers = Counter(Review.objects.standing().values_list("item", "reviewer"))
        most = 2 if self.language.recheck_days else 1
        assert max([*holders.values(), *reviewers.values()], default=1) <= most
        held = Counter(taken.filter(state="held").values_list("item", "holder"))
        assert max(held.values(), default=1) == 1

    @invariant()
    def state_and_pair_are_the_verdict(self):
        for item in Item.objects.all():
            counted = list(item.reviews.standing().exclude(slot=None))
            reached = verdict([ballot(review) for review in counted], item.overlap, item.quorum)
            is_waited_for = item.slots.filter(state__in=OPEN).exists()
            decided = reached.result in {Result.REJECTED, Result.DISPUTED} and not is_waited_for
            pair = Pair.objects.current().filter(item=item).first()
            if reached.result == Result.ACCEPTED:
                assert item.state == ItemState.ACCEPTED
                assert pair.state == PairState.ACCEPTED
                assert pair.instruction == reached.wording.instruction
                agreed = [review for review in counted if str(review.pk) in pair.decided_by]
                assert len(agreed) == len(pair.decided_by)
                assert len(agreed) >= item.quorum or any(review.counts_alone for review in agreed)
                firsts = [review for review in agreed if review.review_pass == 1]
                assert len({review.reviewer_id for review in firsts}) == len(firsts)
            else:
                assert item.state == (reached.result.value if decided else ItemState.OPEN)
                assert (pair is not None) == (decided and reached.result == Result.DISPUTED)
                assert pair is None or pair.state == PairState.DISPUTED

    @invariant()
    def versions_of_unsent_work_only_grow(self):
        now = dict(Autosave.objects.values_list("pk", "version"))
        assert all(now.get(pk, version) >= version for pk, version in self.versions.items())
        self.versions |= now

    @invariant()
    def counts_are_what_a_recount_says(self):
        kept = {(t.language_id, t.person_id, t.day): t.number for t in Tally.objects.exclude(number=0)}
        assert kept == tallies.counted()

    def why_nothing(self, user) -> EmptyReason:
        """Why there is nothing to be had, from rows looked at one by one."""
        waiting = [slot for slot in Slot.objects.all() if slot.state in OPEN]
        if not waiting:
            return EmptyReason.ALL_DONE
        for_them = [slot for slot in waiting if not self.has_met(user, slot.item)]
        assert all(map(is_held, for_them))
        if for_them:
            return EmptyReason.ALL_HELD
        mine = [slot for slot in waiting if slot.recheck_from and not is_held(slot) and self.may_recheck(user, slot)]
        assert not any(self.is_due(user, slot.item) for slot in mine)
        return EmptyReason.RECHECK_LATER if mine else EmptyReason.ONLY_YOURS

    def may_recheck(self, user, slot) -> bool:
        """Now or later, going by their reviews, skips and slots of the item."""
        own = self.own(user, slot.item)
        at_it = Slot.objects.filter(item=slot.item, holder=user, review_pass=2).exists()
        return len(own) == 1 and bool(own[0].slot_id) and not at_it and not slot.item.skips.filter(user=user).exists()

    @staticmethod
    def own(user, item) -> list[Review]:
        return list(Review.objects.standing().filter(item=item, reviewer=user))

    def is_due(self, user, item) -> bool:
        """Whether their next review is a self-recheck, and its time has come."""
        own = self.own(user, item)
        rest = dt.timedelta(days=self.language.recheck_days)
        return bool(rest and len(own) == 1 and own[0].slot_id and own[0].submitted_at + rest <= timezone.now())

    @staticmethod
    def has_met(user, item) -> bool:
        return (
            item.slots.filter(holder=user).exists()
            or item.skips.filter(user=user).exists()
            or item.reviews.standing().filter(reviewer=user).exists()
        )


def is_held(slot: Slot) -> bool:
    return slot.state == SlotState.HELD and slot.lease_expires_at > timezone.now()


def _is_kept(table: str) -> bool:
    """Django's own bookkeeping, which a flush fills again."""
    return table in {"django_migrations", "django_content_type", "auth_permission"}


def ballot(review: Review) -> Ballot:
    words = Wording(review.instruction, review.input, review.response_edit)
    accepts = review.decision == "accept"
    return Ballot(str(review.pk), accepts, words, review.overall, counts_alone=review.counts_alone)


@pytest.mark.django_db(transaction=True)
def test_whatever_people_do_slots_reviews_verdicts_and_counts_stay_in_step():
    run_state_machine_as_test(
        PeopleAtWork,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Language.objects.count() == 1  # of the last example, and nothing of the ones before
