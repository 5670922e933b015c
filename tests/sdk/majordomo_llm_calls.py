"""Make calls with majordomo_llm, and print what it reports of each as JSON.

It runs in an environment of its own (`client-requirements.txt`), which has nothing of
ours: ``python majordomo_llm_calls.py ADDRESS API_KEY``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from pydantic import BaseModel

MODELS = {
    "openai": "gpt-5-mini",
    "anthropic": "claude-opus-4-8",
    "gemini": "gemini-3.5-flash-lite",
    "cohere": "command-r7b-12-2024",
    "fireworks": "accounts/fireworks/models/glm-5p3",
    "together": "zai-org/GLM-5.3",
    "baseten": "zai-org/GLM-5.3",
    "bedrock": "us.meta.llama4-scout-17b-instruct-v1:0",
    "bedrock_mantle": "anthropic.claude-haiku-4-5",
    "majordomo": "glm-5.3",
}
IMAGES = "gpt-image-2"
REGION = "eu-central-1"
SYSTEM = "You are a careful lawyer who answers briefly. " * 150
PROMPT = "Summarise the contract."
IN_WORDS = "Summarise the contract. Answer with JSON only."


class Clause(BaseModel):
    """What structured answers are asked for as."""

    title: str
    notice_days: int


class Caller:
    """One address, one API key, and what the client reported so far."""

    def __init__(self, address: str, api_key: str) -> None:
        self._address = address
        self._api_key = api_key
        self.reported: list[dict[str, Any]] = []

    def defaults(self, name: str) -> dict[str, str]:
        """Return the headers of every call of one instance; a call overrides the tier."""
        return {
            "X-Majordomo-Key": self._api_key,
            "X-Majordomo-Feature": "client-tests",
            "X-Majordomo-User-Tier": "free",
            "X-Majordomo-Call": name,
            "X-Demo-Call": name,
        }

    def instance(self, provider: str, name: str, **more: str) -> Any:
        """Return the client for a provider, which sends its calls to the address."""
        from majordomo_llm import get_llm_instance

        return get_llm_instance(
            provider,
            MODELS[provider],
            api_key=self._api_key if provider == "majordomo" else "made-up",
            base_url=self._address,
            default_headers=self.defaults(name) | more,
            region=REGION,
        )

    def images(self, name: str) -> Any:
        """Return the client for images."""
        from majordomo_llm import get_image_instance

        return get_image_instance(
            "openai",
            IMAGES,
            api_key="made-up",
            base_url=self._address,
            default_headers=self.defaults(name),
        )

    def cascade(self, name: str) -> Any:
        """Return a cascade whose first provider refuses."""
        from majordomo_llm import LLMCascade

        cascade = LLMCascade(
            [(provider, MODELS[provider]) for provider in ("openai", "anthropic")],
            api_key="made-up",
            base_url=self._address,
            default_headers=self.defaults(name),
        )
        cascade.llms[0] = self.instance("openai", f"{name}-refused", **{"X-Demo-Error": "400"})
        return cascade

    def report(self, name: str, provider: str, usage: Any) -> None:
        """Keep what the client says that a call used, and who answered a routed one."""
        self.reported.append(
            {
                "name": name,
                "provider": provider,
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cached_tokens": usage.cached_tokens,
                "cache_creation_tokens": usage.cache_creation_tokens,
                "routed_provider": getattr(usage, "routed_provider", None),
                "routed_model": getattr(usage, "routed_model", None),
            }
        )

    def report_images(self, name: str, usage: Any) -> None:
        """Keep what the client says of a call for images, which it counts by kind."""
        self.reported.append(
            {
                "name": name,
                "provider": "openai",
                "input_tokens": usage.text_input_tokens + usage.image_input_tokens,
                "output_tokens": usage.text_output_tokens + usage.image_output_tokens,
                "cached_tokens": 0,
                "cache_creation_tokens": 0,
            }
        )


EXTRA = {"X-Majordomo-User-Tier": "enterprise"}


async def call_in_every_way(caller: Caller, provider: str) -> None:
    """Ask for text, a stream of it, JSON, and JSON of a given form."""
    name = f"{provider}-text"
    llm = caller.instance(provider, name)
    said = await llm.get_response(PROMPT, SYSTEM, extra_headers=EXTRA)
    assert said.content, name
    caller.report(name, provider, said)

    name = f"{provider}-stream"
    llm = caller.instance(provider, name)
    stream = await llm.get_response_stream(PROMPT, f"Stream. {SYSTEM}", extra_headers=EXTRA)
    assert "".join([piece async for piece in stream]), name
    caller.report(name, provider, stream.usage)

    name = f"{provider}-json"
    llm = caller.instance(provider, name)
    said = await llm.get_json_response(IN_WORDS, SYSTEM, extra_headers=EXTRA)
    assert isinstance(said.content, dict), name
    caller.report(name, provider, said)

    name = f"{provider}-structured"
    llm = caller.instance(provider, name)
    said = await llm.get_structured_json_response(Clause, PROMPT, SYSTEM, extra_headers=EXTRA)
    assert isinstance(said.content, Clause), name
    caller.report(name, provider, said)


async def call_through_a_cascade(caller: Caller) -> None:
    """Let the first of two providers refuse, so that the second one answers."""
    name = "cascade"
    said = await caller.cascade(name).get_response(PROMPT, SYSTEM, extra_headers=EXTRA)
    assert said.content, name
    caller.report(name, "anthropic", said)


async def call_with_a_log(caller: Caller) -> None:
    """Wrap a client into its own logging, and report what that logged."""
    from majordomo_llm.logging import LoggingLLM
    from majordomo_llm.logging.interfaces import DatabaseAdapter

    logged: list[Any] = []

    class Kept(DatabaseAdapter):  # type: ignore[misc]
        async def insert(self, entry: Any) -> None:
            logged.append(entry)

        async def close(self) -> None:
            pass

    name = "logging"
    llm = LoggingLLM(caller.instance("gemini", name), Kept())
    await llm.get_response(PROMPT, SYSTEM, extra_headers=EXTRA)
    await llm.close()
    (entry,) = logged
    assert entry.status == "success", name
    caller.report(name, "gemini", entry)


async def call_for_images(caller: Caller) -> None:
    """Have an image drawn."""
    name = "images"
    said = await caller.images(name).generate(PROMPT, extra_headers=EXTRA)
    assert said.images, name
    caller.report_images(name, said.usage)


async def make_all_calls(address: str, api_key: str) -> list[dict[str, Any]]:
    """Make every call, and return what the client reported of each."""
    caller = Caller(address, api_key)
    for provider in MODELS:
        await call_in_every_way(caller, provider)
    await call_through_a_cascade(caller)
    await call_with_a_log(caller)
    await call_for_images(caller)
    return caller.reported


if __name__ == "__main__":
    json.dump(asyncio.run(make_all_calls(*sys.argv[1:])), sys.stdout)
