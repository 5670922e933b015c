"""The number of values of a key in Postgres is that of its rows, whatever happened."""

from __future__ import annotations

import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain.cardinality import count_values
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.sinks import Place
from majordomo_analytics.lake.sketches import DISTINCT_ERROR
from majordomo_analytics.lake.table import create_lake
from majordomo_analytics.records.request import RequestRecord
from tests.drain.test_indexing import killed_after
from tests.support.postgres import run, select
from tests.support.records import a_record

KEYS = [None, str(uuid.UUID(int=1)), str(uuid.UUID(int=2))]
TOLD = """
select majordomo_api_key_id::text, key_name, approx_cardinality from llm_requests_metadata_keys
"""
TRUE = """
select majordomo_api_key_id::text, key, count(distinct value)
from llm_requests, jsonb_each_text(raw_metadata) group by 1, 2
"""
FORGET = """
update llm_requests_metadata_keys set approx_cardinality = null, hll_state = null
"""


def insert(data: DataDirectory, dsn: str, *batches: list[RequestRecord]) -> None:
    """Insert batches as one drain does."""
    create_lake(data.lake)
    sink = PostgresSink(dsn, lake=data.lake)
    sink.open()
    for batch in batches:
        sink.append(batch, Place(str(uuid.uuid4()), 1, 1))
    sink.close()


records = st.builds(
    lambda key, metadata: a_record(majordomo_api_key_id=key, metadata=metadata),
    st.sampled_from(KEYS),
    st.dictionaries(st.sampled_from(["Plan", "User-Id"]), st.text("ab\u00e9", max_size=2)),
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(records, max_size=6), min_size=1, max_size=4))
def test_it_is_exact_for_few_values(
    data: DataDirectory, postgres: str, batches: list[list[RequestRecord]]
) -> None:
    """In several batches, by several drains, of rows that come twice, and counted anew."""
    insert(data, postgres, *batches[:2])
    insert(data, postgres, *batches)

    assert sorted(select(postgres, TOLD), key=str) == sorted(select(postgres, TRUE), key=str)

    run(postgres, FORGET)
    count_values(postgres)
    assert sorted(select(postgres, TOLD), key=str) == sorted(select(postgres, TRUE), key=str)
    run(postgres, "truncate llm_requests, llm_requests_metadata_keys")


def test_many_values_are_estimated_within_the_bound(data: DataDirectory, postgres: str) -> None:
    batches = [
        [a_record(metadata={"User-Id": f"u{n}"}) for n in range(first, first + 4000)]
        for first in (0, 3000, 6000)
    ]
    insert(data, postgres, *batches)

    ((_, _, told),) = select(postgres, TOLD)

    assert abs(told - 10_000) <= DISTINCT_ERROR * 10_000


def test_a_key_that_was_there_before_has_no_number_until_it_is_counted(
    data: DataDirectory, postgres: str
) -> None:
    """What comes in before, amid and after the counting is in the number."""
    insert(data, postgres, [a_record(metadata={"Plan": f"p{n}"}) for n in range(5)])
    run(postgres, FORGET)
    insert(data, postgres, [a_record(metadata={"Plan": "q", "New": "x"})])
    assert dict(row[1:] for row in select(postgres, TOLD)) == {"Plan": None, "New": 1}

    def amid(_: int) -> None:
        insert(data, postgres, [a_record(metadata={"Plan": "amid"})])

    assert count_values(postgres, on_rows=amid) == 1
    insert(data, postgres, [a_record(metadata={"Plan": "late"})])

    assert dict(row[1:] for row in select(postgres, TOLD)) == {"Plan": 8, "New": 1}
    assert count_values(postgres) == 0


def test_whoever_is_killed_while_counting_leaves_no_number(
    data: DataDirectory, postgres: str
) -> None:
    """A number that lacks values would be taken for one that is right."""
    insert(data, postgres, [a_record(metadata={"Plan": f"p{n}"}) for n in range(50)])
    run(postgres, FORGET)
    script = (
        "import sys, time\n"
        "from majordomo_analytics.drain import cardinality\n"
        "cardinality.ROWS_PER_PAGE = 10\n"
        "def told(_):\n"
        "    print('page', flush=True)\n"
        "    time.sleep(600)\n"
        "cardinality.count_values(sys.argv[1], on_rows=told)\n"
    )
    killed_after(1, script, postgres)
    insert(data, postgres, [a_record(metadata={"Plan": "late"})])
    assert select(postgres, TOLD) == [(None, "Plan", None)]

    assert count_values(postgres) == 1
    assert select(postgres, TOLD) == [(None, "Plan", 51)]
