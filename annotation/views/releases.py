"""`/releases/`: freeze accepted pairs into a release, look at it, take it away in a trainer's format."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import adjudicating, auditing, changes, filtering, freezing, jobs
from annotation.documents import DOCUMENTS
from annotation.formats import offered
from annotation.models import Pair
from annotation.release_forms import ReleaseForm, WithdrawForm
from generation import queueing
from generation.finding import find_rows
from generation.models import Release, ReleaseState, Split
from generation.views.access import MaintainerRequest, maintained_languages, maintainers_only
from generation.views.banner import worker_banner
from xinstruct_site.people.models import Event, EventKind, Language

RELEASES_SHOWN = 50
CHANGES_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@maintainers_only
def releases(request: MaintainerRequest) -> HttpResponse:
    """The list, and the form that builds a release."""
    languages = maintained_languages(request.user)
    with_pairs = languages.filter(pk__in=Pair.objects.releasable().values("item__language"))
    visible = Release.objects.within(languages)
    form = ReleaseForm(request.POST or None, languages=with_pairs, previous=visible.exported())
    status, refusal = 200, ""
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                release = start_building(request, form)
            except (queueing.NoWorker, freezing.ReleaseError) as exc:
                status, refusal = 409, str(exc)
            else:
                return redirect("release", release.public_id)
    context = {
        "form": form,
        "refusal": refusal,
        "has_pairs": with_pairs.exists(),
        "releases": visible.prefetch_related("languages")[:RELEASES_SHOWN],
        **worker_banner(jobs.QUEUE),
    }
    return TemplateResponse(request, "annotation/releases.html", context, status=status)


def start_building(request: MaintainerRequest, form: ReleaseForm) -> Release:
    """The release that was asked for, queued for building. Pressed twice it is one release."""
    name, languages, filters = form.cleaned_data["name"], list(form.cleaned_data["languages"]), form.filters()
    visible = Release.objects.within(maintained_languages(request.user))
    if Release.objects.filter(name=name).exclude(pk__in=visible).exists():
        # An unfinished one of other languages must not be taken over by somebody who does not maintain them.
        raise freezing.NameTaken(_("There is a release “%(name)s” already. Choose another name.") % {"name": name})
    standing = visible.ready().filter(name=name).first()
    if standing and standing.query == filters.as_query(languages):
        messages.info(request, _("This release is built already, and releases do not change."))
        return standing
    queueing.demand_worker(jobs.QUEUE)
    asked = {key: form.cleaned_data[key] for key in ("version", "previous", "candidate")}
    with transaction.atomic():
        release = freezing.open_release(name, languages, created_by=request.user, filters=filters, **asked)
        _ring(release)
    return release


def _ring(release: Release) -> None:
    if not queueing.is_waiting(release):
        queueing.ring(jobs.build_release, release, jobs.QUEUE)


@require_safe
@maintainers_only
def release(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """One release; asked by HTMX, only what moves."""
    one = get_release(request, public_id)
    by_code = {language.code: language for language in one.languages.all()}
    code, words = _asked(request, "language"), _asked(request, "q")
    after = _number(_asked(request, "after"))
    page = find_rows(one, language=code if code in by_code else "", words=words, after=after)
    query = request.GET.copy()
    query.pop("after", None)
    context = {
        "release": one,
        "page": page,
        "rows": [(row, by_code.get(row.language_code)) for row in page.rows],
        "rows_total": sum(one.counts.values()),
        "languages": [by_code[code] for code in sorted(by_code)],
        "asked": {"q": words, "language": code},
        "next_query": f"&{query.urlencode()}" if query else "",
        "parts": _parts(one, by_code),
        "others": Release.objects.within(maintained_languages(request.user)).comparable(one)[:RELEASES_SHOWN],
        "words": filtering.in_words(one.query),
        # As a list: a template would read a key called "items" where it should list them.
        "versions": list(one.versions.items()),
        "formats": offered(one),
        "documents": DOCUMENTS,
        "withdraw_form": WithdrawForm(),
        "to_audit": _to_audit(one, by_code) if one.is_candidate else [],
        "is_going_on": one.is_going_on,
    }
    template = "annotation/release.html#live" if request.htmx else "annotation/release.html"
    return TemplateResponse(request, template, context)


def _parts(one: Release, by_code: dict[str, Language]) -> list[dict[str, Any]]:
    """Of each language: how many rows, which share of the largest that is, its splits and what changed."""
    largest = max(one.counts.values(), default=0) or 1
    codes = {code for counts in [one.counts, *one.changelog.values()] for code in counts}
    return [
        {
            "name": by_code[code].name if code in by_code else code,
            "number": one.counts.get(code, 0),
            "share": one.counts.get(code, 0) / largest,
            "part": one.splits.get(Split.TRAIN, {}).get(code, 0) / largest,
            "is_small": code in one.small_languages,
            "splits": [one.splits.get(split, {}).get(code, 0) for split in Split] if one.splits else [],
            "changes": [one.changelog[kind].get(code, 0) for kind in changes.KINDS] if one.changelog else [],
        }
        for code in sorted(codes)
    ]


def _to_audit(one: Release, by_code: dict[str, Language]) -> list[dict[str, Any]]:
    """Of each language of a candidate: what is left of its sample, and what is not in it since nobody has decided."""
    return [
        {
            "language": language,
            "sample": auditing.sample(language, one).count(),
            "held": auditing.held(language).count(),
            "disputed": adjudicating.disputed(language).count(),
        }
        for _code, language in sorted(by_code.items())
    ]


def _asked(request: MaintainerRequest, name: str) -> str:
    """What the address says, without what the database cannot be asked for."""
    return request.GET.get(name, "").replace("\0", "").strip()[:200]


def _number(given: str) -> int:
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else -1


@require_POST
@maintainers_only
def publish(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """Have a candidate built anew, for everybody."""
    one = get_release(request, public_id)
    try:
        queueing.demand_worker(jobs.QUEUE)
    except queueing.NoWorker as exc:
        return conflict(request, one, str(exc))
    with transaction.atomic():
        if one.publish():
            _ring(one)
        elif one.state not in {ReleaseState.BUILDING, ReleaseState.READY}:  # pressed twice
            messages.error(request, _("Only a candidate can be published."))
    return redirect("release", one.public_id)


@require_POST
@maintainers_only
def withdraw(request: MaintainerRequest, public_id: str) -> HttpResponse:
    one = get_release(request, public_id)
    form = WithdrawForm(request.POST)
    if not form.is_valid():
        return conflict(request, one, _("Say why it is withdrawn; whoever looks it up will want to know."))
    if one.withdraw(form.cleaned_data["reason"]):
        Event.record(EventKind.RELEASE_WITHDRAWN, one, actor=request.user)
    return redirect("release", one.public_id)


@require_safe
@maintainers_only
def compare(request: MaintainerRequest, public_id: str, other_id: str) -> HttpResponse:
    """What changed from one release to the other, word by word."""
    new, old = get_release(request, public_id), get_release(request, other_id)
    kind, language, after = (_asked(request, name) for name in ("kind", "language", "after"))
    kinds = [kind] if kind in changes.KINDS else changes.KINDS
    found = changes.changes(old, new, kinds=kinds, language=language, after=after, limit=CHANGES_SHOWN + 1)
    query = request.GET.copy()
    query.pop("after", None)
    context = {
        "new": new,
        "old": old,
        "shown": changes.shown(found[:CHANGES_SHOWN]),
        "after": found[CHANGES_SHOWN - 1].item if len(found) > CHANGES_SHOWN else "",
        "next_query": f"&{query.urlencode()}" if query else "",
        "log": list(changes.changelog(old, new).items()) if not after else [],
        "kinds": changes.KINDS,
        "asked": {"kind": kind, "language": language},
        "codes": sorted({*old.counts, *new.counts}),
    }
    return TemplateResponse(request, "annotation/release_changes.html", context)


def get_release(request: MaintainerRequest, public_id: str) -> Release:
    visible = Release.objects.within(maintained_languages(request.user)).select_related("created_by")
    return get_object_or_404(visible, public_id=public_id)


def conflict(request: MaintainerRequest, one: Release, message: str, level: int = messages.ERROR) -> HttpResponse:
    messages.add_message(request, level, message)
    return redirect("release", one.public_id)
