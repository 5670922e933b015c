"""What a recorded answer used, worked out by another road than `capture`.

The whole body at once, plain `json`, a stream merged by hand into one answer as if it had
not been streamed, genai-prices to read the counts, and rules written out here for what it
does not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from genai_prices.data_snapshot import get_snapshot

from majordomo_analytics.capture.flavours import Flavour, flavour_of
from majordomo_analytics.records.providers import PROVIDERS, Dialect
from tests.recorded import oracle_clouds
from tests.recorded.names import OUR_NAMES
from tests.recorded.traffic import Exchange

Answer = dict[str, Any]
Counts = dict[str, int]


class OracleError(ValueError):
    """Raised when an answer states usage that the oracle cannot read."""


def expected_usage(exchange: Exchange) -> Counts | None:
    """Return the counts of a recorded answer by column; None if it states no usage.

    A count that is not in the result is zero or was not stated.

    Raises
    ------
    OracleError
        If the answer states usage that genai-prices cannot read.
    """
    flavour = flavour_in_path(exchange)
    expected = None if flavour is None else EXPECTATIONS[flavour](exchange)
    if expected is None:
        return None
    return {name: count for name, count in expected.items() if count}


def differences(said: Mapping[str, Any], expected: Counts) -> dict[str, tuple[Any, Any]]:
    """Return the columns that differ, with what was said and what was expected.

    All columns of tokens are compared, and of the others those that are expected.
    """
    found = {}
    for name in {*OUR_NAMES.values(), *expected}:
        said_here, expected_here = said.get(name) or 0, expected.get(name) or 0
        if said_here != expected_here:
            found[name] = (said_here, expected_here)
    return found


def dialect_of(exchange: Exchange) -> Dialect:
    """Return whose API was called; hosts that are not in our table copy OpenAI's."""
    provider = PROVIDERS.get(exchange.provider)
    return "openai" if provider is None else provider.dialect


def flavour_in_path(exchange: Exchange) -> Flavour | None:
    """Return the flavour of a call whose usage the oracle knows, else None."""
    flavour = flavour_of(dialect_of(exchange), exchange.method, exchange.path)
    return flavour if flavour in EXPECTATIONS else None


def documents(body: bytes) -> list[Answer]:
    """Return the JSON objects of a body of any form."""
    text = body.decode("utf-8-sig", "replace").strip()
    if text.startswith("["):
        return [one for one in json.loads(text) if isinstance(one, dict)]
    if text.startswith("{"):
        return [json.loads(text)]
    found = []
    for event in re.split(r"\r\n\r\n|\n\n|\r\r", text):
        data = [line[5:] for line in event.splitlines() if line.startswith("data:")]
        joined = "\n".join(data).strip()
        if joined.startswith("{"):
            found.append(json.loads(joined))
    return found


def extracted(provider_id: str, api_flavour: str, answer: Answer) -> Counts:
    """Return the counts that genai-prices reads in an answer, by column."""
    provider = next(p for p in get_snapshot().providers if p.id == provider_id)
    try:
        _, usage = provider.extract_usage({"model": "m", **answer}, api_flavor=api_flavour)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise OracleError(message) from error
    counts = {ours: getattr(usage, theirs, None) for theirs, ours in OUR_NAMES.items()}
    return {name: int(count) for name, count in counts.items() if count}


def chat_usage(exchange: Exchange) -> Counts | None:
    """Return the last usage of the chunks, wherever the host puts it."""
    usage: Answer | None = None
    for part in documents(exchange.text):
        places = [part, part.get("x_groq") or {}, *(part.get("choices") or [])[:1]]
        usage = next((place["usage"] for place in places if place.get("usage")), usage)
    if usage is None:
        return None
    counts = extracted("openai", "chat", {"usage": usage})
    prompt = usage.get("prompt_tokens_details") or usage.get("prompt_token_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    hosts = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens")
    if prompt.get("cached_tokens") is None:
        counts["cached_tokens"] = next((usage[name] for name in hosts if usage.get(name)), 0)
    counts["input_video_tokens"] = prompt.get("video_tokens") or 0
    counts["output_image_tokens"] = completion.get("image_tokens") or 0
    searches = usage.get("server_tool_use_details") or {}
    counts["web_searches"] = searches.get("web_search_requests") or 0
    return counts


def response_usage(exchange: Exchange) -> Counts | None:
    """Return the usage of the last response that has one, and the searches in it."""
    answers = [part.get("response") or part for part in documents(exchange.text)]
    answer = next((one for one in reversed(answers) if one.get("usage")), None)
    if answer is None:
        return None
    counts = extracted("openai", "responses", answer)
    kinds = [
        item["type"]
        for item in answer.get("output") or []
        if item.get("action", {}).get("type", "search") == "search"
    ]
    stated = (answer.get("tool_usage") or {}).get("web_search")
    searches = kinds.count("web_search_call")
    counts["web_searches"] = searches if stated is None else stated["num_requests"]
    counts["storage_searches"] = kinds.count("file_search_call")
    return counts


def background_usage(exchange: Exchange) -> Counts | None:
    """Return the usage of a response that was made in the background and has ended."""
    answers = [part.get("response") or part for part in documents(exchange.text)]
    is_ended = answers[-1].get("status") in {"completed", "incomplete", "failed", "cancelled"}
    return response_usage(exchange) if answers[-1].get("background") and is_ended else None


def embedding_usage(exchange: Exchange) -> Counts | None:
    """Return the prompt, which some hosts call the total."""
    usage = documents(exchange.text)[0].get("usage")
    if usage is None:
        return None
    return {"input_tokens": usage.get("prompt_tokens", usage["total_tokens"]), "output_tokens": 0}


def run_usage(exchange: Exchange) -> Counts | None:
    """Return the usage of the run, which has that of its steps."""
    runs = [part for part in documents(exchange.text) if part.get("object") == "thread.run"]
    usage = next((run["usage"] for run in reversed(runs) if run.get("usage")), None)
    if usage is None:
        return None
    counts = extracted("openai", "chat", {"usage": usage})
    return counts | {"cached_tokens": usage["prompt_token_details"]["cached_tokens"]}


def message_usage(exchange: Exchange) -> Counts | None:
    """Return what the delta says over what the start said, or the sum of the calls."""
    usage: Answer = {}
    for part in documents(exchange.text):
        message = part.get("message") if part.get("type") == "message_start" else part
        given = (message or {}).get("usage") or {}
        usage.update({name: count for name, count in given.items() if count is not None})
    if not usage:
        return None
    whole = extracted("anthropic", "default", {"usage": usage})
    if usage.get("iterations"):
        calls = [extracted("anthropic", "default", {"usage": u}) for u in usage["iterations"]]
        parts = {name: sum(call.get(name, 0) for call in calls) for name in OUR_NAMES.values()}
        whole = parts | {"reasoning_tokens": whole.get("reasoning_tokens", 0)}
    tools = usage.get("server_tool_use") or {}
    return whole | {"web_searches": tools.get("web_search_requests") or 0}


EXPECTATIONS: dict[Flavour, Callable[[Exchange], Counts | None]] = {
    "chat": chat_usage,
    "completions": chat_usage,
    "responses": response_usage,
    "background_response": background_usage,
    "embeddings": embedding_usage,
    "assistants": run_usage,
    "messages": message_usage,
    **oracle_clouds.EXPECTATIONS,
}
"""Flavour to how its usage is worked out."""
