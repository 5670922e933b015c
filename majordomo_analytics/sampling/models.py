"""The models that the made-up company calls: real names, and how such models behave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Caching = Literal["never", "automatic", "implicit", "marked"]
"""How a provider caches and says so.

`automatic`: reads in steps of 128 tokens, always stated (OpenAI); `implicit`: stated only
if there are any (Gemini); `marked`: what callers mark is written, then read (Anthropic).
"""


@dataclass(frozen=True, slots=True)
class Model:
    """One model behind one API.

    Attributes
    ----------
    provider, name, flavour
        As in the row.
    path, stream_path
        Where it is called, without and with a stream.
    first_byte_ms
        The usual time to the first byte.
    output_us
        Microseconds for each token of the answer.
    caching
        How its provider caches.
    reasoning_percent
        How much of the answer is reasoning; None where nothing is said about it.
    answers
        Whether there are tokens of an answer at all.
    says_audio
        Whether it counts audio, even if there is none.
    service_tier, inference_geo
        As the answer says.
    """

    provider: str
    name: str
    flavour: str
    path: str
    stream_path: str
    first_byte_ms: int
    output_us: int
    caching: Caching = "never"
    reasoning_percent: int | None = None
    answers: bool = True
    says_audio: bool = False
    service_tier: str | None = None
    inference_geo: str | None = None


def _chat(name: str, first_byte_ms: int, output_us: int) -> Model:
    path = "/v1/chat/completions"
    return Model(
        "openai", name, "chat", path, path, first_byte_ms, output_us, "automatic", 0,
        says_audio=True, service_tier="default",
    )  # fmt: skip


def _responses(name: str, first_byte_ms: int, output_us: int, reasoning: int) -> Model:
    path = "/v1/responses"
    return Model(
        "openai", name, "responses", path, path, first_byte_ms, output_us, "automatic",
        reasoning, service_tier="default",
    )  # fmt: skip


def _claude(name: str, first_byte_ms: int, output_us: int) -> Model:
    path = "/v1/messages"
    return Model(
        "anthropic", name, "messages", path, path, first_byte_ms, output_us, "marked", 0,
        service_tier="standard", inference_geo="not_available",
    )  # fmt: skip


def _gemini(name: str, first_byte_ms: int, output_us: int, reasoning: int | None) -> Model:
    path, stream = (f"/v1beta/models/{name}:{verb}enerateContent" for verb in ("g", "streamG"))
    return Model(
        "gemini", name, "generate_content", path, stream, first_byte_ms, output_us, "implicit",
        reasoning,
    )  # fmt: skip


def _mistral(name: str, first_byte_ms: int, output_us: int) -> Model:
    path = "/v1/chat/completions"
    return Model("mistral", name, "chat", path, path, first_byte_ms, output_us)


FINE_TUNED = "ft:gpt-4.1-mini-2025-04-14:northwind::C9kQ2xVb"
"""A model of the company's own: no price list has it."""

MODELS: tuple[Model, ...] = (
    _chat("gpt-4.1-mini", 420, 9_000),
    _responses("gpt-5.6-luna", 610, 7_500, 35),
    _responses("gpt-5.6-terra", 900, 14_000, 45),
    _chat(FINE_TUNED, 450, 9_500),
    Model(
        "openai", "text-embedding-3-small", "embeddings", "/v1/embeddings", "/v1/embeddings",
        120, 0, answers=False,
    ),
    _claude("claude-haiku-4-5", 520, 8_000),
    _claude("claude-sonnet-4-6", 880, 11_000),
    _claude("claude-opus-4-8", 1_350, 14_000),
    _gemini("gemini-2.5-flash-lite", 310, 4_500, None),
    _gemini("gemini-2.5-flash", 430, 5_500, 20),
    _gemini("gemini-3.5-flash", 650, 7_000, 30),
    _mistral("mistral-small-2603", 340, 7_000),
    _mistral("mistral-large-2512", 560, 12_500),
)  # fmt: skip
PLACE_OF = {model.name: place for place, model in enumerate(MODELS)}
