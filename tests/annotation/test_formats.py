"""Files of releases: what each format's rows look like, in which files, and that spreadsheets run nothing."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from annotation import exports, files
from annotation.formats import FORMATS, PAIRS, formats_of
from generation import prompts
from generation.models import PREFERENCES
from generation.models.releases import GOLD
from tests.factories import make_release, released

pytestmark = pytest.mark.django_db

WORDS = "ylä\u2028ala\r\n\tsarkain \U0001f33e \u0646\u06cc\u0645\u200c\u0641 \"lainaus\", 'heitto'"
OF_RATINGS = {"kind": "ratings", "items": "decided"}


@pytest.fixture
def release(db):
    """Three Finnish rows, a train, a test and a train one, and one in Swahili for training."""
    rows = [
        released(instruction="=1+1", response=WORDS, input="-2"),
        released(model=None, variety="Savo"),
        released(response="'@SUM(A1)"),
        released("sw", instruction="Say what follows.", input="A list."),
    ]
    return make_release(*rows, splits=("train", "test", "train", "train"))


def exported(release, format, folder, **fields) -> dict[str, list[dict]]:
    """What each file of a format in lines or arrays holds."""
    done = exports.export_release(release, format, folder, **fields)
    return {
        path.name: json.loads(path.read_bytes())
        if path.suffix == ".json"
        else [json.loads(line) for line in path.read_bytes().splitlines()]
        for path in done.files
    }


def test_each_split_is_a_file_and_each_language_one_of_x_instructions(release, tmp_path):
    lines = exported(release, "alpaca", tmp_path)
    arrays = exported(release, "xinstruction", tmp_path)

    assert {name: len(rows) for name, rows in lines.items()} == {
        "spring.alpaca.train.jsonl": 3,
        "spring.alpaca.test.jsonl": 1,
    }
    assert {name: len(rows) for name, rows in arrays.items()} == {
        "fi.train.json": 2,
        "fi.test.json": 1,
        "sw.train.json": 1,
    }
    assert arrays["fi.train.json"][0] == {"instruction": "=1+1", "input": "-2", "output": WORDS}
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())["files"]
    assert manifest["fi.test.json"]["split"] == "test"
    assert manifest["fi.test.json"]["rows"] == 1
    assert {"url", "ratings", "language_name"} < set(manifest["fi.test.json"]["drops"])
    assert not {"instruction", "language"} & set(manifest["fi.test.json"]["drops"])


def test_turns_and_columns_of_the_formats_of_pairs(tmp_path):
    release = make_release(released("sw", instruction="Say what follows.", input="A list.", response="Ndizi."))
    asked = "Say what follows. Answer in Swahili.\n\nA list."

    rows = {format: exported(release, format, tmp_path)[f"spring.{format}.jsonl"] for format in ("sharegpt", "aya")}
    styled = exported(release, "sharegpt", tmp_path, tag="assistant")["spring.sharegpt.jsonl"]

    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": "Ndizi."}]
    assert rows["sharegpt"] == [{"conversations": turns}]
    assert styled[0]["conversations"][0]["value"] == (
        "Say what follows. Answer in Swahili and the style of an AI assistant.\n\nA list."
    )
    assert rows["aya"] == [
        {
            "inputs": "Say what follows.\n\nA list.",
            "targets": "Ndizi.",
            "language": "Swahili",
            "language_code": "sw",
            "annotation_type": "re-annotations",
            "user_id": "",
        }
    ]
    drafts = exported(release, "generator-sft", tmp_path)["spring.generator-sft.jsonl"]
    assert drafts == [
        {"prompt": prompts.draft_prompt("Ndizi."), "completion": "Say what follows.\n\n### Input:\nA list."}
    ]


def test_preferences_are_two_rows_of_kto_and_ratings_one_by_what_people_said(tmp_path):
    lost = {"instruction": "Write.", "input": "", "why": "edited"}
    wanted = make_release(released(rejected=lost, kind="preference"), query={"kind": PREFERENCES}, name="wanted")
    said = [released(kind="rating", ratings=[{"overall": level}] * 2) for level in (5, 1)]
    rated = make_release(*said, query=OF_RATINGS, name="rated")

    both = exported(wanted, "kto", tmp_path / "wanted")["wanted.kto.jsonl"]
    each = exported(rated, "kto", tmp_path / "rated")["rated.kto.jsonl"]
    levels = exported(rated, "evaluator-sft", tmp_path / "rated")["rated.evaluator-sft.jsonl"]

    assert [(row["completion"], row["label"]) for row in both] == [(both[0]["completion"], True), ("Write.", False)]
    assert both[0]["prompt"] == both[1]["prompt"]
    assert [row["label"] for row in each] == [True, False]
    assert [row["completion"] for row in levels] == ["5", "1"]
    assert said[0]["instruction"] in levels[0]["prompt"]


def test_gold_is_archived_and_never_made_into_training_data(tmp_path):
    gold = make_release(released(kind="rating"), query={"kind": "ratings", "items": GOLD})

    assert formats_of(gold) == ["rows", "parquet", "csv"]
    with pytest.raises(exports.ReleaseError, match="does not fit"):
        exports.export_release(gold, "evaluator-sft", tmp_path)


def test_a_format_without_a_row_writes_nothing_and_says_so(tmp_path):
    unrated = make_release(released(kind="rating", ratings=[]), query=OF_RATINGS)

    with pytest.raises(exports.ReleaseError, match="no row"):
        exports.export_release(unrated, "kto", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_tag_where_none_fits_is_refused(release, tmp_path):
    with pytest.raises(exports.ReleaseError, match="takes no tag"):
        exports.export_release(release, "parquet", tmp_path, tag="language")


def test_rows_of_a_release_without_splits_are_what_its_hash_is_over(tmp_path):
    release = make_release(released(), released("th"))

    done = exports.export_release(release, "rows", tmp_path)

    assert exports.sha256_of(done.files[0]) == release.sha256


def test_a_spreadsheet_runs_no_cell_and_reads_every_word(release, tmp_path):
    done = exports.export_release(release, "csv", tmp_path)
    cells = [
        cell
        for path in done.files
        for row in csv.reader(io.StringIO(path.read_bytes().decode(), newline=""))
        for cell in row
    ]

    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {"'=1+1", "'-2", "''@SUM(A1)", WORDS} < set(cells)


@given(st.text())
def test_the_guard_of_a_cell_can_be_undone(cell):
    assert files.unguarded(files.guarded(cell)) == cell
    assert not files.guarded(cell).startswith(files.FORMULA)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**53), 2**53)
            | st.text(st.characters(exclude_categories=["Cs"])),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_a_row_is_written_as_the_standard_library_would_write_it(row):
    expected = json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()

    assert files.canonical(row) == expected


def test_parquet_has_types_and_row_groups(release, tmp_path, monkeypatch):
    from pyarrow import parquet

    monkeypatch.setattr(files, "GROUP", 2)
    done = exports.export_release(release, "parquet", tmp_path)
    with parquet.ParquetFile(done.files[0]) as table:
        groups, types = table.num_row_groups, {field.name: str(field.type) for field in table.schema_arrow}

    assert groups == 2
    assert list(types)[:4] == ["instruction", "input", "response", "language"]
    assert (types["masked"], types["policy_version"], types["url"]) == ("bool", "int64", "string")


@pytest.mark.parametrize("format", [name for name, format in FORMATS.items() if PAIRS in format.kinds])
def test_the_same_release_gives_the_same_bytes(format, release, tmp_path):
    one = exports.export_release(release, format, tmp_path / "one")
    other = exports.export_release(release, format, tmp_path / "other")

    assert [path.read_bytes() for path in one.files] == [path.read_bytes() for path in other.files]
    assert one.manifest.read_bytes() == other.manifest.read_bytes()


def test_what_a_killed_export_left_half_written_is_cleared_away(release, tmp_path):
    (tmp_path / f".spring.alpaca.jsonl.x1{exports.PART}").write_bytes(b"half")
    (tmp_path / ".somebody.elses.part").write_bytes(b"theirs")

    exports.export_release(release, "alpaca", tmp_path)

    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [".somebody.elses.part"]


@pytest.mark.django_db(transaction=True)
def test_two_exports_into_one_folder_at_once_are_both_in_its_manifest(release, tmp_path):
    def export(format: str) -> None:
        try:
            exports.export_release(release, format, tmp_path)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(export, ("alpaca", "messages", "rows", "aya")))

    named = json.loads((tmp_path / "manifest.json").read_bytes())["files"]
    assert {said["format"] for said in named.values()} == {"alpaca", "messages", "rows", "aya"}
    assert set(named) < {path.name for path in tmp_path.iterdir()}
