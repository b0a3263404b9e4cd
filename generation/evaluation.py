"""Has a model version answer a question set and counts what can be counted of it: language, chrF, loss, length.

Of each model there is one fixed answer to a question, drawn here or imported. Whoever takes up an evaluation asks only
what is missing, so a dead worker loses and doubles nothing. People's votes on the answers are annotation's.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from django.db import transaction

from generation import asking, gates, loading, measuring, prompts
from generation.backends.base import Backend, BackendError, Sampling
from generation.heartbeat import heartbeat
from generation.intervals import Rate, mean, rate
from generation.models import (
    IMPORTED,
    Answer,
    Evaluation,
    JobModel,
    JobState,
    ModelVersion,
    Question,
    QuestionSet,
    Task,
)
from generation.prompts import Prompt
from xinstruct_site.people.models import Event, EventKind, User

logger = logging.getLogger(__name__)

SAMPLING = Sampling(max_new_tokens=512)
BATCH = 32
REPEATED = 0.3  # of an answer's characters stood in it before: it goes round in circles
ENDED = {
    JobState.DONE: EventKind.RUN_FINISHED,
    JobState.FAILED: EventKind.RUN_FAILED,
    JobState.STOPPED: EventKind.RUN_STOPPED,
}
SHORT_CHARS = 20  # of shorter answers the language cannot be told, and they are left out of that share


class EvaluationError(Exception):
    """The evaluation cannot start or go on. The message says why and what to do."""


class NotOurs(EvaluationError):
    """It was stopped, or somebody else took it over."""


def open_evaluation(question_set: QuestionSet, version: ModelVersion, created_by: User | None = None) -> Evaluation:
    """The evaluation of a model on a set, queued where something is missing; asked for again it is the same row.

    Raises:
        EvaluationError: the model does not answer, or the set is empty.
    """
    if version.task != Task.ANSWER:
        raise EvaluationError(f"'{version.name}' is there to {version.task}, not to answer.")
    total = question_set.questions.standing().count()
    if not total:
        raise EvaluationError(f"The question set '{question_set.name}' is empty.")
    with transaction.atomic():
        evaluation, is_new = Evaluation.objects.get_or_create(
            question_set=question_set,
            model_version=version,
            defaults={"sampling": SAMPLING.as_dict(), "total": total, "created_by": created_by},
        )
        grown = evaluation.total < total or evaluation.state in {JobState.FAILED, JobState.STOPPED}
        # What was imported grows by files, not by asking: count it anew.
        if not is_new and (grown or version.backend == IMPORTED) and evaluation.requeue():
            Evaluation.objects.filter(pk=evaluation.pk).update(total=total)
            evaluation.refresh_from_db()
    return evaluation


def evaluate(evaluation: Evaluation, on_progress: Callable[[int, int], None] | None = None) -> None:
    """Draw the answers that are missing, then take the figures. Does nothing where somebody else is at it.

    Raises:
        EvaluationError: the model failed or we lost the row; it says so, and goes on from there when continued.
    """
    if not evaluation.claim():
        return
    try:
        with heartbeat(evaluation):
            backend = _answer(evaluation, on_progress)
            found = _figures(evaluation, backend)
        if not close(evaluation, JobState.DONE, figures=found, done=_answered(evaluation)):
            raise NotOurs("The evaluation was stopped.")
    except NotOurs:
        raise
    except (BackendError, EvaluationError) as exc:
        close(evaluation, JobState.FAILED, error=str(exc))
        raise EvaluationError(str(exc)) from exc
    except (KeyboardInterrupt, SystemExit):
        close(evaluation, JobState.STOPPED)
        raise
    except BaseException as exc:
        close(evaluation, JobState.FAILED, error=f"{type(exc).__name__}: {exc}"[:1000])
        raise
    logger.info("evaluated %s on %s", evaluation.model_version, evaluation.question_set)


def close(row: JobModel, state: JobState, **said: Any) -> bool:
    """End work that we hold, and log it. False where it is no longer ours."""
    with transaction.atomic():
        is_closed = row.finish(state, **said)
        if is_closed:
            Event.record(ENDED[state], row, done=row.progress)
    return is_closed


def stop(row: JobModel, by: User) -> bool:
    """Have whoever works on it leave; what is stored is kept. False where nothing waits or works."""
    with transaction.atomic():
        is_stopped = row.stop()
        if is_stopped:
            Event.record(EventKind.RUN_STOPPED, row, actor=by, done=row.progress)
    return is_stopped


def _answered(evaluation: Evaluation) -> int:
    return Answer.objects.filter(
        question__question_set=evaluation.question_set, model_version=evaluation.model_version
    ).count()


# Answering


def _answer(evaluation: Evaluation, on_progress: Callable[[int, int], None] | None) -> Backend | None:
    """Ask what is missing. The backend that was asked; None where the answers were imported."""
    version = evaluation.model_version
    if version.backend == IMPORTED:
        if not _answered(evaluation):
            raise EvaluationError(f"No answer of '{version.name}' to these questions was imported yet.")
        return None
    backend = loading.load(version)
    missing = list(
        evaluation.question_set.questions.standing()
        .exclude(answers__model_version=version)
        .select_related("language")
        .order_by("pk")
    )
    done = evaluation.total - len(missing)
    sampling = _fitting(Sampling(**evaluation.sampling), backend)
    in_chat = asks_in_chat(version, backend)
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        seeds = [asking.sampling_seed(evaluation.seed, f"{each.language.code}:{each.key}", 0) for each in batch]
        replies = backend.generate([asked(each, in_chat=in_chat) for each in batch], sampling=sampling, seeds=seeds)
        made = {"prompt_version": prompts.ANSWER, "is_chat": in_chat, "sampling": sampling.as_dict()}
        answers = [
            Answer(
                question=question, model_version=version, body=asking.storable(reply.text), tokens=reply.tokens,
                finish_reason=reply.finish_reason[:40], made=made | {"seed": seed},
            )
            for question, reply, seed in zip(batch, replies, seeds, strict=True)
        ]  # fmt: skip
        Answer.objects.bulk_create(answers, ignore_conflicts=True)
        done += len(batch)
        if not evaluation.beat(done=done):
            raise NotOurs("The evaluation was stopped.")
        if on_progress:
            on_progress(done, evaluation.total)
    return backend


def _fitting(sampling: Sampling, backend: Backend) -> Sampling:
    """At most half of what a small model can hold is answer."""
    context = getattr(backend, "context", None)
    if context is None or sampling.max_new_tokens <= context // 2:
        return sampling
    return Sampling(**asdict(sampling) | {"max_new_tokens": context // 2})


def asks_in_chat(version: ModelVersion, backend: Backend) -> bool:
    """What was trained here answers to the paper's prompt; other models that can chat are asked as they are used to."""
    return backend.identity.uses_chat_template and not version.is_starter and version.fine_tune_run_id is None


def asked(question: Question, *, in_chat: bool) -> Prompt:
    """The question as a model gets it. It names the language of the answer, whatever language it is written in."""
    ask = prompts.answer_in_chat if in_chat else prompts.answer
    return ask(question.instruction, question.language.name, question.input)


# Losses


def losses(
    backend: Backend, rows: Sequence[Mapping[str, Any]], on_progress: Callable[[int], Any] | None = None
) -> list[float]:
    """For each row how unlikely its response is after its instruction: the mean loss per token, in nats.

    Args:
        rows: instruction, input, response and language_name, as a release's rows hold them. A response longer than
            half of the model's context is told by its beginning. One without a token has no loss: leave it out.
    Raises:
        BackendError: the backend tells no likelihoods.
    """
    found: list[float] = []
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        asked_of = [prompts.answer(row["instruction"], row["language_name"], row.get("input") or "") for row in batch]
        found += [-likelihood for likelihood in backend.loglikelihood(asked_of, [row["response"] for row in batch])]
        if on_progress:
            on_progress(len(found))
    return found


# Figures


def _figures(evaluation: Evaluation, backend: Backend | None) -> dict[str, Any]:
    answers = Answer.objects.filter(
        question__question_set=evaluation.question_set, model_version=evaluation.model_version
    )
    by_language: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers.select_related("question__language").order_by("question"):
        by_language[answer.question.language.code].append(answer)
    found = {code: figures(of_language) for code, of_language in sorted(by_language.items())}
    if backend is not None and backend.has_likelihoods:
        for code, of_language in by_language.items():
            found[code] |= _loss(evaluation, backend, [answer.question for answer in of_language])
    return found


def figures(answers: Sequence[Answer]) -> dict[str, Any]:
    """What can be counted of a model's answers in one language. Shares are [value, low, high] with 95 % intervals."""
    language = answers[0].question.language
    long_enough = [answer for answer in answers if len(answer.body.strip()) >= SHORT_CHARS]
    chars = [len(answer.body) for answer in answers]
    referred = [(answer.body, answer.question.reference) for answer in answers if answer.question.reference.strip()]
    return {
        "answers": len(answers),
        "empty": sum(not answer.body.strip() for answer in answers),
        "cut": sum(answer.finish_reason == "length" for answer in answers),
        "in_language": _listed(
            rate((answer.question_id, float(is_in(answer.body, language.code, language.script)))
                 for answer in long_enough)
        ),
        "told_of": len(long_enough),
        "repeated": _listed(
            rate((answer.question_id, float(goes_round_in_circles(answer.body))) for answer in answers)
        ),
        "chars": {"median": float(np.median(chars)), "quartiles": [float(q) for q in np.quantile(chars, [0.25, 0.75])]},
        "chrf": chrf(referred),
        "references": len(referred),
    }  # fmt: skip


def is_in(body: str, code: str, script: str) -> bool:
    """Whether an answer is in the language: by its script, and by the identifier where that knows the language."""
    return gates.check_script(body, script) is None and (
        gates.check_language(gates.detect_language(body), code) is None
    )


def goes_round_in_circles(body: str) -> bool:
    passages = measuring.passages(measuring.code_points(body))
    return passages.repeated > REPEATED or measuring.lines(body).repeated > REPEATED


def chrf(referred: Sequence[tuple[str, str]]) -> float | None:
    """chrF2 of answers against references, as sacrebleu computes it; None without references."""
    if not referred:
        return None
    from sacrebleu.metrics import CHRF

    score = CHRF().corpus_score([answer for answer, _ in referred], [[reference for _, reference in referred]])
    return round(float(score.score), 2)


def _loss(evaluation: Evaluation, backend: Backend, questions: Sequence[Question]) -> dict[str, Any]:
    referred = [question for question in questions if question.reference.strip()]
    rows = [
        {
            "instruction": question.instruction, "input": question.input, "response": question.reference,
            "language_name": question.language.name,
        }
        for question in referred
    ]  # fmt: skip
    found = losses(backend, rows, lambda _done: evaluation.beat())
    by_question = {str(question.pk): round(loss, 5) for question, loss in zip(referred, found, strict=True)}
    average = mean(zip(by_question, by_question.values(), strict=True))
    return {"loss": _listed(average), "losses": by_question}


def _listed(found: Rate | None) -> list[float | None] | None:
    return found.as_list() if found else None


def gained(base: Mapping[str, Any], tuned: Mapping[str, Any]) -> Rate | None:
    """By how much the loss fell from one model to the other, on the references that both were measured on.

    Paired, question by question, which tells small gains that two intervals side by side would hide. Losses per token
    compare models of one tokenizer only.
    """
    ours, theirs = base.get("losses") or {}, tuned.get("losses") or {}
    return mean((question, ours[question] - theirs[question]) for question in ours if question in theirs)
