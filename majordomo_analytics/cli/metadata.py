"""`mdm metadata`: which metadata keys there are, and which have columns of their own."""

from __future__ import annotations

from typing import Annotated

import typer

from majordomo_analytics.cli.options import DEFAULT_DATA, DataOption

app = typer.Typer(no_args_is_help=True, help="Metadata keys: list, promote and demote them.")

NamesArgument = Annotated[
    list[str], typer.Argument(metavar="NAME…", help="Metadata keys, in any spelling.")
]


@app.command("list")
def list_(data: DataOption = DEFAULT_DATA) -> None:
    """List the metadata keys of the lake's requests, the most used first."""
    from rich import box
    from rich.table import Table

    from majordomo_analytics.cli.screen import out
    from majordomo_analytics.ledger.opening import open as open_ledger

    keys = open_ledger(data).metadata_keys()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("key", "promoted", "requests", "values", "first seen", "last seen"):
        table.add_column(heading, justify="right" if heading in ("requests", "values") else "left")
    for key in keys.iter_rows(named=True):
        table.add_row(
            key["name"],
            "yes" if key["promoted"] else "",
            f"{key['requests']:,}",
            f"{key['distinct_values']:,}",
            f"{key['first_seen']:%Y-%m-%d %H:%M}",
            f"{key['last_seen']:%Y-%m-%d %H:%M}",
        )
    out.print(table)


@app.command()
def promote(names: NamesArgument, data: DataOption = DEFAULT_DATA) -> None:
    """Give metadata keys a column of their own, for the whole lake.

    Questions about them are answered ten times as fast, with the same answers. The proxy
    and its drain go on meanwhile; cut short, it goes on where it was when it is run again.
    """
    from majordomo_analytics.cli.screen import bar, say
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


@app.command()
def demote(names: NamesArgument, data: DataOption = DEFAULT_DATA) -> None:
    """Take their columns from metadata keys; answers stay the same, and are slower."""
    from majordomo_analytics.cli.screen import say
    from majordomo_analytics.datadir import DataDirectory, keep_private
    from majordomo_analytics.lake.promotion import demote as demote_in_lake

    keep_private()
    demoted = demote_in_lake(DataDirectory.open(data).lake, names)
    say(f"{', '.join(demoted)}: demoted")
