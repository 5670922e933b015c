"""`mdm doctor` shows what needs attention, and ends with 1 only then."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from majordomo_analytics.cli.doctor import doctor
from majordomo_analytics.cli.drain import drain
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.dead_letters import DeadLetter, DeadLetters
from majordomo_analytics.drain.loop import drain_once
from majordomo_analytics.drain.removal import remember_sink
from majordomo_analytics.pricing.pricer import use_price_book
from majordomo_analytics.records.request import RequestRecord, encode_record
from majordomo_analytics.records.usage import Usage
from majordomo_analytics.spool.writer import SpoolWriter
from tests.drain.spools import spool
from tests.support.proxy import mdm
from tests.support.records import a_record

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


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Give what `mdm doctor` prints about a data directory, blanks drawn together."""

    def run(data: Path, *, code: int) -> list[str]:
        capsys.readouterr()
        ended = 0
        try:
            doctor(data)
        except typer.Exit as error:
            ended = error.exit_code
        printed = capsys.readouterr()
        assert ended == code, printed
        return [" ".join(line.split()) for line in (printed.out + printed.err).splitlines()]

    return run


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
    assert lines(data, code=0) == ["nothing is wrong with 5 requests"]


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
    assert shown[-1] == "1 of 9 checks found what needs attention; 4 requests"


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
    assert shown[-1] == "nothing needs attention in 3 requests"


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
    assert lines(data, code=0) == ["nothing is wrong with 4 requests"]

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

    assert "damaged.sqlite' cannot be read" in lines(data, code=1)[0]


def test_a_book_that_is_wrong_stops_the_drain_before_it_prices_anything(data: Path) -> None:
    (data / "prices.toml").write_text("[[price]]\nprovider = 'openai'\n", "utf-8")
    done = mdm("drain", "--once", "--data", str(data), check=False)
    assert done.returncode == 2
    assert f"{data / 'prices.toml'}, line 1: has no model" in done.stderr
    other = data.parent / "empty.toml"
    other.write_text("", "utf-8")
    mdm("drain", "--once", "--data", str(data), "--price-book", str(other))
    mdm("drain", "--once", "--data", str(data), MAJORDOMO_PRICE_BOOK=str(other))


def test_without_a_lake_there_is_nothing_to_look_at(data: Path) -> None:
    done = mdm("doctor", "--data", str(data), check=False)
    assert done.returncode == 2
    assert "has no lake yet" in done.stderr
