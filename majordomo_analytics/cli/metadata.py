"""`mdm metadata`: which metadata keys there are."""

from __future__ import annotations

import typer

from majordomo_analytics.cli.metadata_list import list_metadata

app = typer.Typer(no_args_is_help=True, help="See which metadata keys requests carry.")
app.command(name="list")(list_metadata)


@app.callback()
def commands() -> None:
    """See which metadata keys requests carry."""
