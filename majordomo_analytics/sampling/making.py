"""Making a sample: its rows chunk by chunk, into a lake or into one table, and its truth."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import majordomo_analytics
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
    from collections.abc import Iterator
    from datetime import datetime

    import pyarrow as pa

    from majordomo_analytics.sampling.traffic import Calls
    from majordomo_analytics.sampling.usage import Used
    from majordomo_analytics.sampling.volume import Cells

GENERATOR_VERSION = 1
"""Goes up with whatever changes a row that the same seed gave before."""

DEFAULT_SEED = 20260601
MOST_ROWS = 10**9
CHUNK_ROWS = 120_000
"""About how many rows are made at once; it bounds the memory."""

WORKERS = 2
_AHEAD = 1


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
        from datetime import timedelta

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

    @property
    def price_version(self) -> str:
        """What the rows are priced with."""
        return self._pricer.version

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows in the order of time; what was yielded is in `truth` by then.

        Chunks are made ahead on `WORKERS` threads while the caller writes, as NumPy and
        Arrow let other threads run; a bounded number of them is held.
        """
        whole = cells(self._recipe.rows, seed=self._recipe.seed, days=self._recipe.days)
        parts = enumerate(whole.chunks(CHUNK_ROWS))
        with ThreadPoolExecutor(WORKERS, "sample") as workers:
            waiting = deque(
                workers.submit(self._chunk, *part) for part in islice(parts, WORKERS + _AHEAD)
            )
            try:
                while waiting:
                    table, calls, used = waiting.popleft().result()
                    waiting.extend(workers.submit(self._chunk, *part) for part in islice(parts, 1))
                    self._tally.add(calls, used)
                    del calls, used
                    yield table
            finally:
                workers.shutdown(cancel_futures=True)

    def truth(self) -> dict[str, Any]:
        """Return what is true of all rows that `tables` has yielded."""
        recipe = self._recipe
        known = self._tally.as_json()
        known["story"]["price_change"] = self._price_change()
        known["story"]["unpriced_models"] = [
            model.name for model in MODELS if self._card(model.name).instants == ()
            and known["by"]["model"].get(model.name, {}).get("total_cost") == "0.0000000000"
        ]  # fmt: skip
        return {
            "generator": {
                "version": GENERATOR_VERSION,
                "package": majordomo_analytics.__version__,
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

    def _chunk(self, place: int, some: Cells) -> tuple[pa.Table, Calls, Used]:
        chance = Chance(self._recipe.seed, place)
        calls = calls_of(some, chance, self._people)
        used = used_by(calls, chance, self._pricer)
        table = table_of(calls, used, chance, self._people, self._values, self.price_version)
        return table, calls, used

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

        def rates(at: datetime) -> tuple[Decimal, Decimal]:
            found = []
            for counts in ((1_000_000, 0), (0, 1_000_000)):
                # One token costs a millionth of this; a million in one prompt costs more.
                usage = Usage(
                    input_tokens=counts[0] // 1000,
                    output_tokens=counts[1] // 1000,
                    status="reported",
                    service_tier=model.service_tier,
                )
                cost = self._pricer.price(
                    usage,
                    provider=model.provider,
                    model=model.name,
                    requested_model=model.name,
                    requested_at=at,
                )
                found.append(((cost.total_cost or Decimal(0)) * 1000).normalize())
            return found[0], found[1]

        card = self._card(story.PRICE_CHANGE_MODEL)
        return price_change(card.instants, rates, self._recipe.days)


def whole_table(making: Making) -> pa.Table:
    """Return all rows of a small sample as one table."""
    import pyarrow as pa

    with closing(making.tables()) as tables:  # type: ignore[type-var]
        return pa.concat_tables(list(tables)).combine_chunks()
