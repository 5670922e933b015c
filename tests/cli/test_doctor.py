"""`mdm doctor` shows what needs attention, and ends with 1 only then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from majordomo_analytics.cli.doctor import doctor
from majordomo_analytics.cli.drain import drain
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.pricing.pricer import use_price_book
from majordomo_analytics.records.request import RequestRecord, encode_record
from majordomo_analytics.records.usage import Usage
from majordomo_analytics.spool.writer import SpoolWriter
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
    assert shown[-1] == "1 of 5 checks found something in 4 requests"


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
    searched = Usage(input_tokens=1, output_tokens=1, social_searches=4)
    drained(
        data,
        chat(usage=over, flags=("usage_part_over_whole",)),
        chat(usage=Usage(), is_streamed=True),
        chat(usage=flex),
        chat(usage=searched),
    )
    shown = lines(data, code=1)
    assert sum(line.startswith("1 request ") for line in shown) == 4
    assert any(line.startswith("openai gpt-4o-mini 1 usage_part_over_whole") for line in shown)
    assert any(line.startswith("openai chat missing 1 1") for line in shown)
    assert any(line.startswith("openai gpt-4o-mini golden 1 0.0000007500") for line in shown)
    assert any(line.startswith("openai gpt-4o-mini 1 4") for line in shown)


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
