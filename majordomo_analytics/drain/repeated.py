"""Answers that were asked for again: their usage is billed once, so one row has it.

A background response or an assistant's run is started by one call and read by others,
and every answer that comes after its end repeats the same usage.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from majordomo_analytics.records.flags import USAGE_REPEATED
from majordomo_analytics.records.usage import MISSING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date

    from majordomo_analytics.records.request import RequestRecord

READ_AGAIN = ("background_response", "assistants")
ALSO_READ_AGAIN = ("responses", *READ_AGAIN)
"""Flavours of rows that may have the usage of an answer that is asked for again."""

LOOK_BACK = timedelta(days=3)
"""How long before an answer the one that it repeats is looked for."""


class FindsUsage(Protocol):
    """Says which responses have their usage in a row of a sink already."""

    def __call__(
        self, response_ids: Collection[str], *, but: Collection[str], first: date, last: date
    ) -> set[str]:
        """Return them; rows with an id in `but` do not count."""
        ...


def without_repeated_usage(
    records: Sequence[RequestRecord], find: FindsUsage
) -> Sequence[RequestRecord]:
    """Return `records` with the usage of each response in one row only, the first.

    A batch that is tried again is the same batch: its own rows do not count when a sink
    is asked, so the answer is the same as well.
    """
    read_again = [record for record in records if _may_repeat(record)]
    if not read_again:
        return records
    asked = {record.response_id for record in read_again if record.response_id}
    days = [record.requested_at.date() for record in read_again]
    counted = find(
        asked,
        but={record.id for record in records},
        first=min(days) - LOOK_BACK,
        last=max(days) + timedelta(days=1),
    )
    kept = []
    for record in records:
        if record.response_id in counted and _may_repeat(record):
            flags = (*record.flags, USAGE_REPEATED)
            kept.append(msgspec.structs.replace(record, usage=MISSING, flags=flags))
            continue
        if record.response_id in asked and record.usage.status != "missing":
            counted.add(record.response_id)
        kept.append(record)
    return kept


def _may_repeat(record: RequestRecord) -> bool:
    return (
        record.request_method == "GET"
        and record.api_flavour in READ_AGAIN
        and record.usage.status != "missing"
        and record.response_id is not None
    )
