"""`mdm export`: the requests themselves, to one file."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotation
from typing import Annotated

import typer

from majordomo_analytics.cli.options import DEFAULT_DATA, DataOption
from majordomo_analytics.cli.query import read_conditions


def export(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="File to write to; its name can say the format: .csv, …"
        ),
    ],
    where: Annotated[
        list[str] | None,
        typer.Option(help="Condition: Team=legal, Team!=legal, status_code<400; repeatable."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="A date, or how far back: 30d, 12h; also 2026-10, 'last month'."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="A date; the first that is not included.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="Zone of these days; the file is in UTC.")] = "UTC",
    form: Annotated[
        str | None, typer.Option("--format", help="parquet, csv or json (one object a line).")
    ] = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Write the requests themselves to one Parquet, CSV or JSON file, every column of them.

    Money is exact text in CSV and JSON, times are ISO 8601 in UTC, metadata is a map, in
    CSV as JSON text, and each promoted key also a column. `mdm import` takes the file back
    without a loss.
    """
    from majordomo_analytics.cli.screen import progress, say
    from majordomo_analytics.engines.export import ExportFormat
    from majordomo_analytics.errors import SettingsError, did_you_mean, nearest
    from majordomo_analytics.ledger.export import export_requests, format_for
    from majordomo_analytics.ledger.opening import open as open_ledger

    if form is not None and form not in list(ExportFormat):
        tail = did_you_mean(nearest(form, ExportFormat), ExportFormat)
        message = f"--format {form} is none that is known{tail}"
        raise SettingsError(message)
    chosen = format_for(output) if form is None else ExportFormat(form)
    ledger = open_ledger(data).filter(read_conditions(where or []))
    ledger = ledger.during((since, until), timezone=timezone)
    with progress("exporting", "requests") as advance:
        written = export_requests(ledger, output, chosen)
        advance(written)
    say(f"{written:,} requests written to {output}")
