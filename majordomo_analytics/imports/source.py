"""What to import from: what it is, which reader reads it, and its rows."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from majordomo_analytics.errors import MissingExtraError, SettingsError, SourceError
from majordomo_analytics.imports.choices import Kind
from majordomo_analytics.imports.client_log import ClientLogReader, is_client_log
from majordomo_analytics.imports.files import columns_of, format_of, rows_of
from majordomo_analytics.imports.gateway import GatewayReader, is_gateway
from majordomo_analytics.imports.litellm import SpendLogReader, is_spend_log
from majordomo_analytics.imports.mapping import map_columns
from majordomo_analytics.imports.plain import PlainReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import tzinfo

    from majordomo_analytics.imports.files import Placed
    from majordomo_analytics.imports.rows import Fields

POSTGRES = ("postgresql://", "postgres://")
_PAIRS = re.compile(r"(?:^|[\s'])(?:host|hostaddr|port|dbname|user|service|password)\s*=")
"""What stands somewhere in an address in libpq's other form, whatever it begins with."""

_SECRET = re.compile(r"@|passw", re.IGNORECASE)
"""What a text has that may be an address, mistyped, with a password in it."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")

PLAIN = (Kind.CSV, Kind.PARQUET, Kind.JSON)
"""Of which the columns are mapped, whoever made them."""


class Reader(Protocol):
    """Reads the rows of one kind of source."""

    kind: str
    mark: str
    wanted: tuple[str, ...]

    @property
    def label(self) -> str:
        """What is read, for a person."""
        ...

    def read(self, values: Mapping[str, Any]) -> Fields:
        """Return what a row says, or raise `BadValueError`."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """Rows to import.

    Attributes
    ----------
    name
        A short name for files that tell of it.
    label
        What it is, for a person to read; without secrets.
    reader
        What reads a row.
    rows
        Begins to read; yields where each row stands and what is in it.
    left_out
        Columns that are not read because nobody said what they are.
    """

    name: str
    label: str
    reader: Reader
    rows: Callable[[], Iterator[Placed]]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source is to be read.

    Attributes
    ----------
    kind
        What made it; found out unless said.
    columns
        Our column or a metadata key to a column of a plain table.
    constants
        Our columns that are the same for every row.
    zone
        Of times without an offset.
    schema
        Where in a Postgres the table is.
    """

    kind: Kind = Kind.AUTO
    columns: Mapping[str, str] | None = None
    constants: Mapping[str, str] | None = None
    zone: tzinfo = UTC
    schema: str = "public"


def open_source(text: str, reading: Reading) -> Source:
    """Return the source that a path or an address leads to.

    Raises
    ------
    SourceError
        If it cannot be read, or is not of the kind that was said.
    SettingsError
        If an address cannot be read, or a column is named that is not there.
    PostgresError
        If a database cannot be asked.
    """
    path = Path(text).expanduser()
    if text.startswith(POSTGRES) or (_PAIRS.search(text) and not _is_there(path)):
        return _database(text, reading)
    if "://" in text:
        scheme = text.partition("://")[0]
        shown = f"{scheme}://" if _SCHEME.fullmatch(scheme) else "the source"
        message = f"{shown} cannot be imported from; give a file or {POSTGRES[0]}…"
        raise SourceError(message)
    if not _is_there(path) or not path.is_file():
        what = "is a folder" if _is_there(path) else "is not there"
        shown = "the source" if _SECRET.search(text) else repr(text)
        message = f"{shown} {what}; give a CSV, JSON, Parquet or SQLite file, or {POSTGRES[0]}…"
        raise SourceError(message)
    form = format_of(path)
    if reading.kind in PLAIN and form != reading.kind.value:
        message = f"{text!r} is {form}, not {reading.kind.value}; leave --from out to find out"
        raise SourceError(message)
    columns = columns_of(path, form)
    is_marked = form == "csv"
    reader = _reader(columns, reading, is_table_of_requests=form == "sqlite", is_marked=is_marked)
    return Source(
        name=path.name,
        label=f"{reader.label} in {path.name} ({form})",
        reader=reader,
        rows=lambda: rows_of(path, form, reader.wanted),
        left_out=reader.mapping.left_out if isinstance(reader, PlainReader) else (),
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long a name for a file, or one with a NUL
        return False


def _database(text: str, reading: Reading) -> Source:
    feature = "importing from Postgres"
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError(feature, "postgres")
    from majordomo_analytics.imports.databases import PostgresTable

    if reading.kind in PLAIN:
        message = f"a Postgres is no {reading.kind.value} file; leave --from out to find out"
        raise SourceError(message)
    table = PostgresTable(text, reading.schema)
    name, columns = table.find()
    reader = _reader(columns, reading, is_table_of_requests=True, is_marked=False)
    return Source(
        name=name,
        label=f"{reader.label} in {table.place}",
        reader=reader,
        rows=lambda: table.rows(name, reader.wanted),
    )


def _reader(
    columns: tuple[str, ...], reading: Reading, *, is_table_of_requests: bool, is_marked: bool
) -> Reader:
    made_by = reading.kind
    if made_by is Kind.AUTO and not reading.columns:
        made_by = _kind_of(columns)
    if reading.columns and made_by not in (Kind.AUTO, *PLAIN):
        message = f"--map is for tables of one's own; the columns of {made_by.value} are known"
        raise SettingsError(message)
    match made_by:
        case Kind.CLIENT_LOG:
            return ClientLogReader(columns)
        case Kind.LITELLM:
            return SpendLogReader(columns)
        case Kind.GATEWAY:
            return GatewayReader(columns)
    if is_table_of_requests and not {"id", "usage_status", "raw_metadata"} <= set(columns):
        message = (
            "the table llm_requests there is of no kind that is known; its columns are: "
            f"{', '.join(columns)}"
        )
        raise SourceError(message)
    mapping = map_columns(columns, reading.columns or {}, reading.constants or {})
    wanted = columns
    if "id" in mapping.columns:  # else all that stands in a row names it
        used = {*mapping.columns.values(), *mapping.keys.values()}
        wanted = tuple(name for name in columns if name in used)
    return PlainReader(wanted, mapping, zone=reading.zone, has_marked_texts=is_marked)


def _kind_of(columns: tuple[str, ...]) -> Kind:
    if is_spend_log(columns):
        return Kind.LITELLM
    if is_client_log(columns):
        return Kind.CLIENT_LOG
    return Kind.GATEWAY if is_gateway(columns) else Kind.AUTO
