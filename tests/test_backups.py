"""A backup put back elsewhere is the same installation; a bad one changes nothing."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings as site
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg.conninfo import make_conninfo

from tests.factories import make_items, make_language, make_model_version, make_user
from tests.processes import env_of_test
from xinstruct_site import restoring
from xinstruct_site.backing_up import DUMP, MANIFEST, BackupError, back_up
from xinstruct_site.people.models import User

ROOT = Path(site.BASE_DIR)
HARD = "Kääntäjä\u0301 👩‍👩‍👧 مہربانی\u200f <b>&amp;</b> \\N \t'\""


@pytest.fixture
def installation(transactional_db, settings, tmp_path):
    """People, items, and a trained model with its file."""
    settings.DATA_DIR, settings.MODELS_DIR = tmp_path / "here", tmp_path / "here" / "models"
    finnish = make_language("fi")
    make_items(finnish, 3)
    make_user("aino@example.org", finnish)
    User.objects.update(display_name=HARD)
    folder = settings.MODELS_DIR / "answers-fi-0123"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 10_000)
    (settings.MODELS_DIR / ".half").mkdir()
    (settings.MODELS_DIR / ".half" / "weights").write_bytes(b"not whole yet")
    make_model_version(location=str(folder), backend="hf", name="answers-fi")
    return finnish


@pytest.fixture
def elsewhere(transactional_db) -> Iterator[str]:
    """The address of another, empty database on the same server."""
    name = f"{connection.settings_dict['NAME']}_elsewhere"
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
        cursor.execute(f'CREATE DATABASE "{name}"')
    yield make_conninfo(env_of_test()["DATABASE_URL"], dbname=name)
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def manage(*args: str, database: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    env = env_of_test(DATABASE_URL=database, XI_DATA_DIR=str(data_dir))
    command = [sys.executable, "manage.py", *args]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def contents(address: str) -> dict[str, list[str]]:
    """Every row of every table of ours as text, sorted."""
    with psycopg.connect(address) as other:
        tables = other.execute("SELECT relname FROM pg_stat_user_tables ORDER BY 1").fetchall()
        return {
            name: [row for (row,) in other.execute(f'SELECT t::text FROM "{name}" AS t ORDER BY 1')]  # type: ignore[call-overload]
            for (name,) in tables
        }


def rewritten(source: Path, target: Path, change: dict[str, bytes]) -> Path:
    """A copy of a backup with other bytes in some members, and hashes as they were."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            stream = old.extractfile(member)
            assert stream is not None
            content = change.get(member.name, stream.read())
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return target


def test_what_is_put_back_elsewhere_is_the_same(installation, elsewhere, settings, tmp_path):
    file = tmp_path / "backup.tar"
    call_command("backup", str(file), stdout=io.StringIO())
    here = contents(env_of_test()["DATABASE_URL"])

    done = manage("restore", str(file), database=elsewhere, data_dir=tmp_path / "there")

    assert done.returncode == 0, done.stderr
    there = contents(elsewhere)
    old, new = str(settings.MODELS_DIR.resolve()), str((tmp_path / "there" / "models").resolve())
    here["generation_modelversion"] = [row.replace(old, new) for row in here["generation_modelversion"]]
    assert there == here
    with psycopg.connect(elsewhere) as other:
        assert other.execute("SELECT display_name FROM people_user").fetchall() == [(HARD,)]
    weights = Path("answers-fi-0123") / "model.safetensors"
    assert (Path(new) / weights).read_bytes() == (settings.MODELS_DIR / weights).read_bytes()
    assert [path.name for path in Path(new).iterdir()] == ["answers-fi-0123"]
    assert file.stat().st_mode & 0o077 == 0
    assert not [path for path in (*tmp_path.iterdir(), *(tmp_path / "there").iterdir()) if path.name.startswith(".")]


def test_what_is_there_is_thrown_away_on_demand_alone(installation, elsewhere, tmp_path):
    file = tmp_path / "backup.tar"
    back_up(file)
    there = tmp_path / "there"
    manage("restore", str(file), database=elsewhere, data_dir=there)
    with psycopg.connect(elsewhere) as other:
        other.execute("UPDATE people_user SET display_name = 'somebody else'")
        other.execute("CREATE TABLE of_a_newer_version (id int)")
    changed = contents(elsewhere)

    refused = manage("restore", str(file), database=elsewhere, data_dir=there)
    untouched = contents(elsewhere)
    replaced = manage("restore", str(file), "--replace", database=elsewhere, data_dir=there)

    assert (refused.returncode, replaced.returncode) == (2, 0), replaced.stderr
    assert "--replace" in refused.stderr
    assert untouched == changed
    after = contents(elsewhere)
    assert "of_a_newer_version" not in after
    assert not any("somebody else" in row for row in after["people_user"])


def test_a_dump_that_breaks_off_changes_nothing(installation, elsewhere, tmp_path):
    file = tmp_path / "backup.tar"
    manifest = back_up(file)
    there = tmp_path / "there"
    manage("restore", str(file), database=elsewhere, data_dir=there)
    before = contents(elsewhere)
    with tarfile.open(file) as archive:
        dump = archive.extractfile(DUMP)
        assert dump is not None
        whole = dump.read()
    broken = whole[: len(whole) // 2]
    manifest.files[DUMP] = {"sha256": hashlib.sha256(broken).hexdigest(), "bytes": len(broken)}
    told = json.dumps({name: getattr(manifest, name) for name in type(manifest).__slots__}).encode()
    half = rewritten(file, tmp_path / "half.tar", {DUMP: broken, MANIFEST: told})

    done = manage("restore", str(half), "--replace", database=elsewhere, data_dir=there)

    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert contents(elsewhere) == before


def test_nothing_is_put_back_under_others_who_work(installation, elsewhere, tmp_path):
    file = tmp_path / "backup.tar"
    back_up(file)

    with psycopg.connect(elsewhere):
        done = manage("restore", str(file), database=elsewhere, data_dir=tmp_path / "there")

    assert done.returncode == 1
    assert "Stop the web server and the workers first" in done.stderr
    assert not contents(elsewhere)


def test_a_bad_file_is_told_before_anything_is_touched(installation, tmp_path):
    file = tmp_path / "backup.tar"
    back_up(file)
    content = file.read_bytes()
    assert restoring.read(file).counts["items"] == 3
    short, flipped, text, newer = (tmp_path / name for name in ("short", "flipped", "text", "newer"))
    short.write_bytes(content[: len(content) // 2])
    rewritten(file, flipped, {"models/answers-fi-0123/model.safetensors": b"other weights"})
    text.write_text("not a tar at all")
    with tarfile.open(file) as archive:
        told = json.loads(archive.extractfile(MANIFEST).read())  # type: ignore[union-attr]
    told["migrations"].append(["annotation", "9999_from_the_future"])
    rewritten(file, newer, {MANIFEST: json.dumps(told).encode()})

    for path, words in (
        (short, "not a whole"),
        (flipped, "damaged"),
        (text, "not a whole"),
        (newer, "newer xinstruct"),
    ):
        with pytest.raises(BackupError, match=words):
            restoring.read(path)


def test_a_backup_never_writes_over_a_file_unasked_and_leaves_no_half_of_one(installation, settings, tmp_path):
    file = tmp_path / "backup.tar"
    file.write_text("dear")

    with pytest.raises(CommandError, match="--replace"):
        call_command("backup", str(file))
    (settings.MODELS_DIR / "answers-fi-0123" / "model.safetensors").unlink()
    (settings.MODELS_DIR / "answers-fi-0123" / "model.safetensors").symlink_to(tmp_path)  # a folder: no file to add
    call_command("backup", str(file), "--replace", "--without-models", stdout=io.StringIO())

    assert not restoring.read(file).with_models
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_upload_that_is_imported_meanwhile_ends_no_backup(installation, settings, tmp_path):
    upload = settings.DATA_DIR / "uploads" / "0123"
    upload.parent.mkdir()
    upload.write_text("{}")

    def imported(member: str, _size: int) -> None:
        if member == DUMP:
            upload.unlink()

    back_up(tmp_path / "backup.tar", on_member=imported)

    assert "uploads/0123" not in restoring.read(tmp_path / "backup.tar").files
