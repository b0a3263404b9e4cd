"""Training itself, with TRL and PEFT: weights and examples in, new weights out. Knows no database.

Checkpoints go by the clock; training goes on from the last whole one. A watch looks on and can end it. How well the
model does on held-out pairs is measured before the first step, some times on the way, and after the last.
"""

import copy
import json
import logging
import math
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from generation import footprint
from generation.backends import hf_local
from generation.lessons import example, fitted, preferences
from generation.models import Method, ModelVersion
from generation.recipes import DPO, LONGEST, TrainingError

logger = logging.getLogger(__name__)

VALIDATIONS = 6  # on the way from the first step to the last
SPEED_STEPS = 20  # that a speed is measured over


class NotOurs(Exception):
    """The run was stopped, is finished, or somebody else trains it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is after a step. Of the last two there is nothing to say after every step."""

    step: int
    steps_total: int
    loss: float
    learning_rate: float | None = None
    tokens_per_second: float | None = None


@dataclass(slots=True)
class Outcome:
    """What a finished training measured."""

    steps: int = 0
    loss_first: float = 0.0
    loss_last: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    skipped: int = 0  # pairs whose prompt alone fills the context
    precision: str = "fp32"
    device: str = "cpu"
    max_length: int = 0


class Watch:
    """Looks on while a model is trained. This one lets it go on and only shows where it is."""

    def __init__(self, on_progress: Callable[[Progress], None] | None = None) -> None:
        self.on_progress = on_progress

    def begin(self, step: int) -> None:
        """Training goes on after this step: from 0, or from a checkpoint."""

    def go_on(self, step: int, steps_total: int, *, saves: bool = False) -> bool:
        """Called after every step, and before its checkpoint where it has one. False ends the training."""
        return True

    def wants_checkpoint(self) -> bool:
        """Asked when training is ended early: whether somebody may want to go on from here."""
        return False

    def note(self, progress: Progress) -> None:
        if self.on_progress:
            self.on_progress(progress)

    def validated(self, step: int, loss: float) -> None:
        """Called with the loss on the held-out pairs after a step."""


def fit(
    rows: list[dict[str, Any]],
    *,
    task: str,
    base: tuple[Any, Any],
    method: str,
    config: dict[str, Any],
    work: Path,
    watch: Watch,
    validation: Sequence[dict[str, Any]] = (),
) -> tuple[Path, Outcome]:
    """Train on the rows, from the last checkpoint in `work` if there is one. Knows no database.

    Args:
        base: model and tokenizer, as `load_base` gives them.
        config: every name of DEFAULTS, with a learning rate.
        validation: rows that nothing is learned from, to measure on.
    Returns:
        The folder in `work` with the new weights and tokenizer, and what was measured.
    Raises:
        TrainingError: it cannot be done; the message says why.
        NotOurs: the watch said stop.
    """
    import datasets
    import transformers

    # Progress is the watch's to show.
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    model, tokenizer = base
    max_length = _max_length(config, model)
    precision = precision_for(config.get("precision"))
    examples = _examples(rows, task, tokenizer, config, max_length)
    if not examples:
        raise TrainingError(f"No pair fits into {max_length} tokens.")
    held_out = _examples(validation, task, tokenizer, config, max_length)
    outcome = Outcome(skipped=len(rows) - len(examples), precision=precision, max_length=max_length)
    transformers.set_seed(config["seed"])
    try:
        trainer = _trainer(
            config,
            _arguments(config, work / "checkpoints", max_length, precision, validates=bool(held_out)),
            model=model,
            train_dataset=datasets.Dataset.from_list(examples),
            eval_dataset=datasets.Dataset.from_list(held_out) if held_out else None,
            processing_class=tokenizer,
            callbacks=[_callback(watch, outcome)],
            peft_config=_lora(config) if method == Method.LORA else None,
        )
    except (ValueError, KeyError) as exc:
        raise TrainingError(f"The trainer refuses: {exc}") from exc
    if method == Method.FULL and config.get("objective") != DPO and trainer.args.use_cpu:
        _score_replies_only(trainer.model)
    outcome.device = str(trainer.args.device)
    trainer.remove_callback(transformers.PrinterCallback)  # the watch tells, and better
    checkpoint = _last_checkpoint(work / "checkpoints")
    logger.info(
        "%s on %s, %s, up to %d tokens: %d pairs to learn from, %d held out%s",
        method, outcome.device, precision, max_length, len(examples), len(held_out),
        f", going on from {checkpoint.name}" if checkpoint else "",
    )  # fmt: skip
    watch.begin(int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not watch.go_on(trainer.state.global_step, trainer.state.max_steps):
        raise NotOurs("Training was stopped, or somebody else took it over.")
    trained = trainer.model.merge_and_unload() if method == Method.LORA else trainer.model
    written = work / "model"
    shutil.rmtree(written, ignore_errors=True)
    tokenizer.chat_template = None  # it learned the plain prompt, so it is to be asked with the plain prompt
    trained.save_pretrained(written)
    tokenizer.save_pretrained(written)
    return written, outcome


def load_base(version: ModelVersion, method: str = Method.FULL, precision: str | None = None) -> tuple[Any, Any]:
    """Weights and tokenizer of a model version. Weights are float32, unless LoRA leaves them as they are.

    Raises:
        TrainingError: they are not there or cannot be read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    is_frozen = method == Method.LORA and precision_for(precision) == "bf16"
    is_starter = version.location == hf_local.STARTER
    place = str(hf_local.STARTER_DIR) if is_starter else version.location
    hub = {} if Path(place).is_dir() else {"revision": version.revision}
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **hub)
        model = AutoModelForCausalLM.from_pretrained(
            place, dtype=torch.bfloat16 if is_frozen else torch.float32, use_safetensors=True, **hub
        )
    except (OSError, ValueError) as exc:
        raise TrainingError(f"The base model '{version.name}' cannot be loaded: {exc}") from exc
    if tokenizer.eos_token is None:
        raise TrainingError(
            f"The tokenizer of '{version.name}' has no end-of-sequence token, so replies would never end."
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def _examples(
    rows: Sequence[dict[str, Any]], task: str, tokenizer: Any, config: dict[str, Any], max_length: int
) -> list[dict[str, str]]:
    if config.get("objective") == DPO:
        return preferences(tokenizer, rows, max_length)
    tags = bool(config.get("source_tags"))
    return fitted(tokenizer, [example(task, row, tags=tags) for row in rows], max_length)


def _max_length(config: dict[str, Any], model: Any) -> int:
    """How many tokens a pair may have.

    Raises:
        TrainingError: more were asked for than the model has positions for.
    """
    context = int(model.config.get_text_config().max_position_embeddings or LONGEST)
    asked = config.get("max_length")
    if asked and asked > context:
        raise TrainingError(f"The recipe's max_length is {asked}, and the base model reads {context} tokens at most.")
    return int(asked or min(LONGEST, context))


def precision_for(asked: str | None) -> str:
    """The precision of this device's arithmetic; weights of a full training stay in 32 bits beside it.

    Raises:
        TrainingError: the device cannot do what was asked for.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    has_bf16 = has_gpu and torch.cuda.is_bf16_supported()
    if asked == "fp16" and not has_gpu:
        raise TrainingError("The precision fp16 needs a GPU, and this worker has none: choose fp32 or bf16.")
    if asked == "bf16" and has_gpu and not has_bf16:
        raise TrainingError(f"{torch.cuda.get_device_name()} cannot do bf16: choose fp16 or fp32.")
    return asked or ("bf16" if has_bf16 else "fp32")


def _trainer(config: dict[str, Any], arguments: dict[str, Any], *, model: Any, **given: Any) -> Any:
    """TRL's trainer for the objective."""
    if config.get("objective") == DPO:
        from trl import DPOConfig, DPOTrainer

        # The reference is the base as it is now, also where training goes on from a checkpoint; with LoRA it is the
        # same weights without the adapter.
        reference = None if given["peft_config"] else copy.deepcopy(model)
        return DPOTrainer(model, reference, DPOConfig(beta=config["beta"], **arguments), **given)
    from trl import SFTConfig, SFTTrainer

    return SFTTrainer(model, SFTConfig(completion_only_loss=True, **arguments), **given)


def _arguments(
    config: dict[str, Any], output: Path, max_length: int, precision: str, *, validates: bool
) -> dict[str, Any]:
    import torch

    has_gpu = torch.cuda.is_available()
    packing = {"packing": True} if config.get("packing") else {}
    validation = {
        "eval_strategy": "steps",
        "eval_steps": 1 / VALIDATIONS,
        "eval_on_start": True,
        "per_device_eval_batch_size": config["batch_size"],
        "prediction_loss_only": True,
    }
    if packing:  # each held-out pair counts for itself, however it is packed
        validation["eval_packing"] = False
    return {
        "output_dir": str(output),
        "num_train_epochs": config["epochs"],
        "per_device_train_batch_size": config["batch_size"],
        "gradient_accumulation_steps": config["accumulate"],
        "learning_rate": config["learning_rate"],
        "lr_scheduler_type": config["schedule"],
        "warmup_steps": config["warmup"],
        "weight_decay": config["weight_decay"],
        "max_grad_norm": config["max_grad_norm"],
        "max_length": max_length,
        "train_sampling_strategy": config["order"],
        "seed": config["seed"],
        "use_cpu": not has_gpu,
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "gradient_checkpointing": has_gpu,
        "dataloader_pin_memory": has_gpu,
        "logging_steps": 1,
        "save_strategy": "no",  # by the clock: see _callback
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        **packing,
        **(validation if validates else {}),
    }


def _score_replies_only(model: Any) -> None:
    """Have the output layer look at positions that count in the loss, and at no other.

    TRL does so where there is Triton, and elsewhere scores the whole prompt too: for a small model on the CPU, most of
    the work.
    """
    import torch
    from trl.trainer.utils import FusedCausalLMOutput

    fused = model.forward

    def forward(*args: Any, fused_lm_head: bool = False, labels: Any = None, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return fused(*args, labels=labels, **kwargs)
        hidden = model.base_model(*args, **(kwargs | {"use_cache": False})).last_hidden_state[:, :-1]
        mask = labels[:, 1:] != -100
        chances = model.get_output_embeddings()(hidden[mask]).float().log_softmax(-1)
        targets = labels[:, 1:][mask]
        with torch.no_grad():
            entropy = -(chances.exp() * chances).sum(-1)
            is_top1 = chances.argmax(-1) == targets

        def spread(values: Any) -> Any:
            return values.new_zeros(mask.shape).masked_scatter(mask, values)

        log_probs = spread(chances.gather(-1, targets.unsqueeze(-1)).squeeze(-1))
        return FusedCausalLMOutput(
            loss=-log_probs.sum() / mask.sum().clamp(min=1),
            log_probs=log_probs,
            entropy=spread(entropy),
            is_top1=spread(is_top1),
            label_mask=mask,
        )

    model.forward = forward


def _lora(config: dict[str, Any]) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=config["lora_rank"], lora_alpha=2 * config["lora_rank"], target_modules="all-linear", task_type="CAUSAL_LM"
    )


def _callback(watch: Watch, outcome: Outcome) -> Any:
    """The trainer's view of a watch. Checkpoints go by the clock, as steps may take milliseconds or minutes."""
    from transformers import TrainerCallback

    class Report(TrainerCallback):
        def __init__(self) -> None:
            self.saved_at = time.monotonic()
            self.before: tuple[float, int] | None = None  # when the last step ended, and the tokens by then
            self.spans: deque[tuple[float, int]] = deque(maxlen=SPEED_STEPS)  # seconds and tokens of the last steps

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if time.monotonic() - self.saved_at > settings.CHECKPOINT_SECONDS:
                self.saved_at = time.monotonic()
                control.should_save = True
            if state.global_step == state.max_steps and args.eval_strategy != "no":
                control.should_evaluate = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            logger.info("saved a checkpoint at step %d", state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if "train_runtime" in logs:
                outcome.seconds = float(logs["train_runtime"])
            if "eval_loss" in logs:
                logger.info("validation loss %.4f at step %d", logs["eval_loss"], state.global_step)
                watch.validated(state.global_step, float(logs["eval_loss"]))
            if "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise TrainingError(f"The loss became {loss} at step {state.global_step}. Try a lower learning_rate.")
            if not outcome.steps:
                outcome.loss_first = loss
            outcome.steps, outcome.loss_last = state.global_step, loss
            outcome.tokens = int(logs["num_tokens"])
            speed = self.speed(interrupted=control.should_evaluate or control.should_save)
            watch.note(Progress(state.global_step, state.max_steps, loss, logs.get("learning_rate"), speed))
            if not watch.go_on(state.global_step, state.max_steps, saves=control.should_save):
                control.should_training_stop = True
                control.should_evaluate = False
                control.should_save = watch.wants_checkpoint()

        def speed(self, *, interrupted: bool) -> float | None:
            """Tokens per second of the last steps; what comes between them, checkpoints and validation, is left out."""
            now = (time.monotonic(), outcome.tokens)
            if self.before:
                self.spans.append((now[0] - self.before[0], now[1] - self.before[1]))
            self.before = None if interrupted else now
            seconds = sum(span[0] for span in self.spans)
            return sum(span[1] for span in self.spans) / seconds if seconds else None

    return Report()


def footprint_of(model: Any, method: str, config: dict[str, Any]) -> footprint.Footprint:
    """What training that model by that recipe takes on this machine."""
    import torch

    return footprint.of(
        model,
        method=method,
        batch_size=config["batch_size"],
        max_length=_max_length(config, model),
        lora_rank=config["lora_rank"],
        precision=precision_for(config.get("precision")),
        recomputes=torch.cuda.is_available(),
    )


def device_memory() -> tuple[str, int | None]:
    """What computes here, and how many bytes of memory it has in all, where that is known."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(), torch.cuda.mem_get_info()[1]
    return "this machine", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def is_out_of_memory(exc: BaseException) -> bool:
    import torch

    if isinstance(exc, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(exc, RuntimeError) and "can't allocate memory" in str(exc)


def _last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint. The trainer writes trainer_state.json last, so one without it was cut short."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for checkpoint in reversed(found):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return checkpoint
    return None
