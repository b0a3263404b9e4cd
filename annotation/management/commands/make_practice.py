"""`manage.py make_practice`: practice items from hand-written rows, for people's first visit to a language."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from annotation import practice
from annotation.practice import PracticeError, Sketch
from generation.management.reading import demand_language

KEYS = {"title", "body", "input", "instruction", "decision", "overall", "explanation", "license"}
NEEDED = KEYS - {"title", "input", "license"}


class Command(BaseCommand):
    help = (
        "Make practice items from JSONL rows with the keys body, instruction, decision (accept or reject), overall "
        "(1 to 5), explanation (Markdown), and if wanted title, input and license. Rows that are there already are "
        "passed over. The same can be done on the language's page. Practice is never drafted for or released."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="JSONL; - is standard input")
        parser.add_argument("--language", required=True, metavar="CODE")

    def handle(self, *args: Any, **options: Any) -> None:
        language = demand_language(options["language"])
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        table = Table("line", "", "instruction")
        refused = 0
        for number, row in rows(options["file"]):
            try:
                sketch = read_sketch(row)
                practice.make_lesson(language, sketch)
            except practice.AlreadyTaught:
                table.add_row(str(number), "was there already", sketch.instruction[:60])
            except PracticeError as exc:
                refused += 1
                table.add_row(str(number), f"refused: {exc}")
            else:
                table.add_row(str(number), "made", sketch.instruction[:60])
        console.print(table)
        console.print(f"{language.name} ({language.code}): {len(practice.lessons_of(language))} practice items in use")
        if refused:
            raise CommandError(f"{refused} row(s) could not be taken; the others are in.")


def rows(file: str) -> list[tuple[int, str]]:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = data.decode("utf-8")
    except OSError as exc:
        raise CommandError(f"Cannot read {file}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise CommandError(f"{file} is not UTF-8") from exc
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def read_sketch(line: str) -> Sketch:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise PracticeError("not JSON") from exc
    if not isinstance(row, dict):
        raise PracticeError("JSON, but not an object")
    if missing := NEEDED - row.keys():
        raise PracticeError(f"without {', '.join(sorted(missing))}")
    if unknown := row.keys() - KEYS:
        raise PracticeError(f"unknown key {sorted(unknown)[0]!r}")
    if type(row["overall"]) is not int or not all(isinstance(row.get(k, ""), str) for k in KEYS - {"overall"}):
        raise PracticeError("overall is a number, everything else is text")
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for value in row.values() for char in str(value)):
        raise PracticeError("contains a character that cannot be stored (NUL, or half of a surrogate pair)")
    return Sketch(**{("licence" if key == "license" else key): value for key, value in row.items()})
