"""For load balancers and supervisors: /healthz says the process answers, /readyz that what it needs answers too."""

from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and is migrated; Redis is told but not demanded, since review works without it."""
    from generation.queueing import live_workers

    checks: dict[str, object] = {}
    try:
        checks["database"] = not missing_tables()
    except OperationalError:
        checks["database"] = False
    workers = live_workers()
    checks["redis"] = workers is not None
    checks["workers"] = len(workers or [])
    return JsonResponse(checks, status=200 if checks["database"] else 503)


def missing_tables() -> str:
    """What to say, and to run, where the database was not brought up to this code; empty where it was."""
    executor = MigrationExecutor(connection)
    waiting = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if not waiting:
        return ""
    is_empty = not executor.loader.applied_migrations
    what = "has no tables yet" if is_empty else f"is older than this code, {waiting} migrations wait"
    return f"The database {what}: run `manage.py migrate` or `manage.py up`."
