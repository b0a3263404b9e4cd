"""`manage.py worker [QUEUE ...]`: works on queued drafting, scoring, releases and training. Run many, anywhere."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django_rq.management.commands.rqworker import Command as RqWorkerCommand

from xinstruct_site.health import missing_tables
from xinstruct_site.worker import QUEUES


class Command(RqWorkerCommand):
    help = f"Work on queued jobs. Queues: {', '.join(QUEUES)} (all of them unless named). One worker per GPU on 'gpu'."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        # django-rq's own default here is pickle, with which whoever writes to Redis runs code on the worker.
        parser.set_defaults(
            serializer="rq.serializers.JSONSerializer", worker_class="xinstruct_site.worker.RingingWorker", verbosity=0
        )

    def handle(self, *args: str, **options: Any) -> None:
        if missing := missing_tables():  # it would only look for work in vain
            raise CommandError(missing)
        super().handle(*(args or QUEUES), **options)
