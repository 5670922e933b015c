"""Erase a value, or rows that are too old, from Postgres, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from majordomo_analytics.drain.pages import OF_PAGE, PAGE, ROWS_PER_PAGE, Pages
from majordomo_analytics.lake.erasure import ERASED_TEXT
from majordomo_analytics.records.flags import ERASED
from majordomo_analytics.records.metadata import lookup_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from majordomo_analytics.lake.erasure import Erasure

_NAMES: LiteralString = f"""
with {PAGE}
select {OF_PAGE}, 0, array(
  select distinct key_name
  from page join {{requests}} r using (id),
    jsonb_object_keys(r.raw_metadata || r.indexed_metadata) as key_name
)
"""  # noqa: S608 - parts of our own

_KEPT: LiteralString = """
coalesce((
  select jsonb_object_agg(e.key, e.value) from jsonb_each({column}) e
  where e.key <> all(%(gone)s)
), '{{}}')"""

_MEANT: LiteralString = """
meant as (
  select r.id, r.majordomo_api_key_id, r.raw_metadata from page join {requests} r using (id)
  where exists (
    select from jsonb_each_text(r.raw_metadata) e
    where e.key = any(%(wanted)s) and e.value = %(value)s
  )
)"""

# What the registry of keys counts is what the table holds.
_UNCOUNT: LiteralString = """
uncounted as (
  update {metadata_keys} k set request_count = greatest(k.request_count - g.requests, 0)
  from (
    select majordomo_api_key_id, key_name, count(*) as requests
    from meant, jsonb_object_keys(raw_metadata) as key_name
    where %(all)s or key_name = any(%(gone)s)
    group by majordomo_api_key_id, key_name
  ) g
  where k.key_name = g.key_name
    and k.majordomo_api_key_id is not distinct from g.majordomo_api_key_id
)"""

_ERASE: LiteralString = f"""
with {PAGE}, {_MEANT}, {_UNCOUNT}, changed as (
  update {{requests}} r set
    raw_metadata = {_KEPT.replace("{column}", "r.raw_metadata")},
    indexed_metadata = {_KEPT.replace("{column}", "r.indexed_metadata")},
    request_path = case
      when r.response_id <> '' then replace(r.request_path, r.response_id, %(erased_text)s)
      else r.request_path
    end,
    provider_request_id = null, response_id = null, error_message = null,
    flags = case when %(flag)s = any(r.flags) then r.flags else r.flags || %(flag)s::text end
  from meant m where r.id = m.id
  returning 1
)
select {OF_PAGE}, (select count(*) from changed)
"""  # noqa: S608 - parts of our own

_DELETE: LiteralString = f"""
with {PAGE}, {_MEANT}, {_UNCOUNT}, changed as (
  delete from {{requests}} r using meant m where r.id = m.id returning 1
)
select {OF_PAGE}, (select count(*) from changed)
"""  # noqa: S608 - parts of our own

_EXPIRE: LiteralString = f"""
with meant as (
  select id, majordomo_api_key_id, raw_metadata from {{requests}}
  where requested_at < %(first_kept)s order by requested_at limit %(most)s
), {_UNCOUNT}, changed as (
  delete from {{requests}} r using meant m where r.id = m.id returning 1
)
select count(*) from changed
"""  # noqa: S608 - parts of our own


def erase_from_postgres(
    dsn: str,
    erasure: Erasure,
    *,
    schema: str,
    on_rows: Callable[[int], None] = lambda _: None,
) -> int:
    """Erase a value from every row, and what the table held before from the disk.

    Pages are transactions of their own. Whoever is killed amid it leaves rows that hold the
    value still; calling it again erases those.

    Returns
    -------
    int
        How many requests were meant.

    Raises
    ------
    PostgresError
        If Postgres cannot be reached or refuses it.
    """
    values: dict[str, object] = {
        "value": erasure.value,
        "all": erasure.rows,
        "flag": ERASED,
        "erased_text": ERASED_TEXT,
    }
    with Pages(dsn, schema) as pages:
        names = _names(pages)
        # Which spellings are one key, nobody but us can say: what is upper case depends on
        # the locale of the database.
        wanted = lookup_name(erasure.key)
        values["wanted"] = [name for name in names if lookup_name(name) == wanted]
        values["gone"] = [name for name in names if lookup_name(name) in erasure.gone]
        statement = _DELETE if erasure.rows else _ERASE
        changed = pages.walk(statement, values, alone=True, on_rows=on_rows)
        # Of a row that was changed or deleted the earlier state stays where it is until its
        # room is taken. Also when nothing was changed: who was killed had not come here.
        pages.run("vacuum {requests}")
        pages.run("vacuum {by_day}")
    return changed


def expire_in_postgres(
    dsn: str,
    first_kept: datetime,
    *,
    schema: str,
    on_rows: Callable[[int], None] = lambda _: None,
) -> int:
    """Delete the rows of requests before an instant, the oldest first; return how many."""
    values = {"first_kept": first_kept, "most": ROWS_PER_PAGE, "all": True, "gone": []}
    deleted = 0
    with Pages(dsn, schema) as pages:
        while True:
            with pages.transaction(alone=True) as connection:
                row = connection.execute(pages.composed(_EXPIRE), values).fetchone()
            of_page = int(row[0]) if row else 0
            if not of_page:
                break
            deleted += of_page
            on_rows(of_page)
        pages.run(_FIRST_SEEN, {"first_kept": first_kept})
    return deleted


def rows_before(dsn: str, first_kept: datetime, *, schema: str) -> int:
    """Return how many requests before an instant Postgres has."""
    with Pages(dsn, schema) as pages:
        query: LiteralString = "select count(*) from {requests} where requested_at < %(first)s"
        return int(pages.one(query, {"first": first_kept}))


_FIRST_SEEN: LiteralString = """
update {metadata_keys} set
  first_seen_at = least(greatest(first_seen_at, %(first_kept)s), last_seen_at)
where first_seen_at < %(first_kept)s
"""


def _names(pages: Pages) -> set[str]:
    """Return every metadata key that rows have, as it is spelled there."""
    names: set[str] = set()
    pages.walk(_NAMES, {}, on_found=names.update)
    return names
