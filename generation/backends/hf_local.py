"""Causal language models through transformers, on a GPU where there is one and on the CPU otherwise.

A model is a folder, a hub id, or the starter model that comes with the project. Only safetensors are read, and no code
that comes with a model is ever run. A process keeps the model it loaded last.
"""

import contextlib
import functools
import gc
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from generation.backends.base import Ask, BackendError, Identity, Reply, Sampling, Source, Stream, stream_in_batches
from generation.backends.tokenizing import TokenizedModel, first_line
from generation.prompts import Prompt

logger = logging.getLogger(__name__)

STARTER_DIR = Path(__file__).resolve().parent.parent / "starter" / "model"
STARTER = "starter"  # as a location, so that a moved checkout still knows its own model
BATCH_SIZE_CPU = 16
BATCH_SIZE_GPU = 64
HUB_SECONDS = 10
_HUB_ID = re.compile(r"^[\w.-]{1,96}(?:/[\w.-]{1,96})?$")


def identify(source: Source) -> Identity:
    """Which model that is. Reads files and perhaps asks the hub; loads no weights.

    Raises:
        BackendError: there is no such model, or it is not in a form that we read.
    """
    folder = _folder(source)
    licence = _licence(folder)
    has_template = (folder / "chat_template.jinja").exists() or "chat_template" in _tokenizer_config(folder)
    if source.model == STARTER or Path(source.model).is_dir():
        name = "starter model" if source.model == STARTER else folder.name
        location = STARTER if source.model == STARTER else str(folder)
        return Identity(name, location, weights_sha256(folder), has_template, licence)
    return Identity(source.model, source.model, folder.name, has_template, licence)


def load(source: Source) -> "LocalModel":
    """The model, ready to answer; the one already in memory where it is the same.

    Raises:
        BackendError: there is no such model, or it cannot be loaded.
    """
    global _loaded
    identity = identify(source)
    if _loaded is None or _loaded.identity != identity:
        _loaded = None
        gc.collect()  # the old weights go before the new ones come
        _loaded = LocalModel(identity, snapshot(source))
    return _loaded


_loaded: "LocalModel | None" = None


class LocalModel(TokenizedModel):
    """A tokenizer and weights in memory."""

    has_likelihoods = True

    def __init__(self, identity: Identity, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # commands have a bar of their own, logs want none
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.batch_size = BATCH_SIZE_GPU if self.device == "cuda" else BATCH_SIZE_CPU
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype="auto" if self.device == "cuda" else torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
            )
            self.model = model.to(self.device).eval()
        except Exception as exc:  # foreign files can be wrong in as many ways as there are libraries that read them
            raise BackendError(f"The model '{identity.name}' cannot be loaded: {first_line(exc)}") from exc
        longest = self.model.config.get_text_config().max_position_embeddings or 2048
        super().__init__(identity, tokenizer, min(longest, int(tokenizer.model_max_length)))
        self.pad_id = next((i for i in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id) if i is not None), 0)
        logger.info("loaded %s at %s on %s", identity.name, identity.revision[:12], self.device)

    def generate(self, prompts: Sequence[Prompt], *, sampling: Sampling, seeds: Sequence[int]) -> list[Reply]:
        """One reply for each prompt, in order.

        Each row draws from random numbers of its own, so a reply depends on its prompt and seed and not on its
        neighbours in the batch (up to rounding: another batch shape may sum floats in another order, which can turn
        a draw that falls on the very edge between two tokens).
        """
        rows = [self._prompt_ids(prompt, sampling.max_new_tokens) for prompt in prompts]
        replies: list[Reply | None] = [None] * len(rows)
        by_length = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)  # the largest first: fail early
        for batch in _batches(by_length, self.batch_size):
            of_batch = self._generate([rows[i] for i in batch], sampling, [seeds[i] for i in batch])
            for i, reply in zip(batch, of_batch, strict=True):
                replies[i] = reply
        return [reply for reply in replies if reply is not None]

    def stream(self, asks: Iterator[Ask | None], *, sampling: Sampling) -> Stream:
        """Replies batch by batch, texts of like length together."""
        return stream_in_batches(self, asks, sampling=sampling, at_hand=4 * self.batch_size)

    def _generate(self, rows: list[list[int]], sampling: Sampling, seeds: list[int]) -> list[Reply]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        ids, mask = self._padded(rows)
        eos = self.model.generation_config.eos_token_id
        eos_ids = {self.tokenizer.eos_token_id, *(eos if isinstance(eos, list) else [eos])} - {None}
        config = GenerationConfig(
            do_sample=False,  # the drawing is done by SeededDraw
            temperature=1.0,
            top_p=1.0,
            top_k=50,
            max_new_tokens=sampling.max_new_tokens,
            pad_token_id=self.pad_id,
            eos_token_id=sorted(eos_ids) or None,
        )
        draw = SeededDraw(seeds, sampling, start=ids.shape[1], device=self.device)
        try:
            with torch.inference_mode():
                output = self.model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    generation_config=config,
                    logits_processor=LogitsProcessorList([draw]),
                )
        except torch.OutOfMemoryError as exc:
            if len(rows) == 1:
                raise BackendError("The GPU has too little memory for this model and one text of this length.") from exc
            half = len(rows) // 2
            self.batch_size = half
            logger.warning("out of GPU memory: from now on %d texts at once", half)
            torch.cuda.empty_cache()
            return self._generate(rows[:half], sampling, seeds[:half]) + self._generate(
                rows[half:], sampling, seeds[half:]
            )
        replies = []
        for row in output[:, ids.shape[1] :].tolist():
            end = next((n for n, token in enumerate(row) if token in eos_ids), None)
            text = self.tokenizer.decode(row[:end], skip_special_tokens=True)
            replies.append(Reply(text, len(row) if end is None else end + 1, "length" if end is None else "stop"))
        return replies

    def loglikelihood(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """Mean natural log-probability per token of each completion after its prompt."""
        rows = self._answered_ids(prompts, completions)
        means = [0.0] * len(rows)
        by_length = sorted(range(len(rows)), key=lambda i: len(rows[i][0]) + len(rows[i][1]), reverse=True)
        for batch in _batches(by_length, self.batch_size):
            for i, mean in zip(batch, self._loglikelihood([rows[i] for i in batch]), strict=True):
                means[i] = mean
        return means

    def _loglikelihood(self, rows: list[tuple[list[int], list[int]]]) -> list[float]:
        import torch

        ids, mask = self._padded([prompt + answer for prompt, answer in rows])
        longest = max(len(answer) for _, answer in rows)
        # Left padding puts every answer at the right edge: only those columns need logits.
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        with torch.inference_mode():
            logits = self.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=longest + 1
            ).logits[:, -(longest + 1) : -1]
            chances = logits.float().log_softmax(-1)
            chosen = chances.gather(-1, ids[:, -longest:].unsqueeze(-1)).squeeze(-1)
        return [chosen[i, longest - len(answer) :].mean().item() for i, (_, answer) in enumerate(rows)]

    def choose(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[list[float]]:
        """How likely each choice, which is one token, comes next after each prompt, as natural logarithms."""
        import torch

        rows = [self._prompt_ids(prompt, 1) for prompt in prompts]
        # As the token stands behind the end of the prompt, not as it stands at the beginning of a text.
        end = prompts[0].plain()[-1:] if prompts else ""
        ids_of = [self.tokenizer(f"{end}{choice}", add_special_tokens=False)["input_ids"][-1] for choice in choices]
        chances: list[list[float]] = [[]] * len(rows)
        by_length = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)
        for batch in _batches(by_length, self.batch_size):
            ids, mask = self._padded([rows[i] for i in batch])
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            with torch.inference_mode():
                logits = self.model(
                    input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1
                ).logits[:, -1]
            for i, row in zip(batch, logits.float().log_softmax(-1)[:, ids_of].tolist(), strict=True):
                chances[i] = row
        return chances

    def _padded(self, rows: list[list[int]]) -> tuple[Any, Any]:
        import torch

        width = max(len(row) for row in rows)
        ids = torch.tensor([[self.pad_id] * (width - len(row)) + row for row in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.device)
        return ids, mask


class SeededDraw:
    """Draws each row's next token with the row's own random numbers, and leaves only that token possible.

    One uniform number per row and step, turned into a token by the inverse of the distribution after temperature,
    top-k and top-p. Tokens stand in the order of their ids, so that two nearly equal probabilities changing places
    does not change the draw.
    """

    def __init__(self, seeds: list[int], sampling: Sampling, *, start: int, device: str) -> None:
        import numpy as np
        import torch

        draws = np.stack([np.random.Generator(np.random.PCG64(seed)).random(sampling.max_new_tokens) for seed in seeds])
        self.draws = torch.from_numpy(draws).to(device)
        self.sampling = sampling
        self.start = start

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        if self.sampling.temperature == 0:
            chosen = scores.argmax(-1, keepdim=True)
        else:
            vocabulary = scores.shape[-1]
            kept, ids = scores.float().topk(min(self.sampling.top_k or vocabulary, vocabulary), dim=-1)
            chances = (kept / self.sampling.temperature).softmax(-1).double()
            before = chances.cumsum(-1) - chances
            chances = chances.masked_fill(before >= self.sampling.top_p, 0)
            ids, order = ids.sort(dim=-1)
            edges = chances.gather(-1, order).cumsum(-1)
            step = input_ids.shape[1] - self.start
            target = self.draws[:, step : step + 1] * edges[:, -1:]
            place = torch.searchsorted(edges, target, right=True).clamp(max=ids.shape[-1] - 1)
            chosen = ids.gather(-1, place)
        return torch.full_like(scores, float("-inf")).scatter(-1, chosen, 0.0)


def weights_sha256(folder: Path) -> str:
    """Hash over the weight files of a folder, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        stat = path.stat()
        digest.update(f"{path.name} {_file_sha256(path, stat.st_size, stat.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=64)
def _file_sha256(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder(source: Source) -> Path:
    """The folder with the model's small files; weights of a hub model may still be missing."""
    if source.model == STARTER:
        if not (STARTER_DIR / "config.json").exists():
            raise BackendError(f"The starter model is not in its folder, {STARTER_DIR}. Is the checkout whole?")
        return _checked(STARTER_DIR)
    if not source.model:
        raise BackendError("This backend needs a model: a folder or a hub id (XI_MODEL or --model).")
    folder = Path(source.model).expanduser()
    if folder.is_dir():
        return _checked(folder.resolve())
    if os.path.isabs(source.model) or source.model.startswith((".", "~")) or not _HUB_ID.match(source.model):
        raise BackendError(f"There is no model folder {source.model}.")
    return _hub_folder(source)


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").exists():
        raise BackendError(f"{folder} holds no model: config.json is missing.")
    if not any(folder.glob("*.safetensors")):
        raise BackendError(
            f"{folder} holds no safetensors, and other weight files are not read because they may run code."
        )
    return folder


def _hub_folder(source: Source) -> Path:
    """The snapshot folder of a hub model, whose name is the commit. Without a network, what the cache has."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    revision, is_offline = source.revision or None, False
    try:
        revision = HfApi().model_info(source.model, revision=revision, timeout=HUB_SECONDS).sha
    except (HfHubHTTPError, HFValidationError) as exc:
        raise BackendError(f"The hub does not give '{source.model}': {first_line(exc)}") from exc
    except Exception as exc:  # no network, no name, no route, told to stay offline: each client library has its own
        logger.info("the hub cannot be reached (%s): looking into its cache", type(exc).__name__)
        is_offline = True
    try:
        folder = Path(
            hf_hub_download(source.model, "config.json", revision=revision, local_files_only=is_offline)
        ).parent
    except LocalEntryNotFoundError as exc:
        raise BackendError(
            f"'{source.model}' is no folder here, is not in the hub's cache, and the hub cannot be reached. "
            "Give a folder that holds the model, or download it where there is a network."
        ) from exc
    except EntryNotFoundError as exc:
        raise BackendError(f"'{source.model}' on the hub holds no config.json.") from exc
    except (HfHubHTTPError, OSError) as exc:
        raise BackendError(f"The hub does not give '{source.model}': {first_line(exc)}") from exc
    for name in ("tokenizer_config.json", "chat_template.jinja", "README.md"):
        with contextlib.suppress(EntryNotFoundError):
            hf_hub_download(source.model, name, revision=revision, local_files_only=is_offline)
    return folder


def snapshot(source: Source) -> Path:
    """The folder with everything in it, downloaded where needed."""
    folder = _folder(source)
    if source.model == STARTER or Path(source.model).expanduser().is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        # By its commit, so a snapshot that is whole in the cache needs no network.
        whole = snapshot_download(
            source.model,
            revision=folder.name,
            allow_patterns=["*.safetensors", "*.json", "*.model", "*.jinja", "*.txt", "tokenizer*"],
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as exc:
        raise BackendError(f"The weights of '{source.model}' cannot be downloaded: {first_line(exc)}") from exc
    return _checked(Path(whole))


def _tokenizer_config(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _licence(folder: Path) -> str:
    """The licence named at the head of the model's card."""
    card = folder / "README.md"
    if not card.exists():
        return ""
    found = re.search(r"\A---\n.*?^license:[ \t]*[\"']?([\w.+-]+)", card.read_text(encoding="utf-8"), re.S | re.M)
    return found.group(1) if found else ""


def _batches(indices: list[int], size: int) -> list[list[int]]:
    return [indices[i : i + size] for i in range(0, len(indices), size)]
