"""One request on its way: what is known of it so far, and its row at the end."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from majordomo_analytics.capture.credentials import MASK, without_credentials
from majordomo_analytics.capture.media import usage_of_speech
from majordomo_analytics.capture.reader import UsageReader
from majordomo_analytics.capture.requests import NO_FACTS
from majordomo_analytics.records import flags
from majordomo_analytics.records.ids import new_request_id
from majordomo_analytics.records.metadata import clean_text, without_api_keys
from majordomo_analytics.records.request import MAX_MESSAGE_CHARACTERS, RequestRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from majordomo_analytics.capture.flavours import Flavour
    from majordomo_analytics.capture.requests import RequestReader
    from majordomo_analytics.records.metadata import RequestMetadata
    from majordomo_analytics.records.providers import Provider
    from majordomo_analytics.records.request import Outcome


logger = logging.getLogger("majordomo_proxy")

CUT_SHORT = "the proxy ended before the answer did"


@dataclass(slots=True)
class Exchange:
    """What the relay learns about one request while it relays it.

    Attributes
    ----------
    started_at, clock_start
        The instant of the request, and the monotonic clock then: durations never come
        from the difference of two wall clocks.
    answer
        Reads the usage out of the copy of the answer; made when its headers are known.
    provider
        Who is called; replaced when the routing table has said it.
    routed_model
        What the model is called there, if it was routed.
    credential
        What the provider is paid with; no text of the row may hold it.
    asks_for_usage
        Whether the proxy asked for usage that it has to take out of the stream again.
    oddities
        What was odd about the passage itself, from `records.flags`.
    caller_left
        Whether the caller hung up before the answer had told all it had to tell.
    is_asked
        Whether the provider was given the whole request.
    held_bytes
        How much of the request is in memory, as far as it is counted by `Shared`.
    is_recorded
        Whether it gets a row: not while the spool is full and the settings say to serve on.
    """

    api_key_id: str
    provider: Provider
    flavour: Flavour | None
    method: str
    path: str
    metadata: RequestMetadata
    alias: str | None
    credential_hash: str | None
    retry_attempt: int | None
    request: RequestReader
    model_in_path: str | None
    credential: bytes | None = field(default=None, repr=False)
    id: str = field(default_factory=new_request_id)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock_start: float = field(default_factory=time.perf_counter)
    clock_first_byte: float | None = None
    status: int | None = None
    answer: UsageReader | None = None
    provider_request_id: str | None = None
    request_bytes: int = 0
    held_bytes: int = 0
    response_bytes: int = 0
    caller_left: bool = False
    is_asked: bool = False
    is_recorded: bool = True
    routed_model: str | None = None
    asks_for_usage: bool = False
    oddities: tuple[str, ...] = ()

    def take_request_bytes(self, chunk: bytes, limit: int) -> bool:
        """Take note of bytes of the request; return whether it is within `limit` still."""
        self.request_bytes += len(chunk)
        self.request.feed(chunk)
        return self.request_bytes <= limit

    def begin_answer(self, status: int, headers: Mapping[str, str]) -> None:
        """Take note of the answer's status and headers, which any letter case finds."""
        self.clock_first_byte = time.perf_counter()
        self.status = status
        self.provider_request_id = headers.get("x-request-id") or headers.get("request-id")
        self.answer = UsageReader(
            self.flavour,
            content_encoding=headers.get("Content-Encoding"),
            headers=headers,
            adds_reasoning=self.provider.adds_reasoning,
        )

    def feed(self, chunk: bytes, *, is_plain: bool = False) -> None:
        """Take note of bytes of the answer.

        Parameters
        ----------
        is_plain
            Whether it is one whole event that says nothing of usage, nor of an error.
        """
        self.response_bytes += len(chunk)
        if self.answer is not None and not (is_plain and self.answer.knows_the_model):
            try:
                self.answer.feed(chunk)
            except Exception:
                # A reader never raises; if one does, the caller's stream must not notice.
                logger.exception("an answer could not be read for its usage")
                self.answer = None

    def caller_leaves(self) -> None:
        """Take note that the caller hung up.

        SDKs close the connection at the last event of a stream, such as `[DONE]`, before
        the HTTP message ends: such a caller has all of the answer.
        """
        self.caller_left = self.answer is None or not self.answer.is_final

    def begun_record(self) -> RequestRecord:
        """Return the row of this request should no other follow: it was cut short.

        What a body that is still coming will say is not known yet.
        """
        facts = self.request.finish() if self.is_asked else NO_FACTS
        requested_model = _text(self.model_in_path or facts.model)
        return RequestRecord(
            id=self.id,
            requested_at=self.started_at,
            majordomo_api_key_id=self.api_key_id,
            provider_api_key_hash=self.credential_hash,
            provider_api_key_alias=_text(self.alias),
            provider=self.provider.name,
            api_flavour=self.flavour,
            model=self.routed_model or requested_model,
            requested_model=requested_model,
            request_method=self.method,
            request_path=_path_text(self.path),
            outcome="interrupted",
            error_message=CUT_SHORT,
            retry_attempt=self.retry_attempt,
            metadata=self.metadata.values,
            flags=(*self.metadata.flags, *self.oddities),
        )

    def _without_credential(self, message: str | None) -> str | None:
        """Return a message without the credential, which need not look like one."""
        if not message or self.credential is None:
            return message
        credential = self.credential.rpartition(b" ")[2].decode("utf-8", "replace")
        return message.replace(credential, MASK) if credential else message

    def record(self, outcome: Outcome, error_message: str | None = None) -> RequestRecord:
        """Return the row of this request, as it stands now.

        Only an answer that came to its proper end is `completed`; of a caller who left,
        the row says so whatever became of the answer afterwards.
        """
        facts = self.request.finish()
        ended = time.perf_counter()
        captured = None
        oddities: tuple[str, ...] = ()
        if self.answer is not None:
            captured = self.answer.finish(complete=outcome == "completed")
            oddities = captured.flags
        elif self.flavour is not None and self.response_bytes:
            oddities = (flags.BODY_NOT_READ,)
        message = error_message or (captured.error_message if captured else None)
        if self.caller_left:
            outcome = "client_disconnected"
        elif outcome == "completed" and message and (self.status or 0) < 400:
            outcome = "upstream_error"  # an error inside an answer that began well
        requested_model = _text(self.model_in_path or facts.model)
        model = _text(captured.model if captured else None) or self.routed_model or requested_model
        fields: dict[str, object] = {}
        if captured is not None:
            usage = captured.usage
            if self.flavour == "speech" and self.status == 200 and usage.status == "missing":
                usage = usage_of_speech(facts.input_characters)
            fields = {
                "usage": usage,
                "is_streamed": captured.is_streamed,
                "response_id": _text(captured.response_id),
            }
        return RequestRecord(
            id=self.id,
            requested_at=self.started_at,
            responded_at=self.started_at + timedelta(seconds=ended - self.clock_start),
            response_time_ms=_milliseconds(ended - self.clock_start),
            time_to_first_byte_ms=(
                None
                if self.clock_first_byte is None
                else _milliseconds(self.clock_first_byte - self.clock_start)
            ),
            majordomo_api_key_id=self.api_key_id,
            provider_api_key_hash=self.credential_hash,
            provider_api_key_alias=_text(self.alias),
            provider=self.provider.name,
            api_flavour=self.flavour,
            model=model,
            requested_model=requested_model,
            request_method=self.method,
            request_path=_path_text(self.path),
            status_code=self.status,
            outcome=outcome,
            error_message=_text(self._without_credential(message)),
            retry_attempt=self.retry_attempt,
            provider_request_id=_text(self.provider_request_id),
            request_bytes=self.request_bytes,
            response_bytes=None if self.status is None else self.response_bytes,
            metadata=self.metadata.values,
            flags=(*self.metadata.flags, *oddities, *self.oddities),
            **fields,  # type: ignore[arg-type]  # typed where they are made, above
        )


@lru_cache(maxsize=1024)
def _path_text(path: str) -> str:
    """Return a path as it is stored: some gateways take a credential as part of it."""
    return clean_text(without_credentials(path))


def _text(value: str | None) -> str | None:
    """Return text that every store takes, bounded, without API keys; empty is unknown."""
    if not value:
        return None
    return clean_text(without_api_keys(value[:MAX_MESSAGE_CHARACTERS])) or None


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
