"""Texts in: what is stored, what is turned away and why, and that an import can be repeated and resumed."""

import csv
import gzip
import io
import itertools
import json
import random
import unicodedata
from pathlib import Path

import ftfy
import pyarrow
import pyarrow.parquet
import pytest
from django.core.management import CommandError, call_command
from hypothesis import example, given
from hypothesis import strategies as st

from generation import admitting, gates, ingest, jsonl, near_duplicates, segmenting
from generation.models import Band, Candidate, Import, ImportState, JobState, NearDuplicate, Run, Text
from generation.provenance import domain_of, read_record
from generation.rejections import Reason, Rejected, RejectedRows, Tally
from tests.factories import make_language
from xinstruct_site.people.languages import FIRST_TEN
from xinstruct_site.people.models import Direction, Event, EventKind, Language

DEMO = Path(ingest.__file__).parent / "demo" / "texts"
FINNISH = (
    "Torin laidalla myytiin lauantaina mustikoita, perunoita ja savustettua kalaa. Myyjä kertoi nousseensa jo "
    "neljältä, sillä matka saaristosta kestää kaksi tuntia. Lapset saivat maistaa herneitä suoraan palosta."
)
FINNISH += " Illalla satoi hiljaa, ja katu tyhjeni."
SWEDISH = (
    "På torget såldes det blåbär, potatis och rökt fisk i lördags. Försäljaren berättade att hon hade stigit upp redan "
    "klockan fyra, eftersom resan från skärgården tar två timmar. Barnen fick smaka på ärter direkt ur skidan."
)
THAI = "ตลาดเช้าวันเสาร์เต็มไปด้วยผักสดและปลาย่าง แม่ค้าเล่าว่าตื่นตั้งแต่ตีสี่เพราะเดินทางไกล เด็กๆ ชอบกินขนมครกร้อนๆ " * 3


SENTENCES = [
    sentence.strip()
    for line in (DEMO / "fi.jsonl").read_text(encoding="utf-8").splitlines()
    for sentence in json.loads(line)["text"].split(". ")
    if 40 < len(sentence) < 200
]


def numbered(number: int) -> dict:
    """Texts that share a sentence at most, so that none is near another."""
    sentences = random.Random(number).sample(SENTENCES, 5)
    text = ". ".join([*sentences, f"Kirje numero {number}."])
    return {"text": text, "id": f"doc-{number}", "license": "CC0-1.0"}


def as_lines(*rows: object) -> bytes:
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def reading_of(language: Language, licence: str = "CC0-1.0") -> admitting.Reading:
    return admitting.Reading(
        language_id=1, code=language.code, script=language.script, source="s", licence=licence, layout="auto",
        chars_min=200, chars_max=3000, passage_chars=2000, robots="not-disallowed", licences=("*",), varieties={},
    )  # fmt: skip


def import_bytes(content: bytes, language: Language, **options) -> Import:
    options = {"source": "tests", "licence": "CC0-1.0"} | options
    return ingest.import_texts([jsonl.stream_source("upload.jsonl", io.BytesIO(content))], language=language, **options)


def rejected_lines(done: Import, folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / done.rejected_path).read_text(encoding="utf-8").splitlines()]


# What is stored


def test_text_is_stored_with_its_original_and_its_provenance(finnish):
    original = (
        FINNISH.replace("neljältä", unicodedata.normalize("NFD", "neljältä"))
        + "\r\n\x07“Hyvää päivää” &lt;b&gt; ﬁ Ａ\n"
    )

    done = import_bytes(as_lines({"text": original, "title": "Tori", "url": "https://Tori.Example:8/a?b"}), finnish)

    text = Text.objects.get()
    assert text.original == original
    assert text.body == FINNISH + "\n“Hyvää päivää” &lt;b&gt; ﬁ Ａ"
    assert text.chars == len(text.body)
    assert (text.title, text.domain, text.source_dataset) == ("Tori", "tori.example", "tests")
    assert (text.licence_id, text.script, text.lang_detected) == ("CC0-1.0", "Latn", "fi")
    assert 0.9 < text.lang_score <= 1
    assert text.normalisation.keys() == {"ftfy", "unicode"}
    assert done.counts == {"read": 1, "stored": 1, "duplicate": 0, "rejected": {}}
    assert (done.finished_at, done.rejected_path) != (None, None)
    assert done.rejected_path == ""
    event = Event.objects.get(kind=EventKind.TEXTS_IMPORTED)
    assert (event.subject_id, event.data["stored"]) == (done.pk, 1)


def test_mojibake_is_repaired_in_the_body_and_kept_in_the_original(finnish):
    broken = FINNISH.encode().decode("windows-1252")

    import_bytes(as_lines({"text": broken}), finnish)

    assert Text.objects.values_list("body", "original").get() == (FINNISH, broken)


@given(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
    | st.text("aéäÃ¤â€™œ\x80\u00a0 \n\r\x1b[0m।कि้ा\ufeff", max_size=40)
)
@example("\nÃ la")
@example("ﬁ \u2028 ＡＢ …")
def test_short_way_of_repair_comes_to_the_same_as_the_long_one(text):
    assert admitting.normalise(text) == ftfy.fix_text(text, admitting.REPAIR).strip()


def test_joiners_that_shape_letters_stay():
    body = "می‌خواهم क्‍ष"

    assert admitting.normalise(body) == body


def test_licence_of_the_row_wins_over_the_licence_of_the_call(finnish):
    import_bytes(as_lines(numbered(1) | {"license": "CC-BY-4.0"}), finnish, licence="CC0-1.0")

    assert Text.objects.get().licence_id == "CC-BY-4.0"


def test_same_body_is_stored_once_however_it_was_spelt(finnish):
    rows = [{"text": FINNISH}, {"text": unicodedata.normalize("NFD", FINNISH), "id": "2"}, {"text": FINNISH + "\r\n"}]

    done = import_bytes(as_lines(*rows), finnish)

    assert done.counts == {"read": 3, "stored": 1, "duplicate": 2, "rejected": {}}
    assert Text.objects.get().original == FINNISH


def test_same_body_may_stand_in_two_languages(finnish):
    karelian = make_language("sw")
    Language.objects.filter(pk=karelian.pk).update(code="krl")
    karelian.refresh_from_db()

    import_bytes(as_lines({"text": FINNISH}), finnish)
    import_bytes(as_lines({"text": FINNISH}), karelian)

    assert Text.objects.count() == 2


def test_blank_lines_byte_order_marks_and_foreign_line_breaks_do_no_harm(finnish):
    content = (
        b"\xef\xbb\xbf" + as_lines(numbered(1)).replace(b"\n", b"\r\n") + b"\r\n \n" + as_lines(numbered(2)).rstrip()
    )

    assert import_bytes(content, finnish).counts == {"read": 2, "stored": 2, "duplicate": 0, "rejected": {}}


@pytest.mark.parametrize("code", FIRST_TEN)
def test_whole_demo_corpus_passes_the_gates_of_its_own_language_and_of_no_other(code, db):
    languages = {code: make_language(code) for code in FIRST_TEN}
    sources = [jsonl.file_source(DEMO / f"{code}.jsonl")]

    done = {
        other: ingest.import_texts(sources, language=language, source="demo", licence="CC0-1.0").counts["stored"]
        for other, language in languages.items()
    }

    assert done == {other: 12 if other == code else 0 for other in languages}


# What is turned away


def nested(depth: int) -> bytes:
    return b'{"text": ' + json.dumps(FINNISH).encode() + b', "a": ' + b"[" * depth + b"]" * depth + b"}\n"


REJECTIONS = {
    Reason.LINE_TOO_LONG: b'{"text": "' + b"a" * jsonl.LINE_BYTES_MAX * 2 + b'"}\n',
    Reason.INVALID_UTF8: b'{"text": "K\xe4ki"}\n',
    Reason.MALFORMED_JSON: b'{"text": "Torin laidalla"\n',
    Reason.NOT_AN_OBJECT: b'["Torin laidalla"]\n',
    Reason.DUPLICATE_KEY: b'{"text": "a", "text": "b"}\n',
    Reason.TOO_DEEP: nested(40),
    Reason.NUL: {"text": FINNISH + "\0"},
    Reason.LONE_SURROGATE: {"text": FINNISH + "\ud83d"},
    Reason.WRONG_TYPE: {"text": 17},
    Reason.FIELD_TOO_LONG: {"text": FINNISH, "id": "x" * 301},
    Reason.NO_LICENCE: {"text": FINNISH, "license": " "},
    Reason.NO_TEXT: {"title": "Torilla"},
    Reason.TOO_SHORT: {"text": FINNISH[:199]},
    Reason.TOO_LONG: {"text": FINNISH * 20},
    Reason.WRONG_SCRIPT: {"text": THAI},
    Reason.WRONG_LANGUAGE: {"text": SWEDISH},
    Reason.LICENCE_REFUSED: {"text": FINNISH, "license": "All rights reserved"},
    Reason.ROBOTS_DISALLOWED: {"text": FINNISH, "robots": "disallowed"},
    Reason.FILTERED_AT_SOURCE: {"text": FINNISH, "u": "https://a.fi", "ts": "", "collection": "c", "filter": "adult"},
    Reason.FEW_LETTERS: {"text": FINNISH + " 0401 + 3 % = 17,50 € / 12:30 (1); 88 *" * 9},
    Reason.WORD_LENGTH: {"text": FINNISH.replace(" ", "")},
    Reason.PUNCTUATION: {"text": "\n".join(FINNISH.replace(".", "").split())},
    Reason.REPETITION: {"text": (FINNISH + " ") * 3},
    Reason.BOILERPLATE: {
        "text": FINNISH[:120]
        + "\nEtusivu | Uutiset | Urheilu | Sää | Kauppa\nKirjaudu sisään\nTilaa uutiskirje\n"
        + "Käytämme evästeitä, jotta sivusto toimii. Lue lisää tietosuojaselosteesta.\n© 2024 Torilehti"
    },
    Reason.BROKEN_TEXT: {"text": FINNISH.replace("ä", "\ufffd")},
    Reason.NEAR_DUPLICATE: numbered(1) | {"text": numbered(1)["text"] + " Terveisin, toimitus."},
}


@pytest.mark.parametrize("reason", REJECTIONS)
def test_row_is_rejected_for(reason, finnish, settings):
    done = import_bytes(
        as_lines(numbered(1), REJECTIONS[reason], numbered(2)),
        finnish,
        licence="CC0-1.0" if reason != Reason.NO_LICENCE else "",
    )

    assert done.counts == {"read": 3, "stored": 2, "duplicate": 0, "rejected": {reason.value: 1}}
    (row,) = rejected_lines(done, settings.DATA_DIR)
    assert (row["file"], row["line"], row["reason"]) == ("upload.jsonl", 2, reason.value)


def test_every_reason_to_reject_a_text_has_a_row_that_trips_it():
    of_seeds = {Reason.NO_INSTRUCTION, Reason.NO_RESPONSE, Reason.NO_LANGUAGE, Reason.UNKNOWN_LANGUAGE}

    of_questions = {
        Reason.NO_ANSWER, Reason.NO_ID, Reason.ID_TAKEN, Reason.UNKNOWN_QUESTION, Reason.ANSWER_STANDS,
    }  # fmt: skip
    elsewhere = {Reason.BROKEN_GZIP, Reason.UNREADABLE, Reason.TAKEN_DOWN}

    assert set(REJECTIONS) | of_seeds | of_questions | elsewhere == set(Reason)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": None}, Reason.NO_TEXT),
        ({"text": " \n\u3000"}, Reason.NO_TEXT),
        ({"text": ["a"]}, Reason.WRONG_TYPE),
        ({"text": True}, Reason.WRONG_TYPE),
        ({"text": FINNISH, "url": {"a": 1}}, Reason.WRONG_TYPE),
        ({"text": FINNISH, "id": True}, Reason.WRONG_TYPE),
        ({"text": FINNISH, "minhash_cluster_size": 2**31}, Reason.WRONG_TYPE),
        ({"text": FINNISH, "segment_start": -1}, Reason.WRONG_TYPE),
        ({"text": FINNISH, "pii": [[1, "a"]]}, Reason.WRONG_TYPE),
        ({"text": FINNISH, "kept": {"a\0b": 1}}, Reason.NUL),
        ({"text": FINNISH, "kept": {"\udc00": [1]}}, Reason.LONE_SURROGATE),
        (b'{"text": "a", "n": NaN}\n', Reason.MALFORMED_JSON),
        (b'{"text": "a", "n": 1e999}\n', Reason.MALFORMED_JSON),
        (b'{"text": "a", "n": ' + b"9" * 5000 + b"}\n", Reason.MALFORMED_JSON),
        (b'{"text": "a\0b"}\n', Reason.NUL),
        (b'{"text": "a", "b": {"c": 1, "c": 1}}\n', Reason.DUPLICATE_KEY),
        (b'{"\\ud800": 1, "\\ud800": 2}\n', Reason.DUPLICATE_KEY),
        (nested(100_000), Reason.TOO_DEEP),
        ({"text": "1234567890 !? " * 30}, Reason.WRONG_SCRIPT),
        ({"text": "a b " * 100_000}, Reason.TOO_LONG),
    ],
)  # fmt: skip
def test_odd_row_gets_a_reason(row, reason, finnish):
    done = import_bytes(as_lines(row, numbered(1)), finnish)

    assert done.counts["rejected"] == {reason.value: 1}
    assert done.counts["stored"] == 1


def test_bounds_of_length_are_settings_and_count_code_points(finnish, settings):
    settings.TEXT_CHARS_MIN, settings.TEXT_CHARS_MAX = 50, 80
    bodies = [FINNISH[:49], FINNISH[:50], FINNISH[:79] + "🙂", FINNISH[:79] + "🙂a"]

    done = import_bytes(as_lines(*({"text": body, "title": "Otsikko " * 20} for body in bodies)), finnish)

    assert done.counts["rejected"] == {"too_short": 1, "too_long": 1}
    assert sorted(Text.objects.values_list("chars", flat=True)) == [50, 80]


def test_rejected_rows_file_keeps_the_line_as_it_came(finnish, settings):
    line = b'{"text": "K\xe4ki"}\n'

    done = import_bytes(line, finnish)

    (row,) = rejected_lines(done, settings.DATA_DIR)
    assert row["row"] == '{"text": "K\\xe4ki"}\n'
    assert not list((settings.DATA_DIR / "rejected").glob("*.part"))


# Gates


def test_romanised_text_is_in_the_wrong_script():
    assert gates.check_script("Bazaar mein aaj bahut bheed thi", "Deva") == Reason.WRONG_SCRIPT
    assert gates.check_script("बाज़ार में आज बहुत भीड़ थी, GitHub पर भी", "Deva") is None


def test_scripts_that_are_written_in_several_are_known():
    assert gates.check_script("東京の朝市でカレーを食べた", "Jpan") is None
    assert gates.check_script("Привет", "Jpan") == Reason.WRONG_SCRIPT


def test_script_code_that_unicode_does_not_know_turns_nothing_away():
    assert gates.check_script("ab", "Qaaa") is None
    assert gates.check_script("ab", "") is None


@pytest.mark.parametrize(
    ("code", "probabilities", "reason"),
    [
        ("id", {"id": 0.6, "ms": 0.4}, None),
        ("id-ID", {"ms": 0.6, "id": 0.4}, None),
        ("id", {"ms": 0.95, "id": 0.05}, Reason.WRONG_LANGUAGE),
        ("hi", {"ur": 0.5, "hi": 0.5}, Reason.WRONG_LANGUAGE),
        ("nb", {"no": 0.9, "da": 0.1}, None),
        ("quc", {"en": 0.9, "id": 0.1}, None),
    ],
)
def test_language_gate_asks_the_identifier_and_forgives_what_it_cannot_tell_apart(code, probabilities, reason):
    assert gates.check_language(probabilities, code) == reason


# Near-duplicates


def test_near_duplicate_is_counted_on_the_text_that_was_kept_and_once_only(finnish, settings):
    body = numbered(1)["text"]
    content = as_lines({"text": body}, {"text": body + " Kuva: toimitus."}, {"text": body.replace("Kirje", "Viesti")})

    done = import_bytes(content, finnish)
    again = import_bytes(content, finnish)

    assert done.counts == {"read": 3, "stored": 1, "duplicate": 0, "rejected": {"near_duplicate": 2}}
    assert again.counts == {"read": 3, "stored": 0, "duplicate": 3, "rejected": {}}
    text = Text.objects.get()
    assert (text.body, text.dedup_cluster_size) == (body, 3)
    assert NearDuplicate.objects.filter(text=text, jaccard__gt=0.7).count() == 2
    assert {row["detail"][:17] for row in rejected_lines(done, settings.DATA_DIR)} == {f"text {text.public_id}"}
    assert Band.objects.count() == near_duplicates.BANDS


def test_near_duplicate_of_an_earlier_import_adds_the_cluster_size_that_its_source_counted(finnish):
    body = numbered(1)["text"]
    import_bytes(as_lines({"text": body, "minhash_cluster_size": 4}), finnish)

    import_bytes(as_lines({"text": body + " Kuva: toimitus.", "minhash_cluster_size": 3}), finnish)

    assert Text.objects.get().dedup_cluster_size == 7


def test_near_duplicates_do_not_chain(finnish):
    words = numbered(1)["text"].split()
    texts = [" ".join(words[:-cut] + [f"aivan{n}toinen{n}sana{n}" for n in range(cut)]) for cut in (1, 6, 12, 18)]

    import_bytes(as_lines(*({"text": text} for text in texts)), finnish)

    kept = [near_duplicates.grams(text.body) for text in Text.objects.all()]
    assert 1 < len(kept) < len(texts)
    assert all(near_duplicates.jaccard(a, b) < near_duplicates.JACCARD_MIN for a, b in itertools.combinations(kept, 2))


def test_texts_of_two_languages_are_never_near(finnish):
    other = make_language("sw")
    Language.objects.filter(pk=other.pk).update(code="krl")
    other.refresh_from_db()
    body = numbered(1)["text"]

    import_bytes(as_lines({"text": body}), finnish)

    assert import_bytes(as_lines({"text": body + " Kuva: toimitus."}), other).counts["stored"] == 1


@given(st.text(min_size=5, max_size=80))
def test_grams_are_the_set_of_stretches_of_five_characters(body):
    body = body.encode("utf-8", "ignore").decode()

    assert len(near_duplicates.grams(body)) == max(len({body[n : n + 5] for n in range(len(body) - 4)}), 1)


# Again, and after a crash


def test_second_import_of_the_same_file_adds_nothing(finnish):
    content = as_lines(*(numbered(number) for number in range(7)))

    import_bytes(content, finnish)
    before = list(Text.objects.values())
    again = import_bytes(content, finnish)

    assert again.counts == {"read": 7, "stored": 0, "duplicate": 7, "rejected": {}}
    assert list(Text.objects.values()) == before


class CutOff(io.BytesIO):
    """A stream whose disk fails after some lines."""

    def __init__(self, content: bytes, lines: int) -> None:
        super().__init__(content)
        self.lines_left = lines

    def readline(self, size: int = -1, /) -> bytes:
        if not self.lines_left:
            raise OSError("disk on fire")
        self.lines_left -= 1
        return super().readline(size)


def test_import_that_dies_midway_is_completed_by_the_next_one(finnish, settings, monkeypatch):
    monkeypatch.setattr(jsonl, "BATCH_LINES", 3)
    content = as_lines({"text": "lyhyt"}, *(numbered(number) for number in range(10)))

    with pytest.raises(OSError, match="on fire"):
        ingest.import_texts(
            [jsonl.stream_source("x", CutOff(content, 8))], language=finnish, source="tests", licence="CC0-1.0"
        )
    died = Import.objects.get()
    assert died.state == ImportState.CUT_SHORT
    assert died.counts == {"read": 6, "stored": 5, "duplicate": 0, "rejected": {"too_short": 1}}
    assert [row["reason"] for row in rejected_lines(died, settings.DATA_DIR)] == ["too_short"]

    done = import_bytes(content, finnish)

    assert done.counts == {"read": 11, "stored": 5, "duplicate": 5, "rejected": {"too_short": 1}}
    assert list(Text.objects.order_by("pk").values_list("source_doc_id", flat=True)) == [f"doc-{n}" for n in range(10)]


def test_progress_is_told_after_every_batch(finnish, monkeypatch):
    monkeypatch.setattr(jsonl, "BATCH_LINES", 4)
    seen = []

    import_bytes(
        as_lines(*(numbered(number) for number in range(10))),
        finnish,
        on_progress=lambda tally: seen.append(tally.stored),
    )

    assert seen == [4, 8, 10]


# Layouts

TWO = [numbered(1), numbered(2)]


def parquet_of(rows: list[dict]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file, row_group_size=1)
    return file.getvalue()


def csv_of(rows: list[dict], delimiter: str = ",") -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", as_lines(*TWO)),
        ("a.jsonl.gz", gzip.compress(as_lines(*TWO))),
        ("a.jsonl.zst", pyarrow.Codec("zstd").compress(as_lines(*TWO), asbytes=True)),
        ("a.json", json.dumps(TWO, indent=2).encode()),
        ("a.json.gz", gzip.compress(b"\xef\xbb\xbf \n" + json.dumps(TWO).encode())),
        ("a.parquet", parquet_of(TWO)),
        ("a.csv", csv_of(TWO)),
        ("a.tsv", csv_of(TWO, "\t")),
        ("unknown", as_lines(*TWO)),
    ],
)
def test_file_of_any_form_gives_the_same_texts(name, content, finnish, tmp_path):
    (tmp_path / name).write_bytes(content)

    done = ingest.import_texts(
        [jsonl.file_source(tmp_path / name)], language=finnish, source="tests", licence="CC0-1.0"
    )

    assert done.counts == {"read": 2, "stored": 2, "duplicate": 0, "rejected": {}}
    found = Text.objects.order_by("pk").values_list("original", "source_doc_id", "licence_id")
    assert list(found) == [(row["text"], row["id"], row["license"]) for row in TWO]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.parquet", b"PAR1 and then nothing", "unreadable"),
        ("a.parquet", parquet_of(TWO)[:-30], "unreadable"),
        ("a.json", b'[{"text": "a"}, {"text": ', "unreadable"),
        ("a.json", b'{"text": "a"}', "unreadable"),
        ("a.json", b"[" * 100_000, "unreadable"),
        ("a.csv.gz", gzip.compress(csv_of(TWO))[:-9], "broken_gzip"),
        ("a.jsonl.zst", pyarrow.Codec("zstd").compress(as_lines(*TWO), asbytes=True)[:-9], "broken_gzip"),
        ("a.csv", b'text\n"' + b"a" * 5_000_000 + b'"\n', "unreadable"),
        ("a.csv", b"text\nK\xe4ki\n", "invalid_utf8"),
        ("a.parquet", parquet_of([{"text": FINNISH + "\0"}]), "nul"),
        ("a.csv", csv_of([{"text": FINNISH + "\0"}]), "nul"),
    ],
)
def test_file_that_is_not_what_its_name_says_gives_a_reason_and_the_next_one_follows(name, content, reason, finnish):
    sources = [
        jsonl.stream_source(name, io.BytesIO(content)), jsonl.stream_source("b", io.BytesIO(as_lines(numbered(3))))
    ]  # fmt: skip

    done = ingest.import_texts(sources, language=finnish, source="tests", licence="CC0-1.0")

    assert done.counts["rejected"][reason] == 1
    assert Text.objects.filter(source_doc_id="doc-3").exists()


def test_long_page_is_cut_into_passages_that_say_where_they_stood(finnish, settings):
    paragraphs = [numbered(n)["text"] for n in range(9)]
    paragraphs[4] = "lyhyt\n" + THAI * 6
    page = "\n\n".join(["Otsikko", *paragraphs])

    done = import_bytes(as_lines({"text": page, "id": "page"}), finnish)

    texts = list(Text.objects.order_by("pk"))
    assert done.counts["stored"] == len(texts) > 1
    assert done.counts["read"] + done.counts["cut"] == len(texts) + sum(done.counts["rejected"].values())
    assert all(text.original == page[text.segment_start : text.segment_end] for text in texts)
    assert all(text.chars <= 2000 and text.source_doc_id == "page" for text in texts)
    short, thai = rejected_lines(done, settings.DATA_DIR)
    assert (short["reason"], short["row"]) == ("too_short", "lyhyt")
    assert (thai["reason"], thai["row"]) == ("wrong_script", THAI * 6)
    assert import_bytes(as_lines({"text": page, "id": "page"}), finnish).counts["stored"] == 0


def test_page_stays_whole_where_one_asks_for_it(finnish):
    page = "\n\n".join(numbered(n)["text"] for n in range(4))
    assert 2000 < len(page) < 3000

    done = import_bytes(as_lines({"text": page}), finnish, is_whole=True)

    assert done.counts["stored"] == 1
    assert Text.objects.values_list("original", "segment_start").get() == (page, None)


def test_plain_text_is_a_page(finnish):
    page = "\n\n".join(numbered(n)["text"] for n in range(9))

    done = ingest.import_texts(
        [jsonl.stream_source("kirja.txt", io.BytesIO(page.encode()))], language=finnish, source="t", licence="CC0-1.0"
    )

    assert done.counts["read"] == 1
    assert done.counts["stored"] == Text.objects.filter(source_doc_id="kirja.txt:1").count() > 1


@given(st.text(st.sampled_from("ab. \n"), max_size=400), st.integers(1, 50), st.integers(50, 120))
def test_passages_are_whole_paragraphs_in_order_and_nothing_is_lost(page, chars_min, chars_max):
    passages = segmenting.cut(page, chars_min, chars_max)

    assert " ".join(page[a:b] for a, b in passages).split() == page.split()
    assert all(b <= c for (_, b), (c, _) in itertools.pairwise(passages))
    for a, b in passages:
        assert page[a:b].strip()
        assert b - a <= chars_max or "\n" not in page[a:b].strip()
        assert a == 0 or page[a - 1] == "\n"
        assert b == len(page) or page[b] == "\n"


def test_instruction_that_came_with_its_text_is_a_candidate_for_people_to_audit(finnish):
    text = numbered(1)["text"]
    rows = [
        {"instruction": "Describe a market.", "input": "", "output": text},
        {"instruction": "Tell of a letter.", "input": "A letter.", "output": numbered(2)["text"]},
        {"inputs": "Say it again.", "targets": text},
    ]

    import_bytes(as_lines(*rows), finnish, source="X-Instruction")
    import_bytes(as_lines(*rows), finnish, source="X-Instruction")

    found = Candidate.objects.order_by("pk").values_list("instruction", "input", "text__body", "state")
    assert list(found) == [
        ("Describe a market.", "", text, "kept"), ("Tell of a letter.", "A letter.", numbered(2)["text"], "kept")
    ]  # fmt: skip
    run = Run.objects.get()
    assert (run.state, run.texts_done, run.model_version.revision) == (JobState.DONE, 2, "imported")


# Licence and robots


@pytest.mark.parametrize(
    ("policy", "robots", "stored"),
    [
        ("not-disallowed", "allowed", 1), ("not-disallowed", "", 1), ("not-disallowed", "disallowed", 0),
        ("allowed", "allowed", 1), ("allowed", "", 0), ("any", "disallowed", 1),
    ],
)  # fmt: skip
def test_robots_policy_of_the_installation_decides(policy, robots, stored, finnish, settings):
    settings.ROBOTS = policy

    done = import_bytes(as_lines(numbered(1) | {"robots": robots}), finnish)

    assert done.counts["stored"] == stored
    assert done.counts["rejected"] == ({} if stored else {"robots_disallowed": 1})


def test_only_licences_that_the_installation_takes_come_in(finnish, settings):
    settings.LICENCES = ["CC0-*", "cc-by-4.0"]
    rows = [numbered(n) | {"license": name} for n, name in enumerate(["CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0"])]

    done = import_bytes(as_lines(*rows), finnish)

    assert (done.counts["stored"], done.counts["rejected"]) == (2, {"licence_refused": 1})


# Compressed files, the command


def test_compressed_file_is_read_whatever_its_name(finnish):
    assert import_bytes(gzip.compress(as_lines(numbered(1), numbered(2))), finnish).counts["stored"] == 2


@pytest.mark.parametrize(
    "damage",
    [lambda z: z[:-200], lambda z: z[: len(z) // 2] + b"\xff" * 50 + z[len(z) // 2 + 50 :], lambda z: z + b"junk"],
)
def test_damaged_compressed_file_gives_what_can_be_read_and_the_next_file_follows(damage, finnish):
    noise = random.Random(1)
    rows = [numbered(n) | {"noise": noise.randbytes(200).hex()} for n in range(100)]
    sources = [
        jsonl.stream_source("damaged", io.BytesIO(damage(gzip.compress(as_lines(*rows))))),
        jsonl.stream_source("whole", io.BytesIO(as_lines(numbered(1000)))),
    ]

    done = ingest.import_texts(sources, language=finnish, source="tests", licence="CC0-1.0")

    assert done.counts["rejected"]["broken_gzip"] == 1
    assert 1 < done.counts["stored"] <= 101
    assert Text.objects.filter(source_doc_id="doc-1000").exists()


def test_command_reads_files_and_standard_input_and_prints_a_table(finnish, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(as_lines(numbered(1), {"text": "lyhyt"})))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(as_lines(numbered(1), numbered(2)))))

    call_command("import_texts", tmp_path / "a.jsonl.gz", "-", language="fi", source="tests", license="CC0-1.0")

    printed = [line.strip("│ ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["read", "│", "4"] in printed
    assert ["stored", "│", "2"] in printed
    assert ["duplicate", "│", "1"] in printed
    assert ["too_short:", "text", "too", "short", "│", "1"] in printed
    assert Import.objects.get().files == ["a.jsonl.gz", "standard input"]


def test_command_ends_with_an_error_where_a_file_was_cut_off(finnish, tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(as_lines(numbered(1)))[:-9])

    with pytest.raises(CommandError, match="could not be read to the end") as error:
        call_command("import_texts", tmp_path / "a.jsonl.gz", language="fi", source="tests", license="CC0-1.0")

    assert error.value.returncode == 1


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("missing.jsonl", {}, "Cannot read .*missing.jsonl: No such file"),
        (".", {}, "Is a directory"),
        ("a.jsonl", {"language": "xx"}, "no language 'xx' here"),
        ("a.jsonl", {"source": " "}, "--source is empty"),
        ("a.jsonl", {"source": "x" * 201}, "at most 200"),
        ("a.jsonl", {"license": "x" * 101}, "at most 100"),
    ],
)
def test_command_refuses_before_it_reads(file, options, message, finnish, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(as_lines(numbered(1)))

    with pytest.raises(CommandError, match=message):
        call_command(
            "import_texts", tmp_path / file, **{"language": "fi", "source": "s", "license": "CC0-1.0"} | options
        )

    assert not Import.objects.exists()


# Provenance

LAYOUTS = {
    "CulturaX": (
        {"text": FINNISH, "timestamp": "2020-01-02T03:04:05Z", "url": "https://a.fi/b", "source": "OSCAR-2301"},
        {"crawl_date": "2020-01-02T03:04:05Z", "url": "https://a.fi/b", "source_release": "OSCAR-2301"},
        {},
    ),
    "FineWeb-2": (
        {
            "text": FINNISH, "id": "<urn:uuid:1>", "dump": "CC-MAIN-2013-20", "url": "http://a.fi",
            "date": "2013-05-18", "file_path": "s3://x", "language": "fin", "language_score": 0.99,
            "language_script": "Latn", "minhash_cluster_size": 4, "top_langs": '{"fin_Latn": 0.99}',
            "wordlist_ratio": 0.2,
        },
        {
            "source_doc_id": "<urn:uuid:1>", "source_release": "CC-MAIN-2013-20", "url": "http://a.fi",
            "domain": "a.fi", "crawl_date": "2013-05-18", "lang_declared": "fin", "dedup_cluster_size": 4,
        },
        {"file_path", "language_score", "language_script", "top_langs", "wordlist_ratio"},
    ),
    "HPLT": (
        {
            "f": "w.warc", "o": 1, "s": 2, "rs": 3, "u": "https://a.fi/", "c": "text/html",
            "ts": "2021-01-01T00:00:00Z", "collection": "wide17", "lang": ["fin_Latn", "est_Latn", "krl_Latn"],
            "prob": [0.9, 0.1, 0.0], "text": FINNISH, "seg_langs": ["fin_Latn"], "id": "abc", "filter": "keep",
            "pii": [[1, 5]], "doc_scores": [8.1], "robots": "allowed",
        },
        {
            "url": "https://a.fi/", "domain": "a.fi", "crawl_date": "2021-01-01T00:00:00Z", "source_release": "wide17",
            "lang_declared": "fin_Latn", "source_doc_id": "abc", "pii_spans": [[1, 5, "source"]],
            "robots_status": "allowed",
        },
        {"f", "o", "s", "rs", "c", "lang", "prob", "seg_langs", "filter", "doc_scores"},
    ),
    "OSCAR": (
        {
            "content": FINNISH,
            "warc_headers": {"warc-target-uri": "https://a.fi/x", "warc-record-id": "<r>", "warc-date": "2022-11-26"},
            "metadata": {"identification": {"label": "fi", "prob": 0.9}, "sentence_identifications": [None]},
        },
        {
            "url": "https://a.fi/x", "domain": "a.fi", "source_doc_id": "<r>", "crawl_date": "2022-11-26",
            "lang_declared": "fi",
        },
        {"warc_headers", "metadata"},
    ),
    "ours": (
        {
            "body": FINNISH, "id": 17, "title": "Tori", "lang": "fi", "source": "kirjasto", "license": "CC0-1.0",
            "licence_url": "https://l", "topic": "food", "segment_start": 0, "segment_end": 9, "variety": "savo",
            "url": None,
        },
        {
            "source_doc_id": "17", "title": "Tori", "lang_declared": "fi", "source_dataset": "kirjasto",
            "licence_id": "CC0-1.0", "licence_url": "https://l", "segment_start": 0, "segment_end": 9,
            "variety": "savo",
        },
        {"topic", "url"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_field_of_a_layout_ends_in_a_column_or_in_extra(layout, finnish):
    row, columns, in_extra = LAYOUTS[layout]

    import_bytes(as_lines(row), finnish, source="the dataset")

    text = Text.objects.get()
    expected = {"source_dataset": "the dataset"} | columns
    assert {column: getattr(text, column) for column in expected} == expected
    assert text.original == FINNISH
    assert text.extra == {key: row[key] for key in in_extra}


def test_second_name_for_the_same_column_is_kept_in_extra():
    record = read_record({"text": FINNISH, "content": "muuta", "license": "MIT", "licence": "CC0-1.0"})

    assert (record.original, record.licence_id) == (FINNISH, "MIT")
    assert record.extra == {"content": "muuta", "licence": "CC0-1.0"}


def test_spans_of_personal_data_follow_the_body_only_where_it_is_the_original(finnish):
    import_bytes(as_lines({"text": "\n" + FINNISH, "pii": [[1, 5]]}), finnish)

    text = Text.objects.get()
    assert (text.pii_spans, text.extra) == ([], {"pii_spans_of_original": [[1, 5]]})


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://user@Sub.Example.FI:80/a", "sub.example.fi"),
        ("http://[::1", ""),
        ("nonsense", ""),
        ("https://มหาวิทยาลัย.ไทย/", "มหาวิทยาลัย.ไทย"),
        ("http://" + "a" * 300, ""),
    ],
)
def test_domain_is_the_host_of_the_address(url, domain):
    assert domain_of(url) == domain


# Anything at all

OF_GATES = {
    Reason.WRONG_SCRIPT, Reason.WRONG_LANGUAGE, Reason.FEW_LETTERS, Reason.WORD_LENGTH, Reason.PUNCTUATION,
    Reason.REPETITION, Reason.BOILERPLATE, Reason.BROKEN_TEXT,
}  # fmt: skip

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=120)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
KNOWN_KEYS = st.sampled_from(["text", "content", "id", "url", "license", "lang", "pii", "source", "warc_headers", "u"])


@given(st.dictionaries(KNOWN_KEYS | ANY_TEXT, ANY_JSON, max_size=8))
@example({"text": "\ud83d\ude42"})
def test_no_json_breaks_the_row_reader_and_what_passes_is_byte_exact(row):
    language = Language(pk=1, code="fi", script="Latn", direction=Direction.LTR)
    try:
        parsed = jsonl.parse_object(json.dumps(row).encode())
        (text,) = admitting.read_row(parsed, reading_of(language))
    except Rejected as no:
        assert no.reason in Reason  # noqa: PT017
    else:
        assert text["original"] == row["text"]


@given(ANY_TEXT)
@example("À\x80 Ã€\x80 í\xa0\x80")
def test_original_survives_and_the_body_is_clean_for_any_text(body):
    long_enough = FINNISH + body
    language = Language(pk=1, code="fi", script="Latn", direction=Direction.LTR)
    try:
        parsed = jsonl.parse_object(json.dumps({"text": long_enough}).encode())
    except Rejected as no:
        assert no.reason == (Reason.NUL if "\0" in body else Reason.LONE_SURROGATE)  # noqa: PT017
        return
    assert parsed["text"].encode() == long_enough.encode()
    clean = admitting.normalise(parsed["text"])
    assert "\0" not in clean
    assert clean.encode().decode() == clean
    assert unicodedata.is_normalized("NFC", clean)
    try:
        (text,) = admitting.read_row(parsed, reading_of(language))
    except Rejected as no:
        assert no.reason in OF_GATES  # noqa: PT017
    else:
        assert (text["original"], text["body"]) == (long_enough, clean)


@given(content=st.binary(max_size=300))
def test_no_bytes_break_the_line_reader(content, tmp_path_factory):
    tally = Tally()
    rejected = RejectedRows(tmp_path_factory.getbasetemp() / "rejected.jsonl")
    sources = [jsonl.stream_source("noise", io.BytesIO(content))]

    rows = sum(len(batch) for batch in jsonl.read_batches(sources, dict, tally, rejected))
    rejected.finish()

    assert tally.read == rows + tally.rejected.total()
