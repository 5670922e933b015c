"""Each threat in `docs/security.md` names what is done and tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in PAGE.partition("## What is left")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| threat ")
]
TESTS = sorted({found.groups() for found in NAMED.finditer(PAGE)}, key=str)


def names_in(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {n.name for n in nodes if isinstance(n, kinds) and n.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_a_threat_has_an_answer_and_a_test(row: list[str]) -> None:
    threat, answer, shown_by = row

    assert threat
    assert len(answer.split()) > 3
    assert NAMED.search(shown_by)
    assert NAMED.sub("", shown_by).strip(" ,") == ""


@pytest.mark.parametrize(("path", "name"), TESTS, ids=lambda part: str(part))
def test_a_test_that_is_named_exists(path: str, name: str | None) -> None:
    found = names_in(ROOT / path)

    assert found
    assert name is None or name in found


def test_every_threat_is_read() -> None:
    assert len(ROWS) >= 25
