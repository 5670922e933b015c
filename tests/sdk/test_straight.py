"""The official SDKs against the stand-ins themselves, with no proxy between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from majordomo_analytics.cli.standins.truth import Call


def test_sdk_reports_what_the_standins_know(
    call: str, straight: tuple[dict[str, Any], dict[str, Call]]
) -> None:
    """The whole counts worked out from the SDK's objects are the stand-ins' truth."""
    reported, truth = straight[0][call], straight[1][call]
    assert reported.input_tokens == truth.tokens.input
    assert reported.output_tokens == truth.tokens.output
    assert (reported.cached_tokens or 0) == truth.tokens.cached
    assert (reported.reasoning_tokens or 0) == truth.tokens.reasoning
    assert (reported.cache_creation_tokens or 0) == truth.tokens.written
    assert (reported.cache_creation_5m_tokens or 0) == truth.tokens.written_5m
    assert (reported.cache_creation_1h_tokens or 0) == truth.tokens.written_1h


def test_sdk_sends_the_header_of_the_request_instead_of_the_default(
    call: str, straight: tuple[dict[str, Any], dict[str, Call]]
) -> None:
    """Whatever the letter case of either; the default that was not overridden stays."""
    assert straight[1][call].majordomo_headers == {
        "x-majordomo-feature": "sdk-tests",
        "x-majordomo-user-tier": "enterprise",
        "x-majordomo-request-id": "r-1",
        "x-majordomo-call": call,
    }


def test_calls_cover_what_can_be_a_part(straight: tuple[dict[str, Any], dict[str, Call]]) -> None:
    """Cache reads, writes for both times to live, reasoning, and streams all occur."""
    calls = straight[1].values()
    for part in ("cached", "written_5m", "written_1h", "reasoning"):
        assert any(getattr(call.tokens, part) for call in calls), part
    assert {call.flavour for call in calls if call.streamed} == {call.flavour for call in calls}
