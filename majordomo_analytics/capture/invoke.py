"""Bedrock's InvokeModel: each maker's answer as its own API has it, and Bedrock's counts.

Anthropic's and OpenAI's shapes are read as those APIs are. For the others, and for what a
body leaves out, there are the metrics that Bedrock adds to the last chunk of a stream, and
the headers of an answer that is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.accumulator import Accumulator
from majordomo_analytics.capture.anthropic import Messages
from majordomo_analytics.capture.bedrock import read_usage
from majordomo_analytics.capture.chat import ChatCompletions
from majordomo_analytics.capture.cohere import CohereChat
from majordomo_analytics.capture.values import (
    ABSENT,
    Counts,
    decode,
    decode_document,
    is_present,
    members,
    text_or_none,
)
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import Usage, add_counts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from majordomo_analytics.capture.scanner import Kept
    from majordomo_analytics.records.usage import UsageSource

MAX_DIGITS = 19
"""Most digits of a count in a header, those of 2^63 - 1."""

_HEADER = "x-amzn-bedrock-"
_COUNT_OF_HEADER = {
    "x-amzn-bedrock-input-token-count": "inputTokenCount",
    "x-amzn-bedrock-output-token-count": "outputTokenCount",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}
"""A header to the name that the metrics of a stream have for the same count."""

_PRESENCE: Kept = {b"": None}  # of a value of which nothing is wanted but that it is there


class _Answer(msgspec.Struct):
    """A body, or the document inside a chunk of a stream, of any maker."""

    chunk: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = msgspec.field(name="Message", default=ABSENT)
    type: msgspec.Raw = ABSENT
    choices: msgspec.Raw = ABSENT
    meta: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT
    prompt_token_count: msgspec.Raw = ABSENT
    generation_token_count: msgspec.Raw = ABSENT
    input_text_token_count: msgspec.Raw = msgspec.field(name="inputTextTokenCount", default=ABSENT)
    output_text_token_count: msgspec.Raw = msgspec.field(
        name="totalOutputTextTokenCount", default=ABSENT
    )
    results: msgspec.Raw = ABSENT
    embedding: msgspec.Raw = ABSENT
    embeddings: msgspec.Raw = ABSENT
    embeddings_by_type: msgspec.Raw = msgspec.field(name="embeddingsByType", default=ABSENT)
    metrics: msgspec.Raw = msgspec.field(name="amazon-bedrock-invocationMetrics", default=ABSENT)


_FLAT = {
    "inputTextTokenCount": "input_text_token_count",
    "totalOutputTextTokenCount": "output_text_token_count",
    "prompt_token_count": "prompt_token_count",
    "generation_token_count": "generation_token_count",
}
"""A count that stands beside the answer to the member of `_Answer` that it is."""

_answer_decoder = msgspec.json.Decoder(_Answer)
_results_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class Invoke(Accumulator):
    """``/invoke`` and ``/invoke-with-response-stream``.

    The model that a body names is the maker's; Bedrock bills the one in the path.
    """

    _ANSWER: ClassVar[Kept] = {
        **CohereChat.kept,
        **ChatCompletions.kept,
        **Messages.kept,
        b"metadata": {b"usage": None},
        **{name.encode(): None for name in _FLAT},
        b"results": {b"tokenCount": None},
        b"embedding": _PRESENCE,
        b"embeddings": _PRESENCE,
        b"embeddingsByType": _PRESENCE,
        b"amazon-bedrock-invocationMetrics": None,
        b"Message": None,
    }
    kept: ClassVar[Kept] = {**_ANSWER, b"chunk": _ANSWER}

    _native: Accumulator | None = None
    _is_embedding = False

    def __init__(self, *, adds_reasoning: bool = False) -> None:
        super().__init__(adds_reasoning=adds_reasoning)
        self._flat: dict[str, object] = {}
        self._metrics = b""
        self._headers: dict[str, object] = {}

    def take_headers(self, headers: Mapping[str, str]) -> None:
        """Keep the counts in the headers, for what the body leaves out."""
        for header, value in headers.items():
            name = header.lower()
            if name.startswith(_HEADER) and name in _COUNT_OF_HEADER:
                is_number = value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS
                self._headers[name] = int(value) if is_number else value

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        answer = decode_document(_answer_decoder, document)
        if answer is None:
            return False
        self.note_error(answer.error)
        if is_present(answer.chunk):
            document = bytes(answer.chunk)
            answer = decode_document(_answer_decoder, document)
            if answer is None:
                return False
        if text_or_none(answer.message):  # of an answer it is an object
            self.note_error(answer.message)
        self.note_error(answer.refusal)
        if is_present(answer.metrics):
            self._metrics = bytes(answer.metrics)
            self.is_final = True
        native = self._native = self._native or self._native_of(answer)
        if native is None:
            self._take_counts(answer)
        elif not native.take(document):
            return False
        else:
            self.response_id = native.response_id
            self.error_message = self.error_message or native.error_message
            self.is_final |= native.is_final
        return True

    def _native_of(self, answer: _Answer) -> Accumulator | None:
        """Return a reader of the API that an answer has the shape of, None if of none."""
        native: Accumulator
        if bytes(answer.type).startswith((b'"message', b'"content_block')):
            native = Messages()
        elif is_present(answer.choices):
            native = ChatCompletions()
        elif is_present(answer.meta):
            native = CohereChat()
        else:
            return None
        native.flags = self.flags
        return native

    def _take_counts(self, answer: _Answer) -> None:
        usage = answer.usage
        if is_present(answer.metadata):
            usage = members(answer.metadata).get("usage", ABSENT)
        if is_present(usage):
            self.replace_usage(usage)
        for name, member in _FLAT.items():
            if is_present(value := getattr(answer, member)):
                self._flat[name] = value.copy()
        results = decode(_results_decoder, answer.results) or []
        if any("tokenCount" in result for result in results):
            self._flat["results"] = [
                {"tokenCount": result.get("tokenCount", ABSENT).copy()} for result in results
            ]
        for value in (answer.embedding, answer.embeddings, answer.embeddings_by_type):
            self._is_embedding |= bytes(value).startswith((b"[", b"{"))

    def usage(self, *, is_streamed: bool, is_complete: bool) -> Usage:
        """Return what was used, as the body says or else as Bedrock does."""
        is_complete &= self.error_message is None
        if self._native is not None:
            usage = self._native.usage(is_streamed=is_streamed, is_complete=is_complete)
        else:
            if self._usage_json is None and (self._metrics or self._flat):
                self.replace_usage(self._metrics or msgspec.json.encode(self._flat))
            usage = super().usage(is_streamed=is_streamed, is_complete=is_complete)
        found: list[str] = []
        metrics = read_usage(Counts(self._metrics, found))
        if None not in (metrics.output_tokens, usage.output_tokens) and (
            metrics.output_tokens != usage.output_tokens
        ):
            found.append(flags.USAGE_TOTAL_MISMATCH)
        usage = _filled(usage, metrics, "stream_final", self._metrics)
        if self._headers:
            named = {_COUNT_OF_HEADER[name]: count for name, count in self._headers.items()}
            raw = msgspec.json.encode(self._headers)
            usage = _filled(usage, read_usage(Counts(named, found)), "header", raw)
        if self._is_embedding and usage.input_tokens is not None and usage.output_tokens is None:
            usage = msgspec.structs.replace(usage, output_tokens=0)
        return msgspec.structs.replace(usage, flags=tuple(dict.fromkeys((*usage.flags, *found))))

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of an answer that has names of Bedrock's, or of its maker."""
        usage = read_usage(counts)
        for result in counts.each("results"):
            output_tokens = add_counts(usage.output_tokens, result.count("tokenCount"))
            usage = msgspec.structs.replace(usage, output_tokens=output_tokens)
        return usage


def _filled(usage: Usage, stated: Usage, source: UsageSource, raw: bytes) -> Usage:
    """Return `usage` with the wholes that it lacks, and their parts, from `stated`."""
    lacks: dict[str, int | None] = {}
    if usage.input_tokens is None:
        names = ("input_tokens", "cached_tokens", "cache_creation_tokens")
        lacks = {name: getattr(stated, name) for name in names}
    if usage.output_tokens is None:
        lacks["output_tokens"] = stated.output_tokens
    known = {name: count for name, count in lacks.items() if count is not None}
    if not known:
        return usage
    usage = msgspec.structs.replace(usage, **known)
    if usage.status == "missing":
        usage = msgspec.structs.replace(
            usage, status="reported", source=source, raw=raw.decode("utf-8", "replace")
        )
    return usage
