"""Which provider a request goes to, at which address, and with whose credential."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from yarl import URL

from majordomo_proxy.headers import (
    RequestHeaders,
    credential_in_query,
    query_without_credentials,
    sort_request_headers,
)
from majordomo_proxy.refusals import RefusedError
from majordomo_proxy.settings import load_settings
from majordomo_proxy.targets import Targets
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import CHAT_ANSWER, Upstream

ROUTES = """
[providers.corp]
base_url = "{corp}/v1"
flavour = "openai"
[providers.together]
base_url = "{together}"
credential_env = "TOGETHER_KEY"
[routes."fast"]
provider = "together"
model = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
[routes."own"]
provider = "corp"
model = "own-1"
"""


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RunningProxy]:
    folder = tmp_path_factory.mktemp("routed")
    config = folder / "majordomo.toml"
    config.write_text(ROUTES.format(corp=upstream.url, together=upstream.url))
    with running_proxy(
        folder / "data",
        arguments=("--config", str(config)),
        environment={"TOGETHER_KEY": "planted-together-key"},
    ) as running:
        yield running


def headers_of(**fields: bytes) -> RequestHeaders:
    return RequestHeaders([], [], **fields)  # type: ignore[arg-type]


def test_a_regional_provider_is_called_in_the_region_named(tmp_path: Path) -> None:
    targets = Targets(load_settings(environment={}))
    bedrock = targets.find(None, "/model/m%3A0/converse")
    url = targets.url(bedrock, "/model/m%3A0/converse", b"", headers_of(region=b"eu-west-1"))
    assert url == URL(
        "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m%3A0/converse", encoded=True
    )
    with pytest.raises(RefusedError, match="X-Majordomo-Bedrock-Region"):
        targets.url(bedrock, "/model/m/converse", b"", headers_of())


@pytest.mark.parametrize(
    "region", [b"evil.com/", b"eu-west-1.evil.com#", b"@evil", b"a/../b", b"\xff"]
)
def test_a_region_cannot_name_a_host(region: bytes) -> None:
    targets = Targets(load_settings(environment={}))
    bedrock = targets.find(b"bedrock", "/model/m/converse")
    with pytest.raises(RefusedError, match="is no region"):
        targets.url(bedrock, "/model/m/converse", b"", headers_of(region=region))


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
    ],
)
def test_vertex_is_called_where_its_path_says(location: str, host: str) -> None:
    targets = Targets(load_settings(environment={}))
    path = f"/v1/projects/p/locations/{location}/publishers/google/models/g:generateContent"
    vertex = targets.find(b" Vertex ", path)
    assert targets.url(vertex, path, b"", headers_of()).host == host


def test_a_provider_without_an_address_says_what_to_set() -> None:
    targets = Targets(load_settings(environment={}))
    azure = targets.find(b"azure", "/chat/completions")
    with pytest.raises(RefusedError, match="set MAJORDOMO_AZURE_BASE_URL"):
        targets.url(azure, "/chat/completions", b"", headers_of())


@pytest.mark.parametrize(
    ("path", "query", "asked"),
    [
        ("/openai/deployments/d/chat/completions", b"api-version=2024-09-01-preview", True),
        ("/openai/deployments/d/chat/completions", b"x=1&api-version=2024-02-01", False),
        ("/openai/deployments/d/chat/completions", b"", False),
        ("/openai/v1/chat/completions", b"", True),
    ],
)
def test_azure_is_asked_for_usage_where_it_understands(
    path: str, query: bytes, asked: bool
) -> None:
    targets = Targets(load_settings(environment={}))
    assert targets.asks_for_usage(targets.find(b"azure", path), path, query) is asked


def test_a_routed_request_goes_to_the_provider_in_the_table(
    routed: RunningProxy, upstream: Upstream
) -> None:
    """With the native model and the provider's credential; the caller is told of both."""
    headers = {
        "Authorization": f"Bearer {routed.key}",
        "X-Majordomo-Key": routed.key,
        "X-Majordomo-Provider": "majordomo",
    }
    body = {"model": "fast", "messages": [{"role": "user", "content": "1.0"}], "seed": 1}
    answer = routed.post("/chat/completions", headers=headers, json=body)
    sent = upstream.received[-1]

    assert answer.status_code == 200
    assert answer.content == CHAT_ANSWER
    assert answer.headers["X-Majordomo-Routed-Provider"] == "together"
    assert answer.headers["X-Majordomo-Routed-Model"] == "meta-llama/Llama-3.3-70B-Instruct-Turbo"
    assert sent.target == "/v1/chat/completions"
    assert json.loads(sent.body) == {**body, "model": "meta-llama/Llama-3.3-70B-Instruct-Turbo"}
    assert sent.header("authorization") == "Bearer planted-together-key"
    (row,) = [r for r in routed.rows() if r["id"] == answer.headers["x-majordomo-log-id"]]
    assert (row["provider"], row["requested_model"]) == ("together", "fast")
    hashed = hashlib.sha256(b"Bearer planted-together-key").hexdigest()
    assert row["provider_api_key_hash"] == hashed


@pytest.mark.parametrize("model", ["own", "fast"])
def test_a_credential_of_the_callers_does_not_follow_a_route(
    routed: RunningProxy, upstream: Upstream, model: str
) -> None:
    """It is for whoever the caller had in mind, not for whom the table names."""
    headers = {
        "X-Majordomo-Key": routed.key,
        "X-Majordomo-Provider": "majordomo",
        "Authorization": "Bearer sk-of-the-caller",
        "x-api-key": "sk-of-the-caller",
    }
    answer = routed.post(
        "/v1/chat/completions?key=sk-of-the-caller&a=1", headers=headers, json={"model": model}
    )
    sent = upstream.received[-1]
    (row,) = [r for r in routed.rows() if r["id"] == answer.headers["x-majordomo-log-id"]]

    assert sent.target == "/v1/chat/completions?a=1"
    assert "sk-of-the-caller" not in repr(sent.headers)
    assert (row["provider_api_key_hash"] is None) is (model == "own")


def test_a_routed_model_that_the_answer_does_not_name_is_the_native_one(
    routed: RunningProxy,
) -> None:
    headers = {**routed.headers(), "X-Majordomo-Provider": "majordomo"}
    answer = routed.post(
        "/v1/chat/completions?script=rate-limited", headers=headers, json={"model": "own"}
    )
    (row,) = [r for r in routed.rows() if r["id"] == answer.headers["x-majordomo-log-id"]]
    assert (row["provider"], row["model"], row["status_code"]) == ("corp", "own-1", 429)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"model": "slow"}', "'slow' has none; models with a route: fast, own"),
        (b"{}", "names no model"),
        (b"[1]", "names no model"),
    ],
)
def test_a_model_without_a_route_is_refused(
    routed: RunningProxy, content: bytes, says: str
) -> None:
    headers = {**routed.headers(), "X-Majordomo-Provider": "majordomo"}
    answer = routed.post(headers=headers, json=None, content=content)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "no_route")
    assert says in answer.json()["error"]["message"]


def test_without_a_routing_table_the_pseudo_provider_is_refused(proxy: RunningProxy) -> None:
    answer = proxy.post(headers={**proxy.headers(), "X-Majordomo-Provider": "majordomo"})
    assert answer.status_code == 400
    assert "needs a routing table" in answer.json()["error"]["message"]


def test_a_provider_of_ones_own_is_called_by_its_name(
    routed: RunningProxy, upstream: Upstream
) -> None:
    answer = routed.post(
        "/v1/chat/completions", headers={**routed.headers(), "X-Majordomo-Provider": "corp"}
    )
    assert (answer.status_code, upstream.received[-1].target) == (200, "/v1/chat/completions")


@pytest.mark.parametrize(
    "header", ["Authorization", "x-api-key", "x-goog-api-key", "api-key", "X-Anything", "Cookie"]
)
def test_an_api_key_never_reaches_a_provider(
    proxy: RunningProxy, upstream: Upstream, header: str
) -> None:
    """In whichever header or query parameter it came."""
    headers = {"X-Majordomo-Key": proxy.key, header: f"Bearer {proxy.key}"}
    answer = proxy.post(f"/v1/chat/completions?a=1&key={proxy.key}&b=2", headers=headers)
    sent = upstream.received[-1]

    assert answer.status_code == 200
    assert sent.target == "/v1/chat/completions?a=1&b=2"
    assert "mdm_sk_" not in repr((sent.headers, sent.target, sent.body))


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "x-goog-api-key"])
def test_an_api_key_sent_as_the_credential_counts(proxy: RunningProxy, header: str) -> None:
    bearer = "Bearer " if header == "Authorization" else ""
    answer = httpx.post(
        f"{proxy.url}/v1/chat/completions", headers={header: bearer + proxy.key}, json={}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "retries"),
    [
        (b"x-stainless-retry-count", b"2", 2),
        (b"x-stainless-retry-count", b"0", 0),
        (b"x-stainless-retry-count", b"-1", None),
        (b"amz-sdk-request", b"attempt=1; max=5", 0),
        (b"amz-sdk-request", b"ttl=20261124T000000Z; attempt=3; max=5", 2),
        (b"amz-sdk-request", b"attempt=0", None),
        (b"amz-sdk-request", b"attempt=99999999", None),
        (b"x-goog-api-client", b"gl-python/3.12 gccl-attempt-count/2 gccl/3", 1),
        (b"x-goog-api-client", b"gl-python/3.12", None),
    ],
)
def test_how_often_an_sdk_had_tried_is_read(name: bytes, value: bytes, retries: int | None) -> None:
    assert sort_request_headers([(name, value)]).retry_attempt == retries


def test_a_request_of_another_api_can_be_routed_too(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> None:
    """It is read as the API of whom the table names; half an emoji is no hindrance."""
    folder = tmp_path_factory.mktemp("cohere")
    config = folder / "majordomo.toml"
    routes = '[routes."best"]\nprovider = "cohere"\nmodel = "command-a"\n'
    config.write_text(f'[providers.cohere]\nbase_url = "{upstream.url}"\n{routes}')
    with running_proxy(folder / "data", arguments=("--config", str(config))) as proxy:
        headers = {**proxy.headers(), "X-Majordomo-Provider": "majordomo"}
        content = b'{"model": "best", "cut": "\\ud83d"}'
        answer = proxy.post("/v2/chat", headers=headers, json=None, content=content)
        (row,) = proxy.rows()

    assert answer.status_code == 200
    assert upstream.received[-1].body == b'{"model": "command-a", "cut": "\\ud83d"}'
    assert (row["provider"], row["api_flavour"]) == ("cohere", "cohere_chat")


@pytest.mark.parametrize("value", [b"bearer mdm_sk_1", b"Bearer  mdm_sk_1", b"BEARER mdm_sk_1"])
def test_the_scheme_of_a_misplaced_api_key_has_any_case(value: bytes) -> None:
    assert sort_request_headers([(b"authorization", value)]).api_key == b"mdm_sk_1"


def test_an_api_key_in_basic_authorization_goes_no_further() -> None:
    coded = base64.b64encode(b"user:mdm_sk_1")
    headers = sort_request_headers([(b"authorization", b"Basic " + coded)])
    assert headers.forward == []


@pytest.mark.parametrize("name", [b"key", b"k%65y", b"%6b%65%79"])
def test_a_credential_in_the_query_is_known_however_its_name_is_written(name: bytes) -> None:
    query = b"a=%20&" + name + b"=secret-1&keys=b"

    assert credential_in_query(query) == b"secret-1"
    assert query_without_credentials(query, also_key=True) == b"a=%20&keys=b"


def test_an_api_key_in_the_query_goes_no_further_however_it_is_written() -> None:
    query = b"a=1&key=mdm%5Fsk%5Fabc&b=%20"
    assert query_without_credentials(query, also_key=False) == b"a=1&b=%20"
