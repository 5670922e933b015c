"""What passes the proxy passes as it came."""

from __future__ import annotations

import gzip
import socket

import httpx
import pytest

from tests.support.proxy import RunningProxy
from tests.support.scripts import FIRST_EVENT_SEEN
from tests.support.upstream import CHAT_ANSWER, CHAT_EVENTS, Upstream

CHAT = "/v1/chat/completions"


def raw_call(proxy: RunningProxy, head: str, body: bytes = b"") -> bytes:
    """Send bytes as they are and read until the proxy closes."""
    lines = [*head.strip().split("\n"), f"X-Majordomo-Key: {proxy.key}", "Connection: close"]
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        ("content-length", CHAT_ANSWER),
        ("chunked", CHAT_ANSWER),
        ("stream", b"".join(CHAT_EVENTS)),
    ],
)
def test_a_body_arrives_byte_for_byte_whatever_its_framing(
    proxy: RunningProxy, framing: str, expected: bytes
) -> None:
    answer = proxy.post(f"{CHAT}?script={framing}")

    assert answer.status_code == 200
    assert answer.content == expected


def test_target_and_method_go_out_as_they_came(proxy: RunningProxy, upstream: Upstream) -> None:
    """Percent-encoding, empty values, order and repetition of the query stay."""
    target = f"{CHAT}/m%3A1%2Fx/../y?b=%3A&a=&b=2&c"
    raw_call(proxy, f"PATCH {target} HTTP/1.1\nHost: proxy\nContent-Length: 2", b"{}")

    assert upstream.received[-1].method == "PATCH"
    assert upstream.received[-1].target == target


def test_request_headers_go_out_as_they_came(proxy: RunningProxy, upstream: Upstream) -> None:
    """Repeated headers, their order and non-ASCII values stay; nothing is added."""
    raw_call(
        proxy,
        f"POST {CHAT} HTTP/1.1\nHost: proxy\nContent-Length: 2\nX-Twice: 1\nx-other: ü\n"
        "X-Twice: 2\nAuthorization: Bearer sk-1\nX-Majordomo-Feature: search\n"
        "X-MajordomoX: stays\nX-Named: hop\nConnection: x-named\nTE: trailers",
        b"{}",
    )

    assert [(n.lower(), v) for n, v in upstream.received[-1].headers] == [
        ("host", f"localhost:{upstream.port}"),
        ("x-twice", "1"),
        ("x-other", "ü".encode().decode("latin-1")),
        ("x-twice", "2"),
        ("authorization", "Bearer sk-1"),
        ("x-majordomox", "stays"),
        ("content-length", "2"),
    ]


def test_response_headers_and_status_come_back_as_they_were(proxy: RunningProxy) -> None:
    """Repeated headers stay, hop-by-hop ones and those Connection names go."""
    answer = proxy.post(f"{CHAT}?script=odd-headers")

    assert answer.status_code == 418
    names = [name.lower() for name, _ in answer.headers.raw]
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert dict(answer.headers.raw)[b"x-odd"].decode() == "Größe"
    assert b"x-hop" not in names
    assert b"keep-alive" not in names
    assert b"server" not in names
    assert b"x-majordomo-log-id" in names


def test_a_cookie_of_one_answer_never_reaches_the_next_request(
    proxy: RunningProxy, upstream: Upstream
) -> None:
    proxy.post(f"{CHAT}?script=odd-headers")
    proxy.post()

    assert upstream.received[-1].header("cookie") is None


def test_a_compressed_body_is_not_touched(proxy: RunningProxy, upstream: Upstream) -> None:
    """Content-Encoding of a request goes with the very bytes it describes."""
    body = gzip.compress(b'{"model": "gpt-4o-mini"}')
    headers = {**proxy.headers(), "Content-Encoding": "gzip"}
    proxy.post(headers=headers, json=None, content=body)

    assert upstream.received[-1].body == body
    assert upstream.received[-1].header("content-encoding") == "gzip"


@pytest.mark.parametrize("size", [0, 1, 200_000, 300_000, 2_900_000])
def test_a_request_body_of_any_size_arrives_whole(
    proxy: RunningProxy, upstream: Upstream, size: int
) -> None:
    """Small bodies are read first, larger ones stream through; both keep their length."""
    answer = proxy.post(f"{CHAT}?script=echo-length", json=None, content=b"x" * size)

    assert answer.json() == {"bytes": size}
    assert int(upstream.received[-1].header("content-length") or 0) == size


def test_a_chunked_request_body_arrives_whole(proxy: RunningProxy, upstream: Upstream) -> None:
    parts = [b"a" * 150_000, b"b" * 150_000, b"c" * 10]
    answer = proxy.post(f"{CHAT}?script=echo-length", json=None, content=iter(parts))

    assert answer.json() == {"bytes": 300_010}
    assert upstream.received[-1].body == b"".join(parts)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{CHAT}?script=not-modified", 304),
        ("DELETE", f"{CHAT}?script=no-content", 204),
        ("HEAD", f"{CHAT}?script=headers-only", 200),
        ("POST", f"{CHAT}?script=redirect", 307),
    ],
)
def test_answers_without_a_body_end_at_once(
    proxy: RunningProxy, method: str, path: str, status: int
) -> None:
    """Neither side waits for a body that does not come; redirects are not followed."""
    answer = httpx.request(method, proxy.url + path, headers=proxy.headers(), timeout=5)

    assert answer.status_code == status
    assert answer.content == b""
    if method == "HEAD":
        assert answer.headers["content-length"] == "4321"


def test_chunks_arrive_while_the_stream_goes_on(proxy: RunningProxy) -> None:
    """The provider sends the second event only once the caller has read the first."""
    FIRST_EVENT_SEEN.clear()
    with httpx.stream(
        "POST", f"{proxy.url}{CHAT}?script=wait", headers=proxy.headers(), json={}, timeout=20
    ) as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b'data: {"n":1}\n\n'
        FIRST_EVENT_SEEN.set()
        assert b"".join(chunks) == b'data: {"n":2}\n\n'


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/responses", "/v1/responses"),
        ("/embeddings", "/v1/embeddings"),
        ("/v1/responses/resp_1", "/v1/responses/resp_1"),
        ("/v1/messages?beta=true", "/v1/messages?beta=true"),
        ("/v1beta/models/g:generateContent", "/prefix/v1beta/models/g:generateContent"),
    ],
)
def test_the_path_finds_its_provider(
    proxy: RunningProxy, upstream: Upstream, path: str, target: str
) -> None:
    """SDKs that leave the `/v1` out get it; a base address may have a path of its own."""
    assert proxy.post(path).status_code == 200
    assert upstream.received[-1].target == target
