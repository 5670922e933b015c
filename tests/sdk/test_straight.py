"""Real SDKs against the stand-ins themselves, with no proxy between."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.sdk.roads import Usage

if TYPE_CHECKING:
    from majordomo_analytics.cli.standins.truth import Call


def test_sdk_reports_what_the_standins_know(
    call: str, straight: tuple[dict[str, Any], dict[str, Call]]
) -> None:
    """The whole counts worked out from the SDK's objects are the stand-ins' truth."""
    reported, tokens = straight[0][call], straight[1][call].tokens
    known = {
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cached_tokens": tokens.cached,
        "reasoning_tokens": tokens.reasoning,
        "cache_creation_tokens": tokens.written,
        "cache_creation_5m_tokens": tokens.written_5m,
        "cache_creation_1h_tokens": tokens.written_1h,
        "input_image_tokens": tokens.input_image,
        "rerank_searches": tokens.searches,
    }
    said = {name: count for name, count in asdict(reported).items() if count is not None}
    assert said == {name: known[name] for name in said}
    silent = call.endswith(("_left", "_unasked"))
    assert silent == (reported == Usage())


def test_sdk_sends_the_header_of_the_request_instead_of_the_default(
    call: str, straight: tuple[dict[str, Any], dict[str, Call]]
) -> None:
    """Whatever the letter case of either; the default that was not overridden stays."""
    routing = {"x-majordomo-provider", "x-majordomo-bedrock-region"}
    sent = straight[1][call].majordomo_headers
    assert {name: value for name, value in sent.items() if name not in routing} == {
        "x-majordomo-feature": "sdk-tests",
        "x-majordomo-user-tier": "enterprise",
        "x-majordomo-request-id": "r-1",
        "x-majordomo-call": call,
    }


def test_calls_cover_what_can_be_a_part(straight: tuple[dict[str, Any], dict[str, Call]]) -> None:
    """Cache reads, writes for both times to live, reasoning, and streams all occur."""
    calls = straight[1].values()
    for part in ("cached", "written_5m", "written_1h", "reasoning", "input_image", "searches"):
        assert any(getattr(call.tokens, part) for call in calls), part
    never_streamed = {"embeddings", "embed", "rerank", "images"}
    flavours = {call.flavour for call in calls}
    assert {call.flavour for call in calls if call.streamed} == flavours - never_streamed
