"""`mdm doctor`: what in a data directory needs somebody's attention."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majordomo_analytics.cli.options import (
    DEFAULT_DATA,
    DEFAULT_POSTGRES_SCHEMA,
    DataOption,
    PostgresOption,
    PostgresSchemaOption,
    require_postgres_extra,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from majordomo_analytics.cli.checks.finding import Finding
    from majordomo_analytics.datadir import DataDirectory

NEEDS_ATTENTION = 1
SPOOL_MAX_BYTES = 8 * 2**30


def doctor(
    data: DataOption = DEFAULT_DATA,
    postgres: PostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
    spool_max_bytes: Annotated[
        int,
        typer.Option(
            "--spool-max-bytes",
            envvar="MAJORDOMO_SPOOL_MAX_BYTES",
            help="What the spool may take, as the proxy is told.",
            show_default=True,
        ),
    ] = SPOOL_MAX_BYTES,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look a data directory over, and say what needs attention and what to do about it.

    Whether spools, lake and API keys are sound and for their owner only; whether rows got
    stuck; whether each request is once in the lake and, if one is named, in Postgres;
    whether requests lack a price or usage. It changes nothing, and a proxy may run
    meanwhile. Ends with 0 if nothing is wrong, with 1 if something needs attention.
    """
    from majordomo_analytics.cli.checks.printing import print_finding
    from majordomo_analytics.cli.screen import out
    from majordomo_analytics.datadir import DataDirectory

    if postgres:
        require_postgres_extra("--postgres")
    directory = DataDirectory.open(data)
    findings: list[Finding] = []
    for finding in look_over(directory, postgres, postgres_schema, spool_max_bytes):
        findings.append(finding)
        if not as_json:
            print_finding(finding)
    wrong = sum(finding.state == "wrong" for finding in findings)
    if as_json:
        shown = {
            "data": str(directory.root),
            "needs_attention": wrong,
            "findings": [asdict(finding) for finding in findings],
        }
        out.print(json.dumps(shown, default=_plain), markup=False)
    else:
        what = "thing needs" if wrong == 1 else "things need"
        out.print(f"\n{wrong} {what} attention" if wrong else "\nnothing needs attention")
    if wrong:
        raise typer.Exit(NEEDS_ATTENTION)


def look_over(
    data: DataDirectory, postgres: str | None, postgres_schema: str, spool_max_bytes: int
) -> Iterator[Finding]:
    """Yield what each check found, in the order in which rows go through."""
    from majordomo_analytics.cli.checks import places, spools, stores
    from majordomo_analytics.cli.checks.finding import Finding
    from majordomo_analytics.cli.checks.requests import look_at_requests
    from majordomo_analytics.errors import MajordomoError
    from majordomo_analytics.ledger.opening import open as open_ledger

    yield places.look_at_directory(data)
    yield places.look_at_disk(data, spool_max_bytes)
    yield places.look_at_proxy(data)
    yield places.look_at_api_keys(data)
    yield places.look_at_prices(data)
    yield from spools.look_at_spools(data)
    yield from spools.look_at_waiting_rows(data)
    yield spools.look_at_quarantine(data)
    yield spools.look_at_dead_letters(data)
    ledger = None
    if not data.lake.exists():
        yield Finding("lake", "note", "there is none yet", "The first row drained makes it.")
    else:
        try:
            ledger = open_ledger(data.root)
            yield stores.look_at_lake(ledger)
        except MajordomoError as error:
            yield Finding("lake", "wrong", str(error), "Restore it from a copy.")
    if postgres:
        from majordomo_analytics.drain.comparing import PostgresRequests

        yield from stores.look_at_postgres(
            data, ledger, PostgresRequests(postgres, postgres_schema)
        )
    if ledger is not None:
        found = list(look_at_requests(ledger))
        yield from found
        if not found:
            yield Finding("requests", "ok", "each has its usage and its price")


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
