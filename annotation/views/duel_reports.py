"""`/duels/`: what came of the duels, for linguists and maintainers of their languages; open, close and judge.

A judge's figures come from judging_duels.judged alone, which gives none without the judge's agreement with people.
"""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from annotation import duel_figures, duels, jobs, judging_duels
from annotation.evaluation_forms import ModelForm
from annotation.models import Duel, DuelState, JudgeRun
from annotation.views.access import language_for, person
from generation import evaluation, loading, queueing
from generation.backends.base import BackendError
from generation.charts import interval_chart
from generation.intervals import Rate
from generation.models import JobState, ModelVersion, Task
from generation.views.access import led_languages, maintained_languages
from xinstruct_site.people.models import Role

SHOWN = 50
REASONS_SHOWN = 30


@require_safe
@login_required
def reports(request: HttpRequest) -> HttpResponse:
    """The duels of the languages that the person leads, each with its win rate."""
    led = led_languages(person(request))
    if not led.exists():
        raise PermissionDenied
    found = Duel.objects.filter(language__in=led).select_related("language", "question_set", "base", "rival")
    rows = duels.standings(found[:SHOWN])
    bars = [bar(f"{row.duel.rival} – {row.duel.base}, {row.duel.language.name}", row.win_rate) for row in rows]
    context = {
        "rows": rows,
        "chart": interval_chart([each for each in bars if each], middle=0.5),
        "may_evaluate": person(request).has_role(None, Role.MAINTAINER),
    }
    return TemplateResponse(request, "generation/duels.html", context)


@require_safe
@login_required
def report(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    return TemplateResponse(
        request, "generation/duel_report.html", report_context(request, get_duel(request, code, public_id))
    )


def get_duel(request: HttpRequest, code: str, public_id: str, *roles: Role) -> Duel:
    language = language_for(request, code, *(roles or (Role.LINGUIST, Role.MAINTAINER)))
    found = Duel.objects.filter(language=language).select_related("language", "question_set", "base", "rival")
    return get_object_or_404(found, public_id=public_id)


def report_context(request: HttpRequest, duel: Duel) -> dict[str, Any]:
    ballots = duels.ballots(duel)
    said = duel_figures.figures(ballots)
    runs = duel.judge_runs.select_related("judge")
    judged = [judging_duels.judged(run, ballots) for run in runs]
    bars = [
        bar(_("win rate of the rival"), said.win_rate),
        bar(_("the answer that stands first wins"), said.first_wins),
    ]
    may_manage = person(request).has_role(duel.language, Role.MAINTAINER)
    return {
        "duel": duel,
        "bouts": duel.bouts.count(),
        "figures": said,
        "chart": interval_chart([each for each in bars if each], middle=0.5),
        "judged": judged,
        "is_judging": any(one.run.state in {JobState.QUEUED, JobState.RUNNING} for one in judged),
        "reasons": duels.reasons(duel)[:REASONS_SHOWN],
        "is_open": duel.state == DuelState.OPEN,
        "form": ModelForm(models=judges(request)) if may_manage else None,
    }


def bar(label: str, rate: Rate | None) -> tuple[str, float, float | None, float | None] | None:
    """A row of a chart; nothing where there is no rate."""
    return (label, rate.value, rate.low, rate.high) if rate else None


def judges(request: HttpRequest) -> Any:
    """Models that can be asked for a verdict."""
    return (
        ModelVersion.objects.within(maintained_languages(person(request))).runnable().filter(task=Task.ANSWER)[:SHOWN]
    )


@require_POST
@login_required
def close(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    duel = get_duel(request, code, public_id, Role.MAINTAINER)
    if duels.close_duel(duel, person(request)):
        messages.success(request, _("The duel is closed: nobody gets more of its answers."))
    return redirect("duel_report", code, public_id)


@require_POST
@login_required
def judge(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """Queue a judge. What it says is shown once enough people have voted."""
    duel = get_duel(request, code, public_id, Role.MAINTAINER)
    form = ModelForm(request.POST, models=judges(request))
    status, refusal = 422, ""
    if form.is_valid():
        try:
            start_judging(request, duel, form.cleaned_data["model"])
            return redirect("duel_report", code, public_id)
        except (queueing.NoWorker, judging_duels.JudgeError, BackendError) as exc:
            status, refusal = 409, str(exc)
    context = report_context(request, duel) | {"form": form, "refusal": refusal}
    return TemplateResponse(request, "generation/duel_report.html", context, status=status)


def start_judging(request: HttpRequest, duel: Duel, model: ModelVersion | None) -> JudgeRun:
    queueing.demand_worker(jobs.QUEUE)
    version = model or loading.model_version(settings.BACKEND, settings.MODEL, task=Task.ANSWER)[0]
    with transaction.atomic():
        run = judging_duels.open_run(duel, version, person(request))
        if run.state == JobState.QUEUED and not queueing.is_waiting(run):
            queueing.ring(jobs.judge_duel, run, jobs.QUEUE)
    return run


@require_POST
@login_required
def stop(request: HttpRequest, code: str, public_id: str, run_id: str) -> HttpResponse:
    run = get_run(request, code, public_id, run_id)
    if evaluation.stop(run, person(request)):
        messages.success(request, _("Stopped. What was judged is kept."))
    return redirect("duel_report", code, public_id)


@require_POST
@login_required
def go_on(request: HttpRequest, code: str, public_id: str, run_id: str) -> HttpResponse:
    run = get_run(request, code, public_id, run_id)
    try:
        start_judging(request, run.duel, run.judge)
    except (queueing.NoWorker, judging_duels.JudgeError) as exc:
        messages.error(request, str(exc))
    return redirect("duel_report", code, public_id)


def get_run(request: HttpRequest, code: str, public_id: str, run_id: str) -> JudgeRun:
    duel = get_duel(request, code, public_id, Role.MAINTAINER)
    return get_object_or_404(duel.judge_runs, public_id=run_id)
