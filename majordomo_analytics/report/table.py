"""A result as a table of the report: short headings, a total, numbers to be compared."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from majordomo_analytics.ledger.display import MISSING, writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from majordomo_analytics.ledger.display import Cell
    from majordomo_analytics.ledger.result import QueryResult

HEADINGS = {
    "total_cost": "Spend",
    "requests": "Requests",
    "cost_per_request": "Per request",
    "total_tokens": "Tokens",
    "cache_hit_rate": "From cache",
    "p95_response_time_ms": "p95, ms",
    "p50_response_time_ms": "Median, ms",
    "error_rate": "Failed",
    "model": "Model",
}


def table_html(result: QueryResult) -> str:
    """Return the rows and the total of `result`; a dimension's text is escaped."""
    plan, total = result.plan, result.total
    labels = [dimension.name for dimension in plan.dimensions]
    rows = result.to_polars()
    columns: list[list[str]] = [
        [*(_label(value) for value in rows[name]), "All" if place == 0 else ""]
        for place, name in enumerate(labels)
    ]
    for measure in plan.measures:
        cells = [*rows[measure.name].to_list(), total[measure.name]]
        columns.append(list(map(_writer(measure.unit, cells), cells)))
    *body, last = zip(*columns, strict=True)
    heads = [HEADINGS.get(name, name) for name in plan.columns]
    return (
        f'<div class="table"><table><thead>{_line("th", heads, len(labels))}</thead>'
        f"<tbody>{''.join(_line('td', line, len(labels)) for line in body)}</tbody>"
        f"<tfoot>{_line('th', last, len(labels))}</tfoot></table></div>"
    )


def _line(tag: str, cells: Sequence[str], labels: int) -> str:
    written = "".join(
        f"<{tag} class={'label' if place < labels else 'number'}>{escape(cell)}</{tag}>"
        for place, cell in enumerate(cells)
    )
    return f"<tr>{written}</tr>"


def _writer(unit: str, cells: Sequence[Cell]) -> Callable[[Cell], str]:
    if unit == "ms":
        return lambda cell: MISSING if cell is None else f"{cell:,.0f}"
    return writer(unit, cells)


def _label(value: object) -> str:
    return MISSING if value is None else str(value)
