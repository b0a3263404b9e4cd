"""Backups: one tar file with the database and the files beside it that cannot be made again.

Its members are `database.dump` (pg_dump's custom format), what lies in FOLDERS of the data folder, and last
`manifest.json`, which names every other member with its hash: a file that broke off has none. Prepared exports are
left out, since a release renders the same bytes again, and so is the secret key: a stolen backup signs nobody in.
"""

import contextlib
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from xinstruct_site import embedded

DUMP, MANIFEST = "database.dump", "manifest.json"
MODELS = "models"
FOLDERS = (MODELS, "rejected", "uploads")
FORMAT = 1
COUNTED = (
    "people.User", "generation.Text", "generation.Candidate", "annotation.Item", "annotation.Review",
    "annotation.Pair", "annotation.Audit", "generation.Release",
)  # fmt: skip
LIBPQ = {
    "dbname": "PGDATABASE", "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
}  # fmt: skip


class BackupError(Exception):
    """A backup could not be written, read or put back. The message is for the operator."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. `files`: member → its sha256 and bytes; `counts`: table → rows."""

    made_at: str
    models_dir: str
    with_models: bool
    migrations: list[list[str]]
    counts: dict[str, int]
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    format: int = FORMAT


OnMember = Callable[[str, int], None]


def back_up(path: Path, *, with_models: bool = True, on_member: OnMember = lambda _name, _size: None) -> Manifest:
    """Write everything that cannot be made again to `path`, which has its name only once it is whole.

    People may go on working meanwhile: the dump and the counts are of one moment.

    Raises:
        BackupError: pg_dump failed, or a file changed under our hands.
        OSError: the place cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with contextlib.ExitStack() as stack:
        stack.callback(partial.unlink, missing_ok=True)
        dump = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=path.parent, prefix=".dump-"))) / DUMP
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT pg_export_snapshot()")
            [snapshot] = cursor.fetchone()
            manifest = Manifest(
                made_at=timezone.now().isoformat(timespec="seconds"),
                models_dir=str(Path(settings.MODELS_DIR).resolve()),
                with_models=with_models,
                migrations=sorted(map(list, MigrationRecorder(connection).applied_migrations())),
                counts=counts(),
            )
            run("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={dump}")
        # Readable by nobody else: it holds people's addresses.
        stream = stack.enter_context(os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"))
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, file in [(DUMP, dump), *_files(with_models=with_models)]:
                if name != DUMP and not file.exists():
                    continue  # an upload that was imported meanwhile
                manifest.files[name] = _add(archive, name, file)
                on_member(name, manifest.files[name]["bytes"])
            text = json.dumps(asdict(manifest), ensure_ascii=False, indent=1).encode()
            archive.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))
        stream.flush()
        os.fsync(stream.fileno())
        partial.rename(path)
    return manifest


def counts() -> dict[str, int]:
    models = map(apps.get_model, COUNTED)
    return {str(model._meta.verbose_name_plural): model._default_manager.count() for model in models}


def _files(*, with_models: bool) -> Iterator[tuple[str, Path]]:
    """Members and where they lie. What begins with a dot is not whole yet."""
    for folder in FOLDERS:
        top = settings.MODELS_DIR if folder == MODELS else Path(settings.DATA_DIR) / folder
        if folder == MODELS and not with_models:
            continue
        for path in sorted(top.rglob("*")):
            inside = path.relative_to(top)
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield f"{folder}/{inside.as_posix()}", path


def _add(archive: tarfile.TarFile, name: str, path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        hashing = Hashing(file)
        try:
            archive.addfile(_member(name, size), hashing)
        except OSError as exc:
            raise BackupError(f"{path} could not be read whole ({exc}). Try again.") from exc
    return {"sha256": hashing.sha256.hexdigest(), "bytes": size}


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(timezone.now().timestamp())
    return member


class Hashing(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(size)
        self.sha256.update(piece)
        return piece


def run(program: str, *args: str) -> None:
    """One of PostgreSQL's programs, on the database of the settings.

    Raises:
        BackupError: it failed; with what it said.
    """
    done = subprocess.run(
        [str(embedded.postgres_bin() / program), *args], env=libpq_env(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip()}")


def libpq_env() -> dict[str, str]:
    """The database's address as libpq reads it from the environment, where no list of processes shows a password."""
    found = connection.get_connection_params()
    return os.environ | {name: str(found[key]) for key, name in LIBPQ.items() if found.get(key)}
