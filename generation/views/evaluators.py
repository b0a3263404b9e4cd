"""Evaluators: what is known of each one's agreement with people, and the curve that a threshold is chosen from."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from generation import calibrating, jobs, queueing, reliability
from generation.charts import PrecisionChart, precision_chart
from generation.curation_forms import MeasureForm, RatingsForm
from generation.models import ARRIVALS, Measurement, ModelVersion, Round, Task
from generation.views.access import MaintainerRequest, maintained_languages, maintainers_only
from generation.views.banner import worker_banner

SHOWN = 50
WANTED = (0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Report:
    """One measurement as its page shows it. `offers`: wanted precision, threshold, what it would keep."""

    measurement: Measurement
    figures: list[tuple[str, list[float] | None]]
    chart: PrecisionChart | None
    offers: list[tuple[float, float | None, int]]


@require_safe
@maintainers_only
def evaluators(request: MaintainerRequest) -> HttpResponse:
    """The newest evaluators, each with what it was measured on, and the form that freezes ratings to measure on."""
    return evaluators_page(request, refusal=queueing.refusal(jobs.freezing_ratings(request.user)))


def evaluators_page(
    request: MaintainerRequest, form: RatingsForm | None = None, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    languages = maintained_languages(request.user)
    seen = Measurement.objects.filter(language__in=languages).select_related("release", "language").defer("points")
    found = ModelVersion.objects.within(languages).filter(task=Task.SCORE).exclude(prompt_version="")
    rows = found.order_by("-pk").prefetch_related(Prefetch("measurements", seen, to_attr="seen"))[:SHOWN]
    context = {
        "evaluators": rows,
        "form": form or ratings_form(request),
        "refusal": refusal,
        "is_freezing": queueing.is_named_waiting(jobs.freezing_ratings(request.user)),
        **worker_banner(jobs.SCORE_QUEUE),
    }
    return TemplateResponse(request, "generation/evaluators.html", context, status=status)


def ratings_form(request: MaintainerRequest, data: Any = None) -> RatingsForm:
    """Of the languages whose people have had something to decide on."""
    selected = Round.objects.filter(number__gt=ARRIVALS).values("language")
    return RatingsForm(data, languages=maintained_languages(request.user).filter(pk__in=selected))


def get_evaluator(request: MaintainerRequest, public_id: str) -> ModelVersion:
    known = ModelVersion.objects.within(maintained_languages(request.user)).filter(task=Task.SCORE)
    return get_object_or_404(known.exclude(prompt_version=""), public_id=public_id)


@require_safe
@maintainers_only
def evaluator(request: MaintainerRequest, public_id: str) -> HttpResponse:
    one = get_evaluator(request, public_id)
    return evaluator_page(request, one, refusal=queueing.refusal(jobs.measuring(one)))


def evaluator_page(
    request: MaintainerRequest,
    one: ModelVersion,
    form: MeasureForm | None = None,
    *,
    refusal: str = "",
    status: int = 200,
) -> HttpResponse:
    languages = maintained_languages(request.user)
    found = Measurement.objects.filter(evaluator=one, language__in=languages).select_related("release", "language")
    context = {
        "evaluator": one,
        "calibration": calibrating.of(one.location),
        "reports": [report(measurement) for measurement in found[:SHOWN]],
        "rounds": Round.objects.filter(evaluator=one, language__in=languages).select_related("language")[:SHOWN],
        "form": form or MeasureForm(languages=languages),
        "refusal": refusal,
        "is_measuring": queueing.is_named_waiting(jobs.measuring(one)),
        **worker_banner(jobs.SCORE_QUEUE),
    }
    return TemplateResponse(request, "generation/evaluator.html", context, status=status)


@require_POST
@maintainers_only
def measure(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """Have a worker compare the evaluator with people on a rated set."""
    one = get_evaluator(request, public_id)
    form = MeasureForm(request.POST, languages=maintained_languages(request.user))
    if not form.is_valid():
        return evaluator_page(request, one, form, status=422)
    try:
        queueing.demand_worker(jobs.SCORE_QUEUE)
    except queueing.NoWorker as exc:
        return evaluator_page(request, one, form, refusal=str(exc), status=409)
    name = jobs.measuring(one)
    if queueing.is_named_waiting(name):
        messages.info(request, _("A worker asks this evaluator already. Ask again when it is through."))
    else:
        queueing.ring_as(name, jobs.measure_evaluator, jobs.SCORE_QUEUE, one.pk, form.cleaned_data["release"].pk)
        messages.success(request, _("A worker asks the evaluator about every pair now. Reload in a while."))
    return redirect("evaluator", one.public_id)


def report(measurement: Measurement) -> Report:
    points = [(raw, good) for raw, good in measurement.points]
    curve = reliability.curve(points)
    offers = []
    for wanted in WANTED:
        threshold = reliability.threshold_for(points, wanted)
        kept = 0 if threshold is None else sum(raw >= threshold for raw, _ in points)
        offers.append((wanted, threshold, kept))
    names = ("precision", "recall", "f1", "kappa", "auc")
    return Report(
        measurement,
        [(name, measurement.figures.get(name)) for name in names],
        precision_chart(curve, measurement.threshold),
        offers,
    )
