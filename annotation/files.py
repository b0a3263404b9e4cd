"""Rows into files and out of them again: JSON Lines, a JSON array, CSV, Parquet. Streamed both ways, the bytes always
the same. Knows nothing of releases."""

import contextlib
import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from generation.jsonl import LINE_BYTES_MAX

Row = dict[str, Any]
Write = Callable[[Row], None]
# What columns hold. JSON is what has no type of its own in a table, or is missing in some rows.
TEXT, FLAG, NUMBER, JSON = "text", "flag", "number", "json"
Columns = Mapping[str, Any]  # one of these; of a list of turns, the names of their parts

GROUP = 1_000  # rows of a Parquet row group


def canonical(row: Row) -> bytes:
    """The one way to write a row: what is hashed, whatever order the database keeps keys in."""
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)


def columns_of(row: Row) -> dict[str, Any]:
    """What the columns of a row for trainers hold."""
    return {name: _holds(value) for name, value in row.items()}


def _holds(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        parts = list(value[0])
        return parts if all(isinstance(turn.get(part), str) for turn in value for part in parts) else JSON
    simple = {str: TEXT, bool: FLAG, int: NUMBER}
    return simple.get(type(value), JSON)


@contextlib.contextmanager
def write_lines(file: BinaryIO, columns: Columns) -> Iterator[Write]:
    yield lambda row: file.writelines((orjson.dumps(row), b"\n"))


@contextlib.contextmanager
def write_canonical(file: BinaryIO, columns: Columns) -> Iterator[Write]:
    yield lambda row: file.writelines((canonical(row), b"\n"))


def read_lines(file: BinaryIO, columns: Columns) -> Iterator[Row]:
    return map(orjson.loads, file)


@contextlib.contextmanager
def write_array(file: BinaryIO, columns: Columns) -> Iterator[Write]:
    before = b"[\n"

    def write(row: Row) -> None:
        nonlocal before
        file.writelines((before, orjson.dumps(row)))
        before = b",\n"

    yield write
    file.write(b"\n]\n")


# Tables

FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def guarded(cell: str) -> str:
    """The cell with an apostrophe in front where a spreadsheet would run it as a formula; `unguarded` undoes it."""
    return f"'{cell}" if cell.lstrip("'").startswith(FORMULA) else cell


def unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA) else cell


@contextlib.contextmanager
def write_csv(file: BinaryIO, columns: Columns) -> Iterator[Write]:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    table = csv.writer(text)
    table.writerow(columns)

    def write(row: Row) -> None:
        table.writerow(guarded(_cell(row, name, holds)) for name, holds in columns.items())

    try:
        yield write
    finally:
        text.detach()


def _cell(row: Row, name: str, holds: str) -> str:
    if holds == TEXT:
        return str(row[name])
    return canonical(row[name]).decode() if name in row else ""


def read_csv(file: BinaryIO, columns: Columns) -> Iterator[Row]:
    csv.field_size_limit(LINE_BYTES_MAX)
    table = csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""), strict=True)
    for cells in table:
        row = {}
        for name, holds in columns.items():
            cell = unguarded(cells[name])
            if holds == TEXT:
                row[name] = cell
            elif cell:
                row[name] = orjson.loads(cell)
        yield row


@contextlib.contextmanager
def write_parquet(file: BinaryIO, columns: Columns) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    types = {TEXT: pa.string(), FLAG: pa.bool_(), NUMBER: pa.int64(), JSON: pa.string()}
    schema = pa.schema([pa.field(name, types[holds]) for name, holds in columns.items()])
    waiting: list[Row] = []

    def write(row: Row) -> None:
        waiting.append(
            {name: _cell(row, name, JSON) or None if holds == JSON else row[name] for name, holds in columns.items()}
        )
        if len(waiting) == GROUP:
            flush()

    def flush() -> None:
        if waiting:
            table.write_table(pa.Table.from_pylist(waiting, schema=schema))
            waiting.clear()

    with parquet.ParquetWriter(file, schema, compression="zstd") as table:
        yield write
        flush()


def read_parquet(file: BinaryIO, columns: Columns) -> Iterator[Row]:
    from pyarrow import parquet

    with parquet.ParquetFile(file) as table:
        for batch in table.iter_batches(batch_size=GROUP):
            for row in batch.to_pylist():
                for name in [name for name, holds in columns.items() if holds == JSON]:
                    said = row.pop(name)
                    if said is not None:
                        row[name] = orjson.loads(said)
                yield row


@dataclass(frozen=True, slots=True)
class File:
    """A kind of file. What cannot be `read` is written only."""

    suffix: str
    reader: str  # of the library datasets
    mime: str
    write: Callable[[BinaryIO, Columns], contextlib.AbstractContextManager[Write]]
    read: Callable[[BinaryIO, Columns], Iterator[Row]] | None = None
    is_table: bool = False


LINES = File("jsonl", "json", "application/jsonlines", write_lines)
CANONICAL = File("jsonl", "json", "application/jsonlines", write_canonical, read_lines)
ARRAY = File("json", "json", "application/json", write_array)
CSV = File("csv", "csv", "text/csv", write_csv, read_csv, is_table=True)
PARQUET = File("parquet", "parquet", "application/x-parquet", write_parquet, read_parquet, is_table=True)
