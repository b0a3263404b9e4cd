"""Runs: start drafting, watch it, stop it, go on, and have the candidates scored."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from generation import charts, drafting, funnels, jobs, loading, queueing, scoring
from generation.backends.base import BackendError
from generation.curation_forms import ScoreForm
from generation.forms import MODELS_OFFERED, RunForm
from generation.models import ARRIVALS, Candidate, CandidateState, JobState, ModelVersion, Run, Task, Text
from generation.views.access import MaintainerRequest, maintained_languages, maintainers_only
from generation.views.banner import worker_banner
from xinstruct_site.people.models import Event, EventKind, Language

RUNS_SHOWN = 50
SAMPLES_SHOWN = 6
OTHERS_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@maintainers_only
def runs(request: MaintainerRequest) -> HttpResponse:
    """The list, and the form that starts a run."""
    languages = maintained_languages(request.user)
    form = RunForm(
        request.POST or None,
        languages=languages,
        models=ModelVersion.objects.within(languages).filter(task=Task.DRAFT)[:MODELS_OFFERED],
        initial={key: request.GET[key] for key in ("language", "model") if key in request.GET},
    )
    status, refusal = 200, ""
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                run = start_drafting(request, **form.cleaned_data)
            except (queueing.NoWorker, drafting.DraftingError, BackendError) as exc:
                status, refusal = 409, str(exc)
            else:
                return redirect("run", run.public_id)
    rows = Run.objects.filter(language__in=languages).select_related("language", "model_version")
    context = {
        "form": form,
        "refusal": refusal,
        "runs": rows[:RUNS_SHOWN],
        "has_texts": Text.objects.available().filter(language__in=languages).exists(),
        **worker_banner(jobs.DRAFT_QUEUE),
    }
    return TemplateResponse(request, "generation/runs.html", context, status=status)


def start_drafting(
    request: MaintainerRequest,
    language: Language,
    model: ModelVersion | None,
    samples: int,
    limit: int | None,
    again: bool,
    prompt: str = "",
    **more: Any,
) -> Run:
    """The run that was asked for, queued where there is something to draft. Pressed twice it is one run."""
    queueing.demand_worker(jobs.DRAFT_QUEUE)
    version = model or loading.model_version(settings.BACKEND, settings.MODEL)[0]
    with transaction.atomic():
        Language.objects.select_for_update(no_key=True).get(pk=language.pk)
        # "Anew" means after the last one: while that still goes on, it is what a second press gets.
        going_on = Run.objects.unfinished().filter(language=language, model_version=version)
        run: Run | None = going_on.first() if again else None
        run = run or drafting.open_run(
            language,
            backend=version.backend,
            model=version.public_id,
            samples=samples,
            limit=limit,
            again=again,
            prompt_version=prompt or None,
            created_by=request.user,
            **more,
        )
        if run.state == JobState.QUEUED and not queueing.is_waiting(run):
            queueing.ring(jobs.draft_run, run, jobs.DRAFT_QUEUE)
    if run.state == JobState.DONE:
        messages.info(request, _("This run has drafted all its texts already. “Draft anew” makes another one."))
    return run


@require_safe
@maintainers_only
def run(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """One run; asked by HTMX, only what moves."""
    one = get_run(request, public_id)
    template = "generation/run.html#live" if request.htmx else "generation/run.html"
    context = run_context(one) | {"refusal": queueing.refusal(queueing.job_id(one.language))}
    if not request.htmx:
        context["score_form"] = score_form(request)
    return TemplateResponse(request, template, context)


def score_form(request: MaintainerRequest, data: Any = None) -> ScoreForm:
    known = ModelVersion.objects.within(maintained_languages(request.user))
    return ScoreForm(data, models=known.filter(task__in=[Task.SCORE, Task.DRAFT])[:MODELS_OFFERED])


def get_run(request: MaintainerRequest, public_id: str) -> Run:
    return get_object_or_404(
        Run.objects.select_related("language", "model_version", "created_by"),
        public_id=public_id,
        language__in=maintained_languages(request.user),
    )


def run_context(one: Run) -> dict[str, Any]:
    counts = funnels.counts_of(one)
    drafted = counts.get("drafts", 0)
    pace = funnels.pace(one)
    candidates = Candidate.objects.filter(run=one)
    steps = funnels.steps(one, counts)
    return {
        "run": one,
        "is_drafting": funnels.is_moving(one),
        # Scoring has no row of its own: what a worker has yet to do for the language is scoring.
        "is_going_on": funnels.is_moving(one) or queueing.is_waiting(one.language),
        "counts": counts,
        "steps": steps,
        "drafted": drafted,
        "kept": counts.get("kept", 0),
        "rejected": counts.get("rejected", 0),
        "reasons": counts.get("reasons", []),
        "scored": counts.get("scored", 0),
        "histograms": histograms_of(counts),
        "pace": pace,
        "per_second": pace and pace.drafts_per_second,
        "tokens_per_second": pace and pace.tokens_per_second,
        "seconds_left": pace.seconds_left if pace and one.state == JobState.RUNNING else None,
        "dead_letters": one.dead_letters.count(),
        "samples_kept": funnels.newest(candidates.kept())[:SAMPLES_SHOWN],
        "samples_rejected": funnels.newest(candidates.filter(state=CandidateState.REJECTED))[:SAMPLES_SHOWN],
        "latest_round": one.language.rounds.filter(number__gt=ARRIVALS).order_by("-number").first(),
        "others": Run.objects.filter(language=one.language)
        .select_related("model_version")
        .exclude(pk=one.pk)[:OTHERS_SHOWN],
        **worker_banner(jobs.DRAFT_QUEUE),
    }


def histograms_of(counts: dict[str, Any]) -> list[dict[str, Any]]:
    """One chart for each evaluator that scored the run's candidates."""
    kept = counts.get("histograms", [])
    evaluators = ModelVersion.objects.in_bulk([one["evaluator"] for one in kept])
    return [
        {
            "evaluator": evaluators[one["evaluator"]],
            "chart": charts.histogram(one["bins"], one["low"], one["high"]),
            "number": sum(number for number, _ in one["bins"]),
            "chosen": sum(chosen for _, chosen in one["bins"]),
        }
        for one in kept
        if one["evaluator"] in evaluators
    ]


@require_safe
@maintainers_only
def run_rows(request: MaintainerRequest, public_id: str, at: str) -> HttpResponse:
    """The rows behind one number of a run's page."""
    one = get_run(request, public_id)
    if at not in funnels.SHOWN:
        raise Http404
    reason = request.GET.get("reason", "")[:40].replace("\0", "")
    page = funnels.rows_of(one, at, reason=reason, after=cursor_of(request))
    context = {"run": one, "at": at, "reason": reason, "page": page}
    return TemplateResponse(request, "generation/run_rows.html", context)


def cursor_of(request: MaintainerRequest) -> int | None:
    """The key to go on after; nonsense is no cursor."""
    after = request.GET.get("after", "")
    return int(after) if after.isascii() and after.isdigit() and len(after) < 19 else None


@require_safe
@maintainers_only
def compare_runs(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """What this run and another one of its language drafted for the same texts."""
    left = get_run(request, public_id)
    right = get_object_or_404(
        Run.objects.select_related("model_version"), public_id=request.GET.get("with", ""), language=left.language_id
    )
    context = {
        "run": left,
        "sides": [(side, funnels.counts_of(side)) for side in (left, right)],
        "left": left,
        "right": right,
        "page": funnels.side_by_side(left, right, cursor_of(request)),
    }
    return TemplateResponse(request, "generation/compare_runs.html", context)


@require_POST
@maintainers_only
def stop_run(request: MaintainerRequest, public_id: str) -> HttpResponse:
    one = get_run(request, public_id)
    with transaction.atomic():
        if one.stop():
            Event.record(EventKind.RUN_STOPPED, one, actor=request.user, language=one.language, texts=one.texts_done)
            messages.success(request, _("Stopped. What was drafted is kept."))
    return redirect("run", one.public_id)


@require_POST
@maintainers_only
def pause_run(request: MaintainerRequest, public_id: str) -> HttpResponse:
    one = get_run(request, public_id)
    with transaction.atomic():
        if one.pause():
            Event.record(EventKind.RUN_PAUSED, one, actor=request.user, language=one.language, texts=one.texts_done)
            messages.success(request, _("Paused. Workers save what they have and leave."))
    return redirect("run", one.public_id)


@require_POST
@maintainers_only
def resume_run(request: MaintainerRequest, public_id: str) -> HttpResponse:
    one = get_run(request, public_id)
    return back_to_work(request, one, one.resume, EventKind.RUN_RESUMED, texts=one.texts_done)


@require_POST
@maintainers_only
def continue_run(request: MaintainerRequest, public_id: str) -> HttpResponse:
    one = get_run(request, public_id)
    return back_to_work(request, one, one.requeue, EventKind.RUN_QUEUED, texts=one.texts_total)


def back_to_work(
    request: MaintainerRequest, one: Run, move: Callable[[], bool], kind: EventKind, *, texts: int
) -> HttpResponse:
    """Move a run on and call a worker for it, where there is one."""
    try:
        queueing.demand_worker(jobs.DRAFT_QUEUE)
    except queueing.NoWorker as exc:
        return run_conflict(request, one, str(exc))
    with transaction.atomic():
        if move():
            queueing.ring(jobs.draft_run, one, jobs.DRAFT_QUEUE)
            Event.record(kind, one, actor=request.user, language=one.language, texts=texts)
    return redirect("run", one.public_id)


@require_POST
@maintainers_only
def score_run(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """Have every candidate of the run's language scored that this evaluator has not scored yet."""
    one = get_run(request, public_id)
    form = score_form(request, request.POST)
    if not form.is_valid():
        return TemplateResponse(request, "generation/run.html", run_context(one) | {"score_form": form}, status=422)
    asked = form.cleaned_data
    try:
        queueing.demand_worker(jobs.SCORE_QUEUE)
        evaluator = None
        if asked["model"] or asked["way"]:
            named = asked["model"].public_id if asked["model"] else None
            evaluator = scoring.evaluator_for(model=named, way=asked["way"] or None).public_id
    except (queueing.NoWorker, scoring.ScoringError) as exc:
        return run_conflict(request, one, str(exc))
    if queueing.is_waiting(one.language):
        messages.info(request, _("A worker scores in this language already. Ask again when it is through."))
    else:
        queueing.ring(jobs.score_language, one.language, jobs.SCORE_QUEUE, evaluator, asked["samples"] or 1)
        messages.success(request, _("A worker scores the candidates now."))
    return redirect("run", one.public_id)


def run_conflict(request: MaintainerRequest, one: Run, refusal: str) -> HttpResponse:
    context = run_context(one) | {"refusal": refusal, "score_form": score_form(request)}
    return TemplateResponse(request, "generation/run.html", context, status=409)
