"""The stand-ins as a child process, for the demo and the tests."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from majordomo_analytics.cli.children import ended_with_the_block
from majordomo_analytics.cli.standins.hosts import HOSTS
from majordomo_analytics.cli.standins.truth import Call
from majordomo_analytics.errors import MajordomoError

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_THE_ROOT = ("openai", "anthropic", "gemini", "cohere", "bedrock")
"""Providers whose paths say that they are meant."""


@dataclass(frozen=True, slots=True)
class RunningStandIns:
    """Stand-ins that listen at `url`."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The settings with which a proxy calls the stand-ins instead of the providers."""
        addresses = {name: f"{self.url}/{name}" for name in (*HOSTS, "bedrock-mantle")}
        addresses |= dict.fromkeys(AT_THE_ROOT, self.url)
        return {
            f"MAJORDOMO_{name.upper().replace('-', '_')}_BASE_URL": url
            for name, url in addresses.items()
        }

    def truth(self) -> list[Call]:
        """Return what the stand-ins know about every call they answered."""
        with urllib.request.urlopen(f"{self.url}/truth", timeout=30) as response:  # noqa: S310
            return [Call.from_json(fields) for fields in json.load(response)["calls"]]


@contextmanager
def running_standins(*, error_share: float = 0.0) -> Iterator[RunningStandIns]:
    """Run the stand-ins on a free port; they end with the block, or with this process.

    Raises
    ------
    MajordomoError
        If they do not start; what they said is on stderr.
    """
    command = [sys.executable, "-m", "majordomo_analytics.cli.standins", "--with-stdin"]
    command += ["--error-share", str(error_share)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        ended_with_the_block(process),
    ):
        said = process.stdout.readline() if process.stdout else b""
        if not said:
            message = "the stand-ins did not start; what they said is above"
            raise MajordomoError(message)
        yield RunningStandIns(json.loads(said)["url"])
