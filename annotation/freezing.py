"""Freezes accepted pairs into releases.

A release is built in one transaction: it is there with all its rows and its hash, or it is not there. Its rows hold
nothing personal: no names, no ids of people, and ratings in an order that tells nothing of who gave them.
"""

import contextlib
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Collate
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.agreement import trimmed
from annotation.files import Row, canonical
from annotation.models import Pair, Review
from annotation.preferences import rejected_for
from generation import personal_data
from generation.models import PREFERENCES, Candidate, Release, ReleaseRow, ReleaseState
from xinstruct_site.people.models import Event, EventKind, Language, User

logger = logging.getLogger(__name__)

BATCH = 500
ROW_FORMAT = 2  # grows when a row's fields change
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.IGNORECASE)
OnProgress = Callable[[int, int], None]


class ReleaseError(Exception):
    """A release cannot be built or exported. The message says why, for the person who asked."""


class NameTaken(ReleaseError):
    """A release of this name says something else, and releases do not change."""


class NothingToRelease(ReleaseError):
    """The languages have no accepted pair."""


def build_release(
    name: str,
    languages: Iterable[Language],
    created_by: User | None = None,
    on_progress: OnProgress | None = None,
    *,
    preferences: bool = False,
) -> Release:
    """Freeze the languages' accepted pairs under a name. The same name and content again is the release that stands.

    With `preferences`, those pairs that people preferred to a draft, each with that draft.

    Raises:
        NameTaken: the name's release has other languages or other content.
        ReleaseError: nothing to release, or a name that cannot be a file's.
    """
    languages = list(languages)
    standing = Release.objects.filter(name=name, state=ReleaseState.READY).first()
    if standing is None:
        return freeze(open_release(name, languages, created_by, preferences=preferences), on_progress)
    if _content_hash(standing, _query(languages, preferences=preferences)) != standing.sha256:
        raise NameTaken(
            _("The release “%(name)s” exists and is immutable, and the pairs differ now. Choose another name.")
            % {"name": name}
        )
    return standing


def open_release(
    name: str, languages: Iterable[Language], created_by: User | None = None, *, preferences: bool = False
) -> Release:
    """The row of a release that is to be frozen. One that failed, or was cut short, is taken up again."""
    languages = sorted(languages, key=lambda language: language.code)
    if not languages:
        raise ReleaseError(_("A release needs at least one language."))
    if not NAME.fullmatch(name):
        raise ReleaseError(
            _("“%(name)s” cannot be a release's name: letters, digits, “-”, “_” and “.” only, 100 at most.")
            % {"name": name}
        )
    query = _query(languages, preferences=preferences)
    with transaction.atomic():
        release, is_new = Release.objects.select_for_update(no_key=True).get_or_create(
            name=name, defaults={"state": ReleaseState.BUILDING, "query": query, "created_by": created_by}
        )
        if not is_new and release.state == ReleaseState.FAILED:
            release.state, release.error, release.query = ReleaseState.BUILDING, "", query
            release.save(update_fields=["state", "error", "query"])
        elif not is_new and (release.state != ReleaseState.BUILDING or release.query != query):
            raise NameTaken(_("There is a release “%(name)s” already. Choose another name.") % {"name": name})
        release.languages.set(languages)
    return release


def freeze(release: Release, on_progress: OnProgress | None = None) -> Release:
    """Write an open release's rows and make it ready. Safe to call again after being cut short, or at the same time.

    Raises:
        ReleaseError: nothing to release, or the release is not open. The reason is on the release's row, too.
    """
    try:
        with transaction.atomic():
            release = Release.objects.select_for_update(no_key=True).get(pk=release.pk)
            if release.state == ReleaseState.READY:
                return release
            if release.state != ReleaseState.BUILDING:
                raise ReleaseError(_("The release “%(name)s” is not open for building.") % {"name": release.name})
            _write_rows(release, on_progress)
    except Exception as exc:
        message = str(exc) if isinstance(exc, ReleaseError) else f"{type(exc).__name__}: see the log"
        failed = Release.objects.filter(pk=release.pk, state=ReleaseState.BUILDING)
        if failed.update(state=ReleaseState.FAILED, error=message):
            Event.record(EventKind.RELEASE_FAILED, release, actor=release.created_by)
        raise
    logger.info("release %s is ready: %d rows", release.pk, sum(release.counts.values()))
    return release


def _write_rows(release: Release, on_progress: OnProgress | None) -> None:
    languages = list(release.languages.all())
    pairs = _pairs(languages)
    total, digest = pairs.count(), hashlib.sha256()
    about = _About()
    position = 0
    with contextlib.closing(_rows(pairs, with_rejected=release.holds_preferences)) as rows:
        while batch := list(islice(rows, BATCH)):
            lines = [canonical(row) for row in batch]
            ReleaseRow.objects.bulk_create(
                ReleaseRow(
                    release=release,
                    position=position + n,
                    pair_public_id=row["pair"],
                    language_code=row["language"],
                    text_sha256=row["text_sha256"],
                    row=row,
                    row_sha256=hashlib.sha256(line).hexdigest(),
                )
                for n, (row, line) in enumerate(zip(batch, lines, strict=True))
            )
            for row, line in zip(batch, lines, strict=True):
                digest.update(line + b"\n")
                about.add(row)
            position += len(batch)
            if on_progress:
                on_progress(position, total)
    if not about.counts:
        names = ", ".join(language.name for language in languages)
        if release.holds_preferences:
            nothing = _("In %(languages)s no accepted pair was preferred to a draft yet.")
        else:
            nothing = _("There are no accepted pairs in %(languages)s yet.")
        raise NothingToRelease(nothing % {"languages": names})
    release.state, release.ready_at = ReleaseState.READY, timezone.now()
    release.sha256, release.counts, release.versions = digest.hexdigest(), about.by_language(), about.versions()
    release.save(update_fields=["state", "ready_at", "sha256", "counts", "versions"])
    Event.record(EventKind.RELEASE_BUILT, release, actor=release.created_by, rows=sum(about.counts.values()))


def _content_hash(standing: Release, query: dict[str, Any]) -> str:
    """What a release of that query would hash to now; empty where the question itself is another one."""
    if standing.query != query:
        return ""
    digest = hashlib.sha256()
    for row in _rows(_pairs(standing.languages.all()), with_rejected=standing.holds_preferences):
        digest.update(canonical(row) + b"\n")
    return digest.hexdigest()


def _query(languages: Iterable[Language], *, preferences: bool = False) -> dict[str, Any]:
    codes = sorted(language.code for language in languages)
    query = {"languages": codes, "pairs": "accepted, current", "items": "normal"}
    return query | {"kind": PREFERENCES} if preferences else query


def _pairs(languages: Iterable[Language]) -> QuerySet[Pair]:
    """In an order that is the same in every database, whatever its collation."""
    return (
        Pair.objects.releasable()
        .filter(item__language__in=list(languages))
        .select_related("item__text", "item__language", "candidate__run__model_version")
        .order_by(Collate("item__language__code", "C"), Collate("item__text__sha256", "C"), Collate("public_id", "C"))
    )


def _rows(pairs: QuerySet[Pair], *, with_rejected: bool = False) -> Generator[Row, None, None]:
    """The canonical rows, a batch in memory at a time; of preferences, those of pairs that some draft lost to."""
    with streamed(pairs) as found:
        while batch := list(islice(found, BATCH)):
            reviews = Review.objects.in_bulk([review_id for pair in batch for review_id in pair.decided_by])
            by_id = {str(pk): review for pk, review in reviews.items()}
            rejected = rejected_for(batch) if with_rejected else {}
            for pair in batch:
                row = _row(pair, [by_id[pk] for pk in pair.decided_by if pk in by_id])
                if not with_rejected:
                    yield row
                elif pair.pk in rejected:
                    lost = rejected[pair.pk]
                    words = {"instruction": lost["instruction"], "input": lost["input"]}
                    lost |= personal_data.masked_in_all(words, pair.item.text, pair.item.language.code)
                    yield row | {"kind": "preference", "rejected": lost}


@contextlib.contextmanager
def streamed(rows: QuerySet[Any]) -> Iterator[Iterator[Any]]:
    """Rows from a cursor on the server. It is closed when the block ends, however it ends: one left to the garbage
    collector is closed after the rollback, and its error spoils whatever transaction is open then."""
    found = rows.iterator(chunk_size=BATCH)
    with contextlib.closing(found):  # type: ignore[type-var]
        yield found


def _row(pair: Pair, reviews: list[Review]) -> Row:
    text, language, candidate = pair.item.text, pair.item.language, pair.candidate
    run = candidate.run if candidate else None
    model = run.model_version if run else None
    ratings = sorted((r.rating_alignment, r.rating_instruction, r.rating_text, r.overall) for r in reviews)
    words = {"instruction": pair.instruction, "input": pair.input, "response": pair.response(), "title": text.title}
    clean = personal_data.masked_in_all(words, text, language.code)
    return {
        "instruction": clean["instruction"],
        "input": clean["input"],
        "response": clean["response"],
        "language": language.code,
        "language_name": language.name,
        "licence": text.licence_id,
        "source": text.source_dataset,
        "url": text.url,
        "title": clean["title"],
        "masked": clean != words,
        "text_sha256": text.sha256,
        "pair": pair.public_id,
        "item": pair.item.public_id,
        "origin": pair.origin,
        "policy_version": pair.policy_version,
        "ratings": [dict(zip(("alignment", "instruction", "text", "overall"), four, strict=True)) for four in ratings],
        "model": {"name": model.name, "revision": model.revision, "licence": model.licence_id} if model else None,
        "prompt_version": run.prompt_version if run else "",
        "run": run.public_id if run else "",
        # Whether a person's hand is in the instruction: they changed the draft or wrote their own.
        "edited": not candidate or _words(candidate) != _words(pair),
    }


def _words(said: Candidate | Pair) -> tuple[str, str]:
    return trimmed(said.instruction), trimmed(said.input)


@dataclass(slots=True)
class _About:
    """What is said of a release as a whole, gathered row by row."""

    counts: Counter[str] = field(default_factory=Counter)
    models: set[tuple[str, str]] = field(default_factory=set)
    prompts: set[str] = field(default_factory=set)
    policies: set[tuple[str, int]] = field(default_factory=set)

    def add(self, row: Row) -> None:
        self.counts[row["language"]] += 1
        self.policies.add((row["language"], row["policy_version"]))
        if row["model"]:
            self.models.add((row["model"]["name"], row["model"]["revision"]))
            self.prompts.add(row["prompt_version"])

    def by_language(self) -> dict[str, int]:
        return dict(sorted(self.counts.items()))

    def versions(self) -> dict[str, Any]:
        policies: dict[str, list[int]] = {}
        for code, version in sorted(self.policies):
            policies.setdefault(code, []).append(version)
        return {
            "xinstruct": _software_version(),
            "row_format": ROW_FORMAT,
            "models": [{"name": name, "revision": revision} for name, revision in sorted(self.models)],
            "prompts": sorted(self.prompts),
            "policies": policies,
        }


def _software_version() -> str:
    try:
        return metadata.version("xinstruct")
    except metadata.PackageNotFoundError:  # run from a checkout that was not installed
        return "unknown"
