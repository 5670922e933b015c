"""The lake and Postgres: each request once in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.cli.checks.finding import Finding, counted
from majordomo_analytics.errors import PostgresError, SpoolError
from majordomo_analytics.spool.files import SpoolFile, spool_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.comparing import DayOfRequests, PostgresRequests
    from majordomo_analytics.ledger.ledger import Ledger

_DOUBLES = """
select id, count(*) as rows, min(requested_at) as requested_at from llm_requests
group by id having count(*) > 1 order by requested_at
"""
_DAYS = """
select requested_date, count(distinct id) as requests,
    sum(distinct ('0x' || substr(md5(id), 1, 8))::ubigint)::bigint as digest
from llm_requests group by requested_date
"""


def look_at_lake(ledger: Ledger) -> Finding:
    """Look whether each request is in the lake once."""
    doubles = ledger.sql(_DOUBLES)
    requests = ledger.sql("select count(*) as requests from llm_requests").item()
    if doubles.is_empty():
        return Finding("lake", "ok", f"{counted(requests, 'request')}, each once")
    return Finding(
        "lake",
        "wrong",
        f"{counted(doubles.height, 'request')} more than once",
        "This should never be: please report it, with these ids. A total counts them as "
        "often as they are there.",
        tuple(doubles.to_dicts()),
    )


def look_at_postgres(
    data: DataDirectory, ledger: Ledger | None, postgres: PostgresRequests
) -> Iterator[Finding]:
    """Look whether Postgres can be used, and has what the lake has."""
    name = "Postgres"
    try:
        with postgres.connected():
            version, known = postgres.version()
            if version != known:
                yield _of_version(postgres, version, known)
            if version:
                yield from _compared(data, ledger, postgres)
    except PostgresError as error:
        advice = "Rows stay in the spool until it is back; nothing is lost."
        yield Finding(name, "wrong", f"{postgres.place}: {error}", advice)


def _of_version(postgres: PostgresRequests, version: int, known: int) -> Finding:
    if version == 0:
        summary = f"no tables of ours in the schema {postgres.schema!r} at {postgres.place!r}"
        return Finding("Postgres", "note", summary, "The first drain that is given it makes them.")
    summary = f"its tables have version {version}, this package knows {known}"
    if version < known:
        return Finding("Postgres", "note", summary, "The next drain brings them up to date.")
    return Finding("Postgres", "wrong", summary, "Upgrade majordomo-analytics here.")


def _compared(
    data: DataDirectory, ledger: Ledger | None, postgres: PostgresRequests
) -> Iterator[Finding]:
    theirs = postgres.days()
    ours = _days_of(ledger)
    total = sum(day.requests for day in theirs.values())
    missing_there: dict[date, set[str]] = {}
    missing_here: dict[date, set[str]] = {}
    for day in sorted(ours.keys() | theirs.keys()):
        if ours.get(day) == theirs.get(day):
            continue
        there = postgres.ids(day) if day in theirs else set()
        here = _ids_of(ledger, day)
        missing_there[day] = here - there
        missing_here[day] = there - here
    early = _early(ledger, postgres, missing_there)
    _leave_out_what_is_on_its_way(data, ledger, postgres, missing_there, missing_here)
    name, at = "Postgres", postgres.place
    lacking = sum(map(len, missing_there.values()))
    foreign = sum(map(len, missing_here.values()))
    if lacking:
        yield Finding(
            name,
            "wrong",
            f"{counted(lacking, 'request')} of the lake that {at!r} has not got, and that are "
            "not in the spool",
            "Nothing is lost, as the lake has them. Postgres was set back to an earlier state, "
            "or somebody removed them there; dead letters are among them, if there are any.",
            _by_day(missing_there),
        )
    if foreign:
        yield Finding(
            name,
            "note",
            f"{counted(foreign, 'request')} in {at!r} that the lake has not got",
            "Right if other proxies feed it too; else the lake was set back or replaced.",
            _by_day(missing_here),
        )
    if early:
        summary = f"{counted(early, 'request')} of the lake from before it was fed"
        yield Finding(name, "note", summary, "The lake alone has them.")
    if not lacking:
        summary = f"{counted(total, 'request')} at {at!r}; it has what the lake has"
        yield Finding(name, "ok", summary)


def _days_of(ledger: Ledger | None) -> dict[date, DayOfRequests]:
    from majordomo_analytics.drain.comparing import DayOfRequests

    if ledger is None:
        return {}
    return {day: DayOfRequests(*rest) for day, *rest in ledger.sql(_DAYS).iter_rows()}


def _ids_of(ledger: Ledger | None, day: date) -> set[str]:
    if ledger is None:
        return set()
    query = f"select distinct id from llm_requests where requested_date = date '{day}'"  # noqa: S608 - a date of ours
    return set(ledger.sql(query)["id"])


def _early(ledger: Ledger | None, postgres: PostgresRequests, missing: dict[date, set[str]]) -> int:
    """Leave out of `missing` what is older than all that Postgres has; return how many."""
    first = postgres.first_at()
    early = 0
    if ledger is None:
        return 0
    for day, ids in missing.items():
        if first is None:
            old = set(ids)
        else:
            query = (
                f"select id from llm_requests where requested_date = date '{day}' "  # noqa: S608
                f"and requested_at < timestamptz '{first.isoformat()}'"
            )
            old = ids & set(ledger.sql(query)["id"]) if ids else set()
        early += len(old)
        ids -= old
    return early


def _leave_out_what_is_on_its_way(
    data: DataDirectory,
    ledger: Ledger | None,
    postgres: PostgresRequests,
    missing_there: dict[date, set[str]],
    missing_here: dict[date, set[str]],
) -> None:
    """Forget about rows in the spool, and those that arrived while this looked."""
    for spool in spool_files(data.spool):
        for missing in (missing_there, missing_here):
            for ids in missing.values():
                ids -= _known(spool, ids)
    for ids in missing_there.values():
        ids -= postgres.held(ids) if ids else set()
    if ledger is not None:
        from majordomo_analytics.ledger.opening import open as open_ledger

        later = open_ledger(data.root)
        for day, ids in missing_here.items():
            ids -= _ids_of(later, day) if ids else set()


def _known(spool: SpoolFile, ids: Collection[str]) -> set[str]:
    try:
        return spool.known(ids) if ids else set()
    except SpoolError:  # it was drained meanwhile, or another check says what is wrong
        return set()


def _by_day(missing: dict[date, set[str]]) -> tuple[dict[str, object], ...]:
    return tuple(
        {"day": day, "requests": len(ids), "one_of_them": min(ids)}
        for day, ids in missing.items()
        if ids
    )
