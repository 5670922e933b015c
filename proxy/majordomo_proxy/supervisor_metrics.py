"""What the supervisor counts."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from majordomo_proxy.meters import counter, gauge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from majordomo_proxy.children import Child

KINDS = ("worker", "drain")


class SupervisorMetrics:
    """What one supervisor counts."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._restarts = counter("majordomo_child_restarts_total", own)
        self._children = gauge("majordomo_children", own)
        self._reloads = counter("majordomo_reloads_total", own)
        gauge("majordomo_build_info", own).labels(version("majordomo-analytics")).set(1)
        for kind in KINDS:
            self._restarts.labels(kind)

    def count_restart(self, child: Child) -> None:
        """Count the end of a child that nobody had asked for."""
        self._restarts.labels(child.kind).inc()

    def count_reload(self, result: str) -> None:
        """Count a reload that was ``done`` or ``refused``."""
        self._reloads.labels(result).inc()

    def show_children(self, children: Iterable[Child]) -> None:
        """Show how many of each kind run."""
        kinds: list[str] = [child.kind for child in children if child.is_running]
        for kind in KINDS:
            self._children.labels(kind).set(kinds.count(kind))
