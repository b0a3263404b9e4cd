"""Has a model judge the bouts of a duel, both orders each, and says how far it agrees with people.

A judge's figures are made together with its agreement and nowhere else, so that no page can show the one without the
other: on fewer bouts that people voted on than FEWEST there is nothing to show.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from django.db import transaction

from annotation import duels, judge_prompt
from annotation.duel_figures import BASE, OUTCOMES, RIVAL, TIE, WORTH, by_question, majority
from annotation.models import Bout, Duel, JudgeRun, Ruling, RulingOutcome
from annotation.reliability import Estimate, alpha
from generation import asking, evaluation, loading
from generation.backends.base import Backend, BackendError, Reply, Sampling
from generation.heartbeat import heartbeat
from generation.intervals import Rate, rate
from generation.models import IMPORTED, JobState, ModelVersion
from xinstruct_site.people.models import User

logger = logging.getLogger(__name__)

SAMPLING = Sampling(temperature=0.0, max_new_tokens=512)
BATCH = 16  # bouts
FEWEST = 20  # bouts with a ruling that people voted on, below which agreement is luck and nothing is shown
COUNTED: dict[str, str] = {
    RulingOutcome.BASE: BASE,
    RulingOutcome.RIVAL: RIVAL,
    RulingOutcome.TIE: TIE,
    RulingOutcome.UNSTABLE: TIE,
}


class JudgeError(Exception):
    """The judge cannot be asked. The message says why and what to do."""


def open_run(duel: Duel, judge: ModelVersion, created_by: User | None = None) -> JudgeRun:
    """The run of that judge on that duel, queued where bouts wait for it; asked for again it is the same row.

    Raises:
        JudgeError: the judge is one of the two, or cannot be asked.
    """
    if judge.backend == IMPORTED:
        raise JudgeError(f"Of '{judge.name}' only answers are here: it cannot be asked.")
    if {judge.pk, judge.name} & {duel.base_id, duel.base.name, duel.rival_id, duel.rival.name}:
        raise JudgeError(f"'{judge.name}' is one of the two: nobody judges their own answers.")
    total = duel.bouts.count()
    with transaction.atomic():
        run, is_new = JudgeRun.objects.get_or_create(
            duel=duel, judge=judge, prompt_version=judge_prompt.VERSION,
            defaults={"total": total, "created_by": created_by},
        )  # fmt: skip
        is_behind = run.total < total or run.state in {JobState.FAILED, JobState.STOPPED}
        if not is_new and is_behind and run.requeue():
            JudgeRun.objects.filter(pk=run.pk).update(total=total)
            run.refresh_from_db()
    return run


def judge(run: JudgeRun, on_progress: Callable[[int, int], None] | None = None) -> None:
    """Judge the bouts that wait for it. Does nothing where somebody else is at it.

    Raises:
        JudgeError: the model failed or the run was stopped; what was judged stays, and it goes on from there.
    """
    if not run.claim():
        return
    try:
        with heartbeat(run):
            _judge(run, loading.load(run.judge), on_progress)
        if not evaluation.close(run, JobState.DONE):
            raise JudgeError("The judge was stopped.")
    except (BackendError, JudgeError) as exc:
        evaluation.close(run, JobState.FAILED, error=str(exc))
        raise JudgeError(str(exc)) from exc
    except (KeyboardInterrupt, SystemExit):
        evaluation.close(run, JobState.STOPPED)
        raise
    except BaseException as exc:
        evaluation.close(run, JobState.FAILED, error=f"{type(exc).__name__}: {exc}"[:1000])
        raise


def _judge(run: JudgeRun, backend: Backend, on_progress: Callable[[int, int], None] | None) -> None:
    if not backend.identity.uses_chat_template:
        raise JudgeError(f"'{run.judge.name}' has no chat template, so it cannot be asked for a verdict.")
    waiting = run.duel.bouts.exclude(rulings__run=run).order_by("order", "pk")
    bouts = list(waiting.select_related("question__language", "base_answer", "rival_answer"))
    done = run.total - len(bouts)
    for start in range(0, len(bouts), BATCH):
        batch = bouts[start : start + BATCH]
        asked = [question for bout in batch for question in _both_orders(bout)]
        replies = backend.generate(asked, sampling=SAMPLING, seeds=[0] * len(asked))
        Ruling.objects.bulk_create(
            (ruling(run, bout, *replies[2 * n : 2 * n + 2]) for n, bout in enumerate(batch)), ignore_conflicts=True
        )
        done += len(batch)
        if not run.beat(done=done):
            raise JudgeError("The judge was stopped.")
        if on_progress:
            on_progress(done, run.total)


def _both_orders(bout: Bout) -> list[judge_prompt.Prompt]:
    question, base, rival = bout.question, bout.base_answer.body, bout.rival_answer.body
    return [
        judge_prompt.ask(question.instruction, question.input, first, second, question.language.name)
        for first, second in ((base, rival), (rival, base))
    ]


def ruling(run: JudgeRun, bout: Bout, base_first: Reply, rival_first: Reply) -> Ruling:
    """What two replies amount to. One that was cut off named its verdict, if any, before it was through."""
    said = [
        judge_prompt.read_verdict(reply.text) if reply.finish_reason == "stop" else None
        for reply in (base_first, rival_first)
    ]
    return Ruling(
        run=run,
        bout=bout,
        base_first=asking.storable(base_first.text),
        rival_first=asking.storable(rival_first.text),
        outcome=outcome(*said),
    )


def outcome(base_first: str | None, rival_first: str | None) -> RulingOutcome:
    """A verdict counts where it is the same in both orders."""
    if base_first is None or rival_first is None:
        return RulingOutcome.UNPARSED
    base, rival = RulingOutcome.BASE, RulingOutcome.RIVAL
    one = {judge_prompt.A: base, judge_prompt.B: rival}.get(base_first, RulingOutcome.TIE)
    other = {judge_prompt.A: rival, judge_prompt.B: base}.get(rival_first, RulingOutcome.TIE)
    return one if one == other else RulingOutcome.UNSTABLE


# What it is worth


@dataclass(frozen=True, slots=True)
class Judged:
    """A judge's figures, with its agreement with people; where these are too few, `figures` is None."""

    run: JudgeRun
    voted: int  # bouts with a ruling that people voted on
    fewest: int
    figures: "JudgeFigures | None"


@dataclass(frozen=True, slots=True)
class JudgeFigures:
    """Nothing of this is said without `same`: how often the judge says what most people said."""

    same: Rate
    alpha: Estimate | None
    win_rate: Rate
    unstable: int
    unparsed: int
    rulings: int


def judged(run: JudgeRun, ballots: list[duels.Ballot]) -> Judged:
    """The figures of a run on a duel, beside what people said there."""
    outcomes = dict(run.rulings.values_list("bout__question", "outcome"))
    counted = {question: COUNTED[said] for question, said in outcomes.items() if said in COUNTED}
    people = {question: majority(said) for question, said in by_question(ballots).items() if question in counted}
    same = rate((question, float(counted[question] == said)) for question, said in people.items())
    win_rate = rate((question, WORTH[said]) for question, said in counted.items())
    if same is None or win_rate is None or len(people) < FEWEST:
        return Judged(run, len(people), FEWEST, None)
    states = Counter(outcomes.values())
    pairs = np.array([[(counted[q] == o) + (said == o) for o in OUTCOMES] for q, said in people.items()])
    figures = JudgeFigures(
        same, alpha(pairs, "nominal"), win_rate, states[RulingOutcome.UNSTABLE], states[RulingOutcome.UNPARSED],
        len(outcomes),
    )  # fmt: skip
    return Judged(run, len(people), FEWEST, figures)
