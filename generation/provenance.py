"""Reads the provenance of a text from the layouts in which web text is published, into the columns of Text.

CulturaX, OSCAR, FineWeb-2 and HPLT are known by the keys that only they have; every other row is read by the names
below. What has no column stays in `extra`, so no field of a source is lost.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from generation.models import Text
from generation.rejections import Reason, Rejected, max_length

# Column → names it may have in a row, the first one present wins. A dot steps into a nested object.
NAMES: dict[str, tuple[str, ...]] = {
    "original": ("text", "content", "body"),
    "title": ("title",),
    "variety": ("variety", "dialect"),
    "orthography": ("orthography",),
    "source_dataset": ("source_dataset", "source", "dataset"),
    "source_release": ("source_release", "dump"),
    "source_doc_id": ("source_doc_id", "id", "doc_id"),
    "url": ("url", "uri"),
    "crawl_date": ("crawl_date", "date", "timestamp"),
    "lang_declared": ("lang_declared", "lang", "language", "language_code"),
    "licence_id": ("license", "licence", "license_id", "licence_id"),
    "licence_url": ("license_url", "licence_url"),
    "robots_status": ("robots_status", "robots"),
    "pii_spans": ("pii_spans", "pii"),
    "dedup_cluster_size": ("dedup_cluster_size", "minhash_cluster_size"),
    "segment_start": ("segment_start",),
    "segment_end": ("segment_end",),
}
HPLT = {"text", "u", "ts", "collection"}
INSTRUCTED: dict[str, tuple[str, ...]] = {
    "original": ("output", "response", "targets"),
    "instruction": ("instruction", "inputs"),
    "input": ("input",),
}
# Keys that tell a layout → the names that mean something else in it.
LAYOUTS: list[tuple[set[str], dict[str, tuple[str, ...]]]] = [
    # CulturaX: `source` is the release that the row was taken from (mC4 or an OSCAR), not the dataset.
    ({"text", "timestamp", "url", "source"}, {"source_dataset": (), "source_release": ("source",)}),
    # OSCAR 23.01
    (
        {"content", "warc_headers"},
        {
            "source_doc_id": ("warc_headers.warc-record-id",),
            "url": ("warc_headers.warc-target-uri",),
            "crawl_date": ("warc_headers.warc-date",),
            "lang_declared": ("metadata.identification.label",),
        },
    ),
    # Instruction data that is to be audited: Alpaca, X-Instruction, Aya. What answers is the text.
    ({"instruction", "output"}, INSTRUCTED),
    ({"instruction", "response"}, INSTRUCTED),
    ({"inputs", "targets"}, INSTRUCTED),
    # HPLT 2 and 3
    (HPLT, {"url": ("u",), "crawl_date": ("ts",), "source_release": ("collection",)}),
]
NUMBERS_ARE_NAMES = {"source_doc_id", "crawl_date"}  # 17 is as good an id as "17"
COUNT = re.compile(r"[0-9]{1,10}")
COUNT_MAX = 2**31 - 1  # of PostgreSQL's integer


@dataclass(slots=True)
class Record:
    """What a row says of one text; the fields carry the names of Text's columns, but for instruction and input."""

    original: str
    title: str = ""
    variety: str = ""
    orthography: str = ""
    source_dataset: str = ""
    source_release: str = ""
    source_doc_id: str = ""
    url: str = ""
    domain: str = ""
    crawl_date: str = ""
    lang_declared: str = ""
    licence_id: str = ""
    licence_url: str = ""
    robots_status: str = ""
    pii_spans: list[list[int]] = field(default_factory=list)
    dedup_cluster_size: int = 1
    segment_start: int | None = None
    segment_end: int | None = None
    instruction: str = ""
    input: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


def read_record(row: dict[str, Any]) -> Record:
    """Sort the fields of a row.

    Raises:
        Rejected: no text, a field of another type than its column takes, or longer than it.
    """
    names = NAMES
    for keys, differences in LAYOUTS:
        if keys <= row.keys():
            names = NAMES | differences
            break
    columns: dict[str, Any] = {}
    used: set[str] = set()
    for column, candidates in names.items():
        for name in candidates:
            value = _dig(row, name)
            if value is None:
                continue
            if column == "lang_declared" and isinstance(value, list) and value:
                value = value[0]  # HPLT lists its three best guesses; the list stays in extra
            else:
                used.add(name)
            columns[column] = _read_value(column, name, value)
            break
    if not columns.get("original", "").strip():
        raise Rejected(Reason.NO_TEXT)
    if row.keys() >= HPLT and row.get("filter", "keep") != "keep":
        raise Rejected(Reason.FILTERED_AT_SOURCE, str(row["filter"])[:80])
    columns["extra"] = {key: value for key, value in row.items() if key not in used}
    record = Record(**columns)
    record.domain = domain_of(record.url)
    return record


def _dig(row: dict[str, Any], name: str) -> Any:
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _read_value(column: str, name: str, value: Any) -> Any:
    """The value as the column takes it."""
    if column == "pii_spans":
        if isinstance(value, list) and all(_is_span(span) for span in value):
            return value
        raise Rejected(Reason.WRONG_TYPE, name)
    if column in {"dedup_cluster_size", "segment_start", "segment_end"}:
        if isinstance(value, str) and COUNT.fullmatch(value):
            value = int(value)  # CSV knows no numbers
        if _is_count(value):
            return value
        raise Rejected(Reason.WRONG_TYPE, name)
    if column in NUMBERS_ARE_NAMES and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Rejected(Reason.WRONG_TYPE, name)
    if column in {"original", "title", "instruction", "input"}:
        return value
    value = value.strip()
    if len(value) > max_length(Text, column):
        raise Rejected(Reason.FIELD_TOO_LONG, name)
    return value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= COUNT_MAX


def _is_span(value: Any) -> bool:
    """Start and end; some say what it is in a third place."""
    return isinstance(value, list) and len(value) in {2, 3} and all(_is_count(end) for end in value[:2])


def domain_of(url: str) -> str:
    """The host of an address, in lower case; empty where there is none to be read."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return host if len(host) <= max_length(Text, "domain") else ""
