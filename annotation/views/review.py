"""`/review/<code>/`: the next item under a lease, its card, and what the person does with it.

HTMX gets the card's fragment, a plain form gets a page or a redirect; nothing else differs. Access goes by language and
by who holds the item, or by the card's signed stamp: a lease that ran out while somebody typed must end in an
explanation that keeps their text, not in a 404.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect, replace_url

from annotation import cards, queues, reading, rechecks, reviewing, similar, submissions, trimming
from annotation.diffing import shortened, word_diff
from annotation.forms import Choice, ReviewForm, read_shown_token, spans_json
from annotation.models import Autosave, Item, Review, Slot, SlotState
from annotation.views.access import language_for, person
from annotation.views.practice import practice_first
from xinstruct_site.people import guidelines, varieties
from xinstruct_site.people.agreements import agreement_first
from xinstruct_site.people.models import Language, User

# What is said of what came from a browser's queue; the card says it with buttons.
CONFLICTS = {
    "taken": gettext_lazy("Others went on with this item. It can be sent as an extra review."),
    "already": gettext_lazy("You have reviewed this item already. That review stands."),
    "agreement": gettext_lazy("There is a new version of the contributor agreement to accept first."),
    "stale": gettext_lazy("You wrote something else on this item on another device. Open it and choose."),
}


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
    first = agreement_first(request, person(request)) or practice_first(request, language)
    return first or next_card(request, language)


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
        return card(request, work, start=cards.typed(request.POST, work.item), notice=broken, status=422)
    if "keep" in request.POST:
        return keep(request, work)
    if "use" in request.POST:
        return card(request, work, start=used(work, cards.typed(request.POST, work.item), request.POST["use"]))
    form = ReviewForm(request.POST, item=work.item, user=work.user, choices=work.choices)
    if not form.is_valid():
        return refused(request, work, form, status=422)
    if not work.slot and "extra" not in request.POST and not is_replay(request, work):
        own = list(work.item.reviews.standing().filter(reviewer=work.user))
        is_reviewed = rechecks.pass_of(work.item, own, None, form.cleaned_data["shown"]) is None
        return refused(request, work, form, conflict="already" if is_reviewed else "taken")
    try:
        outcome = reviewing.submit(work.user, work.item, form.submission())
    except reviewing.NoAgreement:
        return refused(request, work, form, conflict="agreement")
    except reviewing.AlreadyReviewed:
        return refused(request, work, form, conflict="already")
    except reviewing.StaleAutosave as exc:
        return refused(request, work, form, conflict="stale", other=exc.current)
    except submissions.InvalidReview as exc:
        for name, problem in exc.errors.items():
            form.add_error(name if name in form.fields else "reason", problem)
        return refused(request, work, form, status=422)
    except submissions.ReviewError as exc:
        return refused(request, work, form, notice=str(exc))
    if "replay" in request.POST:
        return HttpResponse(status=204)
    if not outcome.counted and not outcome.replayed:
        messages.info(request, _("Recorded as an extra review: it is kept, and does not count towards the verdict."))
    return go_on(request, work.language, just_sent=outcome.review)


def refused(
    request: HttpRequest,
    work: Work,
    form: ReviewForm,
    *,
    conflict: str = "",
    notice: str = "",
    other: Autosave | None = None,
    status: int = 409,
) -> HttpResponse:
    """The card again with everything that was typed, which is kept as unsent work as well."""
    if conflict not in {"already", "stale"}:
        try:
            save(request, work)
        except reviewing.StaleAutosave as exc:
            conflict, other, status = conflict or "stale", exc.current, 409
        except submissions.ReviewError:
            pass  # the same reason for which it was refused
    answer = card(request, work, form=form, conflict=conflict, notice=notice, other=other, status=status)
    if "replay" not in request.POST:
        return answer
    # The browser sends what it kept while offline: it shows why not, and keeps it.
    reasons = [str(error) for errors in form.errors.values() for error in errors] if status == 422 else []
    return JsonResponse(
        {"message": " ".join(reasons) or notice or str(CONFLICTS.get(conflict, "")), "conflict": conflict},
        status=status,
    )


def used(work: Work, typed: dict[str, Any], what: str) -> dict[str, Any]:
    """The card's content after one of the buttons that work without JavaScript."""
    body = work.item.text.body
    if what == "whole":
        return typed | {"spans": ""}
    if what == "response":
        edit = typed["response_edit"] or trimming.response(body, cards.kept(typed, work.item))
        return typed | {"response_edit": edit}
    if what == "no_response":
        return typed | {"response_edit": ""}
    return typed | next((choice.words() for choice in work.choices if choice.key == what), {})


def keep(request: HttpRequest, work: Work) -> HttpResponse:
    """Of two versions written on two devices go on with one; the other is set aside on the card, to copy from."""
    mine = cards.typed(request.POST, work.item)
    unsent = Autosave.objects.filter(item=work.item, user=work.user).first()
    start = mine
    if unsent:
        if request.POST["keep"] == "theirs":
            page = {key: mine[key] for key in cards.OF_THE_PAGE}
            start = unsent.data | page | {"set_aside": cards.readable(mine, work.item)}
        else:
            start = mine | {"set_aside": cards.readable(unsent.data, work.item)}
    try:
        version = posted_number(request, "against")
        reviewing.autosave(work.user, work.item, version=version, data=start, shown_at=shown_at(request, work))
    except reviewing.StaleAutosave as exc:
        form = ReviewForm(request.POST, item=work.item, user=work.user, choices=work.choices)
        return card(request, work, form=form, conflict="stale", other=exc.current, status=409)
    except submissions.ReviewError as exc:
        return card(request, work, start=mine, notice=str(exc), status=409)
    return card(request, work, start=start)


def keep_touched(request: HttpRequest, work: Work) -> HttpResponse | None:
    """Before the person leaves a card undecided, keep what they put into it; an answer where that cannot be."""
    typed = cards.typed(request.POST, work.item)
    if broken := unreadable(request):
        return card(request, work, start=typed, notice=broken, status=422)
    if not cards.is_touched(typed, work.choices):
        return None
    try:
        save(request, work)
    except reviewing.StaleAutosave as exc:
        form = ReviewForm(request.POST, item=work.item, user=work.user, choices=work.choices)
        return card(request, work, form=form, conflict="stale", other=exc.current, status=409)
    except submissions.ReviewError:
        pass  # reviewed meanwhile: nothing is left to keep
    return None


def save(request: HttpRequest, work: Work) -> Autosave:
    version, typed = posted_number(request, "version"), cards.typed(request.POST, work.item)
    return reviewing.autosave(work.user, work.item, version=version, data=typed, shown_at=shown_at(request, work))


def shown_at(request: HttpRequest, work: Work) -> dt.datetime | None:
    return read_shown_token(request.POST.get("shown", ""), work.user, work.item)


@require_GET
@login_required
def similar_accepted(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """Accepted instructions of other texts that are like this item's, read when the person opens them."""
    language = language_for(request, code)
    item = get_object_or_404(Item.objects.select_related("text"), public_id=public_id, language=language)
    context = {"language": language, "item": item, "similar": similar.similar_to(item)}
    page = "annotation/similar.html#list" if request.headers.get("HX-Request") else "annotation/similar.html"
    return TemplateResponse(request, page, context)


@require_POST
@login_required
def skip(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    work = work_at(request, code, public_id)
    if stopped := keep_touched(request, work):
        return stopped
    queues.skip(work.user, work.item, cards.typed(request.POST, work.item)["reason"])
    return go_on(request, work.language)


@require_POST
@login_required
def autosave(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """Keep unsent work. The answer is the small word beside the form; only a success says "Saved"."""
    work = work_at(request, code, public_id)
    context: dict[str, Any] = {"version": posted_number(request, "version")}
    if broken := unreadable(request):
        return TemplateResponse(request, "annotation/saved.html", context | {"trouble": broken}, status=422)
    try:
        saved = save(request, work)
    except reviewing.StaleAutosave as exc:
        context |= {"other": exc.current, "theirs": cards.readable(exc.current.data, work.item)}
        context |= {"mine": cards.readable(cards.typed(request.POST, work.item), work.item)}
        return TemplateResponse(request, "annotation/saved.html", context, status=409)
    except reviewing.AlreadyReviewed:
        return HttpResponse(status=204)
    except submissions.ReviewError as exc:
        return TemplateResponse(request, "annotation/saved.html", context | {"trouble": str(exc)}, status=422)
    context = {"version": saved.version, "word": _("Saved"), "language": work.language}
    context |= response_shown(work.item, saved.data)
    return TemplateResponse(request, "annotation/saved.html", context)


@require_POST
@login_required
def undo(request: HttpRequest, code: str, review_id: uuid.UUID) -> HttpResponse:
    """Take one's own review back: the item's card comes again with all its words."""
    user, language = person(request), language_for(request, code)
    if at := request.POST.get("at"):  # pressed on another card, whose words stay behind
        here = work_at(request, code, at)
        if stopped := keep_touched(request, here):
            return stopped
    mine = Review.objects.filter(reviewer=user, item__language=language)
    sent = get_object_or_404(mine.select_related("item__text", "item__language"), pk=review_id)
    try:
        reviewing.withdraw(user, sent)
    except submissions.ReviewError as exc:
        messages.error(request, str(exc))
        return go_on(request, language)
    address = reverse("review_item", args=[language.code, sent.item.public_id])
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(address)
    slot = sent.item.slots.filter(holder=user, state=SlotState.HELD).first()
    work = Work(user, language, sent.item, slot, cards.choices_for(sent.item, slot, user))
    return replace_url(card(request, work), address)


@require_GET
@never_cache
def sender(request: HttpRequest) -> HttpResponse:
    """Who is signed in here now, with a fresh token: what a browser asks before it sends what it kept while offline."""
    if not isinstance(request.user, User):
        return JsonResponse({"user": None})
    return JsonResponse({"user": request.user.public_id, "token": get_token(request)})


# The answers


def next_card(request: HttpRequest, language: Language, just_sent: Review | None = None) -> HttpResponse:
    user = person(request)
    if user.is_paused(language):
        return redirect_to_pause(request, language)
    try:
        slot = queues.claim_next(user, language)
    except queues.QueueEmpty as exc:
        context = {"language": language, "progress": queues.progress(user, language), "empty": exc}
        context["last"] = just_sent or cards.last_review(user, language)
        return TemplateResponse(request, template(request), context)
    choices = cards.choices_for(slot.item, slot, user)
    return card(request, Work(user, language, slot.item, slot, choices), just_sent=just_sent)


def redirect_to_pause(request: HttpRequest, language: Language) -> HttpResponse:
    address = reverse("paused", args=[language.code])
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)  # type: ignore[attr-defined]


def go_on(request: HttpRequest, language: Language, just_sent: Review | None = None) -> HttpResponse:
    """The next card, as a fragment or by way of a redirect. Its address is the queue's, which finds it again."""
    address = reverse("review", args=[language.code])
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(address)
    return replace_url(next_card(request, language, just_sent), address)


def card(
    request: HttpRequest,
    work: Work,
    *,
    form: ReviewForm | None = None,
    start: dict[str, Any] | None = None,
    notice: str = "",
    conflict: str = "",
    other: Autosave | None = None,
    just_sent: Review | None = None,
    status: int = 200,
) -> HttpResponse:
    version: int | None = None
    if form is None and start is None:
        start, version = cards.starting_point(work.user, work.item, work.choices)
    shown = form or cards.Opening(start or {})
    if other:
        version = posted_number(request, "version")  # still behind: the next step is to choose between the two
    elif version is None:
        version = cards.autosave_version(work.user, work.item)
    content = shown.data
    base = next((c for c in work.choices if c.key == shown["loaded"].value()), None)
    written = shown["instruction"].value() or ""
    context = {
        "language": work.language,
        "item": work.item,
        "text": work.item.text,
        "form": shown,
        # Drawn once for all cards that are still blank there, so made only where they are drawn.
        "scales": lambda: cards.scales(shown),
        "flags": lambda: cards.flags(shown),
        "is_unrated": form is None and not cards.is_rated(content),
        "is_unflagged": form is None and not cards.is_flagged(content),
        "choices": work.choices,
        "base": base,
        "starter": any(choice.is_starter for choice in work.choices),
        "diff": word_diff(base.instruction, written) if base and base.instruction != written else [],
        "version": version,
        "first_error": form.first_error() if form and status == 422 else "",
        "notice": notice,
        "conflict": conflict,
        "other": other,
        "theirs": cards.readable(other.data, work.item) if other else "",
        "mine": cards.readable(cards.typed(request.POST, work.item), work.item) if other else "",
        "last": just_sent or cards.last_review(work.user, work.language),
        "languages": Language.objects.all,
        "varieties": lambda: varieties.standing(work.language).values_list("name", flat=True),
        "progress": queues.progress(work.user, work.language),
        "guidelines_notice": guidelines.unseen(work.user, [work.language]).get(work.language.pk),
        **response_shown(work.item, content),
    }
    return TemplateResponse(request, template(request), context, status=status)


def response_shown(item: Item, content: Any) -> dict[str, Any]:
    """The text as it is kept and dropped, and how the edited response differs from what is kept."""
    body, spans = item.text.body, cards.kept(content, item)
    edit = (content.get("response_edit") or "").replace("\r\n", "\n")
    response = trimming.response(body, spans)
    paragraphs = trimming.paragraphs(body, spans)
    return {
        "spans": spans_json(spans, body),
        "parts": trimming.parts(body, spans),
        "paragraphs": paragraphs,
        "parts_shown": " ".join(paragraph.key for paragraph in paragraphs if paragraph.kept),
        "response_diff": shortened(word_diff(response, edit)) if edit.strip() and edit != response else [],
    }


def template(request: HttpRequest) -> str:
    return "annotation/review.html#swap" if request.htmx else "annotation/review.html"  # type: ignore[attr-defined]


# What came in


def work_at(request: HttpRequest, code: str, public_id: str) -> Work:
    """The item, if the person holds it, has unsent work on it, or sends back a card of it that was made for them."""
    user, language = person(request), language_for(request, code)
    item, slot = reading.item_and_slot(language, public_id, user)
    if item is None:
        raise Http404
    if not slot and not read_shown_token(request.POST.get("shown", ""), user, item):
        get_object_or_404(Autosave, item=item, user=user)  # unsent work may always be come back to
    return Work(user, language, item, slot, cards.choices_for(item, slot, user))


def posted_number(request: HttpRequest, name: str) -> int:
    sent = request.POST.get(name, "")
    return int(sent) if sent.isdecimal() and len(sent) < 10 else 0


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
