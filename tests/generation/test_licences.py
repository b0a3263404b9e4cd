"""Which licence a release can have: the matrix of what goes into what, and the spellings that come in."""

import pytest

from generation import licences
from generation.licences import Source

# Rows: a text under this licence. Columns: licences of releases, as in TARGETS. x: it can be published so.
MATRIX = """
                  CC0-1.0 CC-BY-4.0 CC-BY-SA-4.0 ODbL-1.0 GFDL-1.3 CC-BY-NC-4.0 CC-BY-NC-SA-4.0
CC0-1.0           x       x         x            x        x        x            x
CC-PDDC           x       x         x            x        x        x            x
CC-BY-3.0         -       x         x            x        x        x            x
CC-BY-4.0         -       x         x            x        x        x            x
ODC-By-1.0        -       x         x            x        x        x            x
MIT               -       x         x            x        x        x            x
CC-BY-SA-1.0      -       -         -            -        -        -            -
CC-BY-SA-3.0      -       -         x            -        -        -            -
CC-BY-SA-4.0      -       -         x            -        -        -            -
ODbL-1.0          -       -         -            x        -        -            -
GFDL-1.2          -       -         -            -        x        -            -
CC-BY-NC-4.0      -       -         -            -        -        x            x
CC-BY-NC-SA-2.0   -       -         -            -        -        -            x
CC-BY-ND-4.0      -       -         -            -        -        -            -
CC-BY-NC-ND-4.0   -       -         -            -        -        -            -
Proprietary       -       -         -            -        -        -            -
"""
HEAD, *LINES = (line.split() for line in MATRIX.strip().splitlines())


def text(licence: str) -> Source:
    return Source("text", licence)


def test_the_matrix_names_every_licence_of_releases():
    assert tuple(HEAD) == licences.TARGETS


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_a_text_goes_only_into_releases_that_ask_at_least_as_much(line):
    licence, *marks = line

    assert ["-" if licences.clash(text(licence), target) else "x" for target in HEAD] == marks


@pytest.mark.parametrize("one", LINES, ids=lambda line: line[0])
@pytest.mark.parametrize("other", LINES, ids=lambda line: line[0])
def test_a_release_of_two_texts_has_the_first_licence_that_both_allow(one, other):
    both = [target for target, a, b in zip(HEAD, one[1:], other[1:], strict=True) if (a, b) == ("x", "x")]

    assert licences.least([text(one[0]), text(other[0])]) == (both[0] if both else "")


@pytest.mark.parametrize(
    ("licence", "release"),
    [
        ("", ""),  # tells none: somebody has to look its terms up
        ("Apache-2.0", "CC0-1.0"),  # a licence of software asks nothing of what the model writes
        ("CC-BY-NC-4.0", "CC-BY-NC-4.0"),  # Aya Expanse, Tiny Aya
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("llama3", ""),
    ],
)
def test_the_models_terms_bind_what_it_drafted(licence, release):
    assert licences.least([text("CC0-1.0"), Source("model", licence)]) == release


@pytest.mark.parametrize(
    ("said", "id"),
    [
        ("cc-by-sa-4.0", "CC-BY-SA-4.0"), ("CC BY 4.0", "CC-BY-4.0"), ("CC-BY", "CC-BY-4.0"), ("cc0", "CC0-1.0"),
        ("Public Domain (as stated by the site)", "CC-PDDC"), ("odc-by", "ODC-By-1.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/3.0/deed.fi", "CC-BY-NC-SA-3.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"), ("MIT (repository); text CC-BY-SA-3.0", ""),
        ("all rights reserved", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_licence_is_known_however_its_source_spells_it(said, id):
    assert licences.spdx(said) == id


def test_of_alternatives_one_must_fit_and_of_both_each():
    assert licences.least([text("CC-BY-SA-3.0 OR GFDL-1.3"), text("CC-BY-SA-4.0")]) == "CC-BY-SA-4.0"
    assert licences.least([text("CC-BY-4.0 AND CC-BY-NC-4.0")]) == "CC-BY-NC-4.0"
    assert licences.clash(text("CC-BY-4.0 AND mine"), "CC-BY-4.0") == "unknown"


def test_what_stands_in_the_way_is_counted_and_the_nearest_licence_found():
    rows = {text("CC-BY-SA-4.0"): 90, text("CC-BY-NC-4.0"): 4, text("CC0-1.0"): 8, text("mine"): 2}
    target, found = licences.nearest(rows)

    assert target == "CC-BY-SA-4.0"
    assert [(each.source.licence, each.why, each.rows) for each in found] == [
        ("CC-BY-NC-4.0", "non-commercial", 4),
        ("mine", "unknown", 2),
    ]
