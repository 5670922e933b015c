"""Real SDKs through the proxy: they notice nothing, and every row is true."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from majordomo_analytics.cli.standins.truth import Call

    Proxied = tuple[dict[str, Any], dict[str, Call], dict[str, dict[str, Any]]]


def test_row_has_the_tokens_that_the_sdk_reports(call: str, proxied: Proxied) -> None:
    """Whole counts, with every part that the SDK knows of."""
    reported = {
        name: count for name, count in asdict(proxied[0][call]).items() if count is not None
    }
    row = proxied[2][call]
    assert {name: row[name] for name in reported} == reported


def truth_is_silent_about_reasoning(truth: Call) -> bool:
    """Say whether a host's answer has no place for reasoning, or none was done."""
    return truth.tokens.reasoning == 0 or truth.provider == "gemini-openai"


def test_row_has_the_tokens_that_the_standins_used(call: str, proxied: Proxied) -> None:
    """Also of streams whose usage the caller was not told, or left before its end."""
    row, tokens = proxied[2][call], proxied[1][call].tokens
    assert row["usage_status"] == "reported"
    if tokens.searches:
        assert (row["input_tokens"], row["output_tokens"]) == (None, 0)
        assert row["rerank_searches"] == tokens.searches
        return
    assert (row["input_tokens"], row["output_tokens"]) == (tokens.input, tokens.output)
    assert (row["cached_tokens"] or 0) == tokens.cached
    assert (row["cache_creation_tokens"] or 0) == tokens.written
    assert (row["output_image_tokens"] or 0) == tokens.output_image
    if row["reasoning_tokens"] is None:  # some hosts do not tell it apart
        assert truth_is_silent_about_reasoning(proxied[1][call])
    else:
        assert row["reasoning_tokens"] == tokens.reasoning


def test_row_costs_what_the_standins_charged(call: str, proxied: Proxied) -> None:
    """To the last decimal; what is on no price card is unpriced, never free."""
    row, truth = proxied[2][call], proxied[1][call]
    assert row["total_cost"] == truth.cost
    if truth.cost is None:
        assert row["cost_status"] == "unpriced"
        return
    assert row["cost_status"] == "priced"
    assert row["total_cost"] == row["input_cost"] + row["output_cost"] + row["tool_cost"]


def test_sdk_reports_the_same_as_without_the_proxy(
    call: str, proxied: Proxied, straight: tuple[dict[str, Any], dict[str, Call]]
) -> None:
    assert proxied[0][call] == straight[0][call]


def test_row_has_the_metadata_under_canonical_names(call: str, proxied: Proxied) -> None:
    """However the SDK spelled them; the request's own value instead of the default."""
    assert proxied[2][call]["raw_metadata"] == {
        "Feature": "sdk-tests",
        "User-Tier": "enterprise",
        "Request-Id": "r-1",
        "Call": call,
    }


def test_no_majordomo_header_reaches_a_provider(call: str, proxied: Proxied) -> None:
    assert proxied[1][call].majordomo_headers == {}


def test_row_says_which_api_was_called_and_how(call: str, proxied: Proxied) -> None:
    row, truth = proxied[2][call], proxied[1][call]
    assert (row["model"], row["api_flavour"]) == (truth.model, truth.flavour)
    assert row["provider"] == truth.provider
    assert (row["is_streamed"], row["status_code"]) == (truth.streamed, 200)


def test_call_that_was_read_to_its_end_is_completed(call: str, proxied: Proxied) -> None:
    """OpenAI's SDK hangs up on ``[DONE]``, before the end of the HTTP message."""
    left = call.endswith("_left")
    assert proxied[2][call]["outcome"] == ("client_disconnected" if left else "completed")


def test_row_of_a_stream_that_was_left_is_whole(left: str, proxied: Proxied) -> None:
    """The proxy reads on: the provider bills the whole answer, whoever listens."""
    row, truth = proxied[2][left], proxied[1][left]
    assert (row["input_tokens"], row["output_tokens"]) == (truth.tokens.input, truth.tokens.output)
    assert row["usage_status"] == "reported"
    assert row["total_cost"] == truth.cost


def test_no_credential_is_stored(proxied: Proxied) -> None:
    """The SDKs' made-up keys are nowhere in a row, nor is the caller's API key."""
    stored = repr(proxied[2])
    assert "made-up" not in stored
    assert "mdm_sk_" not in stored
