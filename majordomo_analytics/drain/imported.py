"""Which Postgres got rows of a data directory by an import, and not by its drain.

Spools do not wait for it, as they do for one that is fed. But what is erased, or too old,
stands there as well, and whoever does not name it has to be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.drain.removal import fed_place
from majordomo_analytics.spool.files import flush

if TYPE_CHECKING:
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.erasing import PostgresPlace

NOTE = "imported-postgres"
"""Name of the file in the data directory: a place on each line, without secrets."""


def note_imported(data: DataDirectory, place: str) -> None:
    """Note that the Postgres at `place` gets imported rows, before it gets the first."""
    known = imported_places(data)
    if place in known:
        return
    draft = data.root / f"{NOTE}-new"
    draft.touch(mode=0o600)
    draft.write_text("".join(f"{line}\n" for line in (*known, place)), "utf-8")
    flush(draft)
    draft.replace(data.root / NOTE)
    flush(data.root)


def imported_places(data: DataDirectory) -> tuple[str, ...]:
    """Return where imports put rows besides the lake, in the order of the first of each."""
    try:
        return tuple((data.root / NOTE).read_text("utf-8").splitlines())
    except FileNotFoundError:
        return ()


def imported_elsewhere(data: DataDirectory, named: PostgresPlace | None) -> list[str]:
    """Return a sentence for each Postgres that has imported rows and is not the one named.

    The one that is fed from here is left out: that it was not named is said anyway.
    """
    reached = fed_place(data, "postgres")
    if named is not None:
        # Not before it is needed: whoever has no Postgres need not have its driver.
        from majordomo_analytics.drain.pages import Pages

        reached = Pages(named.dsn, named.schema).place
    return [
        f"requests were imported into the Postgres at {place!r}, which was not reached; name it "
        f"by --postgres, or take its line out of {str(data.root / NOTE)!r} once it is gone"
        for place in imported_places(data)
        if place != reached
    ]
