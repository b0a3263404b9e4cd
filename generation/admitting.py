"""What a row must be to come in: read, repaired and normalised once, cut where it is long, gated. Knows no database.

Any process can do this, so an import (ingest.py) has several do it and stores what they found.
"""

import dataclasses
import fnmatch
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ftfy
import regex
from ftfy.badness import is_bad

from generation import gates, jsonl, near_duplicates, personal_data, provenance, segmenting, storing
from generation.rejections import Reason, Rejected
from xinstruct_site.people import varieties
from xinstruct_site.people.models import VarietyKind

# What ftfy does by default to good text is switched off: curly quotes, full-width forms and ligatures are somebody's
# spelling, and &lt; in a page about HTML is meant. What stays repairs damage: mojibake, stray control characters,
# terminal escapes, line breaks of other systems.
REPAIR = ftfy.TextFixerConfig(
    uncurl_quotes=False,
    fix_character_width=False,
    fix_latin_ligatures=False,
    unescape_html=False,
    normalization="NFC",
    explain=False,
)
VERSIONS = {"ftfy": ftfy.__version__, "unicode": unicodedata.unidata_version}
# Mojibake has one of these characters, or two of its characters in a row that are not both small letters.
MOJIBAKE = r"[\x80-\u0588\u2010-\u2bff\uf8ff\ufb00-\ufffd]"
SUSPECT = regex.compile(
    rf"[ÃÂŒœƒ\x80-\x9f]|[{MOJIBAKE}--\p{{Ll}}]{MOJIBAKE}|{MOJIBAKE}[{MOJIBAKE}--\p{{Ll}}]", flags=regex.V1
)
CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u206a-\u206f\ufeff\ufff9-\ufffc\ud800-\udfff]")
# Beyond this many times the longest body there is nothing that repair could bring back within the limit.
REPAIRABLE = 4
PASSAGE_MIN = 300  # a page is not cut into smaller passages than this, whatever length a text may have
# What stands in the place of a licence where there is none.
NO_LICENCES = {"unknown", "none", "n/a", "na", "null", "unlicensed", "proprietary", "all rights reserved", "-"}

RECORD_FIELDS = [field.name for field in dataclasses.fields(provenance.Record)]

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """How the rows of an import are read and judged: all that a process needs that has no database."""

    language_id: int
    code: str
    script: str
    source: str
    licence: str
    layout: str
    chars_min: int
    chars_max: int
    passage_chars: int  # a longer page is cut; 0 cuts none
    robots: str
    licences: tuple[str, ...]
    varieties: Mapping[varieties.Key, str]  # how the language's list spells what a row names


@dataclass(slots=True)
class Judged:
    """What became of a batch of lines before the database was asked; rows count from 0 within the batch."""

    passed: list[storing.Incoming] = field(default_factory=list)
    rejected: list[tuple[int, Rejected]] = field(default_factory=list)


def judge_lines(lines: Sequence[jsonl.Line], *, reading: Reading) -> Judged:
    """Parse, repair and gate a batch of lines."""
    judged = Judged()
    texts: list[tuple[int, Columns]] = []
    for number, line in enumerate(lines):
        try:
            if line.problem:
                raise Rejected(line.problem)
            for text in read_row(jsonl.parse_object(line.raw), reading):
                if isinstance(text, Rejected):
                    judged.rejected.append((number, text))
                else:
                    texts.append((number, text))
        except Rejected as no:
            judged.rejected.append((number, no))
    bands = near_duplicates.bands([near_duplicates.grams(text["body"]) for _, text in texts], reading.language_id)
    judged.passed = [
        storing.Incoming.of(number, text, hashes.tolist()) for (number, text), hashes in zip(texts, bands, strict=True)
    ]
    return judged


def read_row(row: dict[str, Any], reading: Reading) -> Iterator[Columns | Rejected]:
    """The texts that a row holds, as columns of Text, and what became of those that do not pass: of a long page its
    passages, otherwise one.

    Raises:
        Rejected: the row as a whole.
    """
    record = provenance.read_record(row)
    record.source_dataset = record.source_dataset or reading.source
    record.licence_id = record.licence_id or reading.licence
    record.variety, record.orthography = _tags(record, reading)
    _demand_permission(record, reading)
    page = record.original
    is_cut = record.segment_start is None and not record.instruction and 0 < reading.passage_chars < len(page)
    passages = segmenting.cut(page, max(PASSAGE_MIN, reading.chars_min), reading.passage_chars) if is_cut else []
    if len(passages) < 2:
        yield read_text(record, reading)
        return
    spans, record.pii_spans = record.pii_spans, []
    for start, end in passages:
        passage = dataclasses.replace(
            record,
            original=page[start:end],
            segment_start=start,
            segment_end=end,
            pii_spans=[[a - start, b - start] for a, b, *_ in spans if start <= a and b <= end],
            extra=dict(record.extra),
        )
        try:
            yield read_text(passage, reading)
        except Rejected as no:
            no.passage = passage.original
            no.detail = f"characters {start} to {end}: {no.detail}"
            yield no


def _tags(record: provenance.Record, reading: Reading) -> tuple[str, str]:
    """Variety and orthography as the language's list spells them: by name, by BCP 47 tag, or else by the tag that the
    row gives as its language."""
    variety, orthography = (
        varieties.spelled(reading.varieties, kind, said)
        or reading.varieties.get((kind, varieties.plain(record.lang_declared)), "")
        for kind, said in ((VarietyKind.VARIETY, record.variety), (VarietyKind.ORTHOGRAPHY, record.orthography))
    )
    return variety, orthography


def _demand_permission(record: provenance.Record, reading: Reading) -> None:
    """What the record says of its licence and its site's wish, against what the installation takes."""
    licence = record.licence_id.strip().lower()
    if not licence:
        raise Rejected(Reason.NO_LICENCE)
    if licence in NO_LICENCES or not any(fnmatch.fnmatch(licence, taken.lower()) for taken in reading.licences):
        raise Rejected(Reason.LICENCE_REFUSED, record.licence_id)
    robots = record.robots_status.strip().lower()
    if robots.startswith("disallow") and reading.robots != "any":
        raise Rejected(Reason.ROBOTS_DISALLOWED)
    if not robots.startswith("allow") and reading.robots == "allowed":
        raise Rejected(Reason.ROBOTS_DISALLOWED, "nothing is said of it")


def read_text(record: provenance.Record, reading: Reading) -> Columns:
    """The text of a record, as columns of Text.

    Raises:
        Rejected: with the reason.
    """
    if len(record.original) > REPAIRABLE * reading.chars_max:
        raise Rejected(Reason.TOO_LONG, f"{len(record.original)} characters")
    body = normalise(record.original)
    if record.original != body and is_bad(body):
        raise Rejected(Reason.BROKEN_TEXT, "wrongly decoded, and could not be repaired")
    if record.pii_spans and body != record.original:
        # They count characters of the original.
        record.extra["pii_spans_of_original"], record.pii_spans = record.pii_spans, []
    identified = gates.judge(
        body, code=reading.code, script=reading.script, chars_min=reading.chars_min, chars_max=reading.chars_max
    )
    return {
        **{name: getattr(record, name) for name in RECORD_FIELDS},
        "language_id": reading.language_id,
        "body": body,
        "sha256": hashlib.sha256(body.encode()).hexdigest(),
        "chars": len(body),
        "normalisation": VERSIONS,
        "lang_detected": identified.lang,
        "lang_score": identified.score,
        "script": reading.script,
        "pii_spans": personal_data.spans(body, reading.code, record.pii_spans),
    }


def normalise(original: str) -> str:
    """The body of a text: damage repaired, NFC, no blank space around it.

    ftfy takes a third of an import, and most texts hold nothing that it acts on; then this comes to the same.
    """
    if is_damaged(original):
        return ftfy.fix_text(original, REPAIR).strip()
    return unicodedata.normalize("NFC", original).strip()


def is_damaged(original: str) -> bool:
    """Whether there is anything to repair: what ftfy itself asks, line by line, but of few texts."""
    if CONTROLS.search(original):
        return True
    return bool(SUSPECT.search(original)) and any(map(is_bad, original.split("\n")))
