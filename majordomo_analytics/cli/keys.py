"""`mdm keys`: create, list, rotate and revoke the callers' API keys."""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majordomo_analytics.cli.options import (
    DEFAULT_DATA,
    DEFAULT_POSTGRES_SCHEMA,
    DataOption,
    PostgresSchemaOption,
    require_postgres_extra,
)
from majordomo_analytics.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from majordomo_analytics.apikeys.issuing import IssuedKey, KeyStore, KeyUse
    from majordomo_analytics.drain.keystore import PostgresKeyStore

app = typer.Typer(
    no_args_is_help=True,
    help="Create, list, rotate and revoke API keys, in the data directory or in Postgres.",
)
PostgresOption = Annotated[
    str | None,
    typer.Option(
        "--postgres",
        envvar="MAJORDOMO_POSTGRES",
        help="The Postgres that the keys live in: postgresql://USER:PASSWORD@HOST/DATABASE. "
        "The variable keeps the password out of the list of processes.",
    ),
]
KeyIdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The id that `mdm keys list` shows.")
]
AsJsonOption = Annotated[
    bool, typer.Option("--json", help='Print {"id", "name", "key"} and nothing else.')
]


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", help="Who or what the key is for.")],
    data: DataOption = DEFAULT_DATA,
    postgres: PostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
    as_json: AsJsonOption = False,
) -> None:
    """Create an API key and show it, once: only its hash is stored.

    Where a Postgres is named, it is made there, and each proxy that is given the same one
    knows it within a second.
    """
    from majordomo_analytics.cli.screen import say

    with _keys(data, postgres, postgres_schema, make=True) as (store, _):
        issued = store.create(name)
    _show(issued, as_json=as_json)
    if not as_json:
        say(
            f"API key {issued.name!r}, id {issued.id}. It is not shown again; callers send it "
            "as the header X-Majordomo-Key."
        )


@app.command(name="list")
def list_keys(
    data: DataOption = DEFAULT_DATA,
    postgres: PostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the API keys, revoked ones too, with what was done with each; never their text.

    Requests are counted exactly, as far as they are drained: those in Postgres where one is
    named, else those in the lake.
    """
    from rich.table import Table

    from majordomo_analytics.cli.screen import out, say

    with _keys(data, postgres, postgres_schema) as (store, read_uses):
        keys = store.all_keys()
        uses = read_uses()
    if as_json:
        listed = [
            {
                "id": key.id,
                "name": key.name,
                "created_at": _iso(key.created_at),
                "last_used_at": _iso(uses[key.id].last_used_at) if key.id in uses else None,
                "request_count": uses[key.id].request_count if key.id in uses else 0,
                "rotated_at": _iso(key.rotated_at),
                "overlap_ends_at": _iso(key.overlap_ends_at),
                "revoked_at": _iso(key.revoked_at),
            }
            for key in keys
        ]
        out.print(json.dumps(listed, ensure_ascii=False), markup=False)
        return
    if not keys:
        say("no API keys yet; `mdm keys create --name NAME` makes one")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("id", min_width=36, no_wrap=True)  # it is copied from here
    table.add_column("name", overflow="fold")
    table.add_column("created (UTC)", min_width=16)
    table.add_column("last used (UTC)", min_width=16)
    table.add_column("requests", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for key in keys:
        use = uses.get(key.id)
        state = ""
        if key.revoked_at:
            state = f"revoked {_minute(key.revoked_at)}"
        elif key.overlap_ends_at:
            state = f"rotated, old until {_minute(key.overlap_ends_at)}"
        elif key.rotated_at:
            state = f"rotated {_minute(key.rotated_at)}"
        last_used = _minute(use.last_used_at) if use else ""
        count = f"{use.request_count:,}" if use else "0"
        table.add_row(key.id, key.name, _minute(key.created_at), last_used, count, state)
    out.print(table, markup=False)


@app.command()
def rotate(
    key_id: KeyIdArgument,
    overlap: Annotated[
        str,
        typer.Option(
            "--overlap",
            metavar="TIME",
            help="How long the earlier key works on, such as 30m, 24h or 7d; 0s ends it now.",
            show_default=True,
        ),
    ] = "24h",
    data: DataOption = DEFAULT_DATA,
    postgres: PostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
    as_json: AsJsonOption = False,
) -> None:
    """Give an API key a new text and show it, once; what it costs stays under the same id.

    The earlier text works until the overlap is over. Rotating again meanwhile prolongs
    nothing: each earlier text ends when it was to end, or sooner if this overlap is
    shorter.
    """
    from majordomo_analytics.apikeys.issuing import read_overlap
    from majordomo_analytics.cli.screen import say

    until = read_overlap(overlap)
    with _keys(data, postgres, postgres_schema) as (store, _):
        issued = store.rotate(key_id, until)
    _show(issued, as_json=as_json)
    if not as_json:
        ends = f"works for {overlap} more" if until else "does not work any more"
        say(f"API key {issued.name!r}, id {issued.id}, has a new text; the earlier one {ends}.")


@app.command()
def revoke(
    key_id: KeyIdArgument,
    data: DataOption = DEFAULT_DATA,
    postgres: PostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
) -> None:
    """Revoke an API key, for good; the proxy refuses it within a second.

    While Postgres is away, a key can be revoked in the data directory alone: that proxy
    refuses it at once, and the others once Postgres is told.
    """
    from majordomo_analytics.cli.screen import say

    with _keys(data, postgres, postgres_schema) as (store, _):
        store.revoke(key_id)
    say(f"revoked {key_id}")


@app.command()
def move(
    data: DataOption = DEFAULT_DATA,
    postgres: PostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
) -> None:
    """Take the API keys of a data directory into another Postgres, and follow that one.

    Needed only if they lived in a Postgres before: the first one that a proxy is given gets
    its keys by itself. Both then have the keys of both.
    """
    from majordomo_analytics.apikeys import ApiKeyStore
    from majordomo_analytics.apikeys.copying import copy_keys
    from majordomo_analytics.cli.screen import say
    from majordomo_analytics.datadir import DataDirectory

    if not postgres:
        message = "where to? Give --postgres, or MAJORDOMO_POSTGRES"
        raise SettingsError(message)
    store = ApiKeyStore(DataDirectory.open(data).api_keys)
    with _postgres_keys(postgres, postgres_schema) as there:
        copy_keys(store, there, move=True)
        say(f"{len(store.all_keys()):,} API keys are in Postgres at {there.place!r}")


@contextmanager
def _keys(
    data: Path, postgres: str | None, schema: str, *, make: bool = False
) -> Iterator[tuple[KeyStore, Callable[[], dict[str, KeyUse]]]]:
    """Give the place that the keys live in, and what says how they were used."""
    from majordomo_analytics.apikeys import ApiKeyStore
    from majordomo_analytics.cli.screen import say
    from majordomo_analytics.datadir import DataDirectory

    if postgres:
        with _postgres_keys(postgres, schema) as there:
            yield there, there.uses
        return
    directory = DataDirectory.create(data) if make else DataDirectory.open(data)
    store = ApiKeyStore(directory.api_keys)
    if (followed := store.followed()) is not None:
        say(
            f"these keys are a copy of those in Postgres at {followed.place!r}; a change here "
            "gets there by a running proxy. --postgres (MAJORDOMO_POSTGRES) asks there"
        )
    yield store, lambda: _uses_in_lake(directory.lake)


@contextmanager
def _postgres_keys(postgres: str, schema: str) -> Iterator[PostgresKeyStore]:
    require_postgres_extra("--postgres")
    from majordomo_analytics.drain.keystore import PostgresKeyStore

    with closing(PostgresKeyStore(postgres, schema=schema)) as store:
        yield store


def _uses_in_lake(lake: Path) -> dict[str, KeyUse]:
    from majordomo_analytics.apikeys.issuing import KeyUse
    from majordomo_analytics.cli.screen import progress
    from majordomo_analytics.lake.keyuse import uses_of_api_keys

    with progress("counting requests in the lake", "rows") as advance:
        uses = uses_of_api_keys(lake, on_rows=advance)
    return {key_id: KeyUse(*use) for key_id, use in uses.items()}


def _show(issued: IssuedKey, *, as_json: bool) -> None:
    from majordomo_analytics.cli.screen import out

    shown: dict[str, Any] = {"id": issued.id, "name": issued.name, "key": issued.key}
    out.print(json.dumps(shown) if as_json else issued.key, markup=False)


def _iso(instant: datetime | None) -> str | None:
    return instant.astimezone(UTC).isoformat() if instant else None


def _minute(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}"
