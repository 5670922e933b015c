"""`mdm metadata`: which metadata keys there are, and which have columns of their own."""

from __future__ import annotations

from typing import Annotated

import typer

from majordomo_analytics.cli.metadata_list import count_metadata, list_metadata
from majordomo_analytics.cli.options import (
    DEFAULT_DATA,
    DEFAULT_POSTGRES_SCHEMA,
    DataOption,
    PostgresOption,
    PostgresSchemaOption,
    require_postgres_extra,
)

app = typer.Typer(no_args_is_help=True, help="Metadata keys: list, promote and demote them.")

NamesArgument = Annotated[
    list[str], typer.Argument(metavar="NAME…", help="Metadata keys, in any spelling.")
]


app.command("list")(list_metadata)
app.command("count")(count_metadata)


@app.command()
def promote(
    names: NamesArgument,
    data: DataOption = DEFAULT_DATA,
    postgres: PostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
) -> None:
    """Give metadata keys a column of their own in the lake, and an index in Postgres.

    Questions about them are several times as fast, with the same answers. The proxy
    and its drain go on meanwhile; cut short, it goes on where it was when it is run again.
    With a Postgres, its `indexed_metadata` is filled with them, too.
    """
    from majordomo_analytics.cli.screen import bar, progress, say
    from majordomo_analytics.datadir import DataDirectory, keep_private
    from majordomo_analytics.lake.promotion import promote as promote_in_lake

    keep_private()
    lake = DataDirectory.open(data).lake
    with bar("promoting", "rows") as shown:
        done = promote_in_lake(lake, names, progress=shown)
    if done.already:
        say(f"{', '.join(done.already)}: promoted already")
    if done.promoted:
        say(f"{', '.join(done.promoted)}: promoted")
    say(f"{done.rows_filled:,} rows were given the columns that they lacked")
    if done.rows_left:
        say(
            f"{done.rows_left:,} rows of today get theirs once the day is over; until then they "
            "are read from the metadata"
        )
    if postgres:
        require_postgres_extra("--postgres")
        from majordomo_analytics.drain.indexing import promote_in_postgres

        with progress("promoting in Postgres", "rows") as advance:
            changed = promote_in_postgres(postgres, names, schema=postgres_schema, on_rows=advance)
        say(f"{changed:,} rows of Postgres were given them in indexed_metadata")


@app.command()
def demote(
    names: NamesArgument,
    data: DataOption = DEFAULT_DATA,
    postgres: PostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
) -> None:
    """Take their columns from metadata keys; answers stay the same, and are slower.

    With a Postgres, they are taken out of its `indexed_metadata`, too.
    """
    from majordomo_analytics.cli.screen import progress, say
    from majordomo_analytics.datadir import DataDirectory, keep_private
    from majordomo_analytics.lake.promotion import demote as demote_in_lake

    keep_private()
    demoted = demote_in_lake(DataDirectory.open(data).lake, names)
    say(f"{', '.join(demoted)}: demoted")
    if postgres:
        require_postgres_extra("--postgres")
        from majordomo_analytics.drain.indexing import demote_in_postgres

        with progress("demoting in Postgres", "rows") as advance:
            changed = demote_in_postgres(postgres, names, schema=postgres_schema, on_rows=advance)
        say(f"{changed:,} rows of Postgres had them in indexed_metadata")
