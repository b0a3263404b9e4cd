"""Freezes accepted pairs into releases.

A release is built in one transaction: it is there with all its rows and its hash, or it is not there. A candidate is
frozen in the same way, for people to audit; published, it is built anew of the items that it held. What a row says is
in rows.py, which pairs are asked for in filtering.py.
"""

import contextlib
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from itertools import islice
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import changes, crediting, filtering
from annotation.files import Row, canonical
from annotation.filtering import Filters
from annotation.models import Pair
from annotation.rows import BATCH, ROW_FORMAT, rows, sources_of
from annotation.splitting import Splitter
from generation import blocklist, licences
from generation.licences import Source
from generation.models import ModelVersion, Release, ReleaseRow, ReleaseState, Split
from xinstruct_site.people.models import Event, EventKind, Language, User

logger = logging.getLogger(__name__)

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.IGNORECASE)
COLUMNS = (
    "release_id", "position", "pair_public_id", "item_public_id", "split", "language_code", "text_sha256", "row",
    "row_sha256",
)  # fmt: skip
OnProgress = Callable[[int, int], None]
ALL_FOR_TRAINING = (1, 0, 0)
LISTED = 8  # licences that a refusal names


class ReleaseError(Exception):
    """A release cannot be built or exported. The message says why, for the person who asked."""


class NameTaken(ReleaseError):
    """A release of this name says something else, and releases do not change."""


class NothingToRelease(ReleaseError):
    """No accepted pair is what was asked for."""


class NoLicence(ReleaseError):
    """There is no licence under which all of it can be published."""


def build_release(
    name: str,
    languages: Iterable[Language],
    created_by: User | None = None,
    on_progress: OnProgress | None = None,
    *,
    filters: Filters | None = None,
    version: str = "",
    previous: Release | None = None,
    candidate: bool = False,
) -> Release:
    """Freeze the languages' accepted pairs under a name. The same name and content again is the release that stands.

    Args:
        filters: which of the pairs; all of them where nothing is said.
        version: empty: what follows from `previous` and what changed since.
        candidate: for audit; neither exported nor learnt from until it is published.
    Raises:
        NameTaken: the name's release has other languages or other content.
        NoLicence: nothing that all its rows could be published under.
        ReleaseError: nothing to release, or a name that cannot be a file's.
    """
    languages, filters = list(languages), filters or Filters()
    standing = Release.objects.filter(name=name).first()
    if standing is None or not (standing.state == ReleaseState.READY or standing.is_candidate):
        opened = open_release(
            name, languages, created_by, filters=filters, version=version, previous=previous, candidate=candidate
        )
        return freeze(opened, on_progress)
    if standing.is_candidate and not candidate:
        raise NameTaken(_("“%(name)s” is a candidate. Publish it, or choose another name.") % {"name": name})
    says_the_same = (
        standing.query == filters.as_query(languages)
        and version in {"", standing.version}
        and (previous is None or previous == standing.previous)
    )
    if not says_the_same or _content_hash(standing, languages, filters) != standing.sha256:
        raise NameTaken(
            _("The release “%(name)s” exists and is immutable, and the pairs differ now. Choose another name.")
            % {"name": name}
        )
    return standing


def open_release(
    name: str,
    languages: Iterable[Language],
    created_by: User | None = None,
    *,
    filters: Filters | None = None,
    version: str = "",
    previous: Release | None = None,
    candidate: bool = False,
) -> Release:
    """The row of a release that is to be frozen. One that failed, or was cut short, is taken up again."""
    languages = sorted(languages, key=lambda language: language.code)
    filters = filters or Filters()
    if not languages:
        raise ReleaseError(_("A release needs at least one language."))
    if not NAME.fullmatch(name):
        raise ReleaseError(
            _("“%(name)s” cannot be a release's name: letters, digits, “-”, “_” and “.” only, 100 at most.")
            % {"name": name}
        )
    if version:
        with _refusing():
            changes.parsed(version)
    if previous and (not previous.is_frozen or previous.is_candidate or previous.holds_ratings
                     or previous.holds_preferences != filters.preferences):  # fmt: skip
        raise ReleaseError(
            _("“%(name)s” cannot be followed: the previous release must be published and hold rows of the same kind.")
            % {"name": previous.name}
        )
    asked = {
        "state": ReleaseState.CANDIDATE if candidate else ReleaseState.BUILDING,
        "query": filters.as_query(languages),
        "version": version,
        "previous": previous,
    }
    with transaction.atomic():
        release, is_new = Release.objects.select_for_update(no_key=True, of=("self",)).get_or_create(
            name=name, defaults=asked | {"created_by": created_by}
        )
        if not is_new and release.state == ReleaseState.FAILED:
            for attribute, value in (asked | {"error": ""}).items():
                setattr(release, attribute, value)
            release.save(update_fields=[*asked, "error"])
        elif not is_new and not (
            release.is_going_on and all(getattr(release, attribute) == value for attribute, value in asked.items())
        ):
            raise NameTaken(_("There is a release “%(name)s” already. Choose another name.") % {"name": name})
        release.languages.set(languages)
    return release


def freeze(release: Release, on_progress: OnProgress | None = None) -> Release:
    """Write an open release's rows and make it ready, or a candidate open for audit. Safe to call again after being
    cut short, or at the same time.

    Raises:
        ReleaseError: nothing to release, or the release is not open. The reason is on the release's row, too.
    """
    try:
        with transaction.atomic():
            blocklist.no_take_down_meanwhile()
            release = Release.objects.select_for_update(no_key=True).get(pk=release.pk)
            if release.state == ReleaseState.READY or release.is_candidate:
                return release
            if not release.is_going_on:
                raise ReleaseError(_("The release “%(name)s” is not open for building.") % {"name": release.name})
            _write_rows(release, on_progress)
    except Exception as exc:
        message = str(exc) if isinstance(exc, ReleaseError) else f"{type(exc).__name__}: see the log"
        if release.fail(message):
            Event.record(EventKind.RELEASE_FAILED, release, actor=release.created_by)
        raise
    logger.info("release %s is %s: %d rows", release.pk, release.state, sum(release.counts.values()))
    return release


def _write_rows(release: Release, on_progress: OnProgress | None) -> None:
    filters = Filters.of_query(release.query)
    pairs = _pairs(list(release.languages.all()), filters)
    if release.sha256:  # published: nothing slips in that was not there to be audited
        held = ReleaseRow.objects.filter(release=release, item_public_id=OuterRef("item__public_id"))
        pairs = pairs.filter(Exists(held))
    _licence(_sources(pairs), filters.licence, pairs)  # what can be known now; contributors' terms are in the rows
    total, digest = pairs.count(), hashlib.sha256()
    about = _About()
    position = 0
    splitter = _splitter(pairs, filters, release.previous)
    with contextlib.closing(rows(pairs, splitter, with_rejected=filters.preferences)) as found:
        batch = list(islice(found, BATCH))
        release.rows.all().delete()  # a candidate's, which the open cursor still sees
        while batch:
            lines = [canonical(row) for row in batch]
            _copy(release, position, batch, lines)
            for row, line in zip(batch, lines, strict=True):
                digest.update(line + b"\n")
                about.add(row)
            position += len(batch)
            if on_progress:
                on_progress(position, total)
            batch = list(islice(found, BATCH))
    if not about.counts:
        raise NothingToRelease(_nothing(release, filters))
    release.licence = _licence(about.sources, filters.licence, pairs)
    if release.previous:
        release.changelog = changes.changelog(release.previous, release)
    release.version = _version(release)
    is_candidate = release.state == ReleaseState.CANDIDATE
    if not is_candidate:
        release.state, release.ready_at = ReleaseState.READY, timezone.now()
    release.sha256, release.counts = digest.hexdigest(), about.by_language()
    release.splits, release.versions = about.by_split(), about.versions()
    release.contributors = crediting.contributors(release)
    release.save(
        update_fields=[
            "state", "ready_at", "sha256", "counts", "splits", "versions", "licence", "changelog", "version",
            "contributors",
        ]
    )  # fmt: skip
    kind = EventKind.RELEASE_PROPOSED if is_candidate else EventKind.RELEASE_BUILT
    Event.record(kind, release, actor=release.created_by, rows=sum(about.counts.values()))


def _copy(release: Release, position: int, batch: list[Row], lines: list[bytes]) -> None:
    names = ", ".join(COLUMNS)
    with connection.cursor() as cursor, cursor.copy(f"COPY generation_releaserow ({names}) FROM STDIN") as copy:
        for place, (row, line) in enumerate(zip(batch, lines, strict=True), position):
            copy.write_row(
                (
                    release.pk, place, row["pair"], row["item"], row["split"], row["language"], row["text_sha256"],
                    line.decode(), hashlib.sha256(line).hexdigest(),
                )
            )  # fmt: skip


def _content_hash(standing: Release, languages: Iterable[Language], filters: Filters) -> str:
    """What a release of that query would hash to now."""
    digest, pairs = hashlib.sha256(), _pairs(languages, filters)
    splitter = _splitter(pairs, filters, standing.previous)
    for row in rows(pairs, splitter, with_rejected=filters.preferences):
        digest.update(canonical(row) + b"\n")
    return digest.hexdigest()


def _pairs(languages: Iterable[Language], filters: Filters) -> QuerySet[Pair]:
    return filtering.fitting(filtering.accepted(languages, filters), filters)


def _splitter(pairs: QuerySet[Pair], filters: Filters, previous: Release | None) -> Splitter:
    is_split = pairs.count() >= filters.split_from
    return Splitter(pairs, filters.shares if is_split else ALL_FOR_TRAINING, filters.seed, previous)


def _nothing(release: Release, filters: Filters) -> str:
    names = ", ".join(language.name for language in release.languages.all())
    if filters != Filters(preferences=filters.preferences):
        nothing = _("No accepted pair in %(languages)s is what was asked for.")
    elif filters.preferences:
        nothing = _("In %(languages)s no accepted pair was preferred to a draft yet.")
    else:
        nothing = _("There are no accepted pairs in %(languages)s yet.")
    return nothing % {"languages": names}


# Licence and version


def _sources(pairs: QuerySet[Pair]) -> Counter[Source]:
    found: Counter[Source] = Counter()
    for (text, model), number in filtering.licences_of(pairs).items():
        found[Source("text", text)] += number
        if model is not None:
            found[Source("model", model)] += number
    return found


def _licence(found: Counter[Source], wanted: str, pairs: QuerySet[Pair]) -> str:
    """What all of it can be published under: the licence that was asked for, or the one that asks least.

    Raises:
        NoLicence: with what stands against it, of how many pairs, and how to leave those out.
    """
    if not wanted and (least := licences.least(found)):
        return least
    nearest, against = (wanted, licences.clashes(found, wanted)) if wanted else licences.nearest(found)
    if not against:
        return nearest
    words = {
        "unknown": _("a licence that is not known here"),
        "no derivatives": _("no adaptations allowed"),
        "share-alike": _("to be shared under its own terms"),
        "non-commercial": _("not for commercial use"),
        "attribution": _("its author must be named"),
    }
    of = {"text": _("text"), "model": _("model"), "contributor": _("contributors’ agreement")}
    listed = "; ".join(
        f"{of[each.source.what]} “{each.source.licence[:60]}” ({words[each.why]}): {each.rows:,}"
        for each in against[:LISTED]
    )
    refusal = _(
        "There is no licence under which all of these pairs can be published. Under %(licence)s these cannot "
        "(with the number of pairs): %(listed)s. Ask for a release under %(licence)s (--license), which leaves "
        "such texts and drafts out, or for certain sources or licences of texts."
    ) % {"licence": nearest, "listed": listed}
    if models := _without_licence(pairs):
        refusal += " " + _(
            "Of these models no licence is known here: %(models)s. Whoever maintains all languages can read their "
            "terms and state on the model's page what they ask."
        ) % {"models": models}
    raise NoLicence(refusal)


def _without_licence(pairs: QuerySet[Pair]) -> str:
    """The models of unknown licence that drafted some of these pairs, each with the address of its page."""
    drafted = ModelVersion.objects.filter(pk__in=pairs.order_by().values("candidate__run__model_version"))
    return ", ".join(f"{one.name} (/models/{one.public_id}/)" for one in drafted if not one.has_known_licence)


def _version(release: Release) -> str:
    """The one that was asked for, or the one that what changed since the previous release asks for."""
    if not release.previous:
        return release.version or changes.FIRST
    is_new_format = release.previous.versions.get("row_format") != ROW_FORMAT
    with _refusing():
        least = changes.next_version(release.previous.version, release.changelog, is_new_format=is_new_format)
        if release.sha256:  # a candidate had its version before it was published
            return max(release.version, least, key=changes.parsed)
        return changes.demand_step(release.version, least) if release.version else least


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except changes.WrongVersion as exc:
        raise ReleaseError(str(exc)) from exc


@dataclass(slots=True)
class _About:
    """What is said of a release as a whole, gathered row by row."""

    counts: Counter[str] = field(default_factory=Counter)
    splits: dict[str, Counter[str]] = field(default_factory=lambda: {str(split): Counter() for split in Split})
    sources: Counter[Source] = field(default_factory=Counter)
    models: set[tuple[str, str, str]] = field(default_factory=set)
    prompts: set[str] = field(default_factory=set)
    policies: set[tuple[str, int]] = field(default_factory=set)

    def add(self, row: Row) -> None:
        self.counts[row["language"]] += 1
        self.splits[row["split"]][row["language"]] += 1
        self.sources.update(sources_of(row))
        self.policies.add((row["language"], row["policy_version"]))
        if row["model"]:
            self.models.add((row["model"]["name"], row["model"]["revision"], row["model"]["licence"]))
            self.prompts.add(row["prompt_version"])

    def by_language(self) -> dict[str, int]:
        return dict(sorted(self.counts.items()))

    def by_split(self) -> dict[str, dict[str, int]]:
        return {split: dict(sorted(counts.items())) for split, counts in self.splits.items()}

    def versions(self) -> dict[str, Any]:
        policies: dict[str, list[int]] = {}
        for code, version in sorted(self.policies):
            policies.setdefault(code, []).append(version)
        return {
            "xinstruct": _software_version(),
            "row_format": ROW_FORMAT,
            "models": [dict(zip(("name", "revision", "licence"), model, strict=True)) for model in sorted(self.models)],
            "prompts": sorted(self.prompts),
            "policies": policies,
        }


def _software_version() -> str:
    try:
        return metadata.version("xinstruct")
    except metadata.PackageNotFoundError:  # run from a checkout that was not installed
        return "unknown"
