"""All answers made by hand."""

from __future__ import annotations

from tests.capture import bodies, bodies_others, hosts, other_bodies

CASES = [*bodies.CASES, *hosts.CASES, *other_bodies.CASES, *bodies_others.CASES]
