"""Duels: blind, each pair of answers once per person, no seat twice, and every vote where it belongs."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction
from django.utils import timezone

from annotation import duel_figures, duels, taking_down, voting
from annotation.models import Bout, Duel, DuelState, Vote, VoteChoice, VoteState
from generation import questions
from generation.models import Answer, ModelVersion, Question
from tests.factories import make_agreement, make_answers, make_duel, make_language, make_questions, make_user
from xinstruct_site.people.models import ContributorAgreement, Event, EventKind


def vote(user, language, choice=VoteChoice.A) -> Vote:
    one = voting.next_vote(user, language)
    voting.give(user, one, choice)
    one.refresh_from_db()
    return one


# Opening


def test_duel_compares_what_both_answered_and_leaves_out_where_they_say_the_same(finnish):
    asked = make_questions(finnish, 4)
    base, rival = make_answers(asked[:3], "one-a"), make_answers(asked, "two-b")
    Answer.objects.filter(question=asked[0]).update(body="Sama vastaus.")

    duel = duels.open_duel(asked[0].question_set, finnish, base, rival)

    assert {bout.question_id for bout in duel.bouts.all()} == {asked[1].pk, asked[2].pk}
    assert duel.left_out == 1
    assert Event.objects.filter(kind=EventKind.DUEL_OPENED).count() == 1


def test_asked_for_again_in_either_order_it_is_the_same_duel_with_the_answers_where_they_were(finnish):
    duel = make_duel(finnish, 2)
    more = make_questions(finnish, 1)
    for version in (duel.base, duel.rival):
        Answer.objects.create(question=more[0], model_version=version, body=f"Lisää {version.name[-1]}")

    again = duels.open_duel(duel.question_set, finnish, duel.rival, duel.base)

    assert again.pk == duel.pk
    assert again.bouts.count() == 3
    assert all(bout.base_answer.model_version == duel.base for bout in again.bouts.all())


def test_nothing_to_compare_is_said_and_opens_nothing(finnish, urdu):
    asked = make_questions(finnish, 1)
    base, rival = make_answers(asked, "one-a"), make_answers(asked, "two-a")

    for language, one, other in ((finnish, base, base), (urdu, base, rival), (finnish, base, rival)):
        with pytest.raises(duels.DuelError):
            duels.open_duel(asked[0].question_set, language, one, other)

    assert not Duel.objects.exists()


# Handing out


def test_each_person_gets_each_pair_once_and_then_none(finnish, aino):
    make_duel(finnish, 5)

    seen = [vote(aino, finnish).bout_id for _ in range(5)]

    assert len(set(seen)) == 5
    assert voting.next_vote(aino, finnish) is None


def test_a_pair_asks_for_as_many_votes_as_the_duel_says(finnish):
    make_duel(finnish, 1, overlap=2)
    people = [make_user(language=finnish) for _ in range(3)]

    assert [bool(voting.next_vote(user, finnish)) for user in people] == [True, True, False]


def test_who_comes_back_is_at_the_same_pair_with_the_answers_where_they_stood(finnish, aino):
    make_duel(finnish, 3)
    first = voting.next_vote(aino, finnish)

    again = voting.next_vote(aino, finnish)

    assert (again.pk, again.base_is_first) == (first.pk, first.base_is_first)


def test_people_meet_on_the_same_pairs_and_each_has_an_order_of_their_own(finnish):
    make_duel(finnish, 40, overlap=2)
    people = [make_user(language=finnish) for _ in range(2)]

    votes = [[vote(user, finnish) for _ in range(40)] for user in people]

    assert [one.bout_id for one in votes[0]] == [one.bout_id for one in votes[1]]
    orders = [[one.base_is_first for one in of_person] for of_person in votes]
    assert orders[0] != orders[1]
    assert all(8 <= sum(order) <= 32 for order in orders)  # beyond it one time in 10,000


def test_seat_of_who_went_away_goes_to_others_and_a_late_vote_counts_all_the_same(finnish, aino):
    duel = make_duel(finnish, 1, overlap=1)
    late = voting.next_vote(aino, finnish)
    Vote.objects.update(shown_at=timezone.now() - voting.lease() * 2)
    other = make_user(language=finnish)

    vote(other, finnish)
    late.refresh_from_db()
    state = late.state
    voting.give(aino, late, VoteChoice.B)

    assert state == VoteState.LAPSED
    assert len(duels.ballots(duel)) == 2
    assert voting.next_vote(aino, finnish) is None


def test_skipped_pair_goes_to_others_and_comes_back_by_undo_alone(finnish, aino):
    make_duel(finnish, 1, overlap=1)
    one = voting.next_vote(aino, finnish)

    voting.skip(aino, one)

    assert voting.next_vote(aino, finnish) is None
    assert voting.waiting(make_user(language=finnish), [finnish]) == {finnish.pk: 1}
    assert voting.take_back(aino, voting.last_decided(aino, finnish))
    assert voting.next_vote(aino, finnish).pk == one.pk


def test_closed_duel_hands_out_nothing_and_takes_what_is_on_the_way(finnish, aino):
    duel = make_duel(finnish, 2)
    one = voting.next_vote(aino, finnish)

    assert duels.close_duel(duel)
    assert not duels.close_duel(duel)
    voting.give(aino, one, VoteChoice.A)

    assert voting.next_vote(aino, finnish) is None
    assert len(duels.ballots(duel)) == 1


def test_the_schema_knows_no_second_vote_of_a_person_and_no_second_holder_of_a_seat(finnish, aino):
    make_duel(finnish, 1)
    one = voting.next_vote(aino, finnish)
    for user, seat in ((aino, 2), (make_user(language=finnish), one.seat)):
        with pytest.raises(IntegrityError), transaction.atomic():
            Vote.objects.create(bout=one.bout, person=user, seat=seat, base_is_first=True)


@pytest.mark.django_db(transaction=True)
def test_20_people_at_once_take_every_seat_once_and_none_goes_away_while_there_is_one():
    language = make_language("fi")
    make_duel(language, 10, overlap=2)
    people = [make_user(language=language) for _ in range(20)]
    start = threading.Barrier(20)

    def run(user) -> Any:
        try:
            connection.ensure_connection()
            start.wait(timeout=30)
            return voting.next_vote(user, language)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        votes = list(pool.map(run, people))

    assert all(votes)
    assert set(Counter(one.bout_id for one in votes).values()) == {2}
    assert Counter(one.seat for one in votes) == {1: 10, 2: 10}


@pytest.mark.django_db(transaction=True)
def test_one_person_in_many_tabs_is_at_one_pair():
    language = make_language("fi")
    make_duel(language, 10)
    user = make_user(language=language)
    start = threading.Barrier(8)

    def run(_number: int) -> int:
        try:
            start.wait(timeout=30)
            return voting.next_vote(user, language).pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(run, range(8)))) == 1


# Voting


@pytest.mark.parametrize("base_is_first", [True, False])
@pytest.mark.parametrize("choice", VoteChoice)
def test_vote_goes_to_the_model_whose_answer_was_preferred(finnish, aino, base_is_first, choice):
    duel = make_duel(finnish, 1)
    one = voting.next_vote(aino, finnish)
    Vote.objects.update(base_is_first=base_is_first)
    one.refresh_from_db()
    names = [answer.model_version.name for answer in one.shown()]

    voting.give(aino, one, choice)
    [ballot] = duels.ballots(duel)

    wanted = {VoteChoice.A: names[0], VoteChoice.B: names[1]}.get(choice)
    expected = {duel.base.name: duel_figures.BASE, duel.rival.name: duel_figures.RIVAL, None: duel_figures.TIE}[wanted]
    assert ballot.outcome == expected
    assert ballot.first_won == {VoteChoice.A: True, VoteChoice.B: False}.get(choice)


def test_vote_sent_twice_is_one_and_a_changed_mind_asks_for_undo(finnish, aino):
    duel = make_duel(finnish, 1)
    one = voting.next_vote(aino, finnish)
    voting.give(aino, one, VoteChoice.A, "Selkeämpi.")
    voting.give(aino, one, VoteChoice.A, "Selkeämpi.")

    with pytest.raises(voting.VoteError):
        voting.give(aino, one, VoteChoice.B)
    assert voting.take_back(aino, one)
    one.refresh_from_db()
    assert (one.state, one.choice, one.rationale) == (VoteState.SHOWN, "", "Selkeämpi.")
    voting.give(aino, one, VoteChoice.B)

    assert len(duels.ballots(duel)) == 1
    assert Event.objects.filter(kind=EventKind.VOTE_GIVEN).count() == 2


def test_no_vote_without_the_agreement_of_the_day(finnish, aino):
    duel = make_duel(finnish, 1)
    one = voting.next_vote(aino, finnish)
    ContributorAgreement.objects.create(version=make_agreement().version + 1, body="More.")

    with pytest.raises(voting.NoAgreement):
        voting.give(aino, one, VoteChoice.A)

    assert not duels.ballots(duel)


def test_question_whose_text_is_taken_down_is_emptied_and_asked_of_nobody(finnish, aino):
    make_duel(finnish, 2, extra={"text_sha256": "a" * 64}, reference="Kalaa.")
    make_duel(finnish, 1, name="other")
    one = voting.next_vote(aino, finnish)

    assert questions.erase(["a" * 64]) == 2
    assert questions.erase(["a" * 64]) == 0

    left = voting.next_vote(aino, finnish)
    assert left.bout.duel.question_set.name == "other" != one.bout.duel.question_set.name
    assert set(Question.objects.filter(question_set__name="arena").values_list("instruction", "reference")) == {
        ("", "")
    }


def test_contributor_who_is_taken_down_takes_votes_and_words_along(finnish, aino):
    duel = make_duel(finnish, 2)
    one = voting.next_vote(aino, finnish)
    voting.give(aino, one, VoteChoice.A, "Salainen syy.")

    taking_down.take_down_contributor(aino)

    assert not duels.ballots(duel)
    assert not Vote.objects.exclude(rationale="").exists()
    assert voting.next_vote(aino, finnish).bout != one.bout


# Pages


@pytest.fixture
def reader(client, aino):
    client.force_login(aino)
    return client


def test_nothing_that_the_page_sends_tells_the_models_apart(reader, finnish, aino):
    duel = make_duel(finnish, 3)
    version = ModelVersion.objects.get(pk=duel.base_id)
    secrets = {duel.public_id, duel.question_set.public_id}
    for version in (duel.base, duel.rival):
        secrets |= {version.name, version.public_id, version.revision, version.location}

    for headers in ({}, {"HX-Request": "true"}):
        response = reader.get("/duels/fi/", headers=headers)
        one = voting.next_vote(aino, finnish)
        html = response.content.decode()
        sent = html + str(response.headers) + str(response.cookies)

        assert not [secret for secret in secrets if secret in sent]
        first, second = (answer.body for answer in one.shown())
        assert html.index(first) < html.index(second)
        # With the answers' words and the token taken out, the page is the same whichever stands first.
        Vote.objects.filter(pk=one.pk).update(base_is_first=not one.base_is_first)
        turned = reader.get("/duels/fi/", headers=headers).content.decode()
        assert bare(turned, first, second) == bare(html, first, second)


def bare(html: str, *words: str) -> str:
    import re

    for each in words:
        html = html.replace(each, "…")
    return re.sub(r'(csrfmiddlewaretoken" value="|x-csrftoken": ")[^"]*', "", html)


def test_answers_and_question_carry_their_language_and_direction(client, zara, urdu):
    make_duel(urdu, 1)
    client.force_login(zara)

    html = client.get("/duels/ur/").content.decode()

    assert html.count('class="native answer"\n                 lang="ur"\n                 dir="rtl"') == 2
    assert 'lang="en"' in html.partition('id="duel-question"')[2].partition(">")[0]


def test_markup_in_an_answer_stays_text(reader, finnish):
    make_duel(finnish, 1)
    Answer.objects.filter(model_version__name__startswith="SecretBase").update(body="<script>alert(1)</script>")
    Bout.objects.update(order=0)

    html = reader.get("/duels/fi/").content.decode()

    assert "&lt;script&gt;alert(1)" in html


def test_vote_by_plain_form_redirects_to_the_next_and_by_htmx_swaps_the_card(reader, finnish, aino):
    duel = make_duel(finnish, 2)
    one = voting.next_vote(aino, finnish)

    plain = reader.post(f"/duels/fi/{one.public_id}/", {"choice": "a", "rationale": "Selkeä."})
    two = voting.next_vote(aino, finnish)
    swapped = reader.post(f"/duels/fi/{two.public_id}/", {"choice": "both_bad"}, headers={"HX-Request": "true"})

    assert (plain.status_code, plain["Location"]) == (302, "/duels/fi/")
    assert swapped.status_code == 200
    assert "<html" not in swapped.content.decode()
    assert "No answers to compare now" in swapped.content.decode()
    assert len(duels.ballots(duel)) == 2


def test_undo_brings_the_card_back_with_the_reason_that_was_typed(reader, finnish, aino):
    make_duel(finnish, 1)
    one = voting.next_vote(aino, finnish)
    reader.post(f"/duels/fi/{one.public_id}/", {"choice": "a", "rationale": "Selkeä."})

    back = reader.post(f"/duels/fi/{one.public_id}/undo", follow=True).content.decode()

    assert "Selkeä." in back
    assert one.bout.question.instruction in back


@pytest.mark.parametrize(
    ("sent", "status"),
    [({}, 422), ({"choice": "c"}, 422), ({"choice": "a", "rationale": "x" * 6000}, 422), ({"choice": "a\0"}, 422),
     ({"choice": "a", "rationale": "nolla\0"}, 422)],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_with_the_words_kept(reader, finnish, aino, sent, status):
    duel = make_duel(finnish, 1)
    one = voting.next_vote(aino, finnish)

    response = reader.post(f"/duels/fi/{one.public_id}/", {"rationale": "Minun syyni."} | sent)

    assert response.status_code == status
    assert sent.get("rationale", "Minun syyni.").replace("\0", "") in response.content.decode().replace("\0", "")
    assert not duels.ballots(duel)


def test_only_people_of_the_language_vote_and_only_with_their_own_vote(client, finnish, aino, zara, stranger):
    make_duel(finnish, 1)
    one = voting.next_vote(aino, finnish)
    other = make_user(language=finnish)

    assert client.get("/duels/fi/").status_code == 302
    for user, page in ((zara, "/duels/fi/"), (stranger, "/duels/fi/"), (other, f"/duels/fi/{one.public_id}/")):
        client.force_login(user)
        assert client.get(page).status_code == 404
    for step in ("", "skip", "undo"):
        assert client.post(f"/duels/fi/{one.public_id}/{step}", {"choice": "a"}).status_code == 404


def test_home_says_where_answers_wait_to_be_compared(reader, finnish, aino):
    assert "/duels/fi/" not in reader.get("/").content.decode()
    make_duel(finnish, 3)

    html = reader.get("/").content.decode()

    assert "/duels/fi/" in html
    assert "3 pairs of answers" in html


# The command


def test_command_opens_duels_and_reports_them_with_intervals(finnish, capsys):
    asked = make_questions(finnish, 6)
    make_answers(asked, "one-a")
    make_answers(asked, "two-b")
    people = [make_user(language=finnish) for _ in range(2)]

    call_command("evaluate", "duel", "arena", "--base", "one-a", "--rival", "two-b", "--language", "fi")
    duel = Duel.objects.get()
    for user in people:
        for _ in range(6):
            one = voting.next_vote(user, finnish)
            voting.give(user, one, VoteChoice.B if one.base_is_first else VoteChoice.A)
    call_command("evaluate", "report")
    said = " ".join(capsys.readouterr().out.split())

    assert duel.state == DuelState.OPEN
    assert duel_figures.figures(duels.ballots(duel)).wins == 12
    assert "1.00" in said


def test_command_names_what_is_there_where_a_name_is_wrong(finnish):
    make_answers(make_questions(finnish, 1), "one-a")

    for args in (
        ["duel", "nothing", "--base", "one-a", "--rival", "x"],
        ["duel", "arena", "--base", "x", "--rival", "y"],
    ):
        with pytest.raises(CommandError):
            call_command("evaluate", *args, "--language", "fi")
