"""Read a price book from its TOML file, or say in which line it cannot be used.

    providers = ["our-gpus"]          # providers of one's own, if entries name any

    [[price]]
    provider = "openai"
    model = "gpt-4o*"
    from = 2026-07-01
    discount = 0.15                   # a share off the public price

    [[price]]
    provider = "our-gpus"
    model = "llama-70b"
    input_mtok = 0.20                 # US dollars; the names are those of genai-prices
    output_mtok = 0.60

A book that is wrong anywhere is refused as a whole: half a book would be wrong bills.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from codecs import BOM_UTF8
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from majordomo_analytics.errors import PriceBookError, did_you_mean, nearest
from majordomo_analytics.pricing.book import PriceBook
from majordomo_analytics.pricing.bookentry import ENTRIES, OWN_PROVIDERS, EntryReader
from majordomo_analytics.pricing.lines import Lines
from majordomo_analytics.pricing.lists import current_prices
from majordomo_analytics.records.providers import PROVIDERS

if TYPE_CHECKING:
    from pathlib import Path

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.pricing.book import Entry
    from majordomo_analytics.pricing.lists import PublicPrices

VERSION_CHARACTERS = 12

_TOP = (ENTRIES, OWN_PROVIDERS)


def load_price_book(path: Path) -> PriceBook:
    """Return the price book in a file.

    Raises
    ------
    PriceBookError
        If it cannot be read or used; the message names the line, the value, the rule and
        what would be right.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PriceBookError(str(path), None, f"cannot be read: {error.strerror}") from error
    try:
        # Editors on Windows put a mark before what they save as UTF-8.
        text = data.removeprefix(BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise PriceBookError(str(path), line, "is not UTF-8, as TOML has to be") from error
    try:
        given = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError) as error:
        said = re.search(r"at line (\d+)", str(error))
        place = int(said[1]) if said else None
        raise PriceBookError(str(path), place, f"is not TOML: {error}") from error
    # Line ends of Windows are counted as one here, as in editors.
    entries = _Reader(str(path), text.replace("\r\n", "\n"), given, current_prices()).entries()
    return PriceBook(entries, hashlib.sha256(data).hexdigest()[:VERSION_CHARACTERS])


def price_book_for(directory: DataDirectory, path: Path | None = None) -> PriceBook | None:
    """Return the price book at `path`, else that of a data directory, else None.

    Raises
    ------
    PriceBookError
        If it cannot be used, or `path` is given and cannot be read.
    """
    if path is None and not directory.price_book.exists():
        return None
    return load_price_book(path or directory.price_book)


class _Reader:
    """Reads one file, and knows where in it everything stands."""

    def __init__(self, path: str, text: str, given: dict[str, Any], prices: PublicPrices) -> None:
        self._path = path
        self._lines = Lines(text, ENTRIES)
        self._given = given
        self._prices = prices
        self._providers = self._known_providers()

    def entries(self) -> tuple[Entry, ...]:
        tables = self._given.get(ENTRIES, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._refuse_top(
                ENTRIES, f"{ENTRIES!r} is no list of tables; begin each price with [[price]]"
            )
        read = [
            EntryReader(
                self._path, self._lines, place, table, self._providers, self._prices
            ).entry()
            for place, table in enumerate(tables)
        ]
        self._check_together(read)
        return tuple(read)

    def _check_together(self, entries: list[Entry]) -> None:
        # Only entries of one provider and rank can contradict, exact names only their like.
        alike: dict[object, list[Entry]] = defaultdict(list)
        for entry in entries:
            model = entry.model
            rivals = alike[entry.provider, model.rank, model.text if model.is_exact else ""]
            for earlier in rivals:
                if entry.contradicts(earlier) and not any(
                    each.settles(entry, earlier) for each in entries
                ):
                    self._refuse_overlap(entry, earlier)
            rivals.append(entry)

    def _refuse_overlap(self, entry: Entry, earlier: Entry) -> NoReturn:
        both = dict((*earlier.context, *entry.context))
        named = ", ".join(f'{key} = "{value}"' for key, value in both.items())
        way_out = f"add one for both ({named}), " if entry.context != earlier.context else ""
        problem = (
            f"overlaps the price in line {earlier.line}: both are for provider "
            f"{entry.provider!r} and models like {entry.model.text!r} at the same time, and "
            f"neither is more particular; {way_out}end one with until = DATE, or leave one out"
        )
        raise PriceBookError(self._path, entry.line, problem)

    def _known_providers(self) -> tuple[str, ...]:
        for name in self._given:
            if name not in _TOP:
                tail = did_you_mean(nearest(name, _TOP), _TOP)
                self._refuse_top(name, f"nothing is named {name!r} here{tail}")
        own = self._given.get(OWN_PROVIDERS, [])
        if not isinstance(own, list) or not all(isinstance(name, str) and name for name in own):
            self._refuse_top(
                OWN_PROVIDERS, f'{OWN_PROVIDERS!r} is no list of names; write ["NAME"]'
            )
        return (*PROVIDERS, *(name.strip().lower() for name in own))

    def _refuse_top(self, name: str, problem: str) -> NoReturn:
        raise PriceBookError(self._path, self._lines.of_name(name), problem)
