"""Options that several commands share, spelled once."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from majordomo_analytics.errors import MissingExtraError

DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="MAJORDOMO_DATA",
        help="The data directory: spool, lake and API keys.",
        show_default=True,
    ),
]
PriceBookOption = Annotated[
    Path | None,
    typer.Option(
        "--price-book",
        envvar="MAJORDOMO_PRICE_BOOK",
        help="A TOML file of your own prices (default prices.toml in the data directory, if any).",
    ),
]
DEFAULT_DATA = Path("majordomo-data")

PostgresOption = Annotated[
    str | None,
    typer.Option(
        "--postgres",
        envvar="MAJORDOMO_POSTGRES",
        help="A Postgres that gets every row too: postgresql://USER:PASSWORD@HOST/DATABASE. "
        "The variable keeps the password out of the list of processes.",
    ),
]
PostgresSchemaOption = Annotated[
    str,
    typer.Option(
        "--postgres-schema",
        envvar="MAJORDOMO_POSTGRES_SCHEMA",
        help="The schema of its tables there; it is made if need be.",
        show_default=True,
    ),
]
DEFAULT_POSTGRES_SCHEMA = "public"

LogFormatOption = Annotated[
    str,
    typer.Option(
        "--log-format",
        envvar="MAJORDOMO_LOG_FORMAT",
        help="Of what it writes while it goes on: console for people, json for machines.",
        show_default=True,
    ),
]
LogLevelOption = Annotated[
    str,
    typer.Option(
        "--log-level",
        envvar="MAJORDOMO_LOG_LEVEL",
        help="The least urgent of it: debug, info, warning, error or critical.",
        show_default=True,
    ),
]


def require_postgres_extra(feature: str) -> None:
    """Raise `MissingExtraError` unless what talks to Postgres is installed."""
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError(feature, "postgres")
