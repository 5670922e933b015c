"""Add up the requests of days that are over, so that questions need not read each of them.

A day is noted first, while no drain is amid a transaction, and then added up without a
lock. Whoever changes one of its requests takes the note away, by a trigger, in the same
transaction: what was added up counts only if the note is there still, and goes with it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from majordomo_analytics.drain.pages import DRAIN_LOCK
from majordomo_analytics.records.days import GROUPED, NO_KEY, SUMMED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

MOST_GROUPS = 2_000
"""Of a day and a metadata key; with more, little would be won."""

MOST_KEYS = 50
AT_ONCE = 64
"""Days of a key that are noted together."""

BUDGET_S = 2.0
"""How long days are added up at a time, but for the last one."""

# The newest first: they are asked about the most.
_PENDING: LiteralString = """
with keys as (
  select key_name from {metadata_keys} where is_active group by key_name
  order by sum(request_count) desc, key_name limit %(most_keys)s
), days as (
  select generate_series(
    (min(requested_at) at time zone 'UTC')::date, (now() at time zone 'UTC')::date - 1, '1 day'
  )::date as day from {requests}
)
select key_name, day
from days, (select key_name from keys union all select %(no_key)s::text) k
where not exists (
  select from {days} d
  where d.key_name = k.key_name and d.requested_date = day and d.is_summed is not null
)
order by day desc, key_name limit %(at_once)s
"""
_NOTE: LiteralString = """
insert into {days} as known (key_name, requested_date)
select key_name, day from unnest(%(keys)s::text[], %(days)s::date[]) as pending (key_name, day)
union select %(no_key)s::text, day from unnest(%(days)s::date[]) as day
order by 1, 2
on conflict (key_name, requested_date) do update set is_summed = known.is_summed
"""
_VALUE: LiteralString = """
case when %(key)s::text <> %(no_key)s then raw_metadata ->> %(key)s::text end"""
_GROUPED = ", ".join(GROUPED)
_SUMMED = ", ".join(SUMMED)
_SUM = f"""
with sums as materialized (
  select {_VALUE} as key_value, {_GROUPED}, count(*) as requests,
    {", ".join(f"sum({name}) as {name}" for name in SUMMED)}
  from {{requests}}
  where requested_at >= %(day)s::date::timestamp at time zone 'UTC'
    and requested_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
  group by 1, {_GROUPED}, {", ".join(f"{name} is null" for name in SUMMED)}
), noted as (
  update {{days}} set is_summed = (select count(*) from sums) <= %(most)s
  where key_name = %(key)s and requested_date = %(day)s and is_summed is null
  returning is_summed
)
insert into {{by_day}} (
  key_name, requested_date, key_value, {_GROUPED}, requests, {_SUMMED}
)
select %(key)s::text, %(day)s::date, key_value, {_GROUPED}, requests, {_SUMMED}
from sums, noted where noted.is_summed
"""  # noqa: S608 - names of our own


def sum_up(
    connection: Connection[Any],
    tables: Mapping[str, sql.Composable],
    *,
    budget_s: float = BUDGET_S,
) -> int:
    """Add up days that are over and were not added up yet, the newest first.

    Parameters
    ----------
    connection
        Outside of a transaction, and committing by itself.
    tables
        The names of our tables.
    budget_s
        After how many seconds no other day is begun.

    Returns
    -------
    int
        How many days of one metadata key were added up.
    """

    def composed(statement: str) -> sql.Composed:
        return sql.SQL(statement).format(**tables)

    begun = time.monotonic()
    done = 0
    values = {"no_key": NO_KEY, "most_keys": MOST_KEYS, "at_once": AT_ONCE, "most": MOST_GROUPS}
    while pending := connection.execute(composed(_PENDING), values).fetchall():
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (DRAIN_LOCK,))
            keys, days = zip(*pending, strict=True)
            noted = {**values, "keys": list(keys), "days": list(days)}
            connection.execute(composed(_NOTE), noted)
        for key, day in pending:
            if time.monotonic() - begun > budget_s:
                return done
            connection.execute(composed(_SUM), {**values, "key": key, "day": day})
            done += 1
    return done
