"""`mdm retain`: let the requests of days that are too old go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majordomo_analytics.cli.erase import (
    SOMETHING_LEFT,
    AsJsonOption,
    FedPostgresOption,
    Vacuum,
    VacuumOption,
    say_old_files,
)
from majordomo_analytics.cli.options import (
    DEFAULT_DATA,
    DEFAULT_POSTGRES_SCHEMA,
    DataOption,
    PostgresSchemaOption,
    require_postgres_extra,
)

if TYPE_CHECKING:
    from majordomo_analytics.drain.expiry import Expiry


def retain(
    days: Annotated[
        int, typer.Option("--days", help="How many whole UTC days are kept, besides today.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go; change nothing.")
    ] = False,
    vacuum: VacuumOption = Vacuum.LATER,
    data: DataOption = DEFAULT_DATA,
    postgres: FedPostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
    as_json: AsJsonOption = False,
) -> None:
    """Keep the requests of so many days; let those of earlier days go, for good.

    From the lake whole days go, by a few entries in its log; from Postgres rows go, the
    oldest first, some thousand at a time; dead letters of those days go, too. Proxy, drain
    and readers go on meanwhile. The room on the disk is free once the lake is vacuumed.

    Ends with 0 when nothing is left; with 3, and a sentence for each place, when something
    could not be reached, or imports have left rejected rows, of whatever day. It can be
    called again at any time, as by cron.
    """
    from majordomo_analytics.cli.screen import out, progress
    from majordomo_analytics.datadir import DataDirectory, keep_private
    from majordomo_analytics.drain.erasing import PostgresPlace
    from majordomo_analytics.drain.expiry import expire, find_expired, first_day_kept
    from majordomo_analytics.times import utc_now

    keep_private()
    first_kept = first_day_kept(days, now=utc_now())
    directory = DataDirectory.open(data)
    if postgres:
        require_postgres_extra("--postgres")
    place = PostgresPlace(postgres, postgres_schema) if postgres else None
    if dry_run:
        found = find_expired(directory, first_kept, postgres=place)
    else:
        with progress("deleting", "requests") as advance:
            found = expire(
                directory,
                first_kept,
                postgres=place,
                vacuum_now=vacuum is Vacuum.NOW,
                on_rows=advance,
            )
    if as_json:
        out.print(json.dumps(_as_json(found), ensure_ascii=False), markup=False)
    else:
        _say(found, dry_run=dry_run)
    raise typer.Exit(SOMETHING_LEFT if found.left else 0)


def _as_json(found: Expiry) -> dict[str, Any]:
    return {
        "first_kept": found.first_kept.isoformat(),
        "days": {day.isoformat(): requests for day, requests in found.days.items()},
        "lake": sum(found.days.values()),
        "postgres": found.postgres,
        "dead_letters": found.dead_letters,
        "old_files": found.old_files,
        "left": list(found.left),
    }


def _say(found: Expiry, *, dry_run: bool) -> None:
    from majordomo_analytics.cli.screen import say, warn

    went = "would go" if dry_run else "went"
    say(f"what was requested on {found.first_kept} UTC and later is kept")
    if found.days:
        first, last = min(found.days), max(found.days)
        requests = sum(found.days.values())
        days = f"{len(found.days):,} days from {first} to {last}"
        say(f"from the lake {requests:,} requests {went}, of {days}")
    else:
        say("the lake has no earlier day")
    if found.postgres is not None:
        say(f"from Postgres {found.postgres:,} requests {went}")
    if found.dead_letters:
        say(f"{found.dead_letters:,} dead letters {went}")
    say_old_files(found.old_files, 0)
    for sentence in found.left:
        warn(sentence)
