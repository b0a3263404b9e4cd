"""Files of texts that come through a page: kept under a random name until a worker has imported them.

Reading and judging the rows is ingest's work; this is what a request and a job need around it.
"""

import logging
import os
import secrets
from pathlib import Path

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from generation import ingest, jsonl
from generation.models import JobState, Upload
from generation.rejections import Tally
from xinstruct_site.people.models import Language, User

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """Somebody stopped the import; what is stored already stays."""


def receive(file: UploadedFile, *, language: Language, source: str, licence_id: str, sent_by: User) -> Upload:
    """Keep the file and open a row for its import. Nothing of what the browser called it becomes a path."""
    name = (file.name or "texts.jsonl")[-255:]
    stored_as = secrets.token_hex(16)  # what it holds is told by the name it came with
    path = folder() / stored_as
    part = path.with_suffix(".part")
    try:
        with open(part, "wb") as out:
            for chunk in file.chunks():
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return Upload.objects.create(
        language=language, source=source, licence_id=licence_id, file_name=name, stored_as=stored_as,
        size=file.size or 0, created_by=sent_by,
    )  # fmt: skip


def import_upload(upload: Upload) -> None:
    """Import the file of an upload that nobody else works on; called again after a crash, it goes on."""
    if not upload.claim():
        return
    path = folder() / upload.stored_as

    def on_progress(tally: Tally) -> None:
        if not upload.beat(done=tally.read):
            raise Stopped

    try:
        batch = ingest.import_texts(
            [jsonl.Source(upload.file_name, lambda: path.open("rb"), lambda: upload.public_id)],
            language=upload.language,
            source=upload.source,
            licence=upload.licence_id,
            started_by=upload.created_by,
            on_progress=on_progress,
        )
    except Stopped:
        logger.info("upload %s was stopped", upload.public_id)
        path.unlink(missing_ok=True)
    except FileNotFoundError:
        upload.finish(JobState.FAILED, error="The file is gone. Send it again.")
    except Exception as exc:
        logger.exception("upload %s failed", upload.public_id)
        upload.finish(JobState.FAILED, error=f"{type(exc).__name__}: {exc}"[:500])
    else:
        upload.finish(JobState.DONE, imported_in=batch)
        path.unlink(missing_ok=True)


def folder() -> Path:
    place = Path(settings.DATA_DIR) / "uploads"
    place.mkdir(parents=True, exist_ok=True)
    return place
