"""The demo: its table is the truth, its closing lines work, its children never stay."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import typer

from majordomo_analytics.cli.demo import demo
from majordomo_analytics.cli.standins.comparison import differences, sums_of
from majordomo_analytics.cli.standins.prices import Tokens
from majordomo_analytics.cli.standins.process import RunningStandIns
from majordomo_analytics.cli.standins.truth import Call
from majordomo_analytics.cli.traffic import FEATURES, plan_calls
from majordomo_analytics.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

MDM = [sys.executable, "-m", "majordomo_analytics"]
REQUESTS = 300


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MDM, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Give the folder the demo was run in, twice, and what it printed the second time."""
    folder = tmp_path_factory.mktemp("demo")
    for _ in range(2):
        done = run("demo", "--requests", str(REQUESTS), folder=folder)
        assert done.returncode == 0, done.stderr
    return folder, done.stdout


def cells(line: str, heading: str) -> list[str]:
    assert line.startswith(heading)
    return line.removeprefix(heading).split()


def test_table_ends_with_the_lake_and_the_truth_alike(shown: tuple[Path, str]) -> None:
    """Every sum stands in both lines, and is the sum of the Features' own."""
    lines = [line.strip() for line in shown[1].splitlines()]
    start = next(n for n, line in enumerate(lines) if line.startswith("Feature"))
    ours = cells(next(line for line in lines if line.startswith("the lake")), "the lake")
    theirs = cells(
        next(line for line in lines if line.startswith("the stand-ins")), "the stand-ins"
    )
    assert ours == theirs
    assert ours[0] == str(REQUESTS)
    features = {}
    for line in lines[start + 1 :]:
        name, *sums = line.split() or [""]
        if name in {feature.name for feature in FEATURES} | {"(untagged)"}:
            features[name] = [Decimal(cell.replace(",", "")) for cell in sums]
    assert len(features) == len(FEATURES) + 1
    added = [sum(column) for column in zip(*features.values(), strict=True)]
    assert added == [Decimal(cell.replace(",", "")) for cell in ours]


def test_demo_writes_a_page_and_leaves_the_lake(shown: tuple[Path, str]) -> None:
    assert (shown[0] / "report.html").stat().st_size > 0
    assert (shown[0] / "majordomo-data" / "lake" / "llm_requests" / "_delta_log").is_dir()


def test_python_of_the_closing_lines_runs_as_printed(shown: tuple[Path, str]) -> None:
    folder, printed = shown
    snippet = re.search(r"(    import majordomo_analytics as ma\n.*?)\n\S", printed, re.DOTALL)
    assert snippet is not None
    code = re.sub("^    ", "", snippet[1], flags=re.MULTILINE)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_command_of_the_closing_lines_runs_as_printed(shown: tuple[Path, str]) -> None:
    """It shows all requests of the lake: those of both runs."""
    folder, printed = shown
    command = re.search(r"^ +\S*mdm (query .*)$", printed, re.MULTILINE)
    assert command is not None
    done = run(*command[1].split(), folder=folder)
    assert done.returncode == 0, done.stderr
    assert f"{2 * REQUESTS:,}" in done.stdout


def test_a_wrong_sum_is_status_1_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One call that cost a ten-billionth of a dollar more is enough."""
    told = RunningStandIns.truth

    def altered(standins: RunningStandIns) -> list[Call]:
        first, *others = told(standins)
        assert first.cost is not None
        return [replace(first, cost=first.cost + Decimal("0.0000000001")), *others]

    monkeypatch.setattr(RunningStandIns, "truth", altered)
    report = tmp_path / "report.html"
    with pytest.raises(typer.Exit) as left:
        demo(tmp_path / "data", requests=20, report=report)
    assert left.value.exit_code == 1
    said = capsys.readouterr().err
    assert "total_cost is" in said
    assert "do not agree" in said
    assert not report.exists()


def test_report_without_a_folder_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no folder"):
        demo(tmp_path / "data", requests=20, report=tmp_path / "none" / "report.html")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_children_end_when_the_demo_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    """Neither the stand-ins nor the proxy answer any more, and no process is left."""
    command = [*MDM, "demo", "--data", "data", "--requests", "100000"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        urls = re.findall(r"http://\S+:\d+", process.stderr.readline())
        process.send_signal(number)
        assert process.wait(60) not in {0, 1}
    assert len(urls) == 2
    for url in urls:
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(url, timeout=5)
    with pytest.raises(ProcessLookupError):  # the session was its own
        os.killpg(process.pid, 0)


def test_same_seed_plans_the_same_calls() -> None:
    assert list(plan_calls(50)) == list(plan_calls(50))
    assert list(plan_calls(50)) != list(plan_calls(50, seed=8))


def test_traffic_is_as_mixed_as_the_table_says() -> None:
    """Of 4,000 calls each Feature has its share, and some have no metadata at all."""
    calls = list(plan_calls(4000))
    counted = Counter(call.feature for call in calls)
    for feature in FEATURES:
        assert counted[feature.name] == pytest.approx(0.97 * 40 * feature.weight, rel=0.15)
    untagged = [call for call in calls if call.feature is None]
    assert 80 < len(untagged) < 160
    assert not any(name.startswith("X-Majordomo") for call in untagged for name in call.headers)
    users = {call.headers.get("X-Majordomo-User-Id") for call in calls}
    assert 200 < len(users) <= 401


def made_up(cost: str) -> Call:
    tokens = Tokens(input=100, cached=40, output=10)
    return Call("c", "chat", "gpt-4.1", 200, False, tokens, Decimal(cost), {}, "openai")


def test_sums_count_errors_without_tokens() -> None:
    failed = Call("d", "chat", "gpt-4.1", 429, False, Tokens(), Decimal(0), {}, "openai")
    assert sums_of([made_up("0.01"), made_up("0.02"), failed]) == {
        "requests": 3,
        "errors": 1,
        "input_tokens": 200,
        "cached_tokens": 80,
        "output_tokens": 20,
        "total_cost": Decimal("0.03"),
    }


def test_every_difference_is_named() -> None:
    """A wrong number, a Feature that is missing, and one that nobody called."""
    truth = {"a": sums_of([made_up("0.01")]), "b": sums_of([made_up("0.01")])}
    assert differences(truth, truth) == []
    said = {"a": truth["a"] | {"total_cost": Decimal("0.02")}, "c": truth["b"]}
    found = differences(said, truth)
    assert "a: total_cost is 0.02 in the lake, the stand-ins answered 0.01" in found
    assert "b: requests is 0 in the lake, the stand-ins answered 1" in found
    assert "c: requests is 1 in the lake, the stand-ins answered 0" in found
