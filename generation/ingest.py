"""Texts in: from rows to Text, normalised once, gated, without duplicates and near-duplicates, with their provenance.

Rows are judged on several cores and stored by one process, in order, so calling an import again after any death ends
at the same texts: the same files go on where they were left. The command and the page both call import_texts.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter

from django.conf import settings
from django.db import IntegrityError, connection, reset_queries, transaction
from django.utils import timezone

from generation import (
    admitting,
    imported_instructions,
    jsonl,
    layouts,
    pool,
    rejected_samples,
    storing,
    thresholds,
)
from generation.models import Import, ImportState
from generation.rejections import Reason, RejectedRows, Tally, rejected_path
from xinstruct_site.people import varieties
from xinstruct_site.people.models import Event, EventKind, Language, User

logger = logging.getLogger(__name__)

LOCK = 0x7869  # "xi": the space of our advisory locks
LOCK_SECONDS = 5  # PostgreSQL ends the statement of a killed process before it drops its locks
STORE_TRIES = 3

Progress = Callable[[Tally], None]


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
    reading = admitting.Reading(
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
        judge = functools.partial(admitting.judge_lines, reading=reading)
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
    key: str, sources: Sequence[jsonl.Source], reading: admitting.Reading, started_by: User | None
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


def _key(sources: Sequence[jsonl.Source], reading: admitting.Reading) -> str:
    """What makes an import the same; empty where a source cannot be known again."""
    prints = [source.fingerprint() for source in sources]
    if not all(prints):
        return ""
    # Not how tags are spelled: the list may change between the parts of one import.
    how = dataclasses.asdict(dataclasses.replace(reading, varieties={}))
    asked = [prints, how, thresholds.VERSION, admitting.VERSIONS]
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
    judged: admitting.Judged,
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
    judged: admitting.Judged,
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
