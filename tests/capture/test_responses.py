"""Responses: the last event has the usage; searches are counted as they are billed."""

from __future__ import annotations

import json

import pytest

from majordomo_analytics.capture.flavours import Flavour
from majordomo_analytics.records import flags
from tests.capture.bodies import RESPONSE, RESPONSE_COUNTS, known, read, sse
from tests.capture.bodies_openai import BACKGROUND, ITEMS, as_json


@pytest.mark.parametrize("end", ["response.completed", "response.incomplete", "response.failed"])
def test_every_end_of_a_response_has_usage(end: str) -> None:
    """A response that ends incomplete or failed is billed like one that completed."""
    created = {"type": "response.created", "response": RESPONSE | {"usage": None}}
    body = sse(created, {"type": end, "response": RESPONSE}, names=True)
    captured = read("responses", body, complete=False)
    assert known(captured) == RESPONSE_COUNTS
    assert captured.usage.status == "reported"


def test_response_cut_before_its_end_is_missing() -> None:
    """Before its last event a response says nothing about usage."""
    created = {"type": "response.created", "response": RESPONSE | {"usage": None}}
    captured = read("responses", sse(created, names=True), complete=False)
    assert captured.usage.status == "missing"
    assert captured.response_id == "resp_1"


def test_response_that_is_no_object_is_passed_over() -> None:
    """An event whose response is no object does not stop the reading."""
    body = sse(
        {"type": "response.created", "response": "soon"},
        {"type": "response.completed", "response": RESPONSE},
    )
    assert known(read("responses", body)) == RESPONSE_COUNTS


def test_compacted_response_has_usage_and_no_model() -> None:
    """A compaction is billed, and leaves its model to the request."""
    usage = {"input_tokens": 8, "output_tokens": 2, "total_tokens": 10}
    body = {"id": "resp_2", "object": "response.compaction", "usage": usage}
    captured = read("responses", json.dumps(body).encode())
    assert known(captured) == {"input_tokens": 8, "output_tokens": 2}
    assert captured.model is None


def test_stated_searches_are_believed_before_counted_ones() -> None:
    """What the provider says of its searches stands, zero too; items are only evidence."""
    for stated, expected in ((5, 5), (0, 0), (None, 1), ("5", 1)):
        tools = {"web_search": {"num_requests": stated}}
        body = RESPONSE | {"output": ITEMS, "tool_usage": tools}
        assert read("responses", as_json(body)).usage.web_searches == expected


def test_searches_are_unknown_without_evidence() -> None:
    """A response with neither a statement nor a search says nothing about searches."""
    body = RESPONSE | {"tool_usage": None}
    counts = read("responses", as_json(body)).usage
    assert counts.web_searches is counts.storage_searches is counts.code_executions is None


@pytest.mark.parametrize("output", [None, 5, "text", [5], [None], [{"type": 5}], [{"action": 5}]])
def test_output_of_any_kind_does_not_cost_the_usage(output: object) -> None:
    """Output that is no list of items hides no counts."""
    body = RESPONSE | {"output": output, "tool_usage": None}
    captured = read("responses", as_json(body))
    assert captured.usage.output_tokens == 120
    assert captured.usage.web_searches is None


def test_searches_before_the_action_was_named_are_searches() -> None:
    """A search without an action, as older models make it, is one that is billed."""
    body = RESPONSE | {"output": [{"type": "web_search_call"}] * 3, "tool_usage": None}
    assert read("responses", as_json(body)).usage.web_searches == 3


@pytest.mark.parametrize("status", ["queued", "in_progress"])
@pytest.mark.parametrize("flavour", ["responses", "background_response"])
def test_response_that_has_not_ended_is_missing(flavour: Flavour, status: str) -> None:
    """A response that is still to be made has used nothing that is known."""
    captured = read(flavour, as_json(BACKGROUND | {"status": status, "usage": None}))
    assert (captured.usage.status, captured.usage.raw) == ("missing", None)
    assert captured.flags == captured.usage.flags == ()
    assert captured.error_message is None


@pytest.mark.parametrize(
    ("changes", "is_counted"),
    [
        ({}, True),
        ({"status": "incomplete"}, True),
        ({"status": "failed", "error": {"message": "No"}}, True),
        ({"status": "cancelled"}, True),
        ({"background": False}, False),
        ({"background": None}, False),
        ({"background": "true"}, False),
        ({"status": "in_progress"}, False),
        ({"status": None}, False),
    ],
)
def test_only_what_ended_in_the_background_is_counted(
    changes: dict[str, object], *, is_counted: bool
) -> None:
    """A response that is read again has used nothing; one made out of sight has."""
    captured = read("background_response", as_json(BACKGROUND | changes))
    assert known(captured) == (RESPONSE_COUNTS if is_counted else {})
    assert captured.usage.status == ("reported" if is_counted else "missing")
    assert captured.response_id == "resp_1"


def test_foreground_stream_that_is_read_again_is_not_counted() -> None:
    """The events of a response that was not made in the background are not new."""
    body = sse(
        {"type": "response.created", "response": RESPONSE | {"usage": None}},
        {"type": "response.completed", "response": RESPONSE | {"background": False}},
    )
    assert read("background_response", body).usage.status == "missing"


def test_failure_read_again_is_an_error_only_of_its_own_call() -> None:
    """What failed in the foreground has said so; a call that is refused says so now."""
    failed = RESPONSE | {"status": "failed", "error": {"message": "No"}}
    assert read("background_response", as_json(failed)).error_message is None
    failed_later = failed | {"background": True}
    assert read("background_response", as_json(failed_later)).error_message == "No"
    refused = {"error": {"message": "Not found"}}
    assert read("background_response", as_json(refused)).error_message == "Not found"


def test_incomplete_is_no_error() -> None:
    """A response that reached its limit did what it was asked; one that failed did not."""
    for status, message in (("incomplete", None), ("cancelled", None), ("failed", "failed")):
        body = RESPONSE | {"status": status, "incomplete_details": {"reason": "max_output_tokens"}}
        assert read("responses", as_json(body)).error_message == message


def test_failed_response_keeps_its_usage_and_says_why() -> None:
    """A response that fails on its way is billed, and names what went wrong."""
    failed = RESPONSE | {"status": "failed", "error": {"code": "x", "message": "Overloaded"}}
    captured = read("responses", sse({"type": "response.failed", "response": failed}))
    assert known(captured) == RESPONSE_COUNTS
    assert captured.usage.status == "reported"
    assert captured.error_message == "Overloaded"
    assert captured.flags == (flags.ERROR_IN_STREAM,)
