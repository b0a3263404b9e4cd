"""Questions on items: one item's threads, and a language's feed of them."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from annotation import comments, finding
from annotation.forms import CommentForm
from annotation.models import Item, ItemKind
from annotation.views.access import language_for, person


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def of_item(request: HttpRequest, public_id: str) -> HttpResponse:
    """Read, ask, answer, resolve."""
    user = person(request)
    items = Item.objects.exclude(kind=ItemKind.PRACTICE).select_related("language", "text")
    item = get_object_or_404(items, public_id=public_id)
    language = language_for(request, item.language.code)
    if not comments.may_ask(user, item):
        raise Http404
    visible = comments.heads(user, language).filter(item=item).select_related("item__language", "author")
    form = CommentForm(request.POST or None)
    if request.method == "POST":
        thread = visible.filter(public_id=request.POST.get("thread", "")[:40]).first()
        if "resolve" in request.POST:
            if thread:
                comments.resolve(user, thread)
            return redirect("item_questions", public_id=item.public_id)
        if form.is_valid():
            comments.say(user, item, form.cleaned_data["body"], thread)
            return redirect("item_questions", public_id=item.public_id)
    context = {
        "item": item,
        "language": language,
        "threads": comments.threads(user, visible),
        "form": form,
    }
    return TemplateResponse(request, "annotation/item_questions.html", context, status=422 if form.errors else 200)


@require_safe
@never_cache
@login_required
def feed(request: HttpRequest, code: str) -> HttpResponse:
    """What was asked in the language: open threads, or with `?all=1` resolved ones, too."""
    user, language = person(request), language_for(request, code)
    visible = comments.heads(user, language).select_related("item__language", "item__text", "author")
    shows_all = "all" in request.GET
    if not shows_all:
        visible = visible.filter(resolved_at=None)
    context = {
        "language": language,
        "threads": comments.threads(user, visible[: comments.SHOWN]),
        "shows_all": shows_all,
        "is_lead": finding.leads(user, language),
    }
    return TemplateResponse(request, "annotation/questions.html", context)
