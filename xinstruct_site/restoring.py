"""Puts a backup back: the whole file is read before anything is touched, and the database changes as one."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from generation.models import ModelVersion
from xinstruct_site import embedded
from xinstruct_site.backing_up import (
    DUMP,
    FOLDERS,
    FORMAT,
    MANIFEST,
    MODELS,
    BackupError,
    Manifest,
    counts,
    libpq_env,
)

HEAD, PIECE = 1 << 12, 1 << 20  # bytes of the script read at once, first and then
OURS = {"people", "generation", "annotation"}
# Extensions stay: whoever owns the tables need not be allowed to make them.
EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT format('TABLE %s', oid::regclass) FROM pg_class
                 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                UNION ALL
                SELECT format('FUNCTION %s', oid::regprocedure) FROM pg_proc
                 WHERE pronamespace = 'public'::regnamespace
                   AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid
                                                           AND deptype = 'e')
    LOOP EXECUTE 'DROP ' || name || ' CASCADE'; END LOOP;
END $$;
"""


def read(path: Path) -> Manifest:
    """Read a backup to its end and hold every member against its hash.

    Raises:
        BackupError: it is no backup, not whole, damaged, or of a newer version.
    """
    found: dict[str, str] = {}
    manifest = None
    try:
        with tarfile.open(path, mode="r|") as archive:
            for member in archive:
                stream = cast("BufferedReader | None", archive.extractfile(member))
                if stream is None:
                    raise BackupError(f"{path} holds {member.name}, which is no file. It is not a backup of ours.")
                if member.name == MANIFEST:
                    manifest = _manifest(stream.read())
                else:
                    found[member.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    except (tarfile.TarError, EOFError) as exc:
        raise BackupError(f"{path} is not a whole backup ({exc}).") from exc
    if manifest is None:
        raise BackupError(f"{path} is not a whole backup: it has no {MANIFEST} at its end.")
    expected = {name: about["sha256"] for name, about in manifest.files.items()}
    if damaged := sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)):
        raise BackupError(f"{path} is damaged: {', '.join(damaged[:3])} is not what was written.")
    files = [name.split("/") for name in found if name != DUMP]
    if DUMP not in found or any(parts[0] not in FOLDERS or ".." in parts for parts in files):
        raise BackupError(f"{path} is not a backup of ours.")
    known = MigrationLoader(connection).disk_migrations.keys()
    if unknown := [name for name in manifest.migrations if tuple(name) not in known and name[0] in OURS]:
        raise BackupError(f"{path} is of a newer xinstruct (it has {'.'.join(unknown[-1])}). Update the code first.")
    return manifest


def _manifest(text: bytes) -> Manifest:
    try:
        manifest = Manifest(**json.loads(text))
    except (ValueError, TypeError) as exc:
        raise BackupError(f"{MANIFEST} cannot be read ({exc}).") from exc
    if manifest.format != FORMAT:
        raise BackupError(f"The backup has format {manifest.format}, and this version reads format {FORMAT}.")
    return manifest


def people_here() -> int:
    """How many people this installation knows: with one, there is something to lose."""
    if "people_user" not in connection.introspection.table_names():
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM people_user")
        return int(cursor.fetchone()[0])


def others_connected() -> int:
    """How many other sessions the database has: a web server or workers that would write into what goes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def restore(path: Path, manifest: Manifest) -> dict[str, int]:
    """Put back what `read` found whole. Returns how many rows came, by table, before migrations touch them.

    Files wait beside their places until the database has them, so that a refusal changes nothing.

    Raises:
        BackupError: PostgreSQL refused; everything is as it was.
    """
    data = Path(settings.DATA_DIR)
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data, prefix=".restoring-") as place:
        with tarfile.open(path, mode="r|") as archive:
            archive.extractall(place, filter="data")
        _load(Path(place) / DUMP)
        for folder in FOLDERS:
            _merge(Path(place) / folder, settings.MODELS_DIR if folder == MODELS else data / folder)
    came = counts()
    call_command("migrate", verbosity=0, interactive=False)
    ModelVersion.objects.moved(manifest.models_dir, str(Path(settings.MODELS_DIR).resolve()))
    return came


def _merge(source: Path, target: Path) -> None:
    """Move each file to its place. What lies there under the same name gives way; the rest stays."""
    for path in sorted(source.rglob("*")) if source.exists() else []:
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, place)


def _load(dump: Path) -> None:
    """Replace what the database holds by the dump, in one transaction."""
    connection.close()
    command = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
    with tempfile.TemporaryFile() as said:
        with _program(*command, stdin=subprocess.PIPE, stdout=said, stderr=said) as psql:
            sink = cast("IO[bytes]", psql.stdin)
            with suppress(BrokenPipeError):  # it has said why
                sink.write(f"BEGIN;{EMPTY}".encode())
                for piece in _script(dump):
                    sink.write(piece)
                sink.write(b"\nCOMMIT;\n")  # only here: a script that breaks off is rolled back
                sink.flush()
        if psql.returncode:
            raise BackupError(f"PostgreSQL refused, and nothing was changed: {_words(said)}")


def _script(dump: Path) -> Iterator[bytes]:
    """The dump as SQL.

    Raises:
        BackupError: it cannot be read.
    """
    command = ["pg_restore", "--no-owner", "--no-privileges", "--no-comments", "--file=-", str(dump)]
    with tempfile.TemporaryFile() as said:
        with _program(*command, stdout=subprocess.PIPE, stderr=said) as reader:
            source = cast("IO[bytes]", reader.stdout)
            # Its first lines name a setting that PostgreSQL has from 17 on.
            yield source.read(HEAD).replace(b"SET transaction_timeout = 0;\n", b"")
            while piece := source.read(PIECE):
                yield piece
        if reader.returncode:
            raise BackupError(f"The dump cannot be read, and nothing was changed: {_words(said)}")


def _program(name: str, *args: str, **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([str(embedded.postgres_bin() / name), *args], env=libpq_env(), **streams)


def _words(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode(errors="replace").strip()
