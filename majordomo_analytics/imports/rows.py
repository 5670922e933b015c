"""From what a source says of a request to the row of the lake: id, cost and defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import pyarrow as pa

from majordomo_analytics.errors import BadValueError
from majordomo_analytics.imports.choices import Price
from majordomo_analytics.imports.values import add_metadata
from majordomo_analytics.lake.filling import filled
from majordomo_analytics.pricing.pricer import pricer_in_use
from majordomo_analytics.pricing.recompute import recompute
from majordomo_analytics.records import flags
from majordomo_analytics.records.columns import BY_NAME, PROMOTED_PREFIX
from majordomo_analytics.records.usage import MAX_COUNT, WHOLE_OF

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Fields = dict[str, Any]
"""Values by column; `raw_metadata` is a dict; what is not there is not known."""

NAMESPACE = UUID("0d3b0f7e-6c7a-5f0e-9d57-2f1c8a4be5d1")
"""Of ids made from those of a source; it never changes, or an import would double rows."""

COSTS = ("input_cost", "output_cost", "tool_cost", "total_cost")
COUNTS = tuple(
    name for name, column in BY_NAME.items() if column.unit in {"tokens", "searches"}
)  # fmt: skip
_EMPTY: Fields = dict.fromkeys(BY_NAME)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be done with every row.

    Attributes
    ----------
    price
        `missing`: the source's cost, and ours where it states none; `all`: ours, and the
        source's where we have no price; `none`: the source's only.
    tags
        Metadata of every row that does not have the key itself.
    constants
        Columns that the source does not say.
    created_at
        When the rows were taken.
    """

    price: Price = Price.MISSING
    tags: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def row_id(kind: str, source_id: str, *, told_apart_by: tuple[str, ...] = ()) -> str:
    """Return the id of a row: the source's own if it is a UUID, else always the same one.

    Parameters
    ----------
    kind
        The kind of the source.
    source_id
        The id there.
    told_apart_by
        What else has to be the same for it to be the same row, where ids may be as short as
        the number of a line.

    Examples
    --------
    >>> row_id("litellm", "2F9F6CD5-2D7B-4A57-B5C1-D9B6F7C9D001")
    '2f9f6cd5-2d7b-4a57-b5c1-d9b6f7c9d001'
    >>> row_id("litellm", "chatcmpl-1") == row_id("litellm", "chatcmpl-1")
    True
    >>> row_id("table", "1", told_apart_by=("openai",)) == row_id("table", "1")
    False
    """
    if len(source_id) == 36:
        try:
            return str(UUID(source_id))
        except ValueError:
            pass
    return str(uuid5(NAMESPACE, "\x00".join((kind, source_id, *told_apart_by))))


def complete(fields: Fields, *, mark: str, wishes: Wishes) -> Fields:
    """Return the row of one request, nulls left out.

    Parameters
    ----------
    fields
        What the source says. One that has a `cost_status` was priced by us.
    mark
        The `price_version` of costs that the source worked out.
    wishes
        What is to be done with every row.

    Raises
    ------
    BadValueError
        If what every row needs is not known.
    """
    row = {**wishes.constants, **{n: v for n, v in fields.items() if v is not None}}
    for name in ("requested_at", "provider"):
        if name not in row:
            raise BadValueError(name, None, "is missing, and every request has it")
    row.setdefault("request_method", "POST")
    row.setdefault("request_path", "")
    row.setdefault("outcome", "completed")
    row.setdefault("created_at", wishes.created_at)
    row["requested_date"] = row["requested_at"].astimezone(UTC).date()
    own_flags = list(row.get("flags", ()))
    found: list[str] = []
    row["raw_metadata"] = dict(row.get("raw_metadata", {}))
    extra = {key: v for key, v in wishes.tags.items() if key not in row["raw_metadata"]}
    add_metadata(row["raw_metadata"], extra, found)
    row.setdefault("usage_status", "reported" if any(name in row for name in COUNTS) else "missing")
    if "cost_status" not in row:
        if _has_part_over_whole(row):
            found.append(flags.USAGE_PART_OVER_WHOLE)
        found += _put_cost(row, mark, wishes.price)
    elif wishes.price is Price.ALL:
        found += _put_own_cost(row)
    row["flags"] = own_flags + [flag for flag in dict.fromkeys(found) if flag not in own_flags]
    return row


def table_of(rows: Iterable[Fields], schema: pa.Schema) -> pa.Table:
    """Return rows under the lake's `schema`, columns of keys filled."""
    as_arrow_takes_them = [
        {**row, "raw_metadata": list(row["raw_metadata"].items())} for row in rows
    ]
    stored = [column for column in schema if not column.name.startswith(PROMOTED_PREFIX)]
    table = pa.Table.from_pylist(as_arrow_takes_them, schema=pa.schema(stored))
    return filled(table, schema).select(schema.names)


def tokens_or_none(value: int | None, other: int | None) -> tuple[int | None, int | None]:
    """Return a pair of counts, both unknown where a source writes 0 for unknown."""
    return (value, other) if value or other else (None, None)


def sum_of(*values: Any) -> Any:
    """Return the sum of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


def milliseconds(first: datetime | None, last: datetime | None) -> int | None:
    """Return the whole milliseconds from one instant to another, None if they are none."""
    if first is None or last is None or last < first:
        return None
    return (last - first) // timedelta(milliseconds=1)


def _put_cost(row: Fields, mark: str, price: Price) -> tuple[str, ...]:
    """Give a row of somebody else its cost, and say where that came from."""
    if "total_cost" not in row and "input_cost" in row and "output_cost" in row:
        row["total_cost"] = sum_of(*(row.get(name) for name in COSTS[:-1]))
    stated = row.get("total_cost")
    if stated is not None:
        row["stated_cost"] = stated
        row["cost_status"], row["price_version"] = "stated", mark
        return _put_own_cost(row) if price is Price.ALL else ()
    for name in COSTS:
        row.pop(name, None)
    if price is not Price.NONE:
        row["cost_status"] = "unpriced"
        return _put_own_cost(row)
    has_usage = any(name in row for name in COUNTS)
    row["cost_status"] = "unpriced" if has_usage else "no_usage"
    return ()


def _put_own_cost(row: Fields) -> tuple[str, ...]:
    """Work the cost out by our prices; what the source said stays if there are none."""
    cost = recompute(_EMPTY | row, pricer_in_use())
    if cost.status != "priced" and row.get("total_cost") is not None:
        return ()
    row["cost_status"] = cost.status
    for name in (*COSTS, "price_version"):
        value = getattr(cost, name)
        row.pop(name, None)
        if value is not None:
            row[name] = value
    return cost.flags


def _has_part_over_whole(row: Fields) -> bool:
    return any(row.get(part, 0) > row.get(whole, MAX_COUNT) for part, whole in WHOLE_OF.items())
