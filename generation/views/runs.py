"""Runs: start drafting, watch it, stop it, go on, and have the candidates scored."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.db.models import Count, F, Func, QuerySet
from django.db.models.functions import Left
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from generation import drafting, jobs, queueing
from generation.finding import BEGINNING_CHARS
from generation.forms import RunForm
from generation.models import Candidate, CandidateState, JobState, ModelVersion, Run, Score, Task, Text
from generation.views.access import MaintainerRequest, maintained_languages, maintainers_only
from generation.views.banner import worker_banner
from xinstruct_site.people.models import Event, EventKind, Language

RUNS_SHOWN = 50
MODELS_SHOWN = 100
SAMPLES_SHOWN = 6


@require_http_methods(["GET", "HEAD", "POST"])
@maintainers_only
def runs(request: MaintainerRequest) -> HttpResponse:
    """The list, and the form that starts a run."""
    languages = maintained_languages(request.user)
    form = RunForm(
        request.POST or None,
        languages=languages,
        models=ModelVersion.objects.within(languages).filter(task=Task.DRAFT)[:MODELS_SHOWN],
        initial={key: request.GET[key] for key in ("language", "model") if key in request.GET},
    )
    status, refusal = 200, ""
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                run = start_drafting(request, **form.cleaned_data)
            except (queueing.NoWorker, drafting.DraftingError) as exc:
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
) -> Run:
    """The run that was asked for, queued where there is something to draft. Pressed twice it is one run."""
    queueing.demand_worker(jobs.DRAFT_QUEUE)
    version = model or drafting.model_version(settings.BACKEND, settings.MODEL)[0]
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
            created_by=request.user,
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
    return TemplateResponse(request, template, run_context(one))


def get_run(request: MaintainerRequest, public_id: str) -> Run:
    return get_object_or_404(
        Run.objects.select_related("language", "model_version", "created_by"),
        public_id=public_id,
        language__in=maintained_languages(request.user),
    )


def run_context(one: Run) -> dict[str, Any]:
    candidates = Candidate.objects.filter(run=one)
    counts = dict(candidates.values_list("state").annotate(number=Count("pk")))
    drafted = sum(counts.values())
    per_second = drafted / one.seconds if one.seconds else None
    left = (one.texts_total - one.texts_done) * one.samples
    is_drafting = one.state in {JobState.QUEUED, JobState.RUNNING}
    return {
        "run": one,
        "is_drafting": is_drafting,
        # Scoring has no row of its own: what a worker has yet to do for the language is scoring.
        "is_going_on": is_drafting or queueing.is_waiting(one.language),
        "drafted": drafted,
        "kept": counts.get(CandidateState.KEPT, 0),
        "rejected": counts.get(CandidateState.REJECTED, 0),
        "reasons": reasons_of(candidates) if counts.get(CandidateState.REJECTED) else [],
        "scored": Score.objects.filter(candidate__run=one).values("candidate").distinct().count(),
        "per_second": per_second,
        "seconds_left": left / per_second if per_second and one.state == JobState.RUNNING else None,
        "samples_kept": newest(candidates.kept()),
        "samples_rejected": newest(candidates.filter(state=CandidateState.REJECTED)),
        **worker_banner(jobs.DRAFT_QUEUE),
    }


def reasons_of(candidates: QuerySet[Candidate]) -> list[tuple[str, int]]:
    """How many candidates each check turned away; one candidate may fail several."""
    reason = Func(F("reasons"), function="unnest")
    counts = candidates.filter(state=CandidateState.REJECTED).values(reason=reason).annotate(number=Count("pk"))
    return [(row["reason"], row["number"]) for row in counts.order_by("-number", "reason")]


def newest(candidates: QuerySet[Candidate]) -> QuerySet[Candidate]:
    return (
        candidates.select_related("text__language")
        .defer("embedding", "text__body", "text__original")
        .annotate(beginning=Left("text__body", BEGINNING_CHARS))
        .order_by("-pk")[:SAMPLES_SHOWN]
    )


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
def continue_run(request: MaintainerRequest, public_id: str) -> HttpResponse:
    one = get_run(request, public_id)
    try:
        queueing.demand_worker(jobs.DRAFT_QUEUE)
    except queueing.NoWorker as exc:
        return run_conflict(request, one, str(exc))
    with transaction.atomic():
        if one.requeue():
            queueing.ring(jobs.draft_run, one, jobs.DRAFT_QUEUE)
            Event.record(EventKind.RUN_QUEUED, one, actor=request.user, language=one.language, texts=one.texts_total)
    return redirect("run", one.public_id)


@require_POST
@maintainers_only
def score_run(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """Have every candidate of the run's language scored that has no score yet."""
    one = get_run(request, public_id)
    try:
        queueing.demand_worker(jobs.SCORE_QUEUE)
    except queueing.NoWorker as exc:
        return run_conflict(request, one, str(exc))
    if not queueing.is_waiting(one.language):
        queueing.ring(jobs.score_language, one.language, jobs.SCORE_QUEUE)
    messages.success(request, _("A worker scores the candidates now."))
    return redirect("run", one.public_id)


def run_conflict(request: MaintainerRequest, one: Run, refusal: str) -> HttpResponse:
    return TemplateResponse(request, "generation/run.html", run_context(one) | {"refusal": refusal}, status=409)
