"""What a fine-tune run is asked: the words of a recipe, their defaults, and the hash that makes two askings one."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from generation import prompts
from generation.backends import hf_local
from generation.lessons import seed_pairs
from generation.models import Method, ModelVersion, Release
from generation.seeds import digest as seed_digest

SFT, DPO = "sft", "dpo"
SMALL_MODEL_BYTES = 100_000_000
LONGEST = 1024  # tokens
PRECISIONS = ("fp32", "bf16", "fp16")
ORDERS = ("random", "group_by_length", "sequential")
# What a recipe may say, and what it says where it is silent. Part of the run's key: a changed default is a new run.
DEFAULTS: dict[str, Any] = {
    "epochs": 3.0,
    "batch_size": 8,
    "accumulate": 1,
    "learning_rate": None,  # by method, base model and objective: see `learning_rate_for`
    "schedule": "cosine",
    "warmup": 0.05,  # share of the steps
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "max_length": None,  # tokens, prompt and completion together; None: LONGEST, or the model's context if shorter
    "packing": False,  # several pairs in one row of the batch, each seeing only itself: less padding
    "precision": None,  # fp32, bf16, fp16; None: bf16 on a GPU that has it, else fp32
    "validation": 0.1,  # share held out where a release has no validation split of its own; 0: none, of neither kind
    "weights": {},  # how often each pair of a source is taken: {"a-release": 2, "seeds": 0.5}; others once
    "order": "random",  # of the pairs: random, group_by_length, sequential
    "lora_rank": 16,
    "seed": 0,
    "objective": SFT,
    "beta": 0.1,  # of DPO: how far from the base model it may go for a preference
    "source_tags": None,  # whether prompts say where a text is from; None: where seed pairs and releases are mixed
    "unverified": False,  # whether seed pairs that nobody has verified take part
    "uncurated": None,  # up to this candidate: learn from as many raw drafts in place of the pairs, to compare
    "prompt_version": prompts.PAPER,
}


class TrainingError(Exception):
    """Training cannot begin or go on. The message is for the person who asked for it and stands on the run's row."""


def whole(config: dict[str, Any]) -> dict[str, Any]:
    """The recipe with every word in it.

    Raises:
        TrainingError: a word is unknown, or what it says cannot be.
    """
    unknown = sorted(config.keys() - DEFAULTS.keys())
    if unknown:
        raise TrainingError(f"Unknown in a recipe: {', '.join(unknown)}. Known: {', '.join(DEFAULTS)}.")
    whole = DEFAULTS | {name: value for name, value in config.items() if value is not None}
    for name in ("epochs", "batch_size", "accumulate", "learning_rate", "max_length", "beta"):
        if whole[name] is not None and not _is_number(whole[name], above=0):
            raise TrainingError(f"{name} is {whole[name]}; it must be a number above 0.")
    for name in ("batch_size", "accumulate", "max_length", "lora_rank"):
        if whole[name] is not None and whole[name] != int(whole[name]):
            raise TrainingError(f"{name} is {whole[name]}; it must be a whole number.")
    if not 0 <= whole["validation"] <= 0.5:
        raise TrainingError(f"validation is {whole['validation']}; it is a share from 0 to 0.5.")
    for name, known in (("precision", (None, *PRECISIONS)), ("order", ORDERS)):
        if whole[name] not in known:
            raise TrainingError(f"{name} is {whole[name]}; it can be {', '.join(filter(None, known))}.")
    for source, weight in whole["weights"].items():
        if not (_is_number(weight, above=0) and weight <= 100):
            raise TrainingError(f"The weight of '{source}' is {weight}; it must be above 0 and at most 100.")
    return whole


def _is_number(value: Any, *, above: float) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > above


def learning_rate_for(method: str, base_model: ModelVersion, objective: str = SFT) -> float:
    """The rate where a recipe names none.

    A model as small as the starter learns nothing at the rates that large ones need: 1e-4 barely moves it, 1e-3 is
    what it was made with. All weights of a large one take Humpback's 1e-5; LoRA's few weights start at nothing and
    take some twenty times that. DPO goes in steps a tenth as large, or it forgets what it was taught before.
    """
    if method == Method.LORA:
        rate = 2e-4
    elif _weights_bytes(base_model) <= SMALL_MODEL_BYTES:
        rate = 1e-3
    else:
        rate = 1e-5
    return rate / 10 if objective == DPO else rate


def _weights_bytes(version: ModelVersion) -> float:
    """The size of the weights on disk; infinite where they are not here yet, as small models seldom come from a hub."""
    folder = hf_local.STARTER_DIR if version.location == hf_local.STARTER else Path(version.location)
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) or math.inf


def key_of(
    task: str,
    releases: Iterable[Release],
    seeds: Sequence[str],
    base_model: ModelVersion,
    method: str,
    config: dict[str, Any],
) -> str:
    digest = hashlib.sha256()
    for instruction, response in seed_pairs(seeds, config).values_list("instruction", "response").iterator():
        digest.update(f"{seed_digest(instruction, response)}\n".encode())
    recipe = {
        "task": str(task),
        "releases": sorted({release.sha256 for release in releases}),
        "seeds": [list(seeds), digest.hexdigest()],
        "base": base_model.revision,
        "method": str(method),
        "config": config,
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
