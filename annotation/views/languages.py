"""`/languages/<code>/`: guidelines and progress; for maintainers, the button that puts items before people."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from annotation import jobs, queues
from annotation.overview import has_ready
from annotation.views import desk, guidelines
from annotation.views.access import language_for, person
from generation import queueing
from generation.curation_forms import SelectForm
from xinstruct_site.people import guidelines as writing
from xinstruct_site.people.models import Language, Role


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def language(request: HttpRequest, code: str) -> HttpResponse:
    user, shown = person(request), language_for(request, code)
    may_select = user.has_role(shown, Role.MAINTAINER)
    if request.method == "POST" and not may_select:
        return HttpResponse(status=403)
    form = SelectForm(request.POST or None, language=shown) if may_select else None
    if request.method == "POST" and form and form.is_valid():
        select(request, shown, form)
        return redirect("language", code=shown.code)
    if request.method == "GET":
        writing.mark_seen(user, shown)
    is_lead = user.has_role(shown, Role.LINGUIST)
    progress, known = queues.progress(user, shown), desk.current_figures(shown)
    context = guidelines.shown(shown.guidelines, shown.guidelines_language, shown) | {
        "language": shown,
        "is_lead": is_lead,
        "progress": progress,
        "stages": desk.stages(known, is_lead=is_lead),
        "form": form,
        "refusal": queueing.refusal(jobs.selecting(shown)) if may_select else "",
    }
    status = 422 if form and form.errors else 200
    if is_lead:
        context["desk"] = desk.at_a_glance(user, shown, known, progress.language_accepted)
    return TemplateResponse(request, "annotation/language.html", context, status=status)


def select(request: HttpRequest, shown: Language, form: SelectForm) -> None:
    """Have the worker make a round, if there is a worker and something to make it of."""
    if not has_ready(shown):
        messages.error(request, _("No scored draft waits. Draft instructions and score them first (page Runs)."))
        return
    try:
        queueing.demand_worker(jobs.QUEUE)
    except queueing.NoWorker as exc:
        messages.error(request, str(exc))
        return
    jobs.ring_select(shown, form.cleaned_data["count"], person(request), form.asked())
    messages.success(request, _("A worker selects now. Reload in a moment to see the items."))
