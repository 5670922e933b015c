"""Which table of requests a database has: our own, or one of another gateway's versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from majordomo_analytics.engines.postgres.days import BY_DAY, DAYS
from majordomo_analytics.engines.sql.compiler import TABLE
from majordomo_analytics.errors import SourceError
from majordomo_analytics.records.metadata import (
    PROMOTED_FROM_THE_START,
    canonical_name,
    lookup_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from majordomo_analytics.engines.postgres.database import Database

Origin = Literal["majordomo-analytics", "majordomo-gateway", "majordomo-steward"]
OURS: Origin = "majordomo-analytics"

REGISTRY = "llm_requests_metadata_keys"

_COLUMNS = """
select
  n.nspname as schema, a.attname as name,
  case when t.typtype = 'e' then 'enum' else coalesce(b.typname, t.typname) end as type,
  to_regclass(quote_ident(n.nspname) || %s) is not null as has_registry,
  coalesce(
    has_table_privilege(to_regclass(quote_ident(n.nspname) || %s), 'select')
    and has_table_privilege(to_regclass(quote_ident(n.nspname) || %s), 'select'), false
  ) as has_days
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
left join pg_type b on b.oid = t.typbasetype
where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
  and has_column_privilege(a.attrelid, a.attnum, 'select')
order by a.attnum
"""
# A key that was promoted when its first request came is in all of `indexed_metadata`: both
# were written in one transaction, and whatever writes without the key ends the promotion in
# the same. So is one whose promotion has come to every earlier row and was not ended since.
# Tables of earlier versions have no `filled_activation`; then the outer one is meant.
_REGISTERED = """
select
  key_name, bool_or(is_active) as promoted,
  bool_and((is_active and activated_at in (created_at, filled)) is true) as indexed
from (
  select k.*, (select filled_activation from (select k.*) as same) as filled
  from llm_requests_metadata_keys k, (select null::timestamptz as filled_activation) as lacking
) registered
group by key_name order by key_name
"""
_STORED_KEYS = """
select distinct key from llm_requests,
  jsonb_object_keys(case jsonb_typeof(raw_metadata) when 'object' then raw_metadata end) as key
"""


@dataclass(frozen=True, slots=True)
class Key:
    """A metadata key as the database has registered it.

    Attributes
    ----------
    name
        As it is stored.
    promoted
        Whether it is to be in `indexed_metadata`.
    indexed
        Whether it certainly is, in every request that has it.
    """

    name: str
    promoted: bool
    indexed: bool


@dataclass(frozen=True, slots=True)
class RequestTable:
    """A table of requests.

    Attributes
    ----------
    database
        Where it is.
    schema
        Its schema.
    origin
        Who made it.
    types
        Name and Postgres type of each column that may be read, in order.
    registered
        Its metadata keys; None where there is no table of them.
    has_days
        Whether what days add up to may be read beside it.
    """

    database: Database
    schema: str
    origin: Origin
    types: Mapping[str, str]
    registered: tuple[Key, ...] | None
    has_days: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether our own drain writes it."""
        return self.origin == OURS


def look_at(database: Database) -> RequestTable:
    """Return the table of requests as it is now.

    Raises
    ------
    SourceError
        If there is none, or nothing in it may be read, or it is one of another kind.
    """
    with database.snapshot():
        known = database.rows(_COLUMNS, (f".{REGISTRY}", f".{DAYS}", f".{BY_DAY}", TABLE))
        if database.schema is not None:  # else it may be found elsewhere on the search path
            known = [row for row in known if row[0] == database.schema]
        types = {name: type_ for _, name, type_, *_ in known}
        where = f"in the schema {database.schema!r}" if database.schema else "on the search path"
        if not types:
            message = (
                f"{database.label} has no table {TABLE!r} {where} that may be read; `mdm drain "
                "--postgres` fills one; name another schema with ma.open(…, schema=…)"
            )
            raise SourceError(message)
        origin = _origin(types, database)
        registered = None
        schema, _, _, has_registry, has_days = known[0]
        if has_registry:
            registered = registered_keys(database, is_ours=origin == OURS)
        has_days = has_days and origin == OURS
        return RequestTable(database, schema, origin, types, registered, has_days)


def registered_keys(database: Database, *, is_ours: bool) -> tuple[Key, ...]:
    """Return the metadata keys that are registered now.

    Those that our drain promotes from the start are there before any request has them.
    """
    found = database.rows(_REGISTERED)
    names = {lookup_name(name) for name, _, _ in found}
    start = PROMOTED_FROM_THE_START if is_ours else ()
    unseen = ((key, True, True) for key in start if lookup_name(key) not in names)
    return tuple(
        Key(name, promoted, indexed and is_ours) for name, promoted, indexed in (*found, *unseen)
    )


def by_spelling(keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the stored spellings of each metadata key, the canonical one first."""
    found = defaultdict(list)
    for key in sorted(keys, key=lambda key: (key != canonical_name(key), key)):
        found[lookup_name(key)].append(key)
    return {name: tuple(spellings) for name, spellings in found.items()}


class ScannedKeys(Mapping[str, tuple[str, ...]]):
    """The spellings that occur, of a gateway that does not register every key in time.

    All requests are read for it, once, and again for a name that was not among them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: dict[str, tuple[str, ...]] | None = None

    def __getitem__(self, name: str) -> tuple[str, ...]:
        fresh = self._found is None
        found = self._scanned()
        if name not in found and not fresh:
            self._found = None
            found = self._scanned()
        return found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scanned())

    def __len__(self) -> int:
        return len(self._scanned())

    def _scanned(self) -> dict[str, tuple[str, ...]]:
        if self._found is None:
            self._found = by_spelling(key for (key,) in self._database.rows(_STORED_KEYS))
        return self._found


def _origin(types: Mapping[str, str], database: Database) -> Origin:
    """Tell tables apart by columns that only one kind of them has."""
    if "request_id" in types and "timestamp" in types and "requested_at" not in types:
        message = (
            f"the table {TABLE!r} in {database.label} is the log of the client majordomo_llm, "
            "which has no metadata; `mdm import` reads it"
        )
        raise SourceError(message)
    if {"requested_at", "usage_status", "cost_status"} <= types.keys():
        return OURS
    needed = {"id", "requested_at", "provider", "model", "input_tokens", "total_cost"}
    if missing := sorted(needed - types.keys()):
        message = (
            f"the table {TABLE!r} in {database.label} is that of no known gateway: it has no "
            f"column {missing[0]!r}; its columns are: {', '.join(list(types)[:12])}"
        )
        raise SourceError(message)
    return "majordomo-steward" if "synced_to_butler" in types else "majordomo-gateway"
