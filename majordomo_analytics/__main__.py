"""`python -m majordomo_analytics` is `mdm`."""

from majordomo_analytics.cli.main import main

main()
