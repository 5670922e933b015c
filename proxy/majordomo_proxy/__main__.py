"""`python -m majordomo_proxy` is `mdm proxy` with all settings from the environment."""

from __future__ import annotations

import sys

from majordomo_analytics.errors import MajordomoError
from majordomo_proxy.settings import load_settings
from majordomo_proxy.supervisor import Supervisor


def main() -> int:
    """Run the supervisor; return its exit status."""
    try:
        settings = load_settings()
        return Supervisor(settings, lambda sentence: print(sentence, file=sys.stderr)).run()  # noqa: T201
    except MajordomoError as error:
        print(f"majordomo_proxy: {error}", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main())
