"""The report: what its sentences and tables say is what the ledger holds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from majordomo_analytics.ledger.opening import open as open_ledger
from majordomo_analytics.report import write_report
from majordomo_analytics.report.content import contents

if TYPE_CHECKING:
    from pathlib import Path

    from majordomo_analytics.ledger.ledger import Ledger

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \u2028"


def ledger_of(rows: list[dict[str, Any]], *, apart: timedelta = timedelta(seconds=1)) -> Ledger:
    start = datetime(2026, 10, 5, 9, tzinfo=UTC)
    plain = {
        "model": "gpt-4.1",
        "status_code": 200,
        "outcome": "completed",
        "input_tokens": 100,
        "output_tokens": 10,
        "cached_tokens": 25,
        "response_time_ms": 80,
    }
    frame = pl.DataFrame(
        [{"requested_at": start + n * apart, **plain, **row} for n, row in enumerate(rows)],
        infer_schema_length=None,
    )
    return open_ledger(frame)


def test_sentences_say_what_can_be_added_up_by_hand() -> None:
    rows: list[dict[str, Any]] = [
        {"Feature": "chat", "total_cost": Decimal("3.00")},
        {"Feature": "chat", "total_cost": Decimal("0.75")},
        {"Feature": "mail", "total_cost": Decimal("1.00")},
        {"Feature": None, "total_cost": Decimal("0.25")},
        {"Feature": "mail", "total_cost": None, "status_code": 429},
    ]
    said = contents(ledger_of(rows))
    assert said.headline.replace("\N{NO-BREAK SPACE}", " ") == (
        "5 requests cost $5.00 on 5 October 2026."
    )
    assert said.findings == (
        "The Feature chat took 75.0% of the spend, $3.75, with 40.0% of the requests.",
        "The model gpt-4.1 took 100.0% of the spend, $5.00, with 100.0% of the requests.",
        "25.0% of the prompt tokens were read from a cache.",
        "1 request came without a Feature and cost $0.25.",
        "1 request failed, 20.0% of all.",
        "All of them came within two minutes, too short for a line over time.",
    )


def test_success_without_a_cost_is_said() -> None:
    said = contents(ledger_of([{"total_cost": None}, {"total_cost": Decimal(1)}]))
    assert (
        "1 request succeeded without a known cost; no sum of money here holds them."
        in said.findings
    )


@pytest.mark.parametrize(
    ("apart", "grain"),
    [
        (timedelta(seconds=20), "minute"),
        (timedelta(hours=1), "hour"),
        (timedelta(days=1), "day"),
        (timedelta(days=10), "week"),
        (timedelta(days=40), "month"),
    ],
)
def test_time_is_drawn_in_the_longest_grain_that_makes_a_line(apart: timedelta, grain: str) -> None:
    rows: list[dict[str, Any]] = [{"total_cost": Decimal(1), "Feature": "chat"}] * 16
    sections = {s.heading: s for s in contents(ledger_of(rows, apart=apart)).sections}
    assert sections["Requests over time"].says == f"In each {grain}."
    assert sections["Spend over time"].drawn is not None


def test_ledger_without_requests_makes_a_page_that_says_so(tmp_path: Path) -> None:
    empty = ledger_of([{"total_cost": Decimal(1)}]).filter(model="none")
    write_report(empty, tmp_path / "report.html")
    assert "No requests yet." in (tmp_path / "report.html").read_text("utf-8")


def test_ledger_without_metadata_makes_a_page(tmp_path: Path) -> None:
    write_report(ledger_of([{"total_cost": Decimal(1)}]), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Spend by model" in page
    assert "Spend by Feature" not in page


def test_metadata_cannot_write_into_the_page(tmp_path: Path) -> None:
    """A hostile name ends no element and begins none, in text and in figures."""
    rows: list[dict[str, Any]] = [
        {"total_cost": Decimal(1), "Feature": HOSTILE, "Team": HOSTILE, "model": HOSTILE}
    ] * 4
    write_report(ledger_of(rows, apart=timedelta(minutes=2)), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert page.count("<script") == page.count("</script>")


def test_page_is_one_file_of_bounded_size(tmp_path: Path) -> None:
    """Everything is inside: the page names no address that a browser would fetch."""
    write_report(ledger_of([{"total_cost": Decimal(1), "Feature": "chat"}]), tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert len(page.encode()) < 6_000_000
    ours = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=|@import|url\(""", ours)
    assert "default-src 'none'" in ours
