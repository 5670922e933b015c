"""The supervisor: workers and the drain as processes, restarted when they die.

One listening socket is shared by all workers, so that none of them has to be up for a
caller to be let in. SIGTERM and SIGINT end everything in order; SIGHUP reads the settings
anew and replaces the workers one by one.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import MajordomoError
from majordomo_analytics.logs import FORMAT_VARIABLE, LEVEL_VARIABLE, set_up
from majordomo_proxy import scoreboard
from majordomo_proxy.children import ROWS_LOST, Child, free_name
from majordomo_proxy.listening import listen
from majordomo_proxy.rollout import Rollout
from majordomo_proxy.settings import SETTINGS_VARIABLE, settings_to_text
from majordomo_proxy.supervisor_metrics import SupervisorMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_proxy.settings import Settings

LOOK_S = 0.1
LAST_DRAIN_S = 60.0
POSTGRES_VARIABLE = "MAJORDOMO_POSTGRES"
"""Only the drain is given it: it may hold a password."""

FIXED = ("data", "host", "port")
"""Settings that a reload cannot change: what runs is bound to them."""

OF_POSTGRES = ("postgres", "postgres_schema")

logger = logging.getLogger("majordomo_proxy.supervisor")


class Supervisor:
    """Runs `mdm proxy`: one listening socket, the workers on it, and the drain.

    Parameters
    ----------
    settings
        What to run.
    reread
        Reads the settings anew, and raises `MajordomoError` if they cannot be used.
    alongside
        What runs in this process while the proxy does; it is left and entered anew when the
        settings of Postgres change.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        reread: Callable[[], Settings] | None = None,
        alongside: Callable[[Settings], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self._settings = settings
        self._reread = reread or (lambda: settings)
        self._alongside = alongside
        self._companion = ExitStack()
        # Plain values: a handler that took a lock could find the main thread holding it.
        self._is_to_stop = False
        self._is_to_reload = False
        self._sockets: tuple[int, int] = (-1, -1)
        self._board = Path()
        self._workers: list[Child] = []
        self._leaving: list[Child] = []
        self._drain: Child | None = None
        self._drain_made_of: object = None
        self._rollout: Rollout | None = None
        self._has_failed = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT.

        Returns the exit status: 0, or 1 if a child would not end and was killed.

        Raises
        ------
        DataDirectoryError
            If the data directory cannot be used.
        SettingsError
            If the address cannot be listened on.
        """
        settings = self._settings
        data = DataDirectory.create(settings.data)
        self._handle_signals()
        with (
            listen(settings.host, settings.port) as listener,
            scoreboard.folder_of_run(data.metrics) as self._board,
            self._companion,
        ):
            self._companion.enter_context(self._alongside(settings))
            lifeline_read, lifeline_write = os.pipe()
            host, port = listener.getsockname()[:2]
            scoreboard.join("supervisor", self._board)
            self._metrics = SupervisorMetrics()
            self._sockets = (listener.fileno(), lifeline_read)
            try:
                for _ in range(settings.workers):
                    self._workers.append(self._start_worker(settings))
                self._start_drain(settings)
                shown = f"[{host}]" if ":" in host else host
                logger.info("majordomo proxy on http://%s:%s, data in %s", shown, port, data.root)
                while not self._is_to_stop:
                    self._look()
                    time.sleep(LOOK_S)
            finally:
                listener.close()  # who calls now is refused, and does not wait in vain
                self._end()
                os.close(lifeline_write)
                os.close(lifeline_read)
        return int(self._has_failed)

    def _handle_signals(self) -> None:
        had_terminal = sys.stderr.isatty()

        def hang_up(*_: object) -> None:
            # A terminal that was closed says the same, and means the end.
            is_gone = had_terminal and not sys.stderr.isatty()
            self._is_to_stop |= is_gone
            self._is_to_reload |= not is_gone

        def stop(*_: object) -> None:
            self._is_to_stop = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        signal.signal(signal.SIGHUP, hang_up)

    # Starting

    def _start_worker(self, settings: Settings) -> Child:
        name = free_name((*self._workers, *self._leaving))
        command = [sys.executable, "-m", "majordomo_proxy.worker", *map(str, self._sockets)]
        told = {SETTINGS_VARIABLE: settings_to_text(settings)}
        child = Child("worker", name, command, self._sockets, _environment() | told)
        _start(child)
        return child

    def _make_drain(self, settings: Settings, *options: str) -> Child:
        lifeline = self._sockets[1]
        command = [sys.executable, "-m", "majordomo_analytics", "drain"]
        command += ["--data", str(settings.data), "--lifeline", str(lifeline), *options]
        told = _drain_environment(settings)
        return Child("drain", "drain", command, (lifeline,), _environment() | told)

    def _start_drain(self, settings: Settings) -> None:
        self._drain = self._make_drain(settings)
        self._drain_made_of = _what_the_drain_depends_on(settings)
        _start(self._drain)

    # Looking after them

    def _look(self) -> None:
        if self._is_to_reload and self._rollout is None:
            self._is_to_reload = False
            self._begin_reload()
        if self._rollout is not None:
            self._go_on_with(self._rollout)
        for child in self._workers:
            self._look_after(child)
        for child in self._leaving[:]:
            if child.look() is not None or child.process is None:
                self._leaving.remove(child)
                scoreboard.forget(child.name, self._board)
        self._look_after_drain()
        children = (*self._workers, *self._leaving, self._drain)
        self._metrics.show_children(child for child in children if child is not None)

    def _look_after(self, child: Child) -> None:
        if child.process is None:
            if time.monotonic() >= child.start_at:
                _start(child)
            return
        status = child.look()
        if status is not None:
            scoreboard.forget(child.name, self._board)
            self._metrics.count_restart(child)
            pause_s = child.pause()
            logger.warning("%s ended with status %s; again in %g s", child.name, status, pause_s)

    def _look_after_drain(self) -> None:
        drain = self._drain
        if drain is None:
            return
        if not drain.is_told_to_end:
            self._look_after(drain)
        elif drain.process is None or drain.look() is not None:
            scoreboard.forget(drain.name, self._board)
            if not self._settings.postgres:
                scoreboard.forget_series(drain.name, self._board, sink="postgres")
            self._start_drain(self._settings)
        elif drain.is_overdue():
            logger.warning("the drain does not end: it is killed; its rows stay in the spool")
            drain.kill()

    # Reloading

    def _begin_reload(self) -> None:
        try:
            settings = self._reread()
        except MajordomoError as error:
            self._refuse_reload(str(error))
            return
        except Exception as error:  # whatever it is, what runs is worth more
            logger.exception("the settings could not be read anew")
            self._refuse_reload(repr(error))
            return
        before = self._settings
        for name in FIXED:
            if getattr(settings, name) != getattr(before, name):
                logger.warning(
                    "%s stays %s: it cannot change without a restart", name, getattr(before, name)
                )
        settings = replace(settings, data=before.data, host=before.host, port=before.port)
        self._rollout = Rollout(settings, self._workers[:], settings.workers)

    def _go_on_with(self, rollout: Rollout) -> None:
        """Take the next step, if its time has come."""
        fresh = rollout.fresh
        if fresh is None:
            if rollout.to_start:
                rollout.to_start -= 1
                rollout.fresh = self._start_worker(rollout.settings)
            elif rollout.old:
                self._retire(rollout.old.pop())
            elif self._drain is None or not self._drain.is_told_to_end:
                # Not before: a drain of earlier settings lets go of rows that only those
                # of the new ones would still need.
                self._rollout = None
                self._metrics.count_reload("done")
                logger.info("the settings are reloaded; %s workers have them", len(self._workers))
            return
        if fresh.process is None:
            if time.monotonic() >= fresh.start_at:
                _start(fresh)
            return
        fresh.look()
        if fresh.is_ready:
            if not rollout.is_proven:
                rollout.is_proven = True
                self._take_over(rollout.settings)
            rollout.fresh = None
            self._workers.append(fresh)
            if rollout.old:
                self._retire(rollout.old.pop(0))
        elif failure := rollout.failure():
            fresh.kill()
            scoreboard.forget(fresh.name, self._board)
            if rollout.is_proven:
                pause_s = fresh.pause()
                logger.warning("%s; again in %g s", failure, pause_s)
            else:
                self._rollout = None
                self._refuse_reload(failure)

    def _refuse_reload(self, reason: str) -> None:
        self._metrics.count_reload("refused")
        logger.error("the settings are not reloaded, the earlier ones go on: %s", reason)

    def _take_over(self, settings: Settings) -> None:
        """Have everything but the workers go by new settings."""
        before, self._settings = self._settings, settings
        set_up("supervisor", log_format=settings.log_format, log_level=settings.log_level)
        if any(getattr(settings, name) != getattr(before, name) for name in OF_POSTGRES):
            self._companion.close()
            self._companion.enter_context(self._alongside(settings))
        drain = self._drain
        if drain and self._drain_made_of != _what_the_drain_depends_on(settings):
            drain.tell(signal.SIGTERM, LAST_DRAIN_S)

    def _retire(self, child: Child) -> None:
        """Have a worker take no more callers; it ends with its last answer."""
        self._workers.remove(child)
        self._leaving.append(child)
        if child.is_ready:
            child.tell(signal.SIGUSR1, grace_s=float("inf"))
        else:
            child.tell(signal.SIGTERM, grace_s=float("inf"))

    # Ending

    def _end(self) -> None:
        """End the workers first, then the drain, so that their last rows are drained."""
        settings = self._settings
        workers = [*self._workers, *self._leaving]
        if self._rollout is not None and self._rollout.fresh is not None:
            workers.append(self._rollout.fresh)
        for worker in workers:
            worker.tell(signal.SIGTERM, settings.stop_timeout_s + settings.spool_wait_s + 10)
        for worker in workers:
            self._wait_for(worker, "what it had not finished gets rows that say so")
        drain = self._drain
        if drain is None:
            return
        # One that was told before, by us or with the whole group, or that was between two
        # lives, may not have seen the workers' last rows.
        has_to_follow = drain.is_told_to_end or drain.process is None or drain.look() is not None
        drain.tell(signal.SIGTERM, LAST_DRAIN_S)
        self._wait_for(drain, "its rows stay in the spool")
        if has_to_follow or (drain.process and drain.process.returncode == -signal.SIGTERM):
            last = self._make_drain(settings, "--once")
            try:
                last.start()
            except OSError as error:
                logger.error(
                    "the last drain could not be started: %s; its rows stay in the spool", error
                )
                return
            last.end_by = time.monotonic() + LAST_DRAIN_S
            self._wait_for(last, "its rows stay in the spool")

    def _wait_for(self, child: Child, consequence: str) -> None:
        if not child.wait():
            self._has_failed = True
            logger.error("%s did not end in time and was killed; %s", child.name, consequence)
        elif child.process is not None and child.process.returncode == ROWS_LOST:
            self._has_failed = True
            logger.error("%s ended with rows that the disk did not take", child.name)


def _start(child: Child) -> None:
    """Start a child, or have it be started again after a pause."""
    try:
        child.start()
    except OSError as error:  # no descriptors, processes or memory are left just now
        pause_s = child.pause()
        logger.error("%s could not be started: %s; again in %g s", child.name, error, pause_s)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != POSTGRES_VARIABLE}


def _drain_environment(settings: Settings) -> dict[str, str]:
    return {
        POSTGRES_VARIABLE: settings.postgres,
        "MAJORDOMO_POSTGRES_SCHEMA": settings.postgres_schema,
        "MAJORDOMO_PRICE_BOOK": settings.price_book,
        "MAJORDOMO_LAKE_UPKEEP": str(settings.lake_upkeep).lower(),
        FORMAT_VARIABLE: settings.log_format,
        LEVEL_VARIABLE: settings.log_level,
    }


def _what_the_drain_depends_on(settings: Settings) -> object:
    """Return something that differs once a drain has to begin anew."""
    book = settings.price_book or DataDirectory(settings.data).price_book
    try:
        found = Path(book).stat()
    except OSError:
        return _drain_environment(settings), None
    return _drain_environment(settings), (found.st_mtime_ns, found.st_size, found.st_ino)
