"""Promote and demote metadata keys in Postgres, for the rows that are there already.

What a drain inserts is right by itself: it looks which keys the lake has promoted in the
transaction that inserts, under a lock that it shares. Whoever has held that lock alone,
once, knows that every later row is right, and that every earlier one is to be seen.

Once every earlier row is right too, the registry of keys says so, and who reads believes
`indexed_metadata`. It names the activation that it is about: a drain that inserts without
the key, as one that cannot read the lake, ends that activation in the same transaction.
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
  activated_at = case when %(active)s then now() end,
  filled_activation = null
where key_name = any(%(keys)s) and is_active <> %(active)s
"""
_ACTIVATIONS: LiteralString = """
select coalesce(array_agg(distinct activated_at), '{{}}') from {metadata_keys}
where key_name = any(%(keys)s) and is_active
"""
# What was promoted when its first request came needs no filling, and what has ended since
# the rows were gone through is of no worth.
_FILLED: LiteralString = """
update {metadata_keys} set filled_activation = activated_at
where key_name = any(%(keys)s) and is_active and activated_at = any(%(activations)s)
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
# A key that was promoted again meanwhile is left alone: who fills it waits for this page.
_CLEAR: LiteralString = f"""
with {PAGE}, gone as (
  select array(
    select key_name from unnest(%(keys)s::text[]) as key_name
    except select key_name from {{metadata_keys}} where is_active
  ) as keys
), changed as (
  update {{requests}} r set indexed_metadata = r.indexed_metadata - g.keys
  from page p, gone g where r.id = p.id and r.indexed_metadata ?| g.keys
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
    rows that are right and rows that lack the keys; calling it again fills those. Once all
    have them the registry of keys says so, and the index serves questions about them.

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
    values: dict[str, object] = {"keys": sorted({canonical_name(key) for key in keys})}
    with Pages(dsn, schema) as pages:
        with pages.transaction(alone=True) as connection:
            connection.execute(pages.composed(_ACTIVATE), {**values, "active": active})
            found = connection.execute(pages.composed(_ACTIVATIONS), values).fetchone()
        changed = pages.walk(statement, values, on_rows=on_rows)
        # The planner goes by what it knows of the column, which has changed at large.
        if changed:
            pages.run("analyze {requests}")
        if active and found is not None:
            with pages.transaction(alone=True) as connection:
                connection.execute(pages.composed(_FILLED), {**values, "activations": found[0]})
    return changed
