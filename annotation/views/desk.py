"""The lead's desk: how a language fares, how far its people agree, how each judges, and who may come in."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import attention, desk, figures, finding, jobs, mine
from annotation.finding import WAITING
from annotation.models import DeskFigures, SignalKind
from annotation.views.access import language_for, person
from generation.charts import line_chart
from xinstruct_site.people import inviting
from xinstruct_site.people.forms import InviteForm
from xinstruct_site.people.models import Invitation, Language, Membership, Role, User

SHOWN = 100
MATRIX = 25  # people
DIMENSIONS = {
    "decision": gettext_lazy("Decision"),
    "rating_alignment": gettext_lazy("The text answers it"),
    "rating_instruction": gettext_lazy("The instruction"),
    "rating_text": gettext_lazy("The text"),
    "overall": gettext_lazy("Overall"),
}
STAGES = {
    "texts": gettext_lazy("texts"),
    "drafted": gettext_lazy("drafted"),
    "selected": gettext_lazy("selected"),
    "waiting": gettext_lazy("waiting for reviews"),
    "accepted": gettext_lazy("accepted"),
}
STRICT = 0.75  # levels that a person's ratings lie beside the others', beyond which a talk is worth it
UNSURE = 0.7  # share of decisions that the outcome bore out, below which it is


def at_a_glance(user: User, language: Language, known: DeskFigures | None, accepted: int) -> dict[str, Any]:
    """What stands on the language's page for who leads it, beside the stages."""
    reviews, pairs = desk.pace(language)
    return {
        "figures": known,
        "is_new": bool(known and not known.data["pipeline"]["selected"]),
        "waiting": needs(language, attention.waiting(user, language), known),
        "pace": by_day(reviews, digits=0) if any(n for _day, n in reviews) else None,
        "week": sum(n for _day, n in reviews[-7:]),
        "week_since": reviews[-7][0],
        "before": sum(n for _day, n in reviews[-14:-7]),
        "before_since": reviews[-14][0],
        "before_until": reviews[-8][0],
        "week_pairs": sum(n for _day, n in pairs[-7:]),
        "outlook": mine.outlook(language, accepted),
        "concentration": concentration(known) if known else None,
    }


def needs(language: Language, counted: dict[str, str], known: DeskFigures | None) -> list[tuple[str, str, Any]]:
    """(number, address, words) of what waits, most urgent first; nothing of what there is none of."""
    code = language.code
    lane, found = reverse("audits", args=[code]), f"{reverse('items')}?language={code}"
    said = [
        (counted["paused"], reverse("gold", args=[code]), _("on pause")),
        (counted["held"], f"{lane}?lane=held", _("asked for by reviewers")),
        (counted["disputed"], reverse("disputes", args=[code]), _("disputed")),
        (counted["questions"], reverse("questions", args=[code]), _("open questions")),
        (counted["rules"], reverse("audit_rules", args=[code]), _("suggested rules")),
        (counted["flagged"], f"{lane}?lane=flagged", _("accepted, but flagged")),
    ]
    if known:
        people = reverse("people", args=[code])
        said += [
            (str(len(worth_a_talk(language, known))), f"{people}?talk=1", _("worth a talk")),
            *(
                (str(known.data["waiting"][kind]), f"{found}&waiting={kind}", str(words))
                for kind, words in WAITING.items()
            ),
        ]
    return [one for one in said if one[0] != "0"]


def by_day(days: Sequence[tuple[dt.date, float]], *, digits: int) -> dict[str, Any] | None:
    """A line over days with first, middle and last day below it, and the same in words and in numbers."""
    places = sorted({0, len(days) // 2, len(days) - 1})
    labels = [(float(place), date_format(days[place][0], "j M")) for place in places]
    chart = line_chart([(place, n) for place, (_day, n) in enumerate(days)], digits=digits, x_labels=labels)
    if chart is None:
        return None
    (first, begins), (last, ends) = days[0], days[-1]
    says = _("From %(begins)s on %(first)s to %(ends)s on %(last)s, %(most)s at most.") % {
        "begins": f"{begins:.{digits}f}", "first": date_format(first), "ends": f"{ends:.{digits}f}",
        "last": date_format(last), "most": f"{max(n for _day, n in days):.{digits}f}",
    }  # fmt: skip
    return {"chart": chart, "says": says, "days": days}


@require_safe
@never_cache
@login_required
def agreement(request: HttpRequest, code: str) -> HttpResponse:
    """How far reviewers agree: by dimension, between each two, and over time."""
    language = language_for(request, code, Role.LINGUIST)
    known = current_figures(language)
    context: dict[str, Any] = {"language": language, "figures": known, "enough": figures.ENOUGH_ITEMS}
    if known:
        data = known.data
        found = data["agreement"]
        beside = User.objects.filter(public_id=request.GET.get("person", "")[:40]).first()
        people = named(judged_most(known.pairs, beside))
        context |= {
            "dimensions": [
                (label, found[dimension], found[dimension]["items"] >= figures.ENOUGH_ITEMS)
                for dimension, label in DIMENSIONS.items()
            ],
            "people": list(people.values()),
            "matrix": matrix(known.pairs, people),
            "beside": beside,
            "is_full": len(people) == MATRIX,
            "drift": [point | {"week": dt.date.fromisoformat(point["week"])} for point in data["drift"]],
            "weeks": by_day([(dt.date.fromisoformat(point["week"]), point["ac2"]) for point in data["drift"]], digits=2)
            if data["drift"]
            else None,
        }
    return TemplateResponse(request, "annotation/agreement.html", context)


@require_safe
@never_cache
@login_required
def differences(request: HttpRequest, code: str, one: str, other: str) -> HttpResponse:
    """The decided items on which two people went apart, newest first, and how many are not decided yet."""
    language = language_for(request, code, Role.LINGUIST)
    first, second = get_object_or_404(User, public_id=one), get_object_or_404(User, public_id=other)
    found = desk.differing(language, first, second)
    decided = found.exclude(item__state__in=finding.UNDECIDED)
    context = {
        "language": language,
        "first": first,
        "second": second,
        "reviews": list(decided[:SHOWN]),
        "number": decided.count(),
        "undecided": found.filter(item__state__in=finding.UNDECIDED).count(),
    }
    return TemplateResponse(request, "annotation/differences.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def people(request: HttpRequest, code: str) -> HttpResponse:
    """Who works in the language, how each judges, what is worth a talk; invitations."""
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    form = InviteForm(request.POST or None, roles=grantable(user, language))
    if request.method == "POST" and form.is_valid():
        invitation, token = inviting.invite(form.cleaned_data["email"], form.cleaned_data["role"], language, user)
        address = request.build_absolute_uri(reverse("invitation", args=[token]))
        context = roster(language) | {"form": form, "invited": invitation, "address": address}
        return TemplateResponse(request, "annotation/people.html", context)
    context = roster(language) | {"form": form}
    if "talk" in request.GET:
        context["rows"] = [row for row in context["rows"] if row["reasons"]]
        context["only_talks"] = True
    return TemplateResponse(request, "annotation/people.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def withdraw_invitation(request: HttpRequest, code: str, pk: int) -> HttpResponse:
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    offers = Invitation.objects.open().filter(language=language, role__in=grantable(user, language))
    inviting.withdraw(get_object_or_404(offers, pk=pk), user)
    messages.success(request, _("The invitation is withdrawn; its link opens nothing any more."))
    return redirect("people", code=language.code)


# What the pages show


def current_figures(language: Language) -> DeskFigures | None:
    known = desk.known_figures(language)
    if desk.is_old(known):
        jobs.ring_desk(language)
    return known


def stages(known: DeskFigures | None, *, is_lead: bool) -> list[tuple[str, Any, int]]:
    """Stage, what it is called, and how many have come so far: what a lead finds there, for others with hidden gold."""
    if not known:
        return []
    counts = known.data["pipeline"] | (known.data.get("stages", {}) if is_lead else {})
    return [(stage, label, counts[stage]) for stage, label in STAGES.items()]


def named(ids: set[int]) -> dict[int, User]:
    return dict(sorted(User.objects.in_bulk(ids).items(), key=lambda found: str(found[1])))


def judged_most(pairs: list[list[int]], beside: User | None) -> set[int]:
    """Those that the matrix has room for: who judged most items together with others, or with one person."""
    shared: Counter[int] = Counter()
    for one, other, both, _alike in pairs:
        if beside is None or beside.pk in {one, other}:
            shared.update({one: both, other: both})
    return {pk for pk, _both in shared.most_common(MATRIX)}


def matrix(pairs: list[list[int]], people: dict[int, User]) -> list[tuple[User, list[dict[str, Any] | None]]]:
    """A row for each person: with each of the others, the share of shared items decided alike."""
    cells: dict[tuple[int, int], dict[str, Any]] = {}
    for one, other, shared, alike in pairs:
        if not {one, other} <= people.keys():
            continue  # an account that is gone
        share = alike / shared
        for key in ((one, other), (other, one)):
            cells[key] = {"other": people[key[1]], "shared": shared, "percent": round(100 * share),
                          "shade": min(int(share * 5), 4)}  # fmt: skip
    return [(user, [cells.get((pk, other)) for other in people]) for pk, user in people.items()]


def concentration(known: DeskFigures) -> dict[str, Any]:
    data = known.data["concentration"]
    people = named({pk for pk, _share in data["people"]})
    shares = [(people[pk], round(100 * share)) for pk, share in data["people"] if pk in people]
    return data | {"shares": shares, "top_five": round(100 * data["top_five"])}


def talks(known: DeskFigures) -> dict[int, list[str]]:
    """By person: what is worth a talk in how they judge."""
    found: dict[int, list[str]] = {}
    for pk, said in known.data["people"].items():
        reasons = []
        if said["severity"] is not None and said["severity"] <= -STRICT:
            reasons.append(_("stricter than others on the same items"))
        if said["severity"] is not None and said["severity"] >= STRICT:
            reasons.append(_("milder than others on the same items"))
        if said["consistency"] is not None and said["consistency"] < UNSURE:
            reasons.append(_("often decides otherwise than the outcome"))
        if reasons:
            found[int(pk)] = reasons
    return found


def worth_a_talk(language: Language, known: DeskFigures) -> dict[int, list[str]]:
    """By person: what is worth a talk in how they judge, and the signals that a lead may see."""
    found = talks(known)
    for signal in desk.for_lead(language):
        words = f"{SignalKind(signal.kind).label} ({signal.number})"
        found.setdefault(signal.person_id, []).append(words)
    return found


def roster(language: Language) -> dict[str, Any]:
    """Everybody with a role or a review in the language, most reviews first."""
    known = current_figures(language)
    figures_of = {int(pk): said for pk, said in known.data["people"].items()} if known else {}
    reasons = worth_a_talk(language, known) if known else {}
    sent = desk.reviews_sent(language)
    roles: dict[int, list[str]] = {}
    tags: dict[int, str] = {}
    for membership in Membership.objects.filter(language=language):
        roles.setdefault(membership.user_id, []).append(membership.get_role_display())
        if said := " · ".join(filter(None, (membership.variety, membership.orthography))):
            tags[membership.user_id] = said
    users = User.objects.in_bulk(figures_of.keys() | roles.keys() | sent.keys())
    rows: list[dict[str, Any]] = [
        {
            "person": user,
            "roles": roles.get(pk, []),
            "tags": tags.get(pk, ""),
            "figures": shown(figures_of[pk]) if pk in figures_of else None,
            "sent": sent.get(pk, 0),
            "reasons": reasons.get(pk, []),
        }
        for pk, user in users.items()
    ]
    rows.sort(key=lambda row: (-row["sent"], str(row["person"])))
    return {
        "language": language,
        "figures": known,
        "rows": rows,
        "has_rechecks": any(row["figures"] and row["figures"]["twice"] for row in rows),
        "edits": edits(known) if known else [],
        "invitations": Invitation.objects.open().filter(language=language).select_related("invited_by"),
    }


def shown(said: dict[str, Any]) -> dict[str, Any]:
    """A person's figures with shares in per cent, rounded as they are shown."""
    told = {name: said[name] for name in ("accepts", "edited", "consistency")}
    shares = {name: None if share is None else round(100 * share) for name, share in told.items()}
    severity = None if said["severity"] is None else number_format(said["severity"], 2)
    twice, alike = said.get("twice", 0), said.get("alike", 0)
    again = {"twice": twice, "same_again": round(100 * alike / twice) if twice >= figures.ENOUGH_SHARED else None}
    return said | shares | again | {"severity": severity, "seconds": round(said["seconds"])}


def edits(known: DeskFigures) -> list[tuple[str, int, list[tuple[Any, int, float]]]]:
    """By model: accepted pairs, and of each kind of edit how many and what share."""
    kinds = {
        "none": _("as drafted"),
        "cosmetic": _("spelling and punctuation"),
        "fluency": _("grammar and flow"),
        "meaning": _("other meaning"),
        "rewrite": _("written anew"),
    }
    found = []
    for model, counts in known.data["edits"].items():
        total = sum(counts.values())
        parts = [(label, counts.get(kind, 0), counts.get(kind, 0) / total) for kind, label in kinds.items()]
        found.append((model, total, parts))
    return found


def grantable(user: User, language: Language) -> list[str]:
    """Roles that the person may offer in the language: a linguist annotators, a maintainer linguists, too."""
    is_maintainer = user.has_role(language, Role.MAINTAINER)
    return [Role.ANNOTATOR, Role.LINGUIST] if is_maintainer else [Role.ANNOTATOR]
