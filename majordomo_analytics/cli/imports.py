"""`mdm import`: requests that somebody else wrote down, into the lake."""

from __future__ import annotations

import os
from pathlib import Path  # noqa: TC003 - Typer reads the annotation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majordomo_analytics.cli.options import (
    DEFAULT_DATA,
    DEFAULT_POSTGRES_SCHEMA,
    DataOption,
    PostgresOption,
    PostgresSchemaOption,
    PriceBookOption,
    require_postgres_extra,
)
from majordomo_analytics.errors import SettingsError, did_you_mean, nearest
from majordomo_analytics.imports.choices import ROWS_PER_COMMIT, Kind, Price

if TYPE_CHECKING:
    from collections.abc import Iterator

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.postgres import PostgresSink
    from majordomo_analytics.imports.importing import ImportReport
    from majordomo_analytics.imports.rejects import Rejects

SOME_REJECTED = 3


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A CSV, JSON, Parquet or SQLite file, or postgresql://USER@HOST/DATABASE; the "
            "password is better in PGPASSWORD or ~/.pgpass.",
        ),
    ],
    kind: Annotated[Kind, typer.Option("--from", help="What made it.")] = Kind.AUTO,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="OURS=THEIRS: a column of ours, or a metadata key with a capital, and the "
            "column of the source; repeatable.",
        ),
    ] = None,
    constants: Annotated[
        list[str] | None,
        typer.Option("--set", help="COLUMN=VALUE, the same for every row; repeatable."),
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", help="Key=Value: metadata of rows without that key; repeatable."),
    ] = None,
    price: Annotated[
        Price,
        typer.Option(
            help="Cost by our prices: missing, where the source states none; all; or none."
        ),
    ] = Price.MISSING,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")
    ] = False,
    timezone: Annotated[str, typer.Option(help="Zone of times without an offset.")] = "UTC",
    source_schema: Annotated[
        str, typer.Option("--source-schema", help="The schema of a source in Postgres.")
    ] = "public",
    rejects_file: Annotated[
        Path | None,
        typer.Option(
            "--rejects",
            help="Where rejected rows go, as JSON lines (default a new file in rejects/ of the "
            "data directory).",
        ),
    ] = None,
    rows_per_commit: Annotated[
        int, typer.Option("--rows-per-commit", min=1, help="Rows in memory, and in one commit.")
    ] = ROWS_PER_COMMIT,
    price_book: PriceBookOption = None,
    postgres: PostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Take over requests from somewhere else, each once, however often this is run.

    Reads logs of majordomo_llm (SQLite, Postgres), spend logs of LiteLLM (Postgres, CSV,
    JSON, Parquet), the Postgres of a Majordomo gateway or steward, exports of our own, and
    any other table whose columns are obvious or named. Ends with 0 if every row is in the
    lake, with 3 if some were rejected: the others are in the lake then.
    """
    from majordomo_analytics.cli.screen import progress
    from majordomo_analytics.datadir import DataDirectory, keep_private
    from majordomo_analytics.imports.importing import import_requests
    from majordomo_analytics.imports.rejects import Rejects, rejects_path
    from majordomo_analytics.imports.rows import Wishes
    from majordomo_analytics.imports.source import Reading, open_source
    from majordomo_analytics.pricing.bookfile import price_book_for
    from majordomo_analytics.pricing.pricer import use_price_book
    from majordomo_analytics.times import read_zone

    keep_private()
    constant_texts = dict(_pairs(constants, "--set"))
    reading = Reading(
        kind,
        dict(_pairs(columns, "--map")),
        constant_texts,
        read_zone(timezone),
        source_schema,
    )
    wishes = Wishes(price, dict(_pairs(tags, "--tag")), _constants(constant_texts))
    opened = open_source(source, reading)
    directory = DataDirectory(data) if dry_run else DataDirectory.create(data)
    use_price_book(price_book_for(directory, price_book))
    path = rejects_file or rejects_path(directory.root / "rejects", opened.name)
    rejects = Rejects(None if dry_run else path)
    sink = None if dry_run or not postgres else _sink(postgres, postgres_schema, directory)
    try:
        with progress("importing", "rows") as advance:
            report = import_requests(
                opened,
                directory,
                wishes=wishes,
                rejects=rejects,
                is_dry_run=dry_run,
                also=sink,
                rows_per_commit=rows_per_commit,
                on_rows=advance,
            )
    finally:
        if sink is not None:
            sink.close()
    _report(report, rejects, opened.label, opened.left_out, is_dry_run=dry_run)
    if sink is not None:
        from majordomo_analytics.cli.screen import say

        say(f"{report.postgres:,} of them were new in Postgres")
    if report.rejected:
        raise typer.Exit(SOME_REJECTED)


def _sink(dsn: str, schema: str, directory: DataDirectory) -> PostgresSink:
    require_postgres_extra("--postgres")
    from majordomo_analytics.drain.imported import note_imported
    from majordomo_analytics.drain.postgres import PostgresSink
    from majordomo_analytics.drain.removal import check_place

    sink = PostgresSink(dsn, schema=schema, lake=directory.lake)
    check_place(directory, sink.name, sink.place)
    sink.open()
    note_imported(directory, sink.place)
    return sink


def _pairs(given: list[str] | None, option: str) -> Iterator[tuple[str, str]]:
    for text in given or ():
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip():
            message = f"{option} {text!r} cannot be read; write NAME=VALUE"
            raise SettingsError(message)
        yield name.strip(), value.strip()


def _constants(texts: dict[str, str]) -> dict[str, Any]:
    """Return the values of columns that are the same for every row."""
    from majordomo_analytics.records.columns import BY_NAME

    allowed = [name for name, column in BY_NAME.items() if column.type == "text" and name != "id"]
    for name in texts:
        if name not in allowed:
            tail = did_you_mean(nearest(name, allowed), allowed)
            message = f"--set {name}=…: {name!r} is no text column of a request{tail}"
            raise SettingsError(message)
    return dict(texts)


def _report(
    report: ImportReport,
    rejects: Rejects,
    label: str,
    left_out: tuple[str, ...],
    *,
    is_dry_run: bool,
) -> None:
    from majordomo_analytics.cli.screen import say, warn

    would = "would be imported" if is_dry_run else "imported"
    say(f"{label}: {report.read:,} rows read")
    said = f"{report.imported:,} {would}, {report.held:,} already there, "
    said += f"{report.rejected:,} rejected"
    say(said)
    if report.imported:
        cost = "unknown" if report.total_cost is None else f"${report.total_cost:,f}"
        unpriced = f", {report.unpriced:,} of unknown cost" if report.unpriced else ""
        say(f"from {report.first_at:%Y-%m-%d} to {report.last_at:%Y-%m-%d}: {cost}{unpriced}")
    if left_out:
        warn(
            f"not read, as nobody said what they are: {', '.join(left_out)}; "
            "--map Key=COLUMN takes one as metadata"
        )
    for reason in rejects.reasons:
        warn(reason)
    if rejects.count > len(rejects.reasons):
        warn(f"and {rejects.count - len(rejects.reasons):,} more")
    if rejects.path is not None and rejects.count:
        say(f"rejected rows are in {os.fspath(rejects.path)}")
