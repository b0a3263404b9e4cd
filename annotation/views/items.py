"""`/items/` and `/items/<id>/`: find items by text, state, person and flag, and read what became of one."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from annotation import finding
from annotation.finding_forms import FindItemsForm
from annotation.history import history
from annotation.models import Item
from annotation.views.access import language_for, person
from xinstruct_site.people.models import Language, Role


@require_safe
@never_cache
@login_required
def items(request: HttpRequest) -> HttpResponse:
    """Without a language in the address: the person's first one."""
    user = person(request)
    languages = list(Language.objects.reviewed_by(user))
    if not languages:
        return TemplateResponse(request, "annotation/mine_nothing.html")
    language = language_for(request, request.GET.get("language") or languages[0].code)
    is_lead = finding.leads(user, language)
    form = FindItemsForm(
        request.GET, languages=languages, people=finding.people_of(language) if is_lead else None, language=language
    )
    context = {"form": form, "language": language, "is_lead": is_lead}
    if not form.is_valid():
        return TemplateResponse(request, "annotation/items.html", context, status=422)
    asked = form.asked()
    page = finding.find_items(user, language, **asked)
    query = request.GET.copy()
    query["after"] = page.goes_on_after
    context |= {"page": page, "next_query": query.urlencode(), "is_filtered": form.narrows(), "asked": asked}
    context["most"] = finding.MOST_COUNTED
    since, until = asked["reviewed_since"], asked["reviewed_until"]
    if is_lead and not asked["after"] and (asked["person"] or since or until):
        context["reviews"] = finding.sent(language, asked["person"], since, until)
    return TemplateResponse(request, "annotation/items.html", context)


@require_safe
@never_cache
@login_required
def item(request: HttpRequest, public_id: str) -> HttpResponse:
    user = person(request)
    known = Item.objects.filter(public_id=public_id).select_related("language", "text", "round").first()
    if known is None:
        raise Http404
    language = language_for(request, known.language.code)
    if not finding.visible_items(user, language).filter(pk=known.pk).exists():
        raise Http404
    context = {
        "history": history(user, known),
        "item": known,
        "text": known.text,
        "language": language,
        "maintains": user.has_role(language, Role.MAINTAINER),
    }
    return TemplateResponse(request, "annotation/item.html", context)
