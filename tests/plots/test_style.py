"""One house style: colours that everybody tells apart and that stay, text that is text."""

from __future__ import annotations

import html
import itertools
import json
from typing import Any

import numpy as np
import plotly.io as pio
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.plots.colours import GREYS, PALETTE, colour_at, colours_of
from majordomo_analytics.plots.words import short_labels
from tests.plots.difference import SIMULATIONS, ciede2000, contrast, lab_as_seen

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "<b>bold</b><br>&lt;i&gt;",
    "$x^2$ and $\\frac{1}{2}$",
    "\"quotes\" and 'more'",
    "%{x} %{customdata[0]} {y}",
    "مرحبا بالعالم",
    "a\u202etxt.exe",
    "👩\u200d💻 emoji",
    "x" * 10_000,
    "line\nbreak\tand\x00nul",
    "",
    "   ",
    "(other) ",
]
KINDS_OF_TWO = ["stacked_bars", "heatmap", "treemap", "bars"]


# Colours


@pytest.mark.parametrize("sight", SIMULATIONS)
def test_any_two_colours_are_told_apart(sight: str) -> None:
    """Also without red or green cones; 10 is a difference that is seen at a glance."""
    seen = [lab_as_seen(colour, sight) for colour in PALETTE]
    nearest = min(ciede2000(one, other) for one, other in itertools.combinations(seen, 2))

    assert nearest >= 12


@pytest.mark.parametrize("theme", ["majordomo", "majordomo_dark"])
def test_colours_stand_out_from_the_page(theme: str) -> None:
    """3 to 1 for marks and 4.5 to 1 for text, as WCAG 2.2 asks."""
    ma.plots.use_theme(None)
    layout = pio.templates[theme].layout
    page = layout.paper_bgcolor

    marks = [*PALETTE, *(colour_at(place) for place in range(60))]
    assert min(contrast(colour, page) for colour in marks) >= 2.95
    assert contrast(GREYS["(other)"], page) >= 3
    quiet = layout.title.subtitle.font.color, layout.xaxis.tickfont.color
    assert min(contrast(colour, page) for colour in (layout.font.color, *quiet)) >= 4.5


def test_no_two_of_many_values_share_a_colour() -> None:
    assert len(set(colours_of("User-Id", [f"user-{n}" for n in range(300)]))) == 300


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 60), min_size=1, unique=True), min_size=2, max_size=6))
def test_a_value_keeps_its_colour(figures: list[list[int]]) -> None:
    """Whatever is drawn, in whatever order: a value's colour is its first one."""
    ma.plots.forget_colours()
    first: dict[int, str] = {}
    for values in figures:
        drawn = dict(zip(values, colours_of("Team", values), strict=True))
        assert len(set(drawn.values())) == len(drawn)
        for value, colour in drawn.items():
            assert first.setdefault(value, colour) == colour


def test_a_value_has_one_colour_in_every_kind_of_figure() -> None:
    """Bars, areas and a treemap of one key agree, and so does a filtered one."""
    ledger = ma.sample()
    areas = ledger.query("requests", "Team", time_grain="week", limit=5).plot()
    bars = ledger.query("requests", "Team", {"Team": ["growth", "legal", "sales"]}).plot()
    tiles = ledger.query("requests", "team").plot("treemap")

    seen = {trace.name: trace.line.color for trace in areas.data}
    of_bars = dict(zip(bars.data[0].y, bars.data[0].marker.color, strict=True))
    of_tiles = dict(zip(tiles.data[0].labels, tiles.data[0].marker.colors, strict=True))
    assert set(seen) & set(of_bars)
    for name in set(seen) & set(of_bars):
        assert of_bars[name] == of_tiles[name] == seen[name]
    assert seen["(other)"] == GREYS["(other)"]


def test_colours_of_ones_own_hold_and_push_others_aside() -> None:
    """A colour that is pinned is taken from the value that had it."""
    before = colours_of("Tier", ["free", "pro"])

    ma.plots.pin_colours("Tier", {"gold": before[0].lower()})

    after = colours_of("tier", ["free", "pro", "gold"])
    assert after[2] == before[0]
    assert after[1] == before[1]
    assert len(set(after)) == 3
    with pytest.raises(ma.QueryError, match="'#1f77c4'"):
        ma.plots.pin_colours("Tier", {"gold": "yellow"})


def test_the_theme_is_chosen_by_figure_session_or_plotly() -> None:
    frame = pl.DataFrame({"team": ["a"], "cost": [1.0]})

    def page(**look: Any) -> str:
        return str(ma.plots.bars(frame, **look).layout.template.layout.paper_bgcolor)

    light, dark = page(), page(theme="dark")
    assert contrast(light, dark) > 10
    ma.plots.use_theme("dark")
    assert page() == dark
    assert page(theme="light") == light
    ma.plots.use_theme(None)
    before = pio.templates.default
    try:
        pio.templates.default = "plotly_dark"
        assert page() == dark
    finally:
        pio.templates.default = before


# Axes


def test_axes_say_what_they_count() -> None:
    """Dollars have their sign, tokens and milliseconds are named, a share is per cent."""
    rows = {
        "team": ["a"],
        "cost": [12.0],
        "input_tokens": [5],
        "took_ms": [3.0],
        "error_rate": [0.5],
    }
    frame = pl.DataFrame(rows)
    axis = {n: ma.plots.bars(frame, n).layout.xaxis for n in rows if n != "team"}

    assert axis["cost"].tickformat.startswith("$")
    assert axis["cost"].title.text == "Cost [USD]"
    assert axis["input_tokens"].title.text == "Input tokens"
    assert axis["took_ms"].title.text == "Took [ms]"
    assert axis["error_rate"].tickformat.endswith("%")


# Text


def two(labels: list[str]) -> pl.DataFrame:
    pairs = [
        (one, other, n + 1.0) for n, (one, other) in enumerate(itertools.product(labels, repeat=2))
    ]
    return pl.DataFrame(pairs, schema=["who", "<i>by</i> $a$ $b$", "cost"], orient="row")


def texts_of(figure: Any) -> list[str]:
    """Return every text in a figure, its templates for hover left out."""
    found: list[str] = []

    def walk(part: Any, name: str = "") -> None:
        if isinstance(part, dict):
            for key, value in part.items():
                walk(value, key)
        elif isinstance(part, list):
            for value in part:
                walk(value, name)
        elif isinstance(part, str) and name not in ("hovertemplate", "texttemplate"):
            found.append(part)

    walk(json.loads(figure.to_json()))
    return found


@pytest.mark.parametrize("kind", KINDS_OF_TWO)
def test_hostile_values_are_text_in_every_figure(kind: str) -> None:
    """No tag but our own line break, no TeX, no text too long to show."""
    frame = two(HOSTILE)

    figure = getattr(ma.plots, kind)(frame, title="<script>alert(3)</script> $x$")

    texts = texts_of(figure)
    for text in texts:
        assert "<" not in text.replace("<br>", "")
        assert text.count("$") < 2
        assert len(html.unescape(text)) < 1000
    assert any("&lt;img src=x onerror" in text for text in texts)
    assert figure.layout.title.text == "&lt;script&gt;alert(3)&lt;/script&gt; &#36;x&#36;"
    assert sum(len(json.dumps(t.to_plotly_json(), default=str)) for t in figure.data) < 400_000


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=12, unique=True))
def test_labels_are_escaped_and_none_is_lost(values: list[str]) -> None:
    """Each value has a label of its own, in which nothing is markup or breaks the line."""
    labels = short_labels([(value,) for value in values])

    assert len(set(labels)) == len(values)
    for label in labels:
        assert "<" not in label
        assert "$" not in label
        assert "\n" not in label
        assert 0 < len(html.unescape(label)) < 50


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=8, unique=True),
    st.sampled_from(["bars", "treemap"]),
)
def test_no_money_is_lost_for_a_strange_name(values: list[str], kind: str) -> None:
    """What the marks show adds up to what the frame holds, whatever the names are."""
    frame = pl.DataFrame({"who": values, "cost": [n + 1 for n in range(len(values))]})

    mark = getattr(ma.plots, kind)(frame, by="who").data[0]

    assert sum(mark.x if kind == "bars" else mark.values) == sum(frame["cost"])
    assert np.isfinite(np.array(mark.x if kind == "bars" else mark.values, dtype=float)).all()
