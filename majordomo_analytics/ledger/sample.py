"""`ma.sample`: a ledger of made-up traffic whose truth is known."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from majordomo_analytics.ledger.opening import open as open_ledger
from majordomo_analytics.ledger.waiting import waiting
from majordomo_analytics.sampling.making import DEFAULT_SEED, Recipe
from majordomo_analytics.sampling.shipped import REQUESTS, SHIPPED, cached_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from majordomo_analytics.ledger.ledger import Ledger

QUICK_ROWS = 20_000
"""So many are made within about a second, without a word."""


def sample(rows: int | None = None, *, seed: int | None = None) -> Ledger:
    """Return a ledger of made-up traffic: 120 days of a company that sells software.

    The requests are of 1 June to 28 September 2026, whatever the day is today, and their
    costs are those of real models at the public prices of those days. What happens in them
    (a launch, two experiments, a price cut, a runaway loop …) is told in
    ``docs/sample.md``, and what every sum must be in a file ``truth.json`` beside them.

    Parameters
    ----------
    rows
        How many requests; by default the 40,000 that come with the package. Any other
        number is made once, 200,000 in a few seconds, and kept in the folder for caches:
        ``MAJORDOMO_CACHE`` if that is set, else below ``XDG_CACHE_HOME`` or ``~/.cache``.
    seed
        Another number gives other traffic with the same story.

    Returns
    -------
    Ledger
        Its columns are those of real traffic, so that all that is asked of it can be
        asked of a data directory.

    Raises
    ------
    SettingsError
        If there can be no such sample.
    LakeError
        If it cannot be written.

    Examples
    --------
    >>> import majordomo_analytics as ma
    >>> ledger = ma.sample()
    >>> ledger.query("requests").total
    {'requests': 40000}
    >>> july = ledger.during("2026-07").filter(Feature="meeting-notes")
    >>> weeks = july.query("requests", time_grain="week", fill_gaps=False).to_polars()
    >>> weeks["week"].min()
    datetime.date(2026, 7, 20)
    """
    if rows is None and seed is None:
        shipped = open_ledger(REQUESTS)
        shipped.source.label = "the sample"
        return shipped
    recipe = Recipe(SHIPPED.rows if rows is None else rows, DEFAULT_SEED if seed is None else seed)
    with _progress(recipe.rows) as on_rows:
        folder, _ = cached_sample(recipe, on_rows=on_rows)
    made = open_ledger(folder)
    made.source.label = f"a sample with seed {recipe.seed}"
    return made


@contextmanager
def _progress(rows: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal or in a notebook, if it takes more than a moment."""
    if rows <= QUICK_ROWS:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        with waiting(f"making {rows:,} requests, once", total=rows) as on_rows:
            yield on_rows
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"making {rows:,} requests, once", total=rows, visible=False)
        yield lambda count: bar.update(task, advance=count, visible=True)
