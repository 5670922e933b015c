"""Files as tables of raw values: CSV, JSON (an array or lines), Parquet, SQLite."""

from __future__ import annotations

import gzip
import io
import json
import re
import sqlite3
import zlib
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, cast

import pyarrow as pa
import pyarrow.parquet as pq

from majordomo_analytics.errors import MajordomoError, SourceError, did_you_mean, nearest
from majordomo_analytics.imports.delimited import DelimitedReader, RowError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Values: TypeAlias = "dict[str, Any]"
Placed: TypeAlias = "tuple[str, Values | RowError]"
"""Where a row stands, and what is in it or why that cannot be read."""

Format = Literal["csv", "json", "parquet", "sqlite"]

ROWS_AT_ONCE = 2_000
READ_CHARACTERS = 1 << 20
MOST_CHARACTERS = 64 * 2**20
"""Of one JSON object."""

CLIENT_TABLE = "llm_requests"
_GZIP = b"\x1f\x8b"
_DECODER = json.JSONDecoder(parse_float=Decimal)
_SPACE = re.compile(r"[\s,]*")


def format_of(path: Path) -> Format:
    """Return what a file is, by how it begins and else by its name.

    Raises
    ------
    SourceError
        If it cannot be read.
    """
    with _opened(path) as file:
        head = file.read(16)
    if head.startswith(b"SQLite format 3\x00"):
        return "sqlite"
    if head.startswith(b"PAR1"):
        return "parquet"
    name = path.name.lower().removesuffix(".gz")
    is_json = name.endswith((".json", ".jsonl", ".ndjson"))
    return "json" if is_json or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else "csv"


def columns_of(path: Path, form: Format) -> tuple[str, ...]:
    """Return the columns of a file; of JSON those of its first rows.

    Raises
    ------
    SourceError
        If it cannot be read as what it is.
    """
    with _told_plainly(path):
        if form == "parquet":
            with pq.ParquetFile(path) as parquet:
                return tuple(parquet.schema_arrow.names)
        if form == "sqlite":
            with closing(_database(path)) as database:
                return _client_columns(database, path)
        with _opened(path) as file:
            if form == "csv":
                return DelimitedReader(file, repr(str(path))).columns
            found: dict[str, None] = {}
            for count, (_, values) in enumerate(_json_rows(file)):
                if isinstance(values, dict):
                    found |= dict.fromkeys(values)
                if count >= ROWS_AT_ONCE:
                    break
            return tuple(found)


def rows_of(path: Path, form: Format, wanted: tuple[str, ...]) -> Iterator[Placed]:
    """Yield the rows of a file, in its order and in bounded memory."""
    with _told_plainly(path):
        if form == "parquet":
            yield from _parquet_rows(path, wanted)
        elif form == "sqlite":
            yield from _sqlite_rows(path, wanted)
        else:
            with _opened(path) as file:
                yield from _json_rows(file) if form == "json" else _csv_rows(file, path)


def _csv_rows(file: IO[bytes], path: Path) -> Iterator[Placed]:
    reader = DelimitedReader(file, repr(str(path)))
    for line, cells in reader:
        place = f"line {line}"
        if isinstance(cells, RowError):
            yield place, cells
        else:
            yield place, dict(zip(reader.columns, cells, strict=True))


def _json_rows(file: IO[bytes]) -> Iterator[Placed]:
    """Yield the objects of an array, or those that stand one on each line."""
    text = io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="\n")
    try:
        head = text.readline(MOST_CHARACTERS)
        while head and not head.strip():
            head = text.readline(MOST_CHARACTERS)
        yield from (_array_rows if head.lstrip().startswith("[") else _line_rows)(head, text)
    finally:
        text.detach()


def _line_rows(head: str, text: IO[str]) -> Iterator[Placed]:
    number = 0
    line = head
    while line:
        number += 1
        if line.strip():
            try:
                value = _DECODER.decode(line)
            except (ValueError, RecursionError) as error:
                yield f"line {number}", RowError(f"it is no JSON: {error}", line.strip())
            else:
                yield f"line {number}", _object(value)
        line = text.readline(MOST_CHARACTERS)


def _array_rows(head: str, text: IO[str]) -> Iterator[Placed]:
    buffer, at, number = head, head.index("[") + 1, 0
    is_over = False
    while True:
        at = _SPACE.match(buffer, at).end()  # type: ignore[union-attr]  # it takes nothing, too
        if buffer.startswith("]", at):
            return
        try:
            value, end = _DECODER.raw_decode(buffer, at)
            is_whole = is_over or end < len(buffer)  # else a number might go on
        except (ValueError, RecursionError):
            is_whole = False
        if is_whole:
            number, at = number + 1, end
            yield f"row {number}", _object(value)
            continue
        if is_over or len(buffer) - at > MOST_CHARACTERS:
            message = f"the JSON array breaks off or is no JSON behind row {number}"
            raise SourceError(message)
        piece = text.read(READ_CHARACTERS)
        is_over = not piece
        buffer, at = buffer[at:] + piece, 0


def _object(value: Any) -> Values | RowError:
    return value if isinstance(value, dict) else RowError("it is no JSON object", str(value))


def _parquet_rows(path: Path, wanted: tuple[str, ...]) -> Iterator[Placed]:
    number = 0
    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(wanted)):
            for values in _as_read(batch).to_pylist():
                number += 1
                yield f"row {number}", values


def _as_read(batch: pa.RecordBatch) -> pa.Table:
    """Return a batch with instants that Python's own hold: it has no nanoseconds."""
    table = pa.Table.from_batches([batch])
    for index, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            coarser = pa.timestamp("us", column.type.tz)
            values = table.column(index).cast(coarser, safe=False)
            table = table.set_column(index, column.name, values)
    return table


def _sqlite_rows(path: Path, wanted: tuple[str, ...]) -> Iterator[Placed]:
    chosen = ", ".join(f'"{name}"' for name in wanted)
    # The names are those of the catalogue that were looked for.
    statement = f"select rowid, {chosen} from {CLIENT_TABLE} order by rowid"  # noqa: S608
    with closing(_database(path)) as database:
        for row_number, *values in database.execute(statement):
            yield f"row {row_number}", dict(zip(wanted, values, strict=True))


def _client_columns(database: sqlite3.Connection, path: Path) -> tuple[str, ...]:
    query = f"select name from pragma_table_info('{CLIENT_TABLE}')"  # noqa: S608 - ours
    columns = tuple(row[0] for row in database.execute(query))
    if not columns:
        query = "select name from sqlite_schema where type = 'table'"
        tables = [row[0] for row in database.execute(query)]
        tail = did_you_mean(nearest(CLIENT_TABLE, tables), tables)
        message = f"{str(path)!r} has no table {CLIENT_TABLE!r}, the log of majordomo_llm{tail}"
        raise SourceError(message)
    return columns


def _database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    return database


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file of bytes, unpacked if it is packed with gzip."""
    with _told_plainly(path), path.open("rb") as file:
        head = file.read(2)
        file.seek(0)
        if head == _GZIP:
            with gzip.open(file) as unpacked:
                yield cast("IO[bytes]", unpacked)
        else:
            yield file


@contextmanager
def _told_plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, sqlite3.Error, pa.ArrowException) as error:
        if isinstance(error, MajordomoError):
            raise
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        message = f"{str(path)!r} cannot be read: {said.partition(chr(10))[0]}"
        raise SourceError(message) from error
