"""The closed list of oddities a row can carry in its `flags` column."""

from __future__ import annotations

from typing import Final

METADATA_REPEATED: Final = "metadata_repeated"
METADATA_CUT: Final = "metadata_cut"
METADATA_DROPPED: Final = "metadata_dropped"
METADATA_NOT_UTF8: Final = "metadata_not_utf8"
USAGE_BAD_NUMBER: Final = "usage_bad_number"
USAGE_PART_OVER_WHOLE: Final = "usage_part_over_whole"
USAGE_TOTAL_MISMATCH: Final = "usage_total_mismatch"
BODY_NOT_READ: Final = "body_not_read"
BODY_TOO_LARGE: Final = "body_too_large"
USAGE_REPEATED: Final = "usage_repeated"
USAGE_CHUNK_LEFT: Final = "usage_chunk_left"
PRICE_TIER_UNKNOWN: Final = "price_tier_unknown"
PRICE_INCOMPLETE: Final = "price_incomplete"
ERROR_IN_STREAM: Final = "error_in_stream"
TEXT_CLEANED: Final = "text_cleaned"
ERASED: Final = "erased"

FLAGS: dict[str, str] = {
    METADATA_REPEATED: "a metadata header came more than once; the first value counts",
    METADATA_CUT: "a metadata name or value was longer than allowed and was cut",
    METADATA_DROPPED: "metadata keys over the allowed number were left out",
    METADATA_NOT_UTF8: "a metadata value was not UTF-8 and was read as Latin-1",
    USAGE_BAD_NUMBER: "the provider sent a count that is no count; it is null here",
    USAGE_PART_OVER_WHOLE: "the provider reported a part larger than its whole",
    USAGE_TOTAL_MISMATCH: "the provider's own total differs from its parts",
    USAGE_REPEATED: "an answer that was asked for again; another row has its usage and cost",
    USAGE_CHUNK_LEFT: "usage that the proxy asked for could not be taken out of the stream again",
    PRICE_TIER_UNKNOWN: "there is no price for the service tier named; the standard price counts",
    PRICE_INCOMPLETE: "something that was used, such as a search, has no price; the cost lacks it",
    BODY_NOT_READ: "the answer could not be read as its API promises",
    BODY_TOO_LARGE: "the answer was too large to look for usage in it",
    ERROR_IN_STREAM: "the provider reported an error inside a successful stream",
    TEXT_CLEANED: "characters that no database takes, or an API key, were taken out of a text",
    ERASED: "what identified somebody was erased from the row; its usage and cost are as they were",
}
