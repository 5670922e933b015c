"""The demo's traffic: who asks what, drawn from one seed, and sent over real sockets."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import httpx

from majordomo_analytics.cli.standins.truth import CALL_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Api = Literal["chat", "responses", "messages", "generate", "embeddings", "cohere", "converse"]

USERS = 400
UNTAGGED_SHARE = 0.03
AT_ONCE = 24
TIMEOUT_S = 60.0
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of the made-up product, and how it calls models.

    Attributes
    ----------
    weight
        How often it calls, against the others.
    teams
        Who owns it; several teams share some features.
    models
        API, model and how often.
    prompt_tokens, output_tokens
        The usual prompt, drawn around it, and the limit that the feature sets.
    streamed
        Share of the calls that want a stream.
    cached_for
        How long Anthropic is to keep the instructions, None for not at all.
    arms
        Arm of an experiment, its share, and what it makes of the prompt's size.
    """

    name: str
    weight: int
    teams: Sequence[str]
    models: Sequence[tuple[Api, str, int]]
    prompt_tokens: int
    output_tokens: int
    streamed: float
    cached_for: Literal["5m", "1h"] | None = None
    arms: Sequence[tuple[str, float, float]] = ()


FEATURES = (
    Feature(
        "support-chat", 34, ["support"],
        [("chat", "gpt-4o-mini", 5), ("messages", "claude-haiku-4-5", 4)],
        1_400, 350, 0.8, "5m", [("short-prompt", 0.35, 0.55), ("control", 0.35, 1.0)],
    ),
    Feature(
        "search-answers", 24, ["search"],
        [
            ("generate", "gemini-2.5-flash", 6), ("generate", "gemini-2.5-flash-lite", 4),
            ("embeddings", "text-embedding-3-small", 2),
        ],
        2_600, 250, 0.5, None, [("rerank-first", 0.3, 0.7), ("control", 0.3, 1.0)],
    ),
    Feature(
        "code-assist", 14, ["platform", "mobile"],
        [("messages", "claude-sonnet-4-6", 5), ("responses", "gpt-5-mini", 4)],
        3_500, 900, 0.7, "5m",
    ),
    Feature(
        "summaries", 13, ["support", "sales", "legal"],
        [
            ("generate", "gemini-2.5-flash-lite", 6), ("chat", "gpt-4o-mini", 3),
            ("cohere", "command-r7b-12-2024", 1),
        ],
        3_000, 300, 0.1,
    ),
    Feature(
        "onboarding-mail", 10, ["growth"],
        [("responses", "gpt-5-mini", 2), ("chat", "gpt-4.1", 1)],
        700, 500, 0.0,
    ),
    Feature(
        "contract-review", 5, ["legal"],
        [
            ("messages", "claude-sonnet-4-6", 3), ("chat", "gpt-4.1", 2),
            ("converse", "us.meta.llama4-scout-17b-instruct-v1:0", 1),
        ],
        9_000, 1_200, 0.2, "1h",
    ),
)  # fmt: skip
ENVIRONMENTS = {"production": 88, "staging": 9, "development": 3}
TIERS = {"free": 60, "pro": 30, "enterprise": 10}
TEXT = "The customer writes that the parcel has not arrived and asks what can be done. " * 800


@dataclass(frozen=True, slots=True)
class Call:
    """One request to be sent.

    Attributes
    ----------
    name
        What the stand-ins know it by.
    feature
        What it is for; None if it is untagged.
    headers
        Credentials and metadata.
    """

    name: str
    feature: str | None
    path: str
    headers: Mapping[str, str]
    body: bytes


def plan_calls(count: int, *, seed: int = 7) -> Iterator[Call]:
    """Yield `count` calls; the same seed gives the same calls."""
    draw = random.Random(seed)  # noqa: S311 - repeatable on purpose
    users = [f"user-{rank:03}" for rank in range(1, USERS + 1)]
    zipf = [1 / rank for rank in range(1, USERS + 1)]
    tiers = {user: _pick(draw, TIERS) for user in users}
    weights = [feature.weight for feature in FEATURES]
    for number in range(1, count + 1):
        feature = draw.choices(FEATURES, weights)[0]
        user = draw.choices(users, zipf)[0]
        arm, factor = _arm(feature, draw)
        path, credentials, body = _request(feature, number, factor, draw)
        metadata = {
            "Feature": feature.name,
            "Team": draw.choice(feature.teams),
            "User-Tier": tiers[user],
            "User-Id": user,
            "Environment": _pick(draw, ENVIRONMENTS),
        }
        if arm:
            metadata["Experiment"] = arm
        tagged = draw.random() >= UNTAGGED_SHARE
        name = f"call-{number:05}"
        headers = {CALL_HEADER: name, "content-type": "application/json", **credentials}
        if tagged:
            headers |= {f"X-Majordomo-{key}": value for key, value in metadata.items()}
        yield Call(name, feature.name if tagged else None, path, headers, json.dumps(body).encode())


async def send_calls(
    calls: Iterator[Call],
    base_url: str,
    api_key: str,
    *,
    on_answer: Callable[[], object] = lambda: None,
) -> list[str]:
    """Send `calls`, some at once, and return one sentence for each that got no answer."""
    trouble: list[str] = []
    tls = ssl.create_default_context()  # made once: it is what a client takes long to make

    async def caller() -> None:
        # A client of its own: the cost of a pool grows with its connections squared.
        async with httpx.AsyncClient(
            base_url=base_url,
            headers={"X-Majordomo-Key": api_key},
            timeout=TIMEOUT_S,
            verify=tls,
            trust_env=False,
        ) as client:
            for call in calls:
                try:
                    await client.post(call.path, content=call.body, headers=call.headers)
                except httpx.HTTPError as error:
                    trouble.append(f"{call.name} to {call.path} got no answer: {error!r}")
                on_answer()

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    return trouble


def _pick(draw: random.Random, shares: Mapping[str, int]) -> str:
    return draw.choices(list(shares), list(shares.values()))[0]


def _arm(feature: Feature, draw: random.Random) -> tuple[str | None, float]:
    point = draw.random()
    for name, share, factor in feature.arms:
        if point < share:
            return name, factor
        point -= share
    return None, 1.0


def _request(
    feature: Feature, number: int, factor: float, draw: random.Random
) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return path, credentials and body of one call."""
    api, model, _ = draw.choices(feature.models, [weight for *_, weight in feature.models])[0]
    tokens = int(feature.prompt_tokens * factor * draw.lognormvariate(0, 0.45))
    characters = min(tokens * CHARACTERS_PER_TOKEN, len(TEXT))
    system = f"You work on {feature.name}. {TEXT[: characters // 2]}"
    prompt = f"Request {number}: {TEXT[: characters // 2]}"
    streamed = draw.random() < feature.streamed
    limit = feature.output_tokens
    match api:
        case "chat":
            messages = [_turn("system", system), _turn("user", prompt)]
            body = {"model": model, "messages": messages, "max_completion_tokens": limit}
            if streamed:
                body |= {"stream": True, "stream_options": {"include_usage": True}}
            return "/v1/chat/completions", {"authorization": "Bearer sk-demo"}, body
        case "responses":
            body = {"model": model, "instructions": system, "input": prompt, "stream": streamed}
            body |= {"max_output_tokens": limit}
            return "/v1/responses", {"authorization": "Bearer sk-demo"}, body
        case "messages":
            instructions: dict[str, Any] = {"type": "text", "text": system}
            if feature.cached_for:
                control = {"type": "ephemeral", "ttl": feature.cached_for}
                instructions["cache_control"] = control
            body = {"model": model, "system": [instructions], "messages": [_turn("user", prompt)]}
            body |= {"max_tokens": limit, "stream": streamed}
            credentials = {"x-api-key": "sk-ant-demo", "anthropic-version": "2023-06-01"}
            return "/v1/messages", credentials, body
        case "generate":
            body = {
                "systemInstruction": {"parts": [{"text": system}]},
                "contents": [{"role": "user", "parts": [{"text": prompt}]}],
                "generationConfig": {"maxOutputTokens": limit},
            }
            method = "generateContent"
            if streamed:
                method = draw.choice(["streamGenerateContent?alt=sse", "streamGenerateContent"])
            return f"/v1beta/models/{model}:{method}", {"x-goog-api-key": "demo"}, body
        case "embeddings":
            body = {"model": model, "input": [prompt]}
            return "/v1/embeddings", {"authorization": "Bearer sk-demo"}, body
        case "cohere":
            messages = [_turn("system", system), _turn("user", prompt)]
            body = {"model": model, "messages": messages, "max_tokens": limit, "stream": streamed}
            return "/v2/chat", {"authorization": "Bearer demo"}, body
        case "converse":
            body = {
                "system": [{"text": system}],
                "messages": [{"role": "user", "content": [{"text": prompt}]}],
                "inferenceConfig": {"maxTokens": limit},
            }
            path = f"/model/{quote(model)}/converse{'-stream' if streamed else ''}"
            return path, {"authorization": "Bearer demo"}, body


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
