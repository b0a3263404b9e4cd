"""`/languages/<code>/varieties/`: the list that a language's lead keeps; `/items/<id>/language/`: what one text is."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from annotation import finding, relabelling
from annotation.models import Item
from annotation.variety_forms import RelabelForm, VarietyForm
from annotation.views.access import language_for, person
from xinstruct_site.people import varieties as listing
from xinstruct_site.people.models import Role, Variety, VarietyKind


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def varieties(request: HttpRequest, code: str) -> HttpResponse:
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    form = VarietyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        listing.add(language, asked["kind"], asked["name"], tag=asked["tag"], by=user)
        return redirect("varieties", code=language.code)
    entries = list(listing.standing(language))
    carried = relabelling.carried(language)
    context = {
        "language": language,
        "form": form,
        "kinds": [
            (kind, kind.label, [(each, carried.pop((kind, each.name), 0)) for each in entries if each.kind == kind])
            for kind in VarietyKind
        ],
        "unlisted": [(kind, name, texts) for (kind, name), texts in carried.items()],
    }
    return TemplateResponse(request, "annotation/varieties.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def retire(request: HttpRequest, code: str, pk: int) -> HttpResponse:
    language = language_for(request, code, Role.LINGUIST)
    listing.retire(get_object_or_404(Variety, pk=pk, language=language))
    messages.success(request, _("Retired. What carries it stays as it is."))
    return redirect("varieties", code=language.code)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def relabel(request: HttpRequest, public_id: str) -> HttpResponse:
    """A lead's word on which language, variety and orthography an item's text is."""
    user = person(request)
    item = Item.objects.filter(public_id=public_id).select_related("language", "text").first()
    if item is None:
        raise Http404
    language = language_for(request, item.language.code, Role.LINGUIST)
    if not finding.visible_items(user, language).filter(pk=item.pk).exists():
        raise Http404
    form = RelabelForm(request.POST or None, item=item)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                _say(request, item, form)
            except relabelling.NotMoved as exc:
                form.add_error("language", str(exc))
            else:
                return redirect("item", public_id=item.public_id)
    context = {"item": item, "text": item.text, "language": language, "form": form}
    return TemplateResponse(request, "annotation/relabel.html", context, status=status)


def _say(request: HttpRequest, item: Item, form: RelabelForm) -> None:
    asked, user = form.cleaned_data, person(request)
    if asked["language"] != item.language:
        relabelling.move(item, asked["language"], user)
        name = asked["language"].local_name()
        messages.success(request, _("It waits for reviews in %(language)s now.") % {"language": name})
    elif relabelling.say(item, user, variety=asked["variety"], orthography=asked["orthography"]):
        messages.success(request, _("Kept. The text and its pair carry it."))
