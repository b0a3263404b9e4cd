"""Text as typed is stored as typed: through the database and back, whatever people's keyboards can write."""

import unicodedata

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from annotation import queues, reviewing
from annotation.models import Autosave, Review
from tests.factories import accepting, make_items, make_user

pytestmark = pytest.mark.django_db

anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)
MARKS = (
    "\u200e\u200f\u061c\u202a\u202b\u202c\u2066\u2067\u2069"  # direction
    "\u200b\u200c\u200d\ufeff\u00ad\ufe0f\U000e0061\u2028\u0085\x1b"  # joiners, selectors, odd line ends
)
CLUSTERS = ["👩🏾‍🤝‍👨🏻", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "ن\u0651\u064e", "เ\u0e4d\u0e32", "কি\u09cd\u200dয", "Ç", "C\u0327", "\r\n", "\r", "\t"]
awkward = st.lists(st.one_of(anything, st.sampled_from([*MARKS, *CLUSTERS])), min_size=1).map("".join)
in_a_form = st.tuples(awkward, st.sampled_from(["NFC", "NFD", None])).map(
    lambda pair: unicodedata.normalize(pair[1], pair[0]) if pair[1] else pair[0]
)
once_or_100_kb = st.tuples(in_a_form, st.booleans()).map(
    lambda pair: pair[0] * (100_000 // len(pair[0].encode())) if pair[1] else pair[0]
)
PLANES = "".join(chr(plane * 0x10000 + 0x123) for plane in range(17))
with_hypothesis = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@with_hypothesis
@given(text=once_or_100_kb)
@example(text=PLANES)
@example(text="\ufffe\uffff\U0010ffff")
def test_every_character_comes_back_from_an_autosave(aino, finnish, text):
    with transaction.atomic():  # each example starts from the same rows
        make_items(finnish)
        slot = queues.claim_next(aino, finnish)
        reviewing.autosave(aino, slot.item, version=0, data={"instruction": text, "flags": [text], text: "a key"})

        kept = Autosave.objects.get(user=aino).data
        assert kept == {"instruction": text, "flags": [text], text: "a key"}

        other = {"instruction": f"{text}!"}
        with pytest.raises(reviewing.StaleAutosave) as stale:
            reviewing.autosave(aino, slot.item, version=0, data=other)
        assert stale.value.current.data["instruction"] == text
        assert Autosave.objects.get(user=aino).data == kept
        transaction.set_rollback(True)


@with_hypothesis
@given(text=once_or_100_kb)
@example(text=PLANES)
def test_every_character_comes_back_from_a_review_and_into_the_pair(aino, finnish, text):
    words = f"Say {text} please"
    with transaction.atomic():
        make_items(finnish)
        slot = queues.claim_next(aino, finnish)
        sent = accepting(words, input=text, response_edit=words, flags={"broken_text": text}, reason=text)
        outcome = reviewing.submit(aino, slot.item, sent)

        stored = Review.objects.get(pk=sent.id)
        for review in (stored, outcome.review, reviewing.submit(aino, slot.item, sent).review):
            assert (review.instruction, review.input, review.response_edit) == (words, text, words)
            assert (review.flags, review.reason) == ({"broken_text": text}, text)
        pair = slot.item.pairs.get()
        assert pair.instruction == words.replace("\r\n", "\n").replace("\r", "\n")

        reviewing.withdraw(aino, stored)
        again = Autosave.objects.get(user=aino).data
        assert (again["instruction"], again["input"], again["response_edit"]) == (words, text, words)
        assert (again["reason"], again["note_broken_text"]) == (text, text)
        transaction.set_rollback(True)


@with_hypothesis
@given(text=in_a_form)
def test_every_character_of_an_extra_review_is_kept(aino, finnish, text):
    quick = make_user(language=finnish)
    words = f"Say {text} please"
    with transaction.atomic():
        item = make_items(finnish)[0]
        queues.claim_next(aino, finnish)
        item.slots.update(lease_expires_at="2020-01-01T00:00Z")
        queues.claim_next(quick, finnish)
        outcome = reviewing.submit(aino, item, accepting(words))

        assert not outcome.counted
        assert Review.objects.get(reviewer=aino).instruction == words
        transaction.set_rollback(True)
    quick.delete()
