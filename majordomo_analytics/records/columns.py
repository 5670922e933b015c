"""The row of `llm_requests`: one table of columns, from which every schema is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal[
    "text", "integer", "money", "instant", "date", "boolean", "text_list", "text_map"
]

PROMOTED_PREFIX = "indexed_"
"""A promoted metadata key is the lake column with this in front of its canonical name."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a request.

    Attributes
    ----------
    name
        The column's name; durations and money carry their unit by name or by `unit`.
    type
        Its kind, from which each store's own type follows.
    unit
        What a number counts, empty for what is no number.
    meaning
        One sentence for whoever reads the table.
    required
        Whether a row always has it; everything else is null when it is not known.
    """

    name: str
    type: ColumnType
    unit: str
    meaning: str
    required: bool = False


def _tokens(name: str, meaning: str) -> Column:
    return Column(name, "integer", "tokens", meaning)


COLUMNS: tuple[Column, ...] = (
    Column("id", "text", "", "UUIDv7 of the row, made by the proxy", required=True),
    Column("requested_at", "instant", "UTC", "when the proxy had the request", required=True),
    Column("responded_at", "instant", "UTC", "when the last byte of the answer was ready"),
    Column("requested_date", "date", "UTC", "day requested; partitions the lake", required=True),
    Column("response_time_ms", "integer", "ms", "wall clock from request to last byte"),
    Column("time_to_first_byte_ms", "integer", "ms", "wall clock from request to first byte"),
    Column("majordomo_api_key_id", "text", "", "id of the caller's API key"),
    Column("provider_api_key_hash", "text", "", "SHA-256 of the provider credential, hex"),
    Column("provider_api_key_alias", "text", "", "the caller's own name for that credential"),
    Column("provider", "text", "", "who was called", required=True),
    Column("api_flavour", "text", "", "which of the provider's APIs, null if unknown"),
    Column("model", "text", "", "the model that answered, else the one asked for"),
    Column("requested_model", "text", "", "the model the caller asked for"),
    Column("request_method", "text", "", "HTTP method", required=True),
    Column("request_path", "text", "", "path as sent, without the query", required=True),
    Column("status_code", "integer", "", "HTTP status the caller was sent, null if none was"),
    Column("outcome", "text", "", "how it ended: completed, client_disconnected, …", required=True),
    Column("error_message", "text", "", "what went wrong, without secrets"),
    Column("is_streamed", "boolean", "", "whether the answer was a stream of events"),
    Column("retry_attempt", "integer", "", "how often the client's SDK had tried before, from 0"),
    Column("provider_request_id", "text", "", "the id in the provider's response headers"),
    Column("response_id", "text", "", "the id in the provider's answer"),
    Column("request_bytes", "integer", "bytes", "body received from the caller"),
    Column("response_bytes", "integer", "bytes", "body received from the provider"),
    _tokens("input_tokens", "the whole prompt, cache reads, writes and tool prompts included"),
    _tokens("cached_tokens", "part of input_tokens read from a cache"),
    _tokens("cache_creation_tokens", "part of input_tokens written to a cache"),
    _tokens("cache_creation_5m_tokens", "part of cache_creation_tokens kept five minutes"),
    _tokens("cache_creation_1h_tokens", "part of cache_creation_tokens kept one hour"),
    _tokens("tool_prompt_tokens", "part of input_tokens that tools put into the prompt"),
    _tokens("input_audio_tokens", "part of input_tokens that is audio"),
    _tokens("input_image_tokens", "part of input_tokens that is images"),
    _tokens("input_video_tokens", "part of input_tokens that is video"),
    _tokens("cached_audio_tokens", "part of cached_tokens that is audio"),
    _tokens("cached_image_tokens", "part of cached_tokens that is images"),
    _tokens("cached_video_tokens", "part of cached_tokens that is video"),
    _tokens("output_tokens", "the whole answer, reasoning included"),
    _tokens("reasoning_tokens", "part of output_tokens spent on reasoning"),
    _tokens("output_audio_tokens", "part of output_tokens that is audio"),
    _tokens("output_image_tokens", "part of output_tokens that is images"),
    Column("web_searches", "integer", "searches", "web searches the provider ran, billed each"),
    Column("social_searches", "integer", "searches", "searches of social media, billed each"),
    Column("storage_searches", "integer", "searches", "searches of stored files, billed each"),
    Column("code_executions", "integer", "executions", "runs of code the provider made"),
    Column("rerank_searches", "integer", "searches", "search units of a reranking, billed each"),
    Column("input_audio_ms", "integer", "ms", "audio read, where its length is billed"),
    Column("input_characters", "integer", "characters", "text read, where its length is billed"),
    Column("usage_status", "text", "", "reported, partial, estimated or missing", required=True),
    Column("usage_source", "text", "", "body, stream_final, stream_partial, header or request"),
    Column("usage_raw", "text", "", "the provider's usage object, verbatim JSON"),
    Column("service_tier", "text", "", "service tier, as the answer says"),
    Column("speed", "text", "", "speed mode, as the answer says"),
    Column("inference_geo", "text", "", "where the model ran, as the answer says"),
    Column("traffic_type", "text", "", "traffic type, as the answer says"),
    Column("input_cost", "money", "USD", "prompt, cache reads and writes included"),
    Column("output_cost", "money", "USD", "answer, reasoning included"),
    Column("tool_cost", "money", "USD", "fees that are not tokens, such as searches"),
    Column("total_cost", "money", "USD", "input_cost + output_cost + tool_cost, exactly"),
    Column("stated_cost", "money", "USD", "the cost that the provider or an imported log named"),
    Column("cost_status", "text", "", "priced, unpriced, no_usage, stated or error", required=True),
    Column("price_version", "text", "", "the price list the cost was worked out with"),
    Column("raw_metadata", "text_map", "", "every metadata key of the request", required=True),
    Column("flags", "text_list", "", "what was odd about the row", required=True),
    Column("created_at", "instant", "UTC", "when the row was taken from the spool", required=True),
)  # fmt: skip

BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}


def promoted_column(metadata_key: str) -> str:
    """Return the name of the lake column of a promoted metadata key."""
    return PROMOTED_PREFIX + metadata_key


def columns_markdown() -> str:
    """Return the table of columns as Markdown, for the documentation."""
    lines = ["| column | type | unit | null | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{c.name}` | {c.type} | {c.unit} | {'no' if c.required else 'yes'} | {c.meaning} |"
        for c in COLUMNS
    ]
    return "\n".join(lines) + "\n"
