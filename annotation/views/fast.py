"""`/review/<code>/fast/`: one instruction after the other, good or bad with a reason."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation import fastpass, queues
from annotation.models import FastReason
from annotation.views.access import language_for, person
from annotation.views.practice import practice_first
from annotation.views.review import redirect_to_pause
from xinstruct_site.people.agreements import agreement_first
from xinstruct_site.people.models import Language


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def fast(request: HttpRequest, code: str) -> HttpResponse:
    user, language = person(request), language_for(request, code)
    if first := agreement_first(request, user) or practice_first(request, language):
        return first
    if user.is_paused(language):
        return redirect_to_pause(request, language)
    if request.method != "POST":
        return ask(request, language)
    reason = request.POST.get("reason", "")
    try:
        fastpass.judge(user, language, request.POST.get("stamp", ""), good="good" in request.POST, reason=reason)
    except fastpass.NotAsked:
        return ask(request, language, _("That page was out of date, so nothing was stored."), 409)
    except ValueError:
        return ask(request, language, _("Say good, or what is bad about it."), 422)
    if request.htmx:  # type: ignore[attr-defined]
        return ask(request, language)
    return redirect("fast", language.code)


def ask(request: HttpRequest, language: Language, notice: str = "", status: int = 200) -> HttpResponse:
    user = person(request)
    context: dict[str, object] = {"language": language, "progress": queues.progress(user, language), "notice": notice}
    if found := fastpass.next_instruction(user, language):
        item, candidate = found
        context |= {
            "text": item.text,
            "candidate": candidate,
            "stamp": fastpass.stamp(user, item, candidate),
            "reasons": FastReason.choices,
        }
    name = "annotation/fast.html"
    swap = request.htmx  # type: ignore[attr-defined]
    return TemplateResponse(request, f"{name}#swap" if swap else name, context, status=status)
