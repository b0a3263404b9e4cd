"""Trains a model version for one task from releases and seed pairs. The same recipe is the same run, with one result.

The row of the run says where training stands; a claim decides who trains. A killed run is taken over once its heartbeat
is old, and goes on from its last checkpoint. Weights are written under a temporary name and renamed when whole.
"""

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from generation import calibrating, footprint, judging, prompts, ratings, recipes, results, rubric, training
from generation.backends import hf_local
from generation.backends.base import Source
from generation.heartbeat import heartbeat
from generation.lessons import SEEDS, rows_of, seed_pairs, split, uncurated, weighted
from generation.models import (
    FineTuneLog,
    FineTuneRun,
    JobState,
    Method,
    ModelVersion,
    Release,
    ReleaseState,
    Split,
    Task,
)
from generation.recipes import DPO, SFT, TrainingError
from generation.tailing import Tail, tail
from generation.training import NotOurs, Outcome, Progress, Watch
from xinstruct_site.people.models import Event, EventKind, User

logger = logging.getLogger(__name__)

TELL_SECONDS = 2  # how often the row hears of progress


def open_run(
    task: str,
    *,
    releases: Iterable[Release] = (),
    seeds: Iterable[str] = (),
    base_model: ModelVersion,
    method: str = Method.FULL,
    config: dict[str, Any] | None = None,
    created_by: User | None = None,
) -> FineTuneRun:
    """The run of that recipe: a new queued row, or the one that exists.

    Raises:
        TrainingError: the recipe cannot be trained; the message says why.
    """
    releases = sorted(releases, key=lambda release: release.sha256)
    seeds = sorted(set(seeds))
    _demand_trainable(task, releases, seeds, base_model)
    config = recipes.whole(config or {})
    config["objective"] = DPO if any(release.holds_preferences for release in releases) else SFT
    if config["source_tags"] is None:
        config["source_tags"] = bool(seeds and releases)
    if task == Task.DRAFT:
        config["prompt_version"] = prompts.PAPER_TAGGED if config["source_tags"] else prompts.PAPER
    if config["learning_rate"] is None:
        config["learning_rate"] = recipes.learning_rate_for(method, base_model, config["objective"])
    if seeds and not releases and not seed_pairs(seeds, config).exists():
        raise TrainingError(
            "No seed pair of these languages is verified yet: /seeds/. Pairs that nobody has verified can be trained "
            "on too, if you ask for it."
        )
    unknown = config["weights"].keys() - {release.name for release in releases} - ({SEEDS} if seeds else set())
    if unknown:
        raise TrainingError(f"A weight is given to {', '.join(sorted(unknown))}, which this run does not learn from.")
    if config["objective"] == DPO and config["packing"]:
        raise TrainingError("Packing is for pairs; preferences cannot be packed.")
    key = recipes.key_of(task, releases, seeds, base_model, method, config)
    with transaction.atomic():
        if created_by and not FineTuneRun.objects.filter(key=key).exists():
            demand_quota(created_by)
        run, is_new = FineTuneRun.objects.get_or_create(
            key=key,
            defaults={
                "task": task,
                "base_model": base_model,
                "seeds": seeds,
                "method": method,
                "config": config,
                "created_by": created_by,
            },
        )
        if is_new:
            run.releases.set(releases)
            Event.record(EventKind.FINETUNE_QUEUED, run, actor=created_by, task=task, method=str(method))
    return run


def _demand_trainable(task: str, releases: Sequence[Release], seeds: Sequence[str], base_model: ModelVersion) -> None:
    """Refuse sources and models that cannot be trained on, or not together, or not for that task."""
    if task not in Task.values:
        raise TrainingError(f"There is no training for the task '{task}': {', '.join(Task.values)}.")
    if not releases and not seeds:
        raise TrainingError("Nothing to train on: name a release or seeds.")
    for release in releases:
        if release.state != ReleaseState.READY:
            raise TrainingError(f"The release '{release.name}' is {release.state}, not ready.")
        if release.is_gold:
            raise TrainingError(f"'{release.name}' is a gold set: evaluators are measured on it, nothing is trained.")
        if release.holds_ratings and task != Task.SCORE:
            raise TrainingError(f"'{release.name}' holds ratings, rejected pairs included: only the task score learns.")
    if base_model.backend not in {"starter", "hf"}:
        raise TrainingError(
            f"'{base_model.name}' lies behind the backend '{base_model.backend}': its weights are not here."
        )
    prefers = {release.holds_preferences for release in releases}
    if True in prefers and (task != Task.DRAFT or seeds or False in prefers):
        raise TrainingError(
            "Releases of preferences teach which draft people want, for the task draft, and by themselves. Train on "
            "pairs first, and then on preferences from the model that comes out."
        )


def demand_quota(person: User) -> None:
    """Keep one person from filling the queue for everybody. Call it in the transaction that queues.

    Raises:
        TrainingError: that person has as many runs waiting or running as one may have.
    """
    User.objects.select_for_update(no_key=True).get(pk=person.pk)  # two requests at once count each other
    number = FineTuneRun.objects.unfinished().filter(created_by=person).count()
    if number >= settings.FINETUNES_PER_PERSON:
        raise TrainingError(
            f"You have {number} fine-tune runs waiting or running, and nobody may have more than "
            f"{settings.FINETUNES_PER_PERSON} at once (XI_FINETUNES_PER_PERSON). Wait for one to end, or cancel one."
        )


def train(run: FineTuneRun, on_progress: Callable[[Progress], None] | None = None) -> ModelVersion:
    """Train the run to its end and give its model version; a run that is done gives the one it has.

    Raises:
        NotOurs: somebody else trains it, or it was stopped.
        TrainingError: training failed; the row says why.
    """
    if run.state == JobState.DONE:
        return run.model_version
    if not run.claim():
        raise NotOurs(f"{run} is {FineTuneRun.objects.get(pk=run.pk).state}: somebody else has it, or it was stopped.")
    return _carry(run, on_progress)


def train_next() -> ModelVersion | None:
    """Train the run that is first in line; None where none waits. Raises what `train` raises."""
    run = next((run for run in FineTuneRun.objects.in_line() if run.claim()), None)
    return _carry(run, None) if run else None


def _carry(run: FineTuneRun, on_progress: Callable[[Progress], None] | None) -> ModelVersion:
    """Bring a claimed run to an end, whichever, and say on its row which."""
    with tail() as said:
        try:
            with heartbeat(run):
                return _train_claimed(run, on_progress, said)
        except NotOurs:
            raise
        except TrainingError as exc:
            _close(run, JobState.FAILED, EventKind.FINETUNE_FAILED, said, error=str(exc))
            raise
        except (KeyboardInterrupt, SystemExit):
            _close(run, JobState.STOPPED, EventKind.FINETUNE_CANCELLED, said)
            raise
        except BaseException as exc:
            error = f"{type(exc).__name__}: {exc}"[:1000]
            _close(run, JobState.FAILED, EventKind.FINETUNE_FAILED, said, error=error)
            raise


def _train_claimed(run: FineTuneRun, on_progress: Callable[[Progress], None] | None, said: Tail) -> ModelVersion:
    folder = results.finished_folder(run)
    if folder is None:
        rows = _rows(run)
        lesson = _lesson(run, rows) if run.task == Task.SCORE else None
        if lesson:
            learned, held_out = lesson.training, lesson.held_out
        else:
            learned, held_out = split(rows, run.config.get("validation", 0.0))
        if not learned:
            raise TrainingError("Nothing to train on: every pair is in a split that is held out.")
        if run.config.get("uncurated"):
            learned = _uncurated(run, learned, rows)
        if not run.beat(pairs=len(rows), held_out=len(held_out)):
            raise NotOurs(f"{run} was stopped.")
        learned = weighted(learned, run.config.get("weights", {}), run.config["seed"])
        written, outcome = _fit(run, learned, held_out, RowWatch(run, on_progress, said))
        run.refresh_from_db(fields=["held_out", "validation"])
        # Of all workers that it took, not of the last one alone.
        outcome.loss_first = run.log.order_by("step").values_list("loss", flat=True)[0]
        if lesson:
            calibrating.write(written, calibrated(written, lesson))
        results.write_recipe(written, run, rows, outcome)
        if not run.beat():
            shutil.rmtree(written)
            raise NotOurs(f"{run} was stopped or taken over.")
        folder = results.put_in_place(written, run)
    run.refresh_from_db(fields=["step", "steps_total"])
    version = _record(run, folder)
    shutil.rmtree(results.work_folder(run), ignore_errors=True)
    logger.info("trained %s: model version %s", run, version.public_id)
    return version


def _uncurated(run: FineTuneRun, learned: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    taken = {id(row) for row in learned}
    apart = [row for row in rows if id(row) not in taken]
    try:
        return uncurated(learned, apart, run.config["uncurated"], run.config["seed"])
    except ratings.NotEnough as exc:
        raise TrainingError(str(exc)) from exc


def _rows(run: FineTuneRun) -> list[dict[str, Any]]:
    if run.key != recipes.key_of(run.task, run.releases.all(), run.seeds, run.base_model, run.method, run.config):
        raise TrainingError("The seed pairs have changed since this run was asked for. Ask again: it is another run.")
    withdrawn = run.releases.exclude(state=ReleaseState.READY).values_list("name", flat=True)
    if withdrawn:
        raise TrainingError(f"No longer ready to train on: {', '.join(withdrawn)}.")
    rows = rows_of(run)
    if not rows:
        raise TrainingError("Nothing to train on: the releases and seeds of this run hold no pairs.")
    return rows


def _fit(
    run: FineTuneRun, learned: list[dict[str, Any]], held_out: list[dict[str, Any]], watch: "RowWatch"
) -> tuple[Path, Outcome]:
    """Train, where there is room for it; what is said where memory gives out has the numbers in it."""
    work = results.work_folder(run)
    base = training.load_base(run.base_model, run.method, run.config.get("precision"))
    size = training.footprint_of(base[0], run.method, run.config)
    if missing := footprint.missing_disk(size, work):
        raise TrainingError(missing)
    device, memory = training.device_memory()
    if memory and size.for_weights > memory:  # a kernel that ends the worker would only have the next one try again
        raise TrainingError(footprint.advice(size, device, memory))
    try:
        return training.fit(
            learned,
            task=run.task,
            base=base,
            method=run.method,
            config=run.config,
            work=work,
            watch=watch,
            validation=held_out,
        )
    except BaseException as exc:
        if training.is_out_of_memory(exc):
            raise TrainingError(footprint.advice(size, device, memory)) from exc
        raise


def try_again(run: FineTuneRun) -> None:
    """Queue again what failed or was stopped. Does nothing to a run that waits, works or is done."""
    if run.state in {JobState.FAILED, JobState.STOPPED}:
        run.requeue()
        run.refresh_from_db()


def _lesson(run: FineTuneRun, rows: list[dict[str, Any]]) -> ratings.Lesson:
    try:
        return ratings.lesson([row for row in rows if row.get("split") != Split.TEST], run.config["seed"])
    except ratings.NotEnough as exc:
        raise TrainingError(str(exc)) from exc


def calibrated(written: Path, lesson: ratings.Lesson) -> calibrating.Calibration:
    """What a trained evaluator's levels mean, fitted to the pairs that were held out."""
    pairs = [judging.Pair(row["instruction"], row["response"], row.get("input") or "") for row in lesson.held_out]
    model = hf_local.load(Source(model=str(written)))
    bare = calibrating.Calibration(levels=lesson.levels, good=lesson.good, learned_from=lesson.learned_from)
    chances = judging.level_chances(model, pairs, lesson.levels)
    return calibrating.calibrate(chances, [row["level"] for row in lesson.held_out], bare)


class RowWatch(Watch):
    """Keeps a run's row alive and told, and ends training that is no longer ours."""

    def __init__(self, run: FineTuneRun, on_progress: Callable[[Progress], None] | None, said: Tail) -> None:
        super().__init__(on_progress)
        self.run = run
        self.said = said
        self.unwritten: list[FineTuneLog] = []
        self.validation: list[tuple[int, float]] = []
        self.told_at = -math.inf

    def begin(self, step: int) -> None:
        self.run.log.filter(step__gt=step).delete()  # these steps will be taken again
        self.run.beat(step_kept=step)
        self.validation = [(at, loss) for at, loss in self.run.validation if at <= step]

    def go_on(self, step: int, steps_total: int, *, saves: bool = False) -> bool:
        # What a checkpoint has behind it is not trained again, so it has to be in the log by then.
        if time.monotonic() - self.told_at < TELL_SECONDS and step < steps_total and not saves:
            return True
        self.told_at = time.monotonic()
        if self.unwritten:
            last = self.unwritten[-1]
            speed = f", {last.tokens_per_second:,.0f} tokens per second" if last.tokens_per_second else ""
            self.said.say(f"step {last.step} of {steps_total}: loss {last.loss:.4f}{speed}")
        FineTuneLog.objects.bulk_create(self.unwritten, ignore_conflicts=True)
        self.unwritten.clear()
        return self.run.beat(step=step, steps_total=steps_total, tail=str(self.said))

    def wants_checkpoint(self) -> bool:
        """Who cancels may want to go on. Where somebody else took the run over, the checkpoints are theirs."""
        return FineTuneRun.objects.filter(pk=self.run.pk, state=JobState.STOPPED).exists()

    def note(self, progress: Progress) -> None:
        super().note(progress)
        self.unwritten.append(
            FineTuneLog(
                run=self.run,
                step=progress.step,
                loss=progress.loss,
                learning_rate=progress.learning_rate,
                tokens_per_second=progress.tokens_per_second,
                at=timezone.now(),
            )
        )

    def validated(self, step: int, loss: float) -> None:
        self.validation = [(at, known) for at, known in self.validation if at < step] + [(step, loss)]
        self.run.beat(validation=self.validation, tail=str(self.said))


def _record(run: FineTuneRun, folder: Path) -> ModelVersion:
    with transaction.atomic():
        if not run.finish(JobState.DONE):
            raise NotOurs(f"{run} was stopped or taken over.")
        version, _ = ModelVersion.objects.get_or_create(
            task=run.task,
            backend="hf",
            location=str(folder),
            revision=hf_local.weights_sha256(folder),
            prompt_version=rubric.LEVELS if run.task == Task.SCORE else "",
            defaults={"name": folder.name, "licence_id": run.base_model.licence_id, "fine_tune_run": run},
        )
        Event.record(EventKind.FINETUNE_FINISHED, run, model_version=version.pk, pairs=run.pairs, steps=run.step)
    return version


def _close(run: FineTuneRun, state: JobState, kind: EventKind, said: Tail, *, error: str = "") -> None:
    with transaction.atomic():
        if run.finish(state, error=error, tail=str(said)):
            Event.record(kind, run, step=run.step)
