"""`mdm drain`: from the spool to the lake and to Postgres."""

from __future__ import annotations

import logging
import signal
import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from majordomo_analytics.cli.options import (
    DEFAULT_DATA,
    DEFAULT_POSTGRES_SCHEMA,
    DataOption,
    LogFormatOption,
    LogLevelOption,
    PostgresOption,
    PostgresSchemaOption,
    PriceBookOption,
    require_postgres_extra,
)
from majordomo_analytics.errors import MajordomoError, SettingsError, SpoolError

if TYPE_CHECKING:
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.observing import Observer
    from majordomo_analytics.drain.passes import Pass
    from majordomo_analytics.drain.sinks import Sink

ENDED_UNEXPECTEDLY = 1
SINK_UNREACHABLE = 3

logger = logging.getLogger("majordomo_analytics.drain")


def drain(
    data: DataOption = DEFAULT_DATA,
    postgres: PostgresOption = None,
    postgres_schema: PostgresSchemaOption = DEFAULT_POSTGRES_SCHEMA,
    once: Annotated[
        bool, typer.Option("--once", help="End when the spool is empty, instead of going on.")
    ] = False,
    price_book: PriceBookOption = None,
    retry_dead: Annotated[
        bool,
        typer.Option(
            "--retry-dead", help="Also try the rows again that a sink refused before; once."
        ),
    ] = False,
    forget_postgres: Annotated[
        bool,
        typer.Option(
            "--forget-postgres",
            help="Keep no more rows for the Postgres that this data directory had before; once.",
        ),
    ] = False,
    upkeep: Annotated[
        bool,
        typer.Option(
            envvar="MAJORDOMO_LAKE_UPKEEP",
            help="Compact the lake now and then, and remove files that were replaced a week ago.",
            show_default=True,
        ),
    ] = True,
    log_format: LogFormatOption = "console",
    log_level: LogLevelOption = "warning",
    lifeline: Annotated[
        int | None,
        typer.Option(hidden=True, help="Descriptor whose end says that the supervisor is gone."),
    ] = None,
) -> None:
    """Price what the proxy wrote; append it to the lake and to Postgres, each request once.

    Ends with 0 when everything reached the lake and, if one is named, Postgres; with 3 when
    something could not be reached or was refused; nothing is lost then, the next run tries
    again. Once a data directory has a Postgres, its rows wait for it in the spool while a
    drain runs without it, too.
    """
    from majordomo_analytics.cli.counting import observer_for
    from majordomo_analytics.cli.screen import progress, say, warn
    from majordomo_analytics.cli.stopping import stop_on_signals
    from majordomo_analytics.datadir import DataDirectory, keep_private
    from majordomo_analytics.drain.lag import LagWatch
    from majordomo_analytics.drain.loop import drain_forever, drain_once
    from majordomo_analytics.drain.removal import fed_place, forget_sink
    from majordomo_analytics.drain.upkeep import Upkeep
    from majordomo_analytics.drain.waiting import waiting
    from majordomo_analytics.logs import process_name, set_up
    from majordomo_analytics.pricing.bookfile import price_book_for
    from majordomo_analytics.pricing.pricer import use_price_book
    from majordomo_analytics.redaction import redact_logs

    keep_private()
    directory = DataDirectory.open(data)
    use_price_book(price_book_for(directory, price_book))
    observer = observer_for(process_name(""))
    sinks = _sinks(directory, postgres, postgres_schema, observer)
    if forget_postgres:
        if postgres and sinks[-1].place == fed_place(directory, "postgres"):
            message = (
                "--postgres (MAJORDOMO_POSTGRES) names the one that --forget-postgres would "
                "forget; give one of them"
            )
            raise SettingsError(message)
        was_fed = forget_sink(directory, "postgres")
        say("Postgres is forgotten" if was_fed else "no Postgres was fed from here")
    if once and lifeline is not None:
        set_up(process_name("drain"), log_format=log_format, log_level=log_level)
        redact_logs()
        report = drain_once(directory, sinks)
        for trouble in report.troubles:
            logger.warning(trouble)
        if report.rows:
            logger.info("rows were drained", extra={"sink": "lake", "rows": report.rows})
        raise typer.Exit(SINK_UNREACHABLE if report.troubles else 0)
    if once or retry_dead or forget_postgres:
        with progress("draining", "rows") as advance:
            report = drain_once(directory, sinks, on_rows=advance, again=retry_dead)
        for trouble in report.troubles:
            warn(trouble)
        say(f"{report.rows:,} requests appended to {directory.lake}")
        if postgres:
            say(f"{report.postgres_rows:,} requests inserted into Postgres")
        if report.spools_kept_for and (rows := waiting(directory).rows):
            for sink in report.spools_kept_for:
                kept = f"{rows:,} rows wait in the spool for {sink}"
                say(f"{kept}; give --{sink}, or --forget-{sink}")
        _say_dead_letters(directory)
        raise typer.Exit(SINK_UNREACHABLE if report.troubles else 0)

    set_up(process_name("drain"), log_format=log_format, log_level=log_level)
    redact_logs()
    stop = threading.Event()
    stop_on_signals(stop, lifeline=lifeline)
    if lifeline is not None:
        # Ctrl-C reaches this process too, but the workers have rows to write still: the
        # supervisor says when the last pass is due.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    keeper = Upkeep(directory.root, on_done=logger.info, on_trouble=logger.warning)
    with LagWatch(directory, observer.on_lag) as lag, closing(keeper):

        def on_pass(sink: str, done: Pass) -> None:
            lag.on_pass(sink, done)
            observer.on_pass(sink, done)
            if sink == "lake" and done.rows:
                keeper.count_commit()

        try:
            drain_forever(
                directory,
                sinks,
                stop=stop,
                on_trouble=logger.warning,
                on_pass=on_pass,
                tend=keeper.tend if upkeep else lambda: None,
            )
        except MajordomoError as error:
            logger.critical("the drain ends: %s", error)
            raise typer.Exit(ENDED_UNEXPECTEDLY) from error
        except Exception as error:
            logger.exception("the drain ends")
            raise typer.Exit(ENDED_UNEXPECTEDLY) from error


def _sinks(
    data: DataDirectory, postgres: str | None, schema: str, observer: Observer
) -> list[Sink]:
    from majordomo_analytics.drain.sinks import LakeSink

    sinks: list[Sink] = [LakeSink(data.lake, on_appended=observer.on_appended)]
    if postgres:
        require_postgres_extra("--postgres")
        from majordomo_analytics.drain.postgres import PostgresSink

        sinks.append(PostgresSink(postgres, schema=schema, lake=data.lake))
    return sinks


def _say_dead_letters(data: DataDirectory) -> None:
    from majordomo_analytics.cli.screen import say, warn
    from majordomo_analytics.drain.dead_letters import DeadLetters

    try:
        dead = Counter[str]()
        for kind in DeadLetters(data.dead_letters).kinds():
            dead[kind.sink] += kind.requests
    except SpoolError as error:
        warn(str(error))
        return
    for sink, requests in sorted(dead.items()):
        say(
            f"{requests:,} dead letters of {sink} are in {data.dead_letters.name}; "
            "`mdm drain --retry-dead` tries them again"
        )
