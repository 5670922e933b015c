"""Put faults into a process of the product as it starts; the product knows nothing of it.

Python imports a module of this name before anything else when its folder is on PYTHONPATH.
Without the variable it does nothing. The folder that the variable names holds the orders:

- `die-POINT`: SIGKILL at that point, the nth time as the file's content says, once;
- `full`: while it is there, no SQLite database in the spool's folder may grow;
- `clock`: seconds by which the wall clock is off while it is there;
- `constants.json`: values for constants of the product, by `module:name`.
"""

from __future__ import annotations

import os
import sys

FAULTS = "FAULTS_FOLDER"


def role() -> str | None:
    """Say which process this is; it is too early for `sys.argv`."""
    command = sys.orig_argv
    if "majordomo_proxy.worker" in command:
        return "worker"
    if "majordomo_analytics" in command:
        return {"drain": "drain", "proxy": "supervisor"}.get(command[3])
    return None


if os.environ.get(FAULTS) and role():
    from tests.faults.seam_parts import install

    install(os.environ[FAULTS], str(role()))
