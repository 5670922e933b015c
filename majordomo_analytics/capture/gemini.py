"""Gemini and Vertex: tool prompts come on top of the prompt, thoughts on top of the answer.

Every chunk of a stream states usage anew and cumulatively; the last value of each name
counts. Counts that are zero are left out by the provider, and so are some that are not.
Embeddings count their prompt alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import msgspec

from majordomo_analytics.capture.accumulator import Accumulator
from majordomo_analytics.capture.values import (
    ABSENT,
    Counts,
    decode,
    decode_document,
    is_present,
    members,
)
from majordomo_analytics.records import flags
from majordomo_analytics.records.usage import Usage, add_counts

if TYPE_CHECKING:
    from majordomo_analytics.capture.scanner import Kept

MODALITIES: dict[object, str] = {
    "AUDIO": "audio",
    "IMAGE": "image",
    "VIDEO": "video",
    "DOCUMENT": "image",  # its pages are read, and billed, as images
    2: "image",
    3: "video",
    4: "audio",
    5: "image",
}
"""A modality (a name or a number) to our word; text has no column."""

MAX_QUERIES = 1000
"""Most searches of one answer that are told apart."""

_BILLED_BY_PROMPT = re.compile(r"(?:.*/)?gemini-[12]\b")


class _Chunk(msgspec.Struct, rename="camel"):
    """A body of generateContent, or one chunk of its stream."""

    response_id: msgspec.Raw = ABSENT
    model_version: msgspec.Raw = ABSENT
    usage_metadata: msgspec.Raw = ABSENT
    candidates: msgspec.Raw = ABSENT
    prompt_feedback: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Candidate(msgspec.Struct, rename="camel"):
    finish_reason: msgspec.Raw = ABSENT
    grounding_metadata: msgspec.Raw = ABSENT


_queries_decoder = msgspec.json.Decoder(list[str])
_chunk_decoder = msgspec.json.Decoder(_Chunk)
_candidates_decoder = msgspec.json.Decoder(list[_Candidate])


class GenerateContent(Accumulator):
    """``generateContent`` and ``streamGenerateContent``, as events or as an array."""

    ends_with_an_event = True

    kept: ClassVar[Kept] = {
        b"responseId": None,
        b"modelVersion": None,
        b"usageMetadata": None,
        b"candidates": {b"finishReason": None, b"groundingMetadata": {b"webSearchQueries": None}},
        b"promptFeedback": {b"blockReason": None},
        b"error": None,
    }

    _has_finished = False

    def __init__(self, *, adds_reasoning: bool = False) -> None:
        super().__init__(adds_reasoning=adds_reasoning)
        self._queries: set[int] = set()  # hashes: a query may be long

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        chunk = decode_document(_chunk_decoder, document)
        if chunk is None:
            return False
        if self.model is None and (model := self.text(chunk.model_version)):
            self.model = model.removeprefix("models/")
        if self.response_id is None:
            self.response_id = self.text(chunk.response_id)
        if chunk.error:
            self.note_error(chunk.error)
        for candidate in decode(_candidates_decoder, chunk.candidates) or ():
            self._has_finished |= is_present(candidate.finish_reason)
            if is_present(candidate.grounding_metadata):
                self._note_queries(candidate.grounding_metadata)
        if chunk.prompt_feedback:
            blocked = members(chunk.prompt_feedback).get("blockReason", ABSENT)
            self._has_finished |= is_present(blocked)
        if chunk.usage_metadata and self.merge_usage(chunk.usage_metadata):
            self.is_final |= self._has_finished
        return True

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the merged usage object."""
        input_tokens = counts.total("promptTokenCount", "toolUsePromptTokenCount")
        output_tokens = counts.total("candidatesTokenCount", "thoughtsTokenCount")
        thoughts = counts.count("thoughtsTokenCount")
        total = counts.count("totalTokenCount")
        if not counts.has("candidatesTokenCount") and is_final:
            # Zero is left out. That it is zero, and not unknown, is proved by the total.
            output_tokens = thoughts or 0
            if total is None or total != add_counts(input_tokens, output_tokens):
                output_tokens = None
        if None not in (input_tokens, output_tokens, total) and total != add_counts(
            input_tokens, output_tokens
        ):
            counts.flags.append(flags.USAGE_TOTAL_MISMATCH)
        put_in = by_modality(counts, "promptTokensDetails", "toolUsePromptTokensDetails")
        cached = by_modality(counts, "cacheTokensDetails")
        written = by_modality(counts, "candidatesTokensDetails")
        return Usage(
            input_tokens=input_tokens,
            cached_tokens=counts.count("cachedContentTokenCount"),
            tool_prompt_tokens=counts.count("toolUsePromptTokenCount"),
            input_audio_tokens=put_in.get("audio"),
            input_image_tokens=put_in.get("image"),
            input_video_tokens=put_in.get("video"),
            cached_audio_tokens=cached.get("audio"),
            cached_image_tokens=cached.get("image"),
            cached_video_tokens=cached.get("video"),
            output_tokens=output_tokens,
            reasoning_tokens=thoughts,
            output_audio_tokens=written.get("audio"),
            output_image_tokens=written.get("image"),
            web_searches=billed_searches(self.model, len(self._queries)),
            service_tier=counts.text("serviceTier"),
            traffic_type=counts.text("trafficType"),
        )

    def _note_queries(self, grounding: msgspec.Raw) -> None:
        queries = decode(_queries_decoder, members(grounding).get("webSearchQueries", ABSENT))
        for query in queries or ():
            # One that is empty was not run, and one that repeats is billed once.
            if query and len(self._queries) < MAX_QUERIES:
                self._queries.add(hash(query))


class EmbedContent(Accumulator):
    """``embedContent`` and ``batchEmbedContents``: a prompt, and nothing is written."""

    kept: ClassVar[Kept] = {b"usageMetadata": None, b"error": None}

    def take(self, document: bytes) -> bool:
        """Merge one document."""
        chunk = decode_document(_chunk_decoder, document)
        if chunk is None:
            return False
        self.note_error(chunk.error)
        if is_present(chunk.usage_metadata):
            self.replace_usage(chunk.usage_metadata)
        return True

    def read(self, counts: Counts, *, is_final: bool) -> Usage:
        """Return the counts of the usage object."""
        input_tokens = counts.count("promptTokenCount")
        put_in = by_modality(counts, "promptTokenDetails", "promptTokensDetails")
        return Usage(
            input_tokens=input_tokens,
            input_audio_tokens=put_in.get("audio"),
            input_image_tokens=put_in.get("image"),
            input_video_tokens=put_in.get("video"),
            output_tokens=None if input_tokens is None else 0,
            service_tier=counts.text("serviceTier"),
            traffic_type=counts.text("trafficType"),
        )


def billed_searches(model: str | None, queries: int) -> int | None:
    """Return how many of these searches are billed: each, or one a prompt by older models.

    >>> billed_searches("gemini-2.5-flash", 3), billed_searches("gemini-3-pro-preview", 3)
    (1, 3)
    """
    if queries < 2:
        return queries or None
    if model is None:
        return None
    return 1 if _BILLED_BY_PROMPT.match(model) else queries


def by_modality(counts: Counts, *names: str, tokens: str = "tokenCount") -> dict[str, int | None]:
    """Return the tokens of each modality that is not text, added over some lists."""
    found: dict[str, int | None] = {}
    for name in names:
        for entry in counts.each(name):
            said = entry.value("modality")
            said = said.upper() if isinstance(said, str) else said
            count = entry.count(tokens)
            # Only these can be looked up, and 2.0 would be found as 2.
            if type(said) in (str, int) and said in MODALITIES and count is not None:
                modality = MODALITIES[said]
                found[modality] = add_counts(found.get(modality), count)
    return found
