"""Credentials in text that others wrote: found by their shape, and taken out.

Providers repeat what they were sent, in part or whole, when they refuse it.
"""

from __future__ import annotations

import re

MASK = "[credential]"

_SHAPES = (
    # By the prefixes that providers give their keys; stars stand for what they left out.
    r"\b(?:(?:mdm_)?sk|pk|rk|gsk|xai|csk|hf|fw|r8|pplx|nvapi|tgp_v1|ghp|glpat|github_pat)"
    r"[-_][\w*.-]{6,}",
    r"\bAIza[\w*-]{6,}",
    r"\bya29\.[\w*.-]{6,}",
    r"\b(?:AKIA|ASIA|ABSK)[A-Za-z0-9+/*]{8,}={0,2}",
    r"\beyJ[\w-]{6,}(?:\.[\w-]+){0,2}",
    # By what stands before them, in headers, in addresses and in sentences.
    r"(?<=[?&;]key=)[^\s&\"'<>]+",
    r"(?<=\bBearer )[\w.~+/*=-]{3,}|(?<=\bBasic )[A-Za-z0-9+/]{6,}={0,2}",
    r"(?i:(?<=[?&_-]key=)|(?<=[?&_]token=)|(?<=signature=)|(?<=x-api-key: )|(?<=api-key: ))"
    r"[^\s&\"'<>]+",
)
_CREDENTIAL = re.compile("|".join(_SHAPES))


def without_credentials(text: str) -> str:
    """Return `text` with everything that looks like a credential masked.

    >>> without_credentials("Incorrect API key provided: sk-proj-abc123def456")
    'Incorrect API key provided: [credential]'
    """
    return _CREDENTIAL.sub(MASK, text)
