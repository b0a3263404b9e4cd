"""What a release's page hands out: its files in each format, and the documents that come with them.

Small releases are written while the browser waits, large ones by a worker. What goes into a path is the release's id
and keys of our own tables.
"""

import json
from pathlib import Path

from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from zipstream import ZipStream

from annotation import exports, jobs
from annotation.documents import CROISSANT, DOCUMENTS
from annotation.formats import FORMATS, TAGS
from annotation.freezing import ReleaseError
from annotation.views.releases import conflict, get_release
from generation import queueing
from generation.models import Release
from generation.views.access import MaintainerRequest, maintainers_only
from xinstruct_site.people.markdown import render

ROWS_AT_ONCE = 20_000  # that a browser waits for


@require_safe
@maintainers_only
def download_release(request: MaintainerRequest, public_id: str, format: str) -> HttpResponse | StreamingHttpResponse:
    """A ready release in one format: its file, or where it has several an archive of them."""
    one, tag = get_release(request, public_id), request.GET.get("tag", "")
    if format not in FORMATS or (tag and tag not in TAGS):
        raise Http404
    try:
        exported = prepared(one, format, tag)
    except (ReleaseError, queueing.NoWorker) as exc:
        return conflict(request, one, str(exc))
    if exported is None:
        return conflict(request, one, _("A worker writes these files now. Ask again in a minute."), messages.INFO)
    if len(exported.files) == 1 and not FORMATS[format].per_language:
        return attachment(exported.files[0], exported.files[0].name)
    return archive(exports.zipped(exported), f"{one.name}.{format}.zip")


@require_safe
@maintainers_only
def document(request: MaintainerRequest, public_id: str, name: str) -> HttpResponse | FileResponse:
    """A document as a page, or as a file where `?file` asks for it, and the manifest always as a file. They speak of
    the files asked for so far."""
    one = get_release(request, public_id)
    if name not in (*DOCUMENTS, exports.MANIFEST):
        raise Http404
    try:
        exported = prepared(one, "rows")
    except (ReleaseError, queueing.NoWorker) as exc:
        return conflict(request, one, str(exc))
    if exported is None:
        return conflict(request, one, _("A worker writes the documents now. Ask again in a minute."), messages.INFO)
    path = exported.manifest.with_name(name)
    if name == exports.MANIFEST or "file" in request.GET:
        return attachment(path, f"{one.name}.{name}")
    text = path.read_text(encoding="utf-8")
    head, body = "", text
    if name == CROISSANT:
        head, body = json.dumps(json.loads(text), ensure_ascii=False, indent=2), ""
    elif text.startswith("---\n"):
        head, _fence, body = text.removeprefix("---\n").partition("\n---\n")
    context = {"release": one, "name": name, "head": head, "body": render(body)}
    return TemplateResponse(request, "annotation/release_document.html", context)


def prepared(one: Release, format: str, tag: str = "") -> exports.Exported | None:
    """The files of a format; None where a worker has been asked to write them.

    Raises:
        ReleaseError: as `export_release` does.
        NoWorker: there is none to ask.
    """
    folder = exports.prepared_folder(one, tag)
    if there := exports.standing(one, format, folder, tag=tag):
        return there
    if sum(one.counts.values()) <= ROWS_AT_ONCE:
        return exports.export_release(one, format, folder, tag=tag)
    queueing.demand_worker(jobs.QUEUE)
    jobs.ring_export(one, format, tag)
    return None


def attachment(path: Path, name: str) -> FileResponse:
    return FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type="application/octet-stream")


def archive(packed: ZipStream, name: str) -> StreamingHttpResponse:
    """Sent while it is packed. Its length is known before, so a browser notices where it was cut off."""
    headers = {
        "Content-Disposition": content_disposition_header(True, name),
        "Content-Length": str(len(packed)),
    }
    return StreamingHttpResponse(packed, content_type="application/zip", headers=headers)
