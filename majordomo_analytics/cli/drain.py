"""`mdm drain`: from the spool to the lake."""

from __future__ import annotations

import select
import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from majordomo_analytics.cli.options import DEFAULT_DATA, DataOption, PriceBookOption

if TYPE_CHECKING:
    from majordomo_analytics.drain.loop import DrainReport

SINK_UNREACHABLE = 3


def drain(
    data: DataOption = DEFAULT_DATA,
    once: Annotated[
        bool, typer.Option("--once", help="End when the spool is empty, instead of going on.")
    ] = False,
    price_book: PriceBookOption = None,
    lifeline: Annotated[
        int | None,
        typer.Option(hidden=True, help="Descriptor whose end says that the supervisor is gone."),
    ] = None,
) -> None:
    """Price what the proxy wrote and append it to the lake, each request once.

    Ends with 0 when everything reached the lake, with 3 when something could not be
    reached; nothing is lost then, the next run tries again.
    """
    from majordomo_analytics.cli.screen import progress, say, warn
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.loop import drain_forever, drain_once
    from majordomo_analytics.pricing.bookfile import price_book_for
    from majordomo_analytics.pricing.pricer import use_price_book

    directory = DataDirectory.open(data)
    use_price_book(price_book_for(directory, price_book))
    if once:
        with progress("draining", "rows") as advance:
            report = drain_once(directory, on_rows=advance)
        for trouble in report.troubles:
            warn(trouble)
        say(f"{report.rows:,} requests appended to {directory.lake}")
        raise typer.Exit(SINK_UNREACHABLE if report.troubles else 0)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if lifeline is not None:
        # Ctrl-C reaches this process too, but the workers have rows to write still: the
        # supervisor says when the last pass is due.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_wait_for_end, args=(lifeline, stop), daemon=True).start()
    reported: set[str] = set()

    def on_pass(report: DrainReport) -> None:
        for trouble in set(report.troubles) - reported:
            warn(trouble)
        reported.clear()
        reported.update(report.troubles)

    drain_forever(directory, stop=stop, on_pass=on_pass)


def _wait_for_end(descriptor: int, stop: threading.Event) -> None:
    # Nothing is ever written: it becomes readable when the other end closes. The descriptor
    # is shared with the workers, whose event loop made it non-blocking.
    select.select([descriptor], [], [])
    stop.set()
