"""`mdm doctor`: what in a data directory needs somebody's attention."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import typer

from majordomo_analytics.cli.options import DEFAULT_DATA, DataOption

if TYPE_CHECKING:
    import polars as pl

    from majordomo_analytics.datadir import DataDirectory

NEEDS_ATTENTION = 1
MOST_ROWS = 30
MOST_REASON_CHARACTERS = 120
LONGEST_WAIT = timedelta(minutes=5)
"""How long a finished request may be on its way; a drain that runs needs seconds."""


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
    needs_attention
        Whether somebody can do something about it.
    """

    wrong: str
    advice: str
    statement: str
    needs_attention: bool = True


_BROKEN_OFF = """
        select provider, api_flavour, outcome, count(*) as requests,
            count(*) filter (is_streamed) as streamed,
            min(requested_at) as first_seen, max(requested_at) as last_seen
        from llm_requests
        where cost_status = 'no_usage' and (status_code is null or status_code < 400)
            and outcome in ({outcomes}) and request_method <> 'GET'
            and api_flavour is not null and api_flavour <> 'count_tokens'
        group by all order by requests desc, provider, api_flavour, outcome
"""

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
        "A stream of OpenAI's API says what it used only if the request asks for it "
        "(stream_options.include_usage), a background response once it is read at its end.",
        """
        select provider, api_flavour, usage_status,
            count(*) as requests, count(*) filter (is_streamed) as streamed,
            min(requested_at) as first_seen, max(requested_at) as last_seen
        from llm_requests
        where cost_status = 'no_usage' and status_code < 400 and outcome = 'completed'
            and api_flavour is not null and api_flavour <> 'count_tokens'
            and not list_contains(flags, 'usage_repeated')
            -- Who asks before the end is told nothing, and is asked for nothing.
            and not (request_method = 'GET'
                and api_flavour in ('background_response', 'assistants'))
            -- What was begun here and read later has its usage in the row that read it.
            and not exists (
                select 1 from llm_requests as reading
                where reading.response_id = llm_requests.response_id
                    and reading.request_method = 'GET' and reading.usage_status <> 'missing'
            )
        group by all order by requests desc, provider, api_flavour, usage_status
        """,
    ),
    Check(
        "without a cost: broken off before the counts came",
        "A provider may bill them all the same. The error_message of a row says what happened.",
        _BROKEN_OFF.format(outcomes="'interrupted', 'timeout'"),
    ),
    Check(
        "without a cost: the caller went away before the counts came",
        "A provider may bill them all the same.",
        _BROKEN_OFF.format(outcomes="'client_disconnected'"),
        needs_attention=False,
    ),
    Check(
        "priced at the standard rate: the service tier has no price",
        "Give the tier one in a price book: service_tier (also for a traffic_type), processing, "
        "speed or inference_geo.",
        """
        select provider, model, service_tier, traffic_type,
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
    """Say what needs attention: requests without a price or usage, rows that got stuck.

    Ends with 0 if nothing is wrong, with 1 if something needs attention.
    """
    from majordomo_analytics.cli.screen import out, say
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.ledger.ledger import open as open_ledger

    ledger = open_ledger(data)
    directory = DataDirectory.open(data)
    wrong = noted = 0
    for look in (_look_at_dead_letters, _look_at_spools):
        needs_attention = look(directory)
        wrong += needs_attention is True
        noted += needs_attention is False
    for check in CHECKS:
        found = ledger.sql(check.statement)
        if found.is_empty():
            continue
        wrong += check.needs_attention
        noted += not check.needs_attention
        out.print(f"{_requests(int(found['requests'].sum()))} {check.wrong}", markup=False)
        _print_table(found.head(MOST_ROWS))
        if found.height > MOST_ROWS:
            out.print(f"and {found.height - MOST_ROWS:,} more lines", markup=False)
        out.print(f"{check.advice}\n", markup=False)
    requests = ledger.sql("select count(*) as requests from llm_requests").item()
    if wrong:
        checks = len(CHECKS) + 2
        say(f"{wrong} of {checks} checks found what needs attention; {_requests(requests)}")
        raise typer.Exit(NEEDS_ATTENTION)
    say(f"nothing {'needs attention in' if noted else 'is wrong with'} {_requests(requests)}")


def _look_at_dead_letters(data: DataDirectory) -> bool | None:
    """Show what sinks refused; return whether it needs attention, None if there is none."""
    import polars as pl

    from majordomo_analytics.cli.screen import out
    from majordomo_analytics.drain.dead_letters import DeadLetters

    kinds = DeadLetters(data.dead_letters).kinds()
    if not kinds:
        return None
    refused = _requests(sum(kind.requests for kind in kinds))
    out.print(f"{refused} set aside: a sink refused them", markup=False)
    lines = []
    for kind in kinds[:MOST_ROWS]:
        reason = " ".join(kind.reason.split())[:MOST_REASON_CHARACTERS]
        lines.append({**asdict(kind), "reason": reason})
    _print_table(pl.DataFrame(lines))
    out.print("`mdm drain --retry-dead` gives them to the sink again.\n", markup=False)
    return True


def _look_at_spools(data: DataDirectory) -> bool | None:
    """Show what waits in the spools; return as `_look_at_dead_letters` does."""
    from majordomo_analytics.cli.screen import out
    from majordomo_analytics.drain.removal import fed_place, fed_sinks
    from majordomo_analytics.drain.waiting import waiting
    from majordomo_analytics.lake.table import appended_up_to

    told = {"the lake": waiting(data, lambda spool: appended_up_to(data.lake, spool))}
    for sink in sorted(fed_sinks(data) - {"lake"}):
        place = fed_place(data, sink)
        name = f"{sink} at {place!r}" if place else sink
        told[name] = waiting(data, with_writer=False)
    needs_attention: bool | None = None
    now = datetime.now(UTC)
    for trouble in sorted({trouble for found in told.values() for trouble in found.troubles}):
        needs_attention = True
        out.print(f"{trouble}\n", markup=False)
    for name, found in told.items():
        if not found.rows:
            continue
        is_late = found.oldest_at is None or now - found.oldest_at > LONGEST_WAIT
        needs_attention = bool(needs_attention) or is_late
        since = f", the oldest for {_age(now - found.oldest_at)}" if found.oldest_at else ""
        out.print(f"{_requests(found.rows)} in the spool, kept for {name}{since}", markup=False)
        advice = "`mdm drain --once` drains them, or says what is in the way."
        out.print(f"{advice}\n" if is_late else "A drain that runs has them soon.\n", markup=False)
    return needs_attention


def _age(age: timedelta) -> str:
    """Return an age in its largest unit: 3 days, 5 h, 12 min, 8 s."""
    seconds = max(0, int(age.total_seconds()))
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit}"
    return f"{seconds} s"


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
