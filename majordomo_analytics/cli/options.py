"""Options that several commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
