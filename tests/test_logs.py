"""A log line says when, how urgent, which process and what, on one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics import logs
from majordomo_analytics.errors import SettingsError
from majordomo_analytics.redaction import redact_logs


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Say what was written, and put back how logs were set up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.ALWAYS_TOLD}
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("a.logger", logging.WARNING, "file", 1, message, None, None)
    vars(made).update(fields)
    return made


@given(
    st.text(), st.dictionaries(st.sampled_from(["id", "rows", "who"]), st.text() | st.integers())
)
def test_json_is_one_line_that_holds_what_was_said(message: str, fields: dict[str, object]) -> None:
    line = logs.JsonLines("worker 1").format(record(message.replace("%", ""), **fields))
    read = json.loads(line)

    assert len(line.split("\n")) == 1
    assert read.pop("message") == message.replace("%", "")
    instant = datetime.fromisoformat(read.pop("time"))
    assert instant.tzinfo == UTC
    assert read == {"level": "warning", "process": "worker 1", "logger": "a.logger", **fields}


@given(st.text(), st.text())
def test_nobody_can_begin_a_line_of_his_own_on_a_console(message: str, value: str) -> None:
    line = logs.ConsoleLines("worker 1").format(record(message.replace("%", ""), path=value))

    assert line.isprintable()
    assert line.startswith("20")
    assert " WARNING worker 1: " in line


def test_a_traceback_is_in_the_line_of_its_event(written: Callable[[], str]) -> None:
    logs.set_up("drain", log_format="json")
    try:
        raise ValueError("what went wrong")
    except ValueError:
        logging.getLogger("any").exception("a sentence")

    (line,) = written().splitlines()
    assert "what went wrong" in json.loads(line)["traceback"]


def test_a_field_never_takes_the_place_of_what_every_line_has() -> None:
    read = json.loads(logs.JsonLines("drain").format(record("told", level="none", time="never")))

    assert (read["level"], read["message"]) == ("warning", "told")
    assert read["time"] != "never"


@pytest.mark.parametrize("log_format", logs.LOG_FORMATS)
def test_no_line_of_either_format_tells_a_secret(
    written: Callable[[], str], log_format: str
) -> None:
    logs.set_up("worker 1", log_format=log_format)
    redact_logs(["opensesame"])
    fields = {"url": "https://host/v1?key=AIzaSyHidden0123456789"}
    logging.getLogger("some.library").error("a %s was told", "opensesame", extra=fields)

    text = written()
    assert "opensesame" not in text
    assert "Hidden" not in text
    assert "a [credential] was told" in text


@pytest.mark.parametrize("log_format", logs.LOG_FORMATS)
def test_a_traceback_and_a_stack_are_masked_in_either_format(
    written: Callable[[], str], log_format: str
) -> None:
    logs.set_up("drain", log_format=log_format)
    redact_logs(["opensesame"])
    try:
        raise RuntimeError("no way to postgresql://ana:geheim-1@db/spend with opensesame")
    except RuntimeError:
        logging.getLogger("some.library").exception("it failed")
    logging.getLogger("some.library").warning("by way of opensesame", stack_info=True)

    text = written()
    assert "RuntimeError: no way to postgresql://ana:[credential]@db/spend" in text
    assert "Stack (most recent call last)" in text
    assert "opensesame" not in text
    assert "geheim-1" not in text


def test_what_looks_at_records_goes_on_when_the_form_changes(written: Callable[[], str]) -> None:
    """As in a supervisor whose settings are reloaded."""
    logs.set_up("supervisor", log_format="console")
    redact_logs(["planted-secret-4711"])
    logs.set_up("supervisor", log_format="json")
    logging.getLogger("some.library").error("it was planted-secret-4711")

    text = written()
    assert "it was" in text
    assert "planted-secret" not in text


def test_what_is_less_urgent_is_not_written_but_for_what_is_always_told(
    written: Callable[[], str],
) -> None:
    logs.set_up("supervisor", log_level="error")
    logging.getLogger("some.library").warning("not this")
    logging.getLogger("majordomo_proxy.supervisor").info("majordomo proxy on http://a")

    assert written() == "majordomo proxy on http://a\n"


@pytest.mark.parametrize("wrong", [{"log_format": "xml"}, {"log_level": "loud"}])
def test_what_is_no_format_or_level_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="must be one of"):
        logs.set_up("drain", **wrong)
