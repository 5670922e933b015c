"""`mdm keys`: create, list and revoke the callers' API keys."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from majordomo_analytics.cli.options import DEFAULT_DATA, DataOption

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", help="Who or what the key is for.")],
    data: DataOption = DEFAULT_DATA,
    as_json: Annotated[
        bool, typer.Option("--json", help='Print {"id", "name", "key"} and nothing else.')
    ] = False,
) -> None:
    """Create an API key and show it, once: only its hash is stored."""
    from majordomo_analytics.apikeys import ApiKeyStore
    from majordomo_analytics.cli.screen import out, say
    from majordomo_analytics.datadir import DataDirectory

    issued = ApiKeyStore(DataDirectory.create(data).api_keys).create(name)
    if as_json:
        out.print(
            json.dumps({"id": issued.id, "name": issued.name, "key": issued.key}), markup=False
        )
        return
    out.print(issued.key, markup=False)
    say(
        f"API key {issued.name!r}, id {issued.id}. It is not shown again; callers send it as "
        "the header X-Majordomo-Key."
    )


@app.command(name="list")
def list_keys(
    data: DataOption = DEFAULT_DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the API keys, revoked ones too; never their text."""
    from rich.table import Table

    from majordomo_analytics.apikeys import ApiKeyStore
    from majordomo_analytics.cli.screen import out, say
    from majordomo_analytics.datadir import DataDirectory

    keys = ApiKeyStore(DataDirectory.open(data).api_keys).all_keys()
    if as_json:
        listed = [
            {
                "id": key.id,
                "name": key.name,
                "created_at": key.created_at.isoformat(),
                "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
            }
            for key in keys
        ]
        out.print(json.dumps(listed, ensure_ascii=False), markup=False)
        return
    if not keys:
        say("no API keys yet; `mdm keys create --name NAME` makes one")
        return
    table = Table("id", "name", "created (UTC)", "revoked (UTC)", box=None, pad_edge=False)
    for key in keys:
        revoked = f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
        table.add_row(key.id, key.name, f"{key.created_at:%Y-%m-%d %H:%M}", revoked)
    out.print(table, markup=False)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id `mdm keys list` shows.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Revoke an API key, for good; the proxy refuses it within a second."""
    from majordomo_analytics.apikeys import ApiKeyStore
    from majordomo_analytics.cli.screen import say
    from majordomo_analytics.datadir import DataDirectory

    ApiKeyStore(DataDirectory.open(data).api_keys).revoke(key_id)
    say(f"revoked {key_id}")
