"""Secrets in what is logged or printed: masked at the root, whoever wrote the message.

What is stored is masked where it is made; this is the net under everything that is said.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from majordomo_analytics.capture.credentials import MASK, without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST_SECRET = 4
"""Secrets that are known are masked from this length on: a shorter one is in any text."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_IN_PLACES = re.compile(
    # A header as it is written, or as the repr of a pair of bytes or text.
    r"(?i:\b(?:proxy-)?authorization|\b(?:x-)?(?:goog-)?api-key|\bx-majordomo-key|\bcookie)"
    r"[\"']?\s*[:=,]\s*b?[\"']?(?:(?i:bearer|basic)\s+)?(?P<header>[^\s\"',;)\]}]+)"
    # The password of an address, of which only the user stays.
    r"|://[^\s/:@\"']*:(?P<password>[^\s\"']+)@"
    r"|(?i:\b(?:password|pgpassword|sslpassword|secret)[\"']?\s*[:=]\s*\"?)(?P<named>'[^']*'|[^\s&\"',]+)"
)


class Redaction(logging.Filter):
    """Masks secrets in log records: those that are known, and what looks like one.

    Parameters
    ----------
    secrets
        Texts that may never be shown, such as a database's password.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        known = sorted({s for s in secrets if len(s) >= SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def redacted(self, text: str) -> str:
        """Return `text` with every secret in it masked.

        >>> Redaction().redacted("GET /v1?key=abc123 by postgresql://ana:geheim@db/spend")
        'GET /v1?key=[credential] by postgresql://ana:[credential]@db/spend'
        """
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return without_credentials(_IN_PLACES.sub(_mask_group, text))

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the message, the traceback and the extra fields of a record; keep it."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # what does not fit together is shown as it is
            message = f"{record.msg} {record.args!r}"
        record.msg, record.args = self.redacted(message), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.redacted(record.exc_text)
        if record.stack_info:
            record.stack_info = self.redacted(record.stack_info)
        for name, value in vars(record).items():
            if name not in _STANDARD:
                record.__dict__[name] = self._redacted_value(value)
        return True

    def _redacted_value(self, value: Any) -> Any:
        match value:
            case str():
                return self.redacted(value)
            case bool() | int() | float() | None:
                return value
            case dict():
                return {key: self._redacted_value(one) for key, one in value.items()}
            case list() | tuple():
                return [self._redacted_value(one) for one in value]
            case _:
                return self.redacted(repr(value))


def redact_logs(secrets: Iterable[str] = ()) -> Redaction:
    """Have every handler that the root logger has by now mask secrets.

    At the handlers: a filter of a logger does not see what its children log.
    """
    redaction = Redaction(secrets)
    for handler in logging.getLogger().handlers:
        handler.addFilter(redaction)
    return redaction


def _mask_group(found: re.Match[str]) -> str:
    group = found.lastgroup or ""
    whole, start = found[0], found.start()
    return whole[: found.start(group) - start] + MASK + whole[found.end(group) - start :]
