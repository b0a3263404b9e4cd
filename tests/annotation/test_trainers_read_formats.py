"""Files of releases go into datasets and TRL as they stand: real libraries, a tiny model, one step."""

import math

import pytest

from annotation import exports
from annotation.formats import FORMATS, PREFERENCES, RATINGS, formats_of
from tests.factories import make_release, released
from tests.tiny_models import make_tiny_model

pytestmark = pytest.mark.django_db

LINES = "first line\u2028second\r\nthird \U0001f33e \u0646\u06cc\u0645\u200c\u0641\u0627\u0635\u0644\u0647"
LOST = {"instruction": "Write.", "input": "", "why": "edited"}


@pytest.fixture
def pairs(db):
    rows = [released(), released(), released("sw", input="A list."), released("sw", response=LINES)]
    return make_release(*rows, splits=("train", "train", "train", "test"))


def of_kind(format: str, pairs):
    """A release that the format fits."""
    kind = FORMATS[format].kinds[0]
    if kind == PREFERENCES:
        wanted = [released(rejected=LOST, kind="preference") for _ in range(4)]
        return make_release(*wanted, name="wanted", query={"kind": PREFERENCES})
    if kind == RATINGS:
        rated = [released(kind="rating", ratings=[{"overall": level}]) for level in (5, 4, 2, 1)]
        return make_release(*rated, name="rated", query={"kind": RATINGS})
    return pairs


def loaded(format: str, release, folder, **options):
    from datasets import load_dataset

    done = exports.export_release(release, format, folder / "out")
    suffix = FORMATS[format].file.suffix
    files: dict[str, list[str]] = {}
    for path in done.files:
        files.setdefault("test" if ".test." in path.name else "train", []).append(str(path))
    builder = {"csv": "csv", "parquet": "parquet"}.get(suffix, "json")
    return load_dataset(builder, data_files=files, cache_dir=str(folder / "cache"), **options)


@pytest.mark.parametrize("format", [name for name, format in FORMATS.items() if format.kinds[0] == "pairs"])
def test_datasets_reads_every_row_and_character_of_a_format(format, pairs, tmp_path):
    assert format in formats_of(pairs)
    parts = loaded(format, pairs, tmp_path)

    assert {name: part.num_rows for name, part in parts.items()} == {"train": 3, "test": 1}
    assert any(LINES in said for said in str_in(parts["test"][0]))


def str_in(value) -> list[str]:
    """Every string in nested rows."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [said for each in value for said in str_in(each)]
    return [value] if isinstance(value, str) else []


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("tiny"), chat=True, context=1024))


@pytest.mark.parametrize(
    ("format", "trainer"),
    [
        ("messages", "SFT"),
        ("sharegpt", "SFT"),
        ("prompt-completion", "SFT"),
        ("generator-sft", "SFT"),
        ("evaluator-sft", "SFT"),
        ("preference", "DPO"),
        ("kto", "KTO"),
    ],
)
def test_trl_takes_a_step_on_a_training_format_as_it_stands(format, trainer, pairs, tiny_model, tmp_path):
    import trl
    from transformers import AutoModelForCausalLM, AutoTokenizer

    data = loaded(format, of_kind(format, pairs), tmp_path)["train"]
    config = getattr(trl, f"{trainer}Config")(
        output_dir=str(tmp_path / "trained"), max_steps=1, per_device_train_batch_size=2, max_length=1024,
        use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True, bf16=False,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    done = getattr(trl, f"{trainer}Trainer")(model, args=config, train_dataset=data, processing_class=tokenizer).train()

    assert done.global_step == 1
    assert math.isfinite(done.training_loss)
