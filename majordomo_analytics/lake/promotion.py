"""Promote metadata keys to columns of their own, and demote them again.

What a question is answered does not depend on it, only how fast: a file that has the
column of a key has it right, and where a file has none the metadata is read. So promotion
may be cut short at any point, and done again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import Schema
from deltalake.exceptions import CommitFailedError, DeltaError

from majordomo_analytics.errors import LakeError, SettingsError, UnknownNameError
from majordomo_analytics.lake.maintenance import maintenance
from majordomo_analytics.lake.properties import promoted_property, statistics_property
from majordomo_analytics.lake.rewriting import TARGET_BYTES, rewrite
from majordomo_analytics.lake.table import (
    check_partitioning,
    open_table,
    promoted_of,
    schema_of,
    take_snapshot,
)
from majordomo_analytics.records.columns import promoted_column
from majordomo_analytics.records.metadata import (
    MAX_NAME_CHARACTERS,
    PREFIX,
    RESERVED,
    canonical_name,
    lookup_name,
)
from majordomo_analytics.records.schemas import promoted_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from majordomo_analytics.lake.table import LakeFile, LakeSnapshot

MOST_COMMIT_ATTEMPTS = 20
MOST_PROMOTED = 200
"""Each promoted key is a column in each file, and is read and written with every batch."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion did.

    Attributes
    ----------
    promoted
        The keys that were not promoted before, canonical names.
    already
        Those that were.
    rows_filled
        How many rows were written anew, with the columns that they lacked.
    files_filled
        In how many files they were.
    rows_left
        How many rows of the current UTC day lack a column still. The drain writes the
        column from its next batch on, and compaction fills what is older; until then these
        rows are read from the metadata.
    """

    promoted: tuple[str, ...]
    already: tuple[str, ...]
    rows_filled: int = 0
    files_filled: int = 0
    rows_left: int = 0


def promote(
    uri: str | Path,
    keys: str | Iterable[str],
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    target_bytes: int = TARGET_BYTES,
) -> Promotion:
    """Give metadata keys a column of their own in the lake, and fill it for what is there.

    Days that are over, in UTC, are written anew, each in one commit, oldest first. The
    drain goes on meanwhile. If this is cut short, what was done is done, and the next call
    goes on from there.

    Parameters
    ----------
    uri
        Where the lake lies.
    keys
        Names of metadata keys, in any spelling; they need not occur yet. Those that are
        promoted already get what their columns lack.
    progress
        Called with how many rows were filled, and how many there are to be filled.
    target_bytes
        How large the files are to become that are written.

    Raises
    ------
    SettingsError
        If a name cannot be that of a metadata key, or too many would be promoted.
    LakeBusyError
        If the lake is being maintained.
    LakeError
        If it cannot be read or written.
    """
    wanted = _names(keys)
    with maintenance(uri, doing=f"promotion of {', '.join(wanted)}") as lake:
        before = _add_columns(lake, wanted)
        snapshot = take_snapshot(lake)
        names = {lookup_name(key): key for key in snapshot.promoted}
        promoted = [names[lookup_name(key)] for key in wanted]
        lacking = files_lacking(snapshot, [promoted_column(key) for key in promoted])
        today = datetime.now(UTC).date()
        days: dict[date, list[LakeFile]] = {}
        for file in lacking:
            if file.requested_date < today:
                days.setdefault(file.requested_date, []).append(file)
        rows_in_all = sum(file.rows for files in days.values() for file in files)
        filled = 0

        def on_rows(rows: int) -> None:
            nonlocal filled
            filled += rows
            progress(filled, rows_in_all)

        progress(0, rows_in_all)
        for _, files in sorted(days.items()):
            rewrite(lake, files, target_bytes=target_bytes, on_rows=on_rows)
    return Promotion(
        tuple(key for key in promoted if key not in before),
        tuple(key for key in promoted if key in before),
        filled,
        sum(map(len, days.values())),
        sum(file.rows for file in lacking if file.requested_date >= today),
    )


def demote(uri: str | Path, keys: str | Iterable[str]) -> tuple[str, ...]:
    """Take their columns from metadata keys; return which keys were demoted.

    Questions about them are answered from the metadata again. The columns are no longer
    named by the lake's schema, and go from the files as those are compacted.

    Parameters
    ----------
    uri
        Where the lake lies.
    keys
        Names of promoted metadata keys, in any spelling.

    Raises
    ------
    UnknownNameError
        If one of them is not promoted; none is demoted then.
    LakeBusyError
        If the lake is being maintained.
    LakeError
        If it cannot be read or written.
    """
    wanted = _names(keys)
    with maintenance(uri, doing=f"demotion of {', '.join(wanted)}") as lake:
        promoted = {lookup_name(key): key for key in promoted_of(open_table(lake))}
        for key in wanted:
            if lookup_name(key) not in promoted:
                raise UnknownNameError(
                    kind="promoted metadata key", name=key, known=promoted.values()
                )
        gone = {lookup_name(key) for key in wanted}
        _set_promoted(lake, [key for name, key in promoted.items() if name not in gone])
        return tuple(promoted[lookup_name(key)] for key in wanted)


def files_lacking(snapshot: LakeSnapshot, columns: Iterable[str]) -> list[LakeFile]:
    """Return the files that do not have all of these columns, as they say themselves."""
    wanted = set(columns)
    lacking = []
    for file in snapshot.files:
        try:
            held = pq.read_schema(file.uri).names
        except (OSError, pa.ArrowException) as error:
            message = f"the file {file.uri!r} of the lake cannot be read: {error}"
            raise LakeError(message) from error
        if not wanted <= set(held):
            lacking.append(file)
    return lacking


def _names(keys: str | Iterable[str]) -> tuple[str, ...]:
    """Return the canonical names, each once."""
    given = (keys,) if isinstance(keys, str) else tuple(keys)
    if not given:
        message = "name at least one metadata key"
        raise SettingsError(message)
    names = {lookup_name(_checked(name)): canonical_name(name) for name in reversed(given)}
    return tuple(reversed(names.values()))


def _checked(name: str) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        message = f"{name!r} is no name of a metadata key; write it as in a header: User-Tier"
        raise SettingsError(message)
    if len(name) > MAX_NAME_CHARACTERS:
        message = (
            f"{name!r} has {len(name)} characters; names of metadata keys are cut at "
            f"{MAX_NAME_CHARACTERS}"
        )
        raise SettingsError(message)
    header = f"{PREFIX.decode()}{lookup_name(name)}"
    if header.encode() in RESERVED:
        message = f"{name!r} is no metadata key: {header} is {RESERVED[header.encode()]}"
        raise SettingsError(message)
    return name


def _add_columns(lake: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """Have `wanted` be promoted; return what was promoted before.

    A column first, then the word that it counts: in between, or after a crash there, the
    column is one of a demoted key.
    """
    table = open_table(lake)
    check_partitioning(table)
    before = promoted_of(table)
    if len({*map(lookup_name, before), *map(lookup_name, wanted)}) > MOST_PROMOTED:
        message = f"{len(before)} metadata keys are promoted; {MOST_PROMOTED} can be at most"
        raise SettingsError(message)
    # Before a column is added: without the property, to have a column is to be promoted.
    _set_promoted(lake, before)
    for attempt in range(1, MOST_COMMIT_ATTEMPTS + 1):
        table = open_table(lake)
        # Delta takes names that differ in case for one, and so do we: a column that is
        # there has the say how its name is written.
        held = {lookup_name(key): key for key in promoted_keys(schema_of(table))}
        missing = [key for key in wanted if lookup_name(key) not in held]
        if not missing:
            break
        fields = [pa.field(promoted_column(key), pa.string()) for key in missing]
        try:
            table.alter.add_columns(Schema.from_arrow(pa.schema(fields)).fields)
        except CommitFailedError as error:
            _refuse(lake, attempt, error)
        except Exception as error:  # some of the library's are no DeltaError
            message = f"the lake at {str(lake)!r} cannot be given columns {missing}: {error}"
            raise LakeError(message) from error
    added = [held[lookup_name(key)] for key in wanted]
    _set_promoted(lake, (*before, *added))
    return before


def _set_promoted(lake: Path, keys: Iterable[str]) -> None:
    """Have the table say that just these keys are promoted."""
    chosen = set(keys)
    for attempt in range(1, MOST_COMMIT_ATTEMPTS + 1):
        table = open_table(lake)
        ordered = [key for key in promoted_keys(schema_of(table)) if key in chosen]
        wanted = promoted_property(ordered) | statistics_property(ordered)
        configuration = table.metadata().configuration
        if all(configuration.get(name) == value for name, value in wanted.items()):
            return
        try:
            table.alter.set_table_properties(wanted, raise_if_not_exists=False)
        except CommitFailedError as error:
            _refuse(lake, attempt, error)
        except (DeltaError, OSError) as error:
            message = f"the lake at {str(lake)!r} cannot be given properties: {error}"
            raise LakeError(message) from error


def _refuse(lake: Path, attempt: int, error: Exception) -> None:
    """Give up once somebody else was faster too often."""
    if attempt == MOST_COMMIT_ATTEMPTS:
        message = f"the lake at {str(lake)!r} refused a change {attempt} times: {error}"
        raise LakeError(message) from error
