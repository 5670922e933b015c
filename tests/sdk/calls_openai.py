"""Calls of OpenAI's SDK."""

from __future__ import annotations

from typing import Any

import openai

from tests.sdk.roads import (
    LEFT,
    QUESTION,
    SLOWLY,
    SYSTEM,
    TURNS,
    Call,
    Clause,
    Road,
    Usage,
    other_case,
)

PIXEL = bytes.fromhex("89504e470d0a1a0a")


def client_for(road: Road, path: str = "/v1") -> openai.OpenAI:
    return openai.OpenAI(
        api_key="sk-made-up",
        base_url=road.url + path,
        default_headers=road.headers,
        max_retries=0,
    )


def chat_usage(usage: Any) -> Usage:
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens_details.cached_tokens,
        usage.completion_tokens_details.reasoning_tokens,
    )


def chat(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road) as client:
        said = client.chat.completions.create(
            model="gpt-4o-mini", messages=TURNS, extra_headers=other_case(extra)
        )
    return chat_usage(said.usage)


def chat_at_root(road: Road, extra: dict[str, str]) -> Usage:
    """Call a base URL without /v1, as clients of a gateway do."""
    with client_for(road, "") as client:
        said = client.chat.completions.create(
            model="gpt-5-mini", messages=TURNS, extra_headers=extra
        )
    return chat_usage(said.usage)


def chat_stream(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road) as client:
        *_, last = client.chat.completions.create(
            model="gpt-5-mini",
            messages=TURNS,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=extra,
        )
    return chat_usage(last.usage)


def chat_stream_unasked(road: Road, extra: dict[str, str]) -> Usage:
    """Ask for no usage: then none must be told."""
    with client_for(road) as client:
        chunks = list(
            client.chat.completions.create(
                model="gpt-4.1", messages=TURNS, stream=True, extra_headers=extra
            )
        )
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    return Usage()


def chat_parsed(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road) as client:
        said = client.chat.completions.parse(
            model="gpt-4.1", messages=TURNS, response_format=Clause, extra_headers=extra
        )
    assert isinstance(said.choices[0].message.parsed, Clause)
    return chat_usage(said.usage)


def chat_left(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road) as client:
        stream = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=TURNS,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=extra | SLOWLY,
        )
        next(iter(stream))
        stream.close()
    return LEFT


def responses_usage(usage: Any) -> Usage:
    return Usage(
        usage.input_tokens,
        usage.output_tokens,
        usage.input_tokens_details.cached_tokens,
        usage.output_tokens_details.reasoning_tokens,
    )


def responses(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road) as client:
        said = client.responses.create(model="gpt-4.1", input=QUESTION, extra_headers=extra)
    assert said.output_text
    return responses_usage(said.usage)


def responses_stream(road: Road, extra: dict[str, str]) -> Usage:
    with (
        client_for(road) as client,
        client.responses.stream(
            model="gpt-5-mini", input=QUESTION, instructions=SYSTEM, extra_headers=extra
        ) as stream,
    ):
        stream.until_done()
        return responses_usage(stream.get_final_response().usage)


def responses_parsed(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road, "") as client:
        said = client.responses.parse(
            model="gpt-5-mini", input=QUESTION, text_format=Clause, extra_headers=extra
        )
    assert isinstance(said.output_parsed, Clause)
    return responses_usage(said.usage)


def responses_left(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road) as client:
        stream = client.responses.create(
            model="gpt-4.1", input=QUESTION, stream=True, extra_headers=extra | SLOWLY
        )
        next(iter(stream))
        stream.close()
    return LEFT


def completions(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road) as client:
        said = client.completions.create(
            model="gpt-3.5-turbo-instruct", prompt=QUESTION, max_tokens=90, extra_headers=extra
        )
    assert said.usage is not None
    return Usage(said.usage.prompt_tokens, said.usage.completion_tokens)


def completions_stream(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road) as client:
        *_, last = client.completions.create(
            model="gpt-3.5-turbo-instruct",
            prompt=QUESTION,
            max_tokens=80,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=extra,
        )
    assert last.usage is not None
    return Usage(last.usage.prompt_tokens, last.usage.completion_tokens)


def embeddings(road: Road, extra: dict[str, str]) -> Usage:
    """Get numbers, although the SDK asks for base64."""
    with client_for(road) as client:
        said = client.embeddings.create(
            model="text-embedding-3-small", input=[QUESTION, "fees"], extra_headers=extra
        )
    assert [len(item.embedding) for item in said.data] == [8, 8]
    return Usage(said.usage.prompt_tokens, 0)


def _image_usage(said: Any) -> Usage:
    assert said.data[0].b64_json
    details = said.usage.input_tokens_details
    return Usage(
        said.usage.input_tokens,
        said.usage.output_tokens,
        input_image_tokens=details.image_tokens,
    )


def images(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road, "") as client:
        said = client.images.generate(
            model="gpt-image-1-mini", prompt="A contract", n=2, extra_headers=extra
        )
    return _image_usage(said)


def images_edited(road: Road, extra: dict[str, str]) -> Usage:
    with client_for(road) as client:
        said = client.images.edit(
            model="gpt-image-1-mini",
            prompt="Make it larger",
            image=[("a.png", PIXEL, "image/png"), ("b.png", PIXEL, "image/png")],
            extra_headers=extra,
        )
    return _image_usage(said)


CALLS: tuple[Call, ...] = (
    chat,
    chat_at_root,
    chat_stream,
    chat_stream_unasked,
    chat_parsed,
    chat_left,
    responses,
    responses_stream,
    responses_parsed,
    responses_left,
    completions,
    completions_stream,
    embeddings,
    images,
    images_edited,
)
