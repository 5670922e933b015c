"""Real SDKs' calls, and the two roads they take: straight, and through the proxy.

Every call is made once on each road. It returns the usage as the SDK's own objects report
it, brought to the whole counts that our rows use: input with the cache, output with the
reasoning.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from majordomo_analytics.cli.children import running_proxy
from majordomo_analytics.cli.standins.process import RunningStandIns, running_standins
from tests.sdk import (
    calls_anthropic,
    calls_bedrock,
    calls_cohere,
    calls_gemini,
    calls_hosts,
    calls_openai,
)
from tests.sdk.roads import DEFAULTS, OVERRIDES, Road, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from majordomo_analytics.cli.standins.truth import Call

CALLS = {
    call.__name__: call
    for calls in (
        calls_openai.CALLS,
        calls_anthropic.CALLS,
        calls_gemini.CALLS,
        calls_cohere.CALLS,
        calls_hosts.CALLS,
        calls_bedrock.CALLS,
    )
    for call in calls
}


def make_all_calls(road: Road) -> dict[str, Usage]:
    return {
        name: call(road, OVERRIDES | {"X-Demo-Call": name, "x-majordomo-call": name})
        for name, call in CALLS.items()
    }


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> str:
    """Name one SDK call; a test that takes it runs once for each."""
    return str(request.param)


@pytest.fixture(params=[name for name in CALLS if name.endswith("_left")])
def left(request: pytest.FixtureRequest) -> str:
    """Name one call whose caller hangs up after the first event."""
    return str(request.param)


@pytest.fixture(scope="session")
def straight() -> Iterator[tuple[dict[str, Usage], dict[str, Call]]]:
    """Give what the SDKs report, and the truth, when they call the stand-ins themselves."""
    with running_standins() as standins:
        reported = make_all_calls(Road(standins.url, DEFAULTS, is_straight=True))
        yield reported, truth_by_name(standins)


@pytest.fixture(scope="session")
def proxied(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Usage], dict[str, Call], dict[str, dict[str, Any]]]:
    """Give what the SDKs report, the truth, and the lake's rows, through the proxy."""
    data = tmp_path_factory.mktemp("sdk") / "data"
    issued = json.loads(mdm("keys", "create", "--name", "sdk", "--data", str(data), "--json"))
    headers = DEFAULTS | {"X-Majordomo-Key": issued["key"]}
    with (
        running_standins() as standins,
        running_proxy(data, standins.environment) as url,
    ):
        reported = make_all_calls(Road(url, headers, is_straight=False))
        truth = truth_by_name(standins)
    mdm("drain", "--once", "--data", str(data))
    return reported, truth, lake_rows(data)


def mdm(*arguments: str) -> str:
    command = [sys.executable, "-m", "majordomo_analytics", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def lake_rows(data: Path) -> dict[str, dict[str, Any]]:
    """Return the lake's rows by the name that their call was given as metadata."""
    lake = pl.read_delta(str(data / "lake" / "llm_requests"))
    rows = {row["raw_metadata"]["Call"]: row for row in lake.to_dicts()}
    assert len(rows) == lake.height
    return rows


def truth_by_name(standins: RunningStandIns) -> dict[str, Call]:
    calls = standins.truth()
    named = {str(call.name): call for call in calls}
    assert len(named) == len(calls), "a call was made twice"
    return named
