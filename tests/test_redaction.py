"""Secrets do not get into logs, in whatever part of a record they stand."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.redaction import Redaction, redact_logs

SECRET = "planted-secret-17"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Yield what a handler of the root logger writes, with a secret that is known."""
    root = logging.getLogger()
    before = root.handlers[:]
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    root.handlers = [handler]
    redact_logs([SECRET, "abc"])
    yield text
    root.handlers = before


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"(b'authorization', b'Bearer {SECRET}')",
        f"{{'x-api-key': '{SECRET}'}}",
        f"x-goog-api-key={SECRET}",
        f"X-Majordomo-Key: {SECRET}",
        f"Cookie: {SECRET}",
        f"GET https://host/v1?a=1&key={SECRET}&b=2",
        f"postgresql://ana:{SECRET}@db:5432/spend",
        f"host=db password={SECRET} user=ana",
        f"host=db password='{SECRET}' user=ana",
        f'{{"password": "{SECRET}"}}',
        f"mdm_sk_{SECRET}",
        f"sk-proj-{SECRET}",
    ],
)
def test_a_secret_is_known_by_where_it_stands_or_how_it_begins(text: str) -> None:
    assert SECRET not in Redaction().redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "2 requests appended to /data/lake/llm_requests",
        "http://127.0.0.1:7680/v1/chat/completions?api-version=2024-10-21",
        "cannot connect to the provider: Connection refused",
        "the key is missing; the password is wrong",
        "postgresql://db:5432/spend",
        "a monkey=banana, sk-short",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert Redaction().redacted(text) == text


@given(st.text(), st.text(alphabet="abcXYZ0189+/=@%$ \\", min_size=4), st.text())
def test_a_known_secret_is_masked_wherever_it_stands(before: str, secret: str, after: str) -> None:
    assert secret not in Redaction([secret]).redacted(before + secret + after).replace(
        "[credential]", ""
    )


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    once = Redaction().redacted(text)

    assert Redaction().redacted(once).count("[credential]") >= once.count("[credential]")


def test_message_arguments_and_children_are_masked(logged: io.StringIO) -> None:
    logging.getLogger("some.library").warning("called with %s and %d", SECRET, 7)

    assert logged.getvalue() == "WARNING called with [credential] and 7\n"


def test_a_short_word_is_no_secret(logged: io.StringIO) -> None:
    """With three letters masked, no message could be read."""
    logging.getLogger("x").warning("the abc of it")

    assert logged.getvalue() == "WARNING the abc of it\n"


def test_a_traceback_is_masked(logged: io.StringIO) -> None:
    try:
        raise ValueError(f"no connection to postgresql://u:{SECRET}@h/d")
    except ValueError:
        logging.getLogger("x").exception("failed", stack_info=True)

    assert "ValueError: no connection to postgresql://u:[credential]@h/d" in logged.getvalue()
    assert SECRET not in logged.getvalue()


def test_extra_fields_are_masked_whatever_they_hold() -> None:
    """Structured logs write them beside the message."""
    record = logging.makeLogRecord(
        {
            "msg": "x",
            "url": f"https://u:{SECRET}@host",
            "headers": {"authorization": f"Bearer {SECRET}", "n": 3},
            "parts": [SECRET, None, True, 1.5],
            "error": ValueError(SECRET),
        }
    )
    assert Redaction([SECRET]).filter(record)

    assert SECRET not in json.dumps(vars(record), default=repr)
    assert vars(record)["headers"]["n"] == 3
    assert vars(record)["parts"][1:] == [None, True, 1.5]


def test_arguments_that_do_not_fit_are_masked_too(logged: io.StringIO) -> None:
    """A mistake in a log call must not be the hole."""
    logging.getLogger("x").warning("two %s %s", SECRET)

    assert "two %s %s" in logged.getvalue()
    assert SECRET not in logged.getvalue()


SUPERVISES = """
import logging
from majordomo_analytics.cli.main import main
from majordomo_proxy.settings import Settings
from majordomo_proxy.supervisor import Supervisor

def run(supervisor):
    log = logging.getLogger("majordomo_proxy.supervisor")
    log.warning("first, postgresql://ana:geheim@db/spend")
    for log_format in ("json", "console"):
        supervisor._take_over(Settings(log_format=log_format))
        log.warning("then, postgresql://ana:geheim@db/spend")
    return 0

Supervisor.run = run
main()
"""


def test_a_supervisor_masks_secrets_before_and_after_reloads(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISES, "proxy", "--data", str(tmp_path / "data")],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr.count("postgresql://ana:[credential]@db/spend") == 3
    assert "geheim" not in done.stderr
