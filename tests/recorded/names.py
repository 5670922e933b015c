"""What genai-prices calls a count, and what the column of it is."""

from __future__ import annotations

OUR_NAMES = {
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cached_tokens",
    "cache_write_tokens": "cache_creation_tokens",
    "cache_write_5m_tokens": "cache_creation_5m_tokens",
    "cache_write_1h_tokens": "cache_creation_1h_tokens",
    "input_tool_tokens": "tool_prompt_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "input_video_tokens": "input_video_tokens",
    "output_tokens": "output_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
}
