"""A bar in a notebook for whatever takes longer than a second; silence elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import copy_context
from html import escape
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AFTER_SECONDS = 1.0
_STEPS = 50


class _Bar:
    """A progress element of the browser's own, which is taken away at the end."""

    def __init__(self, text: str, total: int | None) -> None:
        self._text = text
        self._total = total
        self._done = 0
        self._over = False
        self._handle: Any = None
        self._lock = Lock()

    def show(self) -> None:
        from IPython.display import HTML, display

        with self._lock:
            if not self._over:
                self._handle = display(  # type: ignore[no-untyped-call]
                    HTML(self._html()),  # type: ignore[no-untyped-call]
                    display_id=True,
                )

    def advance(self, count: int) -> None:
        """Count `count` more; what is shown changes some fifty times in all."""
        if self._total is None:
            return
        before, self._done = self._done, self._done + count
        is_step = before * _STEPS // self._total != self._done * _STEPS // self._total
        with self._lock:
            if self._handle is not None and is_step and not self._over:
                self._update(self._html())

    def end(self) -> None:
        with self._lock:
            self._over = True
            if self._handle is not None:
                self._update("")

    def _update(self, html: str) -> None:
        from IPython.display import HTML

        self._handle.update(HTML(html))  # type: ignore[no-untyped-call]

    def _html(self) -> str:
        told = "" if self._total is None else f' max="{self._total}" value="{self._done}"'
        return f'<span style="opacity:0.8"><progress{told}></progress> {escape(self._text)}</span>'


@contextmanager
def waiting(text: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show what is waited for, in a notebook, from the first second on.

    Parameters
    ----------
    text
        What is going on.
    total
        How much there is to do, where that is known; what is yielded takes how much more
        was done.
    """
    if not in_notebook():
        yield lambda _: None
        return
    bar = _Bar(text, total)
    # A thread has a context of its own, and the kernel finds the cell to write to in it.
    timer = Timer(AFTER_SECONDS, copy_context().run, [bar.show])
    timer.daemon = True
    timer.start()
    try:
        yield bar.advance
    finally:
        timer.cancel()
        bar.end()


def in_notebook() -> bool:
    """Return whether a Jupyter kernel runs this."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
