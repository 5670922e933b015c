"""All answers made by hand."""

from __future__ import annotations

from tests.capture import bodies, bodies_clouds, bodies_openai, hosts

CASES = [*bodies.CASES, *hosts.CASES, *bodies_openai.CASES, *bodies_clouds.CASES]
