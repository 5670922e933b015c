"""What can be asked about: columns, and metadata keys under any spelling.

A column wins over a metadata key of the same name; ``metadata["Model"]`` says the key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from majordomo_analytics.errors import QueryError, UnknownNameError
from majordomo_analytics.records.columns import BY_NAME
from majordomo_analytics.records.metadata import canonical_name, lookup_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["text", "integer", "money", "instant", "date", "boolean", "float", "nested"]

UNTAGGED = "(untagged)"
OTHER = "(other)"

_KEY = re.compile(r"""metadata\[\s*(["'])(?P<key>.+)\1\s*\]""")
_AS_DIMENSION: tuple[Kind, ...] = ("text", "integer", "money", "date", "boolean")


@dataclass(frozen=True, slots=True)
class MetadataName:
    """The name of a metadata key, where a column has the same name.

    Attributes
    ----------
    key
        The metadata key in any spelling.
    """

    key: str

    def __str__(self) -> str:
        return f'metadata["{self.key}"]'


def metadata(key: str) -> MetadataName:
    """Name a metadata key, also where a column of the same name would win.

    Parameters
    ----------
    key
        The metadata key; case does not count, and ``_`` is ``-``.

    Examples
    --------
    >>> import majordomo_analytics as ma
    >>> str(ma.metadata("Model"))
    'metadata["Model"]'
    """
    return MetadataName(key)


Name = str | MetadataName


@dataclass(frozen=True, slots=True)
class Field:
    """A column or a metadata key of the source that is asked.

    Attributes
    ----------
    name
        The column's name, or the canonical name of the key.
    kind
        What its values are.
    spellings
        None for a column; for a metadata key the names it is stored under.
    promoted
        Whether the key has a column of its own.
    """

    name: str
    kind: Kind
    spellings: tuple[str, ...] | None = None
    promoted: bool = False


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The names that a source knows.

    Attributes
    ----------
    columns
        Name and kind of each column, promoted keys left out.
    promoted
        Metadata keys that have a column of their own.
    stored_keys
        Returns the metadata keys that occur, by `lookup_name`, with their stored
        spellings. Called only for a name that is neither a column nor promoted.
    """

    columns: Mapping[str, Kind]
    promoted: tuple[str, ...]
    stored_keys: Callable[[], Mapping[str, tuple[str, ...]]]

    def field(self, name: Name, *, what: str = "dimension") -> Field:
        """Return what `name` means.

        Raises
        ------
        UnknownNameError
            If it is neither a column nor a metadata key that occurs.
        """
        if isinstance(name, str) and (match := _KEY.fullmatch(name.strip())):
            name = MetadataName(match["key"])
        if isinstance(name, MetadataName):
            found = self._key(name.key)
        elif isinstance(name, str):
            found = self._column(name) or self._key(name)
        else:
            message = f"{name!r} is no name of a column or metadata key"
            raise QueryError(message)
        if found is None:
            if isinstance(name, MetadataName):
                raise UnknownNameError(kind="metadata key", name=name.key, known=self.keys())
            raise UnknownNameError(what, name, (*self.columns, *self.keys()))
        return found

    def dimension(self, name: Name) -> Field:
        """Return what `name` means as a dimension.

        Raises
        ------
        QueryError
            If nothing has that name, or rows cannot be grouped by it.
        """
        field = self.field(name)
        if field.kind in _AS_DIMENSION:
            return field
        hint = {
            "instant": "; ask for time_grain='day', or another grain",
            "nested": "; its metadata keys can be dimensions" * (field.name == "raw_metadata"),
        }.get(field.kind, "")
        message = f"{field.name!r} holds {field.kind} values and cannot be a dimension{hint}"
        raise QueryError(message)

    def keys(self) -> tuple[str, ...]:
        """Return every metadata key, the promoted ones first."""
        stored = sorted(spellings[0] for spellings in self.stored_keys().values())
        return tuple(dict.fromkeys((*self.promoted, *map(canonical_name, stored))))

    def measured(self, name: str) -> Field:
        """Return what a measure is made of; a column that a source lacks is null there."""
        try:
            return self.field(name, what="column")
        except UnknownNameError:
            if name in BY_NAME:
                return Field(name, column_kind(name))
            if name == "User-Id":
                return Field(name, "text", spellings=())
            raise

    def _column(self, name: str) -> Field | None:
        if name in self.columns:
            return Field(name, self.columns[name])
        folded = lookup_name(name)
        for column, kind in self.columns.items():
            if lookup_name(column) == folded:
                return Field(column, kind)
        return None

    def _key(self, name: str) -> Field | None:
        folded = lookup_name(name)
        for key in self.promoted:
            if lookup_name(key) == folded:
                return Field(key, "text", (key,), promoted=True)
        spellings = self.stored_keys().get(folded)
        return Field(canonical_name(name), "text", spellings) if spellings else None


def column_kind(name: str) -> Kind:
    """Return the kind of one of our own columns."""
    kind = BY_NAME[name].type
    if kind == "text_list" or kind == "text_map":
        return "nested"
    return kind
