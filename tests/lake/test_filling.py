"""The column of a metadata key has what the metadata of each row says."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from majordomo_analytics.lake.filling import filled, spellings_of, values_of
from majordomo_analytics.records.metadata import canonical_name
from tests.lake.rows import NOON, tagged

KEYS = ["Plan", "plan", "PLAN", "pLAN", "User-Tier", "user_tier", "USER-TIER", "Größe", "größe"]
ENTRIES = st.dictionaries(
    st.sampled_from(KEYS) | st.text(min_size=1, max_size=5),
    st.none() | st.text(max_size=5),
    max_size=6,
)
ROWS = st.lists(st.none() | ENTRIES, max_size=12)


def by_hand(metadata: dict[str, str | None] | None, key: str) -> str | None:
    """Return the value of a key by going through its spellings one by one."""

    def folded(name: str) -> str:
        return name.replace("_", "-").casefold()

    best = None
    for name, value in (metadata or {}).items():
        if folded(name) == folded(key) and value is not None:
            rank = (name != canonical_name(key), name)
            if best is None or rank < best[0]:
                best = (rank, value)
    return best[1] if best else None


@given(ROWS, st.sampled_from(["Plan", "User-Tier", "Größe", "Absent"]), st.integers(0, 12))
@example([{"plan": "x", "Plan": None}, {"PLAN": "y"}, None, {}], "Plan", 1)
@example([{"Plan": "a"}, {"plan": "b"}], "Plan", 1)
def test_each_row_has_its_value_in_whatever_spelling(
    rows: list[dict[str, str | None] | None], key: str, cut: int
) -> None:
    """Also where the column is a part of a longer one, or in several pieces."""
    kind = pa.map_(pa.string(), pa.string())
    column = pa.array([None if row is None else list(row.items()) for row in rows], kind)
    expected = [by_hand(row, key) for row in rows]

    pieces = pa.chunked_array([column.slice(0, cut), column.slice(cut)], kind)
    assert values_of(pieces, key).to_pylist() == expected
    assert values_of(pieces.slice(cut), key).to_pylist() == expected[cut:]


def test_a_column_that_is_there_is_left_as_it_is() -> None:
    rows = tagged(("a", NOON, [("Plan", "pro"), ("Team", "x")], "1"))
    held = rows.append_column("indexed_Plan", pa.array(["kept"]))
    schema = held.schema.append(pa.field("indexed_Team", pa.string()))

    done = filled(held, schema)

    assert done.column("indexed_Plan").to_pylist() == ["kept"]
    assert done.column("indexed_Team").to_pylist() == ["x"]


def test_the_canonical_spelling_counts_first() -> None:
    assert spellings_of("user_tier", ["user-tier", "User-Tier", "USER_TIER", "Team"]) == [
        "User-Tier",
        "USER_TIER",
        "user-tier",
    ]
