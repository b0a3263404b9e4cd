"""/metrics: how the work stands, for Prometheus. Behind XI_METRICS_TOKEN; where that is unset there is no such page.

Numbers of languages are those of the home page, kept and counted the same way: a scrape costs what a visit does.
"""

from collections.abc import Iterator

from django.conf import settings
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.utils.timezone import now
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_rq.contrib.prometheus import RQCollector
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from annotation.models import JudgeRun, Slot, SlotState
from annotation.overview import pipelines
from generation.models import Evaluation, FineTuneRun, JobState, Run, Upload
from xinstruct_site.people.models import Language

WORK = {"upload": Upload, "run": Run, "fine_tune": FineTuneRun, "evaluation": Evaluation, "judge": JudgeRun}


class Work(Collector):
    """What the database says of languages and of queued work."""

    def collect(self) -> Iterator[Metric]:
        languages = Language.objects.order_by("code")
        stages = GaugeMetricFamily("xinstruct_texts", "Texts of a language at a stage", labels=["language", "stage"])
        for pipeline in pipelines(languages):
            for stage, number in pipeline.stages.items():
                stages.add_metric([pipeline.language.code, stage], number)
        yield stages
        held = GaugeMetricFamily("xinstruct_slots_held", "Reviews under way, by language", labels=["language"])
        running = Slot.objects.filter(state=SlotState.HELD, lease_expires_at__gt=now())
        for code, number in running.values_list("language__code").annotate(n=Count("pk")).order_by("language__code"):
            held.add_metric([code], number)
        yield held
        work = GaugeMetricFamily("xinstruct_work", "Rows of queued work, by state", labels=["kind", "state"])
        for kind, model in WORK.items():
            found = dict(model._default_manager.order_by().values_list("state").annotate(n=Count("pk")))
            for state in JobState.values:
                work.add_metric([kind, state], found.get(state, 0))
        yield work


class Queue(Collector):
    """What Redis says of workers and jobs; without it, that it does not answer."""

    def collect(self) -> Iterator[Metric]:
        try:
            found = list(RQCollector().collect())
        except (RedisError, OSError):
            found = []
        yield GaugeMetricFamily("xinstruct_redis_up", "Whether the queue answers", value=bool(found))
        yield from found


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    if not settings.METRICS_TOKEN:
        raise Http404
    if not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}"):
        return HttpResponse("Send XI_METRICS_TOKEN as a bearer token.\n", status=401, content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Work())
    registry.register(Queue())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
