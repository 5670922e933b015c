"""From token counts to money; the only place that knows genai-prices."""
