"""What each name in a question means: column, metadata key or dimension of one's own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from majordomo_analytics.errors import QueryError, UnknownNameError
from majordomo_analytics.plan.dimensions import Bucketed, CalendarPart, Derived
from majordomo_analytics.plan.fields import MetadataName
from majordomo_analytics.plan.own import CALENDAR_PARTS
from majordomo_analytics.records.metadata import lookup_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from majordomo_analytics.plan.dimensions import Dimension
    from majordomo_analytics.plan.fields import Catalogue, Kind, Name

_NUMBERS: tuple[Kind, ...] = ("integer", "money", "float")


@dataclass(slots=True)
class Vocabulary:
    """The names of a source, and those that a question defines.

    A dimension of one's own wins over a metadata key of the same name, and may be made of
    it; a column cannot be hidden.

    Attributes
    ----------
    catalogue
        The names that the source knows.
    fields
        What was found so far, under every name it was looked up by.
    """

    catalogue: Catalogue
    fields: dict[Name, Dimension] = field(default_factory=dict)
    _own: dict[str, Derived] = field(default_factory=dict)
    _settled: dict[str, Derived] = field(default_factory=dict)
    _unsettled: set[str] = field(default_factory=set)

    def define(self, own: Iterable[Derived]) -> None:
        """Take in dimensions of one's own.

        Raises
        ------
        QueryError
            If one would hide a column, or two of one name differ.
        """
        columns = {lookup_name(column): column for column in self.catalogue.columns}
        for one in own:
            folded = lookup_name(one.name)
            if folded in columns:
                message = f"a dimension of your own cannot hide the column {columns[folded]!r}"
                raise QueryError(message)
            if self._own.setdefault(folded, one) != one:
                message = f"two different dimensions are called {one.name!r}"
                raise QueryError(message)

    def named(self, name: Name, *, what: str = "filter") -> Dimension:
        """Return what a name means, and remember it.

        Raises
        ------
        UnknownNameError
            If nothing has that name.
        """
        if (own := self._of_ones_own(name)) is not None:
            found: Dimension = own
        else:
            try:
                found = self.catalogue.field(name, what=what)
            except UnknownNameError as error:
                if isinstance(name, MetadataName) or not self._own:
                    raise
                known = (
                    *self.catalogue.columns,
                    *self.catalogue.keys(),
                    *(one.name for one in self._own.values()),
                )
                raise UnknownNameError(what, name, known) from error
        self.fields[name] = found
        return found

    def measured(self, name: Name) -> Dimension:
        """Return what a measure is made of; a column that a source lacks is null there."""
        if isinstance(name, str) and self._of_ones_own(name) is None:
            self.fields[name] = self.catalogue.measured(name)
            return self.fields[name]
        return self.named(name, what="column")

    def dimension(self, given: Name | Derived) -> Dimension:
        """Return what rows are grouped by.

        Raises
        ------
        QueryError
            If nothing has that name, or rows cannot be grouped by it.
        """
        if isinstance(given, Derived):
            given = given.name
        if (own := self._of_ones_own(given)) is not None:
            self.fields[given] = own
            return own
        try:
            return self.catalogue.dimension(given)
        except UnknownNameError:
            self.named(given, what="dimension")  # fails too, and knows all names
            raise

    def uses_calendar(self) -> bool:
        """Say whether anything found so far is a part of the calendar."""
        return any(isinstance(found, CalendarPart) for found in self.fields.values())

    def _of_ones_own(self, name: Name) -> Derived | None:
        if not isinstance(name, str):
            return None
        folded = lookup_name(name)
        if (own := self._own.get(folded)) is not None:
            return self._settle(folded, own)
        if (part := CALENDAR_PARTS.get(folded.replace("-", "_"))) is None:
            return None
        if any(lookup_name(column) == folded for column in self.catalogue.columns):
            return None
        return self._settle(folded, part)

    def _settle(self, folded: str, own: Derived) -> Derived:
        """Return a dimension whose `of` is known and fits."""
        if (done := self._settled.get(folded)) is not None:
            return done
        if folded in self._unsettled:
            message = f"dimension {own.name!r} is made of itself"
            raise QueryError(message)
        if isinstance(own.of, str) and lookup_name(own.of) == folded:
            own = replace(own, of=MetadataName(own.of))  # of the key that it hides
        self._unsettled.add(folded)
        of = self.named(own.of, what="column")
        _check(own, of)
        self._settled[folded] = own
        self.fields[own.name] = own
        return own


def _check(own: Derived, of: Dimension) -> None:
    """Refuse a dimension that is made of what it cannot be made of."""
    if isinstance(own, CalendarPart):
        if of.name != "requested_at":
            message = (
                f"dimension {own.name!r}: parts of the calendar are those of 'requested_at', "
                f"as all time in a question is, not of {of.name!r}"
            )
            raise QueryError(message)
        return
    if isinstance(own, Bucketed):
        fits = of.kind in _NUMBERS and not isinstance(of, Bucketed)
        wanted = "a number or an amount"
    else:
        fits, wanted = of.kind == "text", "a text"
    if not fits:
        held = "intervals" if isinstance(of, Bucketed) else f"{of.kind} values"
        message = f"dimension {own.name!r} is made of {wanted}; {of.name!r} holds {held}"
        raise QueryError(message)
