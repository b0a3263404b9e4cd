"""Texts: find them, look at one with everything machines did to it, send a file of new ones."""

from pathlib import Path

from django.conf import settings
from django.contrib import messages
from django.db.models import Prefetch
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from generation import jobs, queueing, uploads
from generation.finding import find_texts
from generation.forms import TextFilterForm, UploadForm
from generation.models import Candidate, Import, Score, Text, Upload
from generation.rejections import Reason
from generation.views.access import MaintainerRequest, maintained_languages, maintainers_only
from generation.views.banner import worker_banner

CANDIDATES_SHOWN = 100
IMPORTS_SHOWN = 20
PROVENANCE = {
    "source_dataset": gettext_lazy("source"),
    "source_release": gettext_lazy("release of the source"),
    "source_doc_id": gettext_lazy("id in the source"),
    "url": gettext_lazy("address"),
    "crawl_date": gettext_lazy("date"),
    "licence_id": gettext_lazy("licence"),
    "licence_url": gettext_lazy("address of the licence"),
    "robots_status": gettext_lazy("robots"),
    "lang_declared": gettext_lazy("language, declared"),
    "lang_detected": gettext_lazy("language, detected"),
    "lang_score": gettext_lazy("certainty of that"),
    "script": gettext_lazy("script"),
    "variety": gettext_lazy("variety"),
    "orthography": gettext_lazy("orthography"),
    "chars": gettext_lazy("characters"),
    "dedup_cluster_size": gettext_lazy("near-duplicates, with this one"),
    "sha256": gettext_lazy("SHA-256 of the text"),
    "imported_at": gettext_lazy("imported"),
}


@require_safe
@maintainers_only
def texts(request: MaintainerRequest) -> HttpResponse:
    languages = maintained_languages(request.user)
    form = TextFilterForm(request.GET, languages=languages)
    page = None
    if form.is_valid():
        chosen = [form.cleaned_data["language"]] if form.cleaned_data["language"] else list(languages)
        page = find_texts(
            chosen, source=form.cleaned_data["source"], words=form.cleaned_data["q"], after=form.cleaned_data["after"]
        )
    query = request.GET.copy()
    query["after"] = page.goes_on_after if page else ""
    context = {"form": form, "page": page, "next_query": query.urlencode(), "is_filtered": any(request.GET.values())}
    return TemplateResponse(request, "generation/texts.html", context, status=200 if page else 422)


@require_safe
@maintainers_only
def text(request: MaintainerRequest, public_id: str) -> HttpResponse:
    one = get_object_or_404(
        Text.objects.filter(language__in=maintained_languages(request.user)).select_related("language", "imported_in"),
        public_id=public_id,
    )
    candidates = (
        Candidate.objects.filter(text__in=[one.pk, one.relabelled_from_id or one.pk])
        .select_related("run__model_version")
        .prefetch_related(Prefetch("scores", Score.objects.select_related("evaluator").order_by("-pk")))
        .defer("embedding")
        .order_by("-run_id", "sample_number")[:CANDIDATES_SHOWN]
    )
    provenance = [(label, getattr(one, name)) for name, label in PROVENANCE.items()]
    context = {
        "text": one,
        "candidates": candidates,
        "provenance": [(label, value) for label, value in provenance if value not in {None, ""}],
        "extra": list(one.extra.items()),  # a list: a template would read a key called "items"
        "selections": one.selections.select_related("round").order_by("-round__number"),
    }
    return TemplateResponse(request, "generation/text.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@maintainers_only
def import_texts(request: MaintainerRequest) -> HttpResponse:
    """The form of one file, and how recent imports went."""
    languages = maintained_languages(request.user)
    form = UploadForm(request.POST or None, request.FILES or None, languages=languages)
    status, refusal = 200, ""
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                queueing.demand_worker(jobs.IMPORT_QUEUE)
            except queueing.NoWorker as exc:
                status, refusal = 409, str(exc)
            else:
                upload = uploads.receive(
                    form.cleaned_data["file"],
                    language=form.cleaned_data["language"],
                    source=form.cleaned_data["source"],
                    licence_id=form.cleaned_data["licence"],
                    sent_by=request.user,
                )
                queueing.ring(jobs.import_upload, upload, jobs.IMPORT_QUEUE)
                messages.success(request, _("The file is in; a worker imports it now."))
                return redirect("import_texts")
    return TemplateResponse(
        request, template_for_imports(request), imports_context(request, form, refusal), status=status
    )


def template_for_imports(request: MaintainerRequest) -> str:
    polls = request.htmx and request.method == "GET"
    return "generation/import_texts.html#imports" if polls else "generation/import_texts.html"


def imports_context(request: MaintainerRequest, form: UploadForm, refusal: str) -> dict[str, object]:
    languages = maintained_languages(request.user)
    pending = list(
        Upload.objects.filter(language__in=languages, imported_in=None).select_related("language")[:IMPORTS_SHOWN]
    )
    batches = (
        Import.objects.filter(language__in=languages).select_related("language", "started_by").order_by("-pk")
    )[:IMPORTS_SHOWN]  # fmt: skip
    labels = dict(Reason.choices)
    return worker_banner(jobs.IMPORT_QUEUE) | {
        "form": form,
        "refusal": refusal,
        "uploads": pending,
        "is_waiting": any(upload.state in {"queued", "running"} for upload in pending),
        "imports": [
            {
                "batch": batch,
                "rejected": [
                    (labels.get(code, code), count) for code, count in (batch.counts.get("rejected") or {}).items()
                ],
            }
            for batch in batches
        ],
    }


@require_safe
@maintainers_only
def rejected_rows(request: MaintainerRequest, public_id: str) -> FileResponse:
    """The rows that one import turned away, as it wrote them."""
    batch = get_object_or_404(Import, public_id=public_id, language__in=maintained_languages(request.user))
    path = Path(settings.DATA_DIR) / batch.rejected_path
    if not batch.rejected_path or not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=f"rejected-{batch.public_id}.jsonl")


@require_POST
@maintainers_only
def stop_upload(request: MaintainerRequest, public_id: str) -> HttpResponse:
    upload = get_object_or_404(Upload, public_id=public_id, language__in=maintained_languages(request.user))
    if upload.stop():
        messages.success(request, _("Stopped. Texts that are in stay in."))
    return redirect("import_texts")
