"""What `seam/sitecustomize.py` does in a process of the product that is to obey."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.faults.points import POINTS, Point

MOST_PAGES = 2**32 - 2
READS_THE_CLOCK = ("majordomo_proxy.exchange", "majordomo_analytics.drain.sinks")
"""Modules that ask `datetime` for the time: it is a type of C, and cannot be changed."""


def install(folder: str, role: str) -> None:
    """Put the seam's parts into this process."""
    points = {name: point for name, point in POINTS.items() if point.role == role}
    deaths = Deaths(folder, points)
    changes = Changes()
    for name, point in points.items():
        module, _, step = point.step.partition(":")
        if module == "sql":
            continue
        wrap = partial(put_around, step, deaths.around(name, point))
        if module in sys.modules:
            wrap(sys.modules[module])
        else:
            changes.after(module, wrap)
    constants = Path(folder, "constants.json")
    for name, value in json.loads(constants.read_text()).items():
        module, _, constant = name.partition(":")
        changes.after(module, partial(set_constant, constant, value))
    clock = Clock(folder)
    time.time, time.time_ns = clock.time, clock.time_ns
    for module in READS_THE_CLOCK:
        changes.after(module, lambda m: setattr(m, "datetime", clock.datetime()))
    sys.meta_path.insert(0, changes)
    watch_sql(folder, deaths)


class Deaths:
    """The points that this process may die at."""

    def __init__(self, folder: str, points: dict[str, Point]) -> None:
        self._orders = {name: f"{folder}/die-{name}" for name in points}
        self._seen = dict.fromkeys(points, 0)
        self.of_sql = [
            (name, point.after, re.compile(point.step.removeprefix("sql:"), re.IGNORECASE))
            for name, point in points.items()
            if point.step.startswith("sql:")
        ]

    def reach(self, name: str) -> None:
        """Die here if that was ordered, and it is the nth time."""
        order = self._orders[name]
        if not os.path.exists(order):  # noqa: PTH110 - on the way of every request
            return
        self._seen[name] += 1
        try:
            if self._seen[name] < int(Path(order).read_text()):
                return
            os.unlink(order)  # noqa: PTH108 - Path.unlink is a step that is watched
        except FileNotFoundError:  # another process of the same role was quicker
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, point: Point) -> Callable[[Any], Any]:
        """Return what makes a step one that reaches a point."""

        def wrap(step: Any) -> Any:
            def wrapped(*arguments: Any, **named: Any) -> Any:
                if not point.after:
                    self.reach(name)
                result = step(*arguments, **named)
                if point.after:  # a step that raised does not count
                    self.reach(name)
                return result

            return wrapped

        return wrap


def put_around(step: str, wrap: Callable[[Any], Any], module: ModuleType) -> None:
    owner: Any = module
    *owners, name = step.split(".")
    for one in owners:
        owner = getattr(owner, one)
    setattr(owner, name, wrap(getattr(owner, name)))


def set_constant(name: str, value: Any, module: ModuleType) -> None:
    getattr(module, name)  # to fail when it has another name by now
    setattr(module, name, value)


class Changes(MetaPathFinder):
    """Changes modules right after they ran, before anyone took names from them."""

    def __init__(self) -> None:
        self._changes: dict[str, list[Callable[[ModuleType], None]]] = {}

    def after(self, module: str, change: Callable[[ModuleType], None]) -> None:
        self._changes.setdefault(module, []).append(change)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        changes = self._changes.pop(name, None)
        if changes is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            for change in changes:
                change(module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


def watch_sql(folder: str, deaths: Deaths) -> None:
    """Let connections to SQLite reach points, and find the disk full if so ordered."""
    full = f"{folder}/full"

    class Watched(sqlite3.Connection):
        is_limited = False

        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            self._limit()
            return self._reaching(sql, lambda: super(Watched, self).execute(sql, *arguments))

        def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            self._limit()
            return self._reaching(sql, lambda: super(Watched, self).executemany(sql, *arguments))

        def _reaching(self, sql: str, run: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
            reached = [(name, late) for name, late, what in deaths.of_sql if what.match(sql)]
            for name, late in reached:
                if not late:
                    deaths.reach(name)
            cursor = run()
            for name, late in reached:
                if late:
                    deaths.reach(name)
            return cursor

        def _limit(self) -> None:
            is_full = os.path.exists(full)  # noqa: PTH110 - on the way of every request
            if is_full or self.is_limited:
                # SQLite makes of 1 the number of pages that the database has by now.
                pages = 1 if is_full else MOST_PAGES
                super().execute(f"pragma max_page_count = {pages}")
                self.is_limited = is_full

    connect = sqlite3.connect

    def connect_watched(database: Any, *arguments: Any, **named: Any) -> sqlite3.Connection:
        if "/spool/" in str(database):
            named["factory"] = Watched
        connection: sqlite3.Connection = connect(database, *arguments, **named)
        return connection

    sqlite3.connect = connect_watched  # type: ignore[assignment]


class Clock:
    """The wall clock, off by as much as was ordered; durations have another one."""

    def __init__(self, folder: str) -> None:
        self._order = f"{folder}/clock"
        self._time_ns = time.time_ns

    def _off_s(self) -> float:
        try:
            with open(self._order) as file:  # noqa: PTH123 - asked for very often
                return float(file.read() or 0)
        except FileNotFoundError:
            return 0.0

    def time_ns(self) -> int:
        return self._time_ns() + int(self._off_s() * 1e9)

    def time(self) -> float:
        return self.time_ns() / 1e9

    def datetime(self) -> type[datetime]:
        """Return a `datetime` whose `now` goes by this clock."""
        clock = self

        class Now(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.fromtimestamp(clock.time(), tz)

        return Now
