"""`manage.py seeds FILE...`: seed pairs in, to train the first model of a language on."""

from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console

from generation import seeds
from generation.management.reading import (
    demand_language,
    demand_length,
    demand_sources,
    demand_whole,
    print_tally,
    progress,
)
from generation.models import SeedPair


class Command(BaseCommand):
    help = (
        "Import seed pairs from JSONL files with the keys instruction, response, lang, source, license, kind (plain "
        "or .gz; - is standard input). Exact duplicates are counted and left out. Rejected rows are written to a file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="JSONL, plain or gzipped; - is standard input")
        parser.add_argument("--language", default="", metavar="CODE", help="for rows that name none")
        parser.add_argument("--source", default="", metavar="NAME", help="for rows that name none")
        parser.add_argument("--license", default="", metavar="ID", help="SPDX id, for rows that carry none")

    def handle(self, *args: str, **options: Any) -> None:
        language = demand_language(options["language"]) if options["language"] else None
        source = demand_length("--source", options["source"], SeedPair, "source")
        licence = demand_length("--license", options["license"], SeedPair, "licence_id")
        sources = demand_sources(options["files"])
        with progress("seeds: reading") as show:
            done = seeds.import_seeds(sources, language=language, source=source, licence=licence, on_progress=show)
        console = Console(file=cast("TextIO", self.stdout), highlight=False)
        print_tally(console, "Seed pairs", done.tally)
        if done.stored_by_language:
            counts = ", ".join(f"{code} {count:,}" for code, count in done.stored_by_language.most_common())
            console.print(f"Stored: {counts}")
        if done.rejected_path:
            console.print(f"Rejected rows: {done.rejected_path}", soft_wrap=True)
        demand_whole(done.tally)
