"""An import is made once, however often it is started and however it ends."""

from __future__ import annotations

import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.indexing import promote_in_postgres
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.errors import LakeError, PostgresError
from majordomo_analytics.imports import importing
from majordomo_analytics.imports.importing import import_requests
from majordomo_analytics.imports.rejects import Rejects
from majordomo_analytics.imports.rows import Wishes
from majordomo_analytics.imports.source import Reading, open_source
from majordomo_analytics.lake.promotion import promote
from majordomo_analytics.lake.table import append_once
from majordomo_analytics.spool.locks import Lock
from tests.imports.runs import imported, lake_rows, mdm, start
from tests.support.postgres import run, select

ROWS = 3_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file whose rows cost 1, 2, 3 … millionths, a day of them in each 100."""
    lines = [
        f"r{n},2026-10-{1 + n * 30 // ROWS:02}T{n % 24:02}:00:00Z,openai,gpt-4o,{n},{n}e-6"
        for n in range(1, ROWS + 1)
        if n * 30 // ROWS < 30
    ]
    path = tmp_path / "usage.csv"
    path.write_text("id,time,provider,model,input_tokens,cost\n" + "\n".join(lines) + "\n", "utf-8")
    return path


def expected() -> Counter[Decimal]:
    return Counter(Decimal(n) / 10**6 for n in range(1, ROWS))


def costs(data: DataDirectory) -> Counter[Decimal]:
    return Counter(row["total_cost"] for row in lake_rows(data))


def commits(data: DataDirectory) -> int:
    return len(list((data.lake / "_delta_log").glob("*.json")))


def test_a_second_run_adds_nothing(source: Path, data: DataDirectory) -> None:
    first, _ = imported(source, data, rows_per_commit=1000)
    before = commits(data)

    again, _ = imported(source, data, rows_per_commit=700)

    assert (first.imported, again.imported, again.held) == (ROWS - 1, 0, ROWS - 1)
    assert commits(data) == before
    assert costs(data) == expected()


@pytest.mark.slow
@pytest.mark.parametrize("after", [2, 7])
def test_killed_in_the_middle_and_run_again_gives_the_same_rows(
    after: int, source: Path, data: DataDirectory
) -> None:
    """By SIGKILL, as soon as so many commits are there."""
    arguments = ("import", source, "--data", data.root, "--rows-per-commit", "150")
    with start(*arguments) as process:
        deadline = time.monotonic() + 120
        while commits(data) < after and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
    held = len(lake_rows(data))

    said = mdm(*arguments)

    assert 0 < held < ROWS - 1
    assert f"{ROWS - 1 - held:,} imported, {held:,} already there" in said
    assert costs(data) == expected()


def test_a_commit_that_was_made_but_not_confirmed_is_not_made_again(
    source: Path, data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = append_once

    def cut_off(*arguments: object, **named: object) -> bool:
        made(*arguments, **named)  # type: ignore[arg-type]
        message = "the answer was lost"
        raise LakeError(message)

    monkeypatch.setattr(importing, "append_once", cut_off)
    with pytest.raises(LakeError, match="the answer was lost"):
        imported(source, data)
    monkeypatch.undo()

    again, _ = imported(source, data)

    assert (again.imported, again.held) == (0, ROWS - 1)
    assert costs(data) == expected()


@pytest.mark.slow
def test_a_dry_run_says_the_same_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    arguments = ("import", source, "--data", data.root, "--rows-per-commit", "800")

    would = mdm(*arguments, "--dry-run")
    assert not data.root.exists()
    did = mdm(*arguments)
    before = sorted(data.root.rglob("*"))
    again = mdm(*arguments, "--dry-run")

    assert would.replace("would be imported", "imported") == did
    assert f"0 would be imported, {ROWS - 1:,} already there" in again
    assert sorted(data.root.rglob("*")) == before


@pytest.mark.slow
def test_a_dry_run_counts_a_repeated_row_as_the_run_will(tmp_path: Path) -> None:
    path = tmp_path / "u.csv"
    path.write_text("id,time,provider\n" + "a,2026-10-01,x\nb,2026-10-01,x\n" * 3, "utf-8")
    arguments = ("import", path, "--data", tmp_path / "d", "--rows-per-commit", "2")

    assert "2 would be imported, 4 already there" in mdm(*arguments, "--dry-run")
    assert "2 imported, 4 already there" in mdm(*arguments)


def test_two_imports_at_once_do_not_double(
    source: Path, data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Lock(data.root / "import.lock")
    assert other.acquire()
    monkeypatch.setattr(importing, "LOCK_WAIT_S", 0.05)

    with pytest.raises(LakeError, match="another import is at work"):
        imported(source, data)

    other.release()
    assert imported(source, data)[0].imported == ROWS - 1


@pytest.mark.slow
def test_two_processes_that_start_together_give_each_row_once(
    source: Path, data: DataDirectory
) -> None:
    arguments = ("import", source, "--data", data.root, "--rows-per-commit", "1000")
    with start(*arguments) as one, start(*arguments) as other:
        said = [one.communicate(timeout=120)[1], other.communicate(timeout=120)[1]]

    assert [one.returncode, other.returncode] == [0, 0], said
    assert costs(data) == expected()


def test_rows_go_to_postgres_too_also_those_that_the_lake_had(
    source: Path, data: DataDirectory, postgres: str
) -> None:
    imported(source, data)
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()

    first, _ = imported(source, data, also=sink, rows_per_commit=900)
    again, _ = imported(source, data, also=sink)
    sink.close()

    assert (first.imported, first.postgres, again.postgres) == (0, ROWS - 1, 0)
    assert select(postgres, "select count(*), sum(total_cost) from llm_requests") == [
        (ROWS - 1, sum(cost * count for cost, count in expected().items()))
    ]
    ours = {row["id"]: row for row in lake_rows(data)}
    for found in select(
        postgres, "select id::text, requested_at, input_tokens, price_version from llm_requests"
    ):
        row = ours[found[0]]
        assert found[1:] == (row["requested_at"], row["input_tokens"], row["price_version"])


def test_a_postgres_that_fails_gets_its_rows_by_the_next_run(
    tmp_path: Path, data: DataDirectory, postgres: str
) -> None:
    path = tmp_path / "u.csv"
    path.write_text("id,time,provider,team\na,2026-10-01,x,legal\nb,2026-10-02,x,\n", "utf-8")
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()
    run(postgres, "alter table llm_requests rename to elsewhere")
    with pytest.raises(PostgresError):
        imported(path, data, also=sink)
    run(postgres, "alter table elsewhere rename to llm_requests")
    sink.open()

    report, _ = imported(path, data, also=sink)
    sink.close()

    assert (report.held, report.postgres) == (2, 2)
    assert select(postgres, "select indexed_metadata from llm_requests order by requested_at") == [
        ({"Team": "legal"},),
        ({},),
    ]


def test_a_key_promoted_amid_an_import_is_indexed_in_the_rest_of_it(
    tmp_path: Path, data: DataDirectory, postgres: str
) -> None:
    path = tmp_path / "u.csv"
    lines = [f"r{n},2026-10-0{n},x,red" for n in range(1, 5)]
    path.write_text("id,time,provider,colour\n" + "\n".join(lines) + "\n", "utf-8")
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()
    chunks: list[int] = []

    def promote_once(rows: int) -> None:
        if not chunks:
            promote(data.lake, "Colour")
            promote_in_postgres(postgres, ["Colour"])
        chunks.append(rows)

    import_requests(
        open_source(str(path), Reading(columns={"Colour": "colour"})),
        data,
        wishes=Wishes(),
        rejects=Rejects(None),
        also=sink,
        rows_per_commit=2,
        on_rows=promote_once,
    )
    sink.close()

    assert chunks[:2] == [2, 2]
    indexed = select(postgres, "select indexed_metadata ->> 'Colour' from llm_requests")
    assert indexed == [("red",)] * 4
    keys = "select key_name, is_active, request_count from llm_requests_metadata_keys"
    assert select(postgres, keys) == [("Colour", True, 4)]


def test_values_of_imported_keys_are_counted_in_postgres(
    tmp_path: Path, data: DataDirectory, postgres: str
) -> None:
    """Few enough that the sketch is exact; some come twice, in runs of their own."""
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()
    counted = []
    for first, last in ((1, 5), (4, 40), (1, 40)):
        path = tmp_path / f"{first}-{last}.csv"
        lines = [f"{first}.{n},2026-10-01,x,t{n}" for n in range(first, last + 1)]
        path.write_text("id,time,provider,team\n" + "\n".join(lines) + "\n", "utf-8")
        imported(path, data, also=sink, rows_per_commit=10)
        counted += select(
            postgres, "select approx_cardinality, request_count from llm_requests_metadata_keys"
        )
    distinct = select(postgres, "select count(distinct raw_metadata ->> 'Team') from llm_requests")
    sink.close()

    assert [count for count, _ in counted] == [5, 40, 40]
    assert [requests for _, requests in counted] == [5, 42, 77]
    assert distinct == [(40,)]


def test_rows_of_our_own_postgres_come_back_as_they_were(
    source: Path, data: DataDirectory, postgres: str, tmp_path: Path
) -> None:
    sink = PostgresSink(postgres, lake=data.lake)
    sink.open()
    imported(source, data, also=sink)
    sink.close()
    copy = DataDirectory.create(tmp_path / "copy")

    report, rejects = imported(postgres, copy)

    assert (report.imported, rejects.reasons) == (ROWS - 1, [])
    assert lake_rows(copy) == lake_rows(data)
