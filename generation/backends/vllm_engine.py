"""vLLM in this process: continuous batching, and the head that all prompts share is computed once.

Lives in an environment of its own (constraints-vllm.txt). A model is a folder or a hub id, as for transformers. The
engine's own processes end with ours. The same seed gives the same reply as long as the batch leads to the same
rounding: vLLM sums floats in an order that depends on what else is in the batch, and does not promise more.
"""

import gc
import logging
import multiprocessing
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

from generation.backends import hf_local
from generation.backends.base import (
    END,
    PAUSE_SECONDS,
    Ask,
    BackendError,
    Identity,
    Reply,
    Sampling,
    Source,
    Stream,
)
from generation.backends.tokenizing import TokenizedModel, first_line
from generation.prompts import Prompt

logger = logging.getLogger(__name__)

LONGEST_CONTEXT = 8192  # texts are short; memory for more would be taken from the batch
CPU_OPTIONS: dict[str, Any] = {
    "enforce_eager": True,
    "gpu_memory_utilization": 0.2,  # here the share of all memory that the cache of keys and values may take
    "enable_chunked_prefill": False,  # vLLM 0.32 turns back the generator of a seeded chunk, which a CPU's cannot
}
# What vLLM reads when it is imported. It tells nobody outside that it runs.
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}


def identify(source: Source) -> Identity:
    """Which model that is: the same one, in the same words, as for transformers.

    Raises:
        BackendError: there is no such model, or it is not in a form that we read.
    """
    return hf_local.identify(source)


def load(source: Source) -> "VllmModel":
    """The model in an engine; the one already running where it is the same.

    Raises:
        BackendError: there is no such model, no vLLM, or it cannot be loaded.
    """
    global _loaded
    identity = identify(source)
    if _loaded is None or (_loaded.identity, _loaded.options) != (identity, source.options):
        unload()
        _loaded = VllmModel(identity, source)
    return _loaded


def unload() -> None:
    """End the engine and its processes."""
    global _loaded
    if _loaded is not None:
        _loaded.guard.kill()
        _loaded.guard.wait()
        _loaded.engine.engine_core.shutdown()
    _loaded = None
    gc.collect()


_loaded: "VllmModel | None" = None


class VllmModel(TokenizedModel):
    """An engine with a model in it."""

    has_likelihoods = True

    def __init__(self, identity: Identity, source: Source) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from transformers import AutoConfig, AutoTokenizer
            from vllm import LLM
            from vllm.platforms import current_platform
        except ImportError as exc:
            raise BackendError(
                f"vLLM is not installed here ({exc}). It wants an environment of its own: `make vllm` makes one, and a "
                "worker started with its Python drafts with it; or use `vllm serve` and the backend 'openai'."
            ) from exc
        self.options = source.options
        folder = hf_local.snapshot(source)
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            longest = config.get_text_config().max_position_embeddings or 2048
            options: dict[str, Any] = {
                "max_model_len": min(longest, int(tokenizer.model_max_length), LONGEST_CONTEXT),
                "enable_prefix_caching": True,
                "load_format": "safetensors",
                "seed": 0,
            }
            if current_platform.is_cpu():
                options |= CPU_OPTIONS | {"max_num_batched_tokens": max(4096, options["max_model_len"])}
            before = {child.pid for child in multiprocessing.active_children()}
            self.llm = LLM(model=str(folder), trust_remote_code=False, **(options | source.options))
        except Exception as exc:  # foreign files and machines can be wrong in many ways
            raise BackendError(f"vLLM cannot load '{identity.name}': {first_line(exc)}") from exc
        self.guard = guard({child.pid for child in multiprocessing.active_children()} - before)
        self.engine: Any = self.llm.llm_engine
        settled = self.engine.vllm_config
        super().__init__(identity, tokenizer, settled.model_config.max_model_len)
        self.batch_size = settled.scheduler_config.max_num_seqs
        self.asked = 0
        logger.info("loaded %s at %s into vLLM", identity.name, identity.revision[:12])

    def generate(self, prompts: Sequence[Prompt], *, sampling: Sampling, seeds: Sequence[int]) -> list[Reply]:
        """One reply for each prompt, in order."""
        asks = [Ask((i, 0), prompt, seed) for i, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))]
        replies = {}
        for answered in self.stream(iter(asks), sampling=sampling):
            if answered is not None:
                replies[answered[0].key[0]] = answered[1]
        return [replies[i] for i in range(len(asks))]

    def stream(self, asks: Iterator[Ask | None], *, sampling: Sampling) -> Stream:
        """Replies as they are ready; a new question comes in wherever one is done."""
        under_way: dict[str, Ask] = {}
        is_over = False
        try:
            while under_way or not is_over:
                # Beyond the running ones some wait inside the engine, so that no place in a batch stays empty.
                while not is_over and len(under_way) < 2 * self.batch_size:
                    ask = next(asks, END)
                    is_over = ask is END
                    if not isinstance(ask, Ask):
                        break
                    ids = self._prompt_ids(ask.prompt, sampling.max_new_tokens)
                    under_way[self._add(ids, params_of(sampling, ask))] = ask
                if not under_way:
                    time.sleep(PAUSE_SECONDS)
                    yield None
                    continue
                for output in self._step():
                    yield under_way.pop(output.request_id), reply_of(output)
                yield None
        finally:
            self._drop(list(under_way))

    def loglikelihood(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """Mean natural log-probability per token of each completion after its prompt."""
        rows = self._answered_ids(prompts, completions, spare=1)
        return [sum(chances) / len(chances) for chances in self._chances(rows)]

    def choose(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[list[float]]:
        """How likely each choice, which is one token, comes next after each prompt, as natural logarithms."""
        end = prompts[0].plain()[-1:] if prompts else ""
        ids_of = [self.tokenizer(f"{end}{choice}", add_special_tokens=False)["input_ids"][-1] for choice in choices]
        rows = [(ids, [choice]) for prompt in prompts for ids in [self._prompt_ids(prompt, 2)] for choice in ids_of]
        found = [chances[0] for chances in self._chances(rows)]
        return [found[i : i + len(choices)] for i in range(0, len(found), len(choices))]

    def _chances(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
        """Log-probabilities of the tokens of each answer after its prompt."""
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)
        under_way = {self._add(prompt + answer, params): i for i, (prompt, answer) in enumerate(rows)}
        found: dict[int, list[float]] = {}
        try:
            while under_way:
                for output in self._step():
                    i = under_way.pop(output.request_id)
                    answer = rows[i][1]
                    places = output.prompt_logprobs[-len(answer) :]
                    found[i] = [place[token].logprob for place, token in zip(places, answer, strict=True)]
        finally:
            self._drop(list(under_way))
        return [found[i] for i in range(len(rows))]

    def _add(self, ids: list[int], params: Any) -> str:
        self.asked += 1
        name = str(self.asked)
        self.engine.add_request(name, {"prompt_token_ids": ids}, params)
        return name

    def _step(self) -> list[Any]:
        """The requests that one step of the engine finished."""
        from vllm.v1.engine.exceptions import EngineDeadError

        global _loaded
        try:
            return [output for output in self.engine.step() if output.finished]
        except EngineDeadError as exc:
            _loaded = None  # the next load starts another
            raise BackendError(f"The engine of '{self.identity.name}' died: {first_line(exc)}") from exc

    def _drop(self, names: list[str]) -> None:
        if names and _loaded is self:
            self.engine.abort_request(names)


def guard(pids: set[int | None]) -> subprocess.Popen[bytes]:
    """A shell that kills these processes when ours is gone, however it went.

    Killed outright, we would leave the engine running, and all its memory taken.
    """
    script = 'read _; kill -9 "$@" 2>/dev/null'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "guard", *map(str, pids)], stdin=subprocess.PIPE, start_new_session=True
    )


def params_of(sampling: Sampling, ask: Ask) -> Any:
    """The sampling of one question in vLLM's words."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=sampling.max_new_tokens,
        seed=ask.seed,
        output_kind=RequestOutputKind.FINAL_ONLY,
        structured_outputs=StructuredOutputsParams(json=ask.prompt.schema) if ask.prompt.schema else None,
    )


def reply_of(output: Any) -> Reply:
    completion = output.outputs[0]
    return Reply(
        completion.text,
        len(completion.token_ids),
        completion.finish_reason or "stop",
        prompt_tokens=len(output.prompt_token_ids),
    )
