"""The report in a real browser: nothing goes wrong, and everything is drawn."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from majordomo_analytics.ledger.opening import open as open_ledger
from majordomo_analytics.report import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(2)>"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report on a hundred requests over ten days, one name of them hostile."""
    start = datetime(2026, 10, 5, 9, tzinfo=UTC)
    features, teams = ["chat", "search", HOSTILE, None], ["legal", "support", "growth"]
    rows = [
        {
            "requested_at": start + timedelta(hours=6 * n),
            "total_cost": Decimal(n + 1) / 100,
            "model": ["gpt-4.1", "claude-haiku-4-5"][n % 2],
            "Feature": features[n % 4],
            "Team": teams[n % 3],
            "Experiment": ["control", "short-prompt"][n % 2],
            "status_code": 200 if n % 20 else 429,
            "outcome": "completed",
            "input_tokens": 100 + n,
            "output_tokens": 10,
            "cached_tokens": 20,
            "response_time_ms": 50 + n,
        }
        for n in range(100)
    ]
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(open_ledger(pl.DataFrame(rows)), path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        yield chromium
        chromium.close()


@pytest.fixture(
    scope="module", params=[(1400, "light"), (1400, "dark"), (800, "light"), (800, "dark")]
)
def opened(
    request: pytest.FixtureRequest, browser: Browser, page_file: Path
) -> Iterator[tuple[Page, list[str]]]:
    """Give the opened page, and all that its console said and its network asked for."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
    page = context.new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on(
        "request",
        lambda asked: trouble.append(asked.url) if not asked.url.startswith("file:") else None,
    )
    page.goto(page_file.as_uri())
    page.wait_for_function("document.querySelectorAll('.main-svg').length > 0")
    page.wait_for_function(
        "[...document.querySelectorAll('.figure')].every(f => f.querySelector('.main-svg'))"
    )
    yield page, trouble
    context.close()


def test_page_opens_without_a_word_on_the_console(opened: tuple[Page, list[str]]) -> None:
    """No error, no warning, and nothing asked of any network."""
    assert opened[1] == []
    assert opened[0].title().startswith("100 requests cost $50.50")


def test_every_figure_is_drawn_as_large_as_its_place(opened: tuple[Page, list[str]]) -> None:
    """Six figures, each with bars or lines, none wider than the section around it."""
    page = opened[0]
    figures = page.locator(".figure")
    assert figures.count() == 6
    for n in range(figures.count()):
        figure = figures.nth(n)
        assert figure.locator(".bars .point, .scatterlayer .trace").count() > 0
        box, around = figure.bounding_box(), page.locator("section").nth(n).bounding_box()
        assert box is not None
        assert around is not None
        assert box["height"] > 100
        assert around["x"] <= box["x"]
        assert box["x"] + box["width"] <= around["x"] + around["width"]


def test_page_is_never_wider_than_the_window(opened: tuple[Page, list[str]]) -> None:
    width = opened[0].evaluate("document.documentElement.scrollWidth")
    assert width <= opened[0].evaluate("window.innerWidth")


def test_figures_follow_the_page_from_light_to_dark(browser: Browser, page_file: Path) -> None:
    """The text of a figure has the page's own colour of ink, before and after."""
    page = browser.new_page(color_scheme="light")
    page.goto(page_file.as_uri())
    seen = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(
            """() => {
              const text = document.querySelector('.figure .ytick text');
              return text && getComputedStyle(text).fill === getComputedStyle(document.body).color;
            }"""
        )
        seen.append(page.evaluate("getComputedStyle(document.body).color"))
    page.close()
    assert len(set(seen)) == 2
