"""Seed pairs in: instruction and response that people wrote or published, to train the first model of a language on.

As strict as texts are, and as safe to call twice. Seeds are stored as they are written.
"""

import functools
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import reset_queries, transaction

from generation import jsonl
from generation.models import SeedPair
from generation.rejections import Reason, Rejected, Tally, max_length, rejected_rows
from xinstruct_site.people.ids import new_public_id
from xinstruct_site.people.models import Event, EventKind, Language, User

logger = logging.getLogger(__name__)

NAMES = {
    "instruction": ("instruction",),
    "response": ("response",),
    "language": ("lang", "language"),
    "source": ("source",),
    "licence_id": ("license", "licence"),
    "kind": ("kind",),
}


@dataclass
class SeedImport:
    """What one call did. `rejected_path` is None where nothing was rejected."""

    tally: Tally = field(default_factory=Tally)
    stored_by_language: Counter[str] = field(default_factory=Counter)
    rejected_path: Path | None = None


def import_seeds(
    sources: Iterable[jsonl.Source],
    *,
    language: Language | None = None,
    source: str = "",
    licence: str = "",
    started_by: User | None = None,
    on_progress: Callable[[Tally], None] | None = None,
) -> SeedImport:
    """Read every line of the sources and store the pairs that pass. What the call names is for rows that do not say."""
    done = SeedImport()
    languages = {each.code.lower(): each for each in Language.objects.all()}
    defaults = {"language": language.code if language else "", "source": source, "licence_id": licence}
    read_row = functools.partial(read_seed, languages=languages, defaults=defaults)
    with rejected_rows(f"seeds-{new_public_id()}") as rejected:
        for seeds in jsonl.read_batches(sources, read_row, done.tally, rejected):
            _store(seeds, done)
            if on_progress:
                on_progress(done.tally)
    if done.tally.rejected:
        done.rejected_path = rejected.path
    for code, count in sorted(done.stored_by_language.items()):
        into = languages[code.lower()]
        Event.record(EventKind.SEEDS_IMPORTED, into, actor=started_by, language=into, stored=count)
    tally = done.tally
    logger.info(
        "seeds: %d read, %d stored, %d duplicate, %d rejected",
        tally.read, tally.stored, tally.duplicate, tally.rejected.total(),
    )  # fmt: skip
    return done


def read_seed(row: dict[str, Any], *, languages: dict[str, Language], defaults: dict[str, str]) -> SeedPair:
    """The seed pair that a row holds, not stored yet.

    Raises:
        Rejected: with the reason.
    """
    values: dict[str, str] = {}
    used: set[str] = set()
    for column, names in NAMES.items():
        name = next((name for name in names if row.get(name) is not None), None)
        value = row[name] if name else ""
        if not isinstance(value, str):
            raise Rejected(Reason.WRONG_TYPE, name or "")
        if name:
            used.add(name)
        values[column] = value if value.strip() else defaults.get(column, "")
    for column, reason in (
        ("instruction", Reason.NO_INSTRUCTION),
        ("response", Reason.NO_RESPONSE),
        ("language", Reason.NO_LANGUAGE),
        ("licence_id", Reason.NO_LICENCE),
    ):
        if not values[column]:
            raise Rejected(reason)
    for column in ("source", "licence_id", "kind"):
        if len(values[column]) > max_length(SeedPair, column):
            raise Rejected(Reason.FIELD_TOO_LONG, column)
    code = values.pop("language")
    if code.lower() not in languages:
        raise Rejected(Reason.UNKNOWN_LANGUAGE, code[:80])
    extra = {key: value for key, value in row.items() if key not in used}
    sha256 = digest(values["instruction"], values["response"])
    return SeedPair(language=languages[code.lower()], sha256=sha256, extra=extra, **values)


def digest(instruction: str, response: str) -> str:
    """What makes a seed pair the same one. NUL stands between: neither can hold it."""
    return hashlib.sha256(f"{instruction}\0{response}".encode()).hexdigest()


def _store(seeds: list[SeedPair], done: SeedImport) -> None:
    """Store one batch. Under the locks of its languages nobody else stores seeds, so the count is true."""
    with transaction.atomic():
        languages = {seed.language_id for seed in seeds}
        list(Language.objects.select_for_update(no_key=True).filter(pk__in=languages).order_by("pk"))
        known = set(
            SeedPair.objects.filter(sha256__in=[seed.sha256 for seed in seeds]).values_list("language_id", "sha256")
        )
        fresh = {(seed.language_id, seed.sha256): seed for seed in reversed(seeds)}  # of twins the first one stays
        new = [seed for key, seed in reversed(fresh.items()) if key not in known]
        SeedPair.objects.bulk_create(new)
    reset_queries()  # in debug Django keeps every statement
    done.tally.stored += len(new)
    done.tally.duplicate += len(seeds) - len(new)
    done.stored_by_language.update(seed.language.code for seed in new)
