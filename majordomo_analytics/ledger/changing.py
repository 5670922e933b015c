"""What a ledger does to its lake: promote metadata keys, and demote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from majordomo_analytics.lake.promotion import demote, promote

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.lake.promotion import Promotion
    from majordomo_analytics.ledger.sources import Source


class Changing:
    """The methods of a ledger that change its lake; no answer changes by them."""

    __slots__ = ()

    source: Source

    def promote(
        self,
        *keys: str,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> Promotion:
        """Give metadata keys a column of their own, for the whole lake.

        Questions about them are several times as fast, with the same answers. Days
        that are over are written anew; the proxy and its drain go on meanwhile. Cut short,
        it goes on where it was when it is called again.

        Parameters
        ----------
        *keys
            Names of metadata keys, in any spelling; they need not occur yet.
        progress
            Called with how many rows were filled, and how many there are to be filled.

        Returns
        -------
        Promotion
            Which keys were promoted, which were already, and how many rows were filled.

        Raises
        ------
        SettingsError
            If a name cannot be that of a metadata key.
        SourceError
            If the ledger is not that of a lake, or of an earlier version of one.
        LakeBusyError
            If the lake is being maintained.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import majordomo_analytics as ma
        >>> from majordomo_analytics.lake.table import create_lake
        >>> with TemporaryDirectory() as folder:
        ...     create_lake(folder)
        ...     ledger = ma.open(folder)
        ...     done = ledger.promote("plan", "Team")
        >>> done.promoted, done.already
        (('Plan',), ('Team',))
        """
        return promote(self.source.changeable_lake(), keys, progress=progress)

    def demote(self, *keys: str) -> tuple[str, ...]:
        """Take their columns from metadata keys; questions read the metadata again.

        Parameters
        ----------
        *keys
            Names of promoted metadata keys, in any spelling.

        Returns
        -------
        tuple of str
            The keys, by their canonical names.

        Raises
        ------
        UnknownNameError
            If one of them is not promoted; none is demoted then.
        SourceError
            If the ledger is not that of a lake, or of an earlier version of one.
        LakeBusyError
            If the lake is being maintained.
        """
        return demote(self.source.changeable_lake(), keys)
