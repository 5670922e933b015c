"""`mdm doctor`: what in a data directory needs somebody's attention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import typer

from majordomo_analytics.cli.options import DEFAULT_DATA, DataOption

if TYPE_CHECKING:
    import polars as pl

NEEDS_ATTENTION = 1
MOST_ROWS = 30


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that can be wrong with requests.

    Attributes
    ----------
    wrong
        What it says about the number of requests that it found.
    advice
        What can be done about it.
    statement
        DuckDB SQL that returns a line for each group of such requests, and how many they
        are in ``requests``; no line if nothing is wrong.
    """

    wrong: str
    advice: str
    statement: str


CHECKS: tuple[Check, ...] = (
    Check(
        "without a cost: no price is known for the model",
        "Give it one in a price book (prices.toml in the data directory).",
        """
        select provider, coalesce(model, '(not named)') as model, count(*) as requests,
            sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
            min(requested_at) as first_seen, max(requested_at) as last_seen
        from llm_requests where cost_status = 'unpriced'
        group by all order by requests desc, provider, model
        """,
    ),
    Check(
        "without a cost: the counts contradict each other",
        "Their usage_raw has what the provider sent; its flags say what is odd about it.",
        """
        select provider, coalesce(model, '(not named)') as model, count(*) as requests,
            coalesce(string_agg(distinct array_to_string(flags, ', '), '; '), '') as flags,
            min(requested_at) as first_seen, max(requested_at) as last_seen
        from llm_requests where cost_status = 'error'
        group by all order by requests desc, provider, model
        """,
    ),
    Check(
        "answered without the counts that a cost needs",
        "A stream of OpenAI's API says what it used only if the request asks for it: "
        "stream_options.include_usage.",
        """
        select provider, api_flavour, usage_status,
            count(*) as requests, count(*) filter (is_streamed) as streamed,
            min(requested_at) as first_seen, max(requested_at) as last_seen
        from llm_requests
        where cost_status = 'no_usage' and status_code < 400 and outcome = 'completed'
            and api_flavour is not null and api_flavour <> 'count_tokens'
            and not list_contains(flags, 'usage_repeated')
        group by all order by requests desc, provider, api_flavour, usage_status
        """,
    ),
    Check(
        "priced at the standard rate: the service tier has no price",
        "Give the tier one in a price book: service_tier, processing, speed or inference_geo.",
        """
        select provider, model, service_tier,
            speed, inference_geo,
            count(*) as requests, sum(total_cost) as total_cost,
            min(requested_at) as first_seen, max(requested_at) as last_seen
        from llm_requests where list_contains(flags, 'price_tier_unknown')
        group by all order by requests desc, provider, model
        """,
    ),
    Check(
        "priced without their searches, which have no price",
        "Give the model its rates in a price book: input_mtok, output_mtok, web_searches_kcount.",
        """
        select provider, model, count(*) as requests,
            sum(web_searches)::bigint as web_searches,
            sum(social_searches)::bigint as social_searches,
            sum(storage_searches)::bigint as storage_searches,
            sum(rerank_searches)::bigint as rerank_searches,
            min(requested_at) as first_seen, max(requested_at) as last_seen
        from llm_requests where list_contains(flags, 'price_incomplete')
        group by all order by requests desc, provider, model
        """,
    ),
)
"""Every check, in the order in which it is shown."""


def doctor(data: DataOption = DEFAULT_DATA) -> None:
    """Say what in a data directory needs attention: models without a price, lost usage.

    Ends with 0 if nothing is wrong, with 1 if something needs attention.
    """
    from majordomo_analytics.cli.screen import out, say
    from majordomo_analytics.ledger.ledger import open as open_ledger

    ledger = open_ledger(data)
    wrong = 0
    for check in CHECKS:
        found = ledger.sql(check.statement)
        if found.is_empty():
            continue
        wrong += 1
        out.print(f"{_requests(int(found['requests'].sum()))} {check.wrong}", markup=False)
        _print_table(found.head(MOST_ROWS))
        if found.height > MOST_ROWS:
            out.print(f"and {found.height - MOST_ROWS:,} more lines", markup=False)
        out.print(f"{check.advice}\n", markup=False)
    requests = ledger.sql("select count(*) as requests from llm_requests").item()
    if wrong:
        say(f"{wrong} of {len(CHECKS)} checks found something in {_requests(requests)}")
        raise typer.Exit(NEEDS_ATTENTION)
    say(f"nothing is wrong with {_requests(requests)}")


def _requests(count: int) -> str:
    return f"{count:,} request{'' if count == 1 else 's'}"


def _print_table(rows: pl.DataFrame) -> None:
    """Print columns as wide as they are: a name that was cut could not be copied."""
    from majordomo_analytics.cli.screen import out

    columns = []
    for column in rows:
        if column.null_count() == rows.height:
            continue
        heading = f"{column.name} (UTC)" if column.dtype.is_temporal() else column.name
        cells = [heading, *map(_shown, column)]
        width = max(map(len, cells))
        is_number = column.dtype.is_numeric()
        columns.append([cell.rjust(width) if is_number else cell.ljust(width) for cell in cells])
    for line in zip(*columns, strict=True):
        out.print("  ".join(line).rstrip(), markup=False)


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, Decimal):
        return f"{value:,f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
