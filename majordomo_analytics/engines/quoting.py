"""Names and texts as SQL has them, where a statement is written by hand."""

from __future__ import annotations


def quoted_text(value: str) -> str:
    """Return a text literal.

    >>> quoted_text("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """Return a quoted identifier.

    >>> quoted_name("User-Tier")
    '"User-Tier"'
    """
    return '"' + name.replace('"', '""') + '"'
