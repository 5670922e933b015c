"""Texts that no database takes, values too large for one, headers that want to smuggle."""

from __future__ import annotations

import socket
from decimal import Decimal

import pytest

from tests.support.proxy import RunningProxy
from tests.support.upstream import Upstream
from tests.traps.conftest import CHAT, row_when_there


def test_trap_16_nul_surrogates_and_cut_utf8_in_every_text(proxy: RunningProxy) -> None:
    """What no database takes is taken out, the rest stays, and the row is whole."""
    headers = [
        ("X-Majordomo-Key", proxy.key.encode()),
        ("X-Majordomo-Feature", b"caf\xe9 \xe2\x98"),
        ("X-Majordomo-Provider-Alias", b"\xffalias"),
    ]
    wire = [(name.encode(), value) for name, value in headers]
    body = b'{"model":"\\ud800m"}'
    answer = proxy.post(f"{CHAT}?script=odd-texts", headers=wire, json=None, content=body)
    row = row_when_there(proxy, answer.headers["x-majordomo-log-id"])

    assert (row["input_tokens"], row["output_tokens"]) == (7, 5)
    for name in ("model", "response_id", "service_tier", "error_message"):
        text = row[name]
        assert text.startswith("ab"), name
        assert "\x00" not in text, name
        text.encode("utf-8")
    assert row["raw_metadata"]["Feature"].startswith("caf\u00e9")
    assert "text_cleaned" in row["flags"]
    assert "metadata_not_utf8" in row["flags"]


def test_trap_17_model_name_of_300_characters(proxy: RunningProxy) -> None:
    """It is kept whole; that it has no price is said."""
    answer = proxy.post(f"{CHAT}?script=long-model", json={"model": "m" * 300})
    row = row_when_there(proxy, answer.headers["x-majordomo-log-id"])

    assert row["model"] == row["requested_model"] == "m" * 300
    assert (row["cost_status"], row["total_cost"]) == ("unpriced", None)


def test_trap_18_cost_above_9999_dollars(proxy: RunningProxy) -> None:
    """gpt-4o: ninety thousand million tokens at 2.50 and five at 10.00 a million."""
    answer = proxy.post(f"{CHAT}?script=dear")
    row = row_when_there(proxy, answer.headers["x-majordomo-log-id"])

    assert row["total_cost"] == Decimal(90_000) * Decimal("2.5") + 5 * Decimal("0.00001")
    assert row["cost_status"] == "priced"


def test_trap_19_header_values_of_any_bytes_and_number(proxy: RunningProxy) -> None:
    """High bytes, nothing, 8 KB, twice, 500 names: it passes, the row says what was cut."""
    headers = [
        (b"X-Majordomo-Key", proxy.key.encode()),
        (b"X-Majordomo-High", bytes(range(0x80, 0x100))),
        (b"X-Majordomo-Empty", b""),
        (b"X-Majordomo-Long", b"v" * 8192),
        (b"X-Majordomo-Twice", b"first"),
        (b"x-majordomo-twice", b"second"),
    ]
    headers += [(b"X-Majordomo-Name-%d" % number, b"x") for number in range(500)]
    answer = proxy.post(headers=headers)
    row = row_when_there(proxy, answer.headers["x-majordomo-log-id"])
    metadata = row["raw_metadata"]

    assert answer.status_code == 200
    assert metadata["High"] == bytes(range(0x80, 0x100)).decode("latin-1")
    assert (metadata["Empty"], metadata["Long"], metadata["Twice"]) == ("", "v" * 4096, "first")
    assert len(metadata) == 64
    assert {"metadata_not_utf8", "metadata_cut", "metadata_repeated", "metadata_dropped"} <= set(
        row["flags"]
    )


def raw_status(proxy: RunningProxy, *lines: str, body: bytes = b"{}") -> tuple[int, bytes]:
    """Send a request as it is written and return the status and all that came."""
    head = "\r\n".join(
        [f"POST {CHAT} HTTP/1.1", "Host: proxy", "Connection: close", *lines, "", ""]
    )
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
        connection.sendall(head.encode("latin-1") + body)
        received = b""
        while part := connection.recv(65536):
            received += part
    return int(received.split(b" ")[1]), received


def test_trap_20_connection_header_cannot_strip_or_smuggle(
    proxy: RunningProxy, upstream: Upstream
) -> None:
    """The API key is checked all the same; the header named is for this hop only."""
    status, _ = raw_status(
        proxy,
        "Connection: x-majordomo-key, x-hop",
        "X-Hop: 1",
        f"X-Majordomo-Key: {proxy.key}",
        "Content-Length: 2",
    )
    sent = upstream.received[-1]

    assert status == 200
    assert sent.header("x-hop") is None
    assert sent.header("x-majordomo-key") is None


@pytest.mark.parametrize(
    "framing",
    [
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 2"),
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: 2", "Transfer-Encoding: chunked, identity"),
        ("Content-Length: +2",),
        ("Transfer-Encoding: chunked\t, gzip",),
    ],
    ids=" and ".join,
)
def test_trap_20_ambiguous_framing_is_refused(
    proxy: RunningProxy, upstream: Upstream, framing: tuple[str, ...]
) -> None:
    """Two readers could see two requests in it: it goes to no provider."""
    before = len(upstream.received)
    status, _ = raw_status(proxy, f"X-Majordomo-Key: {proxy.key}", *framing, body=b"0\r\n\r\n")

    assert status == 400
    assert len(upstream.received) == before
