"""Structured answers: the JSON fits the schema that was asked for, in every API."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.cli.standins.app import make_app
from majordomo_analytics.cli.standins.schemas import example
from tests.cli.standin_calls import post

CLAUSE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 5},
        "kind": {"enum": ["fee", "notice"]},
        "days": {"type": "integer", "minimum": 7},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "minItems": 2},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["title", "kind", "days", "parts", "note"],
    "additionalProperties": False,
    "$defs": {"Part": {"type": "object", "properties": {"of": {"type": "number"}}}},
}
TURNS = [{"role": "user", "content": "Read the clause."}]


def simple_schemas() -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.tuples(st.integers(-50, 50), st.integers(0, 50)).map(
        lambda pair: {"minimum": pair[0], "maximum": pair[0] + pair[1]}
    )
    lengths = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(
        lambda pair: {"minLength": pair[0], "maxLength": pair[0] + pair[1]}
    )
    return st.one_of(
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.just({"type": ["null", "string"]}),
        st.lists(st.integers() | st.text(), min_size=1).map(lambda values: {"enum": values}),
        st.integers().map(lambda value: {"const": value}),
        bounds.map(lambda more: {"type": "integer", **more}),
        bounds.map(lambda more: {"type": "number", **more}),
        st.integers(-9, 9).map(lambda least: {"type": "integer", "exclusiveMinimum": least}),
        st.integers(-9, 9).map(lambda most: {"type": "number", "exclusiveMaximum": most}),
        lengths.map(lambda more: {"type": "string", **more}),
    )


def larger(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(st.text(max_size=5), inner, max_size=4)
    return st.one_of(
        properties.map(
            lambda found: {
                "type": "object",
                "properties": found,
                "required": sorted(found),
                "additionalProperties": False,
            }
        ),
        st.tuples(inner, st.integers(0, 3)).map(
            lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1]}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: {"anyOf": found}),
    )


@given(st.recursive(simple_schemas(), larger, max_leaves=8))
def test_example_fits_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(example(schema), schema)


@given(simple_schemas())
def test_example_follows_references(schema: dict[str, Any]) -> None:
    referring = {"$defs": {"a/b": schema}, "type": "array", "items": {"$ref": "#/$defs/a~1b"}}
    (value,) = example(referring)
    jsonschema.validate(value, schema)


def test_schema_that_holds_itself_ends() -> None:
    """A tree whose nodes may have a left and have to have a right, or nothing."""
    node = {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}
    properties = {"left": node, "right": node}
    tree = {
        "$defs": {"Node": {"type": "object", "properties": properties, "required": ["right"]}},
        "$ref": "#/$defs/Node",
    }
    jsonschema.validate(example(tree), tree)


def test_all_of_several_schemas_count() -> None:
    parts = [
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
    ]
    jsonschema.validate(example({"allOf": parts}), {"allOf": parts})


def of_chat(said: Any) -> Any:
    return json.loads(said["choices"][0]["message"]["content"])


def of_responses(said: Any) -> Any:
    return json.loads(said["output"][0]["content"][0]["text"])


def of_message(said: Any) -> Any:
    (block,) = said["content"]
    if block["type"] == "text":
        return json.loads(block["text"])
    assert (said["stop_reason"], block["name"]) == ("tool_use", "clause")
    return block["input"]


def of_gemini(said: Any) -> Any:
    return json.loads(said["candidates"][0]["content"]["parts"][0]["text"])


def of_cohere(said: Any) -> Any:
    return json.loads(said["message"]["content"][0]["text"])


def of_converse(said: Any) -> Any:
    (block,) = said["output"]["message"]["content"]
    assert (said["stopReason"], block["toolUse"]["name"]) == ("tool_use", "clause")
    return block["toolUse"]["input"]


NAMED = {"name": "clause", "schema": CLAUSE, "strict": True}
MESSAGE = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": TURNS}
CONVERSE_TOOL = {"toolSpec": {"name": "clause", "inputSchema": {"json": CLAUSE}}}
GEMINI = {"contents": [{"parts": [{"text": "Read."}]}]}


@pytest.mark.parametrize(
    ("path", "body", "read"),
    [
        (
            "/v1/chat/completions",
            {"messages": TURNS, "response_format": {"type": "json_schema", "json_schema": NAMED}},
            of_chat,
        ),
        (
            "/v1/responses",
            {"input": "Read.", "text": {"format": {"type": "json_schema", **NAMED}}},
            of_responses,
        ),
        (
            "/v1/messages",
            MESSAGE | {"output_config": {"format": {"type": "json_schema", "schema": CLAUSE}}},
            of_message,
        ),
        (
            "/v1/messages",
            MESSAGE | {"output_format": {"type": "json_schema", "schema": CLAUSE}},
            of_message,
        ),
        (
            "/v1/messages",
            MESSAGE
            | {
                "tools": [
                    {"name": "other", "input_schema": {"type": "object"}},
                    {"name": "clause", "input_schema": CLAUSE},
                ],
                "tool_choice": {"type": "tool", "name": "clause"},
            },
            of_message,
        ),
        (
            "/v1beta/models/gemini-2.5-flash:generateContent",
            GEMINI
            | {
                "generationConfig": {
                    "responseMimeType": "application/json",
                    "responseJsonSchema": CLAUSE,
                }
            },
            of_gemini,
        ),
        (
            "/v2/chat",
            {"messages": TURNS, "response_format": {"type": "json_object", "json_schema": CLAUSE}},
            of_cohere,
        ),
        (
            "/model/us.meta.llama4-scout-17b-instruct-v1%3A0/converse",
            {"messages": [], "toolConfig": {"tools": [CONVERSE_TOOL]}},
            of_converse,
        ),
    ],
)
def test_structured_answer_fits_what_was_asked(path: str, body: Any, read: Any) -> None:
    jsonschema.validate(read(post(make_app(), path, body).json()), CLAUSE)


def test_prompt_that_asks_for_json_in_words_gets_it() -> None:
    asked = [{"role": "user", "content": "Read the clause. Answer as JSON."}]
    said = post(make_app(), "/v1/chat/completions", {"messages": asked}).json()
    assert isinstance(of_chat(said), dict)


def test_gemini_writes_types_in_capitals() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"days": {"type": "INTEGER"}, "ok": {"type": "BOOLEAN"}},
    }
    config = {"responseMimeType": "application/json", "responseSchema": schema}
    path = "/v1beta/models/gemini-2.5-flash:generateContent"
    said = post(make_app(), path, GEMINI | {"generationConfig": config}).json()
    assert of_gemini(said) == {"days": 0, "ok": True}


@pytest.mark.parametrize(
    ("path", "body", "read"),
    [
        ("/v1/chat/completions", {"response_format": {"type": "json_object"}}, of_chat),
        ("/v1/responses", {"text": {"format": {"type": "json_object"}}}, of_responses),
        ("/v2/chat", {"response_format": {"type": "json_object"}}, of_cohere),
        (
            "/v1beta/models/gemini-2.5-flash:generateContent",
            {"generationConfig": {"responseMimeType": "application/json"}},
            of_gemini,
        ),
    ],
)
def test_json_mode_without_a_schema_is_an_object(path: str, body: Any, read: Any) -> None:
    assert isinstance(read(post(make_app(), path, body).json()), dict)
