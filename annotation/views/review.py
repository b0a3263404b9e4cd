"""`/review/<code>/`: the next item under a lease, its card, and what the person does with it.

HTMX gets the card's fragment, a plain form gets a page or a redirect; nothing else differs. Access goes by language and
by who holds the item, or by the card's signed stamp: a lease that ran out while somebody typed must end in an
explanation that keeps their text, not in a 404.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import replace_url

from annotation import cards, queues, reviewing
from annotation.diffing import word_diff
from annotation.forms import Choice, ReviewForm, read_shown_token
from annotation.models import Item, Review, Slot, SlotState
from annotation.views.access import language_for, person
from xinstruct_site.people.agreements import agreement_first, current_agreement, has_accepted
from xinstruct_site.people.models import Language, User


@dataclass(frozen=True, slots=True)
class Work:
    """One person at one item. `slot` is empty where the lease went to somebody else."""

    user: User
    language: Language
    item: Item
    slot: Slot | None
    choices: list[Choice]


@require_GET
@never_cache
@login_required
def review(request: HttpRequest, code: str) -> HttpResponse:
    language = language_for(request, code)
    return agreement_first(request, person(request)) or next_card(request, language)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def review_item(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    work = work_at(request, code, public_id)
    if request.method == "POST":
        return submit(request, work)
    if work.slot:
        queues.renew(work.slot)
    return agreement_first(request, work.user) or card(request, work)


def submit(request: HttpRequest, work: Work) -> HttpResponse:
    if broken := unreadable(request):
        return card(request, work, start=cards.typed(request.POST), notice=broken, status=422)
    if "use" in request.POST:
        return card(request, work, start=cards.typed(request.POST) | words(work, request.POST["use"]))
    form = ReviewForm(request.POST, item=work.item, user=work.user, choices=work.choices)
    replayed = is_replay(request, work)
    if not replayed and not has_accepted(work.user, current_agreement()):
        return card(request, work, form=form, conflict="agreement", status=409)
    if not form.is_valid():
        return card(request, work, form=form, status=422)
    if not work.slot and not replayed and "extra" not in request.POST:
        return card(request, work, form=form, conflict="taken", status=409)
    try:
        outcome = reviewing.submit(work.user, work.item, submission(form))
    except reviewing.AlreadyReviewed:
        return card(request, work, form=form, conflict="already", status=409)
    except reviewing.InvalidReview as exc:
        for name, problem in exc.errors.items():
            form.add_error(name if name in form.fields else "reason", problem)
        return card(request, work, form=form, status=422)
    except reviewing.ReviewError as exc:
        return card(request, work, form=form, notice=str(exc), status=409)
    if not outcome.counted and not outcome.replayed:
        messages.info(request, _("Recorded as an extra review: it is kept, and does not count towards the verdict."))
    return go_on(request, work.language)


@require_POST
@login_required
def skip(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    work = work_at(request, code, public_id)
    if broken := unreadable(request):
        return card(request, work, start=cards.typed(request.POST), notice=broken, status=422)
    queues.skip(work.user, work.item, cards.typed(request.POST)["reason"])
    return go_on(request, work.language)


@require_POST
@login_required
def autosave(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """Keep unsent work. The answer is the small word beside the form; only a success says "Saved"."""
    work = work_at(request, code, public_id)
    version = int(request.POST["version"]) if request.POST.get("version", "").isdecimal() else 0
    context: dict[str, Any] = {"version": version}
    if broken := unreadable(request):
        return TemplateResponse(request, "annotation/saved.html", context | {"trouble": broken}, status=422)
    try:
        saved = reviewing.autosave(work.user, work.item, version=version, data=cards.typed(request.POST))
    except reviewing.StaleAutosave as exc:
        context |= {"version": exc.current.version, "other": exc.current.data}
        return TemplateResponse(request, "annotation/saved.html", context, status=409)
    except reviewing.AlreadyReviewed:
        return HttpResponse(status=204)
    except reviewing.ReviewError as exc:
        return TemplateResponse(request, "annotation/saved.html", context | {"trouble": str(exc)}, status=422)
    return TemplateResponse(request, "annotation/saved.html", {"version": saved.version, "is_saved": True})


# The answers


def next_card(request: HttpRequest, language: Language) -> HttpResponse:
    user = person(request)
    try:
        slot = queues.claim_next(user, language)
    except queues.QueueEmpty as exc:
        context = {"language": language, "progress": queues.progress(user, language), "empty": exc}
        return TemplateResponse(request, template(request), context)
    return card(request, Work(user, language, slot.item, slot, cards.choices_for(slot.item, slot, user)))


def go_on(request: HttpRequest, language: Language) -> HttpResponse:
    """The next card, as a fragment or by way of a redirect. Its address is the queue's, which finds it again."""
    address = reverse("review", args=[language.code])
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(address)
    return replace_url(next_card(request, language), address)


def card(
    request: HttpRequest,
    work: Work,
    *,
    form: ReviewForm | None = None,
    start: dict[str, Any] | None = None,
    notice: str = "",
    conflict: str = "",
    status: int = 200,
) -> HttpResponse:
    version = 0
    if form is None:
        if start is None:
            start, version = cards.starting_point(work.user, work.item, work.choices)
        form = ReviewForm(initial=start, item=work.item, user=work.user, choices=work.choices)
    if form.is_bound or not version:
        version = cards.autosave_version(work.user, work.item)
    base = next((c for c in work.choices if c.key == form["loaded"].value()), None)
    written = form["instruction"].value() or ""
    context = {
        "language": work.language,
        "item": work.item,
        "text": work.item.text,
        "form": form,
        "scales": cards.scales(form),
        "flags": cards.flags(form),
        "choices": work.choices,
        "base": base,
        "link": link(work.item.text.url),
        "starter": any(choice.is_starter for choice in work.choices),
        "diff": word_diff(base.instruction, written) if base and base.instruction != written else [],
        "version": version,
        "first_error": form.first_error() if status == 422 else "",
        "notice": notice,
        "conflict": conflict,
        "progress": queues.progress(work.user, work.language),
    }
    return TemplateResponse(request, template(request), context, status=status)


def link(url: str) -> str:
    """Only what leads to a page: a crawled address may be anything."""
    return url if url.startswith(("https://", "http://")) else ""


def template(request: HttpRequest) -> str:
    return "annotation/review.html#swap" if request.htmx else "annotation/review.html"  # type: ignore[attr-defined]


# What came in


def work_at(request: HttpRequest, code: str, public_id: str) -> Work:
    """The item, if the person holds it, or sends back a card of it that was made for them."""
    user, language = person(request), language_for(request, code)
    item = get_object_or_404(Item.objects.select_related("text", "language"), public_id=public_id, language=language)
    slot = item.slots.filter(holder=user, state=SlotState.HELD).first()
    if not slot and not read_shown_token(request.POST.get("shown", ""), user, item):
        raise Http404
    return Work(user, language, item, slot, cards.choices_for(item, slot, user))


def words(work: Work, key: str) -> dict[str, str]:
    return next((cards.words_of(choice) for choice in work.choices if choice.key == key), {})


def is_replay(request: HttpRequest, work: Work) -> bool:
    """Whether this very form has been taken already, and only the answer got lost."""
    sent = request.POST.get("id", "")
    return cards.is_uuid(sent) and Review.objects.filter(pk=sent, item=work.item, reviewer=work.user).exists()


def unreadable(request: HttpRequest) -> str:
    """Why this text cannot be stored, or nothing. Django would put question marks where the bytes are no UTF-8."""
    sent = "".join(text for texts in request.POST.lists() for text in texts[1])
    try:
        if request.content_type == "application/x-www-form-urlencoded":  # what our forms send
            unquote_to_bytes(request.body).decode("utf-8")
    except UnicodeDecodeError:
        return _(
            "There is a broken character in what you typed, so nothing was stored. Please delete it and try again."
        )
    if "\0" in sent:
        return _("There is an invisible NUL character in what you typed, so nothing was stored. Please delete it.")
    return ""


def submission(form: ReviewForm) -> reviewing.Submission:
    data = form.cleaned_data
    choice: Choice | None = data["choice"]
    return reviewing.Submission(
        id=data["id"],
        decision=data["decision"],
        candidate=choice.candidate if choice else None,
        instruction=data["instruction"],
        input=data["input"],
        response_edit=None,
        spans=[],
        rating_alignment=data["rating_alignment"],
        rating_instruction=data["rating_instruction"],
        rating_text=data["rating_text"],
        overall=data["overall"],
        flags=data["flags"],
        reason=data["reason"],
        shown_at=data["shown"],
        active_seconds=data["active_seconds"],
        interface_language=get_language() or "en",
    )
