"""What a notebook shows: text, names at the tab key, a bar for what takes long."""

from __future__ import annotations

import threading
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest

import majordomo_analytics as ma
from majordomo_analytics.ledger import waiting as waiting_module
from majordomo_analytics.ledger.completing import complete
from majordomo_analytics.ledger.waiting import waiting

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'&" + "x" * 10_000


class Read(HTMLParser):
    """Collects the tags and the text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.attributes: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def hostile() -> ma.Ledger:
    rows: dict[str, Any] = {
        "requested_at": ["2026-10-05T09:00Z", "2026-10-06T09:00Z", "2026-10-06T10:00Z"],
        "total_cost": ["1.50", "0.25", None],
        "raw_metadata": [{"Feature": HOSTILE}, {"Feature": "مرحبا"}, {"Feature": "chat"}],
    }
    tags = pl.Series(rows.pop("raw_metadata"), dtype=pl.Struct({"Feature": pl.String}))
    return ma.open(pl.DataFrame(rows).with_columns(raw_metadata=tags.struct.json_encode()))


@pytest.mark.parametrize("what", ["ledger", "keys", "result"])
def test_hostile_values_are_text_in_every_repr(hostile: ma.Ledger, what: str) -> None:
    """No tag and no attribute of the value's making, and no book in a cell."""
    shown: Any = {
        "ledger": hostile,
        "keys": hostile.metadata_keys(),
        "result": hostile.query(dimensions="Feature"),
    }[what]

    html = shown._repr_html_()

    read = Read(html)
    assert not {"script", "img"} & set(read.tags)
    assert set(read.attributes) <= {"style"}
    assert "</td><script>" in read.text
    assert len(html) < 8_000


def test_a_ledger_shows_span_rows_spend_and_coverage(hostile: ma.Ledger) -> None:
    text = Read(hostile._repr_html_()).text

    for said in ("3 requests", "$1.75", "2026-10-05 to 2026-10-06", "Feature", "100.0%"):
        assert said in text


@pytest.mark.parametrize("shown", ["ledger", "result", "keys"])
def test_reprs_have_the_colours_of_the_page(shown: str) -> None:
    """No colour of text or of a background that a dark page would turn unreadable."""
    ledger = ma.sample()
    html = {
        "ledger": ledger._repr_html_,
        "result": ledger.query(dimensions="Team")._repr_html_,
        "keys": ledger.metadata_keys()._repr_html_,
    }[shown]()

    for declaration in html.replace('"', ";").split(";"):
        name, _, value = declaration.partition(":")
        if name == "color":
            assert value == "inherit"
        if name == "background":
            assert value in ("none", "#1F77C4", "rgba(128,136,150,0.25)")


def test_keys_are_still_a_frame(hostile: ma.Ledger) -> None:
    """What Polars does with a frame works, and other columns look as in Polars."""
    keys = hostile.metadata_keys()

    assert isinstance(keys, pl.DataFrame)
    assert keys.filter(pl.col("requests") > 5).is_empty()
    assert "dataframe" in keys.select("name", "requests")._repr_html_()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('ledger.query("tot', {"total_cost", "total_tokens"}),
        ('ledger.query("total_cost", "Fea', {"Feature"}),
        ('ledger.query(["requests", "p9', {"p95_response_time_ms", "p99_response_time_ms"}),
        ('ledger.query(dimensions=["Team", "mode', {"model"}),
        ('ledger.query("requests", filters={"Exp', {"Experiment"}),
        ('ledger.query(order_by="-total_c', {"total_cost"}),
        ('ledger.query(time_grain="w', {"week"}),
        ('ledger.query(compare="prev', {"previous period", "previous year"}),
        ('ledger.during("2026-07").by("user-t', {"User-Tier"}),
        ("ledger.filter(Te", {"Team="}),
        ("ledger.filter(Team='legal', user_t", {"User_Tier="}),
        ('ledger.by("Team").plot("tree', {"treemap"}),
        ('x = 1\nledger.by(  # "(\n    "Feat', {"Feature"}),
        ('other.query("tot', set()),
        ('print("tot', set()),
        ('ledger.query("total_cost")["tot', set()),
    ],
)
def test_names_are_offered_inside_a_question(code: str, expected: set[str]) -> None:
    namespace = {"ledger": ma.sample(), "other": object()}

    fragment, names = complete(code, namespace)

    offered = set(names)
    if "provider_a" in code:
        expected = {
            name for name in ma.sample().requests().columns if name.startswith("provider_a")
        }
    assert offered == expected
    assert code.endswith(fragment)


def test_ipython_offers_them_at_the_tab_key(tmp_path: Any, monkeypatch: Any) -> None:
    """The completer of a real shell gives them, in place of what was begun; once each."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    from IPython.core.completer import provisionalcompleter
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    try:
        shell.run_cell(  # type: ignore[no-untyped-call]
            "import majordomo_analytics as ma; ledger = ma.sample(); ma.sample()"
        )
        code = 'ledger.during("2026-07").query("total_cost", "User-T'
        with provisionalcompleter():
            found = list(shell.Completer.completions(code, len(code)))
        assert [(one.text, one.start) for one in found] == [("User-Tier", len(code) - 6)]
        ours = [m for m in shell.Completer.custom_matchers if getattr(m, "is_ours", False)]
        assert len(ours) == 1
    finally:
        if shell.history_manager is not None:
            shell.history_manager.end_session()
        InteractiveShell.clear_instance()


class Handle:
    """Stands for the place in a cell that a notebook shows something at."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.seen = threading.Event()

    def __call__(self, html: Any, *, display_id: bool) -> Handle:
        assert display_id
        self.update(html)
        return self

    def update(self, html: Any) -> None:
        self.shown.append(html.data)
        self.seen.set()


def test_what_takes_long_has_a_bar_and_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows what is waited for and how far it is, and is gone afterwards."""
    handle = Handle()
    monkeypatch.setattr("IPython.display.display", handle)
    monkeypatch.setattr(waiting_module, "in_notebook", lambda: True)
    monkeypatch.setattr(waiting_module, "AFTER_SECONDS", 0.0)

    with waiting("asking <b>", total=10) as on_rows:
        assert handle.seen.wait(60)
        on_rows(5)

    assert '<progress max="10" value="0">' in handle.shown[0]
    assert "asking &lt;b&gt;" in handle.shown[0]
    assert 'value="5"' in handle.shown[1]
    assert handle.shown[-1] == ""


def test_what_is_quick_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Handle()
    monkeypatch.setattr("IPython.display.display", handle)
    monkeypatch.setattr(waiting_module, "in_notebook", lambda: True)
    monkeypatch.setattr(waiting_module, "AFTER_SECONDS", 3600.0)

    with waiting("asking"):
        pass

    assert handle.shown == []
