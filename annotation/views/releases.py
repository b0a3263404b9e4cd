"""`/releases/`: freeze accepted pairs into a release, look at it, take it away in a trainer's format."""

from pathlib import Path

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from annotation import exports, freezing, jobs
from annotation.filtering import Filters
from annotation.formats import FORMATS, formats_of
from annotation.models import Pair
from generation import queueing
from generation.models import Release
from generation.views.access import MaintainerRequest, maintained_languages, maintainers_only
from generation.views.banner import worker_banner
from xinstruct_site.people.models import Language

RELEASES_SHOWN = 50
ROWS_SHOWN = 20


class ReleaseForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        help_text=gettext_lazy("Letters, digits, “-”, “_” and “.”, such as fi-2026-11. It cannot be changed later."),
        widget=forms.TextInput(attrs={"dir": "ltr", "autocomplete": "off"}),
    )
    languages = forms.ModelMultipleChoiceField(
        Language.objects.none(),
        label=gettext_lazy("Languages"),
        to_field_name="code",
        widget=forms.CheckboxSelectMultiple,
    )
    preferences = forms.BooleanField(
        label=gettext_lazy("With the drafts that people did not want"),
        required=False,
        help_text=gettext_lazy("Preferences, to train the drafting model with DPO."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@maintainers_only
def releases(request: MaintainerRequest) -> HttpResponse:
    """The list, and the form that builds a release."""
    languages = maintained_languages(request.user)
    with_pairs = languages.filter(pk__in=Pair.objects.releasable().values("item__language"))
    form = ReleaseForm(request.POST or None)
    form.fields["languages"].queryset = with_pairs  # type: ignore[attr-defined]
    status, refusal = 200, ""
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                asked = form.cleaned_data
                release = start_building(
                    request, asked["name"], list(asked["languages"]), preferences=asked["preferences"]
                )
            except (queueing.NoWorker, freezing.ReleaseError) as exc:
                status, refusal = 409, str(exc)
            else:
                return redirect("release", release.public_id)
    context = {
        "form": form,
        "refusal": refusal,
        "has_pairs": with_pairs.exists(),
        "releases": Release.objects.within(languages).prefetch_related("languages")[:RELEASES_SHOWN],
        **worker_banner(jobs.QUEUE),
    }
    return TemplateResponse(request, "annotation/releases.html", context, status=status)


def start_building(
    request: MaintainerRequest, name: str, languages: list[Language], *, preferences: bool = False
) -> Release:
    """The release that was asked for, queued for building. Pressed twice it is one release."""
    visible = Release.objects.within(maintained_languages(request.user))
    if Release.objects.filter(name=name).exclude(pk__in=visible).exists():
        # An unfinished one of other languages must not be taken over by somebody who does not maintain them.
        raise freezing.NameTaken(_("There is a release “%(name)s” already. Choose another name.") % {"name": name})
    standing = visible.ready().filter(name=name).prefetch_related("languages").first()
    is_same = standing and standing.holds_preferences == preferences
    if standing and is_same and set(standing.languages.all()) == set(languages):
        messages.info(request, _("This release is built already, and releases do not change."))
        return standing
    queueing.demand_worker(jobs.QUEUE)
    with transaction.atomic():
        release = freezing.open_release(
            name, languages, created_by=request.user, filters=Filters(preferences=preferences)
        )
        if not queueing.is_waiting(release):
            queueing.ring(jobs.build_release, release, jobs.QUEUE)
    return release


@require_safe
@maintainers_only
def release(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """One release; asked by HTMX, only what moves."""
    one = get_release(request, public_id)
    languages = list(one.languages.all())
    by_code = {language.code: language for language in languages}
    context = {
        "release": one,
        "rows": [(row, by_code.get(row.language_code)) for row in one.rows.order_by("position")[:ROWS_SHOWN]],
        "rows_total": sum(one.counts.values()),
        "counts": [(by_code[code].name if code in by_code else code, count) for code, count in one.counts.items()],
        # As lists: a template would read a key called "items" where it should list them.
        "query": list(one.query.items()),
        "versions": list(one.versions.items()),
        "formats": formats_of(one),
        "is_going_on": one.is_going_on,
    }
    template = "annotation/release.html#live" if request.htmx else "annotation/release.html"
    return TemplateResponse(request, template, context)


def get_release(request: MaintainerRequest, public_id: str) -> Release:
    visible = Release.objects.within(maintained_languages(request.user)).select_related("created_by")
    return get_object_or_404(visible, public_id=public_id)


@require_safe
@maintainers_only
def download_release(request: MaintainerRequest, public_id: str, format: str) -> HttpResponse | FileResponse:
    """A ready release in one format. What goes into the path is the release's id and a key of our own table."""
    one = get_release(request, public_id)
    if format not in FORMATS:
        raise Http404
    try:
        exported = exports.export_release(one, format, export_folder(one))
    except freezing.ReleaseError as exc:
        return conflict(request, one, str(exc))
    if len(exported.files) == 1:
        return attachment(exported.files[0], exported.files[0].name)
    archive = exports.zipped(exported, f"{one.name}.{format}.zip")
    return attachment(archive, archive.name)


@require_safe
@maintainers_only
def download_manifest(request: MaintainerRequest, public_id: str) -> HttpResponse | FileResponse:
    """What is in the release and which file has which hash. Formats that were not asked for yet are rendered first."""
    one = get_release(request, public_id)
    try:
        for format in formats_of(one):
            exported = exports.export_release(one, format, export_folder(one))
    except freezing.ReleaseError as exc:
        return conflict(request, one, str(exc))
    return attachment(exported.manifest, f"{one.name}.manifest.json")


def export_folder(one: Release) -> Path:
    return Path(settings.DATA_DIR) / "exports" / one.public_id


def attachment(path: Path, name: str) -> FileResponse:
    return FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type="application/octet-stream")


def conflict(request: MaintainerRequest, one: Release, message: str) -> HttpResponse:
    messages.error(request, message)
    return redirect("release", one.public_id)
