"""Nothing grows: two minutes in the checks, longer by `python -m tests.faults.soak`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.soak import slope, soak

SECONDS = float(os.environ.get("MAJORDOMO_SOAK_SECONDS", "120"))
MOST_MIB_PER_MINUTE = 1.0


@pytest.mark.slow
def test_worker_and_drain_do_not_grow_under_mixed_traffic(tmp_path: Path) -> None:
    """Less than 1 MiB a minute of memory, and no descriptor at all, after the warm-up."""
    seen = soak(tmp_path, SECONDS)
    print(seen.told())

    for process in seen.processes:
        before, after = process.descriptors
        assert after <= before, process.told()
        pace = seen.pace if process.name == "drain" else 1.0
        assert process.growth_mib_per_minute / pace < MOST_MIB_PER_MINUTE, process.told()


def test_a_fitted_slope_is_that_of_the_line_and_not_of_its_peaks() -> None:
    line = [(t, 3.0 * t + (500.0 if t % 10 == 0 else 0.0)) for t in range(600)]

    assert slope([(float(t), m) for t, m in line]) == pytest.approx(3.0, abs=0.01)
