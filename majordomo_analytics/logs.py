"""Logs: one line for each event, as JSON for machines or as text for people.

Every process of the proxy writes to its stderr, which they share. A line says which process
it is from; what belongs to an event beside its sentence stands in fields of their own.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from majordomo_analytics.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_FORMATS = ("console", "json")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
FORMAT_VARIABLE = "MAJORDOMO_LOG_FORMAT"
LEVEL_VARIABLE = "MAJORDOMO_LOG_LEVEL"
PROCESS_VARIABLE = "MAJORDOMO_PROCESS"
"""How the supervisor calls a child, such as ``worker 2``: in logs, and in its counters."""

ALWAYS_TOLD = ("majordomo_proxy.supervisor", "majordomo_proxy.access")
"""Loggers whose sentences are few or asked for: they are written at the level info, too."""

_OWN_FIELDS = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", None, None)), "message", "asctime", "color_message"}
)
"""What every record has, or uvicorn's have for terminals."""


def set_up(process: str, *, log_format: str = "console", log_level: str = "warning") -> None:
    """Have this process write its logs to stderr; what was set up before goes.

    Parameters
    ----------
    process
        What lines call this process.
    log_format
        One of `LOG_FORMATS`.
    log_level
        One of `LOG_LEVELS`; what is less urgent is not written.

    Raises
    ------
    SettingsError
        If it is none of them.
    """
    for name, value, known in (
        ("log_format", log_format, LOG_FORMATS),
        ("log_level", log_level, LOG_LEVELS),
    ):
        if value not in known:
            message = f"{name} is {value!r}; it must be one of {', '.join(known)}"
            raise SettingsError(message)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process) if log_format == "json" else ConsoleLines(process))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        for one in old.filters:  # what masks secrets does so whatever the form
            handler.addFilter(one)
    root.addHandler(handler)
    root.setLevel(log_level.upper())
    for name in ALWAYS_TOLD:
        logging.getLogger(name).setLevel(min(root.level, logging.INFO))


def process_name(default: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return how the supervisor calls this process, or `default` if it did not start it."""
    return environment.get(PROCESS_VARIABLE) or default


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record was given as ``extra``."""
    return {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object on one line.

    Its members are ``time`` (UTC, with milliseconds), ``level``, ``process``, ``logger``,
    ``message``, the fields of the event, and ``traceback`` and ``stack`` if there are any.
    A field never takes the place of one of those.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = fields_of(record) | {
            "time": _instant(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        order = ("time", "level", "process", "logger", "message")
        line = {name: line[name] for name in order} | line
        if traceback := _traceback(record, self):
            line["traceback"] = traceback
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=str, ensure_ascii=False)


class ConsoleLines(logging.Formatter):
    """Writes a record as text; what a supervisor simply tells stands there as it is."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it if there is one."""
        message = _on_one_line(record.getMessage())
        if record.name == "majordomo_proxy.supervisor" and record.levelno == logging.INFO:
            return message
        fields = "".join(
            f" {name}={_on_one_line(str(value))}" for name, value in fields_of(record).items()
        )
        instant = f"{_instant(record):%Y-%m-%d %H:%M:%S}Z"
        line = f"{instant} {record.levelname} {self._process}: {message}{fields}"
        below = (_traceback(record, self), record.stack_info)
        return "\n".join([line, *(text for text in below if text)])


def _traceback(record: logging.LogRecord, formatter: logging.Formatter) -> str | None:
    # What a filter made of it comes first: in that one secrets are masked.
    if record.exc_text or not record.exc_info:
        return record.exc_text
    return formatter.formatException(record.exc_info)


def _instant(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _on_one_line(text: str) -> str:
    """Return text in which nobody can begin a line that looks like another event."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
