"""Majordomo's own Python client through the proxy: every row has what the client reports.

The client has an environment of its own, made by `make client-test`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from majordomo_analytics.cli.children import running_proxy
from majordomo_analytics.cli.standins.process import running_standins
from majordomo_analytics.cli.standins.truth import Call
from tests.sdk.conftest import lake_rows, mdm, truth_by_name
from tests.sdk.majordomo_llm_calls import MODELS

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("majordomo_llm_calls.py")
INTERPRETER = Path(
    os.environ.get("MAJORDOMO_LLM_PYTHON") or ROOT / ".venv-client" / "bin" / "python"
)
WAYS = ("text", "stream", "json", "structured")
ALONE = ("cascade", "logging", "images")
NAMES = [*(f"{provider}-{way}" for provider in MODELS for way in WAYS), *ALONE]

LEAVES_OUT_THE_CACHE = {"anthropic", "bedrock", "bedrock_mantle"}
"""Whose calls the client reports with an input that has no cached or written tokens."""

pytestmark = pytest.mark.skipif(
    not INTERPRETER.exists(), reason="majordomo_llm is not there; `make client-test` installs it"
)

ROUTES = """
[providers.together]
credential_env = "TOGETHER_API_KEY"

[routes."glm-5.3"]
provider = "together"
model = "zai-org/GLM-5.3"
"""

Made = tuple[dict[str, dict[str, Any]], dict[str, Call], dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Give what the client reports of each call, the truth, and the lake's rows."""
    folder = tmp_path_factory.mktemp("client")
    data, config = folder / "data", folder / "majordomo.toml"
    config.write_text(ROUTES, "utf-8")
    issued = json.loads(mdm("keys", "create", "--name", "client", "--data", str(data), "--json"))
    with (
        running_standins() as standins,
        running_proxy(
            data, standins.environment | {"TOGETHER_API_KEY": "made-up"}, config=config
        ) as url,
    ):
        done = subprocess.run(
            [INTERPRETER, DRIVER, url, issued["key"]],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        truth = truth_by_name(standins)
    mdm("drain", "--once", "--data", str(data))
    reported = {call["name"]: call for call in json.loads(done.stdout)}
    return reported, truth, lake_rows(data)


def test_every_call_was_made_once(made: Made) -> None:
    """One row for each, and one more for the provider that refused in the cascade."""
    assert sorted(made[0]) == sorted(NAMES)
    assert sorted(made[1]) == sorted(made[2]) == sorted([*NAMES, "cascade-refused"])


@pytest.mark.parametrize("name", NAMES)
def test_row_has_the_tokens_that_the_client_reports(name: str, made: Made) -> None:
    """In whole counts: with the cache, which it leaves out for some, and the thoughts."""
    reported, row = made[0][name], made[2][name]
    whole, said = reported["input_tokens"], reported["output_tokens"]
    if reported["provider"] in LEAVES_OUT_THE_CACHE:
        whole += reported["cached_tokens"] + reported["cache_creation_tokens"]
    if reported["provider"] == "gemini":
        said += made[1][name].tokens.reasoning
    assert (row["input_tokens"], row["output_tokens"]) == (whole, said)
    assert (row["cache_creation_tokens"] or 0) == reported["cache_creation_tokens"]
    if made[1][name].provider != "together":  # the client does not look where Together states it
        assert (row["cached_tokens"] or 0) == reported["cached_tokens"]


@pytest.mark.parametrize("name", NAMES)
def test_row_has_what_the_standins_used_and_charged(name: str, made: Made) -> None:
    row, truth = made[2][name], made[1][name]
    assert (row["input_tokens"], row["output_tokens"]) == (truth.tokens.input, truth.tokens.output)
    assert (row["cached_tokens"] or 0) == truth.tokens.cached
    assert row["usage_status"] == "reported"
    assert row["total_cost"] == truth.cost
    assert (row["total_cost"] is None) == name.startswith("bedrock_mantle-")


@pytest.mark.parametrize("name", NAMES)
def test_row_says_who_was_called_and_how(name: str, made: Made) -> None:
    row, truth = made[2][name], made[1][name]
    assert (row["provider"], row["model"]) == (truth.provider, truth.model)
    assert (row["api_flavour"], row["is_streamed"]) == (truth.flavour, truth.streamed)
    assert (row["status_code"], row["outcome"]) == (200, "completed")


@pytest.mark.parametrize("name", NAMES)
def test_row_has_the_headers_of_the_call_instead_of_the_defaults(name: str, made: Made) -> None:
    """The client's Bedrock sends the defaults only; a routed call also names its model."""
    own = {"Model": MODELS["majordomo"]} if name.startswith("majordomo-") else {}
    assert made[2][name]["raw_metadata"] == own | {
        "Feature": "client-tests",
        "User-Tier": "free" if name.startswith("bedrock-") else "enterprise",
        "Call": name,
    }


def test_no_majordomo_header_reaches_a_provider(made: Made) -> None:
    sent = {name: call.majordomo_headers for name, call in made[1].items()}
    assert {name: headers for name, headers in sent.items() if headers} == {}


@pytest.mark.parametrize("way", WAYS)
def test_routed_call_has_the_model_that_answered(way: str, made: Made) -> None:
    """The client learns it from the response, and prices its call by it."""
    reported, row = made[0][f"majordomo-{way}"], made[2][f"majordomo-{way}"]
    answered = ("together", "zai-org/GLM-5.3")
    assert (row["provider"], row["model"], row["requested_model"]) == (*answered, "glm-5.3")
    if way == "text":  # of the others the client gives its caller the counts alone
        assert (reported["routed_provider"], reported["routed_model"]) == answered


def test_provider_that_refused_in_a_cascade_has_a_row_without_tokens(made: Made) -> None:
    row = made[2]["cascade-refused"]
    assert (row["status_code"], row["provider"]) == (400, "openai")
    assert (row["input_tokens"], row["total_cost"]) == (None, None)


def test_calls_read_and_write_caches(made: Made) -> None:
    """Otherwise the whole counts above would be right without them."""
    calls = [made[0][name] for name in NAMES]
    for provider in ("anthropic", "openai"):
        assert any(call["cached_tokens"] for call in calls if call["provider"] == provider)
    assert any(call["cache_creation_tokens"] for call in calls)
