"""Callers who send too much, too slowly, too many at once, or who do not read."""

from __future__ import annotations

import asyncio
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from majordomo_proxy.connections import Guard
from majordomo_proxy.descriptors import RESERVED, Room, room_within
from majordomo_proxy.metrics import Metrics
from majordomo_proxy.settings import load_settings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.raw import CHAT, connect, exchange, head, metric, read_to_end
from tests.support.scripts import answer_by_path
from tests.support.upstream import Received, Upstream

CLOSE = "Connection: close"
TWO = "Content-Length: 2"
SECONDS = 1.0
"""What slow callers are given; they are noticed at most a second later."""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RunningProxy]:
    """Yield a proxy with small bounds."""
    with running_proxy(
        tmp_path_factory.mktemp("strict") / "data",
        openai_base_url=upstream.url,
        max_target_bytes="300",
        max_headers="20",
        max_header_bytes="2000",
        idle_timeout_s=str(SECONDS),
        headers_timeout_s=str(SECONDS),
        upload_idle_timeout_s=str(SECONDS),
        upload_least_bytes_per_s="1000",
    ) as running:
        yield running


def metrics(proxy: RunningProxy) -> str:
    return httpx.get(f"{proxy.url}/metrics", timeout=30).text


def refused(proxy: RunningProxy, reason: str) -> float:
    return metric(metrics(proxy), "majordomo_refused_total", reason=reason)


def peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def eventually(condition: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Too large


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize(
    ("lines", "start", "status", "kind", "says"),
    [
        ([], f"POST {CHAT}?{'q' * 300} HTTP/1.1", 414, "target_too_long", "longer than 300 bytes"),
        (
            ["X-A: " + "a" * 2000],
            f"POST {CHAT} HTTP/1.1",
            431,
            "headers_too_large",
            "larger than 2,000 bytes",
        ),
        ([f"X-{n}: 1" for n in range(20)], f"POST {CHAT} HTTP/1.1", 431, "too_many_headers", "20"),
    ],
    ids=["target", "headers", "number of headers"],
)
def test_a_head_over_a_bound_is_refused(
    strict: RunningProxy,
    upstream: Upstream,
    pieces: int,
    lines: list[str],
    start: str,
    status: int,
    kind: str,
    says: str,
) -> None:
    """However it is cut into packets; the message names the bound."""
    before, sent = refused(strict, kind), len(upstream.received)
    whole = head(strict, CLOSE, TWO, *lines, start=start) + b"{}"
    size = -(-len(whole) // pieces)
    cut = [whole[at : at + size] for at in range(0, len(whole), size)]
    answer = exchange(strict, *cut, pause_s=0.02)

    assert (answer.status, answer.error["type"]) == (status, kind)
    assert says in answer.error["message"]
    assert refused(strict, kind) == before + 1
    assert len(upstream.received) == sent


def test_a_head_within_the_bounds_passes_byte_by_byte(strict: RunningProxy) -> None:
    lines = ["X-A: " + "a" * 800, *(f"X-{n}: 1" for n in range(10))]
    start = f"POST {CHAT}?{'q' * 250} HTTP/1.1"
    whole = head(strict, CLOSE, TWO, *lines, start=start) + b"{}"

    assert exchange(strict, *(whole[at : at + 1] for at in range(len(whole)))).status == 200


@pytest.mark.parametrize(
    ("endless", "kind"),
    [
        (b"a" * 65536, "headers_too_large"),
        (b"X-A: 1\r\n" * 8192, "headers_too_large"),
    ],
    ids=["one header", "many headers"],
)
def test_headers_without_an_end_are_cut_off(
    strict: RunningProxy, endless: bytes, kind: str
) -> None:
    """Long before they are complete: they would fill the memory."""
    before = refused(strict, kind)
    (worker,) = strict.workers()
    memory = peak_mb(worker)
    with connect(strict) as connection:
        connection.sendall(head(strict, "X-First: ")[:-4])
        with pytest.raises(ConnectionError):  # noqa: PT012
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                connection.sendall(endless)
    assert refused(strict, kind) == before + 1
    assert peak_mb(worker) - memory < 20


def test_trailers_without_an_end_are_cut_off(strict: RunningProxy, upstream: Upstream) -> None:
    """They belong to no body, so no bound of the body holds for them."""
    sent = len(upstream.received)
    with connect(strict) as connection:
        connection.sendall(head(strict, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\nX-A: ")
        for _ in range(8):
            time.sleep(0.05)
            connection.sendall(b"a" * 400)
        answer = read_to_end(connection)

    assert (answer.status, answer.error["type"]) == (431, "headers_too_large")
    assert len(upstream.received) == sent


def test_a_request_behind_another_is_counted_by_itself(strict: RunningProxy) -> None:
    """A large body before its head, in the same packet, is not part of its head."""
    body = b"{" + b" " * 50_000 + b"}"
    first = head(strict, f"Content-Length: {len(body)}") + body
    second = head(strict, CLOSE, TWO) + b"{}"
    answer = exchange(strict, first + second[:50], second[50:], pause_s=0.3)

    assert answer.received.count(b"HTTP/1.1 200 OK") == 2


def test_heads_that_come_before_their_bodies_do_not_add_up(strict: RunningProxy) -> None:
    """As most clients send them: in a packet of its own each, on one connection for all."""
    answer = b""
    with connect(strict) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(40):
            connection.sendall(head(strict, TWO, *([CLOSE] if number == 39 else [])))
            time.sleep(0.02)
            connection.sendall(b"{}")
            while answer.count(b"HTTP/1.1 ") <= number or not answer.endswith(b"}"):
                part = connection.recv(65536)
                assert part, answer[-300:]
                answer += part

    assert answer.count(b"HTTP/1.1 200 OK") == 40


def test_pipelined_requests_are_answered_in_order(strict: RunningProxy) -> None:
    scripts = ["slow", "content-length", "not-json"]
    heads = [head(strict, TWO, start=f"POST {CHAT}?script={s} HTTP/1.1") + b"{}" for s in scripts]
    answer = exchange(strict, *heads, head(strict, CLOSE, TWO) + b"{}")
    found = [answer.received.index(mark) for mark in (b"[DONE]", b"chatcmpl-7", b"sorry")]

    assert answer.received.count(b"HTTP/1.1 200 OK") == 4
    assert found == sorted(found)


def test_too_many_pipelined_requests_end_their_connection(strict: RunningProxy) -> None:
    """Each would hold memory before its turn; a packet holds thousands."""
    before = refused(strict, "too_many_pipelined")
    one = head(strict, "Content-Length: 0", start=f"GET {CHAT}?script=slow HTTP/1.1")
    with connect(strict) as connection, pytest.raises(ConnectionError):  # noqa: PT012
        connection.sendall(one * 500)
        read_to_end(connection)
        raise ConnectionError
    assert refused(strict, "too_many_pipelined") == before + 1
    assert strict.post().status_code == 200


# Too slow


def test_headers_that_drip_are_given_up(strict: RunningProxy) -> None:
    before = refused(strict, "headers_timeout")
    with connect(strict) as connection:
        began = time.monotonic()
        connection.sendall(b"POST / HTTP/1.1\r\n")
        connection.setblocking(False)
        while True:
            try:
                if received := connection.recv(65536):
                    break
            except BlockingIOError:
                connection.sendall(b"X-A: 1\r\n")
                time.sleep(0.1)
        seconds = time.monotonic() - began

    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"the request headers took longer than 1 s" in received
    assert seconds >= SECONDS
    assert refused(strict, "headers_timeout") == before + 1


@pytest.mark.parametrize("sends", [b"", b"\r\n"], ids=["nothing", "empty lines"])
def test_a_connection_without_a_request_is_closed(strict: RunningProxy, sends: bytes) -> None:
    """Also one that never had any, and one whose bytes begin no request."""
    with connect(strict) as connection:
        began = time.monotonic()
        connection.settimeout(0.2)
        while time.monotonic() - began < 30:
            try:
                connection.sendall(sends)
                if connection.recv(65536) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert SECONDS <= time.monotonic() - began < 30


def test_a_connection_is_kept_between_requests_for_as_long_as_is_set(
    strict: RunningProxy,
) -> None:
    with connect(strict) as connection:
        for _ in range(3):
            connection.sendall(head(strict, TWO) + b"{}")
            received = b""
            while b"chatcmpl-7" not in received:
                received += connection.recv(65536)
            time.sleep(0.4)
        answer = read_to_end(connection)

    assert answer.received in {b"", received[received.index(b"chatcmpl-7") + 10 :]}


def test_an_upload_that_stands_still_is_given_up(strict: RunningProxy, upstream: Upstream) -> None:
    before, sent = refused(strict, "upload_timeout"), len(upstream.received)
    answer = exchange(strict, head(strict, "Content-Length: 100") + b"{")

    assert answer.status == 408
    assert answer.error["message"] == "nothing of the request body came for 1 s"
    assert answer.seconds >= SECONDS
    assert refused(strict, "upload_timeout") == before + 1
    assert len(upstream.received) == sent


def test_an_upload_that_drips_is_given_up(strict: RunningProxy, upstream: Upstream) -> None:
    """Something comes all the time, so that waiting for more would not end it."""
    sent = len(upstream.received)
    with connect(strict) as connection:
        connection.sendall(head(strict, "Content-Length: 100000"))
        connection.settimeout(0.1)
        received = b""
        while not received:
            connection.sendall(b"x")
            try:
                received = connection.recv(65536)
            except TimeoutError:
                continue

    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"at less than 1000 bytes a second" in received
    assert len(upstream.received) == sent


def test_an_upload_that_takes_its_time_but_moves_arrives(
    strict: RunningProxy, upstream: Upstream
) -> None:
    """Three times as long as a standstill may last, at four times the least rate."""
    pieces = [b"x" * 1000] * 12
    answer = exchange(strict, head(strict, CLOSE, "Content-Length: 12000"), *pieces, pause_s=0.25)

    assert answer.status == 200
    assert upstream.received[-1].body == b"".join(pieces)


def test_a_large_upload_that_stands_still_ends_at_the_provider_too(
    strict: RunningProxy, upstream: Upstream
) -> None:
    """Its provider was called already: the caller is told, and there is a row."""
    start = "POST /v1/files HTTP/1.1"
    begun = head(strict, "Content-Length: 800000", start=start) + b"x" * 400_000
    answer = exchange(strict, begun)
    (row,) = [r for r in strict.rows() if r["request_bytes"] == 400_000]

    assert (answer.status, answer.error["type"]) == (408, "upload_timeout")
    assert row["outcome"] == "client_disconnected"


def test_who_goes_on_uploading_what_was_refused_is_cut_off(strict: RunningProxy) -> None:
    """The answer was given; the rest of the body is not waited for without end."""
    with connect(strict) as connection:
        connection.sendall(head(strict, "Content-Length: 1000000", key=False))
        began = time.monotonic()
        try:
            while time.monotonic() - began < 30:
                connection.sendall(b"x")
                time.sleep(0.1)
        except ConnectionError:
            pass
        assert time.monotonic() - began < 30


def test_a_caller_who_stops_reading_is_cut_off(tmp_path: Path, upstream: Upstream) -> None:
    """It is as if he had hung up, which is what the row says."""
    with running_proxy(
        tmp_path / "data",
        openai_base_url=upstream.url,
        stalled_answer_timeout_s="1",
        abandoned_read_s="0",
    ) as proxy:
        start = f"POST {CHAT}?script=large HTTP/1.1"
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", proxy.port))
            connection.sendall(head(proxy, TWO, start=start) + b"{}")
            eventually(
                lambda: (
                    metric(
                        metrics(proxy), "majordomo_connections_cut_total", cause="stalled_answer"
                    )
                    == 1
                )
            )
            with pytest.raises((ConnectionError, AssertionError)):  # noqa: PT012
                answer = read_to_end(connection)
                assert len(answer.body) == 30_000_000
        (row,) = proxy.rows()

    assert row["outcome"] == "client_disconnected"
    assert 0 < row["response_bytes"] < 30_000_000


@pytest.mark.slow
def test_a_caller_who_reads_slowly_gets_it_all(tmp_path: Path, upstream: Upstream) -> None:
    """For longer than a standstill may last: he takes something each time."""
    with running_proxy(
        tmp_path / "data", openai_base_url=upstream.url, stalled_answer_timeout_s="1.5"
    ) as proxy:
        start = f"POST {CHAT}?script=large HTTP/1.1"
        with connect(proxy) as connection:
            connection.sendall(head(proxy, CLOSE, TWO, start=start) + b"{}")
            received = 0
            began = time.monotonic()
            while part := connection.recv(1_000_000):
                received += len(part)
                if time.monotonic() - began < 4:
                    time.sleep(0.1)

    assert received > 30_000_000


# Too many


def test_connections_over_the_bound_are_told_so(tmp_path: Path, upstream: Upstream) -> None:
    """With 503 and Retry-After; when others leave there is room again."""
    with (
        running_proxy(
            tmp_path / "data", openai_base_url=upstream.url, max_connections="5"
        ) as proxy,
        ExitStack() as stack,
    ):
        eventually(lambda: metric(metrics(proxy), "majordomo_open_connections") <= 1)
        held = [stack.enter_context(connect(proxy)) for _ in range(5)]
        for connection in held:  # each is really served, so that it is counted
            connection.sendall(head(proxy, TWO) + b"{}")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        answers = [exchange(proxy, head(proxy, TWO) + b"{}") for _ in range(3)]
        held.pop().close()
        eventually(lambda: exchange(proxy, head(proxy, CLOSE, TWO) + b"{}").status == 200)
        held.pop().close()
        eventually(lambda: refused(proxy, "too_many_connections") >= 3)

    for answer in answers:
        assert answer.status == 503
        assert "retry-after: 1" in answer.head
        assert answer.error["type"] == "too_many_connections"
        assert "max_connections" in answer.error["message"]


def test_requests_over_the_bound_are_told_so(tmp_path: Path, upstream: Upstream) -> None:
    """The proxy's own pages are served all the same, and its connections stay."""
    with running_proxy(
        tmp_path / "data", openai_base_url=upstream.url, max_requests_in_flight="3"
    ) as proxy:
        start = f"POST {CHAT}?script=slow HTTP/1.1"
        with ExitStack() as stack:
            streams = [stack.enter_context(connect(proxy)) for _ in range(3)]
            for connection in streams:
                connection.sendall(head(proxy, CLOSE, TWO, start=start) + b"{}")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            with httpx.Client(headers=proxy.headers()) as client:
                busy = client.post(proxy.url + CHAT, json={})
                ready = client.get(f"{proxy.url}/readyz")
                assert all(b"[DONE]" in read_to_end(stream).received for stream in streams)
                eventually(lambda: client.post(proxy.url + CHAT, json={}).status_code == 200)
        rows = proxy.rows()

    assert busy.status_code == 503
    assert busy.headers["retry-after"] == "1"
    assert busy.json()["error"]["type"] == "too_many_requests"
    assert "max_requests_in_flight" in busy.json()["error"]["message"]
    assert ready.status_code == 200
    assert {row["status_code"] for row in rows} == {200}


def test_bodies_that_are_gathered_have_a_bound_together(tmp_path: Path, upstream: Upstream) -> None:
    """Each is within its own: what comes when their room is used up is refused."""
    part = b'{"model": "m", "messages": "' + b"x" * 300_000
    with running_proxy(
        tmp_path / "data", openai_base_url=upstream.url, request_memory_bytes="1000000"
    ) as proxy:
        with ExitStack() as stack:
            held = [stack.enter_context(connect(proxy)) for _ in range(3)]
            for connection in held:
                connection.sendall(head(proxy, "Content-Length: 600000") + part)
            time.sleep(0.5)
            over = exchange(proxy, head(proxy, CLOSE, "Content-Length: 600000") + part)
            small = proxy.post()
        eventually(lambda: proxy.post(json={"x": "x" * 900_000}).status_code == 200)

    assert (over.status, over.error["type"]) == (503, "too_many_bytes")
    assert "request_memory_bytes" in over.error["message"]
    assert "retry-after" in over.head
    assert small.status_code == 200


def test_a_body_counts_until_its_provider_has_answered(tmp_path: Path) -> None:
    """One that takes requests slowly keeps them in memory, however fast they came."""
    is_to_answer = threading.Event()

    async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.to_thread(is_to_answer.wait, 60)
        await answer_by_path(received, writer)

    body = {"x": "x" * 300_000}
    with (
        Upstream(answer) as slow,
        running_proxy(
            tmp_path / "data", openai_base_url=slow.url, request_memory_bytes="1000000"
        ) as proxy,
        ThreadPoolExecutor(3) as pool,
    ):
        held = [pool.submit(proxy.post, json=body) for _ in range(3)]
        eventually(lambda: len(slow.received) == 3)
        over = proxy.post(json=body)
        is_to_answer.set()
        assert [one.result().status_code for one in held] == [200] * 3
        eventually(lambda: proxy.post(json={"x": "x" * 900_000}).status_code == 200)

    assert (over.status_code, over.json()["error"]["type"]) == (503, "too_many_bytes")


@pytest.mark.parametrize(
    ("limit", "asked", "room"),
    [
        (20_000, (10_000, 5_000), (10_000, 5_000)),
        (1_024, (10_000, 5_000), (352, 352)),
        (RESERVED + 100, (20, 5_000), (20, 80)),
        (RESERVED + 100, (5_000, 20), (80, 20)),
        (10, (10_000, 5_000), (1, 1)),
    ],
)
def test_there_is_room_for_what_descriptors_allow(
    limit: int, asked: tuple[int, int], room: tuple[int, int]
) -> None:
    """Each connection is one, each request one more; neither starves the other."""
    assert room_within(limit, *asked) == Room(*room)


@pytest.mark.slow
def test_more_connections_than_descriptors_do_no_harm(tmp_path: Path, upstream: Upstream) -> None:
    """The bound follows from the limit of open files, so that it is never reached."""
    shell = ("sh", "-c", 'ulimit -n 400 && exec "$@"', "sh")
    with running_proxy(tmp_path / "data", prefix=shell, openai_base_url=upstream.url) as started:
        # The shell became the supervisor: it wraps nothing any more.
        proxy = RunningProxy(started.data, started.port, started.key, started.process)
        (worker,) = proxy.workers()
        started.is_wrapped = False
        assert resource.prlimit(worker, resource.RLIMIT_NOFILE) == (400, 400)
        with ExitStack() as stack:
            held = [stack.enter_context(connect(proxy)) for _ in range(600)]
            time.sleep(1)
            refused_ones = 0
            for connection in held:
                connection.settimeout(0.01)
                try:
                    refused_ones += b"too_many_connections" in connection.recv(65536)
                except (TimeoutError, ConnectionError):
                    continue
            spent = processor_seconds(worker)
            time.sleep(1)
            spent = processor_seconds(worker) - spent
        eventually(lambda: proxy.post().status_code == 200)
        assert proxy.workers() == [worker]

    assert refused_ones > 100
    assert spent < 0.5  # no loop that tries to accept again and again


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.slow
def test_thousands_who_connect_at_once_are_all_answered_or_refused(
    tmp_path: Path, upstream: Upstream
) -> None:
    with running_proxy(
        tmp_path / "data", openai_base_url=upstream.url, max_connections="100"
    ) as proxy:

        def call(_: int) -> str:
            try:
                answer = exchange(proxy, head(proxy, CLOSE, TWO) + b"{}")
            except ConnectionError:
                return "reset"
            assert answer.status in {200, 503}
            return str(answer.status)

        with ThreadPoolExecutor(150) as pool:
            outcomes = list(pool.map(call, range(1500)))
        assert proxy.post().status_code == 200
        rows = proxy.rows()

    assert outcomes.count("200") + 1 == len(rows)
    assert re.fullmatch("(200|503)+", "".join(o for o in outcomes if o != "reset"))


def test_a_connection_that_cannot_be_looked_after_ends_the_looks_at_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Watched:
        looks = 0

        def __init__(self, *, is_broken: bool) -> None:
            self.is_broken = is_broken

        def look(self, _: float) -> None:
            self.looks += 1
            if self.is_broken:
                raise RuntimeError("odd")

    both = [Watched(is_broken=True), Watched(is_broken=False)]

    async def run() -> None:
        guard = Guard(load_settings(environment={}), Metrics(), most_connections=9, most_requests=9)
        guard.open.update(both)  # type: ignore[arg-type]
        looking = asyncio.create_task(guard.run())
        async with asyncio.timeout(30):
            while any(one.looks < 2 for one in both):  # noqa: ASYNC110 - it counts, it tells nobody
                await asyncio.sleep(0.05)
        looking.cancel()

    asyncio.run(run())
    assert "could not be looked after" in caplog.text
