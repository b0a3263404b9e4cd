"""Fine-tune runs: start one, watch its loss, cancel it; and the model versions there are."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from generation import finetuning, jobs, loading, queueing, recipes
from generation.backends.base import BackendError
from generation.charts import line_chart
from generation.forms import FineTuneForm
from generation.models import FineTuneRun, JobState, ModelVersion, Task
from generation.views.access import MaintainerRequest, maintained_languages, maintainers_only
from generation.views.banner import worker_banner
from xinstruct_site.people.models import Event, EventKind

RUNS_SHOWN = 50
MODELS_SHOWN = 50


@require_http_methods(["GET", "HEAD", "POST"])
@maintainers_only
def finetunes(request: MaintainerRequest) -> HttpResponse:
    """The list of runs and models, and the form that starts a run."""
    languages = maintained_languages(request.user)
    initial = {"releases": request.GET.getlist("release")} | (
        {"task": task} if (task := request.GET.get("task")) else {}
    )
    form = FineTuneForm(
        request.POST or None,
        languages=languages,
        models=ModelVersion.objects.within(languages).runnable().exclude(task=Task.SCORE)[:MODELS_SHOWN],
        initial=initial,
    )
    status, refusal = 200, ""
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                run = start_training(request, **form.cleaned_data)
            except (queueing.NoWorker, recipes.TrainingError, BackendError) as exc:
                status, refusal = 409, str(exc)
            else:
                return redirect("finetune", run.public_id)
    visible = FineTuneRun.objects.within(languages)
    context = {
        "form": form,
        "refusal": refusal,
        "line": visible.in_line().select_related("base_model").prefetch_related("releases")[:RUNS_SHOWN],
        "runs": visible.exclude(state=JobState.QUEUED)
        .select_related("base_model", "model_version")
        .prefetch_related("releases")[:RUNS_SHOWN],
        "models": ModelVersion.objects.within(languages).select_related("fine_tune_run__base_model")[:MODELS_SHOWN],
        **worker_banner(jobs.TRAINING_QUEUE),
    }
    return TemplateResponse(request, "generation/finetunes.html", context, status=status)


def start_training(
    request: MaintainerRequest, *, task: str, releases: Any, seeds: Any, base_model: ModelVersion | None, method: str,
    **config: Any,
) -> FineTuneRun:  # fmt: skip
    """The run that was asked for, queued. The same recipe is the same run, so pressing twice is harmless."""
    queueing.demand_worker(jobs.TRAINING_QUEUE)
    base_model = base_model or loading.model_version(settings.BACKEND, settings.MODEL)[0]
    with transaction.atomic():
        run = finetuning.open_run(
            task,
            releases=list(releases),
            seeds=[language.code for language in seeds],
            base_model=base_model,
            method=method,
            config=config,
            created_by=request.user,
        )
        if run.state in {JobState.FAILED, JobState.STOPPED}:
            finetuning.demand_quota(request.user)
            finetuning.try_again(run)
        if run.state == JobState.QUEUED and not queueing.is_waiting(run):
            queueing.ring(jobs.train_run, run, jobs.TRAINING_QUEUE)
    if run.state == JobState.DONE:
        messages.info(request, _("This recipe was trained already; here is the result."))
    return run


@require_safe
@maintainers_only
def finetune(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """One run; asked by HTMX, only what moves."""
    one = get_finetune(request, public_id)
    template = "generation/finetune.html#live" if request.htmx else "generation/finetune.html"
    return TemplateResponse(request, template, finetune_context(one))


def get_finetune(request: MaintainerRequest, public_id: str) -> FineTuneRun:
    return get_object_or_404(
        FineTuneRun.objects.within(maintained_languages(request.user))
        .select_related("base_model", "model_version", "created_by")
        .prefetch_related("releases"),
        public_id=public_id,
    )


def finetune_context(one: FineTuneRun) -> dict[str, Any]:
    log = one.log.thinned(one.step).values_list("step", "loss", "tokens_per_second")
    losses = [(step, loss) for step, loss, _speed in log]
    speeds = [(step, speed) for step, _loss, speed in log if speed is not None]
    elapsed = ((one.finished_at or timezone.now()) - one.started_at).total_seconds() if one.started_at else None
    is_running = one.state == JobState.RUNNING
    return {
        "run": one,
        "recipe": [
            (word.replace("_", " "), value) for word, value in one.config.items() if value not in (None, False, "", {})
        ],
        "is_going_on": one.state in {JobState.QUEUED, JobState.RUNNING},
        "chart": line_chart(losses, x_max=one.steps_total, beside=one.validation),
        "last": losses[-1] if losses else None,
        "first": losses[0] if losses else None,
        "validation_first": one.validation[0] if one.validation else None,
        "validation_last": one.validation[-1] if one.validation else None,
        "speed_chart": line_chart(speeds, x_max=one.steps_total),
        "speed": speeds[-1][1] if speeds else None,
        "seconds": elapsed,
        "seconds_left": elapsed / one.step * (one.steps_total - one.step)
        if is_running and elapsed and one.step
        else None,
        "result": getattr(one, "model_version", None),
        **worker_banner(jobs.TRAINING_QUEUE),
    }


@require_POST
@maintainers_only
def cancel_finetune(request: MaintainerRequest, public_id: str) -> HttpResponse:
    one = get_finetune(request, public_id)
    with transaction.atomic():
        if one.stop():
            Event.record(EventKind.FINETUNE_CANCELLED, one, actor=request.user, step=one.step)
            messages.success(
                request, _("Cancelled. The trainer keeps a checkpoint and leaves; Continue goes on from there.")
            )
    return redirect("finetune", one.public_id)


@require_POST
@maintainers_only
def continue_finetune(request: MaintainerRequest, public_id: str) -> HttpResponse:
    one = get_finetune(request, public_id)
    try:
        queueing.demand_worker(jobs.TRAINING_QUEUE)
        with transaction.atomic():
            finetuning.demand_quota(request.user)
            if one.requeue():
                queueing.ring(jobs.train_run, one, jobs.TRAINING_QUEUE)
                Event.record(EventKind.FINETUNE_QUEUED, one, actor=request.user)
    except (queueing.NoWorker, recipes.TrainingError) as exc:
        context = finetune_context(one) | {"refusal": str(exc)}
        return TemplateResponse(request, "generation/finetune.html", context, status=409)
    return redirect("finetune", one.public_id)


@require_POST
@maintainers_only
def move_finetune(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """Have a waiting run go before the others that wait."""
    one = get_finetune(request, public_id)
    with transaction.atomic():
        if one.move_to_front():
            Event.record(EventKind.FINETUNE_QUEUED, one, actor=request.user, moved="to the front")
    return redirect("finetunes")
