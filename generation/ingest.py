"""Texts in: from rows to Text, normalised once, gated, without duplicates and near-duplicates, with their provenance.

Rows are judged on several cores and stored by one process, in order, so calling an import again after any death ends
at the same texts: the same files go on where they were left. The command and the page both call import_texts.
"""

import contextlib
import dataclasses
import fnmatch
import functools
import hashlib
import json
import logging
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import ftfy
import regex
from django.conf import settings
from django.db import IntegrityError, connection, reset_queries, transaction
from django.utils import timezone
from ftfy.badness import is_bad

from generation import (
    gates,
    imported_instructions,
    jsonl,
    layouts,
    near_duplicates,
    personal_data,
    pool,
    provenance,
    rejected_samples,
    segmenting,
    storing,
    thresholds,
)
from generation.models import Import, ImportState
from generation.rejections import Reason, Rejected, RejectedRows, Tally, rejected_path
from xinstruct_site.people import varieties
from xinstruct_site.people.models import Event, EventKind, Language, User, VarietyKind

logger = logging.getLogger(__name__)

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
LOCK = 0x7869  # "xi": the space of our advisory locks
LOCK_SECONDS = 5  # PostgreSQL ends the statement of a killed process before it drops its locks
STORE_TRIES = 3

RECORD_FIELDS = [field.name for field in dataclasses.fields(provenance.Record)]

Columns = dict[str, Any]
Progress = Callable[[Tally], None]


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


def import_texts(
    sources: Iterable[jsonl.Source],
    *,
    language: Language,
    source: str,
    licence: str = "",
    layout: str = layouts.AUTO,
    is_whole: bool = False,
    started_by: User | None = None,
    on_progress: Progress | None = None,
) -> Import:
    """Read every row of the sources and store the texts that pass.

    Args:
        source: name of the dataset, for rows that do not name their own.
        licence: SPDX id, for rows that do not carry their own.
        layout: one of layouts.LAYOUTS; by itself it follows from the names of the files.
        is_whole: long pages are not cut into passages.
        on_progress: called after every batch, with the running tally.
    Returns:
        The finished import: counts, and where the rejected rows are.
    """
    sources = list(sources)
    reading = Reading(
        language_id=language.pk,
        code=language.code,
        script=language.script,
        source=source,
        licence=licence,
        layout=layout,
        chars_min=settings.TEXT_CHARS_MIN,
        chars_max=settings.TEXT_CHARS_MAX,
        passage_chars=0 if is_whole else min(settings.PASSAGE_CHARS, settings.TEXT_CHARS_MAX),
        robots=settings.ROBOTS,
        licences=tuple(settings.LICENCES),
        varieties=varieties.spellings(language),
    )
    close_abandoned(but_for=(key := _key(sources, reading)))
    with _opened(key, sources, reading, started_by) as (batch, rejected):
        tally = Tally.from_json(batch.counts)
        batches = jsonl.batched(layouts.read_lines(sources, layout), skip=batch.position["rows"])
        samples = rejected_samples.Sampling(batch)
        judge = functools.partial(judge_lines, reading=reading)
        for lines, judged in pool.in_order(judge, batches, settings.IMPORT_PROCESSES):
            _store(batch, lines, judged, tally, rejected, samples)
            if on_progress:
                on_progress(tally)
        rejected.finish()
    with transaction.atomic():
        batch.state, batch.finished_at = ImportState.DONE, timezone.now()
        batch.rejected_path = _relative(rejected)
        batch.save(update_fields=["state", "finished_at", "rejected_path"])
        counts = {"read": tally.read, "stored": tally.stored, "duplicate": tally.duplicate}
        Event.record(
            EventKind.TEXTS_IMPORTED,
            batch,
            actor=started_by,
            language=language,
            **counts,
            rejected=tally.rejected.total(),
        )
    logger.info(
        "import %s: %d read, %d stored, %d duplicate, %d rejected",
        batch.public_id, tally.read, tally.stored, tally.duplicate, tally.rejected.total(),
    )  # fmt: skip
    return batch


# Judging: no database, any process


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


# The row of an import


def close_abandoned(*, but_for: str = "") -> int:
    """Close imports whose process died: no row stays running, no file half written. They can still be gone on with."""
    closed = 0
    running = Import.objects.filter(state=ImportState.RUNNING)
    for batch in running.exclude(key=but_for) if but_for else running:
        if _lock(batch):
            try:
                closed += _cut_short(batch, RejectedRows(rejected_path(batch.public_id)))
            finally:
                _unlock(batch)
    return closed


@contextlib.contextmanager
def _opened(
    key: str, sources: Sequence[jsonl.Source], reading: Reading, started_by: User | None
) -> Iterator[tuple[Import, RejectedRows]]:
    """The import's row, and the file of what it rejects: those that were left, or new ones.

    The process holds a lock of its session on the row, which PostgreSQL drops when the process dies.
    """
    batch = next((left for left in _left(key) if _lock(left, seconds=LOCK_SECONDS)), None)
    if batch is None:
        batch = Import.objects.create(
            language_id=reading.language_id, source=reading.source, files=[each.name for each in sources],
            started_by=started_by, key=key, gates_version=thresholds.VERSION, state=ImportState.RUNNING,
            counts=Tally().as_json(), position={"rows": 0, "rejected_bytes": 0},
        )  # fmt: skip
        _lock(batch)
    else:
        Import.objects.filter(pk=batch.pk).update(state=ImportState.RUNNING, finished_at=None, rejected_path="")
        batch.refresh_from_db()
        logger.info("import %s goes on after %d rows", batch.public_id, batch.position["rows"])
    rejected = RejectedRows(rejected_path(batch.public_id))
    try:
        rejected.resume(batch.position["rejected_bytes"])
        yield batch, rejected
    except BaseException:  # Ctrl-C as well
        _cut_short(batch, rejected)
        raise
    finally:
        _unlock(batch)


def _key(sources: Sequence[jsonl.Source], reading: Reading) -> str:
    """What makes an import the same; empty where a source cannot be known again."""
    prints = [source.fingerprint() for source in sources]
    if not all(prints):
        return ""
    # Not how tags are spelled: the list may change between the parts of one import.
    how = dataclasses.asdict(dataclasses.replace(reading, varieties={}))
    asked = [prints, how, thresholds.VERSION, VERSIONS]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _left(key: str) -> Iterable[Import]:
    """Imports of the same files that did not come to their end."""
    if not key:
        return ()
    return Import.objects.filter(key=key, state__in=[ImportState.RUNNING, ImportState.CUT_SHORT]).order_by("-pk")


def _cut_short(batch: Import, rejected: RejectedRows) -> bool:
    """Close the row as the last commit left it. False where somebody was quicker."""
    rejected.close()
    batch.refresh_from_db()
    rejected.resume(batch.position["rejected_bytes"])
    rejected.finish()
    return bool(
        Import.objects.filter(pk=batch.pk, state=ImportState.RUNNING).update(
            state=ImportState.CUT_SHORT, finished_at=timezone.now(), rejected_path=_relative(rejected)
        )
    )


def _relative(rejected: RejectedRows) -> str:
    return str(rejected.path.relative_to(settings.DATA_DIR)) if rejected.path.exists() else ""


def _lock(batch: Import, *, seconds: float = 0) -> bool:
    """False where another process holds the import, and still does after so long."""
    deadline = time.monotonic() + seconds
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, batch.pk % 2**31])
            if cursor.fetchone()[0]:
                return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)


def _unlock(batch: Import) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, batch.pk % 2**31])


def _store(
    batch: Import,
    lines: Sequence[jsonl.Line],
    judged: Judged,
    tally: Tally,
    rejected: RejectedRows,
    samples: rejected_samples.Sampling,
) -> None:
    """Store one batch and say so on the import. Both or neither: a killed import tells truly how far it came."""
    for tries_left in reversed(range(STORE_TRIES)):
        try:
            with transaction.atomic():
                # Two imports of one language take turns; otherwise the same texts in another order could deadlock.
                Language.objects.select_for_update(no_key=True).get(pk=batch.language_id)
                stored = storing.store(batch, judged.passed)
                imported_instructions.keep(batch, judged.passed)
                _count(batch, lines, judged, stored, tally, rejected, samples)
            break
        except IntegrityError:  # a text came in by another way at this moment: look again
            if not tries_left:
                raise
    reset_queries()  # in debug Django keeps every statement, texts and all


def _count(
    batch: Import,
    lines: Sequence[jsonl.Line],
    judged: Judged,
    stored: storing.Stored,
    tally: Tally,
    rejected: RejectedRows,
    samples: rejected_samples.Sampling,
) -> None:
    tally.read += len(lines)
    tally.cut += len(judged.passed) + len(judged.rejected) - len(lines)
    tally.stored += len(stored.texts)
    tally.duplicate += stored.duplicates
    for number, no in sorted([*judged.rejected, *stored.turned_away], key=itemgetter(0)):
        tally.rejected[no.reason] += 1
        line = lines[number]
        said = no.passage.encode("utf-8", "surrogatepass") or line.raw
        if no.reason == Reason.TAKEN_DOWN:
            said = b""  # its words are not to be kept anywhere
        rejected.add(line.file, line.number, no, said)
        samples.offer(line.file, line.number, no, said)
    samples.keep()
    batch.counts = tally.as_json()
    batch.position = {"rows": batch.position["rows"] + len(lines), "rejected_bytes": rejected.size()}
    batch.save(update_fields=["counts", "position"])
