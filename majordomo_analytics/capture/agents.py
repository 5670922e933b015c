"""Bedrock's agents: a stream of traces, in which stands what each model call used.

The calls are calls of their own, by models of their own: these are summed. A stream has
traces only if the caller asked for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from majordomo_analytics.capture.accumulator import MAX_USAGE_BYTES, Accumulator
from majordomo_analytics.capture.bedrock import read_usage
from majordomo_analytics.capture.values import (
    ABSENT,
    Counts,
    decode_document,
    is_present,
    members,
    text_or_none,
)
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import Iteration, Usage, add_counts

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept

TRACES = (
    *("preProcessingTrace", "orchestrationTrace", "postProcessingTrace"),
    *("routingClassifierTrace", "customOrchestrationTrace"),
)
"""The kinds of trace in which model calls stand."""

MAX_BEGUN = 100
"""Most model calls that are remembered as begun and not yet ended."""

PARTS = tuple(name for name in Iteration.__struct_fields__ if name != "model")
WHOLES = frozenset({"input_tokens", "output_tokens"})
_CALL: Kept = {
    b"modelInvocationInput": {b"traceId": None, b"foundationModel": None},
    b"modelInvocationOutput": {b"traceId": None, b"metadata": {b"usage": None}},
}


class _Event(msgspec.Struct):
    """An event of the stream by its name; one of traces holds the trace itself."""

    trace: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = msgspec.field(name="Message", default=ABSENT)
    error: msgspec.Raw = ABSENT


_event_decoder = msgspec.json.Decoder(_Event)


class InvokeAgent(Accumulator):
    """An agent's answer: a stream whose traces tell what it sent to models and got back."""

    kept: ClassVar[Kept] = {
        b"trace": {b"trace": {kind.encode(): _CALL for kind in TRACES}},
        b"message": None,
        b"Message": None,
        b"error": None,
    }

    def __init__(self, *, adds_reasoning: bool = False) -> None:
        super().__init__(adds_reasoning=adds_reasoning)
        self._begun: dict[str, str] = {}  # the model of each call that has no answer yet
        self._calls: list[bytes] = []
        self._left_bytes = MAX_USAGE_BYTES // 2

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        event = decode_document(_event_decoder, document)
        if event is None:
            return False
        self.note_error(event.error)
        self.note_error(event.message)
        self.note_error(event.refusal)
        if is_present(event.trace):
            traces = members(members(event.trace).get("trace", ABSENT))
            for kind in TRACES:
                if kind in traces:
                    self._take_trace(members(traces[kind]))
        return True

    def usage(self, *, is_streamed: bool, is_complete: bool) -> Usage:
        """Return what all calls used together, and each of them."""
        if self._calls:
            self.replace_usage(b'{"modelInvocations":[%b]}' % b",".join(self._calls))
        is_complete &= self._left_bytes >= 0
        return super().usage(is_streamed=is_streamed, is_complete=is_complete)

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the sum of the calls; if that of one is unknown, so is the whole."""
        calls = []
        for call in counts.each("modelInvocations"):
            used = read_usage(call.inside("usage"))
            parts = {name: getattr(used, name) for name in PARTS}
            calls.append(Iteration(model=call.text("foundationModel"), **parts))
        sums: dict[str, Any] = {}
        for name in PARTS:
            found = [getattr(call, name) for call in calls]
            is_unknown = name in WHOLES and None in found
            sums[name] = None if is_unknown else add_counts(*found)
        return Usage(**sums, iterations=tuple(calls))

    def _take_trace(self, trace: dict[str, msgspec.Raw]) -> None:
        begun = members(trace.get("modelInvocationInput", ABSENT))
        model = self.text(begun.get("foundationModel", ABSENT))
        if model:
            if len(self._begun) >= MAX_BEGUN:  # the oldest will hardly be answered any more
                del self._begun[next(iter(self._begun))]
            self._begun[_trace_id(begun)] = model
        ended = members(trace.get("modelInvocationOutput", ABSENT))
        usage = members(ended.get("metadata", ABSENT)).get("usage", ABSENT)
        if is_present(usage):
            self._add_call(self._begun.pop(_trace_id(ended), None), usage)

    def _add_call(self, model: str | None, usage: msgspec.Raw) -> None:
        call = msgspec.json.encode({"foundationModel": model, "usage": usage})
        self._left_bytes -= len(call) + 1
        if self._left_bytes < 0:
            self.flags.append(flags.BODY_TOO_LARGE)
            return
        self.model = model if model == self.model or not self._calls else None
        self._calls.append(call)


def _trace_id(call: dict[str, msgspec.Raw]) -> str:
    return text_or_none(call.get("traceId", ABSENT)) or ""
