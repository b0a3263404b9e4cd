"""`/mine/<code>/`: one's own reviews, unsent and skipped items in a language, and how far the language is.

Every query starts from the signed-in person, so nobody sees another's work, whatever the address says.
"""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from annotation import acceptance, desk, queues
from annotation import mine as own_work
from annotation.finding_forms import FindReviewsForm
from annotation.models import Autosave, Item, Skip
from annotation.views.access import language_for, person
from xinstruct_site.people.models import Language


@require_safe
@never_cache
@login_required
def mine(request: HttpRequest, code: str = "") -> HttpResponse:
    """Reviews, with search. Without a language: the person's first one."""
    if not code:
        languages = own_work.languages_of(person(request))
        if languages:
            return redirect("mine", code=languages[0].code)
        return TemplateResponse(request, "annotation/mine_nothing.html")
    language = language_for(request, code)
    form = FindReviewsForm(request.GET)
    context = common(request, language, "reviews") | {
        "form": form,
        "signals": desk.for_person(person(request), language),
    }
    if not form.is_valid():
        return TemplateResponse(request, "annotation/mine.html", context, status=422)
    words, after = form.cleaned_data["q"], form.cleaned_data["after"]
    page = own_work.find_reviews(person(request), language, words=words, after=after)
    query = request.GET.copy()
    query["after"] = str(page.goes_on_after or "")
    return TemplateResponse(
        request,
        "annotation/mine.html",
        context | {"page": page, "words": words, "next_query": query.urlencode()},
    )


@require_safe
@never_cache
@login_required
def unsent(request: HttpRequest, code: str) -> HttpResponse:
    language = language_for(request, code)
    context = common(request, language, "unsent") | {"unsent": own_work.unsent(person(request), language)}
    return TemplateResponse(request, "annotation/mine_unsent.html", context)


@require_safe
@never_cache
@login_required
def skipped(request: HttpRequest, code: str) -> HttpResponse:
    language = language_for(request, code)
    context = common(request, language, "skipped") | {"skips": own_work.skipped(person(request), language)}
    return TemplateResponse(request, "annotation/mine_skipped.html", context)


@require_POST
@login_required
def take_back(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """Take a skip back."""
    language = language_for(request, code)
    skip = get_object_or_404(
        Skip.objects.select_related("item__language"),
        user=person(request), item__language=language, item__public_id=public_id,
    )  # fmt: skip
    queues.take_skip_back(person(request), skip.item)
    messages.success(request, _("The item can come to you again, if others leave it."))
    return redirect("my_skipped", code=language.code)


@require_POST
@login_required
def claim_again(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """Back to an item with unsent work on it, where a place is free."""
    language = language_for(request, code)
    item = own_unsent(request, language, public_id)
    if person(request).is_paused(language):
        return redirect("paused", code=language.code)
    if queues.claim_again(person(request), item):
        return redirect("review_item", language.code, item.public_id)
    messages.info(request, _("Others were faster. Your words are still here: send them as an extra review, or copy."))
    return redirect("my_unsent", code=language.code)


@require_POST
@login_required
def throw_away(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """Delete unsent work. The page asks first."""
    language = language_for(request, code)
    item = own_unsent(request, language, public_id)
    Autosave.objects.filter(user=person(request), item=item).delete()
    messages.success(request, _("The unsent text is gone."))
    return redirect("my_unsent", code=language.code)


def own_unsent(request: HttpRequest, language: Language, public_id: str) -> Item:
    """An item of the language that this person has unsent work on."""
    items = Item.objects.filter(autosaves__user=person(request), language=language).select_related("language")
    return get_object_or_404(items, public_id=public_id)


def common(request: HttpRequest, language: Language, tab: str) -> dict[str, Any]:
    user = person(request)
    progress = queues.progress(user, language)
    return {
        "language": language,
        "languages": own_work.languages_of(user),
        "tab": tab,
        "progress": progress,
        "outlook": own_work.outlook(language, progress.language_accepted),
        "acceptance": acceptance.newest_two(language),
    }
