"""What the log says of a file: how many rows, and the ends and nulls of some columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_TEXT = 256
"""Ends that are longer are left out: of a whole column then nothing is said."""

_json = msgspec.json.Encoder(decimal_format="number")


@dataclass(slots=True)
class FileStatistics:
    """Gathers, from the parts that are written to a file, what the log is to say of it.

    Attributes
    ----------
    columns
        Of which columns.
    """

    columns: tuple[str, ...]
    _rows: int = 0
    _least: dict[str, Any] = field(default_factory=dict)
    _greatest: dict[str, Any] = field(default_factory=dict)
    _nulls: dict[str, int] = field(default_factory=dict)

    def add(self, rows: pa.Table) -> None:
        """Take a part of the file into account."""
        self._rows += rows.num_rows
        for name in self.columns:
            if name not in rows.schema.names:
                continue
            column = rows.column(name)
            self._nulls[name] = self._nulls.get(name, 0) + column.null_count
            ends = pc.min_max(column).as_py()
            if ends["min"] is not None:
                self._least[name] = min(_known(self._least.get(name), ends["min"]))
                self._greatest[name] = max(_known(self._greatest.get(name), ends["max"]))

    def told(self) -> str:
        """Return it in Delta's form, as JSON text."""
        ends = {
            name: (_told(least), _told(self._greatest[name]))
            for name, least in self._least.items()
            if not _is_long(least) and not _is_long(self._greatest[name])
        }
        said = {
            "numRecords": self._rows,
            "minValues": {name: least for name, (least, _) in ends.items()},
            "maxValues": {name: greatest for name, (_, greatest) in ends.items()},
            "nullCount": self._nulls,
        }
        return _json.encode(said).decode()


def _known(*values: Any) -> Iterable[Any]:
    return [value for value in values if value is not None]


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > LONGEST_TEXT


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value
