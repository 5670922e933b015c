"""`/metrics` of any worker says what all processes did, and agrees with the lake."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from majordomo_analytics.drain.observing import Spent
from majordomo_analytics.drain.passes import Pass
from majordomo_proxy import scoreboard
from majordomo_proxy.drain_metrics import MOST_MODELS, OTHER, DrainMetrics
from majordomo_proxy.meters import METERS, histogram
from majordomo_proxy.metrics import Metrics, TallyOfTimes
from tests.support.proxy import RunningProxy, lake_rows, running_proxy
from tests.support.scripts import answer_by_path
from tests.support.upstream import Upstream

CHAT = "/v1/chat/completions"
Shown = dict[tuple[str, frozenset[tuple[str, str]]], float]


def shown(proxy: RunningProxy) -> Shown:
    """Return every sample, by its name and labels."""
    text = httpx.get(f"{proxy.url}/metrics", timeout=30).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Shown, name: str, **labels: str) -> float:
    """Return the sum over the series that have these labels."""
    wanted = labels.items()
    return sum(value for (n, has), value in samples.items() if n == name and wanted <= has)


def until(fact: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_all_there(samples: Shown) -> bool:
    """Whether the drain has looked, and says that nothing is on its way."""
    waiting = samples.get(("majordomo_drain_waiting_rows", frozenset({("sink", "lake")})))
    return waiting == 0


def test_metrics_agree_with_the_lake(tmp_path: Path) -> None:
    """Requests, tokens, bytes exactly; dollars, being floats, to one part in a billion."""
    scripts = ("content-length", "stream", "chunked", "rate-limited", "reset", "slow")
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url, workers="2") as proxy,
    ):
        for number in range(30):
            proxy.post(f"{CHAT}?script={scripts[number % len(scripts)]}")
        refused = proxy.post(headers={"X-Majordomo-Key": "mdm_sk_none"})
        assert refused.status_code == 401
        until(lambda: total(shown(proxy), "majordomo_lake_requests_total") == 30)
        until(lambda: is_all_there(shown(proxy)))
        time.sleep(1.1)  # the other worker hands on what it counted once a second
        samples = shown(proxy)
        assert proxy.stop() == 0

    rows = lake_rows(tmp_path / "data")
    assert len(rows) == 30
    outcomes = Counter(row["outcome"] for row in rows)
    for outcome, count in outcomes.items():
        assert total(samples, "majordomo_requests_total", outcome=outcome) == count
    for kind in ("input", "output"):
        tokens = sum(row[f"{kind}_tokens"] or 0 for row in rows)
        assert tokens > 0
        assert total(samples, "majordomo_tokens_total", kind=kind) == tokens
    cached = sum(row["cached_tokens"] or 0 for row in rows)
    assert total(samples, "majordomo_token_parts_total", part="cached") == cached > 0
    cost = sum(((row["total_cost"] or 0) for row in rows), Decimal(0))
    assert total(samples, "majordomo_cost_usd_total") == pytest.approx(float(cost), rel=1e-9)
    for way in ("request", "response"):
        size = sum(row[f"{way}_bytes"] or 0 for row in rows)
        assert total(samples, f"majordomo_{way}_bytes_total", provider="openai") == size
    assert total(samples, "majordomo_request_seconds_count") == 30
    answered = sum(row["time_to_first_byte_ms"] is not None for row in rows)
    assert total(samples, "majordomo_first_byte_seconds_count") == answered
    spent_ms = sum(row["response_time_ms"] for row in rows)
    assert total(samples, "majordomo_request_seconds_sum") == pytest.approx(spent_ms / 1000)
    for status, count in Counter(row["cost_status"] for row in rows).items():
        assert total(samples, "majordomo_cost_status_total", status=status) == count
    models = {dict(labels).get("model") for _, labels in samples} - {None}
    assert models == {"gpt-4o-mini", OTHER}, "the model m of a stream has no price"
    assert total(samples, "majordomo_refused_total", reason="invalid_api_key") == 1
    assert total(samples, "majordomo_sink_up", sink="lake") == 1
    assert total(samples, "majordomo_drain_lag_seconds", sink="lake") == 0
    assert total(samples, "majordomo_drained_rows_total", sink="lake") == 30
    assert total(samples, "majordomo_children", child="worker") == 2
    assert total(samples, "majordomo_build_info") == 1
    assert total(samples, "majordomo_spool_bytes") > 0
    ours = {
        name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
        for name, _ in samples
    }
    assert ours <= METERS.keys()


def test_counters_never_go_back_when_a_child_is_replaced(tmp_path: Path) -> None:
    """Nor is there a file more; what was true of the dead while they lived is gone."""
    with (
        Upstream(answer_by_path) as upstream,
        running_proxy(tmp_path / "data", openai_base_url=upstream.url) as proxy,
    ):
        for _ in range(5):
            assert proxy.post().status_code == 200
        until(lambda: total(shown(proxy), "majordomo_lake_requests_total") == 5)
        before = shown(proxy)
        (board,) = (tmp_path / "data" / "run" / "metrics").iterdir()
        files = sorted(file.name for file in board.iterdir())
        for pids in (proxy.workers(), proxy.drains()):
            os.kill(pids[0], signal.SIGKILL)
        until(lambda: is_ready(proxy))
        assert proxy.post().status_code == 200
        until(lambda: total(shown(proxy), "majordomo_lake_requests_total") == 6)
        after = shown(proxy)

        assert sorted(file.name for file in board.iterdir()) == files
        for (name, labels), value in before.items():
            if name.endswith(("_total", "_count", "_bucket")):
                assert after[name, labels] >= value
        assert total(after, "majordomo_requests_total") == 6
        assert total(after, "majordomo_in_flight_requests") == 0
        for child in ("worker", "drain"):
            assert total(after, "majordomo_child_restarts_total", child=child) == 1
        assert (board.stat().st_mode & 0o777, (board / files[0]).stat().st_mode & 0o777) == (
            0o700,
            0o600,
        )


def is_ready(proxy: RunningProxy) -> bool:
    try:
        return httpx.get(f"{proxy.url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def spent(
    provider: str, model: str | None, status: str
) -> dict[tuple[str, str | None, str], Spent]:
    one = Spent(requests=1, cost=Decimal("0.5") if status == "priced" else Decimal(0))
    one.tokens["input"] = 7
    return {(provider, model, status): one}


def models_in(registry: CollectorRegistry) -> set[str]:
    return {
        sample.labels["model"]
        for metric in registry.collect()
        for sample in metric.samples
        if "model" in sample.labels
    }


def test_no_caller_makes_series_without_end() -> None:
    """A model has a series if it was sold, up to so many; sums lose nothing by it."""
    metrics = DrainMetrics()
    for number in range(3 * MOST_MODELS):
        metrics.count_spent(spent("openai", f"made-up-{number}", "unpriced"))
        metrics.count_spent(spent("openai", f"sold-{number}", "priced"))
    metrics.count_spent(spent("openai", None, "no_usage"))

    models = models_in(metrics.registry)
    assert len(models) == MOST_MODELS + 1
    assert OTHER in models
    assert not any(model.startswith("made-up") for model in models)
    value = metrics.registry.get_sample_value
    assert value(
        "majordomo_tokens_total", {"provider": "openai", "model": OTHER, "kind": "input"}
    ) == (7 * (5 * MOST_MODELS + 1))
    costs = [
        sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "majordomo_cost_usd_total"
    ]
    assert sum(costs) == 0.5 * 3 * MOST_MODELS


def test_the_bound_holds_over_drains_that_follow_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_board(tmp_path, monkeypatch)
    assert scoreboard.join("drain", tmp_path)
    first, second = range(MOST_MODELS // 2), range(MOST_MODELS // 2, MOST_MODELS)
    for numbers in (first, second):
        drain = DrainMetrics()
        for number in numbers:
            drain.count_spent(spent("openai", f"sold-{number}", "priced"))
    DrainMetrics().count_spent(spent("openai", "one-more", "priced"))

    registry = scoreboard.board()
    assert registry is not None
    assert len(models_in(registry)) == MOST_MODELS + 1
    assert "one-more" not in models_in(registry)


def test_a_process_without_room_for_its_counts_counts_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full: a count into a file that has no room would be the end of it."""
    on_a_board(tmp_path, monkeypatch)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not scoreboard.join("worker 1", tmp_path)
    assert scoreboard.board() is None
    assert list(tmp_path.iterdir()) == [], "who reads the others' counts would stumble over it"


COUNTS_FOR_ITSELF = """
from majordomo_proxy import scoreboard
assert not scoreboard.join("worker 1")
from majordomo_proxy.metrics import Metrics
metrics = Metrics()
metrics.count_refused("no_key")
print(metrics.text().decode())
"""


def test_a_worker_whose_folder_is_gone_counts_for_itself(tmp_path: Path) -> None:
    """In a process of its own: the library chooses where it counts when it is imported."""
    shown = subprocess.run(
        [sys.executable, "-c", COUNTS_FOR_ITSELF],
        env={**os.environ, scoreboard.FOLDER_VARIABLE: str(tmp_path / "gone")},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 'majordomo_refused_total{reason="no_key"} 1.0' in shown.stdout
    assert "worker 1 counts for itself only" in shown.stderr


def test_counts_are_shown_after_their_folder_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_board(tmp_path / "board", monkeypatch)
    (tmp_path / "board").mkdir()
    assert scoreboard.join("worker 1", tmp_path / "board")
    metrics = Metrics()
    metrics.count_refused("no_key")
    shutil.rmtree(tmp_path / "board")

    assert b'majordomo_refused_total{reason="no_key"} 1.0' in metrics.text()


@pytest.mark.parametrize("refusal", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_that_cannot_reserve_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    """A next process of the same name finds its counts, and as much room."""
    on_a_board(tmp_path, monkeypatch)

    def refuse(*_: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    for _ in range(2):
        assert scoreboard.join("worker 1", tmp_path)
        Metrics().count_refused("no_key")
    sizes = {path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {scoreboard.FILE_BYTES}
    shown = scoreboard.board()
    assert shown is not None
    assert shown.get_sample_value("majordomo_refused_total", {"reason": "no_key"}) == 2


def test_series_of_a_sink_that_is_no_more_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the others keep their values, and the next drain goes on with them."""
    on_a_board(tmp_path, monkeypatch)
    name = "majordomo_drain_last_pass_timestamp_seconds"

    def last_passes() -> dict[str, float]:
        registry = scoreboard.board()
        assert registry is not None
        return {
            sample.labels["sink"]: sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == name
        }

    assert scoreboard.join("drain", tmp_path)
    drain = DrainMetrics()
    for sink in ("lake", "postgres"):
        drain.count_pass(sink, Pass())
    before = last_passes()
    assert set(before) == {"lake", "postgres"}
    scoreboard.forget_series("drain", tmp_path, sink="postgres")
    assert last_passes() == {"lake": before["lake"]}
    assert not list(tmp_path.glob("*.new"))

    assert scoreboard.join("drain", tmp_path)
    DrainMetrics().count_pass("lake", Pass())
    after = last_passes()
    assert set(after) == {"lake"}
    assert after["lake"] > before["lake"]


def on_a_board(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back, after the test, where this process counts."""
    from prometheus_client import values

    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv(scoreboard.FOLDER_VARIABLE, str(folder))


def test_a_run_leaves_no_counts_behind(tmp_path: Path) -> None:
    """Those of runs that were killed go with the next start."""
    with running_proxy(tmp_path / "data") as proxy:
        proxy.kill()
    (left,) = (tmp_path / "data" / "run" / "metrics").iterdir()
    with running_proxy(tmp_path / "data", key=proxy.key) as proxy:
        assert not left.exists()
        assert scoreboard.running(tmp_path / "data" / "run" / "metrics") == [proxy.supervisor]
        assert proxy.stop() == 0

    assert list((tmp_path / "data" / "run" / "metrics").iterdir()) == []


def test_runs_with_the_same_process_id_leave_each_other_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two have in two containers, each of which is process 1 to itself."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    parent = tmp_path / "run" / "metrics"
    with scoreboard.folder_of_run(parent) as first:
        (first / "counter_worker 1.db").touch()
        with scoreboard.folder_of_run(parent) as second:
            assert first != second
            assert scoreboard.running(parent) == [1, 1]
        assert not second.exists()
        assert (first / "counter_worker 1.db").exists()
        assert scoreboard.running(parent) == [1]
    assert list(parent.iterdir()) == []


def test_what_is_left_of_runs_goes_whoever_has_their_process_id_now(tmp_path: Path) -> None:
    parent = tmp_path / "run" / "metrics"
    alive = os.getpid()
    left = parent / f"{alive}-0123"
    left.mkdir(parents=True)
    (left / scoreboard.LOCK_NAME).touch()
    (parent / str(alive)).mkdir()  # as earlier versions named them
    begun, just_begun = parent / ".7-0123", parent / ".8-0123"
    begun.mkdir()
    os.utime(begun, (0, 0))
    just_begun.mkdir()
    assert scoreboard.running(parent) == []
    with scoreboard.folder_of_run(parent) as folder:
        assert set(parent.iterdir()) == {folder, just_begun}


@given(st.lists(st.integers(0, 400_000), max_size=50))
def test_times_fall_into_the_buckets_that_the_library_puts_them_in(times_ms: list[int]) -> None:
    """A tally that is handed on is as many single observations."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = TallyOfTimes()
    expected = histogram("majordomo_request_seconds", theirs).labels("openai")
    handed = histogram("majordomo_request_seconds", ours).labels("openai")
    for number, ms in enumerate(times_ms):
        expected.observe(ms / 1000)
        tally.add(ms)
        if number % 7 == 0:
            tally.hand_on(handed)
    tally.hand_on(handed)

    def samples(registry: CollectorRegistry) -> dict[str, float]:
        return {
            f"{sample.name}{sample.labels}": round(sample.value, 6)
            for metric in registry.collect()
            for sample in metric.samples
            if not sample.name.endswith("_created")
        }

    assert samples(ours) == samples(theirs)
