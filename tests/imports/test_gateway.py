"""Rows of a real gateway: each version by the columns it has, unknown never as 0."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import SettingsError, SourceError
from majordomo_analytics.imports.choices import Kind, Price
from majordomo_analytics.imports.rows import Wishes
from majordomo_analytics.imports.source import Reading, open_source
from tests.imports.gateways import NOON, VERSIONS, a_row, make_gateway
from tests.imports.runs import imported, lake_rows, mdm
from tests.support.postgres import run, select

SEEN = {"sgw": (400, None), "sgw+": (400, None), "stw": (1500, 400), "ogw": (1500, 400)}
"""What the stored 400 ms are: wall clock in the first versions, else to the headers."""

INPUT_COST = {"ogw": Decimal("0.000485")}
"""Fresh input, cache reads and cache writes; elsewhere the three are one column."""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_row_of_each_version_says_what_it_said_there(
    version: str, postgres: str, data: DataDirectory
) -> None:
    given = a_row(version)
    make_gateway(postgres, version, given)

    report, _ = imported(postgres, data)

    (row,) = lake_rows(data)
    assert (report.read, report.imported, report.rejected) == (1, 1, 0)
    assert row["id"] == str(given["id"])
    assert row["majordomo_api_key_id"] == str(given["majordomo_api_key_id"])
    assert (row["response_time_ms"], row["time_to_first_byte_ms"]) == SEEN[version]
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"]) == (1000, 600, 50)
    assert row["input_cost"] == INPUT_COST.get(version, Decimal("0.0003"))
    assert row["total_cost"] == row["stated_cost"] == Decimal(given["total_cost"])
    assert (row["cost_status"], row["price_version"]) == ("stated", "majordomo-gateway")
    assert row["raw_metadata"] == {"Feature": "search", "User-Tier": "pro"}
    assert (row["indexed_Feature"], row["indexed_User-Tier"]) == ("search", "pro")
    assert (row["api_flavour"], row["outcome"], row["usage_status"]) == (
        "messages",
        "completed",
        "reported",
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_is_told_by_the_catalogue(version: str, postgres: str) -> None:
    make_gateway(postgres, version)

    assert open_source(postgres, Reading()).label.startswith(f"a Majordomo gateway ({version}) in ")


@pytest.mark.parametrize("version", VERSIONS)
def test_sums_are_those_that_sql_gives_on_the_gateway(
    version: str, postgres: str, data: DataDirectory
) -> None:
    """Over rows whose usage and price it knew; its 0 for unknown is no part of a sum."""
    rows = [
        a_row(
            version,
            input_tokens=17 * n,
            output_tokens=n,
            cached_tokens=0,
            total_cost=f"0.0{n:07}",
            model_alias_found=n % 5 != 0,
        )
        for n in range(60)
    ]
    make_gateway(postgres, version, *rows)

    imported(postgres, data, wishes=Wishes(Price.NONE), rows_per_commit=7)

    ((tokens, cost, unpriced),) = select(
        postgres,
        "select sum(input_tokens + output_tokens), "
        "sum(total_cost) filter (where model_alias_found and input_tokens + output_tokens > 0), "
        "count(*) filter (where not model_alias_found or input_tokens + output_tokens = 0) "
        "from llm_requests",
    )
    found = lake_rows(data)
    assert sum((r["input_tokens"] or 0) + (r["output_tokens"] or 0) for r in found) == tokens
    assert sum(r["total_cost"] or 0 for r in found) == cost
    assert sum(r["total_cost"] is None for r in found) == unpriced == 12


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stream_whose_usage_was_not_read_has_no_usage_and_no_cost(
    version: str, postgres: str, data: DataDirectory
) -> None:
    zeros = dict.fromkeys(
        ("input_tokens", "output_tokens", "cached_tokens", "cache_creation_tokens"), 0
    ) | dict.fromkeys(("input_cost", "output_cost", "total_cost"), "0")
    make_gateway(
        postgres,
        version,
        a_row(version, provider="gemini", model="unknown", request_path="/v1/x", **zeros),
    )

    imported(postgres, data)

    (row,) = lake_rows(data)
    assert (row["model"], row["usage_status"], row["cost_status"]) == (None, "missing", "no_usage")
    assert [row[n] for n in ("input_tokens", "cached_tokens", "total_cost")] == [None] * 3


def test_a_row_without_a_price_there_is_priced_here_unless_that_is_not_wanted(
    postgres: str, data: DataDirectory, tmp_path: Path
) -> None:
    """1000 input, 600 of it read and 100 written, 50 output, at Anthropic's list price."""
    zero = dict.fromkeys(("input_cost", "output_cost", "total_cost"), "0")
    make_gateway(postgres, "stw", a_row("stw", model_alias_found=False, **zero))

    imported(postgres, data)
    other = DataDirectory.create(tmp_path / "other")
    imported(postgres, other, wishes=Wishes(Price.NONE))

    ((ours,), (theirs,)) = lake_rows(data), lake_rows(other)
    of_list = Decimal(300) * 1 + Decimal(600) / 10 + Decimal(100) * Decimal("1.25") + 50 * 5
    assert (ours["cost_status"], ours["total_cost"]) == ("priced", of_list / 1_000_000)
    assert (theirs["cost_status"], theirs["total_cost"]) == ("unpriced", None)
    assert theirs["input_tokens"] == 1000


def test_all_costs_can_be_worked_out_anew_and_theirs_stays_beside(
    postgres: str, data: DataDirectory
) -> None:
    known, unknown = a_row("stw"), a_row("stw", model="no-such-model-9")
    make_gateway(postgres, "stw", known, unknown)

    imported(postgres, data, wishes=Wishes(Price.ALL))

    found = {row["id"]: row for row in lake_rows(data)}
    ours, theirs = found[str(known["id"])], found[str(unknown["id"])]
    assert (ours["cost_status"], ours["stated_cost"]) == ("priced", Decimal("0.00055"))
    assert ours["total_cost"] == ours["input_cost"] + ours["output_cost"] + ours["tool_cost"]
    assert ours["total_cost"] != ours["stated_cost"]
    assert (theirs["cost_status"], theirs["price_version"]) == ("stated", "majordomo-gateway")
    assert theirs["total_cost"] == Decimal("0.00055")


def test_what_is_a_column_in_one_version_is_the_same_metadata_key_in_all(
    postgres: str, data: DataDirectory
) -> None:
    arm = uuid4()
    make_gateway(postgres, "stw", a_row("stw", experiment_arm_id=arm, original_model="gpt-x"))
    imported(postgres, data)
    run(postgres, "drop table llm_requests")
    traced = a_row(
        "ogw", trace_id="run-7", span_path="a/b", raw_metadata={"trace-id": "own", "model": "m"}
    )
    make_gateway(postgres, "ogw", traced)
    imported(postgres, data)

    found = {row["id"]: row for row in lake_rows(data)}
    of_ogw = found.pop(str(traced["id"]))
    (of_stw,) = found.values()
    assert of_stw["raw_metadata"]["Experiment-Arm-Id"] == str(arm)
    assert of_stw["requested_model"] == "gpt-x"
    assert of_ogw["raw_metadata"] == {"Trace-Id": "own", "Model": "m", "Span-Path": "a/b"}


def test_times_are_instants_whatever_the_zone_of_the_role(
    postgres: str, data: DataDirectory
) -> None:
    make_gateway(postgres, "sgw", a_row("sgw"))
    name = postgres.rpartition("dbname=")[2].split()[0]
    run(postgres, f"alter database {name} set timezone = 'Australia/Lord_Howe'")
    run(postgres, f"alter database {name} set datestyle = 'SQL, DMY'")

    imported(postgres, data)

    assert [row["requested_at"] for row in lake_rows(data)] == [NOON]


def test_a_time_that_is_none_rejects_its_row_alone(postgres: str, data: DataDirectory) -> None:
    make_gateway(postgres, "sgw", a_row("sgw"), a_row("sgw", requested_at="infinity"))

    report, rejects = imported(postgres, data)

    assert (report.imported, report.rejected) == (1, 1)
    assert rejects.reasons == [
        "row 2: requested_at 'infinity' is no time; write it as 2026-10-05T09:00:00Z, or as "
        "seconds since 1970, before 2100"
    ]


def test_bodies_are_never_read(postgres: str, data: DataDirectory) -> None:
    """A role that may not read them can import."""
    make_gateway(postgres, "sgw", a_row("sgw", request_body="secret"))
    source = open_source(postgres, Reading())

    assert {"request_body", "response_body"} & set(source.reader.wanted) == set()


def test_a_second_run_adds_what_is_new_there_and_nothing_else(
    postgres: str, data: DataDirectory
) -> None:
    make_gateway(postgres, "ogw", *(a_row("ogw") for _ in range(5)))
    imported(postgres, data)
    run(postgres, "alter table llm_requests rename to old_requests")
    make_gateway(postgres, "ogw", a_row("ogw"))
    run(postgres, "insert into llm_requests select * from old_requests")

    report, _ = imported(postgres, data)

    assert (report.imported, report.held) == (1, 5)
    assert len(lake_rows(data)) == 6


def test_a_database_without_a_known_table_is_refused_with_what_would_do(postgres: str) -> None:
    with pytest.raises(SourceError, match="no table 'LiteLLM_SpendLogs' and no 'llm_requests'"):
        open_source(postgres, Reading())


def test_a_table_of_another_kind_is_refused_with_its_columns(postgres: str) -> None:
    run(postgres, "create table llm_requests (id int, what text)")

    with pytest.raises(SourceError, match="its columns are: id, what"):
        open_source(postgres, Reading())
    with pytest.raises(SourceError, match="has no column provider, model"):
        open_source(postgres, Reading(Kind.GATEWAY))


def test_columns_of_a_known_table_are_not_mapped(postgres: str) -> None:
    make_gateway(postgres, "sgw")

    with pytest.raises(SettingsError, match="--map is for tables of one's own"):
        open_source(postgres, Reading(Kind.GATEWAY, {"model": "model"}))


def test_the_command_says_what_it_read_without_the_password(postgres: str, tmp_path: Path) -> None:
    make_gateway(postgres, "stw", a_row("stw"))
    address = f"postgresql://?{'&'.join(postgres.split())}&password=hunter2secret"

    said = mdm("import", address, "--data", tmp_path / "new")

    assert "a Majordomo gateway (stw)" in said
    assert "1 imported, 0 already there, 0 rejected" in said
    assert "hunter2secret" not in said
