"""Curated pairs against as many that nobody chose: what is drawn, what is measured, what the command leaves."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command

from generation import ablation, lessons, ratings
from generation.models import Candidate, FineTuneRun, JobState, Split
from tests.factories import make_candidate, make_text
from tests.generation.test_finetuning import make_release
from tests.tiny_models import make_tiny_model


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def drafts(finnish) -> list[Candidate]:
    """Of 16 texts, some of them turned away."""
    return [
        make_candidate(
            make_text(finnish, body=f"Talvella {number} astetta pakkasta on tavallista."),
            instruction=f"Write about {number} degrees.",
            state="kept" if number % 2 else "rejected",
        )
        for number in range(16)
    ]


def test_another_instruction_is_of_the_same_language_and_never_the_own():
    rows = [{"instruction": f"Describe {n % 7}.", "language": "fi" if n % 2 else "ur"} for n in range(40)]
    rows.append({"instruction": "Describe Swahili.", "language": "sw"})

    paired = ablation.with_others(rows)

    assert len(paired) == 40
    known = {(row["language"], row["instruction"]) for row in rows}
    for row in paired:
        assert row["other"] != row["instruction"]
        assert (row["language"], row["other"]) in known


def test_as_many_raw_drafts_are_drawn_as_there_are_pairs_and_none_of_a_tested_text(drafts):
    until = max(draft.pk for draft in drafts)
    like = [{"language": "fi"}] * 10
    apart = [{"text_sha256": draft.text.sha256, "url": ""} for draft in drafts[:4]]

    drawn = lessons.uncurated(like, apart, until, seed=0)

    assert len(drawn) == 10
    assert len({row["text_sha256"] for row in drawn}) == 10
    assert not {row["text_sha256"] for row in apart} & {row["text_sha256"] for row in drawn}
    assert lessons.uncurated(like, apart, until, seed=0) == drawn
    assert lessons.uncurated(like, apart, until, seed=1) != drawn
    with pytest.raises(ratings.NotEnough, match="13 pairs in fi"):
        lessons.uncurated([{"language": "fi"}] * 13, apart, until, seed=0)


def test_one_command_trains_both_sides_and_ends_in_a_table_and_a_plot(finnish, drafts, tiny_folder, tmp_path, capsys):
    make_release(finnish, [Split.TEST] * 4)
    arguments = ["ablate", "fi-1", "--base-model", str(tiny_folder), "--here", "--repeats", "1", "--epochs", "1"]

    call_command(*arguments, "--out", str(tmp_path / "out"))
    call_command(*arguments)  # and once more: nothing is trained anew

    assert sorted(bool(run.config["uncurated"]) for run in FineTuneRun.objects.all()) == [False, True]
    assert set(FineTuneRun.objects.values_list("state", flat=True)) == {JobState.DONE}
    assert set(FineTuneRun.objects.values_list("steps_total", flat=True)) == {2}
    assert "On 4 pairs (4 instructions)" in " ".join(capsys.readouterr().out.split())
    findings = json.loads((tmp_path / "out" / "ablation.json").read_text())["findings"]
    assert [each["name"] for each in findings] == ["untuned", "curated", "uncurated", "curated − uncurated"]
    difference = findings[1]["gain"]["value"] - findings[2]["gain"]["value"]
    assert findings[3]["gain"]["value"] == pytest.approx(difference)
    plot = ElementTree.parse(tmp_path / "out" / "ablation.svg")
    assert len(plot.findall(".//{http://www.w3.org/2000/svg}circle")) == 2 * len(findings)


def test_a_file_of_pairs_is_split_by_instruction_and_by_document():
    lines = [
        {"instruction": f"Describe {n % 50}.", "response": f"Vastaus {n}.", "lang": "fi", "source": f"a/{n}.md#part"}
        for n in range(100)
    ]
    rows = ablation.read_pairs("\n".join(map(json.dumps, lines)).encode(), {"fi"})

    learned, held_out = lessons.split(rows, ablation.TESTED)

    assert len(learned) + len(held_out) == 100
    assert rows[0]["url"].endswith(".md")
    assert not {row["instruction"] for row in learned} & {row["instruction"] for row in held_out}
    assert ablation.read_pairs(b'{"instruction": "a", "response": "b", "lang": "fi"}', set())[0]["language_name"]
    with pytest.raises(ablation.AblationError, match="Line 1 is no pair"):
        ablation.read_pairs(b'{"instruction": "a"}', set())


def test_an_ablation_without_drafts_says_what_is_missing(finnish, tiny_folder):
    make_release(finnish)

    with pytest.raises(CommandError, match="no drafts to draw the uncurated side from"):
        call_command("ablate", "fi-1", "--base-model", str(tiny_folder), "--here")
