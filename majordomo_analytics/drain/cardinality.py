"""How many values each metadata key has in Postgres, by a sketch that is kept there.

A drain takes the values of a batch into the sketches, in the transaction that inserts it:
no crash parts one from the other, and a value that comes twice counts once. Keys that are
older than the sketches are counted by going through the rows, once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

from psycopg import sql

from majordomo_analytics.drain.pages import PAGE, ROWS_PER_PAGE, Pages
from majordomo_analytics.lake.sketches import DistinctValues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from psycopg import Connection

Pair = tuple[UUID | None, str]
"""An API key, and the name of a metadata key."""

MetadataOfOne = tuple[str | None, "Mapping[str, str]"]
"""Of one request: its API key, and its metadata."""

MOST_REMEMBERED = 1_000
"""Values of one key that are known to be in its sketch, so that it need not be read."""

_SKETCHES: LiteralString = """
select k.majordomo_api_key_id, k.key_name, k.hll_state, k.approx_cardinality,
  k.created_at = now() as is_new
from unnest(%s::uuid[], %s::text[]) as s (majordomo_api_key_id, key_name)
join {metadata_keys} k on k.key_name = s.key_name
  and coalesce(k.majordomo_api_key_id, '00000000-0000-0000-0000-000000000000')
    = coalesce(s.majordomo_api_key_id, '00000000-0000-0000-0000-000000000000')
"""
_KEEP: LiteralString = """
update {metadata_keys} set hll_state = %s, approx_cardinality = %s, hll_updated_at = now()
where key_name = %s and majordomo_api_key_id is not distinct from %s
"""
# An empty sketch takes in what drains insert from now on; there is no number yet.
_BEGIN: LiteralString = """
update {metadata_keys} set hll_state = %s, hll_updated_at = now() where approx_cardinality is null
"""
_UNCOUNTED: LiteralString = """
select majordomo_api_key_id, key_name from {metadata_keys} where approx_cardinality is null
"""
_VALUES: LiteralString = f"""
with {PAGE}
select distinct r.majordomo_api_key_id, e.key, e.value
from page join {{requests}} r using (id), jsonb_each_text(r.raw_metadata) e
where e.key = any(%(keys)s)
"""  # noqa: S608 - parts of our own
_LAST_OF_PAGE: LiteralString = f"""
with {PAGE} select (select id from page order by id desc limit 1), (select count(*) from page)
"""  # noqa: S608 - parts of our own


class ValueCounts:
    """Takes the values of batches into the sketches; remembers which are in already.

    Parameters
    ----------
    tables
        The names of our tables.
    """

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._read = sql.SQL(_SKETCHES).format(**tables)
        self._keep = sql.SQL(_KEEP).format(**tables)
        self._known: defaultdict[Pair, set[str]] = defaultdict(set)
        self._pending: dict[Pair, set[str]] = {}

    def take_in(self, connection: Connection[Any], metadata: Iterable[MetadataOfOne]) -> None:
        """Take in the values of requests, amid the transaction that inserted them."""
        self._pending = self._unknown(metadata)
        if not self._pending:
            return
        api_keys, names = zip(*self._pending, strict=True)
        found = connection.execute(self._read, (list(api_keys), list(names))).fetchall()
        changed = []
        for api_key, name, state, count, is_new in found:
            if state is None and not is_new:
                continue  # what was inserted before is in no sketch
            sketch = DistinctValues()
            if state is not None:
                sketch.merge(state)
            for value in self._pending[api_key, name]:
                sketch.add(value)
            told = sketch.estimate() if is_new or count is not None else None
            changed.append((sketch.to_bytes(), told, name, api_key))
        with connection.cursor() as cursor:
            cursor.executemany(self._keep, changed)

    def remember(self) -> None:
        """Note that what was taken in last is durable."""
        for pair, values in self._pending.items():
            known = self._known[pair]
            if len(known) + len(values) <= MOST_REMEMBERED:
                known |= values
        self._pending = {}

    def forget(self) -> None:
        """Know nothing any more: Postgres may be in an older state."""
        self._known.clear()
        self._pending = {}

    def _unknown(self, metadata: Iterable[MetadataOfOne]) -> dict[Pair, set[str]]:
        found: defaultdict[Pair, set[str]] = defaultdict(set)
        for api_key, values in metadata:
            for name, value in values.items():
                found[UUID(api_key) if api_key else None, name].add(value)
        unknown = {pair: given - self._known[pair] for pair, given in found.items()}
        return {pair: given for pair, given in unknown.items() if given}


def count_values(
    dsn: str, *, schema: str = "public", on_rows: Callable[[int], None] = lambda _: None
) -> int:
    """Count the values of metadata keys that have no number yet, while drains go on.

    Whoever is killed amid it leaves them without one; calling it again begins anew.

    Returns
    -------
    int
        How many keys, of how many API keys each, have a number now.

    Raises
    ------
    PostgresError
        If Postgres cannot be reached or refuses it.
    """
    with Pages(dsn, schema) as pages:
        with pages.transaction(alone=True) as connection:
            connection.execute(pages.composed(_BEGIN), (DistinctValues().to_bytes(),))
            pairs = set(connection.execute(pages.composed(_UNCOUNTED)).fetchall())
            query = pages.composed("select id from {requests} order by id desc limit 1")
            newest = connection.execute(query).fetchone()
        sketches: dict[Pair, DistinctValues] = {pair: DistinctValues() for pair in pairs}
        if newest is not None and pairs:
            _go_through(pages, newest[0], sketches, on_rows)
        with pages.transaction(alone=True) as connection:
            for (api_key, name), sketch in sketches.items():
                read = connection.execute(pages.composed(_SKETCHES), ([api_key], [name]))
                for _, _, state, _, _ in read.fetchall():
                    sketch.merge(state)
                values = (sketch.to_bytes(), sketch.estimate(), name, api_key)
                connection.execute(pages.composed(_KEEP), values)
    return len(pairs)


def _go_through(
    pages: Pages,
    last: UUID,
    sketches: Mapping[Pair, DistinctValues],
    on_rows: Callable[[int], None],
) -> None:
    names = sorted({name for _, name in sketches})
    after = UUID(int=0)
    while True:
        page = {"after": after, "last": last, "most": ROWS_PER_PAGE, "keys": names}
        with pages.transaction() as connection:
            end = connection.execute(pages.composed(_LAST_OF_PAGE), page).fetchone()
            found = connection.execute(pages.composed(_VALUES), page).fetchall()
        if end is None or end[0] is None:
            return
        for api_key, name, value in found:
            sketch = sketches.get((api_key, name))
            if sketch is not None:
                sketch.add(value)
        after = end[0]
        on_rows(end[1])
