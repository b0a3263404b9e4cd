"""`manage.py doctor`: one line per thing that an installation needs, exit code 1 if something fails."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import reverse

from generation import backends, loading
from generation.queueing import live_workers
from xinstruct_site import embedded
from xinstruct_site.people import agreements
from xinstruct_site.people.models import ContributorAgreement

DISK_GB_MIN = 2
GOOD, WARNING, BAD = "ok", "warning", "fails"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is (GOOD, WARNING or BAD), and what was seen or is to be done."""

    subject: str
    status: str
    detail: str


class Command(BaseCommand):
    help = "Check database, Redis, workers, disk, model, GPU and secrets; exit code 1 if something fails."
    requires_system_checks: list[str] = []

    def handle(self, *args: str, **options: Any) -> None:
        styles = {GOOD: self.style.SUCCESS, WARNING: self.style.WARNING, BAD: self.style.ERROR}
        failed = 0
        for finding in examine():
            failed += finding.status == BAD
            self.stdout.write(
                f"{styles[finding.status](f'{finding.status:<8}')} {finding.subject:<10} {finding.detail}"
            )
        if failed:
            raise CommandError(f"{failed} of these must be mended.")


def examine() -> Iterator[Finding]:
    yield from database()
    yield from queue()
    yield disk()
    yield model()
    yield gpu()
    yield from secrets()


def database() -> Iterator[Finding]:
    is_embedded = embedded.database_url() == settings.DATABASE_URL
    place = f"embedded in {embedded.services_dir()}" if is_embedded else settings.DATABASES["default"].get("HOST", "")
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('server_version'), "
                "(SELECT extversion FROM pg_extension WHERE extname = 'vector')"
            )
            version, vector = cursor.fetchone()
    except OperationalError as exc:
        yield Finding("database", BAD, f"not reached: {str(exc).splitlines()[0]}. Check DATABASE_URL.")
        return
    old = int(version.split(".")[0].split()[0]) < 15
    yield Finding(
        "database",
        BAD if old else GOOD,
        f"PostgreSQL {version}, {place}" + (": 15 or newer is needed" if old else ""),
    )
    executor = MigrationExecutor(connection)
    pending = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if pending:
        yield Finding("migrations", BAD, f"{pending} to apply: manage.py migrate")
    else:
        yield Finding("migrations", GOOD, "all applied")
        yield Finding("pgvector", GOOD if vector else BAD, vector or "missing: CREATE EXTENSION vector")
        yield agreement()


def agreement() -> Finding:
    if agreements.has_newer():
        where = f"{reverse('newer_agreement')} shows it to a maintainer of all, to publish"
        return Finding("agreement", WARNING, f"ours has changed since yours was published: {where}")
    published = ContributorAgreement.current()
    return Finding("agreement", GOOD, f"version {published.version}" if published else "ours, once somebody reads it")


def queue() -> Iterator[Finding]:
    workers = live_workers()
    if workers is None:
        yield Finding(
            "redis", BAD, "not reached. Check REDIS_URL. Review works without it; drafting and training do not."
        )
        return
    yield Finding("redis", GOOD, "answers")
    if workers:
        yield Finding("workers", GOOD, f"{len(workers)} listening")
    else:
        yield Finding(
            "workers",
            WARNING,
            "none is running, so nothing queued from a page is done: manage.py up, or manage.py worker",
        )


def disk() -> Finding:
    place: Path = settings.DATA_DIR
    existing = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    return Finding("disk", GOOD if free >= DISK_GB_MIN else BAD, f"{free:.0f} GB free for {place}")


def model() -> Finding:
    try:
        identity = backends.identify(settings.BACKEND, loading.source_of(settings.BACKEND, settings.MODEL))
    except backends.BackendError as exc:
        return Finding("model", BAD, f"{settings.BACKEND}: {exc}")
    advice = "; for real work set XI_BACKEND and XI_MODEL" if settings.BACKEND == backends.STARTER else ""
    return Finding("model", GOOD, f"{identity.name} at revision {identity.revision[:12]}{advice}")


def gpu() -> Finding:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding("gpu", WARNING, "none seen; models run on the CPU")
    done = subprocess.run(
        [program, "--query-gpu=name,memory.total", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    names = "; ".join(done.stdout.strip().splitlines())
    return Finding("gpu", GOOD if names else WARNING, names or "nvidia-smi names none")


def secrets() -> Iterator[Finding]:
    if settings.DEBUG:
        yield Finding("secrets", WARNING, "XI_DEBUG is on: never where others can reach it")
    elif len(settings.SECRET_KEY) < 40 or len(set(settings.SECRET_KEY)) < 8:
        yield Finding("secrets", BAD, "XI_SECRET_KEY is too short or too regular: 50 random characters are right")
    else:
        yield Finding("secrets", GOOD, "the key is long enough")
    if "*" in settings.ALLOWED_HOSTS:
        yield Finding("hosts", BAD, "XI_ALLOWED_HOSTS=* believes any Host header: name your hosts")
