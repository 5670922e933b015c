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
DEFAULT_DATA = Path("majordomo-data")
