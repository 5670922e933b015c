"""`mdm`: every command, and how their errors look."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from majordomo_analytics import __version__
from majordomo_analytics.cli import keys, metadata
from majordomo_analytics.cli.compact import compact
from majordomo_analytics.cli.demo import demo
from majordomo_analytics.cli.doctor import doctor
from majordomo_analytics.cli.drain import drain
from majordomo_analytics.cli.erase import erase
from majordomo_analytics.cli.export import export
from majordomo_analytics.cli.imports import import_
from majordomo_analytics.cli.proxy import proxy, settings_help
from majordomo_analytics.cli.query import query
from majordomo_analytics.cli.retain import retain
from majordomo_analytics.cli.sample import sample
from majordomo_analytics.errors import MajordomoError

USAGE_ERROR = 2

app = typer.Typer(
    name="mdm",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="What did your LLM calls cost, for whom, and why did it rise?",
)
app.command()(demo)
app.command(epilog=settings_help() if "proxy" in sys.argv[1:2] else None)(proxy)
app.command()(drain)
app.add_typer(keys.app, name="keys")
app.add_typer(metadata.app, name="metadata")
app.command()(query)
app.command()(sample)
app.command()(compact)
app.command(name="import")(import_)
app.command()(export)
app.command()(doctor)
app.command()(erase)
app.command()(retain)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Take the options that stand before any command."""
    if version:
        typer.echo(f"majordomo-analytics {__version__}")
        raise typer.Exit


def main() -> None:
    """Run `mdm`; an error raised on purpose is one sentence and exit status 2."""
    try:
        app()
    except MajordomoError as error:
        typer.echo(f"mdm: {error}", err=True)
        sys.exit(USAGE_ERROR)
