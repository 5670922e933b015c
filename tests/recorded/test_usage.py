"""Recorded answers of real providers: every cut says the same, and the counts are right."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

import msgspec
import pytest

from majordomo_analytics.capture.reader import Captured, UsageReader
from majordomo_analytics.records.providers import PROVIDERS
from tests.recorded import oracle, traffic
from tests.recorded.traffic import Exchange

CUT_EVERYWHERE_BYTES = 2048
CUTS_OF_LONGER = 100
LEAST_EXACT_OF_LARGEST = 0.995
LEAST_EXACT_OF_OTHERS = 0.985
LARGEST = ("openai", "anthropic", "gemini", "vertex")

pytestmark = pytest.mark.skipif(traffic.are_absent(), reason=traffic.WHY_ABSENT)


def read(exchange: Exchange, *chunks: bytes) -> Captured:
    provider = PROVIDERS.get(exchange.provider)
    reader = UsageReader(
        oracle.flavour_in_path(exchange),
        content_encoding=exchange.content_encoding,
        adds_reasoning=provider is not None and provider.adds_reasoning,
    )
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish(complete=True)


@cache
def known_calls() -> tuple[Exchange, ...]:
    """Return the calls of a flavour whose usage the oracle knows."""
    return tuple(each for each in traffic.exchanges() if oracle.flavour_in_path(each) is not None)


def named_flavour(exchange: Exchange) -> str | None:
    """Return the flavour that the end of a path names, for the paths of OpenAI's kind."""
    parts = exchange.path.partition("?")[0].strip("/").split("/")
    if exchange.method == "GET":
        kinds = {"responses": "background_response", "runs": "assistants"}
        return kinds.get(parts[-2]) if len(parts) > 1 else None
    if parts[-2:] == ["chat", "completions"] or parts == ["v1", "chat"]:
        return "chat"
    names = {"compact": "responses", "runs": "assistants"}
    kinds = {name: name for name in ("completions", "responses", "embeddings", "messages")}
    return (kinds | names).get(parts[-1])


def test_flavours_are_those_of_the_recordings() -> None:
    """The path says the flavour, and another road through the path says the same."""
    kinds = set(oracle.EXPECTATIONS) & {
        *("chat", "completions", "responses", "background_response", "embeddings"),
        *("assistants", "messages"),
    }
    for exchange in traffic.exchanges():
        ours = oracle.flavour_in_path(exchange)
        named = named_flavour(exchange)
        if oracle.dialect_of(exchange) == "openai" or ours in kinds:
            assert named == ours or named not in kinds, exchange


@pytest.mark.slow
def test_cuts_change_nothing() -> None:
    """A recorded answer says the same wherever it is cut in two."""
    chance = random.Random(20261101)
    for exchange in known_calls():
        body = exchange.response_body
        whole = read(exchange, body)
        cuts = list(range(1, len(body)))
        if len(body) > CUT_EVERYWHERE_BYTES:
            cuts = chance.sample(cuts, CUTS_OF_LONGER)
        for cut in cuts:
            assert read(exchange, body[:cut], body[cut:]) == whole, f"{exchange} cut at {cut}"


@pytest.mark.slow
def test_single_bytes_say_the_same() -> None:
    """A recorded stream that comes byte by byte says what it says in one piece."""
    for exchange in known_calls():
        if exchange.form in {"sse", "json-array", "ndjson"}:
            body = exchange.response_body
            single = [body[at : at + 1] for at in range(len(body))]
            assert read(exchange, *single) == read(exchange, body), exchange


def test_usage_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    """Recorded answers that state usage are read to the last token, but for a few.

    Shows how many of each provider's are exact, and each that is not.
    """
    stated: Counter[tuple[str, bool]] = Counter()
    exact: Counter[tuple[str, bool]] = Counter()
    misses: list[str] = []
    for exchange in known_calls():
        captured = read(exchange, exchange.response_body)
        kind = (exchange.provider, captured.is_streamed)
        said = msgspec.structs.asdict(captured.usage)
        try:
            expected = oracle.expected_usage(exchange)
        except oracle.OracleError as error:
            stated[kind] += 1
            misses.append(f"{exchange}: no oracle, {error}")
            continue
        if expected is None:
            if captured.usage.status != "missing":
                misses.append(f"{exchange}: states no usage, read {captured.usage.raw}")
                stated[kind] += 1
            continue
        stated[kind] += 1
        wrong = oracle.differences(said, expected)
        if captured.usage.status == "reported" and not wrong:
            exact[kind] += 1
        else:
            misses.append(f"{exchange}: {captured.usage.status}, (read, expected) {wrong}")
    report = "\n".join([*table(stated, exact), *misses])
    with capsys.disabled():
        print(f"\n{report}")  # noqa: T201 - the table is what this test is read for
    largest = [kind for kind in stated if kind[0] in LARGEST]
    others = [kind for kind in stated if kind[0] not in LARGEST]
    for kinds, least in ((largest, LEAST_EXACT_OF_LARGEST), (others, LEAST_EXACT_OF_OTHERS)):
        total = sum(stated[kind] for kind in kinds)
        assert sum(exact[kind] for kind in kinds) >= least * total, report


def table(stated: Counter[tuple[str, bool]], exact: Counter[tuple[str, bool]]) -> list[str]:
    """Return lines with exact, stated and percent by provider, JSON and streams apart."""
    lines = [f"{'provider':<14}{'JSON':>18}{'streamed':>18}"]
    totals: Counter[bool] = Counter()
    rights: Counter[bool] = Counter()
    for provider in sorted({name for name, _ in stated}):
        cells = []
        for is_streamed in (False, True):
            total, right = stated[provider, is_streamed], exact[provider, is_streamed]
            totals[is_streamed] += total
            rights[is_streamed] += right
            cells.append(share(right, total))
        lines.append(f"{provider:<14}{cells[0]:>18}{cells[1]:>18}")
    all_json, all_streamed = (share(rights[kind], totals[kind]) for kind in (False, True))
    return [*lines, f"{'all':<14}{all_json:>18}{all_streamed:>18}"]


def share(right: int, total: int) -> str:
    """Return `right` of `total`, and in percent."""
    return f"{right}/{total} {right / total:.1%}" if total else "-"


def test_answers_that_state_no_usage_are_missing() -> None:
    """An answer without usage has no counts at all: unknown is not zero."""
    for exchange in known_calls():
        usage = read(exchange, exchange.response_body).usage
        if usage.raw is None:
            assert usage.status == "missing", exchange
            assert usage.input_tokens is usage.output_tokens is None, exchange


def test_errors_inside_streams_are_found() -> None:
    """A recorded answer says what went wrong exactly if it holds an error."""
    for exchange in known_calls():
        if exchange.form not in {"json", "json-array", "sse"} or b"\n{" in exchange.text.strip():
            continue  # no JSON, or several lines of it
        has_error = any(
            part.get("error")
            or (part.get("response") or {}).get("error")
            or (exchange.status >= 400 and part.get("message"))
            for part in oracle.documents(exchange.text)
        )
        message = read(exchange, exchange.response_body).error_message
        assert (message is not None) == bool(has_error), exchange
