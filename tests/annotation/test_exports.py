"""Releases: what is frozen, that it stays frozen, and files that trainers read as they stand."""

import hashlib
import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from annotation import exports, freezing, jobs, queues, reviewing, rows
from annotation.documents import DOCUMENTS
from annotation.formats import FORMATS, PAIRS
from annotation.freezing import NameTaken, NothingToRelease, ReleaseError
from annotation.models import Item, Pair, PairState, Review
from generation.models import Release, ReleaseRow, ReleaseState
from tests.factories import accepting, make_items, make_language, make_text, make_user, rejecting
from xinstruct_site.people.models import Event, EventKind

pytestmark = pytest.mark.django_db

OF_PAIRS = [name for name, format in FORMATS.items() if PAIRS in format.kinds]
IN_LINES = [name for name in OF_PAIRS if FORMATS[name].file.suffix == "jsonl"]
LINES = "first line\u2028second\r\nthird \U0001f33e \u0646\u06cc\u0645\u200c\u0641\u0627\u0635\u0644\u0647"


def accept(user, item: Item, instruction: str | None = None, **fields) -> Pair:
    queues.claim_next(user, item.language)
    candidate = item.candidates()[0]
    words = instruction if instruction is not None else candidate.instruction
    reviewing.submit(user, item, accepting(words, candidate=candidate, **fields))
    return Pair.objects.current().get(item=item)


@pytest.fixture
def swahili(db):
    return make_language("sw", overlap=1, quorum=1)


@pytest.fixture
def pairs(aino, finnish, swahili) -> list[Pair]:
    """Three pairs in two languages."""
    juma = make_user("juma@example.org", swahili)
    made = [accept(aino, item) for item in make_items(finnish, 2)]
    item = make_items(swahili, texts=[make_text(swahili, LINES, licence_id="CC-BY-4.0")])[0]
    return [*made, accept(juma, item, "Say what follows.", input="A list.", rating_text=5)]


@pytest.fixture
def release(pairs, finnish, swahili) -> Release:
    return freezing.build_release("spring", [swahili, finnish])


def files_in(folder) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())}


# Building


def test_release_holds_the_accepted_pairs_in_a_fixed_order(release, pairs):
    rows = list(release.rows.all())

    assert release.state == ReleaseState.READY
    assert release.counts == {"fi": 2, "sw": 1}
    assert {row.pair_public_id for row in rows} == {pair.public_id for pair in pairs}
    keys = [(row.language_code, row.text_sha256, row.pair_public_id) for row in rows]
    assert keys == sorted(keys)
    assert [row.position for row in rows] == [0, 1, 2]


def test_hash_is_over_the_canonical_rows(release):
    lines = [
        json.dumps(row.row, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        for row in release.rows.all()
    ]

    assert [row.row_sha256 for row in release.rows.all()] == [hashlib.sha256(line).hexdigest() for line in lines]
    assert release.sha256 == hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()


def test_personal_data_is_masked_in_what_leaves(aino, finnish):
    body = "Tori on auki. Kysy: liisa.virtanen@posti.fi tai 040 123 4567. " * 2
    item = make_items(finnish, texts=[make_text(finnish, body, title="Liisa, liisa.virtanen@posti.fi")])[0]
    accept(aino, item, "Write a notice with liisa.virtanen@posti.fi in it.")

    row = freezing.build_release("masked", [finnish]).rows.get().row

    assert row["masked"]
    assert row["instruction"] == "Write a notice with name@example.org in it."
    assert row["response"] == "Tori on auki. Kysy: name@example.org tai [phone number]. " * 2
    assert "virtanen" not in json.dumps(row)


def test_row_says_where_each_part_comes_from_and_nothing_of_people(release, pairs, aino):
    row = release.rows.last().row
    pair, candidate = pairs[2], pairs[2].candidate
    lineage = row.pop("lineage")

    assert row == {
        "instruction": "Say what follows.",
        "input": "A list.",
        "response": LINES,
        "language": "sw",
        "language_name": "Swahili",
        "licence": "CC-BY-4.0",
        "source": "tests",
        "url": "",
        "title": pair.item.text.title,
        "text_sha256": pair.item.text.sha256,
        "pair": pair.public_id,
        "item": pair.item.public_id,
        "origin": "web",
        "policy_version": 1,
        "ratings": [{"alignment": 4, "instruction": 4, "text": 5, "overall": 4}],
        "model": {
            "name": candidate.run.model_version.name,
            "revision": candidate.run.model_version.revision,
            "licence": "Apache-2.0",
        },
        "prompt_version": "base-1",
        "run": candidate.run.public_id,
        "masked": False,
        "edited": True,
        "licences": {"text": "CC-BY-4.0", "model": "Apache-2.0", "contributors": ["CC0-1.0"]},
        "split": release.rows.last().split,
        "split_group": pair.item.text.sha256,
    }
    text, draft, [review] = lineage["text"], lineage["draft"], lineage["reviews"]
    assert (text["import"], text["sha256"]) == (pair.item.text.imported_in.public_id, pair.item.text.sha256)
    assert (draft["instruction"], draft["run"]) == (candidate.instruction, candidate.run.public_id)
    assert (draft["revision"], draft["seed"]) == (candidate.run.model_version.revision, 0)
    assert (review["decision"], review["instruction"], review["edited"]) == ("accept", "Say what follows.", True)
    assert lineage["audit"] == []
    assert not release.rows.first().row["edited"]
    everything = json.dumps(list(release.rows.values()), default=str)
    reviews = Review.objects.all()
    for private in [aino.email, aino.public_id, *(str(review.pk) for review in reviews)]:
        assert private not in everything


def test_only_accepted_current_pairs_of_standing_texts_are_released(aino, finnish):
    kept, disputed, withdrawn, rejected = make_items(finnish, 4)
    accept(aino, kept)
    Pair.objects.filter(pk=accept(aino, disputed).pk).update(state=PairState.DISPUTED)
    accept(aino, withdrawn)
    withdrawn.text.withdrawn_at = timezone.now()
    withdrawn.text.save()
    queues.claim_next(aino, finnish)
    reviewing.submit(aino, rejected, rejecting())
    release = freezing.build_release("one", [finnish])

    assert [row.row["item"] for row in release.rows.all()] == [kept.public_id]


def test_ratings_stand_in_an_order_that_tells_nothing(urdu, zara):
    item = make_items(urdu)[0]
    accept_fields = {"candidate": item.candidates()[0]}
    for user, overall in ((zara, 5), (make_user(language=urdu), 4)):
        queues.claim_next(user, urdu)
        reviewing.submit(user, item, accepting("Same.", overall=overall, **accept_fields))
    row = freezing.build_release("u", [urdu]).rows.get().row

    assert [ratings["overall"] for ratings in row["ratings"]] == [4, 5]


def test_own_wording_names_no_model(aino, finnish):
    item = make_items(finnish)[0]
    queues.claim_next(aino, finnish)
    reviewing.submit(aino, item, accepting("My own words."))
    row = freezing.build_release("own", [finnish]).rows.get().row

    assert (row["model"], row["prompt_version"], row["run"], row["edited"]) == (None, "", "", True)


def test_building_again_changes_nothing(release, finnish, swahili):
    before = (release.sha256, release.ready_at, list(release.rows.values_list("pk", flat=True)))
    again = freezing.build_release("spring", [finnish, swahili])

    assert (again.sha256, again.ready_at, list(again.rows.values_list("pk", flat=True))) == before
    assert Event.objects.filter(kind=EventKind.RELEASE_BUILT).count() == 1


@pytest.mark.parametrize("difference", ["a new pair", "other languages"])
def test_other_content_under_the_same_name_is_refused(difference, release, aino, finnish, swahili):
    languages = [finnish, swahili]
    if difference == "a new pair":
        accept(aino, make_items(finnish)[0])
    else:
        languages = [finnish]

    with pytest.raises(NameTaken, match="spring"):
        freezing.build_release("spring", languages)
    assert release.rows.count() == 3


def test_empty_release_fails_with_a_reason_and_its_name_can_be_used_later(aino, finnish):
    with pytest.raises(NothingToRelease, match="Finnish"):
        freezing.build_release("early", [finnish])
    failed = Release.objects.get()
    assert (failed.state, failed.rows.count()) == (ReleaseState.FAILED, 0)
    assert "Finnish" in failed.error

    accept(aino, make_items(finnish)[0])
    assert freezing.build_release("early", [finnish]).state == ReleaseState.READY


@pytest.mark.parametrize("name", ["", "../up", "a b", ".hidden", "x" * 101, "nimi\n"])
def test_name_that_cannot_be_a_files_is_refused(name, finnish):
    with pytest.raises(ReleaseError, match="name"):
        freezing.build_release(name, [finnish])
    assert not Release.objects.exists()


def test_error_in_the_middle_leaves_no_rows_and_says_so(pairs, finnish, swahili, monkeypatch):
    monkeypatch.setattr(freezing, "BATCH", 1)
    monkeypatch.setattr(rows, "BATCH", 1)
    real = rows.row_of

    def fail_at_the_last(pair, *said):
        if pair == pairs[2]:
            raise RuntimeError("the disk of somebody's secret.txt")
        return real(pair, *said)

    monkeypatch.setattr(rows, "row_of", fail_at_the_last)
    with pytest.raises(RuntimeError):
        freezing.build_release("broken", [finnish, swahili])
    failed = Release.objects.get()

    assert (failed.state, failed.error) == (ReleaseState.FAILED, "RuntimeError: see the log")
    assert not ReleaseRow.objects.exists()


def test_freezing_that_was_cut_short_is_taken_up_again(pairs, finnish):
    opened = freezing.open_release("night", [finnish])  # and the worker dies here

    assert freezing.open_release("night", [finnish]) == opened
    jobs.build_release(opened.pk)
    jobs.build_release(opened.pk)
    opened.refresh_from_db()
    assert opened.state == ReleaseState.READY
    assert opened.rows.count() == 2
    with pytest.raises(NameTaken):
        freezing.open_release("night", [finnish])


def test_job_of_an_empty_or_vanished_release_ends_quietly(finnish):
    opened = freezing.open_release("none", [finnish])
    jobs.build_release(opened.pk)
    jobs.build_release(opened.pk + 1)
    opened.refresh_from_db()

    assert opened.state == ReleaseState.FAILED


def test_release_waiting_without_a_job_is_queued_again(pairs, finnish, queue_is_empty):
    from generation.queueing import is_waiting

    opened = freezing.open_release("lost", [finnish])

    assert not is_waiting(opened)
    assert jobs.ring_again() == 1


# Immutable


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE generation_release SET sha256 = 'x'",
        "UPDATE generation_release SET counts = '{}'",
        "UPDATE generation_release SET state = 'building'",
        "UPDATE generation_release SET name = 'other', state = 'withdrawn'",
        "DELETE FROM generation_release",
        "UPDATE generation_releaserow SET row = '{}'",
        "UPDATE generation_releaserow SET row = '{}', blanked_at = now()",
        "UPDATE generation_releaserow SET split = 'test'",
        "UPDATE generation_releaserow SET position = position + 10",
        "DELETE FROM generation_releaserow",
        """INSERT INTO generation_releaserow (release_id, position, pair_public_id, item_public_id, split,
                                              language_code, text_sha256, row, row_sha256)
           SELECT release_id, position + 1000, 'x', 'x', split, language_code, text_sha256, row, row_sha256
             FROM generation_releaserow""",
    ],
)
def test_database_refuses_to_change_a_ready_release(sql, release):
    with pytest.raises(DatabaseError, match="change"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def test_ready_release_can_be_withdrawn_and_not_brought_back(release):
    Release.objects.update(state=ReleaseState.WITHDRAWN)

    with pytest.raises(DatabaseError, match="change"), transaction.atomic():
        Release.objects.update(state=ReleaseState.READY)


def test_account_that_made_a_release_can_be_deleted(pairs, finnish, maintainer):
    made = freezing.build_release("mine", [finnish], created_by=maintainer)
    Event.objects.all().delete()
    maintainer.delete()
    made.refresh_from_db()

    assert made.created_by is None


# Files


@pytest.mark.parametrize("format", IN_LINES)
def test_export_is_utf8_jsonl_with_a_manifest_and_the_same_every_time(format, release, tmp_path):
    one = exports.export_release(release, format, tmp_path / "one")
    before = files_in(tmp_path / "one")
    again = exports.export_release(release, format, tmp_path / "one")
    exports.export_release(release, format, tmp_path / "other")
    manifest = json.loads(one.manifest.read_bytes())
    data = one.files[0].read_bytes()

    assert (one.changed, again.changed) == (True, False)
    assert files_in(tmp_path / "one") == before
    assert {name: content for name, (content, _) in before.items()} == {
        name: content for name, (content, _) in files_in(tmp_path / "other").items()
    }
    assert list(before) == [*sorted(["manifest.json", *DOCUMENTS]), f"spring.{format}.jsonl"]
    assert "\u0646\u06cc\u0645\u200c".encode() in data
    assert data.count(b"\n") == data.endswith(b"\n") + 2 == 3
    assert manifest["files"][one.files[0].name]["sha256"] == hashlib.sha256(data).hexdigest()
    assert manifest["sha256"] == release.sha256
    assert manifest["counts"] == {"fi": 2, "sw": 1}
    assert manifest["created"] == release.ready_at.isoformat()
    assert manifest["query"]["languages"] == ["fi", "sw"]
    assert manifest["versions"]["prompts"] == ["base-1"]
    assert Event.objects.filter(kind=EventKind.RELEASE_EXPORTED).count() == 2


def last_row(release, format, folder, tag=None):
    done = exports.export_release(release, format, folder, tag=tag)
    return json.loads(done.files[0].read_bytes().split(b"\n")[-2])


def test_alpaca_leaves_the_pairs_words_alone_unless_asked(release, tmp_path):
    plain = {"instruction": "Say what follows.", "input": "A list.", "output": LINES}

    assert last_row(release, "alpaca", tmp_path) == plain
    tagged = plain | {"instruction": "Say what follows. Answer in Swahili."}
    assert last_row(release, "alpaca", tmp_path, tag="language") == tagged


@pytest.mark.parametrize(
    ("tag", "ending"),
    [
        (None, " Answer in Swahili."),
        ("assistant", " Answer in Swahili and the style of an AI assistant."),
        ("none", ""),
    ],
)
def test_messages_and_prompts_name_the_language_unless_asked_not_to(tag, ending, release, tmp_path):
    assert last_row(release, "messages", tmp_path, tag)["messages"] == [
        {"role": "user", "content": f"Say what follows.{ending}\n\nA list."},
        {"role": "assistant", "content": LINES},
    ]
    row = last_row(release, "prompt-completion", tmp_path, tag)
    assert row["completion"] == LINES
    assert f"### Instruction:\nSay what follows.{ending}\n\n### Input:\nA list.\n\n### Response:\n" in row["prompt"]


def test_formats_of_one_release_share_a_folder_and_another_release_does_not(release, finnish, tmp_path):
    files = [file.name for format in OF_PAIRS for file in exports.export_release(release, format, tmp_path).files]
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    assert list(manifest["files"]) == sorted(files)
    assert {"spring.parquet", "fi.json", "sw.json"} < set(files)

    other = freezing.build_release("summer", [finnish])
    before = files_in(tmp_path)
    with pytest.raises(ReleaseError, match="spring"):
        exports.export_release(other, "alpaca", tmp_path)
    assert files_in(tmp_path) == before


def test_rows_that_do_not_match_their_hash_are_not_exported(release, tmp_path):
    with connection.cursor() as cursor:  # a superuser's hand, past the trigger
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE generation_releaserow DISABLE TRIGGER release_rows_are_frozen")
        cursor.execute('UPDATE generation_releaserow SET row = row || \'{"input": "forged"}\' WHERE position = 1')
        cursor.execute("ALTER TABLE generation_releaserow ENABLE TRIGGER release_rows_are_frozen")

    with pytest.raises(ReleaseError, match="not what was released"):
        exports.export_release(release, "alpaca", tmp_path)
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("state", [ReleaseState.BUILDING, ReleaseState.FAILED])
def test_release_that_is_not_ready_is_not_exported(state, finnish, tmp_path):
    release = Release.objects.create(name="soon", state=state)

    with pytest.raises(ReleaseError, match="cannot be exported"):
        exports.export_release(release, "alpaca", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Commands


def run(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def test_commands_build_and_export_and_say_when_nothing_changed(pairs, tmp_path):
    build = ("build_release", "v1.0", "--language", "fi", "sw")
    export = ("export_release", "v1.0", "--format", "alpaca", "--out", str(tmp_path / "out"))

    assert "is ready" in run(*build)
    assert "nothing changed" in run(*build)
    assert "Written" in run(*export)
    assert "nothing changed" in run(*export)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("build_release", "x", "--language", "xx"), "no language 'xx'"),
        (("build_release", "x", "--language", "fi"), "no accepted pairs in Finnish"),
        (("export_release", "x", "--format", "alpaca", "--out", "nowhere"), "no release 'x'"),
        (("export_release", "x", "--format", "word", "--out", "nowhere"), "'alpaca', 'sharegpt', 'messages'"),
        (("select", "--language", "fi", "--count", "0"), "from 1 up"),
        (("select", "--language", "fi", "--count", "3"), "Draft and score first"),
    ],
)
def test_commands_refuse_with_a_reason(args, message, finnish):
    with pytest.raises(CommandError) as caught:
        run(*args)
    assert message in str(caught.value)


def test_export_to_a_place_that_cannot_be_written_says_so(release, tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(CommandError, match="Cannot write"):
        run("export_release", "spring", "--format", "alpaca", "--out", str(tmp_path / "file"))
