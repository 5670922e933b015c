"""Earlier versions of the lake: which there are, and which was there at an instant."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from deltalake.exceptions import DeltaError

from majordomo_analytics.errors import LakeError, LakeVersionError
from majordomo_analytics.lake.table import LakeSnapshot, open_table, take_snapshot
from majordomo_analytics.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Sequence

VersionLike: TypeAlias = "int | str | date | datetime"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LakeVersion:
    """One version of the lake.

    Attributes
    ----------
    number
        Its number, from 0.
    made_at
        When it was made, by the clock of who made it; in UTC.
    """

    number: int
    made_at: datetime


def lake_versions(uri: str | Path) -> tuple[LakeVersion, ...]:
    """Return the versions that the log of the lake still has, the oldest first.

    Raises
    ------
    LakeNotFoundError
        If there is no lake.
    LakeError
        If its log cannot be read.
    """
    table = open_table(uri)
    try:
        commits = sorted(table.history(), key=lambda commit: commit["version"])
    except (DeltaError, OSError) as error:
        message = f"the log of the lake at {str(uri)!r} cannot be read: {error}"
        raise LakeError(message) from error
    # A clock that was set back must not put a version before the one it follows.
    instants = accumulate((int(commit["timestamp"]) for commit in commits), max)
    return tuple(
        LakeVersion(commit["version"], EPOCH + timedelta(milliseconds=made_ms))
        for commit, made_ms in zip(commits, instants, strict=True)
    )


def snapshot_at(uri: str | Path, version: VersionLike) -> LakeSnapshot:
    """Return an earlier version of the lake.

    Parameters
    ----------
    uri
        Where the lake lies.
    version
        The number of a version, or when the lake was as it is wanted: an aware datetime, a
        date (its first instant in UTC), or either as ISO text.

    Raises
    ------
    LakeVersionError
        If there is no such version, or vacuum has removed files of it; the error says
        which there are.
    LakeError
        If the lake cannot be read.
    """
    known = lake_versions(uri)
    number = _number(version, known)
    try:
        snapshot = take_snapshot(uri, version=number)
    except LakeError as error:  # commits are there, but not all that they build on
        why = f"cannot be read any more ({error})"
        raise LakeVersionError(version, why, _said(known)) from error
    if missing := sum(not Path(file.uri).exists() for file in snapshot.files):
        why = f"cannot be read any more: {missing} of its {len(snapshot.files)} files were removed"
        raise LakeVersionError(version, why, _said(known))
    return snapshot


def _number(version: VersionLike, known: Sequence[LakeVersion]) -> int:
    if isinstance(version, int) and not isinstance(version, bool):
        if version not in {one.number for one in known}:
            raise LakeVersionError(version, "is not there", _said(known))
        return version
    if isinstance(version, str) and version.isdecimal():
        return _number(int(version), known)
    at = _instant(version, known)
    if at > utc_now():
        raise LakeVersionError(version, "is in the future", _said(known))
    place = bisect_right([one.made_at for one in known], at)
    if not place:
        raise LakeVersionError(version, "is before the oldest", _said(known))
    return known[place - 1].number


def _instant(version: object, known: Sequence[LakeVersion]) -> datetime:
    if isinstance(version, str):
        try:
            version = datetime.fromisoformat(version)
        except ValueError as error:
            raise LakeVersionError(version, "is no number, date or time", _said(known)) from error
    if isinstance(version, datetime):
        return version if version.tzinfo else version.replace(tzinfo=UTC)
    if isinstance(version, date):
        return datetime.combine(version, time(), UTC)
    raise LakeVersionError(version, "is no number, date or time", _said(known))


def _said(known: Sequence[LakeVersion]) -> str:
    first, last = known[0], known[-1]
    return (
        f"versions {first.number} ({first.made_at:%Y-%m-%d %H:%M:%S}) to {last.number} "
        f"({last.made_at:%Y-%m-%d %H:%M:%S} UTC) are there"
    )
