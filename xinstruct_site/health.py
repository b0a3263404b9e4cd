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
        executor = MigrationExecutor(connection)
        checks["database"] = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except OperationalError:
        checks["database"] = False
    workers = live_workers()
    checks["redis"] = workers is not None
    checks["workers"] = len(workers or [])
    return JsonResponse(checks, status=200 if checks["database"] else 503)
