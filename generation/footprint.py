"""How much memory and disk a training takes, estimated from the model's shape. Knows no rows.

Estimates are for saying what to change, and for not filling a disk: right to some ten percent for weights and
checkpoints, and no better than a factor of two for what a batch takes.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generation.models import Method

WEIGHT, GRADIENT, ADAM = 4, 4, 8  # bytes a parameter
CHECKPOINTS = 3  # two are kept, and one is being written
VALUES_KEPT = 34  # of a layer, for each token and hidden number (Korthikanti et al. 2022, without attention)


@dataclass(frozen=True, slots=True)
class Footprint:
    """A training's size: the model's shape and what the recipe makes of it."""

    parameters: int
    trained: int  # parameters, of the adapter or of the whole model
    layers: int
    hidden: int
    vocabulary: int
    batch_size: int
    max_length: int
    is_lora: bool
    width: int  # bytes of a weight and of an activation
    recomputes: bool  # activations, on the way back

    @property
    def for_weights(self) -> int:
        """Bytes of memory for weights, gradients and optimizer."""
        frozen = self.parameters * self.width if self.is_lora else 0
        return frozen + self.trained * (WEIGHT + GRADIENT + ADAM)

    @property
    def for_batch(self) -> int:
        """Bytes of memory for what a batch leaves behind until its gradients are known."""
        layers = VALUES_KEPT + self.layers * (2 if self.recomputes else VALUES_KEPT)
        return self.batch_size * self.max_length * (self.hidden * layers * self.width // 2 + self.vocabulary * 8)

    @property
    def memory(self) -> int:
        return self.for_weights + self.for_batch

    @property
    def disk(self) -> int:
        """Bytes for the checkpoints and the result."""
        return CHECKPOINTS * self.trained * (WEIGHT + ADAM) + self.parameters * (self.width if self.is_lora else WEIGHT)


def of(
    model: Any, *, method: str, batch_size: int, max_length: int, lora_rank: int, precision: str, recomputes: bool
) -> Footprint:
    """The footprint of training that model."""
    config = model.config.get_text_config()
    is_lora = method == Method.LORA
    linear = [module for module in model.modules() if hasattr(module, "in_features")]
    adapter = sum(lora_rank * (module.in_features + module.out_features) for module in linear)
    parameters = model.num_parameters()
    return Footprint(
        parameters=parameters,
        trained=adapter if is_lora else parameters,
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        vocabulary=config.vocab_size,
        batch_size=batch_size,
        max_length=max_length,
        is_lora=is_lora,
        width=4 if precision == "fp32" else 2,
        recomputes=recomputes,
    )


def advice(size: Footprint, device: str, memory: int | None) -> str:
    """What to say to the person whose training ran out of memory: the numbers, and what would need less."""
    has = f", and {device} has {in_words(memory)}" if memory else ""
    ways = []
    if size.batch_size > 1:
        half = replace(size, batch_size=size.batch_size // 2)
        ways.append(f"batch size {half.batch_size} with accumulate 2 times as large (about {in_words(half.memory)})")
    shorter = replace(size, max_length=size.max_length // 2)
    ways.append(f"max length {shorter.max_length:,} (about {in_words(shorter.memory)})")
    if not size.is_lora:
        ways.append(f"the method lora (about {in_words(size.parameters * size.width + size.for_batch)})")
    return (
        f"Out of memory. Batch size {size.batch_size} and max length {size.max_length:,} with "
        f"{'LoRA on' if size.is_lora else 'all weights of'} {size.parameters / 1e6:,.1f} million parameters need about "
        f"{in_words(size.memory)}: {in_words(size.for_weights)} for weights and optimizer, {in_words(size.for_batch)} "
        f"for a batch{has}. Less is needed with {', or '.join(ways)}."
    )


def missing_disk(size: Footprint, folder: Path) -> str:
    """What to say where checkpoints and result do not fit beside what is there; empty where they do."""
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if size.disk <= free + held:
        return ""
    return (
        f"Too little disk: checkpoints and result take about {in_words(size.disk)}, and {there} has {in_words(free)} "
        "free. Make room, point XI_DATA_DIR at a larger disk, or choose the method lora."
    )


def in_words(size: int) -> str:
    """
    >>> in_words(1_500_000_000)
    '1.5 GB'
    """
    amount, unit = (size / 1e9, "GB") if size >= 1e9 else (size / 1e6, "MB")
    return f"{amount:,.1f} {unit}"
