"""Seed pairs in: strictly, once, and with the licence they came under."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from generation import jsonl, seeds
from generation.models import SeedPair
from generation.rejections import Reason
from tests.factories import make_language
from xinstruct_site.people.models import Event, EventKind, Language

PAIR = {
    "instruction": "Describe the market.",
    "response": "Torilla on kalaa.",
    "lang": "fi",
    "source": "käsin",
    "license": "CC0-1.0",
    "kind": "hand",
}


def import_rows(*rows: object, **options) -> seeds.SeedImport:
    content = b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)
    return seeds.import_seeds([jsonl.stream_source("seeds.jsonl", io.BytesIO(content))], **options)


def without(key: str) -> dict:
    return {name: value for name, value in PAIR.items() if name != key}


def test_seed_pair_is_stored_as_written_and_verified_by_nobody(finnish):
    done = import_rows(PAIR | {"response": " Torilla\non kalaa. ﬁ", "subject": "markets", "page": 3})

    seed = SeedPair.objects.get()
    assert (seed.language, seed.instruction, seed.response) == (finnish, PAIR["instruction"], " Torilla\non kalaa. ﬁ")
    assert (seed.source, seed.licence_id, seed.kind) == ("käsin", "CC0-1.0", "hand")
    assert seed.extra == {"subject": "markets", "page": 3}
    assert seed.verified_at is None
    assert done.stored_by_language == {"fi": 1}
    event = Event.objects.get(kind=EventKind.SEEDS_IMPORTED)
    assert (event.subject_id, event.data) == (finnish.pk, {"stored": 1})


def test_call_speaks_only_for_rows_that_do_not_say(finnish, urdu):
    rows = [{"instruction": "a", "response": "b"}, PAIR]

    import_rows(*rows, language=urdu, source="a book", licence="MIT")

    assert list(SeedPair.objects.order_by("pk").values_list("language__code", "source", "licence_id")) == [
        ("ur", "a book", "MIT"),
        ("fi", "käsin", "CC0-1.0"),
    ]


def test_kind_may_be_missing(finnish):
    import_rows(without("kind"))

    assert SeedPair.objects.get().kind == ""


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (without("instruction"), Reason.NO_INSTRUCTION),
        (PAIR | {"response": " \n"}, Reason.NO_RESPONSE),
        (without("lang"), Reason.NO_LANGUAGE),
        (PAIR | {"lang": "tlh"}, Reason.UNKNOWN_LANGUAGE),
        (without("license"), Reason.NO_LICENCE),
        (PAIR | {"instruction": 3}, Reason.WRONG_TYPE),
        (PAIR | {"lang": ["fi"]}, Reason.WRONG_TYPE),
        (PAIR | {"source": "x" * 301}, Reason.FIELD_TOO_LONG),
        (PAIR | {"kind": "x" * 61}, Reason.FIELD_TOO_LONG),
        (PAIR | {"license": "x" * 101}, Reason.FIELD_TOO_LONG),
        (PAIR | {"response": "a\0"}, Reason.NUL),
        (PAIR | {"extra": "\ud800"}, Reason.LONE_SURROGATE),
        (b"{\n", Reason.MALFORMED_JSON),
        (b"[1]\n", Reason.NOT_AN_OBJECT),
    ],
)
def test_bad_seed_gets_a_reason_and_the_next_one_is_stored(row, reason, finnish):
    done = import_rows(row, PAIR)

    assert done.tally.as_json() == {"read": 2, "stored": 1, "duplicate": 0, "rejected": {reason.value: 1}}
    (line,) = done.rejected_path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["reason"] == reason.value
    assert set(Language.objects.values_list("code", flat=True)) == {"fi"}


def test_same_pair_is_stored_once_per_language(finnish, urdu):
    first = import_rows(PAIR, PAIR | {"kind": "twin"}, PAIR | {"lang": "ur"})
    again = import_rows(PAIR, PAIR | {"lang": "UR"})

    assert (first.tally.stored, first.tally.duplicate) == (2, 1)
    assert (again.tally.stored, again.tally.duplicate) == (0, 2)
    assert SeedPair.objects.get(language=finnish).kind == "hand"
    assert Event.objects.filter(kind=EventKind.SEEDS_IMPORTED).count() == 2


def test_words_do_not_move_between_instruction_and_response_unnoticed():
    assert seeds.digest("ab", "c") != seeds.digest("a", "bc")


def test_command_prints_what_it_did(tmp_path, capsys, db):
    make_language("fi")
    (tmp_path / "s.jsonl").write_text(json.dumps(without("license")) + "\n" + json.dumps(PAIR) + "\n", encoding="utf-8")

    call_command("seeds", tmp_path / "s.jsonl", license="CC0-1.0")

    printed = capsys.readouterr().out
    assert "Stored: fi 1" in printed
    assert SeedPair.objects.get().licence_id == "CC0-1.0"


def test_command_refuses_an_unknown_language(tmp_path, db):
    (tmp_path / "s.jsonl").touch()

    with pytest.raises(CommandError, match="no language 'fi' here"):
        call_command("seeds", tmp_path / "s.jsonl", language="fi")
