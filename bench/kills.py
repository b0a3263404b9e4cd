"""kill -9 of the worker at random moments of a fine-tune: `python -m bench.kills --moments 10`.

A first run is left alone and says how long one takes. Then, for each moment, the same training is queued as a run of
its own, its worker and work horse are killed at a random time between the claim and the end, and another worker is
started. Checked each time: training went on from a checkpoint where one was there, the losses are those of the first
run, there is one result, every folder under a final name is whole, and nothing else lies beside it.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bench.filling import installation
from bench.finetuning import composed, freeze

if TYPE_CHECKING:
    from generation.models import FineTuneRun, ModelVersion, Release

ROOT = Path(__file__).resolve().parent.parent
HEARTBEAT_SECONDS = 5


@dataclass(slots=True)
class Told:
    """What happened at one moment."""

    after: float
    at: str
    checkpoint: str
    went_on_from: int
    wrong: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=10, help="(default: 10)")
    parser.add_argument("--pairs", type=int, default=200, help="(default: 200)")
    parser.add_argument("--epochs", type=float, default=2.0, help="(default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--cores", type=int, default=2, help="(default: 2)")
    options = parser.parse_args()
    os.environ |= {"XI_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS), "XI_CHECKPOINT_SECONDS": "1"}
    with installation(options.cores):
        return measure(options)


def measure(options: argparse.Namespace) -> int:
    from generation import loading

    console = Console()
    chance = random.Random(options.seed)
    release = freeze(composed(options.pairs))
    base, _ = loading.model_version("starter", "starter", task="answer")
    with console.status("a run that is left alone"):
        first = open_run(release, base, options, 0)
        worker = start_worker()
        wait_for(lambda: state_of(first) == "running", "a worker that takes the run")
        started = time.monotonic()
        wait_for(lambda: state_of(first) == "done", "the end of the first run")
        whole = time.monotonic() - started
        kill(worker)
    told = []
    for number in range(1, options.moments + 1):
        with console.status(f"moment {number} of {options.moments}; a run takes {whole:.0f} seconds"):
            told.append(moment(open_run(release, base, options, number), first, chance.uniform(0, whole)))
    table = Table(title=f"kill -9 at {len(told)} moments of a fine-tune of {whole:.0f} seconds", title_justify="left")
    for column in ("killed after", "run", "last whole checkpoint", "went on at step", "wrong"):
        table.add_column(column)
    for one in told:
        table.add_row(
            f"{one.after:.1f} s", one.at, one.checkpoint, str(one.went_on_from), "; ".join(one.wrong) or "nothing"
        )
    console.print(table)
    return 1 if any(one.wrong for one in told) else 0


def open_run(release: "Release", base: "ModelVersion", options: argparse.Namespace, number: int) -> "FineTuneRun":
    """The same training each time, and a run of its own: only preferences look at beta."""
    from generation import finetuning, jobs, queueing

    config = {"epochs": options.epochs, "max_length": 256, "validation": 0.05, "beta": 0.1 + number / 1000}
    run = finetuning.open_run("answer", releases=[release], base_model=base, config=config)
    queueing.ring(jobs.train_run, run, jobs.TRAINING_QUEUE)
    return run


def moment(run: "FineTuneRun", first: "FineTuneRun", after: float) -> Told:
    from generation import results

    worker = start_worker()
    wait_for(lambda: state_of(run) == "running", "a worker that takes the run")
    time.sleep(after)
    kill(worker)
    run.refresh_from_db()
    checkpoints = [
        int(path.parent.name.rpartition("-")[2])
        for path in results.work_folder(run).glob("checkpoints/checkpoint-*/trainer_state.json")
    ]
    at = f"{run.state}, step {run.step} of {run.steps_total}"
    was_done = run.state == "done"
    killed_at = max(checkpoints, default=0)
    time.sleep(HEARTBEAT_SECONDS + 1)  # the dead worker's claim has to grow old
    written = {line.step: line.at for line in run.log.all()}
    worker = start_worker()
    wait_for(lambda: state_of(run) == "done", "the end of a run that was killed")
    kill(worker)
    again = [line.step for line in run.log.order_by("step") if written.get(line.step) != line.at]
    wrong = faults(run, first)
    if not was_done and again and again[0] <= killed_at:
        wrong.append(f"step {again[0]} was taken again, and checkpoint {killed_at} was there")
    return Told(after, at, str(killed_at or "none"), again[0] if again else 0, wrong)


def faults(run: "FineTuneRun", first: "FineTuneRun") -> list[str]:
    """What is not as it should be after a run that was killed and went on."""
    from django.conf import settings

    from generation import results
    from generation.backends import hf_local
    from generation.models import ModelVersion

    wrong = []
    versions = list(ModelVersion.objects.filter(fine_tune_run=run))
    if len(versions) != 1:
        wrong.append(f"{len(versions)} results")
    losses = [list(each.log.order_by("step").values_list("step", "loss")) for each in (run, first)]
    if [step for step, _ in losses[0]] != [step for step, _ in losses[1]]:
        wrong.append("steps are missing from the log")
    elif any(abs(one[1] - other[1]) > 0.001 for one, other in zip(*losses, strict=True)):
        wrong.append("another loss curve")
    known = set(ModelVersion.objects.exclude(fine_tune_run=None).values_list("location", "revision"))
    for folder in sorted(Path(settings.MODELS_DIR).resolve().iterdir()):
        if (str(folder), hf_local.weights_sha256(folder)) not in known:
            wrong.append(f"{folder.name} is no whole result")
        elif not json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["key"]:
            wrong.append(f"{folder.name} has no recipe")
    if results.work_folder(run).exists():
        wrong.append("the work folder is still there")
    return wrong


def start_worker() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "manage.py", "worker"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(worker: "subprocess.Popen[bytes]") -> None:
    """The worker and its work horse, which leads a session of its own."""
    import psutil

    for process in [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]:
        process.send_signal(signal.SIGKILL)
    worker.wait()


def state_of(run: "FineTuneRun") -> str:
    run.refresh_from_db(fields=["state"])
    return str(run.state)


def wait_for(is_so: Callable[[], bool], what: str, seconds: float = 900) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            raise SystemExit(f"Waited {seconds:.0f} seconds for {what}.")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
