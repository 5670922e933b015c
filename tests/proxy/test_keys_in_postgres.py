"""Keys in Postgres: known to every proxy in a second, and Postgres may then go away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from majordomo_analytics.apikeys import IssuedKey
from majordomo_analytics.apikeys.issuing import new_text
from majordomo_analytics.drain.keystore import PostgresKeyStore
from tests.support.postgres import Line, postgres, postgres_server
from tests.support.proxy import RunningProxy, mdm, running_proxy
from tests.support.upstream import Upstream, answer_json

__all__ = ["postgres", "postgres_server"]

SLOWEST_S = 60.0
TRIES = 5


@dataclass
class Fleet:
    """Proxies with one Postgres behind a line that can fail."""

    dsn: str
    line: Line
    there: PostgresKeyStore
    upstream: Upstream
    folder: Path

    @contextmanager
    def proxy(self, name: str, **settings: Any) -> Iterator[RunningProxy]:
        with running_proxy(
            self.folder / name,
            key="no key is made here",
            openai_base_url=self.upstream.url,
            postgres=self.line.dsn,
            **settings,
        ) as running:
            yield running


@pytest.fixture
def fleet(tmp_path: Path, postgres: str) -> Iterator[Fleet]:
    with (
        Upstream(answer_json) as upstream,
        Line(postgres) as line,
        closing(PostgresKeyStore(postgres)) as there,
    ):
        yield Fleet(postgres, line, there, upstream, tmp_path)


def status(proxy: RunningProxy, issued: IssuedKey) -> int:
    headers = {**proxy.headers(), "X-Majordomo-Key": issued.key}
    return proxy.post(headers=headers).status_code


def seconds_until(what: Callable[[], bool]) -> float:
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < SLOWEST_S, "it did not become true in time"
        time.sleep(0.02)
    return time.monotonic() - begun


def test_a_key_of_postgres_works_and_is_refused_within_a_second_in_every_proxy(
    fleet: Fleet,
) -> None:
    """The best of some tries, as a machine may be busy; none takes very long."""
    with fleet.proxy("one", workers="2") as one, fleet.proxy("two") as two:
        known, refused = [], []
        for turn in range(TRIES):
            issued = fleet.there.create(f"key {turn}")
            known.append(
                seconds_until(lambda: status(one, issued) == status(two, issued) == 200)  # noqa: B023
            )
            fleet.there.revoke(issued.id)
            refused.append(
                seconds_until(lambda: status(one, issued) == status(two, issued) == 401)  # noqa: B023
            )

    assert min(known) <= 1.0
    assert min(refused) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("way", ["refuse", "black-hole"])
def test_known_keys_work_while_postgres_is_away_and_across_a_restart(
    fleet: Fleet, way: Any
) -> None:
    """Also one that rotates: each worker ends the earlier text by itself."""
    issued, rotated = fleet.there.create("kept"), fleet.there.create("rotated")
    overlap = timedelta(seconds=12)
    with fleet.proxy("one") as proxy:
        assert status(proxy, issued) == 200
        newer = fleet.there.rotate(rotated.id, overlap)
        ends_at = time.monotonic() + overlap.total_seconds()
        seconds_until(lambda: status(proxy, newer) == 200)
        fleet.line.break_off(way)
        assert status(proxy, issued) == 200
        proxy.kill()
    with fleet.proxy("one") as proxy:  # which waits for it to be ready
        assert status(proxy, issued) == status(proxy, newer) == 200
        if time.monotonic() < ends_at - 1:
            assert status(proxy, rotated) == 200
        time.sleep(max(0.0, ends_at - time.monotonic()))
        seconds_until(lambda: status(proxy, rotated) == 401)
        assert status(proxy, newer) == 200

        # What is done here meanwhile is believed here, and gets there later.
        mdm("keys", "revoke", issued.id, "--data", str(proxy.data))
        seconds_until(lambda: status(proxy, issued) == 401)
        assert fleet.there.all_keys()[0].revoked_at is None
        fleet.line.break_off("through")
        seconds_until(lambda: fleet.there.all_keys()[0].revoked_at is not None)


@pytest.mark.slow
def test_a_proxy_whose_postgres_never_was_there_starts_without_keys(fleet: Fleet) -> None:
    """And learns them once it is."""
    issued = fleet.there.create("billing")
    fleet.line.break_off("black-hole")
    with fleet.proxy("one") as proxy:
        assert status(proxy, issued) == 401
        fleet.line.break_off("through")
        seconds_until(lambda: status(proxy, issued) == 200)


def test_a_proxy_that_starts_knows_the_keys_of_postgres_before_it_is_ready(fleet: Fleet) -> None:
    issued = fleet.there.create("billing")
    with fleet.proxy("fresh") as proxy:
        assert status(proxy, issued) == 200


def test_no_worker_knows_of_postgres(fleet: Fleet) -> None:
    """Neither its address nor what speaks to it; and no command shows the address."""
    with fleet.proxy("one", workers="2") as proxy:
        workers = proxy.workers()
        address = str(fleet.line.port).encode()
        assert len(workers) == 2
        for pid in workers:
            process = Path(f"/proc/{pid}")
            assert b"MAJORDOMO_POSTGRES" not in (process / "environ").read_bytes()
            assert b"port=" + address not in (process / "environ").read_bytes()
            maps = (process / "maps").read_text()
            assert "libpq" not in maps
            assert "psycopg" not in maps
        commands = [(Path(f"/proc/{pid}") / "cmdline").read_bytes() for pid in workers]
        commands.append((Path(f"/proc/{proxy.supervisor}") / "cmdline").read_bytes())
        assert not any(address in command for command in commands)


@pytest.mark.slow
def test_a_flood_of_unknown_keys_costs_no_memory_and_asks_no_database(fleet: Fleet) -> None:
    """A key of ours is found throughout."""
    issued = fleet.there.create("billing")
    with fleet.proxy("one") as proxy, httpx.Client(timeout=60) as client:
        (worker,) = proxy.workers()

        def flood(count: int) -> None:
            for number in range(count):
                answer = client.get(
                    f"{proxy.url}/v1/models", headers={"X-Majordomo-Key": new_text()}
                )
                assert answer.status_code == 401
                if number % 100 == 0:
                    assert status(proxy, issued) == 200

        flood(300)
        fleet.line.break_off("refuse")  # nothing could be asked there any more
        before = resident_bytes(worker)
        flood(4000)
        grown = resident_bytes(worker) - before

    assert grown < 2 * 2**20


def resident_bytes(pid: int) -> int:
    status_text = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status_text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@pytest.mark.slow
def test_requests_are_counted_by_key_once_each(fleet: Fleet) -> None:
    """As many as the callers made, whichever text of the key they used."""
    first, unused = fleet.there.create("used"), fleet.there.create("unused")
    with fleet.proxy("one") as proxy:
        newer = fleet.there.rotate(first.id, timedelta(days=1))
        seconds_until(lambda: status(proxy, newer) == 200)
        made = 1 + sum(status(proxy, text) == 200 for text in (first, newer) * 10)
    listed = json.loads(mdm("keys", "list", "--json", MAJORDOMO_POSTGRES=fleet.dsn).stdout)

    assert made == 21
    assert {row["id"]: row["request_count"] for row in listed} == {first.id: 21, unused.id: 0}
    (used_at, unused_at) = (row["last_used_at"] for row in listed)
    assert used_at is not None
    assert unused_at is None
