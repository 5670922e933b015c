"""`mdm doctor` shows what needs attention, and ends with 1 only then."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from majordomo_analytics.apikeys import ApiKeyStore
from majordomo_analytics.cli.doctor import doctor
from majordomo_analytics.cli.drain import drain
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.dead_letters import DeadLetter, DeadLetters
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.removal import remember_sink
from majordomo_analytics.drain.sinks import LakeSink
from majordomo_analytics.pricing.pricer import use_price_book
from majordomo_analytics.records.request import RequestRecord, encode_record
from majordomo_analytics.records.usage import Usage
from majordomo_analytics.spool.writer import SpoolWriter
from tests.drain.spools import spool
from tests.support.postgres import run
from tests.support.proxy import free_port, mdm, running_proxy
from tests.support.records import a_record
from tests.support.scripts import answer_by_path
from tests.support.upstream import Upstream

THOUSAND = Usage(input_tokens=1000, output_tokens=100, status="reported", source="body")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield DataDirectory.create(tmp_path / "data").root
    use_price_book(None)  # which a drain in this process has set


def drained(data: Path, *records: RequestRecord) -> None:
    async def run() -> None:
        writer = SpoolWriter(DataDirectory(data).spool)
        for record in records:
            await writer.append(record.id, encode_record(record))
        writer.close()

    asyncio.run(run())
    with pytest.raises(typer.Exit) as ended:
        drain(data, once=True)
    assert ended.value.exit_code == 0


def chat(**fields: object) -> RequestRecord:
    return a_record(**{"api_flavour": "chat", "usage": THOUSAND, **fields})


OF_THE_MACHINE = ("data directory", "disk", "proxy", "API keys", "prices")
"""What is not the same wherever these tests run, or has tests of its own."""


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Give what `mdm doctor` finds about rows, blanks drawn together.

    Without what is as it should be, and without the words in front of each finding.
    """

    def run(data: Path, *, code: int) -> list[str]:
        shown, is_shown = list[str](), False
        for line in printed(data, capsys, code=code):
            begins = re.match(r"(ok|note|wrong) +(\w+(?: \w+)*)  +", line)
            if begins:
                is_shown = begins[1] != "ok" and begins[2] not in OF_THE_MACHINE
            elif not line.startswith("       "):
                is_shown = bool(line)
            if is_shown:
                shown.append(" ".join(line.removeprefix(begins[0] if begins else "").split()))
        return shown

    return run


def printed(
    data: Path, capsys: pytest.CaptureFixture[str], *, code: int, **options: Any
) -> list[str]:
    capsys.readouterr()
    ended = 0
    try:
        doctor(data, **options)
    except typer.Exit as error:
        ended = error.exit_code
    said = capsys.readouterr()
    assert ended == code, said
    return said.out.splitlines()


def test_a_sound_lake_needs_no_attention(data: Path, lines: Callable[..., list[str]]) -> None:
    """Priced answers, a refusal without usage, and a call that is known to be free."""
    nothing = Usage()
    drained(
        data,
        chat(),
        chat(status_code=429, usage=nothing),
        chat(api_flavour="count_tokens", usage=nothing),
        chat(api_flavour=None, usage=nothing),
        chat(usage=nothing, flags=("usage_repeated",)),
    )
    assert lines(data, code=0) == ["nothing needs attention"]


def test_models_without_a_price_are_listed_with_what_they_used(
    data: Path, lines: Callable[..., list[str]]
) -> None:
    """Two requests of one model, one of another: the more frequent comes first."""
    early, late = datetime(2026, 11, 1, 8, tzinfo=UTC), datetime(2026, 11, 2, 9, tzinfo=UTC)
    drained(
        data,
        chat(),
        chat(model="rare", requested_at=early),
        chat(model="own-model", requested_at=late),
        chat(model="own-model", requested_at=early),
    )
    shown = lines(data, code=1)
    assert shown[0] == "3 requests without a cost: no price is known for the model"
    assert shown[2] == "openai own-model 2 2,000 200 2026-11-01 08:00 2026-11-02 09:00"
    assert shown[3] == "openai rare 1 1,000 100 2026-11-01 08:00 2026-11-01 08:00"
    assert shown[-1] == "1 thing needs attention"


def test_a_price_book_heals_what_comes_after(data: Path, lines: Callable[..., list[str]]) -> None:
    book = '[[price]]\nprovider = "openai"\nmodel = "own-model"\ninput_mtok = 1\noutput_mtok = 1\n'
    (data / "prices.toml").write_text(book, "utf-8")
    drained(data, chat(model="own-model"))
    lines(data, code=0)


def test_every_check_finds_its_case_and_no_other(
    data: Path, lines: Callable[..., list[str]]
) -> None:
    over = Usage(input_tokens=1, cached_tokens=2, output_tokens=1)
    flex = Usage(input_tokens=1, output_tokens=1, service_tier="golden")
    vertex = Usage(input_tokens=1, output_tokens=1, traffic_type="ON_DEMAND_GOLDEN")
    searched = Usage(input_tokens=1, output_tokens=1, social_searches=4)
    drained(
        data,
        chat(usage=over, flags=("usage_part_over_whole",)),
        chat(usage=Usage(), is_streamed=True),
        chat(usage=flex),
        chat(usage=vertex, model="gpt-4o"),
        chat(usage=Usage(), outcome="timeout"),
        chat(usage=Usage(), outcome="interrupted", status_code=None),
        chat(usage=searched),
    )
    shown = lines(data, code=1)
    assert sum(line.startswith("1 request ") for line in shown) == 3
    assert sum(line.startswith("2 requests ") for line in shown) == 2
    assert any(line.startswith("openai chat timeout 1 0") for line in shown)
    assert any(line.startswith("openai chat interrupted 1 0") for line in shown)
    assert any(line.startswith("openai gpt-4o ON_DEMAND_GOLDEN 1 0.00001") for line in shown)
    assert any(line.startswith("openai gpt-4o-mini 1 usage_part_over_whole") for line in shown)
    assert any(line.startswith("openai chat missing 1 1") for line in shown)
    assert any(line.startswith("openai gpt-4o-mini golden 1 0.0000007500") for line in shown)
    assert any(line.startswith("openai gpt-4o-mini 1 4") for line in shown)


def test_callers_that_went_away_are_shown_and_need_no_attention(
    data: Path, lines: Callable[..., list[str]]
) -> None:
    """Nobody here can help it; one whose counts came is priced like any other."""
    gone = {"outcome": "client_disconnected"}
    drained(
        data,
        chat(usage=Usage(), is_streamed=True, **gone),
        chat(**gone),
        chat(usage=Usage(), status_code=500, **gone),
    )

    shown = lines(data, code=0)

    assert shown[0] == "1 request without a cost: the caller went away before the counts came"
    assert shown[2].startswith("openai chat client_disconnected 1 1 ")
    assert shown[-1] == "nothing needs attention"


@pytest.mark.parametrize("flavour", ["background_response", "assistants"])
def test_whoever_asks_before_the_end_has_lost_nothing(
    data: Path, lines: Callable[..., list[str]], flavour: str
) -> None:
    """Begun, asked for in vain twice, and read: its usage is in the last row."""
    nothing = Usage()
    begun = "responses" if flavour == "background_response" else flavour
    drained(
        data,
        chat(api_flavour=begun, response_id="r", usage=nothing),
        *[
            chat(api_flavour=flavour, request_method="GET", response_id="r", usage=usage)
            for usage in (nothing, nothing, THOUSAND)
        ],
    )
    assert lines(data, code=0) == ["nothing needs attention"]

    drained(data, chat(api_flavour=begun, response_id="never-read", usage=nothing))
    assert lines(data, code=1)[0] == "1 request answered without the counts that a cost needs"


def test_rows_that_a_sink_refused_are_shown(data: Path, lines: Callable[..., list[str]]) -> None:
    drained(data, chat())
    DeadLetters(DataDirectory(data).dead_letters).write(
        DeadLetter("postgres", str(n), "spool", n, "23514", "a check\nfailed", b"{}")
        for n in range(3)
    )

    shown = lines(data, code=1)

    assert shown[0] == "3 requests set aside: a sink refused them"
    assert shown[2].startswith("postgres 23514 3 ")
    assert shown[2].endswith(" a check failed")
    assert "mdm drain --retry-dead" in shown[3]
    done = mdm("drain", "--once", "--data", str(data))
    assert "3 dead letters of postgres are in dead_letters.sqlite" in done.stderr


@pytest.mark.parametrize(
    ("waited", "age", "code"),
    [
        (timedelta(minutes=1), "60 s", 0),
        (timedelta(minutes=7), "7 min", 1),
        (timedelta(hours=30), "30 h", 1),
        (timedelta(days=3), "3 days", 1),
    ],
)
def test_rows_that_wait_for_the_lake_are_counted_and_late_ones_need_attention(
    data: Path, lines: Callable[..., list[str]], waited: timedelta, age: str, code: int
) -> None:
    drained(data, chat())
    now = datetime.now(UTC)
    # A long answer: what counts is when it was finished.
    old = chat(requested_at=now - timedelta(days=9), responded_at=now - waited)
    spool(DataDirectory(data), old, chat(requested_at=now))

    shown = lines(data, code=code)

    seconds = r"6\d s" if age == "60 s" else age
    assert re.fullmatch(
        f"2 requests in the spool, kept for the lake, the oldest for {seconds}", shown[0]
    )
    assert ("`mdm drain --once`" in shown[1]) == (code == 1)


def test_rows_that_wait_for_postgres_alone_are_counted(
    data: Path, lines: Callable[..., list[str]]
) -> None:
    """Those that a worker may still add to would stay in any case."""
    directory = DataDirectory(data)
    directory.spool.mkdir(exist_ok=True)
    remember_sink(directory, "postgres", "host=db dbname=llm")
    assert drain_once(directory).rows == 0
    spool(directory, chat())
    living = spool(directory, chat(), close=False)
    drain_once(directory)

    shown = lines(data, code=1)
    living.close()

    assert shown[0].startswith(
        "1 request in the spool, kept for postgres at 'host=db dbname=llm', the oldest for "
    )
    done = mdm("drain", "--once", "--data", str(data))
    assert "2 rows wait in the spool for postgres" in done.stderr
    for path in directory.spool.glob("*.sqlite"):
        path.unlink()
    done = mdm("drain", "--once", "--data", str(data))
    assert "rows wait" not in done.stderr


def test_a_spool_that_cannot_be_read_needs_attention(
    data: Path, lines: Callable[..., list[str]]
) -> None:
    drained(data, chat())
    (data / "spool" / "damaged.sqlite").write_bytes(b"no database" * 99)

    shown = lines(data, code=1)
    assert "damaged.sqlite' cannot be read" in shown[0]
    assert "`mdm drain --once` saves what can be read" in shown[1]
    mdm("drain", "--once", "--data", str(data), check=False)
    assert lines(data, code=1)[0] == "1 spool that was damaged"


def test_a_book_that_is_wrong_stops_the_drain_before_it_prices_anything(data: Path) -> None:
    (data / "prices.toml").write_text("[[price]]\nprovider = 'openai'\n", "utf-8")
    done = mdm("drain", "--once", "--data", str(data), check=False)
    assert done.returncode == 2
    assert f"{data / 'prices.toml'}, line 1: has no model" in done.stderr
    other = data.parent / "empty.toml"
    other.write_text("", "utf-8")
    mdm("drain", "--once", "--data", str(data), "--price-book", str(other))
    mdm("drain", "--once", "--data", str(data), MAJORDOMO_PRICE_BOOK=str(other))


def test_without_a_lake_the_rest_is_looked_at(data: Path, lines: Callable[..., list[str]]) -> None:
    spool(DataDirectory(data), chat(requested_at=datetime.now(UTC)))

    assert lines(data, code=0) == [
        "1 request in the spool, kept for the lake, the oldest for 0 s",
        "A drain that runs has them soon.",
        "there is none yet",
        "The first row drained makes it.",
        "nothing needs attention",
    ]


def test_a_folder_that_is_no_data_directory_is_refused(tmp_path: Path) -> None:
    done = mdm("doctor", "--data", str(tmp_path / "none"), check=False)
    assert done.returncode == 2
    assert "there is no data directory" in done.stderr


def found(data: Path, capsys: pytest.CaptureFixture[str], code: int, **options: Any) -> Any:
    """Return the findings as JSON has them, by their subjects."""
    shown = json.loads("".join(printed(data, capsys, code=code, as_json=True, **options)))
    assert shown["data"] == str(data)
    assert shown["needs_attention"] == sum(f["state"] == "wrong" for f in shown["findings"])
    return {finding["subject"]: finding for finding in shown["findings"]}


def test_files_that_others_may_use_are_named(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drained(data, chat())
    spool(DataDirectory(data), chat(requested_at=datetime.now(UTC)))
    (file,) = (data / "spool").glob("*.sqlite")
    assert found(data, capsys, 0)["data directory"]["state"] == "ok"

    file.chmod(0o644)
    finding = found(data, capsys, 1)["data directory"]
    assert finding["rows"] == [{"path": f"spool/{file.name}", "mode": "0644"}]
    assert f"chmod -R go= {data / 'spool'}" in finding["advice"]

    file.chmod(0o600)
    data.chmod(0o750)
    finding = found(data, capsys, 0)["data directory"]
    assert finding["state"] == "note", "a group may be meant to read the lake"


def test_a_disk_that_is_full_before_the_spool_is_told(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, bound, state in (
        (10**12, 10**9, "ok"),
        (2 * 10**9, 10**10, "note"),
        (9, 10, "wrong"),
    ):
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr("shutil.disk_usage", lambda _, usage=usage: usage)
        code = int(state == "wrong")
        assert found(data, capsys, code, spool_max_bytes=bound)["disk"]["state"] == state


def test_keys_that_nobody_can_read_are_wrong(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found(data, capsys, 0)["API keys"]["summary"] == "there are none yet"
    directory = DataDirectory(data)
    store = ApiKeyStore(directory.api_keys)
    first, _ = store.create("a"), store.create("b")
    store.revoke(first.id)
    assert found(data, capsys, 0)["API keys"]["summary"] == "1 active, 1 revoked"

    for path in data.glob("api_keys.sqlite-*"):
        path.unlink()
    directory.api_keys.write_bytes(b"no database" * 500)
    assert "cannot be read" in found(data, capsys, 1)["API keys"]["summary"]


def test_a_request_that_is_in_the_lake_twice_is_named(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = chat()
    drained(data, one, chat())
    assert found(data, capsys, 0)["lake"]["summary"] == "2 requests, each once"
    LakeSink(DataDirectory(data).lake).append([one], None)

    (row,) = found(data, capsys, 1)["lake"]["rows"]
    assert (row["id"], row["rows"]) == (one.id, 2)


def test_what_a_killed_proxy_left_is_no_proxy(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though a process with its id lives: in a container there always is a process 1."""
    metrics = DataDirectory(data).metrics
    for name in (str(os.getpid()), f"{os.getpid()}-0123"):
        left = metrics / name
        for folder in (metrics.parent, metrics, left):
            folder.mkdir(mode=0o700, exist_ok=True)
        (left / "supervisor.lock").touch(0o600)
    assert found(data, capsys, 0)["proxy"]["summary"] == "none runs on this data directory"


def test_it_looks_while_a_proxy_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url) as proxy,
    ):
        assert proxy.post().status_code == 200
        findings = found(tmp_path / "data", capsys, 0)
        assert f"(process {proxy.supervisor})" in findings["proxy"]["summary"]
        assert findings["spool"]["summary"].startswith("1 file, 1 with a worker, ")
        proxy.stop()

    findings = found(tmp_path / "data", capsys, 0)
    assert findings["proxy"]["summary"] == "none runs on this data directory"
    assert findings["lake"]["summary"] == "1 request, each once"


def fed(data: Path, dsn: str, *records: RequestRecord) -> None:
    directory = DataDirectory(data)
    spool(directory, *records)
    report = drain_once(
        directory, [LakeSink(directory.lake), PostgresSink(dsn, lake=directory.lake)]
    )
    assert not report.troubles


def test_postgres_is_compared_with_the_lake(
    data: Path, postgres: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By turns: no tables yet, the same rows, one that is gone there, one that is more."""
    day = datetime(2026, 11, 20, 12, tzinfo=UTC)
    drained(data, chat(requested_at=day - timedelta(days=2)))
    look = partial(found, data, capsys, postgres=postgres)
    assert "no tables of ours" in look(0)["Postgres"]["summary"]

    rows = [chat(requested_at=day + timedelta(hours=9 * n)) for n in range(5)]
    fed(data, postgres, *rows)
    assert look(0)["Postgres"]["summary"].startswith("5 requests at ")
    assert look(0)["Postgres"]["summary"].endswith("it has what the lake has")

    run(postgres, f"delete from llm_requests where id = '{rows[3].id}'")
    finding = look(1)["Postgres"]
    assert finding["state"] in {"wrong", "note"}
    lines = printed(data, capsys, code=1, postgres=postgres)
    (wrong,) = (line for line in lines if line.startswith("wrong"))
    assert "1 request of the lake that " in wrong
    assert any(rows[3].id in line and "2026-11-21" in line for line in lines)
    assert any("1 request of the lake from before it was fed" in line for line in lines)


def test_rows_of_other_proxies_in_the_same_postgres_are_no_fault(
    data: Path, tmp_path: Path, postgres: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = DataDirectory.create(tmp_path / "other").root
    fed(data, postgres, chat())
    fed(other, postgres, chat(), chat())

    lines = printed(data, capsys, code=0, postgres=postgres)

    assert any(line.startswith("note ") and "2 requests in " in line for line in lines)
    assert any(line.startswith("ok ") and "it has what the lake has" in line for line in lines)


def test_rows_on_their_way_to_postgres_are_not_missing(
    data: Path, postgres: str, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    fed(data, postgres, chat(requested_at=now))
    spool(DataDirectory(data), chat(requested_at=now))
    directory = DataDirectory(data)
    assert drain_once(directory, [LakeSink(directory.lake)]).rows == 1

    assert (
        "it has what the lake has"
        in found(data, capsys, 0, postgres=postgres)["Postgres"]["summary"]
    )


def test_a_postgres_that_is_away_needs_attention(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dsn = f"postgresql://majordomo:planted-secret@127.0.0.1:{free_port()}/db"
    finding = found(data, capsys, 1, postgres=dsn)["Postgres"]

    assert "cannot be reached" in finding["summary"]
    assert "planted-secret" not in json.dumps(finding)
