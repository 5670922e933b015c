"""`mdm sample`: made-up traffic of any size, with its truth beside it."""

from __future__ import annotations

import shlex
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def sample(
    out: Annotated[
        Path, typer.Option("--out", help="The folder to make it in: a data directory afterwards.")
    ] = Path("majordomo-sample"),
    rows: Annotated[int, typer.Option(help="How many requests.")] = 200_000,
    seed: Annotated[
        int | None, typer.Option(help="Another number gives other traffic, with the same story.")
    ] = None,
    days: Annotated[int, typer.Option(help="How many days from 1 June 2026 on, up to 120.")] = 120,
) -> None:
    """Make a sample: the traffic of a made-up company at real prices, whose truth is known.

    The folder is a data directory like that of a proxy, so every other command works on it.
    Its `truth.json` says what every sum must be and what happened when: a launch, two
    experiments with known effect, a price cut, a runaway loop. The same numbers give the
    same requests. A folder that holds anything else is left alone.
    """
    from majordomo_analytics.datadir import keep_private
    from majordomo_analytics.sampling.directory import make_sample
    from majordomo_analytics.sampling.making import DEFAULT_SEED, Recipe

    recipe = Recipe(rows, DEFAULT_SEED if seed is None else seed, days)
    keep_private()
    started = time.monotonic()
    with _bar(rows) as (advance, made):
        truth = make_sample(out, recipe, on_rows=advance)
    _say(out, truth, time.monotonic() - started if made else None)


@contextmanager
def _bar(rows: int) -> Iterator[tuple[Callable[[int], None], list[int]]]:
    """Show how far it is, on a terminal only; yield what counts rows, and the counts."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from majordomo_analytics.cli.screen import err

    made: list[int] = []
    columns = (
        TextColumn("making requests"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=rows)

        def advance(count: int) -> None:
            made.append(count)
            bar.advance(task, count)

        yield advance, made


def _say(out: Path, truth: dict[str, Any], seconds: float | None) -> None:
    from decimal import Decimal

    from majordomo_analytics.cli.screen import say

    total, window = truth["total"], truth["window"]
    cost = Decimal(total["total_cost"] or 0)
    what = f"{total['requests']:,} requests of {total['users']:,} users, ${cost:,.2f}"
    when = f"{window['first_day']} to {window['last_day']}"
    took = "were there already" if seconds is None else f"made in {seconds:.1f} s"
    folder = shlex.quote(str(out))
    say(f"{what}, {when}, {took}: {out}")
    say(f"Their truth is in {out / 'truth.json'}.")
    say("Next:")
    say(f"  mdm query --data {folder} --by Feature --every month")
    say(f'  python -c \'import majordomo_analytics as ma; print(ma.open("{out}").by("Team"))\'')
