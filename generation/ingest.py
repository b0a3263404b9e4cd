"""Texts in: from JSONL to rows of Text, normalised once, gated, without exact duplicates, and with their provenance.

An import may be killed and called again, and called twice: what is stored already counts as duplicate. The command
and the page that takes a file both call import_texts.
"""

import dataclasses
import functools
import hashlib
import logging
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

import ftfy
from django.conf import settings
from django.db import reset_queries, transaction
from django.utils import timezone

from generation import gates, jsonl, provenance
from generation.models import Import, Text
from generation.rejections import Reason, Rejected, Tally, rejected_rows
from xinstruct_site.people.models import Event, EventKind, Language, User

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
# Beyond this many times the longest body there is nothing that repair could bring back within the limit.
REPAIRABLE = 4

Progress = Callable[[Tally], None]


def import_texts(
    sources: Iterable[jsonl.Source],
    *,
    language: Language,
    source: str,
    licence: str = "",
    started_by: User | None = None,
    on_progress: Progress | None = None,
) -> Import:
    """Read every line of the sources and store the texts that pass.

    Args:
        source: name of the dataset, for rows that do not name their own.
        licence: SPDX id, for rows that do not carry their own.
        on_progress: called after every batch, with the running tally.
    Returns:
        The finished import: counts, and where the rejected rows are.
    """
    sources = list(sources)
    batch = Import.objects.create(
        language=language, source=source, files=[each.name for each in sources], started_by=started_by
    )
    tally = Tally()
    read_row = functools.partial(read_text, into=batch, licence=licence)
    with rejected_rows(batch.public_id) as rejected:
        for texts in jsonl.read_batches(sources, read_row, tally, rejected):
            _store(batch, texts, tally)
            if on_progress:
                on_progress(tally)
    with transaction.atomic():
        batch.counts = tally.as_json()
        batch.rejected_path = str(rejected.path.relative_to(settings.DATA_DIR)) if tally.rejected else ""
        batch.finished_at = timezone.now()
        batch.save(update_fields=["counts", "rejected_path", "finished_at"])
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


def read_text(row: dict[str, Any], *, into: Import, licence: str) -> Text:
    """The text that a row holds, not stored yet.

    Raises:
        Rejected: with the reason.
    """
    record = provenance.read_record(row)
    record.source_dataset = record.source_dataset or into.source
    record.licence_id = record.licence_id or licence
    if not record.licence_id:
        raise Rejected(Reason.NO_LICENCE)
    if len(record.original) > REPAIRABLE * settings.TEXT_CHARS_MAX:
        raise Rejected(Reason.TOO_LONG, f"{len(record.original)} characters")
    body = normalise(record.original)
    if record.pii_spans and body != record.original:
        # They count characters of the original.
        record.extra["pii_spans_of_original"], record.pii_spans = record.pii_spans, []

    if reason := gates.check_length(body, settings.TEXT_CHARS_MIN, settings.TEXT_CHARS_MAX):
        raise Rejected(reason, f"{len(body)} characters")
    script = into.language.script
    if reason := gates.check_script(body, script):
        raise Rejected(reason, f"{gates.script_share(body, script):.0%} of the letters are {script}")
    probabilities = gates.detect_language(body)
    lang_detected, lang_score = next(iter(probabilities.items()))
    if reason := gates.check_language(probabilities, into.language.code):
        raise Rejected(reason, f"{lang_detected} ({lang_score:.2f})")
    return Text(
        language=into.language,
        body=body,
        sha256=hashlib.sha256(body.encode()).hexdigest(),
        chars=len(body),
        normalisation=VERSIONS,
        lang_detected=lang_detected,
        lang_score=lang_score,
        script=script,
        imported_in=into,
        **{field.name: getattr(record, field.name) for field in dataclasses.fields(record)},
    )


def normalise(original: str) -> str:
    """The body of a text: damage repaired, NFC, no blank space around it."""
    return ftfy.fix_text(original, REPAIR).strip()


def _store(batch: Import, texts: list[Text], tally: Tally) -> None:
    """Store one batch and say so on the import. Both or neither: a killed import tells truly how far it came."""
    with transaction.atomic():
        # Two imports of one language take turns; otherwise the same texts in another order could deadlock.
        Language.objects.select_for_update(no_key=True).get(pk=batch.language_id)
        Text.objects.bulk_create(texts, ignore_conflicts=True)
        # ON CONFLICT DO NOTHING does not say which rows it left out: look which of our random ids are there.
        stored = Text.objects.filter(public_id__in=[text.public_id for text in texts]).count()
        tally.stored += stored
        tally.duplicate += len(texts) - stored
        Import.objects.filter(pk=batch.pk).update(counts=tally.as_json())
    reset_queries()  # in debug Django keeps every statement, texts and all
