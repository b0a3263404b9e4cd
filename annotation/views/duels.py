"""`/duels/<code>/`: a question and two answers, and which is better. What answered is nowhere on the page.

HTMX gets the card's fragment, a plain form gets a page or a redirect; nothing else differs. The only id in an address
is that of the person's own vote.
"""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import replace_url

from annotation import queues, voting
from annotation.models import Vote, VoteChoice
from annotation.views.access import language_for, person
from annotation.views.review import unreadable
from xinstruct_site.people.agreements import agreement_first
from xinstruct_site.people.models import Language

RATIONALE_CHARS = 5000


@require_safe
@never_cache
@login_required
def duel(request: HttpRequest, code: str) -> HttpResponse:
    """The next pair of answers."""
    language = language_for(request, code)
    return agreement_first(request, person(request)) or next_card(request, language)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def vote(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """One's own vote: its card, and taking what it says."""
    language = language_for(request, code)
    one = own_vote(request, language, public_id)
    if request.method != "POST":
        return agreement_first(request, person(request)) or card(request, language, one)
    typed = request.POST.get("rationale", "").replace("\r\n", "\n")
    if broken := unreadable(request):
        return card(request, language, one, rationale=typed, notice=broken, status=422)
    if len(typed) > RATIONALE_CHARS:
        too_long = _("That reason is too long to store: %(most)s characters fit.") % {"most": RATIONALE_CHARS}
        return card(request, language, one, rationale=typed, notice=too_long, status=422)
    choice = request.POST.get("choice", "")
    if choice not in VoteChoice.values:
        return card(request, language, one, rationale=typed, notice=_("Say which answer is better."), status=422)
    try:
        voting.give(person(request), one, VoteChoice(choice), typed)
    except voting.VoteError as exc:
        return card(request, language, one, rationale=typed, notice=str(exc), status=409)
    return go_on(request, language)


@require_POST
@login_required
def skip(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    language = language_for(request, code)
    voting.skip(person(request), own_vote(request, language, public_id))
    return go_on(request, language)


@require_POST
@login_required
def undo(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """Take one's own vote or skip back: its card comes again, with the answers where they stood."""
    language = language_for(request, code)
    one = own_vote(request, language, public_id)
    kept = one.rationale
    voting.take_back(person(request), one)
    address = reverse("vote", args=[language.code, one.public_id])
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(address)
    return replace_url(card(request, language, one, rationale=kept), address)


def own_vote(request: HttpRequest, language: Language, public_id: str) -> Vote:
    one = voting.at(person(request), language, public_id)
    if one is None:
        raise Http404
    return one


def next_card(request: HttpRequest, language: Language) -> HttpResponse:
    return card(request, language, voting.next_vote(person(request), language))


def go_on(request: HttpRequest, language: Language) -> HttpResponse:
    address = reverse("duel", args=[language.code])
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(address)
    return replace_url(next_card(request, language), address)


def card(
    request: HttpRequest,
    language: Language,
    one: Vote | None,
    *,
    rationale: str | None = None,
    notice: str = "",
    status: int = 200,
) -> HttpResponse:
    user = person(request)
    context: dict[str, object] = {
        "language": language,
        "progress": queues.progress(user, language),
        "vote": one,
        "last": voting.last_decided(user, language),
        "notice": notice,
    }
    if one:
        question = one.bout.question
        asked_in = Language.objects.filter(code__iexact=question.written_in).first()
        context |= {
            "question": question,
            "asked_in": question.written_in,
            "asked_direction": asked_in.direction if asked_in else "auto",
            "answers": [("A", VoteChoice.A, one.shown()[0].body), ("B", VoteChoice.B, one.shown()[1].body)],
            "rationale": one.rationale if rationale is None else rationale,
        }
    name = "annotation/duel.html"
    swap = request.htmx  # type: ignore[attr-defined]
    return TemplateResponse(request, f"{name}#swap" if swap else name, context, status=status)
