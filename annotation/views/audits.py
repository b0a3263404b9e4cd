"""`/audit/<code>/`: linguists look at what reviewers accepted, mark it, and decide; each decision can be taken back."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import adjudicating, attention, auditing, deciding, history, trimming, verdicts
from annotation.deciding import Row
from annotation.linguist_forms import AuditForm, AuditTagForm
from annotation.models import Audit, AuditTag, Concern, Item, Pair, Review
from annotation.views.access import language_for, person
from generation.models import Release, ReleaseState
from xinstruct_site.people.models import Language, Role, User

SHOWN = 50
OWN = 10  # of one's own last decisions
LANES = {
    "held": gettext_lazy("Asked for by reviewers"),
    "flagged": gettext_lazy("Flagged"),
    "sample": gettext_lazy("Random sample"),
}
SEVERITIES = {1: gettext_lazy("minor"), 2: gettext_lazy("serious"), 3: gettext_lazy("grave")}
DONE = {
    "pass": gettext_lazy("Passed."),
    "fix": gettext_lazy("Fixed."),
    "exclude": gettext_lazy("Excluded."),
    "send_back": gettext_lazy("Sent back: other people review it anew."),
}


@require_safe
@never_cache
@login_required
def lane(request: HttpRequest, code: str) -> HttpResponse:
    """What waits for a linguist, one lane at a time."""
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    name, release = asked_lane(request, language)
    waiting = deciding.for_linguist(pairs_of(name, language, release), user).select_related("item__text")
    flagged = Prefetch("item__reviews", Review.objects.standing().exclude(flags={}), to_attr="flagged")
    pairs = list(asked_part(request, waiting.prefetch_related(flagged), language))
    pairs, more = pairs[:SHOWN], pairs[SHOWN:]
    flags = [history.flags_of(pair.item.flagged) for pair in pairs]  # type: ignore[attr-defined]
    context = lanes(request, language) | {
        "lane": name,
        "release": release,
        "candidates": Release.objects.filter(state=ReleaseState.CANDIDATE, languages=language),
        "pairs": list(zip(pairs, flags, strict=True)),
        "lane_query": lane_query(name, release),
        "goes_on_after": pairs[-1].public_id if more else "",
        "own": list(own_audits(request, language)[:OWN]),
    }
    return TemplateResponse(request, "annotation/audit_lane.html", context)


@require_safe
@never_cache
@login_required
def following(request: HttpRequest, code: str) -> HttpResponse:
    """On to the next pair of a lane, or back to the lane at its end."""
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    name, release = asked_lane(request, language)
    waiting = deciding.for_linguist(pairs_of(name, language, release), user)
    pair = next(iter(asked_part(request, waiting.select_related("item"), language)[:1]), None)
    if pair is None:
        return redirect(f"{reverse('audits', args=[language.code])}?{lane_query(name, release)}")
    return redirect(f"{reverse('audit', args=[language.code, pair.item.public_id])}?{lane_query(name, release)}")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def audit(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """One pair: read, mark, decide."""
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    pairs = Pair.objects.select_related("item__text", "item__language").filter(
        item__language=language, item__public_id=public_id
    )
    asked = request.POST.get("pair", "")[:40]
    pair = (pairs.filter(public_id=asked).first() if asked else None) or get_object_or_404(pairs.current())
    name, release = asked_lane(request, language)
    said = verdicts.wording_of(pair)
    if request.method == "POST":
        form = AuditForm(request.POST, language=language)
        if form.is_valid():
            try:
                done = auditing.audit(user, pair, form.submission(said))
            except deciding.DecisionError as exc:
                form.add_error(None, exc.errors)
            else:
                messages.success(request, DONE[done.verdict])
                further = f"{lane_query(name, release)}&after={pair.public_id}"
                return redirect(f"{reverse('next_audit', args=[language.code])}?{further}")
    else:
        form = AuditForm.opened(said, language, pair=pair.public_id, **auditing.said_before(user, pair))
    context = {
        **lanes(request, language),
        **before_deciding(pair.item, user),
        "lane": name,
        "lane_query": lane_query(name, release),
        "form": form,
        "pair": pair,
        "kept": trimming.quoted([(span["start"], span["end"]) for span in pair.spans], pair.item.text.body),
        "before": history.audits_of(pair.item),
        "last": own_audits(request, language).first(),
        "waits": auditing.auditable(language).filter(pk=pair.pk).exists(),
        "tags": [*Concern.choices, *((tag.name, tag.name) for tag in auditing.own_tags(language))],
        "severities": list(SEVERITIES.items()),
    }
    return TemplateResponse(request, "annotation/audit.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def undo(request: HttpRequest, code: str, audit_id: uuid.UUID) -> HttpResponse:
    """Take one's own audit back, and go to its pair."""
    language = language_for(request, code, Role.LINGUIST)
    audits = Audit.objects.select_related("item__text", "item__language", "pair")
    done = get_object_or_404(audits, pk=audit_id, item__language=language)
    try:
        auditing.withdraw(person(request), done)
    except deciding.DecisionError as exc:
        messages.error(request, str(exc))
        return redirect("audits", code=language.code)
    messages.success(request, _("Taken back. The pair is what it was before."))
    query = lane_query(*asked_lane(request, language))
    return redirect(f"{reverse('audit', args=[language.code, done.item.public_id])}?{query}")


# Rules


@require_safe
@login_required
def rules(request: HttpRequest, code: str) -> HttpResponse:
    """What audits suggest for the guidelines."""
    language = language_for(request, code, Role.LINGUIST)
    closed = Audit.objects.standing().filter(item__language=language, rule_in_version__isnull=False)
    context = lanes(request, language) | {
        "lane": "rules",
        "audits": list(auditing.with_open_rules(language)[:SHOWN]),
        "taken_up": list(closed.order_by("-rule_closed_at")[:SHOWN]),
    }
    return TemplateResponse(request, "annotation/audit_rules.html", context)


@require_POST
@login_required
def set_rule_aside(request: HttpRequest, code: str, audit_id: uuid.UUID) -> HttpResponse:
    language = language_for(request, code, Role.LINGUIST)
    done = get_object_or_404(Audit, pk=audit_id, item__language=language)
    if auditing.close_rule(done):
        messages.success(request, _("Set aside."))
    return redirect("audit_rules", code=language.code)


# Tags


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def tags(request: HttpRequest, code: str) -> HttpResponse:
    """The language's own tags, beside those that every language has."""
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    form = AuditTagForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        language.audit_tags.update_or_create(
            name=form.cleaned_data["name"], defaults={"retired_at": None}, create_defaults={"made_by": user}
        )
        return redirect("audit_tags", code=language.code)
    context = lanes(request, language) | {
        "lane": "tags",
        "form": form,
        "common": [label for _value, label in Concern.choices],
        "own_tags": list(auditing.own_tags(language)),
    }
    return TemplateResponse(request, "annotation/audit_tags.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def retire_tag(request: HttpRequest, code: str, pk: int) -> HttpResponse:
    language = language_for(request, code, Role.LINGUIST)
    auditing.retire_tag(get_object_or_404(AuditTag, pk=pk, language=language))
    messages.success(request, _("Retired. Marks that carry it stay as they are."))
    return redirect("audit_tags", code=language.code)


# What the pages share


def asked_lane(request: HttpRequest, language: Language) -> tuple[str, Release | None]:
    name = request.GET.get("lane", "held")
    releases = Release.objects.filter(state=ReleaseState.CANDIDATE, languages=language)
    release = releases.filter(public_id=request.GET.get("release", "")[:40]).first() if name == "sample" else None
    return (name if name in LANES else "held"), release


def lane_query(name: str, release: Release | None) -> str:
    return f"lane={name}" + (f"&release={release.public_id}" if release else "")


def pairs_of(name: str, language: Language, release: Release | None) -> QuerySet[Pair]:
    if name == "sample":
        return auditing.sample(language, release)
    return auditing.flagged(language) if name == "flagged" else auditing.held(language)


def asked_part(request: HttpRequest, waiting: QuerySet[Row], language: Language) -> QuerySet[Row]:
    """A page of what waits and one row more: from the start, or `?after=` the pair or item of that id."""
    after = request.GET.get("after", "")
    return (deciding.behind(waiting, language, after) if after else waiting)[: SHOWN + 1]


def own_audits(request: HttpRequest, language: Language) -> QuerySet[Audit]:
    """The linguist's own last ones, to be taken back."""
    own = Audit.objects.standing().filter(linguist=person(request), item__language=language)
    return own.select_related("item__text").order_by("-at")


def lanes(request: HttpRequest, language: Language) -> dict[str, Any]:
    """The tabs, and how much waits for this person behind each but the sample, whose size says nothing."""
    counted = attention.waiting(person(request), language)
    return {
        "language": language,
        "tabs": [(name, label, counted.get(name, "")) for name, label in LANES.items()],
        "disputes": counted["disputed"],
        "open_rules": counted["rules"],
    }


def before_deciding(item: Item, user: User) -> dict[str, Any]:
    """What a linguist sees of an item: its text, what reviewers said, and whether it is theirs to decide on."""
    return {
        "item": item,
        "text": item.text,
        "answers": adjudicating.answers(item),
        "is_own": deciding.is_own_work(item, user),
    }
