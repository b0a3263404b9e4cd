"""Releases out and in again: the same hash, rows and bytes, or nothing."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from annotation import exports, freezing, queues, reviewing, taking_in
from annotation.filtering import Filters
from annotation.formats import FORMATS
from annotation.freezing import NameTaken, ReleaseError
from generation import blocklist
from generation.models import Release, ReleaseRow, TakeDownKind
from tests.factories import accepting, make_items, make_release, released

pytestmark = pytest.mark.django_db

LOSSLESS = [name for name, format in FORMATS.items() if format.is_lossless]
TYPED = "=HYPERLINK(1)\u2028\r\n\t\U0001f33e \u0646\u06cc\u0645\u200c\u0641 'a', \"b\"\n"


def in_order(*rows):
    return sorted(rows, key=lambda row: (row["language"], row["text_sha256"], row["pair"]))


@pytest.fixture
def release(db):
    rows = in_order(
        released(response=TYPED, instruction="'=1", split="train"),
        released(model=None, split="train", variety="Savo", ratings=[]),
        released(response="", split="test", number=-3),
        released("sw", split="train", lineage={"sampling": {"temperature": 0.7, "top_p": None}}),
        released("sw", split="validation"),
    )
    previous = make_release(released(), name="winter", version="1.0.0")
    return make_release(
        *rows,
        splits=tuple(row["split"] for row in rows),
        version="2.1.0",
        previous=previous,
        licence="CC-BY-4.0",
        query={"languages": ["fi", "sw"]},
        changelog={"added": {"sw": 2}, "withdrawn": {}},
    )


def forget(release) -> None:
    """As on another installation: the release is not there."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("releaserow", "release"):
            cursor.execute(f"ALTER TABLE generation_{table} DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM generation_releaserow WHERE release_id = %s", [release.pk])
        cursor.execute("DELETE FROM generation_release_languages WHERE release_id = %s", [release.pk])
        cursor.execute("DELETE FROM generation_release WHERE id = %s", [release.pk])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("releaserow", "release"):
            cursor.execute(f"ALTER TABLE generation_{table} ENABLE TRIGGER USER")


def bytes_in(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("format", LOSSLESS)
def test_out_in_and_out_again_is_the_same_to_the_byte(format, release, tmp_path):
    first = exports.export_release(release, format, tmp_path / "first")
    before = list(release.rows.values("position", "split", "row", "row_sha256", "item_public_id", "pair_public_id"))
    forget(release)

    again = taking_in.take_in(first.files[-1])
    exports.export_release(again, format, tmp_path / "second")

    assert len(first.files) == 3
    assert bytes_in(tmp_path / "first") == bytes_in(tmp_path / "second")
    assert list(again.rows.values(*before[0])) == before
    for field in ("sha256", "public_id", "version", "licence", "previous", "changelog", "counts", "splits", "query"):
        assert getattr(again, field) == getattr(release, field), field
    assert taking_in.take_in(first.files[0]) == again


def test_all_three_hold_the_same_release(release, tmp_path):
    files = [exports.export_release(release, format, tmp_path).files[0] for format in LOSSLESS]

    taken = [taking_in.take_in(file, f"copy-{n}") for n, file in enumerate(files)]

    assert {each.sha256 for each in taken} == {release.sha256}
    assert len({each.public_id for each in [release, *taken]}) == 4


def spoil_a_byte(folder, files):
    files[0].write_bytes(files[0].read_bytes().replace(b"market", b"marked"))


def spoil_with_its_hash(folder, files):
    spoil_a_byte(folder, files)
    about = json.loads((folder / "manifest.json").read_bytes())
    about["files"][files[0].name]["sha256"] = exports.sha256_of(files[0])
    (folder / "manifest.json").write_text(json.dumps(about))


def lose_a_split(folder, files):
    files[1].unlink()


def break_the_manifest(folder, files):
    (folder / "manifest.json").write_text('{"files": []}')


def break_the_rows(folder, files):
    files[0].write_bytes(b'["no row"]\n{')
    spoil_with_its_hash(folder, files)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_a_byte, "not the file"),
        (spoil_with_its_hash, "do not hash"),
        (lose_a_split, "not the file"),
        (break_the_manifest, "does not name it"),
        (break_the_rows, "cannot be read"),
    ],
)
def test_files_that_differ_from_the_manifest_are_not_taken_in(spoil, message, release, tmp_path):
    done = exports.export_release(release, "rows", tmp_path)
    spoil(tmp_path, done.files)
    rows = ReleaseRow.objects.count()

    with pytest.raises(ReleaseError, match=message):
        taking_in.take_in(done.files[0], "copy")
    assert not Release.objects.filter(name="copy").exists()
    assert ReleaseRow.objects.count() == rows


def test_a_name_that_says_something_else_is_not_taken_over(release, tmp_path):
    done = exports.export_release(release, "rows", tmp_path)

    with pytest.raises(NameTaken):
        taking_in.take_in(done.files[0], "winter")


@pytest.mark.parametrize("kind", ["text", "domain", "contributor"])
def test_what_was_taken_down_does_not_come_back(kind, tmp_path):
    row = released(url="https://www.lehti.example/uutinen")
    done = exports.export_release(make_release(row), "rows", tmp_path)
    if kind == "contributor":  # whose rows are blanked in each release that has them
        Release.objects.get().withdraw("asked")
        ReleaseRow.objects.update(row={}, blanked_at=timezone.now())
    else:
        blocklist.block(TakeDownKind(kind), row["text_sha256"] if kind == "text" else "lehti.example")

    with pytest.raises(ReleaseError, match="taken down"):
        taking_in.take_in(done.files[0], "copy")
    assert not Release.objects.filter(name="copy").exists()


def test_the_id_of_a_forged_manifest_leads_out_of_no_folder(release, tmp_path):
    done = exports.export_release(release, "rows", tmp_path)
    about = json.loads(done.manifest.read_bytes())
    done.manifest.write_text(json.dumps(about | {"id": "../../../etc"}))

    assert taking_in.PUBLIC_ID.fullmatch(taking_in.take_in(done.files[0], "copy").public_id)


def test_the_command_says_what_came_in_and_what_does_not(release, tmp_path):
    out = StringIO()
    rows = exports.export_release(release, "rows", tmp_path)
    lossy = exports.export_release(release, "alpaca", tmp_path)

    call_command("import_release", rows.files[0], name="copy", stdout=out)
    with pytest.raises(CommandError, match="rows, parquet, csv"):
        call_command("import_release", lossy.files[0])
    with pytest.raises(CommandError, match="Cannot read"):
        call_command("import_release", tmp_path / "nowhere" / "x.jsonl")

    assert "copy 2.1.0 is ready" in out.getvalue()
    assert release.sha256 in out.getvalue()


def test_what_was_really_frozen_in_several_splits_comes_in_again(aino, finnish, tmp_path):
    finnish.overlap = finnish.quorum = 1
    finnish.save()
    for item in make_items(finnish, 12):
        queues.claim_next(aino, finnish)
        reviewing.submit(aino, item, accepting("Kuvaile toria.", candidate=item.candidates()[0]))
    release = freezing.build_release("real", [finnish], filters=Filters(split_from=0, shares=(1, 1, 1)))

    for format in LOSSLESS:
        done = exports.export_release(release, format, tmp_path)
        copy = taking_in.take_in(done.files[0], f"copy-{format}")
        assert len(done.files) > 1
        assert (copy.sha256, copy.splits) == (release.sha256, release.splits)
