"""`/languages/<code>/gold/`: gold, how people do on it, and who is paused; and the page that a paused person sees."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotation import gold as golds
from annotation import mixing, practice, screening
from annotation.models import Adjudication, Gold, Item, ItemKind, Pause, PauseReason
from annotation.screening_forms import LiftForm, ScreeningForm
from annotation.views.access import language_for, person
from xinstruct_site.people.models import Language, Membership, Role

SHOWN = 100


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def gold(request: HttpRequest, code: str) -> HttpResponse:
    language = language_for(request, code, Role.LINGUIST)
    start = {"gold_share": language.gold_share, "entry_mark": language.entry_mark}
    form = ScreeningForm(request.POST or None, initial=start)
    if request.method == "POST" and form.is_valid():
        Language.objects.filter(pk=language.pk).update(**form.cleaned_data)
        changed = Language.objects.get(pk=language.pk)
        mixing.thin_out(changed) if changed.gold_share < language.gold_share else mixing.mix_in(changed)
        messages.success(request, _("Kept."))
        return redirect("gold", code=language.code)
    known = Gold.objects.filter(item__language=language).select_related("item__text", "made_by")
    decided = Adjudication.objects.filter(
        item__language=language, item__kind=ItemKind.NORMAL, item__text__withdrawn_at=None, withdrawn_at=None
    )
    context = {
        "language": language,
        "form": form,
        "golds": known.filter(retired_at=None).order_by("-at")[:SHOWN],
        "decided": decided.select_related("item__text").order_by("-at")[:20],
        "people": screening.people_on_gold(language),
        "paused": Pause.objects.filter(language=language, lifted_at=None).select_related("user").order_by("at"),
        "entry_items": screening.ENTRY_ITEMS,
    }
    return TemplateResponse(request, "annotation/gold.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def make(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    language = language_for(request, code, Role.LINGUIST)
    items = Item.objects.select_related("text", "language")
    item = get_object_or_404(items, language=language, public_id=public_id, gold=None)
    try:
        golds.make(item, person(request))
    except golds.NoGold as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, _("It is gold now: people meet it among the others, and it is in no release."))
    return redirect("gold", code=language.code)


@require_POST
@login_required
def retire(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    language = language_for(request, code, Role.LINGUIST)
    known = Gold.objects.select_related("item__language")
    found = get_object_or_404(known, item__language=language, item__public_id=public_id)
    if golds.retire(found, person(request), is_wrong="wrong" in request.POST):
        messages.success(request, _("Nobody is served it any more. It stays out of releases."))
    return redirect("gold", code=language.code)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def talk(request: HttpRequest, code: str, pk: int) -> HttpResponse:
    """One pause: what the person answered beside what is known, and the note with which it is lifted."""
    language = language_for(request, code, Role.LINGUIST)
    paused = get_object_or_404(Pause.objects.select_related("user", "language", "lifted_by"), pk=pk, language=language)
    form = LiftForm(request.POST or None)
    if request.method == "POST" and paused.user == request.user:
        messages.error(request, _("Another linguist has to lift your own pause."))
        return redirect("talk", code=language.code, pk=paused.pk)
    if request.method == "POST" and form.is_valid():
        if screening.lift(paused, person(request), form.cleaned_data["note"]):
            if paused.reason == PauseReason.ENTRY:
                practice.finish(paused.user, language)
            messages.success(request, _("Lifted. They read your note and can go on."))
        return redirect("gold", code=language.code)
    said = golds.answers(language, [paused.user_id]).get(paused.user_id, [])
    context = {
        "language": language,
        "paused": paused,
        "form": form,
        "answers": said[::-1][:SHOWN],
        "course": practice.course(paused.user, language) if paused.reason == PauseReason.ENTRY else None,
    }
    return TemplateResponse(request, "annotation/talk.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def paused(request: HttpRequest, code: str) -> HttpResponse:
    """What a paused person sees: what happened, what the linguist has been told, and how it goes on; later the note."""
    user, language = person(request), language_for(request, code)
    if request.method == "POST":
        screening.go_on(user, language)
        return redirect("review", code=language.code)
    standing = screening.of(user, language)
    if standing is None and not user.is_paused(language):
        return redirect("review", code=language.code)
    others = Membership.objects.exclude(user=user).filter(user__is_active=True)
    leads = others.filter(language=language, role=Role.LINGUIST)
    if not leads.exists():
        leads = others.filter(Q(language=language) | Q(language=None), role=Role.MAINTAINER)
    context = {
        "language": language,
        "paused": standing,
        "lifted": None if standing else screening.note_for(user, language),
        "linguists": [m.user for m in leads.select_related("user").order_by("pk")],
    }
    return TemplateResponse(request, "annotation/paused.html", context)
