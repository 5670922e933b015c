"""`mdm erase`: one value of a metadata key, wherever it is kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from majordomo_analytics.cli.options import (
    DEFAULT_DATA,
    DEFAULT_POSTGRES_SCHEMA,
    DataOption,
    PostgresSchemaOption,
    require_postgres_extra,
)

if TYPE_CHECKING:
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.erasing import ErasureReport
    from majordomo_analytics.drain.sinks import Sink

SOMETHING_LEFT = 3


class Vacuum(StrEnum):
    """When older versions of the lake go."""

    LATER = "later"
    NOW = "now"


FedPostgresOption = Annotated[
    str | None,
    typer.Option(
        "--postgres",
        envvar="MAJORDOMO_POSTGRES",
        help="The Postgres that is fed from here: postgresql://USER:PASSWORD@HOST/DATABASE. "
        "The variable keeps the password out of the list of processes.",
    ),
]
VacuumOption = Annotated[
    Vacuum,
    typer.Option(
        "--vacuum",
        help="When the files go that only older versions of the lake name: now ends all ways "
        "back to an older version, and queries that read one just now.",
    ),
]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")]


def erase(
    user_id: Annotated[
        str,
        typer.Option(
            "--user-id", "--value", help="The value to erase, exactly as callers sent it."
        ),
    ],
    key: Annotated[
        str,
        typer.Option("--key", help="The metadata key that has the value.", show_default=True),
    ] = "User-Id",
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            help="Another metadata key that leaves the same requests, whatever its value, such "
            "as Session-Id; may be repeated.",
        ),
    ] = None,
    rows: Annotated[
        bool,
        typer.Option(
            "--rows", help="Delete the requests as a whole; their cost leaves the books, too."
        ),
    ] = False,
    vacuum: VacuumOption = Vacuum.LATER,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say how many requests of the lake are meant; change nothing."
        ),
    ] = False,
    data: DataOption = DEFAULT_DATA,
    postgres: FedPostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
    as_json: AsJsonOption = False,
) -> None:
    """Erase one value of a metadata key, such as a person's id, wherever it is kept.

    By default the requests stay, with their usage and cost, so that every total is as it
    was: the key leaves them, from the metadata and its column, and with it the ids that the
    provider gave, the error message, and the keys that --also names; they are flagged as
    erased. Without that key they count as (untagged).

    What waits in the spool is drained first. Rows that imports rejected go as a whole if
    the value stands in them. Requests that come later are not touched. Proxy, drain and
    readers go on meanwhile. Older versions of the lake hold the value until they are
    vacuumed. Backups, and the write-ahead log of Postgres, are yours to see
    to.

    Ends with 0 when nothing is left; with 3, and a sentence for each place, when the value
    may stand somewhere still. It can be called again at any time, also after it was killed.
    """
    from majordomo_analytics.cli.screen import out, progress
    from majordomo_analytics.datadir import DataDirectory, keep_private
    from majordomo_analytics.drain.erasing import PostgresPlace, check_erasure
    from majordomo_analytics.drain.erasing import erase as erase_everywhere
    from majordomo_analytics.lake.erasure import Erasure, requests_in_lake
    from majordomo_analytics.pricing.bookfile import price_book_for
    from majordomo_analytics.pricing.pricer import use_price_book

    keep_private()
    directory = DataDirectory.open(data)
    erasure = Erasure(key, user_id, tuple(also or ()), rows=rows)
    if dry_run:
        check_erasure(erasure)
        meant = requests_in_lake(directory.lake, erasure)
        if as_json:
            out.print(json.dumps({"lake": meant}), markup=False)
        else:
            out.print(f"{meant:,} requests in the lake are meant; nothing was changed")
        return
    use_price_book(price_book_for(directory, None))  # of what is drained first
    place = PostgresPlace(postgres, postgres_schema) if postgres else None
    with progress("erasing", "rows") as advance:
        report = erase_everywhere(
            directory,
            erasure,
            sinks=_sinks(directory, postgres, postgres_schema),
            postgres=place,
            vacuum_now=vacuum is Vacuum.NOW,
            on_rows=advance,
        )
    if as_json:
        out.print(json.dumps(asdict(report), ensure_ascii=False), markup=False)
    else:
        _say(report)
    raise typer.Exit(SOMETHING_LEFT if report.left else 0)


def _sinks(data: DataDirectory, postgres: str | None, schema: str) -> list[Sink]:
    from majordomo_analytics.drain.sinks import LakeSink

    sinks: list[Sink] = [LakeSink(data.lake)]
    if postgres:
        require_postgres_extra("--postgres")
        from majordomo_analytics.drain.postgres import PostgresSink

        sinks.append(PostgresSink(postgres, schema=schema, lake=data.lake))
    return sinks


def _say(report: ErasureReport) -> None:
    from majordomo_analytics.cli.screen import say, warn

    say(f"{report.lake:,} requests in the lake, on {report.days:,} days")
    if report.postgres is not None:
        say(f"{report.postgres:,} requests in Postgres")
    if report.spool or report.dead_letters:
        say(f"{report.spool:,} records of the spool, {report.dead_letters:,} dead letters")
    if report.rejected:
        say(f"{report.rejected:,} rows that imports had rejected")
    say_old_files(report.old_files, report.removed_files)
    for sentence in report.left:
        warn(sentence)


def say_old_files(old: int, removed: int) -> None:
    """Say what older versions of the lake hold still."""
    from majordomo_analytics.cli.screen import say

    if removed:
        say(f"{removed:,} files of older versions of the lake were removed")
    if old:
        say(
            f"{old:,} files of older versions of the lake hold what was there before, until they "
            "are vacuumed; --vacuum now removes them"
        )
