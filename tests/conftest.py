"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# Time is measured by tests that say so; a slow minute of the machine is no failure.
settings.register_profile("project", deadline=None, print_blob=True)
settings.load_profile("project")
