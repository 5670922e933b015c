"""Copy API keys from where they live to the file that the workers read.

Two rules make it safe whatever happens to the place they live in:

* If the place has the state that the file was copied from in its history, the file becomes
  what the place has now; what was changed in the file meanwhile is sent there first. A key
  that the place has had and that is missing there was deleted there: it is revoked here,
  and no change of it brings it back. So it is with a single text of a key.
* If it does not, it is new or was set back to an earlier state. Then nothing is believed to
  be gone: both get the keys of both, a key revoked in either is revoked, and the text of a
  key expires when either says so.

A place with other tables than those that were copied is never followed: its keys are
somebody else's.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from majordomo_analytics.apikeys.store import ApiKeyStore, Followed
from majordomo_analytics.errors import ApiKeyStoreError, MajordomoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from majordomo_analytics.apikeys.issuing import HeldKey, StoredKey

POLL_S = 0.3
"""How long a change may go unseen; a worker's own look comes on top."""

LONGEST_PAUSE_S = 3.0
"""How long a place that is down is left alone, at most."""

FIRST_COPY_S = 2.0
"""How long the start waits for the first copy, as no worker knows any key before it."""

END_S = 1.0


@dataclass(frozen=True, slots=True)
class State:
    """What state a place is in.

    Attributes
    ----------
    identity
        Names its tables, for as long as they live.
    token
        Names the last change of them.
    """

    identity: str
    token: str


class KeySource(Protocol):
    """A place that API keys live in, as it is copied.

    A method raises `PostgresError` when the place cannot be used as it is now.
    """

    @property
    def place(self) -> str:
        """Where it is; without secrets."""
        ...

    def state(self) -> State:
        """Return what state it is in; asked several times a second, so it costs little."""
        ...

    def has_had(self, token: str) -> bool:
        """Whether a change is in its history."""
        ...

    def content(self) -> tuple[State, list[StoredKey]]:
        """Return the keys, and the state they are of, from one snapshot."""
        ...

    def merge(self, held: Sequence[HeldKey], *, is_later: bool) -> None:
        """Add keys and texts that are not there; revoke and expire what is so in `held`.

        Where the place's state `is_later` than the copy, what it has had and has no more
        was deleted, and is not added again.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds; the next call takes it again."""
        ...


def copy_keys(store: ApiKeyStore, source: KeySource, *, move: bool = False) -> bool:
    """Bring the file and the place to the same keys; return whether there was a change.

    Parameters
    ----------
    store, source
        The file and the place.
    move
        Whether the file is to follow this place also if it was a copy of another.

    Raises
    ------
    ApiKeyStoreError
        If the file is a copy of other keys than those of the place, or cannot be used.
    PostgresError
        If the place cannot be used; nothing was changed in the file then.
    """
    state = source.state()
    followed = store.followed()
    if followed is not None and followed.identity != state.identity and move:
        followed = None
    if followed is not None and followed.identity != state.identity:
        message = (
            f"the API keys here are those of Postgres at {followed.place!r}, and not of "
            f"{source.place!r}, which has others; nothing is copied, and the keys known so far "
            "go on working. `mdm keys move --postgres ADDRESS` (MAJORDOMO_POSTGRES) takes "
            "them there"
        )
        raise ApiKeyStoreError(message)
    if followed is not None and followed.token == state.token and not store.has_unsent():
        return False
    is_later = followed is not None and source.has_had(followed.token)
    own = store.content(only_unsent=is_later)
    if own:
        source.merge(own, is_later=is_later)
    state, keys = source.content()
    store.follow(
        Followed(state.identity, state.token, source.place),
        keys,
        sent=own,
    )
    return True


def copy_until(
    stop: threading.Event,
    store: ApiKeyStore,
    source: KeySource,
    *,
    on_trouble: Callable[[str], None],
    tried: threading.Event | None = None,
) -> None:
    """Copy again and again until `stop` is set, whatever happens.

    Parameters
    ----------
    stop
        Set when it is enough.
    store, source
        Where to and where from.
    on_trouble
        Called with each trouble that the time before did not have, and once it is over.
    tried
        Set after the first time, whether it worked or not.
    """
    known: str | None = None
    pause_s = POLL_S
    while not stop.is_set():
        try:
            copy_keys(store, source)
        except MajordomoError as error:
            trouble: str | None = str(error)
        except Exception as error:  # noqa: BLE001 - nobody would start the thread again
            trouble = repr(error)
        else:
            trouble = None
        if trouble is None:
            pause_s = POLL_S
            if known is not None:
                on_trouble("API keys are copied from Postgres again")
        else:
            source.close()
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            if trouble != known:
                on_trouble(f"API keys are not copied; those known so far go on working: {trouble}")
        known = trouble
        if tried is not None:
            tried.set()
        stop.wait(pause_s)
    source.close()


@contextmanager
def copying(path: Path, source: KeySource, on_trouble: Callable[[str], None]) -> Iterator[None]:
    """Copy keys to the file at `path` in a thread, while the block runs.

    A place that is down or silent holds up neither the beginning nor the end for more than
    moments.
    """
    stop, tried = threading.Event(), threading.Event()
    store = ApiKeyStore(path)
    thread = threading.Thread(
        target=copy_until,
        args=(stop, store, source),
        kwargs={"on_trouble": on_trouble, "tried": tried},
        name="API keys",
        daemon=True,  # it may wait for an answer that does not come
    )
    thread.start()
    if store.followed() is None:
        tried.wait(FIRST_COPY_S)
    try:
        yield
    finally:
        stop.set()
        thread.join(END_S)
