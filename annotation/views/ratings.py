"""Freezes what people said of decided items, asked for on the page of evaluators."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation import freezing, jobs
from generation import queueing
from generation.jobs import freezing_ratings
from generation.models import Release
from generation.views.access import MaintainerRequest, maintainers_only
from generation.views.evaluators import evaluators_page, ratings_form


@require_POST
@maintainers_only
def build_ratings(request: MaintainerRequest) -> HttpResponse:
    """Have a worker freeze ratings, or a gold set."""
    form = ratings_form(request, request.POST)
    asked = form.cleaned_data if form.is_valid() else {}
    if asked and not freezing.NAME.fullmatch(asked["name"]):
        form.add_error("name", _("“%(name)s” cannot be a release's name.") % {"name": asked["name"]})
    elif asked and Release.objects.filter(name=asked["name"]).exists():
        taken = _("There is a release “%(name)s” already. Choose another name.")
        form.add_error("name", taken % {"name": asked["name"]})
    if form.errors:
        return evaluators_page(request, form, status=422)
    try:
        queueing.demand_worker(jobs.QUEUE)
    except queueing.NoWorker as exc:
        return evaluators_page(request, form, refusal=str(exc), status=409)
    name = freezing_ratings(request.user)
    if queueing.is_named_waiting(name):
        messages.info(request, _("A worker freezes ratings for you already. Ask again when it is through."))
    else:
        keys = [language.pk for language in asked["languages"]]
        queueing.ring_as(name, jobs.build_ratings, jobs.QUEUE, request.user.pk, asked["name"], keys, asked["gold"] or 0)
        messages.success(request, _("A worker freezes them now. Reload in a moment."))
    return redirect("evaluators")
