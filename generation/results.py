"""The folder that a fine-tune run leaves: weights, recipe.json for machines and README.md for people.

It is written under a temporary name, reaches the disk whole, and then gets its final name, which carries the revision.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.text import slugify

from generation import calibrating
from generation.backends import hf_local
from generation.lessons import SEEDS
from generation.model_cards import model_card
from generation.models import FineTuneRun, ModelVersion
from generation.recipes import TrainingError
from generation.training import Outcome


def work_folder(run: FineTuneRun) -> Path:
    return Path(settings.DATA_DIR) / "work" / f"finetune-{run.public_id}"


def name_of(run: FineTuneRun) -> str:
    """What people call the new model: its base and what it learned from."""
    sources = [release.name for release in run.releases.order_by("name")] + [f"seeds-{code}" for code in run.seeds]
    named = "-".join(sources) if len(sources) <= 2 else f"{sources[0]}-and-{len(sources) - 1}-more"
    if run.config.get("uncurated"):
        named += "-uncurated"
    return slugify(f"{run.base_model.name.removesuffix(' model')}-{run.task}-{named}")[:100].strip("-") or "model"


def write_recipe(folder: Path, run: FineTuneRun, rows: list[dict[str, Any]], outcome: Outcome) -> None:
    """Beside the weights: what made them, for machines (recipe.json) and for people (README.md)."""
    import torch
    import transformers
    import trl

    releases = [
        {
            "name": release.name,
            "sha256": release.sha256,
            "pairs": sum(row["from"] == release.name for row in rows),
            "licences": sorted({row.get("licence") or "unknown" for row in rows if row["from"] == release.name}),
        }
        for release in run.releases.order_by("name")
    ]
    recipe = {
        "run": run.public_id,
        "key": run.key,
        "task": run.task,
        "method": run.method,
        "base_model": {
            "name": run.base_model.name,
            "location": run.base_model.location,
            "revision": run.base_model.revision,
            "licence": run.base_model.licence_id,
        },
        "releases": releases,
        "seeds": run.seeds,
        "seed_licences": sorted({row.get("licence") or "unknown" for row in rows if row["from"] == SEEDS}),
        "pairs": len(rows),
        "held_out": run.held_out,
        "pairs_skipped": outcome.skipped,
        "languages": sorted({row["language"] for row in rows}),
        "data_licences": sorted({row.get("licence") or "unknown" for row in rows}),
        "config": run.config,
        "precision": outcome.precision,
        "max_length": outcome.max_length,
        "device": outcome.device,
        "calibration": asdict(calibration) if (calibration := calibrating.read(folder)) else None,
        "steps": outcome.steps,
        "loss_first": outcome.loss_first,
        "loss_last": outcome.loss_last,
        "validation": run.validation,
        "tokens": outcome.tokens,
        "seconds": outcome.seconds,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__},
    }
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    model_card(name_of(run), recipe).save(folder / "README.md")


def read_recipe(version: ModelVersion) -> dict[str, Any]:
    """What made a model version, as it stands beside the weights.

    Raises:
        TrainingError: the folder is gone.
    """
    path = Path(version.location) / "recipe.json"
    try:
        recipe: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise TrainingError(f"The model '{version.name}' is no longer in {version.location}.") from exc
    return recipe


def put_in_place(written: Path, run: FineTuneRun) -> Path:
    """Flush the folder to disk and give it its final name, which carries the revision."""
    models = Path(settings.MODELS_DIR).resolve()
    models.mkdir(parents=True, exist_ok=True)
    final = models / f"{name_of(run)}-{hf_local.weights_sha256(written)[:12]}"
    if final.exists():  # the same weights, of another recipe
        final = final.with_name(f"{final.name}-{run.public_id}")
    flush(written)
    written.rename(final)
    _fsync(models)
    return final


def flush(folder: Path) -> None:
    """Everything in the folder reaches the disk before we go on."""
    for path in [*(path for path in folder.rglob("*") if path.is_file()), folder]:
        _fsync(path)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def finished_folder(run: FineTuneRun) -> Path | None:
    """What a killed worker had put in place before it could say so."""
    for recipe in sorted(Path(settings.MODELS_DIR).resolve().glob("*/recipe.json")):
        try:
            if json.loads(recipe.read_text(encoding="utf-8")).get("key") == run.key:
                return recipe.parent
        except (OSError, ValueError):
            continue
    return None
