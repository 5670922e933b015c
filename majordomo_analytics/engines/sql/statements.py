"""Statements that a user wrote: whether they only read, and which name is wrong."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from majordomo_analytics.engines.requests import VIEW
from majordomo_analytics.engines.sql.compiler import TABLE
from majordomo_analytics.errors import QueryError, ReadOnlyError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from majordomo_analytics.engines.sql.dialects import Dialect

_WRITES = (exp.DML, exp.DDL, exp.Into, exp.Lock, exp.Command, exp.Copy, exp.Drop)
_COLUMN = (
    re.compile(r'column "(?P<name>[^"]+)" not found', re.I),
    re.compile(r'does not have a column named "(?P<name>[^"]+)"'),
    re.compile(r'column (?:"(?P<name>[^"]+)"|(?:\w+\.)?(?P<bare>[^ "]+)) does not exist'),
    re.compile(r'Identifier\("(?P<name>[^"]+)"\)\]\) is missing from the schema'),
    re.compile(r"column.*with name (?:`\w+`\.)?`(?P<name>[^`]+)` cannot be resolved"),
)
_TABLE = (
    re.compile(r"Table with name (?P<name>\S+) does not exist"),
    re.compile(r'relation "(?P<name>[^"]+)" does not exist'),
    re.compile(r"table or view `(?P<name>[^`]+)` cannot be found", re.I),
    re.compile(r"\[TABLE_OR_VIEW_NOT_FOUND\] Table or view not found: (?P<name>\S+)"),
)


def check_reads(statement: str, dialect: Dialect, *, must_be_read: bool) -> None:
    """Refuse a statement that does anything but read.

    Parameters
    ----------
    statement
        What the user wrote.
    dialect
        In which SQL.
    must_be_read
        Whether one that cannot be read here is refused, too; the engine itself would let
        it write.

    Raises
    ------
    ReadOnlyError
        If it would write, or are several.
    QueryError
        If it is empty or, where it must be, cannot be read.
    """
    try:
        found = [one for one in sqlglot.parse(statement, read=dialect.name) if one is not None]
    except SqlglotError as error:
        if not must_be_read:
            return
        said = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
        message = f"the statement cannot be read: {said}"
        raise QueryError(message) from error
    if not found:
        _refuse_empty()
    if len(found) > 1:
        _refuse(f"these are {len(found)} statements, and one at a time is read")
    [one] = found
    if not isinstance(one, (exp.Query, exp.Values)):
        _refuse(f"{_first_word(statement)} is no query")
    if (writes := one.find(*_WRITES)) is not None:
        _refuse(f"{type(writes).__name__.upper()} within it does more than read")


def check_serialized(statement: str, serialized: str) -> None:
    """Refuse what DuckDB's ``json_serialize_sql`` says does anything but read.

    DuckDB takes a WITH that writes, even to files, for a part of a query.

    Raises
    ------
    ReadOnlyError
        If it would write, or are several.
    QueryError
        If it is empty, or cannot be read.
    """
    read = json.loads(serialized)
    if read["error"]:
        if read["error_type"] == "not implemented":
            _refuse(f"{_first_word(statement)} is no query")
        said = read["error_message"].partition("\n")[0]
        message = f"the statement cannot be read: {said}"
        raise QueryError(message)
    statements = read["statements"]
    if not statements:
        _refuse_empty()
    if len(statements) > 1:
        _refuse(f"these are {len(statements)} statements, and one at a time is read")
    for kind in _node_types(statements):
        if kind.endswith("_QUERY_NODE"):
            _refuse(f"{kind.removesuffix('_QUERY_NODE')} within it does more than read")


def told_by_name(error: QueryError, columns: Sequence[str], *, quote: str = '"') -> QueryError:
    """Return an engine's error, as one that says what was meant if a name is unknown."""
    said = str(error)
    for pattern in _COLUMN:
        if match := pattern.search(said):
            groups = match.groupdict()
            name = groups.get("name") or groups.get("bare") or ""
            hint = f"; a metadata key is written in quotes, as {quote}User-Tier{quote}"
            return UnknownNameError("column", name, columns, hint=hint)
    for pattern in _TABLE:
        if match := pattern.search(said):
            hint = f"; a statement reads {VIEW}, or all of the source as {TABLE}"
            return UnknownNameError("table", match["name"], (VIEW, TABLE), hint=hint)
    return error


def _node_types(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(kind := node.get("type"), str):
            yield kind
        for child in node.values():
            yield from _node_types(child)
    elif isinstance(node, list):
        for child in node:
            yield from _node_types(child)


def _first_word(statement: str) -> str:
    words = re.findall(r"\w+", re.sub(r"--[^\n]*|/\*.*?\*/", " ", statement, flags=re.S))
    return words[0].upper() if words else repr(statement[:40])


def _refuse(reason: str) -> NoReturn:
    message = f"a ledger is only read: {reason}; write one SELECT over {VIEW}"
    raise ReadOnlyError(message)


def _refuse_empty() -> NoReturn:
    message = f"the statement is empty; write a SELECT over {VIEW}"
    raise QueryError(message)
