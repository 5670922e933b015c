"""What pricing a row costs: our compiled plans beside genai-prices, in one run, as a ratio.

Both price the same rows of the same models at the same instants; genai-prices is asked as
its documentation shows (`calc_price` with the model's and the provider's name), which looks
the model up and works the price out anew each time. The first row of a model, which makes
its plan, is shown by itself.

    python benchmarks/pricing.py [--rows 20000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import UTC, datetime, timedelta

from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

from majordomo_analytics.pricing.pricer import Pricer
from majordomo_analytics.records.usage import Usage

MODELS = (
    ("openai", "openai", "gpt-4o-mini-2024-07-18"),
    ("openai", "openai", "gpt-5"),
    ("anthropic", "anthropic", "claude-sonnet-4-6"),
    ("gemini", "google", "gemini-2.5-pro"),
    ("deepseek", "deepseek", "deepseek-chat"),
    ("openrouter", "openrouter", "meta-llama/llama-3.3-70b-instruct"),
)
START = datetime(2026, 11, 20, tzinfo=UTC)
OURS = Usage(
    input_tokens=2000,
    cached_tokens=1200,
    cache_creation_tokens=100,
    output_tokens=300,
    reasoning_tokens=120,
    service_tier="default",
    status="reported",
)
THEIRS = {
    "input_tokens": 2000,
    "cache_read_tokens": 1200,
    "cache_write_tokens": 100,
    "output_tokens": 300,
    "output_reasoning_tokens": 120,
}


def instant(row: int) -> datetime:
    """Return instants spread over a day, so that prices by the hour take part."""
    return START + timedelta(seconds=row * 7919 % 86_400)


def ours(pricer: Pricer, rows: int) -> float:
    """Return CPU microseconds a row."""
    instants = [instant(row) for row in range(rows)]
    begun = time.process_time()
    for row, at in enumerate(instants):
        provider, _, model = MODELS[row % len(MODELS)]
        pricer.price(
            OURS,
            provider=provider,
            model=model,
            requested_model=model,
            requested_at=at,
            request_path="/v1/chat/completions",
        )
    return (time.process_time() - begun) / rows * 1e6


def theirs(rows: int) -> float:
    """Return CPU microseconds a row."""
    instants = [instant(row) for row in range(rows)]
    begun = time.process_time()
    for row, at in enumerate(instants):
        _, provider, model = MODELS[row % len(MODELS)]
        calc_price(TheirUsage(**THEIRS), model, provider_id=provider, genai_request_timestamp=at)
    return (time.process_time() - begun) / rows * 1e6


def check_equal(pricer: Pricer) -> None:
    """Compare the totals, lest the quicker one price something else."""
    for provider, list_name, model in MODELS:
        cost = pricer.price(
            OURS, provider=provider, model=model, requested_model=model, requested_at=START
        )
        price = calc_price(
            TheirUsage(**THEIRS), model, provider_id=list_name, genai_request_timestamp=START
        )
        assert cost.total_cost == round(price.total_price, 10), model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    pricer = Pricer()
    begun = time.process_time()
    check_equal(pricer)
    first = (time.process_time() - begun) / len(MODELS) * 1e6
    pairs = [
        (ours(pricer, asked.rows), theirs(max(asked.rows // 50, 1))) for _ in range(asked.rounds)
    ]
    our_rows, their_rows = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"{'compiled plans':<22}{our_rows:>8.1f} us a row, {min(p[0] for p in pairs):.1f} at best"
    )
    print(f"{'genai-prices':<22}{their_rows:>8.1f} us a row")
    print(f"{'ratio':<22}{our_rows / their_rows:>8.3f}")
    print(f"{'first row of a model':<22}{first:>8.0f} us, both ways, their data's loading included")


if __name__ == "__main__":
    main()
