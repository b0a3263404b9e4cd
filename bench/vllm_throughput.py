"""Our drafting through vLLM, database and all, beside the bare engine on the same prompts: with the Python of
`make vllm`, `python -m bench.vllm_throughput`.

Each round lets both draft the same texts once, in turn, with the engine's prefix cache emptied before; the figure is
the ratio of texts per second, ours by bare. Then transformers drafts a part of them. Weights are random and small: the
smaller the model, the more our own work shows.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bench.filling import BODY, installation

if TYPE_CHECKING:
    from xinstruct_site.people.models import Language

OPTIONS = {"max_model_len": 1024, "gpu_memory_utilization": 0.1, "dtype": "float32"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=256, help="width of the model (default: 256)")
    parser.add_argument("--new-tokens", type=int, default=32, help="longest reply (default: 32)")
    parser.add_argument("--transformers", type=int, default=200, help="texts for transformers (default: 200)")
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the database's processes are forked after it
    with installation(), tempfile.TemporaryDirectory() as folder:
        measure(args, Path(folder))


def measure(args: argparse.Namespace, folder: Path) -> None:
    from django.conf import settings

    from generation import asking, backends, drafting, prompts
    from generation.backends import vllm_engine
    from generation.backends.base import Ask, Sampling, Source
    from generation.models import Run
    from generation.sharing import texts_of
    from tests.tiny_models import make_tiny_model

    language = fill(args.texts)
    tiny = str(make_tiny_model(folder / "model", context=2048, hidden=args.hidden))
    settings.BACKEND, settings.MODEL, settings.VLLM_OPTIONS = "vllm", tiny, OPTIONS
    sampling = Sampling(max_new_tokens=args.new_tokens)
    model = backends.load("vllm", Source(model=tiny, options=OPTIONS))
    assert isinstance(model, vllm_engine.VllmModel)
    took: dict[str, list[float]] = {"bare": [], "ours": []}
    tokens: dict[str, int] = {"bare": 0, "ours": 0}
    for number in range(args.rounds + 1):  # the first warms up
        run = drafting.open_run(language, samples=1, sampling=sampling, seed=number, prompt_version=prompts.PAPER)
        asks = [
            Ask((text.pk, 0), asking.question(run, text, 0)[0], asking.sampling_seed(number, text.sha256, 0))
            for text in texts_of(run)
        ]
        for who in ("bare", "ours") if number % 2 else ("ours", "bare"):
            model.llm.reset_prefix_cache()
            started = time.perf_counter()
            if who == "bare":
                params = [vllm_engine.params_of(sampling, ask) for ask in asks]
                outputs = model.llm.generate([ask.prompt.plain() for ask in asks], params, use_tqdm=False)
                tokens[who] = sum(len(output.outputs[0].token_ids) for output in outputs)
            else:
                drafting.draft(run)
                tokens[who] = Run.objects.get(pk=run.pk).tokens
            if number:
                took[who].append(time.perf_counter() - started)
    vllm_engine.unload()
    local = backends.load("hf", Source(model=tiny))
    some = asks[: args.transformers]
    started = time.perf_counter()
    replies = local.generate([ask.prompt for ask in some], sampling=sampling, seeds=[ask.seed for ask in some])
    seconds = time.perf_counter() - started

    table = Table("who", "texts/s", "tokens/s", title=f"{args.texts} texts, a Llama of width {args.hidden}")
    for who, name in (("bare", "vLLM's generate alone"), ("ours", "our drafting, database included")):
        middle = statistics.median(took[who])
        table.add_row(name, f"{args.texts / middle:.1f}", f"{tokens[who] / middle:,.0f}")
    table.add_row(
        "transformers alone", f"{len(some) / seconds:.1f}", f"{sum(reply.tokens for reply in replies) / seconds:,.0f}"
    )
    ratios = sorted(bare / ours for bare, ours in zip(took["bare"], took["ours"], strict=True))
    table.add_row("ours by bare", f"{statistics.median(ratios):.3f}", f"{ratios[0]:.3f} to {ratios[-1]:.3f}")
    Console().print(table)


def fill(count: int) -> "Language":
    """Texts of Finnish, each another."""
    import hashlib

    from generation.models import Import, Text
    from xinstruct_site.people.languages import FIRST_TEN, add_language

    language, _ = add_language(FIRST_TEN["fi"])
    batch = Import.objects.create(language=language, source="bench")
    texts = []
    for number in range(count):
        body = f"{number}. {BODY[number % 80 :]}"
        texts.append(
            Text(
                language=language, imported_in=batch, body=body, original=body, chars=len(body),
                sha256=hashlib.sha256(body.encode()).hexdigest(), source_dataset="bench", licence_id="CC0-1.0",
            )
        )  # fmt: skip
    Text.objects.bulk_create(texts)
    return language


if __name__ == "__main__":
    main()
