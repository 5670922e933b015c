"""`mdm compact`: few large files in the lake instead of many small ones."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import Annotated

import typer

from majordomo_analytics.cli.options import DEFAULT_DATA, DataOption
from majordomo_analytics.errors import LakeBusyError, LakeNotFoundError, SettingsError

MIB = 2**20
_KEPT = re.compile(r"(?P<number>\d{1,6})(?P<unit>[hd])")
POLITENESS = 10
"""How far what nobody waits for stands back behind the proxy, as by `nice`."""


def compact(
    target_mib: Annotated[
        int, typer.Option(help="How large files become, in MiB.", show_default=True, min=1)
    ] = 128,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Also remove files that were replaced before.")
    ] = False,
    keep: Annotated[
        str,
        typer.Option(
            help="With --vacuum: how long files are kept after they were replaced, as 12h or "
            "7d. Questions that are being answered still read them.",
            show_default=True,
        ),
    ] = "7d",
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="With --vacuum: allow less than an hour. Files that no version names are kept "
            "for an hour all the same.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what --vacuum would remove.")
    ] = False,
    light: Annotated[bool, typer.Option(hidden=True, help="What the drain has done.")] = False,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Make few large, sorted files of each day's many small ones, and shorten the log.

    Columns of promoted metadata keys that files lack are filled on the way. The proxy, its
    drain and whoever asks questions go on meanwhile. A running drain does this by itself
    for what needs it; see MAJORDOMO_LAKE_UPKEEP.
    """
    from majordomo_analytics.cli.screen import bar, say
    from majordomo_analytics.datadir import DataDirectory, keep_private
    from majordomo_analytics.lake.compaction import compact as compact_lake
    from majordomo_analytics.lake.vacuuming import vacuum as vacuum_lake

    keep_private()
    lake = DataDirectory.open(data).lake
    kept = _kept(keep)
    if light:
        os.nice(POLITENESS)
    try:
        if not dry_run:
            with bar("compacting", "rows") as shown:
                done = compact_lake(
                    lake, target_bytes=target_mib * MIB, progress=shown, is_light=light
                )
            if done.days:
                say(
                    f"{done.files_before:,} files of {done.days:,} day{'s' * (done.days != 1)} "
                    f"({_mib(done.bytes_before)}) became {done.files_after:,} "
                    f"({_mib(done.bytes_after)}); {done.rows:,} rows"
                )
            elif not light:
                say("no day has several small files, or lacks a column")
        if vacuum or dry_run:
            removed = vacuum_lake(lake, kept=kept, force=force, is_trial=dry_run)
            if removed.files or not light:
                verb = "would be removed" if dry_run else "were removed"
                say(
                    f"{removed.files:,} files ({_mib(removed.freed_bytes)}) that were replaced "
                    f"more than {keep} ago {verb}"
                )
    except (LakeBusyError, LakeNotFoundError):
        if not light:
            raise


def _kept(text: str) -> timedelta:
    match = _KEPT.fullmatch(text.strip())
    if match is None:
        message = f"--keep {text!r} cannot be read; write a number of hours or days: 12h, 7d"
        raise SettingsError(message)
    number = int(match["number"])
    return timedelta(hours=number) if match["unit"] == "h" else timedelta(days=number)


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:,.1f} MiB"
