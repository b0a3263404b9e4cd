"""`manage.py import_texts FILE...`: natural web text of one language in, with its provenance."""

from typing import Any, TextIO, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from generation import ingest
from generation.management.reading import (
    demand_language,
    demand_length,
    demand_sources,
    demand_whole,
    print_tally,
    progress,
)
from generation.models import Import, Text
from generation.rejections import Tally


class Command(BaseCommand):
    help = (
        "Import texts of one language from JSONL files (plain or .gz; - is standard input). Exact duplicates are "
        "counted and left out, so calling it again adds nothing. Rejected rows are written to a file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="JSONL, plain or gzipped; - is standard input")
        parser.add_argument("--language", required=True, metavar="CODE", help="language of the texts, as fi or sw")
        parser.add_argument("--source", required=True, metavar="NAME", help="dataset, for rows that name none")
        parser.add_argument("--license", default="", metavar="ID", help="SPDX id, for rows that carry none")

    def handle(self, *args: str, **options: Any) -> None:
        language = demand_language(options["language"])
        source = demand_length("--source", options["source"], Import, "source")
        licence = demand_length("--license", options["license"], Text, "licence_id")
        if not source:
            raise CommandError("--source is empty: name the dataset the texts come from", returncode=2)
        sources = demand_sources(options["files"])
        with progress(f"{language.code}: reading") as show:
            done = ingest.import_texts(sources, language=language, source=source, licence=licence, on_progress=show)
        tally = Tally.from_json(done.counts)
        console = Console(file=cast("TextIO", self.stdout), highlight=False)
        print_tally(console, f"Texts into {language.name} ({language.code}), import {done.public_id}", tally)
        if done.rejected_path:
            console.print(f"Rejected rows: {settings.DATA_DIR / done.rejected_path}", soft_wrap=True)
        demand_whole(tally)
