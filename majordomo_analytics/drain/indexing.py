"""Promote and demote metadata keys in Postgres, for the rows that are there already.

What a drain inserts is right by itself: it looks which keys the lake has promoted in the
transaction that inserts, under a lock that it shares. Whoever has held that lock alone,
once, knows that every later row is right, and that every earlier one is to be seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from majordomo_analytics.drain.pages import OF_PAGE, PAGE, Pages
from majordomo_analytics.records.metadata import canonical_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ACTIVATE: LiteralString = """
update {metadata_keys} set
  is_active = %(active)s,
  activated_at = case when %(active)s then now() end
where key_name = any(%(keys)s) and is_active <> %(active)s
"""
_FILL: LiteralString = f"""
with {PAGE}, lacking as (
  select r.id, jsonb_object_agg(key_name, r.raw_metadata -> key_name) as values_of_keys
  from page join {{requests}} r using (id), unnest(%(keys)s::text[]) as key_name
  where r.raw_metadata ? key_name
    and r.indexed_metadata -> key_name is distinct from r.raw_metadata -> key_name
  group by r.id
), changed as (
  update {{requests}} r set indexed_metadata = r.indexed_metadata || l.values_of_keys
  from lacking l where r.id = l.id
  returning 1
)
select {OF_PAGE}, (select count(*) from changed)
"""  # noqa: S608 - parts of our own
_CLEAR: LiteralString = f"""
with {PAGE}, changed as (
  update {{requests}} r set indexed_metadata = r.indexed_metadata - %(keys)s::text[]
  from page p where r.id = p.id and r.indexed_metadata ?| %(keys)s::text[]
  returning 1
)
select {OF_PAGE}, (select count(*) from changed)
"""  # noqa: S608 - parts of our own


def promote_in_postgres(
    dsn: str,
    keys: Iterable[str],
    *,
    schema: str = "public",
    on_rows: Callable[[int], None] = lambda _: None,
) -> int:
    """Fill `indexed_metadata` of every row with metadata keys that the lake has promoted.

    Rows are changed a page at a time, while drains go on. Whoever is killed amid it leaves
    rows that are right and rows that lack the keys; calling it again fills those.

    Parameters
    ----------
    dsn, schema
        Where the tables are.
    keys
        The metadata keys, in any spelling. The lake has them promoted already: a drain goes
        by the lake.
    on_rows
        Called after each page with how many rows it has.

    Returns
    -------
    int
        How many rows were changed.

    Raises
    ------
    PostgresError
        If Postgres cannot be reached or refuses it.
    """
    return _index(dsn, keys, schema, _FILL, on_rows, active=True)


def demote_in_postgres(
    dsn: str,
    keys: Iterable[str],
    *,
    schema: str = "public",
    on_rows: Callable[[int], None] = lambda _: None,
) -> int:
    """Take metadata keys that the lake has demoted out of `indexed_metadata` of every row.

    As `promote_in_postgres`, the other way round.
    """
    return _index(dsn, keys, schema, _CLEAR, on_rows, active=False)


def _index(
    dsn: str,
    keys: Iterable[str],
    schema: str,
    statement: LiteralString,
    on_rows: Callable[[int], None],
    *,
    active: bool,
) -> int:
    names = sorted({canonical_name(key) for key in keys})
    with Pages(dsn, schema) as pages:
        with pages.transaction(alone=True) as connection:
            query = pages.composed(_ACTIVATE)
            connection.execute(query, {"keys": names, "active": active})
        changed = pages.walk(statement, {"keys": names}, on_rows=on_rows)
        # The planner goes by what it knows of the column, which has changed at large.
        if changed:
            pages.run("analyze {requests}")
    return changed
