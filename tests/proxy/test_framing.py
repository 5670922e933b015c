"""Where a request begins and ends is never in doubt: one goes to the provider, or none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo_proxy.targets import climbs
from tests.support.proxy import RunningProxy
from tests.support.raw import CHAT, exchange, head
from tests.support.upstream import CHAT_ANSWER, Upstream

CLOSE = "Connection: close"
CHUNKED = "Transfer-Encoding: chunked"
TWO = "Content-Length: 2"

REFUSED_HEADS = {
    "a folded header": ("X-A: 1\r\n folded", TWO),
    "a header folded with a tab": ("X-A: 1\r\n\tfolded", TWO),
    "a folded length": ("Content-Length:\r\n 2",),
    "a bare CR in a value": ("X-A: 1\rX-B: 2", TWO),
    "a bare LF in a value": ("X-A: 1\nX-B: 2", TWO),
    "a space before the colon": ("X-A : 1", TWO),
    "a space before the colon of the length": ("Content-Length : 2",),
    "a space in a name": ("X A: 1", TWO),
    "no name": (": 1", TWO),
    "no colon": ("X-A", TWO),
    "NUL in a value": ("X-A: a\0b", TWO),
    "NUL in a name": ("X-A\0: b", TWO),
    "a control character in a value": ("X-A: a\x01b", TWO),
    "DEL in a value": ("X-A: a\x7fb", TWO),
    "a length twice": (TWO, TWO),
    "a list of lengths": ("Content-Length: 2, 2",),
    "a hexadecimal length": ("Content-Length: 0x2",),
    "a negative length": ("Content-Length: -2",),
    "a length over 64 bits": ("Content-Length: 18446744073709551618",),
    "a length with a parameter": ("Content-Length: 2;",),
    "no number as length": ("Content-Length: two",),
    "an unknown coding": ("Transfer-Encoding: xchunked",),
    "a coding that is none": ("Transfer-Encoding: identity",),
    "a coding after the chunks": ("Transfer-Encoding: chunked, identity",),
    "a coding in quotes": ('Transfer-Encoding: "chunked"',),
    "a vertical tab before the coding": ("Transfer-Encoding: \x0bchunked",),
    "chunked twice": (CHUNKED, CHUNKED),
    "a coding that is not undone here": ("Transfer-Encoding: gzip, chunked",),
    "Host twice": ("Host: other", TWO),
}
"""The other ambiguous framings are in tests/traps: length and chunks, two lengths."""

REFUSED_BODIES = {
    "a bare LF after the size": b"2\n{}\r\n0\r\n\r\n",
    "a bare LF after an extension": b"2;a\n{}\r\n0\r\n\r\n",
    "a bare CR in an extension": b"2;a\rb\r\n{}\r\n0\r\n\r\n",
    "no line end after the data": b"2\r\n{}0\r\n\r\n",
    "more data than stated": b"2\r\n{}xx\r\n0\r\n\r\n",
    "a size with 0x": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size with a sign": b"+2\r\n{}\r\n0\r\n\r\n",
    "a space after the size": b"2 \r\n{}\r\n0\r\n\r\n",
    "a size over 64 bits": b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "a length among the trailers": b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n",
}

REFUSED_STARTS = {
    "a bare LF after it": f"POST {CHAT} HTTP/1.1\nX-A: 1",
    "a space in the target": f"POST {CHAT}/ x HTTP/1.1",
    "a tab in the target": f"POST {CHAT}/\tx HTTP/1.1",
    "a control character in the target": f"POST {CHAT}/\x01 HTTP/1.1",
    "a target that is not ASCII": f"POST {CHAT}/\xe4 HTTP/1.1",
    "a query that is not ASCII": f"POST {CHAT}?a=\xe4 HTTP/1.1",
    "a host as target": "POST @evil.example/v1/chat/completions HTTP/1.1",
    "a tunnel": "CONNECT evil.example:443 HTTP/1.1",
    "an asterisk": "OPTIONS * HTTP/1.1",
    "a method in lower case": f"post {CHAT} HTTP/1.1",
    "a method that is none": f"SMUGGLE {CHAT} HTTP/1.1",
    "a version that is none": f"POST {CHAT} HTTP/1.2",
    "a backslash": f"POST {CHAT}\\..\\x HTTP/1.1",
}


@pytest.mark.parametrize("oddity", REFUSED_HEADS)
def test_an_odd_header_is_refused(proxy: RunningProxy, upstream: Upstream, oddity: str) -> None:
    before = len(upstream.received)
    # The body is one in either framing: an empty one in chunks, or two bytes and more.
    answer = exchange(proxy, head(proxy, CLOSE, *REFUSED_HEADS[oddity]) + b"0\r\n\r\n")

    assert answer.status == 400
    assert answer.error["type"] in {"bad_request", "bad_header"}
    assert len(upstream.received) == before


@pytest.mark.parametrize("oddity", REFUSED_BODIES)
@pytest.mark.parametrize("pause_s", [0.0, 0.1], ids=["at once", "in two packets"])
def test_an_odd_chunk_is_refused(
    proxy: RunningProxy, upstream: Upstream, oddity: str, pause_s: float
) -> None:
    """Also when the request is being served already: its body never became whole."""
    before = len(upstream.received)
    pieces = head(proxy, CLOSE, CHUNKED), REFUSED_BODIES[oddity]
    answer = exchange(proxy, *(pieces if pause_s else [b"".join(pieces)]), pause_s=pause_s)

    assert answer.status == 400
    assert answer.error == {"type": "bad_request", "message": "the request is not valid HTTP"}
    assert len(upstream.received) == before


@pytest.mark.parametrize("oddity", REFUSED_STARTS)
def test_an_odd_request_line_is_refused(
    proxy: RunningProxy, upstream: Upstream, oddity: str
) -> None:
    before = len(upstream.received)
    answer = exchange(proxy, head(proxy, CLOSE, TWO, start=REFUSED_STARTS[oddity]) + b"{}")

    assert answer.status == 400
    assert answer.error["message"]
    assert len(upstream.received) == before


@pytest.mark.parametrize("version", ["0.9", "2.0"])
def test_another_version_of_http_is_named(proxy: RunningProxy, version: str) -> None:
    answer = exchange(proxy, head(proxy, TWO, start=f"POST {CHAT} HTTP/{version}") + b"{}")

    assert answer.status == 505
    assert answer.error["message"] == f"HTTP/{version} is not spoken here; HTTP/1.1 is"


def test_chunks_are_no_framing_of_http_1_0(proxy: RunningProxy, upstream: Upstream) -> None:
    before = len(upstream.received)
    start = f"POST {CHAT} HTTP/1.0"
    answer = exchange(proxy, head(proxy, CHUNKED, start=start) + b"2\r\n{}\r\n0\r\n\r\n")

    assert answer.status == 400
    assert len(upstream.received) == before


@pytest.mark.parametrize(
    "body",
    [
        b"2\r\n{}\r\n0\r\n\r\n",
        b"2;name=value\r\n{}\r\n0\r\n\r\n",
        b'2;name="a;b"\r\n{}\r\n0\r\n\r\n',
        b"002\r\n{}\r\n000\r\n\r\n",
        b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    ],
)
def test_lawful_chunks_arrive_as_one_request(
    proxy: RunningProxy, upstream: Upstream, body: bytes
) -> None:
    before = len(upstream.received)
    answer = exchange(proxy, head(proxy, CLOSE, CHUNKED) + body)
    (sent,) = upstream.received[before:]

    assert answer.status == 200
    assert sent.body == b"{}"


def test_a_trailer_never_becomes_a_header(proxy: RunningProxy, upstream: Upstream) -> None:
    """It could name another provider, or be a credential nobody in front has seen."""
    before = len(upstream.received)
    trailers = (
        "X-Majordomo-Provider: anthropic",
        "Authorization: Bearer sk-of-a-trailer",
        "X-Trailer: 1",
    )
    body = "\r\n".join(["2", "{}", "0", *trailers, "", ""]).encode()
    following = head(proxy, CLOSE, TWO) + b"{}"
    answer = exchange(proxy, head(proxy, CHUNKED) + body + following)

    assert answer.received.count(b"HTTP/1.1 200 OK") == 2
    for sent in upstream.received[before:]:
        assert [name.lower() for name, _ in sent.headers] == ["host", "content-length"]


def test_an_api_key_in_a_trailer_does_not_count(proxy: RunningProxy) -> None:
    body = f"2\r\n{{}}\r\n0\r\nX-Majordomo-Key: {proxy.key}\r\n\r\n".encode()
    answer = exchange(proxy, head(proxy, CLOSE, CHUNKED, key=False) + body)

    assert answer.status == 401
    assert answer.error["type"] == "missing_api_key"


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("pause_s", [0.0, 0.1], ids=["at once", "in two packets"])
def test_an_upgrade_that_is_not_spoken_is_ignored(
    proxy: RunningProxy, upstream: Upstream, protocol: str, framing: str, pause_s: float
) -> None:
    """Java's client asks for HTTP/2 with the first request: its body must not be lost.

    Nor may the body be taken for the next request, which is what a parser does that leaves
    what follows the head to another protocol.
    """
    before = len(upstream.received)
    inner = head(proxy, "Content-Length: 0", start="GET /v1/files HTTP/1.1")
    lines = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAM")
    if framing == "length":
        first = head(proxy, *lines, f"Content-Length: {len(inner)}"), inner
    else:
        first = head(proxy, *lines, CHUNKED), b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)
    second = head(proxy, CLOSE, TWO) + b"{}"
    pieces = (*first, second) if pause_s else (b"".join((*first, second)),)
    answer = exchange(proxy, *pieces, pause_s=pause_s)

    assert answer.received.count(b"HTTP/1.1 200 OK") == 2
    assert [(sent.method, sent.body) for sent in upstream.received[before:]] == [
        ("POST", inner),
        ("POST", b"{}"),
    ]
    assert all(sent.header("upgrade") is None for sent in upstream.received[before:])


def test_an_upgrade_without_a_body_is_ignored(proxy: RunningProxy, upstream: Upstream) -> None:
    start = f"GET {CHAT} HTTP/1.1"
    lines = ("Connection: Upgrade", "Upgrade: h2c")
    before = len(upstream.received)
    following = head(proxy, CLOSE, TWO) + b"{}"
    answer = exchange(proxy, head(proxy, *lines, start=start), following, pause_s=0.2)

    assert answer.received.count(b"HTTP/1.1 200 OK") == 2
    assert [sent.method for sent in upstream.received[before:]] == ["GET", "POST"]


def test_bytes_after_a_message_are_no_part_of_it(proxy: RunningProxy, upstream: Upstream) -> None:
    """A caller who said that he closes has said all; what follows goes nowhere."""
    before = len(upstream.received)
    smuggled = head(proxy, CLOSE, TWO, start="POST /v1/embeddings HTTP/1.1") + b"{}"
    answer = exchange(proxy, head(proxy, CLOSE, TWO) + b"{}" + smuggled)

    assert answer.received.count(b"HTTP/1.1 200 OK") == 1
    assert [sent.target for sent in upstream.received[before:]] == [CHAT]


@pytest.mark.parametrize("junk", [b"junk junk\r\n\r\n", b"\0", b"GET\r\n\r\n"])
def test_a_request_with_junk_behind_it_is_refused_whole(
    proxy: RunningProxy, upstream: Upstream, junk: bytes
) -> None:
    """Who was told that it is not valid must not find it in the provider's bill."""
    before = len(upstream.received)
    answer = exchange(proxy, head(proxy, TWO) + b"{}" + junk)
    assert proxy.post("/v1/embeddings").status_code == 200

    assert (answer.status, answer.error["type"]) == (400, "bad_request")
    assert [sent.target for sent in upstream.received[before:]] == ["/v1/embeddings"]


@pytest.mark.parametrize(
    "start", [f"POST http://evil.example{CHAT} HTTP/1.1", f"POST http://u:p@evil{CHAT} HTTP/1.1"]
)
def test_an_absolute_target_names_no_host(
    proxy: RunningProxy, upstream: Upstream, start: str
) -> None:
    """RFC 9112 wants it understood; the address is the configured one all the same."""
    before = len(upstream.received)
    answer = exchange(proxy, head(proxy, CLOSE, TWO, start=start) + b"{}")
    (sent,) = upstream.received[before:]

    assert answer.status == 200
    assert (sent.target, sent.header("host")) == (CHAT, f"localhost:{upstream.port}")
    assert "evil" not in repr(sent)


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/v1/x",
        "/@evil.example/v1/x",
        "/v1/%0d%0aX-Injected:%201",
        "/v1/x?next=http://evil.example/",
        "/v1/%00",
        "/v1/a/../b",
        "/v1/a/%2e%2e/b",
        "/.%2fx",
    ],
)
def test_an_odd_target_stays_with_the_configured_host(
    proxy: RunningProxy, upstream: Upstream, target: str
) -> None:
    """It goes out as it came, to whom the name maps to, and adds no header."""
    before = len(upstream.received)
    start = f"POST {target} HTTP/1.1"
    lines = (CLOSE, TWO, "X-Majordomo-Provider: openai", "X-Forwarded-Host: evil.example")
    answer = exchange(proxy, head(proxy, *lines, start=start) + b"{}")
    (sent,) = upstream.received[before:]

    assert answer.status == 200
    assert (sent.target, sent.header("host")) == (target, f"localhost:{upstream.port}")
    assert sent.header("x-injected") is None


@pytest.mark.parametrize(
    "target",
    [
        "/../admin",
        "/v1beta/../../admin",
        "/%2e%2e/admin",
        "/.%2E/admin",
        "/..%2fadmin",
        "/..%5cadmin",
        "/%252e%252e/admin",
        "/v1beta/models/../../../x:generateContent",
    ],
)
def test_dot_segments_do_not_lead_out_of_a_base_address(
    proxy: RunningProxy, upstream: Upstream, target: str
) -> None:
    """Gemini is at /prefix here; what else its host serves is no business of a caller."""
    before = len(upstream.received)
    start = f"POST {target} HTTP/1.1"
    lines = (CLOSE, TWO, "X-Majordomo-Provider: gemini")
    answer = exchange(proxy, head(proxy, *lines, start=start) + b"{}")

    assert (answer.status, answer.error["type"]) == (400, "bad_path")
    assert len(upstream.received) == before


@given(st.lists(st.sampled_from(["a", "..", ".", "", "%2e%2e", "..%2f..", "b%2Fc"]), max_size=12))
@settings(max_examples=300)
def test_a_path_climbs_if_it_is_above_its_beginning_somewhere(segments: list[str]) -> None:
    """Worked out by walking: a folder is entered, or left if there is one."""
    path = "/" + "/".join(segments)
    plain = path.replace("%2e", ".").replace("%2f", "/").replace("%2F", "/")
    inside: list[str] = []
    left = False
    for segment in plain.split("/"):
        if segment == "..":
            left = left or not inside
            inside = inside[:-1]
        elif segment not in {"", "."}:
            inside.append(segment)

    assert climbs(path) is left


def test_a_caller_of_http_1_0_gets_no_chunks(proxy: RunningProxy) -> None:
    """The end of the connection is the end of the body where its length is not known."""
    start = f"POST {CHAT}?script=chunked HTTP/1.0"
    answer = exchange(proxy, head(proxy, TWO, start=start) + b"{}")

    assert answer.status == 200
    assert "transfer-encoding" not in answer.head
    assert "connection: close" in answer.head
    assert answer.body == CHAT_ANSWER


@pytest.mark.parametrize(
    ("target", "method", "body"),
    [
        (CHAT, "POST", CHAT_ANSWER),
        (f"{CHAT}?script=no-content", "DELETE", b""),
        (f"{CHAT}?script=headers-only", "HEAD", b""),
    ],
)
def test_other_answers_to_http_1_0_stay_as_they_are(
    proxy: RunningProxy, target: str, method: str, body: bytes
) -> None:
    answer = exchange(proxy, head(proxy, TWO, start=f"{method} {target} HTTP/1.0") + b"{}")

    assert answer.status in {200, 204}
    assert answer.body == body
    if body:
        assert json.loads(answer.body) == json.loads(CHAT_ANSWER)
        assert f"content-length: {len(CHAT_ANSWER)}" in answer.head
