"""Exports have every request and column, exactly, and an import takes them back."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import majordomo_analytics as ma
from majordomo_analytics.cli.main import app
from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import SettingsError, SourceError
from majordomo_analytics.lake.table import append_once, create_lake, lake_schema
from majordomo_analytics.ledger.export import export_requests
from majordomo_analytics.records.columns import BY_NAME, COLUMNS
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from tests.imports.runs import imported, lake_rows
from tests.lake.rows import REQUIRED

FORMS = ("parquet", "csv", "json")


def lake_of(root: Path, rows: list[dict[str, Any]]) -> DataDirectory:
    """Make a data directory whose lake has rows, by the lake's own means alone."""
    data = DataDirectory.create(root)
    create_lake(data.lake)
    schema = lake_schema(data.lake)
    whole = [
        row
        | {
            "requested_date": row["requested_at"].astimezone(UTC).date(),
            "raw_metadata": list(row["raw_metadata"].items()),
        }
        | {
            f"indexed_{key}": row["raw_metadata"][key]
            for key in PROMOTED_FROM_THE_START
            if key in row["raw_metadata"]
        }
        for row in rows
    ]
    if rows:
        table = pa.Table.from_pylist(whole, schema=schema)
        append_once(data.lake, table, application="test", first=1, last=1)
    return data


def a_row(**fields: Any) -> dict[str, Any]:
    metadata = {"raw_metadata": {"Feature": "search"}}
    return REQUIRED | metadata | {"id": str(uuid4())} | fields


AWKWARD = [
    "", "'", "''=1", "=1+1", "+1", "-1", "@x", "\t=", "\r", "a\r\nb", 'say "x"', "null", "NaN", "7",
]  # fmt: skip
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
texts |= st.sampled_from(AWKWARD)
LISTED = {
    "outcome": st.sampled_from(["completed", "client_disconnected", "timeout"]),
    "usage_status": st.sampled_from(["reported", "missing"]),
    "cost_status": st.sampled_from(["priced", "unpriced", "no_usage", "stated", "error"]),
}
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "text": texts,
    "integer": st.integers(0, 2**63 - 1),
    "money": st.decimals(0, Decimal("9999999999.9999999999"), places=10),
    "instant": st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    "boolean": st.booleans(),
    "text_list": st.lists(texts, max_size=3),
    "text_map": st.dictionaries(
        st.sampled_from(["Feature", "Team", "Plan", "=X", "Größe", "A b"]), texts, max_size=4
    ),
}
STRATEGIES = {
    column.name: LISTED.get(column.name, OF_TYPE[column.type])
    if column.required
    else st.none() | LISTED.get(column.name, OF_TYPE[column.type])
    for column in COLUMNS
    if column.name != "requested_date"
} | {
    "id": st.uuids().map(str),
    "majordomo_api_key_id": st.none() | st.uuids().map(str),
    # Few days: each is a file.
    "requested_at": st.datetimes(
        datetime(2026, 10, 31, 23), datetime(2026, 11, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001
    ),
}  # fmt: skip


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.fixed_dictionaries(STRATEGIES), min_size=1, max_size=6, unique_by=lambda row: row["id"]
    ),
    form=st.sampled_from(FORMS),
)
def test_what_was_exported_is_imported_as_it_was(rows: list[dict[str, Any]], form: str) -> None:
    """Any texts, the largest decimals, nulls and empty texts, in every format."""
    with TemporaryDirectory() as folder:
        data = lake_of(Path(folder) / "data", rows)
        file = Path(folder) / f"requests.{form}"
        export_requests(ma.open(data.root), file)
        copy = DataDirectory.create(Path(folder) / "copy")

        report, rejects = imported(file, copy)

        assert rejects.reasons == []
        assert report.imported == len(rows)
        assert lake_rows(copy) == lake_rows(data)


ROW = a_row(
    id="0b8e1f62-44d2-4f0a-9c54-2c8a5c1f0001",
    requested_at=datetime(2026, 11, 1, 12, 0, 0, 123, tzinfo=UTC),
    total_cost=Decimal("0.0000000001"),
    input_cost=Decimal("9999999999.9999999999"),
    error_message="=HYPERLINK(1)",
    request_path="",
    raw_metadata={"Feature": "-2+3", "Plan": 'p"ro'},
    flags=["metadata_cut"],
)


def test_csv_has_exact_money_utc_times_and_no_formula(tmp_path: Path) -> None:
    data = lake_of(tmp_path / "data", [ROW])

    export_requests(ma.open(data.root), tmp_path / "r.csv")

    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert set(BY_NAME) | set(PROMOTED_FROM_THE_START) == set(row)
    assert row["requested_at"] == "2026-11-01T12:00:00.000123Z"
    assert (row["total_cost"], row["input_cost"]) == ("0.0000000001", "9999999999.9999999999")
    assert (row["error_message"], row["Feature"]) == ("'=HYPERLINK(1)", "'-2+3")
    assert json.loads(row["raw_metadata"]) == {"Feature": "-2+3", "Plan": 'p"ro'}
    assert json.loads(row["flags"]) == ["metadata_cut"]
    assert (row["model"], row["requested_date"]) == ("", "2026-11-01")
    assert ',"",' in (tmp_path / "r.csv").read_text("utf-8")


def test_json_has_money_as_text_and_metadata_as_an_object(tmp_path: Path) -> None:
    data = lake_of(tmp_path / "data", [ROW, a_row()])

    export_requests(ma.open(data.root), tmp_path / "r.jsonl")

    lines = (tmp_path / "r.jsonl").read_text("utf-8").splitlines()
    row = next(row for row in map(json.loads, lines) if row["id"] == ROW["id"])
    assert len(lines) == 2
    assert (row["total_cost"], row["requested_at"]) == (
        "0.0000000001",
        "2026-11-01T12:00:00.000123Z",
    )
    assert row["raw_metadata"] == {"Feature": "-2+3", "Plan": 'p"ro'}
    assert (row["model"], row["request_path"], row["Feature"]) == (None, "", "-2+3")


def test_parquet_has_the_types_of_the_lake(tmp_path: Path) -> None:
    data = lake_of(tmp_path / "data", [ROW])

    export_requests(ma.open(data.root), tmp_path / "r.parquet")

    with pq.ParquetFile(tmp_path / "r.parquet") as parquet:
        schema, table = parquet.schema_arrow, parquet.read()
    assert schema.field("total_cost").type == pa.decimal128(20, 10)
    assert schema.field("requested_at").type == pa.timestamp("us", tz="UTC")
    assert pa.types.is_map(schema.field("raw_metadata").type)
    assert table.column("requested_date").to_pylist() == [date(2026, 11, 1)]
    assert table.column("Feature").to_pylist() == ["-2+3"]


def run_export(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_the_command_takes_a_range_and_conditions(tmp_path: Path) -> None:
    days = [datetime(2026, 11, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    teams = ("legal", "sales")
    rows = [a_row(requested_at=at, raw_metadata={"Team": t}) for at in days for t in teams]
    data = lake_of(tmp_path / "data", rows)
    out = tmp_path / "r.csv"

    done = run_export(
        "--data", data.root, "-o", out, "--since", "2026-11-02", "--until", "2026-11-03",
        "--where", "Team=legal",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    with out.open(newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [rows[2]["id"]]


def test_a_file_appears_when_it_is_whole_and_in_place_of_an_older_one(tmp_path: Path) -> None:
    data = lake_of(tmp_path / "data", [a_row()])
    out = tmp_path / "r.csv"
    out.write_text("older", "utf-8")
    with pytest.raises(SettingsError):
        export_requests(ma.open(data.root), tmp_path / "r.xlsx")

    assert export_requests(ma.open(data.root), out) == 1

    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "r.csv"]
    assert out.read_text("utf-8").startswith("id,requested_at,")
    with pytest.raises(SourceError, match="cannot be written"):
        export_requests(ma.open(data.root), tmp_path / "none" / "r.csv")


@pytest.mark.parametrize("form", FORMS)
def test_a_lake_without_requests_gives_a_file_without_rows(form: str, tmp_path: Path) -> None:
    data = lake_of(tmp_path / "data", [])
    out = tmp_path / f"r.{form}"

    assert export_requests(ma.open(data.root), out) == 0

    assert out.exists()


def test_a_key_that_is_called_like_a_column_keeps_its_name_in_the_lake(tmp_path: Path) -> None:
    table = pa.table(
        {
            "requested_at": [datetime(2026, 11, 1, tzinfo=UTC)],
            "model": ["gpt"],
            "indexed_Model": ["mine"],
            "indexed_Plan": ["pro"],
        }
    )

    export_requests(ma.open(table), tmp_path / "r.csv")

    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["model"], row["indexed_Model"], row["Plan"]) == ("gpt", "mine", "pro")


def test_ids_are_kept_as_they_are_in_every_format(tmp_path: Path) -> None:
    data = lake_of(tmp_path / "data", [a_row() for _ in range(3)])
    ids = {row["id"] for row in lake_rows(data)}

    for form in FORMS:
        export_requests(ma.open(data.root), tmp_path / f"r.{form}")
        copy = DataDirectory.create(tmp_path / form)
        imported(tmp_path / f"r.{form}", copy)
        assert {row["id"] for row in lake_rows(copy)} == ids
        assert all(UUID(request_id) for request_id in ids)
