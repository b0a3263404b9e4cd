"""The machine's half of the API: texts in, and how runs, models and fine-tune runs stand."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet
from django.http import FileResponse, HttpRequest
from django.shortcuts import get_object_or_404
from ninja import File, Form, Query, Router, Schema, Status
from ninja.errors import HttpError
from ninja.files import UploadedFile
from pydantic import Field

from generation import jobs, queueing, uploads
from generation.forms import UploadForm
from generation.models import FineTuneRun, ModelVersion, Run, Upload
from generation.views.access import maintained_languages
from xinstruct_site.people.models import Language, Role, User

Row = TypeVar("Row", bound=Model)

router = Router(tags=["machine"])
AT_ONCE = 100
After = Annotated[str, Query("", description="The `id` of the last row that you have", pattern=r"^[\w-]{0,40}$")]
Limit = Annotated[int, Query(AT_ONCE, ge=1, le=AT_ONCE)]


class Refusal(Schema):
    """Why not."""

    detail: str


class UploadOut(Schema):
    """A file of texts on its way in."""

    id: str = Field(alias="public_id")
    language: str = Field(alias="language.code")
    source: str
    licence: str = Field(alias="licence_id")
    file_name: str
    state: str
    error: str
    rows_read: int = Field(alias="done")
    counts: dict[str, Any] | None = Field(None, alias="imported_in.counts", description="Once it is done")


class ModelOut(Schema):
    """A model as it stood."""

    id: str = Field(alias="public_id")
    name: str
    task: str
    backend: str
    revision: str
    licence: str = Field(alias="licence_id")


class RunOut(Schema):
    """A generation run."""

    id: str = Field(alias="public_id")
    language: str = Field(alias="language.code")
    model: str = Field(alias="model_version.public_id")
    prompt_version: str
    samples: int
    seed: int
    state: str
    error: str
    texts_total: int
    texts_done: int
    created_at: dt.datetime
    finished_at: dt.datetime | None


class FineTuneOut(Schema):
    """A fine-tune run, and the model that it made."""

    id: str = Field(alias="public_id")
    task: str
    method: str
    base_model: str = Field(alias="base_model.public_id")
    state: str
    error: str
    made: str | None = Field(None, alias="model_version.public_id")
    created_at: dt.datetime
    finished_at: dt.datetime | None


def maintainer(request: HttpRequest) -> User:
    """Whose token it is, where they maintain something.

    Raises:
        HttpError: 403.
    """
    user = request.user
    if not isinstance(user, User) or not user.has_role(None, Role.MAINTAINER):
        raise HttpError(403, "This is for maintainers.")
    return user


def languages(request: HttpRequest) -> QuerySet[Language]:
    return maintained_languages(maintainer(request))


def page(rows: QuerySet[Row], after: str, limit: int) -> list[Row]:
    """The next rows, newest first.

    Raises:
        Http404: there is no row to go on after.
    """
    rows = rows.order_by("-pk")
    if after:
        rows = rows.filter(pk__lt=get_object_or_404(rows.values_list("pk", flat=True), public_id=after))
    return list(rows[:limit])


@router.post("/uploads", response={201: UploadOut, 409: Refusal, 422: Any}, operation_id="send_texts")
def send_texts(
    request: HttpRequest,
    language: Form[str],
    source: Form[str],
    licence: Form[str],
    file: File[UploadedFile],
) -> Status[Any]:
    """Send a file of texts of one language; a worker imports it. Ask `/uploads/{id}` how it went."""
    theirs = languages(request)
    form = UploadForm({"language": language, "source": source, "licence": licence}, {"file": file}, languages=theirs)
    if not form.is_valid():
        wrong = [{"loc": ["form", name], "msg": " ".join(map(str, said))} for name, said in form.errors.items()]
        return Status(422, {"detail": wrong})
    try:
        queueing.demand_worker(jobs.IMPORT_QUEUE)
    except queueing.NoWorker as exc:
        return Status(409, {"detail": str(exc)})
    fields = form.cleaned_data
    upload = uploads.receive(
        fields["file"],
        language=fields["language"],
        source=fields["source"],
        licence_id=fields["licence"],
        sent_by=maintainer(request),
    )
    queueing.ring(jobs.import_upload, upload, jobs.IMPORT_QUEUE)
    return Status(201, upload)


@router.get("/uploads", response=list[UploadOut], operation_id="uploads")
def list_uploads(request: HttpRequest, after: After, limit: Limit) -> list[Upload]:
    """Files that were sent."""
    mine = Upload.objects.filter(language__in=languages(request)).select_related("language", "imported_in")
    return page(mine, after, limit)


@router.get("/uploads/{slug:public_id}", response=UploadOut, operation_id="upload")
def one_upload(request: HttpRequest, public_id: str) -> Upload:
    """How an import stands, and how many rows were stored, known or turned away, with reasons."""
    mine = Upload.objects.filter(language__in=languages(request)).select_related("language", "imported_in")
    return get_object_or_404(mine, public_id=public_id)


@router.get("/uploads/{slug:public_id}/rejected", operation_id="rejected_rows", response={200: None, 404: Refusal})
def rejected_rows(request: HttpRequest, public_id: str) -> FileResponse:
    """The rows that were turned away, as JSON Lines, each with its reasons."""
    upload = one_upload(request, public_id)
    if not upload.imported_in or not upload.imported_in.rejected_path:
        raise HttpError(404, "No row was turned away, or the import is not done.")
    path = Path(settings.DATA_DIR) / upload.imported_in.rejected_path
    if not path.is_file():
        raise HttpError(404, "The file is gone.")
    return FileResponse(path.open("rb"), as_attachment=True, filename=f"rejected-{public_id}.jsonl")


@router.get("/models", response=list[ModelOut], operation_id="models")
def list_models(request: HttpRequest, after: After, limit: Limit) -> list[ModelVersion]:
    """Models that draft, answer or score."""
    return page(ModelVersion.objects.within(languages(request)), after, limit)


@router.get("/runs", response=list[RunOut], operation_id="runs")
def list_runs(request: HttpRequest, after: After, limit: Limit) -> list[Run]:
    """Generation runs."""
    mine = Run.objects.filter(language__in=languages(request)).select_related("language", "model_version")
    return page(mine, after, limit)


@router.get("/finetunes", response=list[FineTuneOut], operation_id="finetunes")
def list_finetunes(request: HttpRequest, after: After, limit: Limit) -> list[FineTuneRun]:
    """Fine-tune runs."""
    mine = FineTuneRun.objects.within(languages(request)).select_related("base_model", "model_version")
    return page(mine, after, limit)
