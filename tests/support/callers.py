"""Callers who keep on calling, and remember what they saw."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.support.proxy import RunningProxy

CHAT = "/v1/chat/completions"


@dataclass
class Seen:
    """What callers saw.

    Attributes
    ----------
    ids
        The ids of the rows of answers that came to their end.
    failures
        What else happened.
    """

    ids: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@contextmanager
def calling(proxies: Sequence[RunningProxy], *, quick: int = 4, streams: int = 3) -> Iterator[Seen]:
    """Call without a pause while the block runs, on connections that are kept.

    Parameters
    ----------
    proxies
        Who is called, in turn.
    quick, streams
        How many callers there are of either kind.
    """
    seen, stop = Seen(), threading.Event()

    def call(proxy: RunningProxy, path: str, end: bytes) -> None:
        with httpx.Client(timeout=60, headers=proxy.headers()) as client:
            while not stop.is_set():
                try:
                    answer = client.post(proxy.url + path, json={"model": "gpt-4o-mini"})
                    whole = answer.status_code == 200 and answer.content.rstrip().endswith(end)
                except httpx.HTTPError as error:
                    seen.failures.append(repr(error))
                    continue
                if whole:
                    seen.ids.append(answer.headers["x-majordomo-log-id"])
                else:
                    seen.failures.append(f"{answer.status_code} {answer.text[-200:]}")

    kinds = [(CHAT, b"}")] * quick + [(f"{CHAT}?script=slow", b"data: [DONE]")] * streams
    threads = [
        threading.Thread(target=call, args=(proxies[number % len(proxies)], *kind))
        for number, kind in enumerate(kinds)
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
