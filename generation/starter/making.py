"""Makes the starter model from nothing: tokenizer from the seeds, fresh weights, composed pairs, our own training.

The pairs come in a fixed order, each once. At first the reply is only the subject's name: a far clearer lesson on what
a text is about than a sentence. Then these give way to instructions.
"""

import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generation import prompts, recipes, results, training
from generation.models import Method, Task
from generation.starter import composing
from generation.starter.composing import ComposedPair, Topic

CARD = composing.HERE / "card.md"
END = "<|endoftext|>"
PAD = "<|pad|>"
VOCABULARY = 12_000
LESSONS = 28_800  # pairs, each seen once
SEED = 20_240
CONFIG: dict[str, Any] = recipes.DEFAULTS | {
    "epochs": 1,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "warmup": 0.04,
    "weight_decay": 0.1,
    "max_length": 1024,
    "order": "sequential",
    "seed": SEED,
}
HELD_OUT = 4  # topic of each subject that takes no part when we choose between settings


@dataclass(frozen=True, slots=True)
class Made:
    """What came out."""

    parameters: int
    pairs: int
    outcome: training.Outcome
    megabytes: float


def make(out: Path, *, hold_out: bool = False, on_progress: Callable[[training.Progress], None] | None = None) -> Made:
    """Train the starter model and put it, whole, where `out` says.

    Args:
        hold_out: leave one topic of each subject out, to see how the model does on what it never saw.
    """
    topics = [topic for topic in composing.topics() if not (hold_out and topic.number == HELD_OUT)]
    tokenizer = new_tokenizer(topics)
    model = new_model(tokenizer)
    rows = lessons(topics)
    with tempfile.TemporaryDirectory() as work:
        written, outcome = training.fit(
            rows,
            task=Task.DRAFT,
            base=(model, tokenizer),
            method=Method.FULL,
            config=CONFIG,
            work=Path(work),
            watch=training.Watch(on_progress),
        )
        _halve(written)
        shutil.copy(CARD, written / "README.md")
        _replace(out, written)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    return Made(sum(each.numel() for each in model.parameters()), len(rows), outcome, size)


def lessons(topics: Sequence[Topic]) -> list[dict[str, Any]]:
    """Rows for training in their order, in batches of texts of like length: little padding."""
    chance = random.Random(SEED)  # noqa: S311 -- not a secret
    size = CONFIG["batch_size"]
    pairs = composing.compose(topics, LESSONS, seed=SEED)
    rows = []
    for start in range(0, len(pairs), 20 * size):
        window = sorted(pairs[start : start + 20 * size], key=lambda pair: len(pair.response.encode()))
        batches = [window[at : at + size] for at in range(0, len(window), size)]
        chance.shuffle(batches)
        for batch in batches:
            names = chance.random() < _share_of_names(start / len(pairs))
            rows += [_row(pair, pair.subject if names else pair.instruction) for pair in batch]
    return rows


def _share_of_names(progress: float) -> float:
    """Which share of the batches asks for the bare subject, by how far training is."""
    return 1.0 if progress < 0.3 else 0.5 if progress < 0.8 else 0.0


def _row(pair: ComposedPair, instruction: str) -> dict[str, Any]:
    return {"instruction": instruction, "input": "", "response": pair.response, "language": pair.language}


def new_tokenizer(topics: Iterable[Topic]) -> Any:
    """A byte-level BPE over the seeds. Vowel signs stay with their letters, which GPT-2's own pattern tears apart."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    words = Regex(r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(topics), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, model_max_length=CONFIG["max_length"]
    )


def _corpus(topics: Iterable[Topic]) -> list[str]:
    lines = [line for topic in topics for line in (*topic.sentences, *topic.instructions)]
    for wordings in composing.general_instructions().values():
        lines += [wording.format(place=place) for wording in wordings for place in composing.PLACES.values()]
    prompt = prompts.draft("", prompts.PAPER)
    return lines + [prompt.before + prompt.after] * 30  # in every prompt, so it should cost few tokens


def new_model(tokenizer: Any) -> Any:
    """Fresh random weights of a very small Llama."""
    import transformers
    from transformers import LlamaConfig, LlamaForCausalLM

    transformers.set_seed(SEED)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONFIG["max_length"],
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def _halve(folder: Path) -> None:
    """Store the weights in 16 bits: half the size in the repository. They are float32 again when the CPU loads them."""
    import torch
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float16).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)


def _replace(out: Path, written: Path) -> None:
    """Put the new folder in the place of the old one, which goes only when the new one is whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh, stale = out.with_name(f".{out.name}.new"), out.with_name(f".{out.name}.old")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(stale, ignore_errors=True)
    shutil.copytree(written, fresh)
    results.flush(fresh)
    if out.exists():
        out.rename(stale)
    fresh.rename(out)
    shutil.rmtree(stale, ignore_errors=True)
