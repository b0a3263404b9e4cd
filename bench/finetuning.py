"""Our fine-tuning, database and all, beside a bare TRL script on the same pairs and settings.

    python -m bench.finetuning

Each round lets both train once, in turn; the figures are the ratio of tokens per second, ours by bare, and the largest
difference between the two loss curves. Pairs are composed from the starter model's seeds, or read with --seeds from a
JSONL file with the keys instruction, response and lang. Nothing is held out unless --validation says so, and then only
ours measures on it: the time counts, as it does for who waits.

With --random B the base model is a Llama of about B billion random weights, for a machine with a GPU: there are then
model-FLOPs utilisation (6 FLOPs for a weight and token, 4 with LoRA) and peak memory, too.
"""

import argparse
import gc
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench.filling import installation

if TYPE_CHECKING:
    from generation.models import FineTuneRun, ModelVersion, Release

SHAPES = {1: (2048, 5632, 20, 16), 3: (3072, 8192, 28, 24), 8: (4096, 14336, 36, 32)}  # hidden, inner, layers, heads
PEAK_TFLOPS = 989  # of a H100 or H200, bf16, dense


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=400, help="(default: 400)")
    parser.add_argument("--seeds", type=Path, metavar="FILE", help="JSONL of pairs to train on instead")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--method", choices=["full", "lora"], default="full")
    parser.add_argument("--packing", action="store_true")
    parser.add_argument("--validation", type=float, default=0.0, help="share held out (default: 0)")
    parser.add_argument("--random", type=int, choices=SHAPES, metavar="B", help="billions of random weights: 1, 3 or 8")
    parser.add_argument("--peak-tflops", type=float, default=PEAK_TFLOPS, help=f"of the GPU (default: {PEAK_TFLOPS})")
    parser.add_argument("--cores", type=int, default=2, help="(default: 2)")
    options = parser.parse_args()
    with installation(options.cores), tempfile.TemporaryDirectory() as folder:
        return measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> int:
    import torch

    console = Console()
    base = base_model(options, folder)
    rows = read(options.seeds, options.pairs) if options.seeds else composed(options.pairs)
    release = freeze(rows)
    speeds: dict[str, list[float]] = {"ours": [], "bare": []}
    curves: dict[str, list[float]] = {}
    memory = 0
    for number in range(options.rounds):
        with console.status(f"round {number + 1} of {options.rounds}: ours"):
            run, recipe = ours(release, base, options, number)
        if torch.cuda.is_available():
            memory = max(memory, torch.cuda.max_memory_allocated())
            gc.collect()
            torch.cuda.empty_cache()
        speeds["ours"].append(recipe["tokens"] / recipe["seconds"])
        curves.setdefault("ours", list(run.log.order_by("step").values_list("loss", flat=True)))
        with console.status(f"round {number + 1} of {options.rounds}: bare"):
            losses, speed = bare(run, folder / f"bare-{number}")
        gc.collect()
        speeds["bare"].append(speed)
        curves.setdefault("bare", losses)
    ratio = statistics.median(one / other for one, other in zip(speeds["ours"], speeds["bare"], strict=True))
    apart = max(abs(one - other) for one, other in zip(curves["ours"], curves["bare"], strict=True))
    table = Table(title=f"{len(rows)} pairs, {len(curves['ours'])} steps, {recipe['precision']} on {recipe['device']}")
    for column in ("", "tokens per second, each round", "median", "first loss", "last loss"):
        table.add_column(column)
    for name, values in speeds.items():
        each = ", ".join(f"{value:,.0f}" for value in values)
        first, last = curves[name][0], curves[name][-1]
        table.add_row(name, each, f"{statistics.median(values):,.0f}", f"{first:.4f}", f"{last:.4f}")
    console.print(table)
    console.print(f"ours by bare: {ratio:.3f} (asked: at least 0.97)")
    console.print(f"largest difference between the loss curves: {apart:.6f} (asked: the same to 3 decimals)")
    if options.random and memory:
        weights = torch.load(folder / "parameters.pt")
        flops = (4 if options.method == "lora" else 6) * weights * statistics.median(speeds["ours"])
        console.print(
            f"{weights / 1e9:.2f} billion weights, {options.method}: {flops / options.peak_tflops / 1e12:.1%} of "
            f"{options.peak_tflops:,.0f} TFLOP/s, peak memory {memory / 1e9:.1f} GB"
        )
    return 0 if ratio >= 0.97 and apart < 0.001 else 1


def base_model(options: argparse.Namespace, folder: Path) -> "ModelVersion":
    from generation import loading

    if not options.random:
        return loading.model_version("starter", "starter", task="answer")[0]
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from generation.backends import hf_local

    hidden, inner, layers, heads = SHAPES[options.random]
    tokenizer = AutoTokenizer.from_pretrained(hf_local.STARTER_DIR)
    config = LlamaConfig(
        vocab_size=32_000, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=8, max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model: Any = LlamaForCausalLM(config)
        model = model.to(torch.bfloat16)
    model.save_pretrained(folder / "random")
    tokenizer.save_pretrained(folder / "random")
    torch.save(model.num_parameters(), folder / "parameters.pt")
    return loading.model_version("hf", str(folder / "random"), task="answer")[0]


def composed(count: int) -> list[dict[str, Any]]:
    from generation.starter import composing

    pairs = composing.compose(composing.topics(), count, seed=1)
    return [{"instruction": pair.instruction, "response": pair.response, "language": pair.language} for pair in pairs]


def read(path: Path, count: int) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    keys = ("instruction", "response")
    return [{key: row[key] for key in keys} | {"language": row["lang"]} for row in rows][:count]


def freeze(rows: list[dict[str, Any]]) -> "Release":
    """A ready release of the rows, without the people whose work a real one freezes."""
    from generation.models import Release, ReleaseRow, ReleaseState
    from xinstruct_site.people.languages import FIRST_TEN, add_language

    release = Release.objects.create(name="bench", state=ReleaseState.BUILDING)
    languages = {code: add_language(FIRST_TEN[code])[0] for code in {row["language"] for row in rows}}
    release.languages.set(languages.values())
    frozen = [
        row | {"input": "", "language_name": languages[row["language"]].name, "licence": "CC0-1.0", "pair": str(place)}
        for place, row in enumerate(rows)
    ]
    ReleaseRow.objects.bulk_create(
        ReleaseRow(
            release=release, position=place, pair_public_id=f"pair{place}", language_code=row["language"],
            text_sha256=f"{place:064x}", row=row, row_sha256=f"{place:064x}",
        )
        for place, row in enumerate(frozen)
    )  # fmt: skip
    Release.objects.filter(pk=release.pk).update(state=ReleaseState.READY, sha256="b" * 64)
    release.refresh_from_db()
    return release


def ours(
    release: "Release", base: "ModelVersion", options: argparse.Namespace, number: int
) -> tuple["FineTuneRun", dict[str, Any]]:
    from generation import finetuning, results

    run = finetuning.open_run(
        "answer",
        releases=[release],
        base_model=base,
        method=options.method,
        config={
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "max_length": options.max_length,
            "packing": options.packing,
            "validation": options.validation,
            "beta": 0.1 + number / 1000,  # which only preferences look at: another run, of the same training
        },
    )
    version = finetuning.train(run)
    recipe = results.read_recipe(version)
    shutil.rmtree(version.location)  # a large model's results would fill the disk
    return run, recipe


def bare(run: "FineTuneRun", output: Path) -> tuple[list[float], float]:
    """What a script with TRL does that has the same pairs and settings; its losses and tokens per second."""
    import datasets
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from trl import SFTConfig, SFTTrainer

    from generation import lessons
    from generation.backends import hf_local

    config = run.config
    place = hf_local.STARTER_DIR if run.base_model.backend == "starter" else run.base_model.location
    tokenizer = AutoTokenizer.from_pretrained(place)
    has_gpu, is_lora = torch.cuda.is_available(), run.method == "lora"
    dtype = torch.bfloat16 if has_gpu and is_lora else torch.float32
    model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype)
    learned, _ = lessons.split(lessons.rows_of(run), config["validation"])
    examples = lessons.fitted(tokenizer, [lessons.example(run.task, row) for row in learned], config["max_length"])
    set_seed(config["seed"])
    trainer = SFTTrainer(
        model,
        SFTConfig(
            output_dir=str(output),
            num_train_epochs=config["epochs"],
            per_device_train_batch_size=config["batch_size"],
            learning_rate=config["learning_rate"],
            lr_scheduler_type="cosine",
            warmup_steps=config["warmup"],
            max_length=config["max_length"],
            packing=config["packing"],
            completion_only_loss=True,
            seed=config["seed"],
            use_cpu=not has_gpu,
            bf16=has_gpu,
            gradient_checkpointing=has_gpu,
            dataloader_pin_memory=has_gpu,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=config["lora_rank"], lora_alpha=2 * config["lora_rank"], target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        if is_lora
        else None,
    )  # fmt: skip
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train()
    logged = [line for line in trainer.state.log_history if "loss" in line]
    seconds = next(line["train_runtime"] for line in trainer.state.log_history if "train_runtime" in line)
    return [line["loss"] for line in logged], logged[-1]["num_tokens"] / seconds


if __name__ == "__main__":
    sys.exit(main())
