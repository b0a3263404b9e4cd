"""Questions on items: one item's threads, and a language's feed of them."""

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from annotation import comments, finding
from annotation.forms import CommentForm
from annotation.models import Comment, Item, ItemKind, SlotState
from annotation.views.access import language_for, person

WITH_ITEM = ("item__language", "item__text", "item__gold__item", "author")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def of_item(request: HttpRequest, public_id: str) -> HttpResponse:
    """Read, ask, answer, resolve, open again, hide."""
    user = person(request)
    items = Item.objects.exclude(kind=ItemKind.PRACTICE).select_related("language", "text", "gold__item")
    item = get_object_or_404(items, public_id=public_id)
    language = language_for(request, item.language.code)
    if not comments.may_ask(user, item):
        raise Http404
    is_lead = finding.leads(user, language)
    if item.gold and is_lead:
        return redirect("item_questions", public_id=item.gold.item.public_id)
    visible = comments.of_item(user, item).select_related(*WITH_ITEM)
    form = CommentForm(request.POST or None)
    asked_of = ""
    if request.method == "POST":
        asked_of = request.POST.get("thread", "")[:40]
        thread = visible.filter(public_id=asked_of).first() if asked_of else None
        if done := _carry_out(request, form, item, thread):
            return redirect(f"{reverse('item_questions', args=[item.public_id])}#{done.public_id}")
        if asked_of and thread is None:
            form.add_error("body", _("That thread is not open to you any more. Ask anew, if you like."))
            asked_of = ""
    threads = comments.threads(user, language, visible)
    if request.method == "GET":
        comments.look(user, threads)
    context = {
        "item": item,
        "language": language,
        "threads": threads,
        "form": CommentForm() if asked_of else form,
        "answer": form,
        "asked_of": asked_of,
        "is_seen": finding.visible_items(user, language).filter(pk=item.pk).exists(),
        "is_held": item.slots.filter(holder=user, state=SlotState.HELD).exists(),
    }
    return TemplateResponse(request, "annotation/item_questions.html", context, status=422 if form.errors else 200)


def _carry_out(request: HttpRequest, form: CommentForm, item: Item, thread: Comment | None) -> Comment | None:
    """What the buttons ask for; the thread it was done to, or None where nothing could be done."""
    user, asked = person(request), request.POST
    if asked.get("thread") and thread is None:
        return None
    if thread and (which := asked.get("hide") or asked.get("show")):
        in_thread = Comment.objects.filter(Q(pk=thread.pk) | Q(thread=thread)).select_related("item__language")
        act = comments.hide if "hide" in asked else comments.show
        for comment in in_thread.filter(public_id=which[:40]):
            act(user, comment)
        return thread
    if thread and "reopen" in asked:
        comments.reopen(user, thread)
        return thread
    if thread and "resolve" in asked and not asked.get("body", "").strip():
        comments.resolve(user, thread)
        return thread
    if not form.is_valid():
        return None
    said = comments.say(user, item, form.cleaned_data["body"], thread)
    if thread and "resolve" in asked:  # an answer that stands in the field goes with it
        comments.resolve(user, thread)
    return thread or said


@require_safe
@never_cache
@login_required
def feed(request: HttpRequest, code: str) -> HttpResponse:
    """What was asked in the language: open threads, or with `?all=1` resolved ones, too."""
    user, language = person(request), language_for(request, code)
    visible = comments.heads(user, language).select_related(*WITH_ITEM)
    last = visible.filter(public_id=request.GET.get("after", "")[:40]).first()
    shows_all = "all" in request.GET
    if not shows_all:
        visible = visible.filter(resolved_at=None)
    if last:
        visible = visible.filter(at__lte=last.at).exclude(at=last.at, pk__gte=last.pk)
    found = list(visible[: comments.SHOWN + 1])
    threads = comments.threads(user, language, found[: comments.SHOWN])
    goes_on_after = found[comments.SHOWN - 1].public_id if len(found) > comments.SHOWN else ""
    query = request.GET.copy()
    query["after"] = goes_on_after
    context = {
        "language": language,
        "threads": threads,
        "page": {"goes_on_after": goes_on_after},
        "next_query": query.urlencode(),
        "shows_all": shows_all,
        "is_lead": finding.leads(user, language),
    }
    comments.look(user, threads)
    return TemplateResponse(request, "annotation/questions.html", context)
