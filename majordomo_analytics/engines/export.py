"""The statement that writes requests to a file, in forms that lose nothing.

In text, money keeps its ten places, instants are ISO 8601 in UTC, and null is nothing
between two commas while an empty text is a pair of quotes. A spreadsheet takes a text that
begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and callers choose the texts: in CSV
such a text gets an apostrophe in front, which an import takes away again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from majordomo_analytics.engines.quoting import quoted_name, quoted_text
from majordomo_analytics.records.columns import PROMOTED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExportFormat(StrEnum):
    """How requests are written."""

    PARQUET = "parquet"
    CSV = "csv"
    JSON = "json"


FORMULA = "=+-@\t\r"
_LOOKS_LIKE_ONE = r"^'*[=+\-@\t\r]"
_INSTANT = "%Y-%m-%dT%H:%M:%S.%fZ"
_OPTIONS = {
    ExportFormat.PARQUET: "FORMAT parquet, COMPRESSION zstd",
    ExportFormat.CSV: "FORMAT csv, HEADER true",
    ExportFormat.JSON: "FORMAT json",
}


def export_statement(
    requests: str, columns: Iterable[tuple[str, str]], path: str, form: ExportFormat
) -> str:
    """Return the DuckDB statement that writes the rows of a statement to a file.

    Parameters
    ----------
    requests
        The statement that reads them.
    columns
        Name and DuckDB type of each of its columns.
    path
        Where to write.
    form
        How to write.
    """
    held = tuple(columns)
    names = {name.lower() for name, _ in held}
    chosen = []
    for name, stored in held:
        column = quoted_name(name)
        bare = name.removeprefix(PROMOTED_PREFIX)
        # A metadata key that is called as a column is keeps the name it has in the lake.
        shown = name if bare.lower() in names else bare
        if form is ExportFormat.CSV and shown[:1] in tuple(FORMULA):
            shown = f"'{shown}"
        chosen.append(f"{_written(column, stored, form)} AS {quoted_name(shown)}")
    return (
        f"COPY (SELECT {', '.join(chosen)} FROM ({requests})) "  # noqa: S608 - quoted here
        f"TO {quoted_text(path)} ({_OPTIONS[form]}, USE_TMP_FILE false)"
    )


def _written(column: str, stored: str, form: ExportFormat) -> str:
    if form is ExportFormat.PARQUET:
        return column
    if stored.startswith("DECIMAL"):  # JSON would make a binary fraction of it
        return f"CAST({column} AS VARCHAR)"
    if stored == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({column} AT TIME ZONE 'UTC', {quoted_text(_INSTANT)})"
    if form is ExportFormat.JSON:
        return column
    if stored == "VARCHAR":
        is_formula = f"regexp_matches({column}, {quoted_text(_LOOKS_LIKE_ONE)})"
        return f"CASE WHEN {is_formula} THEN '''' || {column} ELSE {column} END"
    if stored.endswith("]") or stored.startswith(("MAP(", "STRUCT(")):
        return f"CAST(to_json({column}) AS VARCHAR)"
    return column
