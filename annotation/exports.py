"""Writes releases to files: one format at a time, and documents and a manifest about all files of the folder."""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _
from zipstream import ZipStream

from annotation import documents
from annotation.facts import Facts
from annotation.files import FLAG, JSON, NUMBER, TEXT, Columns, Row, Write, canonical, columns_of
from annotation.formats import FORMATS, PAIR, TAGS, Format, formats_of
from annotation.freezing import OnProgress, ReleaseError
from annotation.rows import BATCH
from annotation.surveying import Survey
from generation.models import Release, ReleaseState
from xinstruct_site.people.models import Event, EventKind

MANIFEST = "manifest.json"
FIRST = (*PAIR, "language")  # among a table's columns
WRITE_BYTES = 1024 * 1024
PART = ".xinstruct-part"  # what a file is called while it is written
FROZEN = """
    COPY (SELECT position, row::text, row_sha256::text, split::text FROM generation_releaserow
           WHERE release_id = %d ORDER BY position) TO STDOUT (FORMAT binary)
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """Where an export lies; `changed` is False where the same files were there already."""

    files: tuple[Path, ...]
    manifest: Path
    rows: int
    drops: list[str]
    changed: bool


def export_release(
    release: Release, format: str, out: Path, *, tag: str | None = None, on_progress: OnProgress | None = None
) -> Exported:
    """Write one format of a ready release into a folder, a file for each split it has, and a manifest about all files.

    The bytes follow from the release, the format and `tag` alone (None is the format's own habit).

    Raises:
        ReleaseError: not ready, an unknown format, rows that do not match the release's hash, or a folder that holds
            another release.
        OSError: the folder cannot be written.
    """
    how = _demanded(release, format, tag)
    tag = tag or how.tag or TAGS[0]
    out.mkdir(parents=True, exist_ok=True)
    with _alone_in(out):
        files = _files_of(out, release)
        written, survey, columns, drops = _write(release, how, format, tag, out, on_progress)
        for file in written:
            files[file.path.name] = {
                "format": format,
                "tag": tag,
                "split": file.split,
                "rows": file.rows,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "columns": columns,
                "drops": drops,
            }
        texts = documents.written(Facts(release, survey, files))
        changed = [file.changed for file in written]
        for name, content in (*texts.items(), (MANIFEST, _manifest(release, survey, files, texts))):
            with _replacing(out / name) as file:
                file.stream.write(content)
            changed.append(file.changed)
    rows = sum(file.rows for file in written)
    if any(changed):
        Event.record(EventKind.RELEASE_EXPORTED, release, format=format, rows=rows)
    return Exported(tuple(file.path for file in written), out / MANIFEST, rows, drops, any(changed))


def standing(release: Release, format: str, out: Path, *, tag: str | None = None) -> Exported | None:
    """The files of a format where they lie there already, as the manifest says and not read again.

    Raises:
        ReleaseError: as `export_release` does.
    """
    how = _demanded(release, format, tag)
    wanted = (format, tag or how.tag or TAGS[0])
    files = {name: said for name, said in _files_of(out, release).items() if (said["format"], said["tag"]) == wanted}
    if not files:
        return None
    drops = next(iter(files.values()))["drops"]
    rows = sum(said["rows"] for said in files.values())
    return Exported(tuple(out / name for name in files), out / MANIFEST, rows, drops, changed=False)


def prepared_folder(release: Release, tag: str = "") -> Path:
    """Where files lie that were asked for from a page; by tag, where one was asked for."""
    folder = Path(settings.DATA_DIR) / "exports" / release.public_id
    return folder / tag if tag else folder


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One writer at a time, or two would each write a manifest without the other's files. What a killed one left
    half-written goes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for part in folder.glob(f".*{PART}"):
            part.unlink(missing_ok=True)
        yield
    finally:
        os.close(handle)


def _manifest(release: Release, survey: Survey, files: dict[str, Any], texts: dict[str, bytes]) -> bytes:
    """What the folder holds, each file with its hash, and the release as it can be taken in again."""
    previous = release.previous
    about = {
        "release": release.name,
        "id": release.public_id,
        "version": release.version,
        "previous": previous and {"release": previous.name, "version": previous.version, "sha256": previous.sha256},
        "sha256": release.sha256,
        "created": release.ready_at.isoformat() if release.ready_at else None,
        "licence": release.licence,
        "licences": dict(sorted(survey.by("licence").items())),
        "rows": survey.rows,
        "counts": release.counts,
        "splits": release.splits,
        "changelog": release.changelog,
        "query": release.query,
        "versions": release.versions,
        "files": dict(sorted(files.items())),
        "documents": {name: {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
                      for name, text in texts.items()},
    }  # fmt: skip
    return json.dumps(about, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n"


def _demanded(release: Release, format: str, tag: str | None) -> Format:
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
    fitting = formats_of(release)
    if format not in fitting:
        raise ReleaseError(
            _("“%(format)s” does not fit what “%(name)s” holds; these do: %(fitting)s.")
            % {"format": format, "name": release.name, "fitting": ", ".join(fitting)}
        )
    how = FORMATS[format]
    if tag and how.tag is None:
        raise ReleaseError(_("“%(format)s” asks in words of its own and takes no tag.") % {"format": format})
    return how


def _write(
    release: Release, how: Format, format: str, tag: str, out: Path, on_progress: OnProgress | None
) -> tuple[list["Replacement"], Survey, Columns, list[str]]:
    """Write the files of one format. Gives them, what the release is made of, what their columns hold, and which of
    the release's columns they drop."""
    survey, total = Survey(), sum(release.counts.values())
    columns = table_columns(release) if how.file.is_table else {}
    has_splits = sum(map(bool, release.splits.values())) > 1
    open_files: dict[tuple[str, str], tuple[Replacement, Write]] = {}
    row: Row = {}
    rendered: Row = {}
    with contextlib.ExitStack() as stack, contextlib.closing(verified_rows(release)) as frozen:
        for row, split in frozen:
            survey.add(row, split)
            key = (row["language"] if how.per_language else "", split if has_splits else "")
            if key not in open_files:
                file = stack.enter_context(_replacing(out / _name(release, format, *key), key[1]))
                open_files[key] = file, stack.enter_context(how.file.write(file.stream, columns))
            file, write = open_files[key]
            for rendered in how.render(row, tag):
                write(rendered)
                file.rows += 1
            if on_progress and survey.rows % BATCH == 0:
                on_progress(survey.rows, total)
        if not rendered:
            raise ReleaseError(_("“%(name)s” has no row for “%(format)s”.") % {"name": release.name, "format": format})
    written = [file for file, _write in open_files.values()]
    return written, survey, columns or columns_of(rendered), how.dropped(sorted(row))


def _name(release: Release, format: str, language: str, split: str) -> str:
    """Such as spring.alpaca.train.jsonl, spring.parquet; per language, as those of X-Instruction are: fi.json."""
    suffix = FORMATS[format].file.suffix
    parts = (language,) if language else (release.name, format if format != suffix else "")
    return ".".join(part for part in (*parts, split, suffix) if part)


def table_columns(release: Release) -> dict[str, str]:
    """What the columns of a release's rows hold, those first that people look for."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT key, count(*), array_agg(DISTINCT jsonb_typeof(value)),
                   bool_and(jsonb_typeof(value) = 'number' AND value::text ~ '^-?[0-9]{1,18}$')
              FROM generation_releaserow, jsonb_each(row) WHERE release_id = %s GROUP BY key
            """,
            [release.pk],
        )
        found = cursor.fetchall()
    total, simple = sum(release.counts.values()), {"string": TEXT, "boolean": FLAG}
    holds = {}
    for key, count, types, is_whole_number in found:
        is_plain = count == total and len(types) == 1
        holds[key] = NUMBER if is_plain and is_whole_number else simple.get(types[0], JSON) if is_plain else JSON
    return {key: holds[key] for key in (*FIRST, *sorted(holds.keys() - set(FIRST))) if key in holds}


def verified_rows(release: Release) -> Generator[tuple[Row, str], None, None]:
    """The frozen rows in order with their splits, checked against their hashes and the release's.

    Raises:
        ReleaseError: they are not what was released.
    """
    digest = hashlib.sha256()
    # COPY, because the server then makes the next rows while we work on these. Left early it is cancelled, which spoils
    # the transaction, so it has one of its own.
    with transaction.atomic(), connection.cursor() as cursor, cursor.copy(FROZEN % release.pk) as copy:
        copy.set_types(["int4", "bytea", "text", "text"])  # the parser reads bytes faster
        for position, said, sha256, split in copy.rows():
            row = orjson.loads(said)
            line = canonical(row)
            if hashlib.sha256(line).hexdigest() != sha256:
                raise ReleaseError(
                    _("Row %(row)d of “%(name)s” is not what was released.") % {"row": position, "name": release.name}
                )
            digest.update(line)
            digest.update(b"\n")
            yield row, split
    if digest.hexdigest() != release.sha256:
        raise ReleaseError(_("The rows of “%(name)s” do not match its hash.") % {"name": release.name})


def _files_of(folder: Path, release: Release) -> dict[str, Any]:
    """What a manifest in the folder says of other formats of the same release, as far as the files are there."""
    manifest = folder / MANIFEST
    try:
        about = json.loads(manifest.read_bytes())
        named, sha256, files = about["release"], about["sha256"], dict(about["files"])
    except FileNotFoundError:
        if theirs := next((name for name in documents.DOCUMENTS if (folder / name).exists()), ""):
            message = _("%(path)s is there already, and not ours. Choose another folder.") % {"path": folder / theirs}
            raise ReleaseError(message) from None
        return {}
    except (ValueError, KeyError, TypeError) as exc:
        message = _("%(path)s is not a manifest of ours. Choose another folder.") % {"path": manifest}
        raise ReleaseError(message) from exc
    if (named, sha256) != (release.name, release.sha256):
        raise ReleaseError(
            _("%(folder)s holds the release “%(name)s”. Choose another folder.") % {"folder": folder, "name": named}
        )
    return {name: about for name, about in files.items() if (folder / Path(name).name).is_file()}


def zipped(exported: Exported) -> ZipStream:
    """The files of one format with the documents and the manifest as one, read as they are sent. All are of one moment,
    however long the sending takes."""
    folder = exported.manifest.parent
    packed = ZipStream(sized=True)
    with _alone_in(folder):
        for path in (*exported.files, *map(folder.joinpath, documents.DOCUMENTS), exported.manifest):
            file = path.open("rb")  # who replaces it from now on leaves us this one
            packed.add(_chunks(file), path.name, size=os.fstat(file.fileno()).st_size)
    return packed


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(WRITE_BYTES):
            yield chunk


@dataclass(slots=True)
class Replacement:
    """A file that is being written. How large it is, its hash, and whether it changed are known when it is whole."""

    path: Path
    stream: BinaryIO
    split: str = ""
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    changed: bool = False


@contextlib.contextmanager
def _replacing(path: Path, split: str = "") -> Iterator[Replacement]:
    """A file to write that takes its name only when it is whole and on the disk. The same bytes leave the old be."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb", buffering=WRITE_BYTES) as stream:
            file = Replacement(path, stream, split)
            yield file
            stream.flush()
            os.fsync(stream.fileno())
        file.bytes, file.sha256 = part.stat().st_size, sha256_of(part)
        if not path.is_file() or sha256_of(path) != file.sha256:
            part.chmod(0o644 & ~_umask())
            part.replace(path)
            _fsync_folder(path.parent)
            file.changed = True
    finally:
        part.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
