"""Settings for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Time is measured by tests that say so; a slow minute of the machine is no failure.
settings.register_profile(
    "project", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")

collect_ignore = ["typing"]
"""Files that are only type-checked."""

MARKED_FOLDERS = {"browser": pytest.mark.browser, "packaging": pytest.mark.slow}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the folder they lie in, whoever writes them."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            folder = item.path.relative_to(here).parts[0]
            if mark := MARKED_FOLDERS.get(folder):
                item.add_marker(mark)
