"""One proxy for a module's tests, in front of an upstream that answers by path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import postgres, postgres_server
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.scripts import answer_by_path
from tests.support.upstream import Upstream

__all__ = ["postgres", "postgres_server", "proxy", "upstream"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(answer_by_path) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RunningProxy]:
    data = tmp_path_factory.mktemp("proxy") / "data"
    # A host name, not an address: cookie jars ignore addresses.
    address = f"http://localhost:{upstream.port}"
    with running_proxy(
        data,
        openai_base_url=address,
        anthropic_base_url=address,
        bedrock_base_url=address,
        gemini_base_url=f"{address}/prefix",
        read_timeout_s="1.5",
        abandoned_read_s="5",
        max_request_bytes="3000000",
    ) as running:
        yield running
