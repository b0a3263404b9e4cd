"""Kept parts of a text in one form, and differences between a text and its edit."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from annotation import trimming
from annotation.diffing import shortened, word_diff

BODY = "Etusivu\n\nTorilla on väkeä. Kalaa riittää.\n\nKahvi juodaan 👩‍👩‍👧 teltassa.\n\nJaa tämä\n"
TEXTS = st.text(alphabet=st.sampled_from("ab \n\tไทย้ำتمமி்👩\u200d\u0301\U0010fffd"), max_size=60)


def span(quote: str) -> trimming.Span:
    start = BODY.index(quote)
    return start, start + len(quote)


@pytest.mark.parametrize(
    ("spans", "kept"),
    [
        ([span("Torilla on väkeä.")], ["Torilla on väkeä."]),
        ([span("\n\nTorilla on väkeä. ")], ["Torilla on väkeä."]),
        ([span("teltassa."), span("Etusivu")], ["Etusivu", "teltassa."]),
        (
            [span("Torilla on väkeä."), span("Kalaa riittää.\n\nKahvi")],
            ["Torilla on väkeä. Kalaa riittää.\n\nKahvi"],
        ),
        ([span("Torilla on"), span("on väkeä.")], ["Torilla on väkeä."]),
        ([(0, len(BODY))], []),
        ([(0, len(BODY) - 1)], []),
        ([(7, 9)], []),
    ],
    ids=[
        "as it is",
        "white space around",
        "order",
        "white space between",
        "overlap",
        "all",
        "all but space",
        "nothing",
    ],
)
def test_same_parts_are_said_in_the_same_way(spans, kept):
    assert [BODY[start:end] for start, end in trimming.tidied(spans, BODY)] == kept


@given(TEXTS, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=5))
def test_tidied_spans_stay_as_they_are_and_cut_the_body_without_loss(body, spans):
    tidy = trimming.tidied(spans, body)

    assert trimming.tidied(tidy, body) == tidy
    assert "".join(part.text for part in trimming.parts(body, tidy)) == body
    assert all(body[start:end] == body[start:end].strip() != "" for start, end in tidy)
    assert [part.text for part in trimming.parts(body, tidy) if part.kept] == (
        [body[start:end] for start, end in tidy] or [body]
    )


def test_ticking_keeps_what_was_cut_inside_a_paragraph():
    spans = [span("Torilla on väkeä.")]
    keys = {paragraph.text: paragraph.key for paragraph in trimming.paragraphs(BODY, spans)}

    kept = trimming.ticked([keys["Torilla on väkeä. Kalaa riittää."], keys["Jaa tämä"]], BODY, spans)

    assert [BODY[start:end] for start, end in kept] == ["Torilla on väkeä.", "Jaa tämä"]
    assert [p.kept for p in trimming.paragraphs(BODY, spans)] == [False, True, False, False]


@given(TEXTS, TEXTS)
def test_difference_puts_both_texts_together_again_and_cuts_no_letter_in_two(before, after):
    pieces = word_diff(before, after)

    assert "".join(piece.text for piece in pieces if piece.kind != "gone") == after
    assert "".join(piece.text for piece in pieces if piece.kind != "new") == before
    graphemes = regex.findall(r"\X", after)
    assert [g for p in pieces if p.kind != "gone" for g in regex.findall(r"\X", p.text)] == graphemes


def test_script_without_spaces_is_compared_by_letter_with_its_signs():
    assert [(piece.kind, piece.text) for piece in word_diff("น้ำดี", "น้ำมี")][-2:] == [("gone", "ดี"), ("new", "มี")]


def test_long_texts_are_compared_by_line_and_shown_around_the_change():
    lines = [f"ตลาดน้ำเปิดทุกวันเสาร์แม่ค้าพายเรือขายผลไม้และขนม {number}\n" for number in range(400)]
    before, after = "".join(lines), "".join([*lines[:200], "ใหม่\n", *lines[201:]])

    pieces = word_diff(before, after)

    assert [piece.text for piece in pieces if piece.kind != "same"] == [lines[200], "ใหม่\n"]
    assert sum(len(piece.text) for piece in shortened(pieces)) < 400
