"""`/audit/<code>/disputed/`: items on which reviewers did not agree, side by side and without names, to be decided."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import adjudicating, deciding, verdicts
from annotation.agreement import SPREAD, Wording
from annotation.diffing import Piece, word_diff
from annotation.history import Said
from annotation.linguist_forms import AdjudicationForm
from annotation.models import Adjudication, Decision, Item
from annotation.views.access import language_for, person
from annotation.views.audits import OWN, SHOWN, asked_part, before_deciding, lanes
from xinstruct_site.people.models import Language, Role, User


@require_safe
@never_cache
@login_required
def disputes(request: HttpRequest, code: str) -> HttpResponse:
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    waiting = deciding.for_linguist(adjudicating.disputed(language), user).select_related("text")
    items = list(asked_part(request, waiting, language))
    items, more = items[:SHOWN], items[SHOWN:]
    context = lanes(request, language) | {
        "lane": "disputed",
        "items": items,
        "goes_on_after": items[-1].public_id if more else "",
        "own": list(own_decisions(user, language)[:OWN]),
    }
    return TemplateResponse(request, "annotation/disputes.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def dispute(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """One disputed item: what was said, and the last word on it."""
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    item = get_object_or_404(Item.objects.select_related("text", "language"), language=language, public_id=public_id)
    before = before_deciding(item, user)
    kept, start = chosen(request, before["answers"]), request.GET.get("start", "")
    if request.method == "POST":
        form = AdjudicationForm(request.POST, language=language)
        if form.is_valid():
            try:
                adjudicating.adjudicate(user, item, form.submission(kept))
            except deciding.DecisionError as exc:
                form.add_error(None, exc.errors)
            else:
                messages.success(request, _("Decided. Those who reviewed it read your note."))
                return after(item, user)
    elif "later" in request.GET:
        return after(item, user)
    else:
        form = AdjudicationForm.opened(kept, language, **({} if start else adjudicating.said_before(user, item)))
    context = {
        **lanes(request, language),
        **before,
        "lane": "disputed",
        "form": form,
        "start": start,
        "why": why(before["answers"]),
        "last": own_decisions(user, language).first(),
        "between": between(before["answers"]),
        "waits": adjudicating.disputed(language).filter(pk=item.pk).exists(),
    }
    return TemplateResponse(request, "annotation/dispute.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def undo(request: HttpRequest, code: str, adjudication_id: uuid.UUID) -> HttpResponse:
    """Take one's own decision back, and go to its item."""
    language = language_for(request, code, Role.LINGUIST)
    decisions = Adjudication.objects.select_related("item__text", "item__language", "was_pair")
    done = get_object_or_404(decisions, pk=adjudication_id, item__language=language)
    try:
        adjudicating.withdraw(person(request), done)
    except deciding.DecisionError as exc:
        messages.error(request, str(exc))
        return redirect("disputes", code=language.code)
    messages.success(request, _("Taken back. The item is disputed again."))
    return redirect("dispute", code=language.code, public_id=done.item.public_id)


def own_decisions(user: User, language: Language) -> QuerySet[Adjudication]:
    """The linguist's own last ones, to be taken back."""
    own = Adjudication.objects.standing().filter(linguist=user, item__language=language)
    return own.select_related("item__text").order_by("-at")


def after(item: Item, user: User) -> HttpResponse:
    """On to the next disputed item, or to the list where there is none."""
    rest = deciding.for_linguist(adjudicating.disputed(item.language), user).filter(pk__gt=item.pk)
    if following := rest.first():
        return redirect("dispute", code=item.language.code, public_id=following.public_id)
    return redirect("disputes", code=item.language.code)


def why(answers: list[Said]) -> str:
    """What the reviews that counted go apart in."""
    counted = [said.review for said in answers if said.review.slot_id]
    accepts = [review for review in counted if review.decision == Decision.ACCEPT]
    overalls = [review.overall for review in accepts if review.overall]
    if len(accepts) < len(counted):
        return _("Some accept it and some reject it.")
    if overalls and max(overalls) - min(overalls) >= SPREAD:
        return _("All accept it, but their overall ratings lie far apart.")
    return _("All accept it, in different words.")


def chosen(request: HttpRequest, answers: list[Said]) -> Wording:
    """The answer that the final wording starts from: the one asked for, or else the first that accepts."""
    start = request.GET.get("start", "")
    for said in answers:
        if str(said.review.pk) == start:
            return verdicts.wording_of(said.review)
    accepting = [said.review for said in answers if said.review.decision == Decision.ACCEPT]
    return verdicts.wording_of(accepting[0]) if accepting else Wording("")


def between(answers: list[Said]) -> list[Piece]:
    """How the first two wordings that differ go apart."""
    wordings = list(dict.fromkeys(said.review.instruction for said in answers if said.review.instruction))
    return word_diff(wordings[0], wordings[1]) if len(wordings) > 1 else []
