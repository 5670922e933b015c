"""The report: what the requests of a ledger cost, as one HTML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.report.content import contents
from majordomo_analytics.report.page import page

if TYPE_CHECKING:
    from pathlib import Path

    from majordomo_analytics.ledger.ledger import Ledger


def write_report(ledger: Ledger, path: Path) -> None:
    """Write the report on the requests of `ledger` to `path`, over what was there.

    Parameters
    ----------
    ledger
        The requests, all or, by `Ledger.filter` and `Ledger.during`, some.
    path
        Where the HTML file goes; it loads nothing from anywhere.
    """
    html = page(contents(ledger))
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(html, "utf-8")
    draft.replace(path)
