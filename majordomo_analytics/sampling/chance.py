"""Chance that falls the same everywhere: raw bits, whole numbers, and tables.

NumPy keeps the raw bits of a bit generator for good, not what its distributions make of
them, and logarithms differ in the last place between processors. So every draw is a look
into a table of whole numbers.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Ints: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"
Words: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.uint64]]"
Flags: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.bool_]]"

CHOICES = 4096
"""How fine the shares of a choice are."""

STEPS = 1024
"""How many steps a table of sizes has; between two it is a straight line."""

MAX_SEED = 2**63 - 1


class Chance:
    """One stream of chance.

    Parameters
    ----------
    seed
        Which sample.
    part
        Which part of it; streams of different parts have nothing to do with each other.
    """

    def __init__(self, seed: int, part: int) -> None:
        self._bits = np.random.Philox(key=np.array([seed, part], np.uint64))

    def words(self, size: int) -> Words:
        """Return words of 64 bits."""
        return self._bits.random_raw(size)

    def below(self, limit: int | Ints, size: int) -> Ints:
        """Return numbers from 0 up to, not including, `limit`, which is below 2**32."""
        scaled = (self.words(size) >> np.uint64(32)) * np.asarray(limit).astype(np.uint64)
        return (scaled >> np.uint64(32)).astype(np.int64)

    def chosen(self, table: np.ndarray, rows: Ints) -> Ints:
        """Return, for each of `rows` of a table of `shares`, one of its choices."""
        return table[rows, self.below(CHOICES, len(rows))].astype(np.int64)

    def sized(self, table: np.ndarray, rows: Ints) -> Ints:
        """Return, for each of `rows` of a table of `sizes`, a size."""
        return between(table, rows, self.words(len(rows)))


def between(table: np.ndarray, rows: Ints, words: Words) -> Ints:
    """Return the sizes that `words` stand for in `rows` of a table."""
    place = (words >> np.uint64(54)).astype(np.int64)
    rest = ((words >> np.uint64(32)) & np.uint64(0xFFFF)).astype(np.int64)
    low, high = table[rows, place], table[rows, place + 1]
    sizes: Ints = low + ((high - low) * rest >> 16)
    return sizes


def shares(weights: Sequence[float]) -> np.ndarray:
    """Return a row that holds each choice as often as its weight says.

    >>> np.bincount(shares([3, 1])).tolist()
    [3072, 1024]
    """
    whole = sum(weights)
    ends = [round(CHOICES * sum(weights[: n + 1]) / whole) for n in range(len(weights))]
    return np.repeat(np.arange(len(weights)), np.diff([0, *ends])).astype(np.int16)


def sizes(median: float, spread: float, *, least: int = 1) -> np.ndarray:
    """Return a row of rising sizes, log-normal about a median, without its farthest tail.

    >>> row = sizes(1000, 0.5)
    >>> int(row[0]), int(row[STEPS // 2]), int(row[-1])
    (192, 1000, 5200)
    """
    normal = NormalDist()
    places = [(n + 0.5) / (STEPS + 1) for n in range(STEPS + 1)]
    drawn = [median * math.exp(spread * normal.inv_cdf(place)) for place in places]
    return np.array([max(least, round(size)) for size in drawn], np.int64)


def ranks(count: int) -> np.ndarray:
    """Return a row of ranks below `count`, of which the low ones come far more often.

    How often the n-th comes falls as 1 / n.
    """
    drawn = [math.expm1(math.log1p(count) * n / STEPS) for n in range(STEPS + 1)]
    return np.array([min(count, round(rank)) for rank in drawn], np.int64)


def mixed(numbers: Ints, salt: int) -> Words:
    """Return each number's own 64 bits, without order (splitmix64).

    >>> [int(word) % 100 for word in mixed(np.arange(3), 7)]
    [13, 45, 62]
    """
    word = numbers.astype(np.uint64) + np.uint64(salt * 0x9E3779B97F4A7C15 & (2**64 - 1))
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
