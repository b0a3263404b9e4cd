"""People's half of the API: how far languages are, and releases with their files."""

import datetime as dt
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from ninja.errors import HttpError
from pydantic import Field

from annotation import exports
from annotation.formats import FORMATS
from annotation.freezing import ReleaseError
from annotation.overview import Pipeline, pipelines
from annotation.views.release_files import archive, attachment, prepared
from generation import queueing
from generation.api import After, Limit, Refusal, languages, page
from generation.models import Release
from xinstruct_site.people.models import Language, Role, User

router = Router(tags=["people"])


class LanguageOut(Schema):
    """A language, and how many of its texts have reached each stage."""

    code: str
    name: str
    own_name: str
    script: str
    direction: str
    goal: int
    stages: dict[str, int]


class ReleaseOut(Schema):
    """A release of pairs, preferences or ratings."""

    id: str = Field(alias="public_id")
    name: str
    state: str
    sha256: str
    languages: list[str]
    counts: dict[str, Any]
    created_at: dt.datetime
    ready_at: dt.datetime | None

    @staticmethod
    def resolve_languages(release: Release) -> list[str]:
        return sorted(language.code for language in release.languages.all())


@router.get("/languages", response=list[LanguageOut], operation_id="languages")
def list_languages(request: HttpRequest) -> list[dict[str, Any]]:
    """The languages in which you have a role."""
    user = request.user
    mine = Language.objects.for_roles(user, set(Role)) if isinstance(user, User) else Language.objects.none()
    return [_told(pipeline) for pipeline in pipelines(mine.order_by("code"))]


def _told(pipeline: Pipeline) -> dict[str, Any]:
    language = pipeline.language
    names = ("code", "name", "own_name", "script", "direction", "goal")
    return {name: getattr(language, name) for name in names} | {"stages": pipeline.stages}


@router.get("/releases", response=list[ReleaseOut], operation_id="releases")
def list_releases(request: HttpRequest, after: After, limit: Limit) -> list[Release]:
    """Releases that hold no other languages than yours."""
    return page(Release.objects.within(languages(request)).prefetch_related("languages"), after, limit)


@router.get("/releases/{slug:public_id}", response=ReleaseOut, operation_id="release")
def one_release(request: HttpRequest, public_id: str) -> Release:
    """One release."""
    return get_object_or_404(Release.objects.within(languages(request)), public_id=public_id)


@router.get(
    "/releases/{slug:public_id}/files/{slug:format}",
    response={200: None, 202: Refusal, 404: Refusal, 409: Refusal},
    operation_id="release_files",
)
def release_files(request: HttpRequest, public_id: str, format: str) -> Any:
    """A ready release in one of its formats: a file, or an archive of several. 202: a worker writes it, ask again."""
    release = one_release(request, public_id)
    if format not in FORMATS:
        raise HttpError(404, f"There is no format of that name. There are: {', '.join(FORMATS)}.")
    try:
        exported = prepared(release, format)
    except (ReleaseError, queueing.NoWorker) as exc:
        return Status(409, {"detail": str(exc)})
    if exported is None:
        return Status(202, {"detail": "A worker writes these files now. Ask again in a minute."})
    if len(exported.files) == 1 and not FORMATS[format].per_language:
        return attachment(exported.files[0], exported.files[0].name)
    return archive(exports.zipped(exported), f"{release.name}.{format}.zip")
