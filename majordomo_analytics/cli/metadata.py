"""`mdm metadata`: which metadata keys there are."""

from __future__ import annotations

import typer

from majordomo_analytics.cli.metadata_list import count_metadata, list_metadata

app = typer.Typer(no_args_is_help=True, help="See which metadata keys requests carry.")
app.command(name="list")(list_metadata)
app.command(name="count")(count_metadata)
