"""`mdm metadata list` and `count`: each metadata key with its counts and its values."""

from __future__ import annotations

import json
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
    from majordomo_analytics.lake.registry import KeyUse, Registry

MOST_SHOWN = 3
MOST_CHARACTERS = 24
WIDE_CHARACTERS = 100


def list_metadata(
    data: DataOption = DEFAULT_DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the metadata keys of the requests in the lake, most used first.

    With how many requests have each, which share of all that is, how many different values
    it has, when it was seen, and its most frequent values. Files of the lake that are new
    are read; what they hold is kept in registry.sqlite of the data directory, which may be
    removed at any time. The number of values is exact up to some thousand, and beyond off
    by less than 2.5 % in 997 of 1,000 cases.
    """
    from majordomo_analytics.cli.screen import out, progress, say
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.lake.registry import read_registry
    from majordomo_analytics.lake.table import take_snapshot

    directory = DataDirectory.open(data)
    with progress("reading metadata", "requests") as advance:
        snapshot = take_snapshot(directory.lake)
        registry = read_registry(snapshot, store=directory.registry, on_rows=advance)
    if as_json:
        listed = [_as_json(key) for key in registry.keys]
        out.print(json.dumps(listed, ensure_ascii=False), markup=False)
        return
    _show(registry)
    seen = {key.name for key in registry.keys}
    if waiting := [key for key in snapshot.promoted if key not in seen]:
        say(f"promoted, and in no request yet: {', '.join(waiting)}")


def count_metadata(
    postgres: Annotated[
        str,
        typer.Option(
            "--postgres",
            envvar="MAJORDOMO_POSTGRES",
            help="The Postgres whose keys are counted: postgresql://USER:PASSWORD@HOST/DATABASE. "
            "The variable keeps the password out of the list of processes.",
        ),
    ],
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
) -> None:
    """Count the values of metadata keys in Postgres that have no approx_cardinality yet.

    Those are keys of rows that an earlier version inserted. It goes through all rows once;
    drains go on meanwhile, and keep the number right from then on.
    """
    from majordomo_analytics.cli.screen import progress, say

    require_postgres_extra("--postgres")
    from majordomo_analytics.drain.cardinality import count_values

    with progress("counting values", "rows") as advance:
        counted = count_values(postgres, schema=postgres_schema, on_rows=advance)
    say(f"{counted:,} metadata keys of API keys have a number of values now")


def _as_json(key: KeyUse) -> dict[str, object]:
    return {
        "name": key.name,
        "promoted": key.promoted,
        "requests": key.requests,
        "coverage": key.coverage,
        "distinct_values": key.distinct_values,
        "first_seen": key.first_seen.isoformat(),
        "last_seen": key.last_seen.isoformat(),
        "top_values": [{"value": value, "requests": count} for value, count in key.top_values],
    }


def _show(registry: Registry) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from majordomo_analytics.cli.screen import out, say

    if not registry.keys:
        say(f"none of {registry.requests:,} requests has a metadata key")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("name", "promoted", "requests", "share", "values", "first seen", "last seen"):
        is_number = head in ("requests", "share", "values")
        table.add_column(head, justify="right" if is_number else "left", no_wrap=True)
    is_wide = out.width >= WIDE_CHARACTERS
    if is_wide:
        table.add_column("most frequent", overflow="fold")
    for key in registry.keys:
        shown = [_shortened(value) for value, _ in key.top_values[:MOST_SHOWN]]
        row = (
            Text(key.name),
            "yes" if key.promoted else "no",
            f"{key.requests:,}",
            f"{key.coverage:.1%}",
            f"{key.distinct_values:,}",
            f"{key.first_seen:%Y-%m-%d}",
            f"{key.last_seen:%Y-%m-%d}",
            Text(", ".join(shown)),
        )
        table.add_row(*(row if is_wide else row[:-1]))
    out.print(table)


def _shortened(value: str) -> str:
    return value if len(value) <= MOST_CHARACTERS else value[: MOST_CHARACTERS - 1] + "…"
