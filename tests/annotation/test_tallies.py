"""Counts that are kept beside what they count: in step, and put right by a recount."""

import datetime as dt

import pytest
from django.core.management import call_command
from django.utils import timezone

from annotation import queues, reviewing, tallies
from annotation.models import Flag, Review, Tally
from tests.factories import accepting, make_items, make_user, rejecting

pytestmark = pytest.mark.django_db


def shown(user, language):
    progress = queues.progress(user, language)
    return progress.today, progress.week, progress.total, progress.language_accepted


def test_progress_counts_today_this_week_and_all_time(aino, finnish):
    long_ago = timezone.now() - dt.timedelta(days=40)
    for n in range(3):
        item = make_items(finnish)[0]
        queues.claim_next(aino, finnish)
        outcome = reviewing.submit(aino, item, accepting() if n else rejecting())
        if n == 1:
            Review.objects.filter(pk=outcome.review.pk).update(submitted_at=long_ago)
    tallies.recount()

    assert shown(aino, finnish) == (2, 2, 3, 2)
    assert queues.progress(aino, finnish).goal == finnish.goal


def test_each_change_is_counted_as_it_happens(urdu, zara):
    omar = make_user(language=urdu)
    item = make_items(urdu)[0]
    queues.claim_next(zara, urdu)
    first = reviewing.submit(zara, item, accepting()).review
    assert shown(zara, urdu) == (1, 1, 1, 0)

    queues.claim_next(omar, urdu)
    reviewing.submit(omar, item, accepting())
    assert shown(zara, urdu) == shown(omar, urdu) == (1, 1, 1, 1)

    reviewing.withdraw(zara, first)
    assert shown(zara, urdu) == (0, 0, 0, 0)
    assert tallies.recount() == []


def test_other_peoples_and_other_languages_reviews_are_not_counted(aino, finnish, zara, urdu):
    for user, language in ((aino, finnish), (zara, urdu)):
        make_items(language)
        slot = queues.claim_next(user, language)
        reviewing.submit(user, slot.item, accepting())

    assert shown(aino, finnish) == (1, 1, 1, 1)
    assert shown(zara, urdu) == (1, 1, 1, 0)
    assert shown(aino, urdu) == (0, 0, 0, 0)


def test_pair_that_is_held_for_a_linguist_is_not_accepted_yet(aino, finnish):
    item = make_items(finnish)[0]
    queues.claim_next(aino, finnish)
    reviewing.submit(aino, item, accepting(flags={Flag.CULTURAL: ""}))

    assert shown(aino, finnish) == (1, 1, 1, 0)
    assert tallies.recount() == []


def test_recount_says_what_was_wrong_and_puts_it_right(aino, finnish, capsys):
    make_items(finnish)
    slot = queues.claim_next(aino, finnish)
    reviewing.submit(aino, slot.item, accepting())
    Tally.objects.filter(person=aino).update(number=7)
    Tally.objects.create(language=finnish, person=None, day=dt.date(2026, 1, 1), number=5)

    call_command("recount")

    table = capsys.readouterr().out
    assert table.count("Finnish") == 2
    assert shown(aino, finnish) == (1, 1, 1, 1)
    assert tallies.recount() == []
