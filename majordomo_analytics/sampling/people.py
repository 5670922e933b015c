"""Who calls: users, few heavy and many light, and the API keys of the teams."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from majordomo_analytics.sampling.chance import mixed, ranks
from majordomo_analytics.sampling.texts import joined

if TYPE_CHECKING:
    import pyarrow as pa

    from majordomo_analytics.sampling.chance import Ints

ROWS_PER_USER = 20
FEWEST_USERS = 400
MOST_USERS = 1_000_000

_TIER_SALT = 11
_NAMESPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


@dataclass(frozen=True, slots=True)
class People:
    """The users of one sample, by rank: the first calls most.

    Attributes
    ----------
    count
        How many there are at the end of the window.
    days
        How long it is.
    """

    count: int
    days: int
    ranks: np.ndarray = field(init=False, repr=False)
    tiers: Ints = field(init=False, repr=False)
    names: pa.Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        everyone = np.arange(self.count, dtype=np.int64)
        object.__setattr__(self, "ranks", ranks(self.count - 1).reshape(1, -1))
        object.__setattr__(self, "tiers", _tiers(everyone, self.count))
        # Rank and name have one to one to do with each other, as multiplying by an odd
        # number loses nothing; the names do not show the rank.
        words = (everyone * 0x9E3779B1 + 0x5BD1E995) & 0xFFFFFFFF
        object.__setattr__(self, "names", joined("u-", words.astype(np.uint64), digits=8))

    def there(self, rank: Ints, day: Ints) -> Ints:
        """Return users in the place of `rank`, of those who are there by `day`."""
        pool = self.count * (60 + 40 * day // max(self.days - 1, 1)) // 100
        folded: Ints = rank % np.maximum(pool, 1)
        return folded


def users_for(rows: int) -> int:
    """Return how many users a sample of so many requests has."""
    return min(max(rows // ROWS_PER_USER, FEWEST_USERS), MOST_USERS)


def api_key_id(team: str | None) -> str:
    """Return the id of the API key of a team; those without one share theirs."""
    return str(uuid.uuid5(_NAMESPACE, f"northwind-desk/{team or 'shared'}"))


def _tiers(everyone: Ints, count: int) -> Ints:
    """Return places in `story.TIERS`: who calls much pays more often."""
    drawn = (mixed(everyone, _TIER_SALT) >> np.uint64(32)).astype(np.int64) * 100 >> 32
    permille = everyone * 1000 // count
    free = np.select([permille < 10, permille < 80, permille < 300], [5, 25, 50], 78)
    pro = np.select([permille < 10, permille < 80, permille < 300], [25, 60, 86], 96)
    business = np.select([permille < 10, permille < 80, permille < 300], [60, 88, 97], 99)
    tiers: Ints = (drawn >= free).astype(np.int64) + (drawn >= pro) + (drawn >= business)
    return tiers
