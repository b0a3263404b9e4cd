"""Takes a release in again from its files: those of a format that keeps whole rows, with manifest.json beside them.

What comes in hashes to what the manifest says, row for row, or nothing comes in.
"""

import contextlib
import csv
import hashlib
import heapq
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import DataError, transaction
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from annotation.exports import MANIFEST, sha256_of
from annotation.files import Row, canonical
from annotation.formats import FORMATS, Format
from annotation.freezing import NAME, NameTaken, OnProgress, ReleaseError
from annotation.rows import BATCH
from generation import blocklist
from generation.models import Release, ReleaseRow, ReleaseState, Split
from xinstruct_site.people.ids import ALPHABET, LENGTH
from xinstruct_site.people.models import Event, EventKind, Language

PUBLIC_ID = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")


def take_in(file: Path, name: str = "", on_progress: OnProgress | None = None) -> Release:
    """The ready release of a file, and of those of the same format beside it. Taken in twice it is one release.

    Raises:
        NameTaken: a release of that name (the manifest's, where none is given) says something else.
        ReleaseError: the files are not what the manifest says, or cannot be what this installation holds.
        OSError: they cannot be read.
    """
    try:
        about = json.loads((file.parent / MANIFEST).read_bytes())
        named, parts = name or str(about["release"]), _parts(about, file)
        standing = Release.objects.filter(name=named).first()
        if standing and standing.state == ReleaseState.READY and standing.sha256 == about["sha256"]:
            return standing
        if standing:
            raise NameTaken(_("There is a release “%(name)s” already. Choose another name.") % {"name": named})
        return _take_in(about, named, parts, on_progress)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error, DataError) as exc:
        raise ReleaseError(
            _("%(path)s and its manifest cannot be read: %(problem)s")
            % {"path": file, "problem": f"{type(exc).__name__}: {exc}"[:200]}
        ) from exc


def _parts(about: dict[str, Any], file: Path) -> dict[Path, dict[str, Any]]:
    """The files of the release in that file's format, each as the manifest says it is."""
    if file.name not in about["files"]:
        raise ReleaseError(_("The manifest beside %(path)s does not name it.") % {"path": file})
    format = about["files"][file.name]["format"]
    if format not in FORMATS or not FORMATS[format].is_lossless:
        lossless = ", ".join(name for name, each in FORMATS.items() if each.is_lossless)
        raise ReleaseError(
            _("“%(format)s” does not hold whole rows; these formats do: %(lossless)s.")
            % {"format": format, "lossless": lossless}
        )
    parts = {file.parent / Path(name).name: said for name, said in about["files"].items() if said["format"] == format}
    for path, said in parts.items():
        if not path.is_file() or sha256_of(path) != said["sha256"]:
            raise ReleaseError(_("%(path)s is not the file that the manifest speaks of.") % {"path": path})
    return parts


def _take_in(
    about: dict[str, Any], name: str, parts: dict[Path, dict[str, Any]], on_progress: OnProgress | None
) -> Release:
    if not NAME.fullmatch(name):
        raise ReleaseError(_("“%(name)s” cannot be a release's name.") % {"name": name})
    languages = {language.code: language for language in Language.objects.filter(code__in=list(about["counts"]))}
    if missing := ", ".join(sorted(about["counts"].keys() - languages)):
        raise ReleaseError(_("There is no language %(codes)s here. Add it first.") % {"codes": missing})
    with transaction.atomic(), contextlib.ExitStack() as open_files:
        blocklist.no_take_down_meanwhile()
        release = Release.objects.create(name=name, **_fields(about))
        release.languages.set(languages.values())
        rows = heapq.merge(*(_read(path, said, open_files) for path, said in parts.items()), key=_order)
        _write(release, rows, about, on_progress)
        release.state = ReleaseState.READY
        release.save()
        Event.record(EventKind.RELEASE_BUILT, release, rows=sum(release.counts.values()), taken_in=True)
    return release


def _fields(about: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of the release as a whole. Its id, too, where nobody has it here."""
    said = {field: about[field] for field in ("query", "versions", "version", "licence", "changelog")}
    id = str(about["id"])
    if PUBLIC_ID.fullmatch(id) and not Release.objects.filter(public_id=id).exists():
        said["public_id"] = id
    previous = about["previous"] and Release.objects.filter(sha256=about["previous"]["sha256"]).first()
    return said | {"previous": previous, "ready_at": parse_datetime(about["created"])}


def _read(path: Path, said: dict[str, Any], open_files: contextlib.ExitStack) -> Iterator[Row]:
    how: Format = FORMATS[said["format"]]
    assert how.file.read  # noqa: S101 - what keeps whole rows can be read
    return how.file.read(open_files.enter_context(path.open("rb")), said["columns"])


def _order(row: Row) -> tuple[str, str, str]:
    """In which rows stand in a release, so that its splits fall into place again."""
    return row["language"], row["text_sha256"], row.get("pair", "")


def _write(release: Release, rows: Iterator[Row], about: dict[str, Any], on_progress: OnProgress | None) -> None:
    digest, position = hashlib.sha256(), 0
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    while batch := list(islice(rows, BATCH)):
        lines = [canonical(row) for row in batch]
        hashes = [hashlib.sha256(line).hexdigest() for line in lines]
        blanked = ReleaseRow.objects.filter(row_sha256__in=hashes, blanked_at__isnull=False)
        if blocklist.refused([(row["text_sha256"], row.get("url", "")) for row in batch]) or blanked.exists():
            raise ReleaseError(_("The files hold what was taken down here."))
        ReleaseRow.objects.bulk_create(
            ReleaseRow(
                release=release, position=position + n, pair_public_id=row.get("pair") or row["item"],
                item_public_id=row["item"], split=Split(row.get("split", Split.TRAIN)), row=row,
                language_code=row["language"], text_sha256=row["text_sha256"],
                row_sha256=sha256,
            )
            for n, (row, sha256) in enumerate(zip(batch, hashes, strict=True))
        )  # fmt: skip
        for row, line in zip(batch, lines, strict=True):
            digest.update(line + b"\n")
            splits[row.get("split", "")][row["language"]] += 1
        position += len(batch)
        if on_progress:
            on_progress(position, about["rows"])
    if digest.hexdigest() != about["sha256"]:
        raise ReleaseError(_("The rows do not hash to what the manifest says, so nothing was taken in."))
    release.sha256 = digest.hexdigest()
    release.counts = dict(sorted(sum(splits.values(), Counter()).items()))
    release.splits = {split: dict(sorted(splits[split].items())) for split in Split} if "" not in splits else {}
