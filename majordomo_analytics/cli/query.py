"""`mdm query`: the query API from a shell."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - Typer reads the annotation
from typing import TYPE_CHECKING, Annotated

import typer

from majordomo_analytics.cli.options import DEFAULT_DATA, DataOption
from majordomo_analytics.errors import FilterError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from majordomo_analytics.ledger.result import QueryResult

_PATTERNS = {"=~": "matches", "!~": "not matches"}
_CONDITION = re.compile(
    r"(?P<name>.+?)\s*(?P<operator>!=|<=|>=|==|=~|!~|=|<|>)(?P<value>.*)", re.DOTALL
)


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def query(
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="Column or metadata key to group by; repeatable."),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(help="Measure; repeatable. [default: total_cost, requests]"),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Condition: Team=legal, Team!=legal, status_code<400, model=~^gpt; repeatable."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="A date, or how far back: 30d, 12h; also 2026-10, 'last month'."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="A date; the first that is not included.")
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(help="Time buckets: minute, hour, day, week, month, quarter, year."),
    ] = None,
    timezone: Annotated[str, typer.Option(help="Zone of days and of the output.")] = "UTC",
    order_by: Annotated[
        list[str] | None, typer.Option(help="Column, with - in front for falling; repeatable.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Keep the first N groups; the rest is (other).")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="What works it out: duckdb, or postgres where that has the requests."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option(help="File to write to instead of the terminal.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    postgres: Annotated[
        str | None,
        typer.Option(
            "--postgres",
            envvar="MAJORDOMO_POSTGRES",
            help="Where --engine postgres reads: our own tables, or another gateway's.",
        ),
    ] = None,
    postgres_schema: Annotated[
        str | None,
        typer.Option(
            "--postgres-schema",
            envvar="MAJORDOMO_POSTGRES_SCHEMA",
            help="The schema of its tables there. [default: the first that has them]",
        ),
    ] = None,
) -> None:
    """Answer what requests cost, for whom and when."""
    if form is Format.PARQUET and output is None:
        message = "Parquet is no text for a terminal; say where it goes with --output FILE"
        raise SettingsError(message)
    from majordomo_analytics.ledger.opening import open as open_ledger

    if engine == "postgres":
        if not postgres:
            message = "--engine postgres reads what --postgres (MAJORDOMO_POSTGRES) names"
            raise SettingsError(message)
        ledger = open_ledger(postgres, schema=postgres_schema)
    else:
        ledger = open_ledger(data)
    result = ledger.query(
        measures=measure or None,
        dimensions=by or None,
        filters=read_conditions(where or []),
        time_range=(since, until),
        time_grain=every,  # type: ignore[arg-type]  # checked when the plan is made
        timezone=timezone,
        order_by=order_by or None,
        limit=limit,
        engine=engine,
    )
    _write(result, form, output)


def read_conditions(given: list[str]) -> dict[str, list[tuple[str, object]]]:
    """Return the conditions as filters; those on one name must all hold."""
    conditions: dict[str, list[tuple[str, object]]] = {}
    for text in given:
        match = _CONDITION.fullmatch(text)
        if match is None:
            forms = "NAME=VALUE, NAME!=VALUE, NAME<5, NAME=~PATTERN"
            message = f"--where {text!r} cannot be read; write {forms}"
            raise FilterError(message)
        operator = match["operator"]
        pair = (_PATTERNS.get(operator, operator), match["value"])
        conditions.setdefault(match["name"].strip(), []).append(pair)
    return conditions


def _write(result: QueryResult, form: Format, output: Path | None) -> None:
    rows = result.to_polars()
    if form is Format.PARQUET and output is not None:
        rows.write_parquet(output)
    elif form is Format.TABLE:
        _write_table(result, output)
    else:
        text = rows.write_csv() if form is Format.CSV else _json(result)
        if output is None:
            sys.stdout.write(text)
        else:
            output.write_text(text, "utf-8")
    if output is not None:
        typer.echo(f"{len(result):,} rows written to {output}", err=True)


def _json(result: QueryResult) -> str:
    """Return rows and totals; money as text, as JSON has no decimals."""
    import json

    answer = {"rows": list(result), "total": result.total}
    return json.dumps(answer, default=str, ensure_ascii=False, indent=2) + "\n"


def _write_table(result: QueryResult, output: Path | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = result.shown(most_rows=None)
    foot = shown.total or ("",) * len(shown.names)
    table = Table(box=box.SIMPLE_HEAD, show_footer=bool(shown.total), pad_edge=False)
    for name, unit, total, numeric in zip(
        shown.names, shown.units, foot, shown.numeric, strict=True
    ):
        head = Text(f"{name} [{unit}]" if unit else name)
        table.add_column(head, Text(total), justify="right" if numeric else "left", overflow="fold")
    for row in shown.rows:
        table.add_row(*map(Text, row))
    if output is None:
        _print(Console(), table, shown.notes)
    else:
        with output.open("w", encoding="utf-8") as file:
            _print(Console(file=file, width=200), table, shown.notes)


def _print(console: Console, table: Table, notes: tuple[str, ...]) -> None:
    console.print(table)
    for note in notes:
        console.print(note, style="dim", markup=False, highlight=False)
