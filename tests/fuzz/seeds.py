"""Where fuzzing begins: the bodies that were made by hand for the tests of the parsers."""

from __future__ import annotations

import gzip
import json
import zlib

from tests.capture.cases import CASES
from tests.fuzz.targets import ENCODINGS, FLAVOURS

REQUESTS = (
    b'{"model":"gpt-5","stream":true,"messages":[]}',
    b'{"model":"m","stream":true,"stream_options":{"include_obfuscation":false}}',
    b'{"stream_options":null,"stream":true,"model":"\\ud83d\\ude00"}',
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n',
)
PATHS = (
    b"/v1/chat/completions",
    b"/model/us.anthropic.claude-v1%3A0/converse-stream",
    b"/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    b"/agents/A/agentAliases/B/sessions/C/text",
)


def seeds(target: str) -> list[bytes]:
    """Return the first inputs of a target."""
    if target == "answers":
        found = []
        for case in CASES:
            flavour = FLAVOURS.index(case.flavour)
            found.append(bytes((flavour, 0, 2)) + case.body)
            found.append(bytes((flavour, ENCODINGS.index("gzip"), 3)) + gzip.compress(case.body))
        return found
    if target == "streams":
        return [b"\x01" + case.body for case in CASES if case.is_streamed]
    if target == "encodings":
        body = CASES[0].body
        return [b"\x01\x00" + gzip.compress(body), b"\x02\x00" + zlib.compress(body)]
    if target == "requests":
        return [bytes((number, 0, 1)) + body for number in (1, 2) for body in REQUESTS]
    return list(PATHS) if target == "paths" else [*REQUESTS, json.dumps([1]).encode()]
