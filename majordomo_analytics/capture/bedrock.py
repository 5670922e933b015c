"""Bedrock's Converse, and the names that Bedrock has for counts wherever it states them.

The input excludes what was read from a cache or written to it. The model stands in the
path alone. Policy units of guardrails are no tokens and are not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.accumulator import Accumulator
from majordomo_analytics.capture.values import (
    ABSENT,
    Counts,
    decode_document,
    is_present,
    members,
)
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import Usage, add_counts

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept

INPUT = ("inputTokens", "inputTokenCount", "inputTextTokenCount", "prompt_token_count")
OUTPUT = (
    *("outputTokens", "outputTokenCount", "totalOutputTextTokenCount"),
    "generation_token_count",
)
CACHE_READ = ("cacheReadInputTokens", "cacheReadInputTokenCount")
CACHE_WRITE = ("cacheWriteInputTokens", "cacheWriteInputTokenCount")


def read_usage(counts: Counts) -> Usage:
    """Return the counts of an object, by any of the names that Bedrock has for them."""
    read, written = _name(counts, CACHE_READ), _name(counts, CACHE_WRITE)
    input_tokens = counts.total(_name(counts, INPUT), read, written)
    output_tokens = counts.count(_name(counts, OUTPUT))
    creation = counts.count(written)
    for_5m, for_1h = _by_age(counts)
    by_age = add_counts(for_5m, for_1h)
    if _differ(counts.count("totalTokens"), input_tokens, output_tokens) or _differ(
        creation, by_age, 0
    ):
        counts.flags.append(flags.USAGE_TOTAL_MISMATCH)
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=counts.count(read),
        cache_creation_tokens=creation,
        cache_creation_5m_tokens=for_5m,
        cache_creation_1h_tokens=for_1h,
        output_tokens=output_tokens,
    )


def _differ(whole: int | None, *parts: int | None) -> bool:
    """Return whether a whole is not the sum of its parts, as far as all are known."""
    return None not in (whole, *parts) and whole != add_counts(*parts)


def _name(counts: Counts, names: tuple[str, ...]) -> str:
    """Return the first of these names that the object has, the first if it has none."""
    return next((name for name in names if counts.has(name)), names[0])


def _by_age(counts: Counts) -> tuple[int | None, int | None]:
    """Return what was written to a cache for five minutes, and for one hour."""
    found: dict[str | None, int | None] = {}
    for entry in counts.each("cacheDetails"):
        age = entry.text("ttl")
        found[age] = add_counts(found.get(age), entry.count("inputTokens"))
    return found.get("5m"), found.get("1h")


class _Answer(msgspec.Struct, rename="camel"):
    """A body of Converse, or an event of its stream by its name."""

    usage: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    performance_config: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = msgspec.field(name="Message", default=ABSENT)
    error: msgspec.Raw = ABSENT


_answer_decoder = msgspec.json.Decoder(_Answer)


class Converse(Accumulator):
    """``/converse`` and ``/converse-stream``: usage in the body, or in its last event."""

    _STATED: ClassVar[Kept] = {
        b"usage": None,
        b"serviceTier": {b"type": None},
        b"performanceConfig": {b"latency": None},
    }
    kept: ClassVar[Kept] = {
        **_STATED,
        b"metadata": _STATED,
        b"message": None,
        b"Message": None,
        b"error": None,
    }

    _service_tier: str | None = None
    _speed: str | None = None

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        answer = decode_document(_answer_decoder, document)
        if answer is None:
            return False
        self.note_error(answer.error)
        self.note_error(answer.message)
        self.note_error(answer.refusal)  # of AWS itself, before Bedrock was asked
        stated = answer
        if is_present(answer.metadata):
            stated = decode_document(_answer_decoder, bytes(answer.metadata)) or answer
        if is_present(stated.usage) and self.replace_usage(stated.usage):
            self.is_final = True
        self._service_tier = self._inside(stated.service_tier, "type") or self._service_tier
        self._speed = self._inside(stated.performance_config, "latency") or self._speed
        return True

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the usage object."""
        return msgspec.structs.replace(
            read_usage(counts), service_tier=self._service_tier, speed=self._speed
        )

    def _inside(self, value: msgspec.Raw, name: str) -> str | None:
        return self.text(members(value).get(name, ABSENT)) if value else None
