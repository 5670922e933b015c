"""Requests in the lake that nobody can say the cost of, or not all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.cli.checks.finding import Finding, counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from majordomo_analytics.ledger.ledger import Ledger


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


def look_at_requests(ledger: Ledger) -> Iterator[Finding]:
    """Yield what is wrong with the requests of a lake."""
    for check in CHECKS:
        found = ledger.sql(check.statement)
        if not found.is_empty():
            requests = counted(int(found["requests"].sum()), "request")
            yield Finding(
                "requests",
                "wrong" if check.needs_attention else "note",
                f"{requests} {check.wrong}",
                check.advice,
                tuple(found.to_dicts()),
            )
