"""Rows of any table, by a map of columns; rows of our own come back as they were."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

from majordomo_analytics.errors import BadValueError
from majordomo_analytics.imports.rows import row_id
from majordomo_analytics.imports.values import (
    add_metadata,
    is_null,
    read_boolean,
    read_count,
    read_instant,
    read_json,
    read_metadata_map,
    read_money,
    read_text,
    read_uuid,
)
from majordomo_analytics.records.columns import BY_NAME
from majordomo_analytics.records.metadata import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo

    from majordomo_analytics.imports.mapping import ColumnMap
    from majordomo_analytics.imports.rows import Fields

KIND = "table"
MARK = "imported"

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula when a text begins with it."""

CLOSED: dict[str, frozenset[str]] = {
    "outcome": frozenset(
        {"completed", "client_disconnected", "upstream_error", "timeout", "interrupted"}
    ),
    "usage_status": frozenset({"reported", "partial", "estimated", "missing"}),
    "cost_status": frozenset({"priced", "unpriced", "no_usage", "stated", "error"}),
}
"""Columns with a closed list of values."""


class PlainReader:
    """Reads rows by a map of columns.

    Parameters
    ----------
    columns
        The columns of the source.
    mapping
        Where ours are among them.
    zone
        Of times without an offset.
    has_marked_texts
        Whether texts that look like formulas carry an apostrophe, as in our CSV.
    """

    kind = KIND
    mark = MARK

    def __init__(
        self,
        columns: Iterable[str],
        mapping: ColumnMap,
        *,
        zone: tzinfo = UTC,
        has_marked_texts: bool = False,
    ) -> None:
        self.wanted = tuple(columns)
        self.mapping = mapping
        self._zone = zone
        self._unmarks = mapping.is_ours and has_marked_texts

    @property
    def label(self) -> str:
        """What is read, for a person."""
        return "requests of our own" if self.mapping.is_ours else "a table of requests"

    def read(self, values: Mapping[str, Any]) -> Fields:
        """Return what a row says.

        Raises
        ------
        BadValueError
            If a value is none of its column.
        """
        found: list[str] = []
        fields: Fields = {}
        for ours, theirs in self.mapping.columns.items():
            fields[ours] = self._value(ours, values.get(theirs), found)
        if fields.get("id") is not None and not self.mapping.is_ours:
            original = fields["id"]
            fields["id"] = row_id(KIND, original, told_apart_by=self._circumstances(values, fields))
            if fields["id"] != original.lower():
                fields.setdefault("response_id", original)
        metadata = fields.get("raw_metadata") or {}
        said = {
            key: value
            for key, theirs in self.mapping.keys.items()
            if not is_null(value := values.get(theirs)) and key not in metadata
        }
        add_metadata(metadata, said, found)
        fields["raw_metadata"] = metadata
        fields["flags"] = [*(fields.get("flags") or ()), *dict.fromkeys(found)]
        return fields

    def _circumstances(self, values: Mapping[str, Any], fields: Fields) -> tuple[str, ...]:
        """Return what tells requests of different tables apart that have the same short id.

        The time is as it stands there, one without an offset taken for UTC: the row keeps
        its name in whatever format it comes and whatever zone it is said to be of.
        """
        theirs = self.mapping.columns.get("requested_at")
        at = None if theirs is None else read_instant("requested_at", values.get(theirs))
        said = (at and at.isoformat(), fields.get("provider"), fields.get("model"))
        return tuple(text or "" for text in said)

    def _value(self, ours: str, value: Any, found: list[str]) -> Any:
        if ours == "id":
            return read_uuid(ours, value) if self.mapping.is_ours else _text(value, found)
        if ours == "majordomo_api_key_id":
            return read_uuid(ours, value)
        match BY_NAME[ours].type:
            case "integer":
                return read_count(ours, value, scale=1000 if self._is_in_seconds(ours) else 1)
            case "money":
                return read_money(ours, value)
            case "instant":
                return read_instant(ours, value, self._zone)
            case "boolean":
                return read_boolean(ours, value)
            case "text_map" if self.mapping.is_ours:
                return _own_metadata(ours, value)
            case "text_map":
                return read_metadata_map(ours, value, found)
            case "text_list":
                return _flags(ours, value)
            case _:
                return self._own_text(ours, value, found)

    def _own_text(self, ours: str, value: Any, found: list[str]) -> str | None:
        text = read_text(value, found) if self.mapping.is_ours else _text(value, found)
        if text and self._unmarks and text[0] == "'" and text.lstrip("'").startswith(FORMULA):
            text = text[1:]
        allowed = CLOSED.get(ours)
        if text is not None and allowed is not None and text not in allowed:
            raise BadValueError(ours, text, f"is none of {', '.join(sorted(allowed))}")
        return text

    def _is_in_seconds(self, ours: str) -> bool:
        return ours in self.mapping.in_seconds


def digest_of(values: Mapping[str, Any]) -> str:
    """Return what names a row that has no id: everything that stands in it."""
    text = json.dumps(dict(values), default=str, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: Any, found: list[str]) -> str | None:
    """Return a text; in tables of others an empty one means that there is none."""
    if not isinstance(value, str) and is_null(value):
        return None
    return read_text(value, found) or None


def _own_metadata(ours: str, value: Any) -> dict[str, str]:
    """Return metadata as it is: its names were made canonical when it was captured."""
    given = read_json(ours, value) or {}
    pairs = given.items() if isinstance(given, dict) else given
    try:
        return {clean_text(str(key)): clean_text(str(text)) for key, text in pairs}
    except (TypeError, ValueError):
        raise BadValueError(ours, value, "is no JSON object of metadata") from None


def _flags(ours: str, value: Any) -> list[str]:
    given = read_json(ours, value) or []
    if not isinstance(given, list) or not all(isinstance(flag, str) for flag in given):
        raise BadValueError(ours, value, "is no JSON list of texts")
    return given
