"""Making a sample: its rows, chunk by chunk, and its truth."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from majordomo_analytics.errors import SettingsError
from majordomo_analytics.pricing.pricer import Pricer
from majordomo_analytics.records.usage import Usage
from majordomo_analytics.sampling import story
from majordomo_analytics.sampling.chance import MAX_SEED, Chance
from majordomo_analytics.sampling.models import MODELS, PLACE_OF
from majordomo_analytics.sampling.people import People, users_for
from majordomo_analytics.sampling.rows import Values, table_of
from majordomo_analytics.sampling.traffic import calls_of
from majordomo_analytics.sampling.truth import Tally, price_change
from majordomo_analytics.sampling.usage import used_by
from majordomo_analytics.sampling.volume import cells

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    import pyarrow as pa

    from majordomo_analytics.sampling.volume import Cells

GENERATOR_VERSION = 1
"""Goes up with whatever changes a row that the same seed gave before."""

DEFAULT_SEED = 20260601
MOST_ROWS = 10**9
CHUNK_ROWS = 60_000
"""About how many rows are made at once: it bounds the memory, and decides what is drawn."""

WORKERS = 2


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a sample is made from; equal recipes and prices give equal rows.

    Attributes
    ----------
    rows
        How many requests.
    seed
        Chance.
    days
        How many days from `story.FIRST_DAY` on.

    Raises
    ------
    SettingsError
        If there can be no such sample.
    """

    rows: int
    seed: int = DEFAULT_SEED
    days: int = story.MOST_DAYS

    def __post_init__(self) -> None:
        for name, least, most in (
            ("rows", 1, MOST_ROWS),
            ("seed", 0, MAX_SEED),
            ("days", 1, story.MOST_DAYS),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                message = f"{name} of a sample is {value!r}; give a whole number"
                raise SettingsError(message)
            if not least <= value <= most:
                message = f"{name} of a sample is {value:,}; give {least:,} to {most:,}"
                raise SettingsError(message)

    @property
    def last_day(self) -> str:
        """The last day of the window, in UTC."""
        return str(story.FIRST_DAY + timedelta(days=self.days - 1))


class Making:
    """One run of the generator.

    Parameters
    ----------
    recipe
        What to make.

    Examples
    --------
    >>> making = Making(Recipe(rows=500, days=3))
    >>> sum(table.num_rows for table in making.tables())
    500
    >>> making.truth()["total"]["requests"]
    500
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        # Without a book: the public prices are what everybody else finds, too.
        self._pricer = Pricer()
        self._people = People(users_for(recipe.rows), recipe.days)
        self._values = Values(self._people)
        self._tally = Tally(self._people)
        self._adding = Lock()

    @property
    def price_version(self) -> str:
        """What the rows are priced with."""
        return self._pricer.version

    def tables(self) -> Generator[pa.Table]:
        """Yield the rows in the order of time.

        While the caller writes one chunk the next are made, on `WORKERS` threads: NumPy and
        Arrow let others run meanwhile. No more chunks than that are held.
        """
        whole = cells(self._recipe.rows, seed=self._recipe.seed, days=self._recipe.days)
        parts = enumerate(whole.chunks(CHUNK_ROWS))
        with ThreadPoolExecutor(WORKERS, "sample") as workers:
            waiting = deque(workers.submit(self._chunk, *part) for part in islice(parts, WORKERS))
            try:
                while waiting:
                    table = waiting.popleft().result()
                    waiting.extend(workers.submit(self._chunk, *part) for part in islice(parts, 1))
                    yield table
            finally:
                workers.shutdown(cancel_futures=True)

    def truth(self) -> dict[str, Any]:
        """Return what is true of all rows, once `tables` has yielded the last."""
        recipe = self._recipe
        known = self._tally.as_json()
        known["story"]["price_change"] = self._price_change()
        by_model = known["by"]["model"]
        known["story"]["unpriced_models"] = [
            name for name, sums in by_model.items() if sums["total_cost"] is None
        ]
        return {
            "generator": {
                "version": GENERATOR_VERSION,
                "rows": recipe.rows,
                "seed": recipe.seed,
                "days": recipe.days,
                "price_version": self.price_version,
            },
            "window": {
                "first_day": str(story.FIRST_DAY),
                "last_day": recipe.last_day,
                "timezone": story.TIMEZONE,
            },
            **known,
        }

    def _chunk(self, place: int, some: Cells) -> pa.Table:
        chance = Chance(self._recipe.seed, place)
        calls = calls_of(some, chance, self._people)
        used = used_by(calls, chance, self._pricer)
        with self._adding:
            self._tally.add(calls, used)
        return table_of(calls, used, chance, self._people, self._values, self.price_version)

    def _card(self, name: str) -> Any:
        model = MODELS[PLACE_OF[name]]
        return self._pricer.card(
            Usage(service_tier=model.service_tier),
            provider=model.provider,
            model=model.name,
            requested_model=model.name,
        )

    def _price_change(self) -> dict[str, Any] | None:
        model = MODELS[PLACE_OF[story.PRICE_CHANGE_MODEL]]

        def dollars(at: datetime, input_tokens: int, output_tokens: int) -> Decimal:
            cost = self._pricer.price(
                Usage(input_tokens=input_tokens, output_tokens=output_tokens),
                provider=model.provider,
                model=model.name,
                requested_model=model.name,
                requested_at=at,
            )
            return (cost.total_cost or Decimal(0)) * 1000

        def rates(at: datetime) -> tuple[Decimal, Decimal]:
            # A thousand tokens, as more in one prompt may cost more each.
            return dollars(at, 1000, 0), dollars(at, 0, 1000)

        card = self._card(story.PRICE_CHANGE_MODEL)
        return price_change(card.instants, rates, self._recipe.days)
