"""Every process of a proxy writes logs of one form, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.support.proxy import running_proxy
from tests.support.scripts import answer_by_path
from tests.support.upstream import Upstream


def test_every_line_is_json_and_an_access_line_has_no_query_string(tmp_path: Path) -> None:
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data",
            log=tmp_path / "log",
            openai_base_url=upstream.url,
            log_format="json",
            log_level="info",
            access_log="true",
            workers="2",
        ) as proxy,
    ):
        ids = [
            proxy.post(f"/v1/chat/completions?key=planted-secret&n={n}").headers[
                "x-majordomo-log-id"
            ]
            for n in range(4)
        ]
        httpx.get(f"{proxy.url}/health")
        assert proxy.stop() == 0

    lines = [json.loads(line) for line in proxy.said.splitlines()]
    assert all({"time", "level", "process", "message"} <= line.keys() for line in lines)
    first = lines[0]
    assert (first["process"], first["level"]) == ("supervisor", "info")
    assert first["message"].startswith(f"majordomo proxy on {proxy.url}, data in ")
    access = [line for line in lines if line["logger"] == "majordomo_proxy.access"]
    assert [line["id"] for line in access] == ids
    for line in access:
        assert (line["provider"], line["status"], line["outcome"]) == ("openai", 200, "completed")
        assert (line["method"], line["path"]) == ("POST", "/v1/chat/completions")
        assert 0 <= line["ms"] < 60_000
        assert line["process"] in {"worker 1", "worker 2"}
    drained = [line for line in lines if line["process"] == "drain"]
    assert sum(line.get("rows", 0) for line in drained) == 4
    assert "planted-secret" not in proxy.said
    assert proxy.key not in proxy.said


def test_a_stream_that_its_provider_broke_off_is_no_fault_of_the_proxy(tmp_path: Path) -> None:
    """Its row says so; a log full of errors would hide those that are."""
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data", log=tmp_path / "log", openai_base_url=upstream.url
        ) as proxy,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            proxy.post("/v1/chat/completions?script=reset-in-stream")
        assert proxy.stop() == 0

    assert "ERROR" not in proxy.said
    assert "without completing response" not in proxy.said


def test_without_being_asked_no_request_is_logged(tmp_path: Path) -> None:
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(
            tmp_path / "data", log=tmp_path / "log", openai_base_url=upstream.url
        ) as proxy,
    ):
        assert proxy.post().status_code == 200
        assert proxy.stop() == 0

    (line,) = proxy.said.splitlines()
    assert line.startswith("majordomo proxy on http://127.0.0.1:")
