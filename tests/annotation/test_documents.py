"""Documents of releases: other people's readers read them, and all four say the same."""

import json

import pytest

from annotation import documents, exports
from annotation.formats import FORMATS, formats_of
from generation.models import PREFERENCES
from tests.factories import make_release, released
from xinstruct_site.people.markdown import render

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path, settings):
    """Every format of a release in two languages and three splits."""
    settings.PUBLISHER, settings.PUBLISHER_CONTACT = "Kielten talo", "talo@example.org"
    lineage = {"text": {"variety": "Savo", "crawled": "2023-05-01"}, "reviews": [{"guidelines": 3, "agreement": 1}]}
    rows = [released(lineage=lineage, source="a|b\n<script>") for _ in range(25)]
    rows += [released("sw", licence="CC-BY-4.0", model=None) for _ in range(5)]
    splits = ("train",) * 20 + ("validation",) * 3 + ("test",) * 2 + ("train",) * 5
    previous = make_release(released(), name="winter")
    release = make_release(
        *rows, splits=splits, version="1.1.0", licence="CC-BY-4.0", previous=previous, changelog={"added": {"sw": 5}},
        versions={"prompts": ["paper-1"], "policies": {"fi": [1]}, "xinstruct": "0.1.0"},
    )  # fmt: skip
    for format in formats_of(release):
        exports.export_release(release, format, tmp_path)
    return tmp_path


def card(folder):
    from huggingface_hub import DatasetCard

    return DatasetCard.load(folder / "README.md")


def croissant(folder):
    import mlcroissant

    return mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))


def test_counts_licence_and_version_are_the_same_in_all_four(folder):
    manifest = json.loads((folder / "manifest.json").read_bytes())
    head, described = card(folder).data, croissant(folder).metadata
    texts = [card(folder).text, (folder / "DATA_STATEMENT.md").read_text(encoding="utf-8")]

    assert (manifest["version"], manifest["licence"], manifest["rows"]) == ("1.1.0", "CC-BY-4.0", 30)
    assert (head.to_dict()["version"], head.license) == ("1.1.0", "cc-by-4.0")
    assert (str(described.version), described.license) == ("1.1.0", ["https://spdx.org/licenses/CC-BY-4.0.html"])
    assert described.description.startswith("30 rows in Finnish, Swahili")
    for text in texts:
        assert "30 rows in Finnish, Swahili" in text
        assert "1.1.0" in text
        assert "CC-BY-4.0" in text
        assert "| Finnish | fi | Savo (25) | none named | 25 |" in text
        assert "| Swahili | sw | none named | none named | 5 |" in text
    sizes = {each["config_name"]: each["splits"] for each in head.to_dict()["dataset_info"]}
    for format in FORMATS.keys() & sizes.keys():
        of_format = [said for said in manifest["files"].values() if said["format"] == format]
        assert sum(part["num_examples"] for part in sizes[format]) == sum(said["rows"] for said in of_format) == 30
    listed = {file.name: (file.sha256, file.content_size) for file in described.distribution}
    assert listed == {name: (said["sha256"], f"{said['bytes']} B") for name, said in manifest["files"].items()}


def test_the_manifest_has_the_checksum_of_every_file_beside_it(folder):
    manifest = json.loads((folder / "manifest.json").read_bytes())
    said = {name: about["sha256"] for part in ("files", "documents") for name, about in manifest[part].items()}

    there = {path.name: exports.sha256_of(path) for path in folder.iterdir() if path.name != "manifest.json"}
    assert said == there
    assert manifest["previous"]["release"] == "winter"
    assert manifest["licences"] == {"CC-BY-4.0": 5, "CC0-1.0": 25}


def test_the_card_is_a_hub_card_whose_configurations_load(folder, tmp_path_factory):
    from datasets import get_dataset_config_names, load_dataset

    head = card(folder).data
    names = get_dataset_config_names(str(folder))
    assert names == [
        *("rows", "alpaca", "sharegpt", "messages", "prompt-completion", "xinstruction", "aya", "generator-sft"),
    ]
    assert head.language == ["en", "fi", "sw"]
    assert head.size_categories == ["n<1K"]
    assert head.annotations_creators == ["crowdsourced", "machine-generated"]

    for name in names:
        loaded = load_dataset(str(folder), name, cache_dir=str(tmp_path_factory.mktemp("cache")))
        assert {split: part.num_rows for split, part in loaded.items()} == {"train": 25, "validation": 3, "test": 2}


def test_croissant_is_valid_and_its_records_can_be_read(folder):
    dataset = croissant(folder)
    raw = json.loads((folder / "croissant.json").read_bytes())

    assert not dataset.metadata.issues.errors
    assert raw["conformsTo"] == ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
    assert dataset.metadata.annotations_per_item == "People behind a row: 2: 30 rows"
    for name in ("spring.alpaca.train.jsonl", "spring.messages.test.jsonl", "spring.train.parquet", "fi.train.json"):
        records = list(dataset.records(f"{name}#rows"))
        assert len(records) == json.loads((folder / "manifest.json").read_bytes())["files"][name]["rows"]
    (first, *_) = dataset.records("spring.messages.test.jsonl#rows")
    turns = first["spring.messages.test.jsonl#rows/messages"]
    assert [turn["spring.messages.test.jsonl#rows/messages/role"] for turn in turns] == [b"user", b"assistant"]


def test_what_is_not_known_says_so_and_what_a_source_is_called_marks_up_nothing(folder):
    text = card(folder).text

    assert "nothing is recorded of who wrote the texts" in text
    assert "| a\\|b &lt;script> | CC0-1.0 | 25 |" in text
    assert "<script>" not in text
    assert "Guidelines, by version: fi: 3" in text
    assert "crawled in 2023 to 2023" in text
    assert "| Finnish | 25 | 100.0 % | not defined |" in text
    assert "| sw | 5 |" in text


def test_names_that_people_typed_mark_up_nothing(tmp_path):
    lineage = {"text": {"variety": "*Savo* [prize](https://evil.example)"}}
    rows = [released(lineage=lineage, source="`a`_b_") for _ in range(5)]
    exports.export_release(make_release(*rows), "alpaca", tmp_path)
    for name in ("README.md", "DATA_STATEMENT.md"):
        html = render((tmp_path / name).read_text(encoding="utf-8").rpartition("---\n")[2])
        assert "*Savo* [prize](" in html
        assert "`a`_b_" in html
    assert "<code>spring.alpaca.jsonl</code>" in render((tmp_path / "README.md").read_text(encoding="utf-8"))


def test_a_release_of_preferences_without_a_licence_says_that_it_is_unknown(tmp_path):
    lost = {"instruction": "Write.", "input": "", "why": "edited"}
    release = make_release(released(rejected=lost), query={"kind": PREFERENCES})

    exports.export_release(release, "kto", tmp_path)

    assert card(tmp_path).data.license == "unknown"
    assert croissant(tmp_path).metadata.license == ["unknown"]
    assert "No licence was computed" in (tmp_path / "DATA_STATEMENT.md").read_text()


def test_numbers_are_written_alike_whoever_asks(folder, tmp_path):
    from django.utils import translation

    from generation.models import Release

    with translation.override("fi"):
        exports.export_release(Release.objects.get(name="spring"), "rows", tmp_path / "again")
    facts = [json.loads((place / "manifest.json").read_bytes()) for place in (folder, tmp_path / "again")]

    assert facts[0]["rows"] == facts[1]["rows"]
    assert "1.5 ±" not in (tmp_path / "again" / "README.md").read_text(encoding="utf-8")
    assert "±" in (tmp_path / "again" / "README.md").read_text(encoding="utf-8")


def test_somebody_elses_readme_is_not_overwritten(tmp_path):
    (tmp_path / "README.md").write_text("Mine.")

    with pytest.raises(exports.ReleaseError, match="not ours"):
        exports.export_release(make_release(released()), "rows", tmp_path)
    assert (tmp_path / "README.md").read_text() == "Mine."
    assert documents.DOCUMENTS[0] == "README.md"
