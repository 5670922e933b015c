"""The tables of other Majordomo gateways are read as they are, and nothing is guessed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from decimal import Decimal

import pytest

import majordomo_analytics as ma
from tests.engines.gateway_tables import (
    API_KEY,
    VERSIONS,
    gateway_request,
    make_tables,
    register,
    write,
)
from tests.support.postgres import run, select

EVERY_VERSION = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(autouse=True)
def no_connection_is_left() -> Iterator[None]:
    """Ledgers of a test are gone before its database is dropped."""
    yield
    gc.collect()


@EVERY_VERSION
def test_metadata_in_lower_case_answers_to_every_spelling(postgres: str, version: str) -> None:
    """From raw metadata, as `indexed_metadata` has holes there; untagged requests count."""
    make_tables(postgres, version)
    register(postgres, "feature", "user-tier", active=("feature",))
    write(
        postgres,
        gateway_request("2026-03-01T10:00", indexed_metadata={"feature": "search"}),
        gateway_request("2026-03-02T10:00"),
        gateway_request("2026-03-03T10:00", raw_metadata={"feature": "chat"}),
        gateway_request("2026-03-04T10:00", raw_metadata=None, indexed_metadata=None),
    )
    ledger = ma.open(postgres)

    for spelling in ("Feature", "feature", "FEATURE"):
        found = ledger.query("requests", spelling)
        assert found.to_polars().rows() == [("search", 2), ("(untagged)", 1), ("chat", 1)]
        assert found.to_polars().columns[0] == "Feature"
    assert ledger.query("requests", filters={"User_Tier": "pro"}).total == {"requests": 2}
    assert ledger.query("requests", filters={"Feature": ("!=", "search")}).total == {"requests": 2}
    keys = ledger.metadata_keys().select("name", "promoted", "requests").rows()
    assert keys == [("Feature", True, 3), ("User-Tier", False, 2)]
    rows = ledger.requests().sort("requested_at", "id").collect()
    assert rows["Feature"].to_list() == ["search", "search", "chat", None]
    assert rows["raw_metadata"].to_list()[2] == {"Feature": "chat"}


@EVERY_VERSION
def test_what_is_not_known_is_null_there_too(postgres: str, version: str) -> None:
    """No tokens of a stream, no price of a model: neither is $0, and each is counted."""
    make_tables(postgres, version)
    nothing = {"input_cost": 0, "output_cost": 0, "total_cost": 0}
    write(
        postgres,
        gateway_request("2026-03-01T10:00"),
        gateway_request("2026-03-01T11:00", model="unknown", provider="gemini",
                        input_tokens=0, output_tokens=0, **nothing),
        gateway_request("2026-03-01T12:00", model="brand-new", model_alias_found=False, **nothing),
        gateway_request("2026-03-01T13:00", status_code=500, error_message="no",
                        input_tokens=0, output_tokens=0, **nothing),
        # An embedding for nothing: what is known to be free stays $0.
        gateway_request("2026-03-01T14:00", output_tokens=0, **nothing),
    )  # fmt: skip
    ledger = ma.open(postgres)

    rows = (
        ledger.requests()
        .sort("requested_at")
        .select(
            "model", "input_tokens", "total_cost", "usage_status", "cost_status", "price_version"
        )
        .collect()
    )

    by = "majordomo-gateway"
    assert rows.rows() == [
        ("gpt-4o", 1000, Decimal("0.35"), "reported", "priced", by),
        (None, None, None, "missing", "no_usage", None),
        ("brand-new", 1000, None, "reported", "unpriced", None),
        ("gpt-4o", None, None, "missing", "no_usage", None),
        ("gpt-4o", 1000, Decimal("0"), "reported", "priced", by),
    ]
    measures = ["requests", "total_cost", "unpriced_requests", "errors", "input_tokens", "users"]
    assert ledger.query(measures).total == {
        "requests": 5, "total_cost": Decimal("0.35"), "unpriced_requests": 3, "errors": 1,
        "input_tokens": 3000, "users": 0,
    }  # fmt: skip
    by_status = ledger.query("requests", "cost_status", {"model": None}).to_polars()
    assert by_status.rows() == [("no_usage", 1)]


@EVERY_VERSION
def test_input_cost_has_the_cache_in_it(postgres: str, version: str) -> None:
    """Where reads and writes of a cache are columns of their own, they are added to it."""
    make_tables(postgres, version)
    row = gateway_request(
        "2026-03-01T10:00", provider="anthropic", model="claude-haiku-4-5", input_tokens=5000,
        cached_tokens=3000, cache_creation_tokens=1000, input_cost="0.00000007",
        output_cost="0.0005", total_cost="0.00050008",
    )  # fmt: skip
    if version.startswith("ogw"):
        row |= {"cached_cost": "0.0000002", "cache_creation_cost": "0.000001",
                "cache_creation_5m_tokens": 600, "cache_creation_1h_tokens": 400}  # fmt: skip
    write(postgres, row)
    ledger = ma.open(postgres)

    total = ledger.query(["input_cost", "output_cost", "total_cost", "cache_hit_rate"]).total

    in_all = Decimal("0.00000127") if version.startswith("ogw") else Decimal("0.00000007")
    assert total == {
        "input_cost": in_all,
        "output_cost": Decimal("0.0005"),
        "total_cost": Decimal("0.00050008"),  # as it is stored, its rounding not hidden
        "cache_hit_rate": 0.6,
    }
    names = ["cache_creation_5m_tokens", "cache_creation_1h_tokens"]
    parts = ledger.requests(columns=names).collect().row(0)
    assert parts == ((600, 400) if version.startswith("ogw") else (None, None))


@EVERY_VERSION
def test_response_time_is_the_wall_clock_in_every_version(postgres: str, version: str) -> None:
    """Newer ones have the time to the headers in that column, which is told apart."""
    make_tables(postgres, version)
    write(postgres, gateway_request("2026-03-01T10:00"))
    ledger = ma.open(postgres)

    names = ["response_time_ms", "time_to_first_byte_ms"]
    took, first = ledger.requests(columns=names).collect().row(0)

    relays_streams = version in ("stw", "ogw2", "ogw")
    assert (took, first) == ((2500, 400) if relays_streams else (400, None))
    assert ledger.query("avg_response_time_ms").total == {"avg_response_time_ms": float(took)}


@EVERY_VERSION
def test_every_measure_and_every_column_can_be_asked_for(postgres: str, version: str) -> None:
    """None names a column that the database lacks; bodies are never read."""
    make_tables(postgres, version)
    bodies = {"request_body": "secret prompt", "response_body": "secret answer"}
    write(postgres, gateway_request("2026-03-01T10:00", **(bodies if version[0] == "s" else {})))
    ledger = ma.open(postgres)

    assert ledger.query(list(ma.MEASURES), time_grain="day").total["requests"] == 1
    for name, kind in ledger.source.engine().catalogue().columns.items():
        if kind in ("text", "integer", "money", "date", "boolean"):
            assert ledger.query("requests", name).total == {"requests": 1}, name
            assert ledger.query("requests", filters={name: None}).total["requests"] in (0, 1)
    rows = ledger.requests().sort("requested_at", "id").collect()
    assert "secret" not in str(rows.to_dicts())
    assert set(bodies).isdisjoint(rows.columns)
    with pytest.raises(ma.UnknownNameError):
        ledger.query("requests", "request_body")


def test_what_only_one_version_has_is_there_too(postgres: str) -> None:
    """Runs, experiments and keys of theirs are dimensions like any other."""
    make_tables(postgres, "ogw")
    write(
        postgres,
        gateway_request("2026-03-01T10:00", trace_id="run-1", span_name="plan",
                        original_model="gpt-4-0314", deprecated_model_redirected=True),
        gateway_request("2026-03-01T11:00", trace_id="run-1", span_name="act",
                        routed_provider="together", routing_original_model="auto"),
        gateway_request("2026-03-01T12:00", total_cost="0.5"),
    )  # fmt: skip
    ledger = ma.open(postgres)

    assert ledger.query("total_cost", "trace_id").to_polars().rows() == [
        ("run-1", Decimal("0.7")),
        ("(untagged)", Decimal("0.5")),
    ]
    asked = ledger.query("requests", "requested_model", order_by="requested_model").to_polars()
    assert asked.rows() == [("(untagged)", 1), ("auto", 1), ("gpt-4-0314", 1)]
    redirected = ledger.query("requests", filters={"deprecated_model_redirected": True})
    assert redirected.total == {"requests": 1}
    by_key = ledger.query("requests", "majordomo_api_key_id", {"majordomo_api_key_id": API_KEY})
    assert by_key.to_polars().rows() == [(API_KEY, 3)]


def test_the_documented_sql_gives_what_it_is_meant_to(postgres: str) -> None:
    """Over the same view, with names of keys as they are stored or as columns."""
    make_tables(postgres, "stw")
    register(postgres, "feature", "team", active=("feature",))
    write(postgres, *(gateway_request(f"2026-03-0{n}T10:00") for n in (1, 2, 3)))

    found = ma.open(postgres).sql(
        "select raw_metadata->>'feature' as feature, sum(total_cost) as cost, count(*) as n"
        " from llm_requests group by 1"
    )
    by_column = ma.open(postgres).sql(
        'select "indexed_Feature" as feature, sum(total_cost) as cost, count(*) as n'
        " from llm_requests group by 1"
    )

    assert found.rows() == by_column.rows() == [("search", Decimal("1.05"), 3)]


def test_keys_that_are_registered_late_or_never_are_found(postgres: str) -> None:
    """A gateway writes its registry once a minute, and loses it in a crash."""
    make_tables(postgres, "ogw")
    write(postgres, gateway_request("2026-03-01T10:00", raw_metadata={"team": "legal"}))
    ledger = ma.open(postgres)

    assert ledger.query("requests", "Team").to_polars().rows() == [("legal", 1)]
    write(postgres, gateway_request("2026-03-02T10:00", raw_metadata={"plan": "pro"}))
    assert ledger.query("requests", filters={"Plan": "pro"}).total == {"requests": 1}
    with pytest.raises(ma.UnknownNameError, match="did you mean 'Plan'"):
        ledger.query("requests", "Plam")


def test_metadata_of_another_shape_is_no_error(postgres: str) -> None:
    """A list, a number, an object in an object: what has no such key is untagged."""
    make_tables(postgres, "sgw")
    run(postgres, "alter table llm_requests alter column raw_metadata drop not null")
    write(postgres, *(gateway_request(f"2026-03-0{n}T10:00") for n in (1, 2, 3, 4)))
    for number, shape in ((1, "[1, 2]"), (2, '"text"'), (3, '{"feature": {"a": [1]}, "n": 5}')):
        run(
            postgres,
            f"update llm_requests set raw_metadata = '{shape}'"
            f" where requested_at = '2026-03-0{number}T10:00Z'",
        )
    ledger = ma.open(postgres)

    found = ledger.query("requests", "Feature", order_by="Feature").to_polars()

    assert found.rows() == [("(untagged)", 2), ("search", 1), ('{"a": [1]}', 1)]
    assert ledger.requests().sort("requested_at").collect()["raw_metadata"].to_list()[2] == {
        "Feature": '{"a": [1]}',
        "N": "5",
    }
    assert {row["name"] for row in ledger.metadata_keys().to_dicts()} == {
        "Feature", "N", "User-Tier",
    }  # fmt: skip


def test_nothing_is_written_there(postgres: str) -> None:
    """Not a row, not a table: their database is as it was."""
    make_tables(postgres, "ogw")
    write(postgres, gateway_request("2026-03-01T10:00"))
    state = "select oid, relname::text, relfilenode, relnatts from pg_class order by 1"
    rows = "select t::text from llm_requests t"
    before = select(postgres, state), select(postgres, rows)
    ledger = ma.open(postgres)
    ledger.query(dimensions="Feature")
    ledger.requests().collect()
    ledger.sql("select count(*) from llm_requests")

    assert (select(postgres, state), select(postgres, rows)) == before
