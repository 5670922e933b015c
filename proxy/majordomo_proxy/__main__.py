"""`python -m majordomo_proxy` is `mdm proxy` with all settings from the environment."""

from __future__ import annotations

import sys

from majordomo_analytics.errors import MajordomoError
from majordomo_analytics.logs import set_up
from majordomo_analytics.redaction import redact_logs
from majordomo_proxy.settings import load_settings
from majordomo_proxy.supervisor import Supervisor


def main() -> int:
    """Run the supervisor; return its exit status."""
    try:
        settings = load_settings()
        set_up("supervisor", log_format=settings.log_format, log_level=settings.log_level)
        redact_logs()
        return Supervisor(settings, reread=load_settings).run()
    except MajordomoError as error:
        print(f"majordomo_proxy: {error}", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main())
