"""Tables of anybody: columns guessed, named or refused; bad rows told by line."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import PostgresError, SettingsError, SourceError
from majordomo_analytics.imports.choices import Kind
from majordomo_analytics.imports.rows import Wishes, row_id
from majordomo_analytics.imports.source import Reading, open_source
from majordomo_analytics.records.columns import promoted_column
from tests.imports.runs import imported, lake_rows, mdm

USUAL = """\
Timestamp,Model Name,provider,prompt_tokens,completion_tokens,cost_usd,team,latency_s,colour
2026-10-01T10:00:00Z,gpt-4o-mini,openai,100,10,0.0125,legal,0.25,red
2026-10-02T23:30:00-02:00,gpt-4o-mini,openai,200,20,,"sales, EU",1,blue
"""


def csv_file(folder: Path, text: str = USUAL, name: str = "usage.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_obvious_columns_need_no_words(tmp_path: Path, data: DataDirectory) -> None:
    report, _ = imported(csv_file(tmp_path), data)

    first, second = sorted(lake_rows(data), key=lambda row: row["requested_at"])
    assert report.imported == 2
    assert (first["model"], first["provider"]) == ("gpt-4o-mini", "openai")
    assert (first["input_tokens"], first["output_tokens"]) == (100, 10)
    assert first["total_cost"] == Decimal("0.0125")
    assert (first["cost_status"], first["price_version"]) == ("stated", "imported")
    assert first["response_time_ms"] == 250
    assert first["raw_metadata"] == {"Team": "legal"}
    assert (second["requested_at"], second["requested_date"]) == (
        datetime(2026, 10, 3, 1, 30, tzinfo=UTC),
        date(2026, 10, 3),
    )
    assert second["raw_metadata"] == {"Team": "sales, EU"}
    # 200 in at $0.15 and 20 out at $0.60 a million: OpenAI's list price.
    assert (second["total_cost"], second["cost_status"]) == (Decimal("0.000042"), "priced")


def test_what_is_not_obvious_is_told_and_can_be_named(tmp_path: Path, data: DataDirectory) -> None:
    path = csv_file(tmp_path)

    said = mdm("import", path, "--data", data.root)
    assert "not read, as nobody said what they are: colour" in said
    mdm(
        "import", path, "--data", tmp_path / "other", "--map", "Colour=colour",
        "--map", "requested_model=Model Name", "--set", "model=gpt-4o", "--tag", "Team=none",
        "--tag", "Source=usage",
    )  # fmt: skip

    rows = lake_rows(DataDirectory(tmp_path / "other"))
    assert {row["model"] for row in rows} == {"gpt-4o"}
    assert {row["requested_model"] for row in rows} == {"gpt-4o-mini"}
    assert sorted(row["raw_metadata"]["Colour"] for row in rows) == ["blue", "red"]
    assert sorted(row["raw_metadata"]["Team"] for row in rows) == ["legal", "sales, EU"]
    assert {row["raw_metadata"]["Source"] for row in rows} == {"usage"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"total_csot": "cost_usd"}, "no column 'total_csot'; did you mean 'total_cost'"),
        ({"plan": "colour"}, "a metadata key is written 'Plan'"),
        ({"Plan": "color"}, "no column 'color'; did you mean 'colour'"),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_nearest(
    columns: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        open_source(str(csv_file(tmp_path)), Reading(columns=columns))


def test_without_a_time_the_columns_are_named(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "when_was_it,model\n1,2\n")

    with pytest.raises(SourceError, match="--map requested_at=COLUMN; known: when_was_it, model"):
        open_source(str(path), Reading())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "provide=openai"], "did you mean 'provider'"),
        (["--set", "total_cost=1"], "'total_cost' is no text column"),
        (["--tag", "Team"], "--tag 'Team' cannot be read; write NAME=VALUE"),
        (["--timezone", "Europe/Berln"], "Europe/Berln"),
        (["--from", "parquet"], "is csv, not parquet"),
        (["--from", "litellm"], "no spend logs of LiteLLM: there is no column request_id"),
    ],
)
def test_arguments_without_a_meaning_end_with_2_and_change_nothing(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    said = mdm("import", csv_file(tmp_path), "--data", tmp_path / "d", *arguments, code=2)

    assert message in said
    assert not (tmp_path / "d").exists()


BAD = """\
time,provider,model,input_tokens,output_tokens,total_cost
2026-10-01,openai,m,1,1,0.1
2026-02-30,openai,m,1,1,0.2
2026-10-01,openai,m,-1,1,0.3
2026-10-01,openai,m,1,1,1e999
2026-10-01,,m,1,1,0.4
2026-10-01,openai,m,1
2026-10-01,openai,"m,1,1,0.5
2026-10-02,openai,m,mdm_sk_abc,1,0.6
2026-10-02,openai,m,1,1,0.7
"""


def test_bad_rows_are_told_by_line_written_down_and_the_others_imported(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "d")

    said = mdm("import", csv_file(tmp_path, BAD), "--data", data.root, code=3)

    assert "9 rows read" in said
    assert "2 imported, 0 already there, 7 rejected" in said
    assert "line 3: requested_at '2026-02-30' is no time" in said
    assert "and 2 more" in said
    (path,) = (data.root / "rejects").iterdir()
    assert str(path) in said
    letters = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [letter["place"] for letter in letters] == [f"line {n}" for n in range(3, 10)]
    assert [letter["reason"].split()[0] for letter in letters[:4]] == [
        "requested_at",
        "input_tokens",
        "total_cost",
        "provider",
    ]
    assert letters[0]["row"]["total_cost"] == "0.2"
    assert letters[4]["row"] == "2026-10-01,openai,m,1"
    assert "mdm_sk_" not in path.read_text("utf-8")
    assert path.stat().st_mode & 0o077 == 0
    assert sum(row["total_cost"] for row in lake_rows(data)) == Decimal("0.8")


def test_rows_that_are_alike_in_everything_are_as_many_requests(
    tmp_path: Path, data: DataDirectory
) -> None:
    line = "2026-10-01,openai,m,1,1,0.1\n"
    head = "time,provider,model,input_tokens,output_tokens,total_cost\n"
    imported(csv_file(tmp_path, head + line * 5), data, rows_per_commit=2)

    again, _ = imported(csv_file(tmp_path, head + line * 7, "longer.csv"), data)

    assert (again.imported, again.held) == (2, 5)
    assert len({row["id"] for row in lake_rows(data)}) == 7


def test_an_id_names_the_request_in_whatever_file_it_stands(
    tmp_path: Path, data: DataDirectory
) -> None:
    text = "request_id,time,provider,cost\nreq-1,2026-10-01,openai,1\nreq-1,2026-10-01,openai,1\n"
    table = pa.table(
        {
            "request_id": ["req-1", "0B8E1F62-44D2-4F0A-9C54-2C8A5C1F0001"],
            "time": [datetime(2026, 10, 1, tzinfo=UTC)] * 2,
            "provider": ["openai"] * 2,
            "cost": [Decimal(1)] * 2,
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")

    first, _ = imported(csv_file(tmp_path, text), data)
    second, _ = imported(tmp_path / "t.parquet", data)

    assert (first.imported, first.held, second.imported, second.held) == (1, 1, 1, 1)
    found = {row["id"]: row["response_id"] for row in lake_rows(data)}
    assert found == {
        row_id(
            "table", "req-1", told_apart_by=("2026-10-01T00:00:00+00:00", "openai", "")
        ): "req-1",
        "0b8e1f62-44d2-4f0a-9c54-2c8a5c1f0001": None,
    }


@pytest.mark.parametrize(
    "other",
    ["1,2026-11-01,openai,m", "1,2026-10-01,anthropic,m", "1,2026-10-01,openai,n"],
)
def test_a_short_id_names_another_request_at_another_time_provider_or_model(
    other: str, tmp_path: Path, data: DataDirectory
) -> None:
    head = "id,time,provider,model\n"
    october = csv_file(tmp_path, head + "1,2026-10-01,openai,m\n", "october.csv")
    november = csv_file(tmp_path, head + other + "\n", "november.csv")

    counts = [
        (report.imported, report.held)
        for report, _ in (imported(path, data) for path in (october, november, october, november))
    ]

    assert counts == [(1, 0), (1, 0), (0, 1), (0, 1)]


def test_the_column_of_a_key_has_its_value_in_whatever_spelling(
    tmp_path: Path, data: DataDirectory
) -> None:
    """Rows of our own keep their metadata's spelling; the canonical one counts first."""
    given = [{"team": "legal"}, {"TEAM": "eu", "team": "us"}, {"team": "us", "Team": "eu"}, {}]
    lines = [
        json.dumps(
            {
                "id": f"0b8e1f62-44d2-4f0a-9c54-2c8a5c1f000{n}",
                "requested_at": "2026-10-05T12:00:00Z",
                "provider": "openai",
                "usage_status": "missing",
                "cost_status": "no_usage",
                "raw_metadata": metadata,
            }
        )
        for n, metadata in enumerate(given)
    ]

    imported(csv_file(tmp_path, "\n".join(lines), "own.jsonl"), data)

    rows = lake_rows(data)
    assert [row["raw_metadata"] for row in rows] == given
    assert [row[promoted_column("Team")] for row in rows] == ["legal", "eu", "eu", None]


@pytest.mark.parametrize("head", ["id,time,provider", "id,time,model", "time,provider"])
def test_a_table_imported_again_under_another_zone_is_there_already(
    head: str, tmp_path: Path, data: DataDirectory
) -> None:
    """The zones are 26 hours apart, the most there is."""
    whole = {"id": "7", "time": "2026-10-10 12:00", "provider": "openai", "model": "gpt-4o"}
    path = csv_file(tmp_path, head + "\n" + ",".join(whole[n] for n in head.split(",")) + "\n")
    wishes = Wishes(constants={} if "provider" in head else {"provider": "openai"})

    counts = [
        (report.imported, report.held)
        for zone in ("Etc/GMT+12", "Etc/GMT-14", "UTC")
        for report, _ in [imported(path, data, reading=Reading(zone=ZoneInfo(zone)), wishes=wishes)]
    ]

    assert counts == [(1, 0), (0, 1), (0, 1)]


def test_times_at_the_ends_of_the_calendar_are_taken(tmp_path: Path, data: DataDirectory) -> None:
    text = "id,time,provider\na,0001-01-01T00:00:00Z,x\nb,9999-12-31T23:59:59Z,x\n"
    path = csv_file(tmp_path, text)

    first, again = (imported(path, data)[0] for _ in range(2))

    assert (first.imported, first.rejected, again.held) == (2, 0, 2)


def test_types_of_parquet_are_converted_exactly(tmp_path: Path, data: DataDirectory) -> None:
    """Nanoseconds, floats with NaN as pandas has them, and decimals of any scale."""
    frame = pd.DataFrame(
        {
            "timestamp": pd.to_datetime(
                ["2026-10-01 00:00:00.123456789", "2026-10-02 00:00:00.000000000"]
            ),
            "provider": ["openai", "openai"],
            "model": ["m", None],
            "prompt_tokens": [12.0, float("nan")],
            "cost": [0.1, float("nan")],
        }
    )
    frame.to_parquet(tmp_path / "frame.parquet")

    imported(tmp_path / "frame.parquet", data)

    first, second = sorted(lake_rows(data), key=lambda row: row["requested_at"])
    assert first["requested_at"] == datetime(2026, 10, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert (first["input_tokens"], first["total_cost"]) == (12, Decimal("0.1"))
    assert (second["model"], second["input_tokens"], second["total_cost"]) == (None, None, None)
    assert (second["usage_status"], second["cost_status"]) == ("missing", "no_usage")


@pytest.mark.parametrize("shape", ["array", "lines", "packed"])
def test_json_is_read_in_every_shape_and_its_numbers_exactly(
    shape: str, tmp_path: Path, data: DataDirectory
) -> None:
    rows = [
        '{"time": 1790000000, "provider": "openai", "cost": 0.1234567891, "metadata": {"a": "]"}}',
        '{"time": 1790000001, "provider": "openai", "cost": 0.3000000000000000000001}',
    ]
    text = f"[{rows[0]} , \n {rows[1]}]\n" if shape == "array" else "\n\n".join(rows)
    path = tmp_path / ("r.json.gz" if shape == "packed" else "r.json")
    path.write_bytes(gzip.compress(text.encode()) if shape == "packed" else text.encode())

    report, _ = imported(path, data)

    assert report.total_cost == Decimal("0.4234567891")
    assert [row["raw_metadata"] for row in lake_rows(data)].count({"A": "]"}) == 1


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"time": 1, "provider": "x"}\nnonsense\n{"time": 2, "provider": "x"}', (2, 1)),
        ('{"time": 1, "provider": "x"}\n[1]\n', (1, 1)),
        ('[{"time": 1, "provider": "x"}, 7]', (1, 1)),
    ],
)
def test_json_that_is_no_row_is_rejected(
    text: str, outcome: tuple[int, int], tmp_path: Path, data: DataDirectory
) -> None:
    report, _ = imported(csv_file(tmp_path, text, "r.json"), data)

    assert (report.imported, report.rejected) == outcome


def test_a_file_that_breaks_off_is_an_error_and_not_an_end(
    tmp_path: Path, data: DataDirectory
) -> None:
    path = csv_file(tmp_path, '[{"time": 1, "provider": "x"}, {"time": 2', "r.json")

    with pytest.raises(SourceError, match="breaks off or is no JSON behind row 1"):
        imported(path, data)
    packed = tmp_path / "r.csv.gz"
    packed.write_bytes(gzip.compress(USUAL.encode() * 1000)[:-20])
    with pytest.raises(SourceError, match="cannot be read"):
        imported(packed, data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet", b"PAR1 and then nothing", "cannot be read"),
        ("x.csv", b"", "no first line"),
        ("missing", None, "is not there"),
        (".", None, "is a folder"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(SourceError, match=message):
        open_source(str(tmp_path / name), Reading())


@pytest.mark.parametrize(
    "address",
    [
        "sslmode=disable password=geheim host=127.0.0.1 port=9 dbname=x",
        "application_name='a b' port=9 hostaddr=127.0.0.1 password=geheim",
        "connect_timeout=2  host = 127.0.0.1 port=9 user=u password='ge heim' ",
    ],
)
def test_an_address_in_pairs_is_one_whatever_it_begins_with(address: str) -> None:
    with pytest.raises(PostgresError) as refused:
        open_source(address, Reading())

    assert "heim" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "dbname db password: geheim",
        "Password is geheim",
        "PGPASSWORD:geheim",
        "user:geheim@host/db",
        "secret geheim://host",
        "password=geheim://",
        "password=" + "geheim" * 100,
        "p" * 300 + " password geheim",
        "password\x00 geheim",
    ],
)
def test_what_may_have_a_password_in_it_is_never_repeated(text: str) -> None:
    with pytest.raises((SourceError, SettingsError, PostgresError)) as refused:
        open_source(text, Reading())

    assert "geheim" not in str(refused.value)


def test_a_file_may_be_named_like_an_address(tmp_path: Path, data: DataDirectory) -> None:
    path = csv_file(tmp_path, name="october host=1 password=2.csv")

    assert imported(path, data)[0].imported == 2


def test_times_without_an_offset_are_of_the_zone_that_is_said(
    tmp_path: Path, data: DataDirectory
) -> None:
    text = "time,provider\n2026-10-25 02:30,openai\n"

    imported(
        csv_file(tmp_path, text), data, reading=Reading(Kind.CSV, zone=ZoneInfo("Asia/Kolkata"))
    )

    (row,) = lake_rows(data)
    assert row["requested_at"] == datetime(2026, 10, 24, 21, 0, tzinfo=UTC)


def test_parts_over_their_whole_are_flagged_and_kept(tmp_path: Path, data: DataDirectory) -> None:
    text = "time,provider,input_tokens,cached_tokens\n2026-10-01,openai,5,9\n"

    imported(csv_file(tmp_path, text), data)

    (row,) = lake_rows(data)
    assert (row["input_tokens"], row["cached_tokens"]) == (5, 9)
    assert "usage_part_over_whole" in row["flags"]


def test_values_of_a_closed_list_are_checked(tmp_path: Path, data: DataDirectory) -> None:
    text = "time,provider,outcome\n2026-10-01,openai,timeout\n2026-10-01,openai,exploded\n"

    report, rejects = imported(csv_file(tmp_path, text), data)

    assert (report.imported, report.rejected) == (1, 1)
    assert "outcome 'exploded' is none of client_disconnected, completed" in rejects.reasons[0]


def test_created_by_a_wish_is_the_time_of_the_import(tmp_path: Path, data: DataDirectory) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)

    imported(csv_file(tmp_path), data, wishes=Wishes(created_at=at))

    assert {row["created_at"] for row in lake_rows(data)} == {at}


HOSTILE: list[Any] = ["NUL\x00", 'q"uo"te', "new\nline", "=1+1", "ünï😀", "x" * 5000, "a,b", "'"]


def test_hostile_texts_arrive_as_they_are_but_for_what_no_database_takes(
    tmp_path: Path, data: DataDirectory
) -> None:
    table = pa.table(
        {
            "time": [1_790_000_000 + n for n in range(len(HOSTILE))],
            "provider": ["openai"] * len(HOSTILE),
            "error_message": HOSTILE,
            "user_id": HOSTILE,
        }
    )
    pq.write_table(table, tmp_path / "h.parquet")

    imported(tmp_path / "h.parquet", data)

    rows = sorted(lake_rows(data), key=lambda row: row["requested_at"])
    assert [row["error_message"] for row in rows] == ["NUL", *HOSTILE[1:]]
    assert [row["raw_metadata"]["User-Id"] for row in rows] == [
        "NUL", *HOSTILE[1:5], "x" * 4096, *HOSTILE[6:],
    ]  # fmt: skip
