"""Writes releases to files: one format each, and a manifest about all files of the folder."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.utils.translation import gettext as _

from annotation.formats import FORMATS, Row, formats_of
from annotation.freezing import BATCH, OnProgress, ReleaseError, canonical, streamed
from generation.models import Release, ReleaseState
from xinstruct_site.people.models import Event, EventKind


@dataclass(frozen=True, slots=True)
class Exported:
    """Where an export lies; `changed` is False where the same files were there already."""

    data: Path
    manifest: Path
    rows: int
    changed: bool


def export_release(
    release: Release, format: str, out: Path, *, tag: bool | None = None, on_progress: OnProgress | None = None
) -> Exported:
    """Write one format of a ready release into a folder: NAME.FORMAT.jsonl, and manifest.json about all files there.

    The bytes follow from the release, the format and `tag` alone (None is the format's own habit).

    Raises:
        ReleaseError: not ready, an unknown format, rows that do not match the release's hash, or a folder that holds
            another release.
        OSError: the folder cannot be written.
    """
    if format not in FORMATS:
        raise ReleaseError(
            _("There is no format “%(format)s”; there are: %(known)s.")
            % {"format": format, "known": ", ".join(FORMATS)}
        )
    if release.state != ReleaseState.READY:
        raise ReleaseError(
            _("The release “%(name)s” cannot be exported: it is %(state)s.")
            % {"name": release.name, "state": release.get_state_display()}
        )
    if release.holds_ratings:
        raise ReleaseError(_("“%(name)s” holds ratings, and these formats hold pairs.") % {"name": release.name})
    if FORMATS[format].of_preferences != release.holds_preferences:
        fitting = ", ".join(formats_of(preferences=release.holds_preferences))
        raise ReleaseError(
            _("“%(format)s” does not fit what “%(name)s” holds; these do: %(fitting)s.")
            % {"format": format, "name": release.name, "fitting": fitting}
        )
    tag = FORMATS[format].is_tagged if tag is None else tag
    out.mkdir(parents=True, exist_ok=True)
    data, manifest = out / f"{release.name}.{format}.jsonl", out / "manifest.json"
    files = _files_of(manifest, release)
    licences: set[str] = set()
    hasher, size, rows = hashlib.sha256(), 0, 0
    with _replacing(data) as (file, was_changed), contextlib.closing(_verified_rows(release)) as frozen:
        for row in frozen:
            line = json.dumps(FORMATS[format].render(row, tag=tag), ensure_ascii=False).encode() + b"\n"
            file.write(line)
            hasher.update(line)
            licences.add(row["licence"])
            size, rows = size + len(line), rows + 1
            if on_progress and rows % BATCH == 0:
                on_progress(rows, sum(release.counts.values()))
    data_changed = was_changed()
    files[data.name] = {
        "format": format,
        "tag": "language" if tag else "none",
        "rows": rows,
        "bytes": size,
        "sha256": hasher.hexdigest(),
    }
    about = {
        "release": release.name,
        "id": release.public_id,
        "sha256": release.sha256,
        "created": release.ready_at.isoformat() if release.ready_at else None,
        "rows": rows,
        "counts": release.counts,
        "licences": sorted(licences),
        "query": release.query,
        "versions": release.versions,
        "files": dict(sorted(files.items())),
    }
    with _replacing(manifest) as (file, was_changed):
        file.write(json.dumps(about, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n")
    changed = was_changed() or data_changed
    if changed:
        Event.record(EventKind.RELEASE_EXPORTED, release, format=format, rows=rows)
    return Exported(data, manifest, rows, changed)


def _verified_rows(release: Release) -> Generator[Row, None, None]:
    """The frozen rows in order, checked against their hashes and the release's."""
    digest = hashlib.sha256()
    with streamed(release.rows.order_by("position")) as rows:
        for frozen in rows:
            line = canonical(frozen.row)
            if hashlib.sha256(line).hexdigest() != frozen.row_sha256:
                raise ReleaseError(
                    _("Row %(row)d of “%(name)s” is not what was released.")
                    % {"row": frozen.position, "name": release.name}
                )
            digest.update(line + b"\n")
            yield frozen.row
    if digest.hexdigest() != release.sha256:
        raise ReleaseError(_("The rows of “%(name)s” do not match its hash.") % {"name": release.name})


def _files_of(manifest: Path, release: Release) -> dict[str, Any]:
    """What a manifest in the folder says of other formats of the same release, as far as the files are there."""
    try:
        about = json.loads(manifest.read_bytes())
        named, sha256, files = about["release"], about["sha256"], dict(about["files"])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as exc:
        message = _("%(path)s is not a manifest of ours. Choose another folder.") % {"path": manifest}
        raise ReleaseError(message) from exc
    if (named, sha256) != (release.name, release.sha256):
        raise ReleaseError(
            _("%(folder)s holds the release “%(name)s”. Choose another folder.")
            % {"folder": manifest.parent, "name": named}
        )
    return {name: about for name, about in files.items() if (manifest.parent / Path(name).name).is_file()}


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[tuple[BinaryIO, Callable[[], bool]]]:
    """A file to write that takes its name only when it is whole and on the disk; the same bytes leave the old one be.

    Gives the file and, for after the block, a function that says whether the named file changed.
    """
    changed = False
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file, lambda: changed
            file.flush()
            os.fsync(file.fileno())
        if not _same_bytes(part, path):
            part.chmod(0o644 & ~_umask())
            part.replace(path)
            _fsync_folder(path.parent)
            changed = True
    finally:
        part.unlink(missing_ok=True)


def _same_bytes(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with open(one, "rb") as a, open(other, "rb") as b:
        return hashlib.file_digest(a, "sha256").digest() == hashlib.file_digest(b, "sha256").digest()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
