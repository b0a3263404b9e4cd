"""Drafts English instructions for texts: opens runs and works through them. Command and queue worker share this path.

A run is never lost and nothing is doubled: candidates have a unique key, every batch is saved whole, and whoever takes
up a run drafts only what is missing.
"""

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max

from generation import asking, checks, loading, prompts, repairing, sharing
from generation.backends.base import Ask, Backend, BackendError, Reply, Sampling
from generation.models import (
    Candidate,
    CandidateState,
    DeadLetter,
    JobState,
    Run,
    Share,
    Text,
)
from generation.sharing import NotOurs, Part, texts_of
from generation.streaming import Engine
from xinstruct_site.people.models import Event, EventKind, Language, User

logger = logging.getLogger(__name__)

BATCHES_PER_SHARE = 4  # what a backend takes at once, times this, is one share: sorting by length needs a choice
POLL_SECONDS = 0.2
SAVE_SECONDS = 1.0
SAVE_TEXTS = 500


class DraftingError(Exception):
    """Drafting cannot start or go on. The message says why and what to do."""


class RunIsTaken(DraftingError):
    """The run was paused or stopped while we worked on it, or our part went to somebody else."""


class BudgetSpent(DraftingError):
    """The run has used up its budget and rests."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: texts and tokens of the run as a whole, and candidates of this call alone."""

    texts_done: int
    texts_total: int
    drafted: int
    kept: int
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens that a model wrote and read."""

    tokens: int = 0
    prompt_tokens: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.tokens + other.tokens, self.prompt_tokens + other.prompt_tokens)


def open_run(
    language: Language,
    *,
    backend: str | None = None,
    model: str | None = None,
    samples: int = 3,
    limit: int | None = None,
    seed: int = 0,
    again: bool = False,
    sampling: Sampling | None = None,
    prompt_version: str | None = None,
    styles: Mapping[str, float] | None = None,
    dead_letters: bool = False,
    token_budget: int | None = None,
    cost_budget: float | None = None,
    created_by: User | None = None,
) -> Run:
    """The run that this asks for, queued if there is something to draft.

    Asked for again, it is the same run, grown to a higher limit, more samples or texts that came since; `again` makes
    a new one, which draws from a seed of its own. None for backend and model takes those of the installation, for the
    prompt version what suits the model, for the styles the language's mix.
    With `dead_letters` it asks again what the model failed to answer. A budget holds for the run as a whole; none
    leaves the one it has.

    Raises:
        DraftingError: there is no such backend, model or prompt version, or a number makes no sense.
    """
    if samples < 1 or samples > 100:
        raise DraftingError(f"{samples} samples per text; 1 to 100 can be asked for.")
    if limit is not None and limit < 1:
        raise DraftingError(f"A limit of {limit} texts leaves nothing to draft.")
    if (token_budget is not None and token_budget < 1) or (cost_budget is not None and not cost_budget > 0):
        raise DraftingError("A budget is more than nothing.")
    backend = backend or settings.BACKEND
    if cost_budget is not None and not (backend == "openai" and settings.PRICE_READ + settings.PRICE_WRITTEN > 0):
        raise DraftingError("A budget in money needs the endpoint's prices: XI_PRICE_READ and XI_PRICE_WRITTEN.")
    if model is None:
        model = settings.MODEL if backend == settings.BACKEND else ""
    sampling = sampling or Sampling()
    try:
        version, identity = loading.model_version(backend, model)
    except BackendError as exc:
        raise DraftingError(str(exc)) from exc
    prompt_version = prompt_version or asking.version_for(version, identity)
    if styles and not prompts.has_styles(prompt_version):
        raise DraftingError(f"{prompt_version} knows no styles, so it cannot be asked for a mix of them.")
    try:
        planned = asking.plan(language, prompt_version, styles)
    except ValueError as exc:
        raise DraftingError(str(exc)) from exc
    if prompts.is_chat(prompt_version) and not identity.uses_chat_template:
        raise DraftingError(f"'{version.name}' has no chat template, so it cannot be asked with {prompt_version}.")

    def key(repetition: int) -> str:
        asked: list[Any] = [language.code, version.backend, version.location, version.revision, prompt_version]
        asked += [sampling.as_dict(), seed, repetition]
        if planned:
            asked += [planned["styles"], planned["length_hints"]]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    repetition = 0
    while Run.objects.filter(key=key(repetition + (0 if again else 1))).exists():
        repetition += 1
    with transaction.atomic():
        run, is_new = Run.objects.select_for_update(no_key=True).get_or_create(
            key=key(repetition),
            defaults={
                "language": language,
                "model_version": version,
                "prompt_version": prompt_version,
                "prompt_sha256": prompts.wording_sha256(prompt_version),
                "asking": planned,
                "sampling": sampling.as_dict(),
                "seed": seed + repetition,
                "samples": samples,
                "text_limit": limit,
                "repetition": repetition,
                "created_by": created_by,
            },
        )
        if not is_new:
            run.samples = max(run.samples, samples)
            run.text_limit = _grown_limit(run, limit)
        if dead_letters:
            run.dead_letters.all().delete()
        run.token_budget = token_budget or run.token_budget
        run.cost_budget = cost_budget or run.cost_budget
        run.texts_done, run.texts_total = sharing.counts(run)
        run.save(update_fields=["samples", "text_limit", "texts_total", "texts_done", "token_budget", "cost_budget"])
        if run.texts_done < run.texts_total:
            run.requeue()  # does nothing to a run that is queued or running
        run.refresh_from_db()
        if is_new:
            Event.record(EventKind.RUN_QUEUED, run, actor=created_by, language=language, texts=run.texts_total)
    return run


def _grown_limit(run: Run, limit: int | None) -> int | None:
    """The limit that takes in what is asked for now, what is drafted already, and what a worker was promised."""
    if limit is None:
        return None
    if run.state in {JobState.QUEUED, JobState.RUNNING}:
        return None if run.text_limit is None else max(run.text_limit, limit)
    last = run.candidates.aggregate(last=Max("text_id"))["last"] or 0
    return max(limit, Text.objects.filter(language=run.language, pk__lte=last).count())


def draft(run: Run, on_progress: Callable[[Progress], None] | None = None) -> Progress:
    """Draft what the run still misses, beside whoever else works on it. Returns where it stands at the end.

    Several workers may do this at once. Who finds nothing more in nobody's hand leaves; the last one closes the run.

    Raises:
        RunIsTaken: it was paused or stopped meanwhile, or our part was taken over; nothing saved is lost.
        DraftingError: the model failed or the budget is spent; the run says so, and goes on from there when continued.
    """
    if not run.join():
        return Progress(run.texts_done, run.texts_total, 0, 0)
    part = Part(run)
    try:
        with part.beating():
            progress = _Drafter(part, on_progress).work()
    except NotOurs as exc:
        raise RunIsTaken(str(exc)) from exc
    except BudgetSpent as exc:
        _close(part, JobState.PAUSED, EventKind.RUN_PAUSED, error=str(exc))
        raise
    except (BackendError, DraftingError) as exc:
        _close(part, JobState.FAILED, EventKind.RUN_FAILED, error=str(exc))
        raise DraftingError(str(exc)) from exc
    except (KeyboardInterrupt, SystemExit):
        _close(part, JobState.STOPPED, EventKind.RUN_STOPPED)
        raise
    except BaseException as exc:
        _close(part, JobState.FAILED, EventKind.RUN_FAILED, error=f"{type(exc).__name__}: {exc}"[:1000])
        raise
    logger.info("drafted for run %s: %d candidates, %d kept", run.pk, progress.drafted, progress.kept)
    return progress


def _close(part: Part, state: JobState, kind: EventKind, *, error: str = "") -> bool:
    with transaction.atomic():
        is_closed = part.finish(state, error=error)
        if is_closed:
            Event.record(kind, part.run, language=part.run.language, texts=part.run.texts_done)
    return is_closed


@dataclass(slots=True)
class _Open:
    """A text in our hand: the samples still to come, and what came of the others."""

    text: Text
    share_id: int
    missing: set[int]
    candidates: list[Candidate] = field(default_factory=list)
    died_of: str = ""


class _Drafter:
    """One worker's way through its shares: takes them ahead of the model, and saves while the model goes on."""

    def __init__(self, part: Part, on_progress: Callable[[Progress], None] | None) -> None:
        self.part, self.run, self.on_progress = part, part.run, on_progress
        self.backend: Backend | None = None
        self.open: dict[int, _Open] = {}  # by text
        self.ready: list[_Open] = []
        self.unsaved = Spent()
        self.drafted = self.kept = 0
        self.saved_at = 0.0

    def work(self) -> Progress:
        """Until nothing is left to take; the last one to find that closes the run."""
        demand_budget(self.run)
        if asking.has_changed(self.run):
            raise DraftingError(
                f"The words of the prompt version {self.run.prompt_version} are not those this run began with. Give "
                f"the new words a version of their own; drafting with that opens another run."
            )
        while True:
            share = self.part.take(self._share_size())
            if share is not None:
                self.backend = self.backend or loading.load(self.run.model_version)
                self._draft_from(share, self.backend)
            elif _close(self.part, JobState.DONE, EventKind.RUN_FINISHED) or self.part.others_are_at_work():
                return self._progress()

    def _share_size(self) -> int:
        """How many texts to take at once. The first time it is few: a model may be loaded in vain."""
        batch_size = self.backend.batch_size if self.backend else 1
        return max(1, int(batch_size * BATCHES_PER_SHARE / self.run.samples))

    def _draft_from(self, share: Share, backend: Backend) -> None:
        """Draft this share and those that follow, until none follows."""
        with Engine(backend, Sampling(**self.run.sampling)) as engine:
            self.saved_at = time.monotonic()
            engine.ask(self._asks(share))
            may_follow = True
            try:
                while self.open or may_follow:
                    # The next share is taken while the model still has work.
                    if may_follow and engine.waiting < backend.batch_size * BATCHES_PER_SHARE:
                        following = self.part.take(self._share_size())
                        if following is not None:
                            engine.ask(self._asks(following))
                            continue
                        may_follow = False
                        engine.ask_no_more()
                    for ask, reply in engine.replies(POLL_SECONDS if self.open else 0):
                        self._read(ask, reply)
                    if time.monotonic() - self.saved_at >= SAVE_SECONDS or len(self.ready) >= SAVE_TEXTS:
                        self._save()
                self._save()
            finally:
                self._rescue(engine)

    def _rescue(self, engine: Engine) -> None:
        """Keep what was answered when we leave in the middle: it was paid for, be it some samples of a text only."""
        with contextlib.suppress(Exception):  # what made us leave is on its way already
            for ask, reply in engine.replies(0):
                self._read(ask, reply)
        self.ready += [one for one in self.open.values() if one.candidates]
        self.open.clear()
        if self.ready:
            self._write()

    def _asks(self, share: Share) -> list[Ask]:
        """What to ask the model for a share: the samples that its texts miss."""
        texts = texts_of(self.run).missing_in(self.run).filter(pk__in=share.text_ids)
        there = set(
            Candidate.objects.filter(run=self.run, text__in=share.text_ids).values_list("text_id", "sample_number")
        )
        asks = []
        for text in texts:
            missing = {n for n in range(self.run.samples) if (text.pk, n) not in there}
            self.open[text.pk] = _Open(text, share.pk, missing)
            for n in sorted(missing):
                prompt, style = asking.question(self.run, text, n)
                asks.append(Ask((text.pk, n), prompt, asking.sampling_seed(self.run.seed, text.sha256, n), style))
        if not asks:  # all taken down, or drafted by somebody who was only thought dead
            share.delete()
        return asks

    def _read(self, ask: Ask, reply: Reply) -> None:
        text_id, number = ask.key
        one = self.open[text_id]
        one.missing.remove(number)
        if reply.error:
            one.died_of = reply.error
        else:
            one.candidates.append(_candidate(self.run, one.text, ask, reply))
        self.unsaved += Spent(reply.tokens, reply.prompt_tokens)
        if not one.missing:
            self.ready.append(self.open.pop(text_id))

    def _save(self) -> None:
        """Put what is ready into the database, and see whether we are to go on."""
        self._write()
        if not self.part.beat():
            raise NotOurs(f"Run {self.run.public_id} was paused, stopped or taken over; what was drafted is saved.")
        if self.on_progress:
            self.on_progress(self._progress())
        demand_budget(self.run)

    def _write(self) -> None:
        ready, self.ready = self.ready, []
        spent, self.unsaved = self.unsaved, Spent()
        now = time.monotonic()
        seconds, self.saved_at = now - self.saved_at, now
        candidates = [candidate for one in ready for candidate in one.candidates]
        whole = [one for one in ready if not one.missing]
        with transaction.atomic():
            Candidate.objects.bulk_create(candidates, ignore_conflicts=True)
            DeadLetter.objects.bulk_create(
                [DeadLetter(run=self.run, text=one.text, error=one.died_of) for one in whole if one.died_of],
                ignore_conflicts=True,
            )
            still_open = {one.share_id for one in self.open.values()}
            self.part.give_back({one.share_id for one in whole} - still_open)
            Run.objects.filter(pk=self.run.pk).update(
                texts_done=F("texts_done") + len(whole),
                tokens=F("tokens") + spent.tokens,
                prompt_tokens=F("prompt_tokens") + spent.prompt_tokens,
                cost=F("cost") + cost_of(self.run, spent),
                seconds=F("seconds") + seconds,
            )
        self.run.refresh_from_db(fields=["texts_done", "texts_total", "tokens", "prompt_tokens", "cost", "seconds"])
        self.drafted += len(candidates)
        self.kept += sum(candidate.state == CandidateState.KEPT for candidate in candidates)

    def _progress(self) -> Progress:
        return Progress(self.run.texts_done, self.run.texts_total, self.drafted, self.kept, self.run.tokens)


def _candidate(run: Run, text: Text, ask: Ask, reply: Reply) -> Candidate:
    raw = asking.storable(reply.text)
    read, repairs = repairing.repair(prompts.parse_reply(raw), text.body)
    reasons = checks.check(
        read, text.body, is_whole=reply.finish_reason != "length", style=ask.style, prompt=ask.prompt
    )
    if reply.finish_reason.startswith("refused"):
        raw, reasons = raw or reply.finish_reason, [checks.REFUSED]
    return Candidate(
        text=text,
        run=run,
        sample_number=ask.key[1],
        style=ask.style,
        instruction=read.instruction,
        input=read.input,
        repairs=repairs,
        raw_reply=raw,
        state=CandidateState.REJECTED if reasons else CandidateState.KEPT,
        reasons=reasons,
        tokens=reply.tokens,
    )


def is_left_to_others(run: Run) -> bool:
    """Whether somebody else still works on the run, which this reads anew."""
    run.refresh_from_db()
    return run.state == JobState.RUNNING


def cost_of(run: Run, spent: Spent) -> float:
    """What that cost at the endpoint's prices; a model of our own costs nothing here."""
    if run.model_version.backend != "openai":
        return 0.0
    return (spent.prompt_tokens * settings.PRICE_READ + spent.tokens * settings.PRICE_WRITTEN) / 1_000_000


def demand_budget(run: Run) -> None:
    """See whether the run may go on spending.

    Raises:
        BudgetSpent: it may not.
    """
    spent = run.tokens + run.prompt_tokens
    if run.token_budget is not None and spent >= run.token_budget:
        raise BudgetSpent(f"The budget of {run.token_budget:,} tokens is spent ({spent:,}). Raise it to go on.")
    if run.cost_budget is not None and run.cost >= run.cost_budget:
        raise BudgetSpent(f"The budget of {run.cost_budget:g} is spent ({run.cost:.4f}). Raise it to go on.")
