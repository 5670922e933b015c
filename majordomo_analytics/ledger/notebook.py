"""What a notebook shows: ledger and metadata keys as HTML, in its own colours.

Everything inherits the colour of the text around it, so that it follows JupyterLab, VS Code
and a page from light to dark.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import polars as pl

from majordomo_analytics.ledger.display import CELL, MISSING, STYLE, cut_text, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_KEYS = 12
MOST_VALUES = 3
MOST_CHARACTERS = 40
_QUIET = "opacity:0.7"
_BAR = (
    "display:inline-block;vertical-align:middle;width:6em;height:0.55em;margin-right:0.6em;"
    "border-radius:2px;background:rgba(128,136,150,0.25)"
)
_FILLED = "display:block;height:100%;border-radius:2px;background:#1F77C4"


class MetadataKeys(pl.DataFrame):
    """A Polars frame of metadata keys; a notebook shows it as one reads it."""

    def _repr_html_(self, *, _from_series: bool = False) -> str:
        """Return a table with a bar for each coverage; other columns as Polars does."""
        needed = {"name", "promoted", "requests", "coverage", "distinct_values", "top_values"}
        if not needed <= set(self.columns):
            return super()._repr_html_(_from_series=_from_series)
        return keys_html(self)


def keys_html(keys: pl.DataFrame, most: int | None = None) -> str:
    """Return a table of metadata keys, the first `most` of them."""
    heads = ("metadata key", "promoted", "coverage", "requests", "values", "most frequent")
    shown = keys if most is None else keys.head(most)
    rows = "".join(
        _row(
            (
                _text(row["name"]),
                "✓" if row["promoted"] else "",
                _coverage(row["coverage"]),
                MISSING if row["requests"] is None else f"{row['requests']:,}",
                MISSING if row["distinct_values"] is None else f"{row['distinct_values']:,}",
                _frequent(row["top_values"]),
            )
        )
        for row in shown.iter_rows(named=True)
    )
    head = "".join(
        f'<th style="{CELL};white-space:nowrap;text-align:{_side(place)}">{name}</th>'
        for place, name in enumerate(heads)
    )
    more = keys.height - shown.height
    said = f'<p style="{_QUIET};margin:0.3em 0">{more:,} more keys</p>' if more else ""
    table = f'<table style="{STYLE}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div style="overflow-x:auto">{table}{said}</div>'


def ledger_html(label: str, facts: Sequence[str], keys: pl.DataFrame) -> str:
    """Return what a ledger is: where from, how much, and the keys it can be asked by."""
    said = " · ".join(escape(cut_text(plain(fact), 200)) for fact in facts)
    name = escape(cut_text(plain(label), 200))
    top = f'<p style="margin:0.3em 0"><b>Ledger</b> of <bdi>{name}</bdi><br>{said}</p>'
    if keys.is_empty():
        none = "no request carries a metadata key"
        return f'<div>{top}<p style="{_QUIET};margin:0.3em 0">{none}</p></div>'
    return f"<div>{top}{keys_html(keys, MOST_KEYS)}</div>"


def _row(cells: Sequence[str]) -> str:
    written = "".join(
        f'<td style="{CELL};white-space:nowrap;text-align:{_side(place)}">{cell}</td>'
        for place, cell in enumerate(cells)
    )
    return f"<tr>{written}</tr>"


def _side(place: int) -> str:
    return ("left", "center", "left", "right", "right", "left")[place]


def _text(value: object) -> str:
    return f"<bdi>{escape(cut_text(plain(str(value)), MOST_CHARACTERS))}</bdi>"


def _coverage(share: float | None) -> str:
    if share is None:
        return MISSING
    filled = f'<span style="{_FILLED};width:{share:.1%}"></span>'
    return f'<span style="{_BAR}">{filled}</span>{share:.1%}'


def _frequent(values: Sequence[dict[str, object]] | None) -> str:
    if not values:
        return f'<span style="{_QUIET}">{MISSING}</span>'
    named = ", ".join(_text(one["value"]) for one in values[:MOST_VALUES])
    return f"{named}, …" if len(values) > MOST_VALUES else named
