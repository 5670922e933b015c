"""Which metadata keys the lake holds: a projection of its files, never a count of its own.

Each file has a tally; a version's answer is the tallies of its files, merged. Nothing is
counted as it is written, so that no crash can make a count wrong, and nothing is counted
twice. Tallies are kept, for a file never changes: only what is new is read.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from majordomo_analytics.datadir import MARKER, DataDirectory
from majordomo_analytics.lake.sketches import KeyTally
from majordomo_analytics.lake.table import take_snapshot
from majordomo_analytics.lake.tallies import FileTally, tally_file
from majordomo_analytics.lake.tallystore import TallyStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date, datetime

    from majordomo_analytics.lake.table import LakeSnapshot

MOST_TOP_VALUES = 10


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What one version of the lake holds of one metadata key.

    Attributes
    ----------
    name
        Its canonical name.
    promoted
        Whether it has a column of its own.
    requests
        Requests that have it; exact.
    coverage
        Which share of all requests they are.
    distinct_values
        How many values it has: exact up to some thousand, else off by 2.5 % at most in 997
        of 1,000 cases.
    first_seen, last_seen
        The oldest and the newest request that has it; exact.
    top_values
        Its most frequent values with their requests: exact for a key of up to 768 values,
        else too high by 0.35 % of the key's requests at most. Empty if of very many values
        none stands out.
    """

    name: str
    promoted: bool
    requests: int
    coverage: float
    distinct_values: int
    first_seen: datetime
    last_seen: datetime
    top_values: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Registry:
    """The metadata keys of one version of the lake.

    Attributes
    ----------
    version
        The Delta version.
    requests
        All its requests.
    keys
        Each metadata key, most used first.
    days
        Its requests of each UTC day.
    key_days
        By name, how many of a day's requests have a key; days without any are left out.
    """

    version: int
    requests: int
    keys: tuple[KeyUse, ...]
    days: Mapping[date, int]
    key_days: Mapping[str, Mapping[date, int]]


def read_registry(
    snapshot: LakeSnapshot,
    *,
    store: Path | None = None,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Registry:
    """Return the metadata keys of a version of the lake.

    Parameters
    ----------
    snapshot
        The version.
    store
        A SQLite file that keeps what was read, `store_of` knows where; None keeps nothing.
    on_rows
        Called after each file that had to be read with how many rows it has.

    Raises
    ------
    LakeError
        If a file cannot be read.
    """
    tallies = _tallies(snapshot, TallyStore(store), on_rows)
    merged: dict[str, KeyTally] = {}
    days: defaultdict[date, int] = defaultdict(int)
    key_days: defaultdict[str, defaultdict[date, int]] = defaultdict(lambda: defaultdict(int))
    for file in snapshot.files:
        tally = tallies[_name_of(file.uri)]
        days[file.requested_date] += tally.requests
        for name, state in tally.keys.items():
            known = merged.get(name)
            if known is None:
                known = merged[name] = KeyTally(0, state.first_seen, state.last_seen)
            known.count(state.requests, state.first_seen, state.last_seen)
            known.distinct.merge(state.distinct)
            known.frequent.merge(state.frequent)
            key_days[name][file.requested_date] += state.requests
    requests = sum(days.values())
    keys = [_use(name, tally, snapshot, requests) for name, tally in merged.items()]
    keys.sort(key=lambda key: (-key.requests, key.name))
    return Registry(snapshot.version, requests, tuple(keys), days, key_days)


def store_of(lake_uri: str | Path) -> Path | None:
    """Return where the tallies of a lake are kept: in its data directory, if it has one."""
    path = Path(lake_uri)
    roots = [root for root in path.resolve().parents[:2] if (root / MARKER).exists()]
    return DataDirectory(roots[0]).registry if roots else None


def forget_removed(snapshot: LakeSnapshot, store: Path | None) -> None:
    """Remove the tallies of files that are in this version no more."""
    _forget_but(TallyStore(store), snapshot)


def _forget_but(store: TallyStore, snapshot: LakeSnapshot) -> None:
    store.remove(store.read().keys() - {_name_of(file.uri) for file in snapshot.files})


def _tallies(
    snapshot: LakeSnapshot, store: TallyStore, on_rows: Callable[[int], None]
) -> dict[str, FileTally]:
    kept = store.read()
    files = {_name_of(file.uri): file for file in snapshot.files}
    if _is_newest(snapshot):
        store.remove(kept.keys() - files.keys())
    found = {}
    has_kept = False
    for name, file in files.items():
        tally = kept.get(name)
        if tally is None:
            tally = tally_file(file)
            if _is_newest(snapshot):  # else what an erasure has removed might come back
                store.keep(name, tally)
                has_kept = True
            on_rows(tally.requests)
        found[name] = tally
    if has_kept and not _is_newest(snapshot):
        # An erasure may have come between looking and keeping, and have forgotten by now.
        _forget_but(store, take_snapshot(snapshot.uri))
    return found


def _is_newest(snapshot: LakeSnapshot) -> bool:
    log = Path(snapshot.uri) / "_delta_log"
    mine, next_one = (log / f"{snapshot.version + n:020d}.json" for n in range(2))
    # The newest always has its commit; of older ones both may be gone with the history.
    return mine.exists() and not next_one.exists()


def _name_of(uri: str) -> str:
    """Return the path of a file inside the lake, which may be moved as a whole."""
    return "/".join(uri.split("/")[-2:])


def _use(name: str, tally: KeyTally, snapshot: LakeSnapshot, requests: int) -> KeyUse:
    return KeyUse(
        name=name,
        promoted=name in snapshot.promoted,
        requests=tally.requests,
        coverage=tally.requests / requests,
        # Never more values than requests, and some if there are any.
        distinct_values=min(tally.distinct.estimate(), tally.requests),
        first_seen=tally.first_seen,
        last_seen=tally.last_seen,
        top_values=tuple(tally.frequent.top(MOST_TOP_VALUES)),
    )
