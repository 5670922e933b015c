"""What the stand-ins know: one entry for every call they answered."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from majordomo_analytics.cli.standins.prices import Tokens, cost

if TYPE_CHECKING:
    from majordomo_analytics.cli.standins.answers import Question

CALL_HEADER = "x-demo-call"
"""An ordinary header, which a proxy forwards: the caller's own name for a call."""
PAUSE_HEADER = "x-demo-pause-ms"
"""Another: how long to wait after each part of a stream, so that a caller can leave it."""
ERROR_HEADER = "x-demo-error"
"""A third: the HTTP status of the error that is wanted instead of an answer."""
NEVER_FORWARDED = "x-majordomo-"


@dataclass(frozen=True, slots=True)
class Call:
    """The truth about one answered call.

    Attributes
    ----------
    name
        What the caller named it in `CALL_HEADER`, if anything.
    tokens
        All zero for an error.
    cost
        US dollars by the stand-ins' price card; 0 for an error, None for a model not on it.
    majordomo_headers
        `X-Majordomo-*` headers that came along; through a proxy there are none.
    provider
        Whom the call's path belongs to.
    """

    name: str | None
    flavour: str
    model: str
    status_code: int
    streamed: bool
    tokens: Tokens
    cost: Decimal | None
    majordomo_headers: dict[str, str]
    provider: str

    @classmethod
    def of(
        cls, question: Question, tokens: Tokens, status_code: int, headers: dict[str, str]
    ) -> Call:
        """Return the truth about answering `question` with `tokens`."""
        return cls(
            name=headers.get(CALL_HEADER),
            flavour=question.flavour,
            model=question.model,
            status_code=status_code,
            streamed=question.streamed,
            tokens=tokens,
            cost=cost(question.provider, question.model, tokens),
            majordomo_headers={k: v for k, v in headers.items() if k.startswith(NEVER_FORWARDED)},
            provider=question.provider,
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads; money is text, so that nothing is lost."""
        return asdict(self) | {"cost": None if self.cost is None else str(self.cost)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Call:
        """Return the call that `to_json` wrote."""
        money = fields["cost"]
        known = {
            "tokens": Tokens(**fields["tokens"]),
            "cost": None if money is None else Decimal(money),
        }
        return cls(**(fields | known))
