"""Figures in a real browser: what callers sent is text, and what hovers is exact."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import majordomo_analytics as ma

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
HOSTILE = ["<img src=x onerror=document.title='taken'>", "<b>bold</b>", '$x^2$ & "y"', "مرحبا"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        yield chromium
        chromium.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["bars", "stacked_bars", "heatmap", "treemap"])
def test_hostile_names_are_shown_as_they_are(
    browser: Browser, tmp_path: Path, kind: str, theme: Any
) -> None:
    """No element of theirs is on the page, and each can be read there, in 800 pixels."""
    pairs = [(one, other, 1.0) for one in HOSTILE for other in HOSTILE]
    frame = pl.DataFrame(pairs, schema=["who", "by", "cost"], orient="row")
    by = "who" if kind == "bars" else ["who", "by"]
    figure = getattr(ma.plots, kind)(frame.group_by("who", "by").sum() if by != "who" else
                                     frame.select("who", "cost"), by=by, theme=theme)  # fmt: skip
    file = tmp_path / "figure.html"
    figure.write_html(file)
    page = browser.new_page(viewport={"width": 800, "height": 700})
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))

    page.goto(file.as_uri())
    page.wait_for_selector(".main-svg text")

    assert page.locator("img").count() == 0
    assert page.title() != "taken"
    shown = page.evaluate(
        "[...document.querySelectorAll('svg text')].map(t => t.textContent.replaceAll('\\u2068', '').replaceAll('\\u2069', ''))"  # noqa: E501
    )
    for name in HOSTILE:
        cut = name[:12]
        assert any(text.startswith(cut) for text in shown), (name, shown)
    assert trouble == []
    page.close()


def test_hovering_shows_every_digit(browser: Browser, tmp_path: Path) -> None:
    from decimal import Decimal

    frame = pl.DataFrame({"team": ["legal"], "cost": [Decimal("1234.0123456789")]})
    file = tmp_path / "figure.html"
    ma.plots.bars(frame).write_html(file)
    page = browser.new_page(viewport={"width": 800, "height": 400})

    page.goto(file.as_uri())
    page.wait_for_selector(".bars .point path")
    box = page.locator(".bars .point path").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".hovertext text")

    assert "$1,234.0123456789" in (page.locator(".hovertext").text_content() or "")
    page.close()


def test_figures_can_be_written_as_images(tmp_path: Path) -> None:
    """With the extra `images`; the file is a picture of the size that was asked for."""
    pytest.importorskip("kaleido", reason="the extra 'images' is not installed")
    figure = ma.plots.bars(pl.DataFrame({"team": ["legal"], "cost": [1.0]}))
    file = tmp_path / "figure.png"

    figure.write_image(file, width=700, height=300)

    data = file.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(data[16:20]) == 700
