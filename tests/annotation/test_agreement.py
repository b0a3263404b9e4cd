"""The rule from reviews to a verdict: its truth table, and that it cannot see who came first."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.agreement import Ballot, Result, Wording, verdict

A, B, C = Wording("Name three berries."), Wording("Name three fish."), Wording("Name three birds.")
BY_LETTER = {"A": A, "B": B, "C": C}


def ballots(shorthand: str) -> list[Ballot]:
    """A4 accepts wording A with overall 4; R rejects."""
    made = []
    for number, word in enumerate(shorthand.split()):
        if word == "R":
            made.append(Ballot(str(number), accepts=False, wording=A))
        else:
            made.append(Ballot(str(number), accepts=True, wording=BY_LETTER[word[0]], overall=int(word[1])))
    return made


TABLE = [
    # overlap, quorum, ballots, result, wording of the pair
    (1, 1, "", Result.PENDING, None),
    (1, 1, "A3", Result.ACCEPTED, A),
    (1, 1, "R", Result.REJECTED, None),
    (2, 2, "A4", Result.PENDING, None),
    (2, 2, "R", Result.PENDING, None),
    (2, 2, "A4 A5", Result.ACCEPTED, A),
    (2, 2, "A3 A5", Result.DISPUTED, A),
    (2, 2, "A4 B4", Result.TIE_BREAK, None),
    (2, 2, "A4 B4 A4", Result.ACCEPTED, A),
    (2, 2, "A4 B4 B5", Result.ACCEPTED, B),
    (2, 2, "A3 B4 A5", Result.DISPUTED, A),
    (2, 2, "A4 B4 C4", Result.DISPUTED, A),
    (2, 2, "A4 B4 R", Result.DISPUTED, A),
    (2, 2, "A3 B5", Result.DISPUTED, B),
    (2, 2, "A4 R", Result.DISPUTED, A),
    (2, 2, "R R", Result.REJECTED, None),
    (2, 2, "A4 R R", Result.REJECTED, None),
    (2, 1, "A3", Result.ACCEPTED, A),
    (2, 1, "R", Result.PENDING, None),
    (2, 1, "R A4", Result.ACCEPTED, A),
    (2, 1, "R R", Result.REJECTED, None),
    (3, 2, "A4 A4", Result.ACCEPTED, A),
    (3, 2, "A4 B4", Result.PENDING, None),
    (3, 2, "R R", Result.PENDING, None),
    (3, 2, "A4 B4 A5", Result.ACCEPTED, A),
    (3, 2, "A4 B4 R", Result.TIE_BREAK, None),
    (3, 2, "A4 B4 R R", Result.DISPUTED, A),
    (3, 2, "A4 B4 R B3", Result.ACCEPTED, B),
    (3, 2, "A3 A5", Result.PENDING, None),
    (3, 2, "A3 A5 A4", Result.ACCEPTED, A),
    (3, 2, "A3 A5 R", Result.DISPUTED, A),
    (3, 2, "A4 R R", Result.REJECTED, None),
    (3, 2, "A4 B4 C4", Result.TIE_BREAK, None),
    (3, 2, "A4 B4 C4 C4", Result.ACCEPTED, C),
    (3, 3, "A4 A4 A4", Result.ACCEPTED, A),
    (3, 3, "A3 A4 A5", Result.DISPUTED, A),
    (3, 3, "A4 A4 B4", Result.TIE_BREAK, None),
    (3, 3, "A4 A4 B4 A4", Result.ACCEPTED, A),
    (3, 3, "A4 A4 B4 B4", Result.DISPUTED, A),
    (3, 3, "A4 B4 C4", Result.DISPUTED, A),
    (3, 3, "A4 A4 R", Result.DISPUTED, A),
    (3, 3, "A4 R R", Result.REJECTED, None),
    (4, 2, "A4 A4 B4 B4", Result.TIE_BREAK, None),
    (4, 2, "A4 A4 B4 B4 B4", Result.ACCEPTED, B),
    (5, 2, "A4 B4 R R R", Result.TIE_BREAK, None),
]  # fmt: skip


@pytest.mark.parametrize(("overlap", "quorum", "shorthand", "result", "wording"), TABLE)
def test_verdict_follows_the_truth_table_whoever_came_first(overlap, quorum, shorthand, result, wording):
    for order in itertools.permutations(ballots(shorthand)):
        got = verdict(order, overlap, quorum)

        assert (got.result, got.wording) == (result, wording)


def test_ratings_that_agree_carry_the_pair_and_the_odd_one_does_not():
    got = verdict(ballots("A3 A5 A4"), 3, 2)

    assert got.agreeing == ("1", "2")  # 5 and 4: as many as 4 and 3, and rated higher


def test_tie_break_offers_each_wording_once_in_the_order_of_the_text():
    got = verdict(ballots("B4 R A4 B4"), 4, 3)

    assert got.result == Result.TIE_BREAK
    assert got.wordings == (A, B)


@pytest.mark.parametrize(
    "other",
    [
        Wording("  Name three berries.\n"),
        Wording("Name three berries.", input=" "),
        Wording("Name three berries.", response_edit=None),
    ],
)
def test_white_space_around_a_wording_is_no_difference(other):
    got = verdict([Ballot("1", True, A, 4), Ballot("2", True, other, 4)], 2, 2)

    assert got.result == Result.ACCEPTED
    assert got.wording == A


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Wording("A", response_edit="rivi\r\ntoinen"), Wording("A", response_edit="rivi\ntoinen")),
        (Wording("Chợ ở đâu?"), Wording(unicodedata.normalize("NFD", "Chợ ở đâu?"))),
    ],
)
def test_line_ends_and_composition_are_no_difference(one, other):
    assert one != other

    assert verdict([Ballot("1", True, one, 4), Ballot("2", True, other, 4)], 2, 2).result == Result.ACCEPTED


@pytest.mark.parametrize(
    "other",
    [
        Wording("Name three  berries."),
        Wording("name three berries."),
        Wording("Name three berries.", input="Finland"),
        Wording("Name three berries.", response_edit="Mustikka."),
        Wording("Name three berries.", spans=((0, 5),)),
        Wording("Name three ber\u200cries."),
    ],
)
def test_input_edit_spans_and_joiners_are_part_of_the_wording(other):
    got = verdict([Ballot("1", True, A, 4), Ballot("2", True, other, 4)], 2, 2)

    assert got.result == Result.TIE_BREAK


@pytest.mark.parametrize(("overlap", "quorum"), [(1, 0), (1, 2), (0, 0)])
def test_impossible_quorum_is_refused(overlap, quorum):
    with pytest.raises(ValueError, match="quorum"):
        verdict([], overlap, quorum)


def test_accept_without_overall_is_refused():
    with pytest.raises(ValueError, match="overall"):
        verdict([Ballot("1", True, A)], 1, 1)


wordings = st.sampled_from([A, B, C, Wording(" Name three berries. "), Wording("Name three berries.\r\n")])
any_ballot = st.one_of(
    st.builds(Ballot, id=st.just(""), accepts=st.just(True), wording=wordings, overall=st.integers(3, 5)),
    st.builds(Ballot, id=st.just(""), accepts=st.just(False), wording=wordings),
)


@st.composite
def cases(draw):
    overlap = draw(st.integers(1, 5))
    made = draw(st.lists(any_ballot, max_size=overlap + 1))
    named = [Ballot(str(n), b.accepts, b.wording, b.overall) for n, b in enumerate(made)]
    return named, draw(st.permutations(named)), overlap, draw(st.integers(1, overlap))


@given(cases())
def test_verdict_is_blind_to_the_order_of_reviewers(case):
    one, other, overlap, quorum = case

    assert verdict(one, overlap, quorum) == verdict(other, overlap, quorum)


@given(cases())
def test_an_accepted_pair_has_a_quorum_of_one_wording_and_close_ratings(case):
    cast, _, overlap, quorum = case
    got = verdict(cast, overlap, quorum)
    agreeing = [ballot for ballot in cast if ballot.id in got.agreeing]

    if got.result == Result.ACCEPTED:
        assert len(agreeing) >= quorum
        assert {ballot.wording.key() for ballot in agreeing} == {got.wording.key()}
        assert max(b.overall for b in agreeing) - min(b.overall for b in agreeing) < 2
    if got.result == Result.PENDING:
        assert len(cast) < overlap
    if got.result == Result.TIE_BREAK:
        assert len(cast) == overlap
        assert len(got.wordings) > 1
    if got.result == Result.DISPUTED:
        assert got.wording is not None
