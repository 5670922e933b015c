"""Credentials in text that others wrote: found by their shape, and taken out.

Providers repeat what they were sent, in part or whole, when they refuse it.
"""

from __future__ import annotations

import re

MASK = "[credential]"

# Not in the middle of a word, but after what escapes stand for: \n, %20.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=%[0-9A-Fa-f]{2}))"

_SHAPES = (
    # By the prefixes that providers give their keys; stars stand for what they left out.
    _START + r"(?:(?:mdm_)?sk|pk|rk|gsk|xai|csk|hf|fw|r8|pplx|nvapi|tgp_v1|ghp|github_pat)"
    r"[-_][\w*.-]{6,}",
    _START + r"(?:AIza|ya29\.)[\w*.-]{6,}",
    _START + r"(?:AKIA|ASIA|ABSK)[\w*+/]{8,}={0,2}",
    _START + r"eyJ[\w-]{6,}(?:\.[\w-]+){0,2}",
    # By what stands before them, in headers and addresses.
    r"(?<=\bBearer )[\w.~+/*=-]{6,}|(?<=\bBasic )[\w+/]{6,}={0,2}",
    r"(?i:(?<=[?&;_-]key=)|(?<=[?&;_]token=)|(?<=signature=)|(?<=api-key: )|(?<=\bcookie: ))"
    r"[^\s&\"'<>]+",
)
# ASCII, or letters of other scripts around a credential would hide it.
_CREDENTIAL = re.compile("|".join(_SHAPES), re.ASCII)


def without_credentials(text: str) -> str:
    """Return `text` with everything that looks like a credential masked.

    >>> without_credentials("Incorrect API key provided: sk-proj-abc123def456")
    'Incorrect API key provided: [credential]'
    """
    return _CREDENTIAL.sub(MASK, text)
