"""`/audit/<code>/disputed/`: items on which reviewers did not agree, side by side and without names, to be decided."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import adjudicating, auditing, verdicts
from annotation.agreement import Wording
from annotation.diffing import Piece, word_diff
from annotation.history import Said
from annotation.linguist_forms import AdjudicationForm
from annotation.models import Adjudication, Decision, Item
from annotation.views.access import language_for, person
from annotation.views.audits import SHOWN, lanes
from annotation.views.review import link
from xinstruct_site.people.models import Role


@require_safe
@never_cache
@login_required
def disputes(request: HttpRequest, code: str) -> HttpResponse:
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    waiting = adjudicating.for_linguist(adjudicating.disputed(language), user).select_related("text")
    own = Adjudication.objects.filter(linguist=user, item__language=language, withdrawn_at=None)
    context = lanes(request, language) | {
        "lane": "disputed",
        "items": list(waiting[:SHOWN]),
        "own": list(own.select_related("item__text").order_by("-at")[:10]),
    }
    return TemplateResponse(request, "annotation/disputes.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def dispute(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """One disputed item: what was said, and the last word on it."""
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    item = get_object_or_404(Item.objects.select_related("text", "language"), language=language, public_id=public_id)
    answers = adjudicating.answers(item)
    kept = chosen(request, answers)
    status = 200
    if request.method == "POST":
        form = AdjudicationForm(request.POST)
        if form.is_valid():
            data = form.cleaned_data
            accepts = data["decision"] == Decision.ACCEPT
            submission = adjudicating.Submission(
                id=data["id"],
                decision=data["decision"],
                overall=data["overall"],
                note=data["note"],
                wording=form.wording(kept) if accepts else None,
            )
            try:
                adjudicating.adjudicate(user, item, submission)
            except auditing.Invalid as exc:
                for field, message in exc.errors.items():
                    form.add_error(field, message)
            except auditing.DecisionError as exc:
                form.add_error(None, str(exc))
            else:
                messages.success(request, _("Decided. Those who reviewed it read your note."))
                rest = adjudicating.for_linguist(adjudicating.disputed(language), user).filter(pk__gt=item.pk)
                if following := rest.first():
                    return redirect("dispute", code=language.code, public_id=following.public_id)
                return redirect("disputes", code=language.code)
        status = 422
    else:
        words = {"instruction": kept.instruction, "input": kept.input, "response_edit": kept.response_edit or ""}
        form = AdjudicationForm(initial=words | {"id": uuid.uuid4()})
    form.fields["response_edit"].widget.attrs |= {"lang": language.code, "dir": language.direction}
    context = lanes(request, language) | {
        "lane": "disputed",
        "form": form,
        "item": item,
        "text": item.text,
        "link": link(item.text.url),
        "answers": answers,
        "start": request.GET.get("start", ""),
        "between": between(answers),
        "is_own": item.reviews.standing().filter(reviewer=user).exists(),
        "waits": adjudicating.disputed(language).filter(pk=item.pk).exists(),
    }
    return TemplateResponse(request, "annotation/dispute.html", context, status=status)


@require_POST
@login_required
def undo(request: HttpRequest, code: str, adjudication_id: uuid.UUID) -> HttpResponse:
    """Take one's own decision back, and go to its item."""
    language = language_for(request, code, Role.LINGUIST)
    decisions = Adjudication.objects.select_related("item__text", "item__language", "was_pair")
    done = get_object_or_404(decisions, pk=adjudication_id, item__language=language)
    try:
        adjudicating.withdraw(person(request), done)
    except auditing.DecisionError as exc:
        messages.error(request, str(exc))
        return redirect("disputes", code=language.code)
    messages.success(request, _("Taken back. The item is disputed again."))
    return redirect("dispute", code=language.code, public_id=done.item.public_id)


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
