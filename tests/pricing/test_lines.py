"""Where an entry and a key of a TOML file stand, whatever its strings hold."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majordomo_analytics.pricing.lines import Lines

TRICKY = '''# [[price]] in a comment, and a quote: "
providers = ["a", "b"]

[[price]]          # first
model = "[[price]]"
"discount" = 0.1
provider = """
[[price]]
model = "none"
"""
[[price]]
model = 'a # "b'   # input_mtok = 3
input_mtok = { base = 1, tiers = [
  { start = 5, price = 2 },   # ]]
] }

[price.output_mtok]
base = 3
tiers = []
[[price]]
note = \'\'\'"""\'\'\'
until = 2026-01-01
model = "x\\"]]"
'''


def test_the_tricky_file_is_toml() -> None:
    assert len(tomllib.loads(TRICKY)["price"]) == 3


@pytest.mark.parametrize(("place", "line"), [(0, 4), (1, 11), (2, 20)])
def test_an_entry_stands_where_its_header_does(place: int, line: int) -> None:
    assert Lines(TRICKY, "price").of_entry(place) == line


@pytest.mark.parametrize(
    ("place", "key", "line"),
    [
        (0, "model", 5),
        (0, "discount", 6),
        (0, "provider", 7),
        (0, "input_mtok", 4),  # not there: the entry's own line
        (1, "model", 12),
        (1, "input_mtok", 13),
        (1, "output_mtok", 17),
        (2, "note", 21),
        (2, "until", 22),
        (2, "model", 23),
    ],
)
def test_a_key_stands_where_it_is_written(place: int, key: str, line: int) -> None:
    assert Lines(TRICKY, "price").of_key(place, key) == line


def test_entries_of_an_inline_array_have_lines_too() -> None:
    text = (
        'price = [\n  { model = "[{" },\n  # {\n  { model = "b", input_mtok = { base = 1 } },\n]\n'
    )
    lines = Lines(text, "price")
    assert [lines.of_entry(place) for place in range(2)] == [2, 4]
    assert lines.of_key(1, "model") == 4


def test_a_name_at_the_top_is_found() -> None:
    assert Lines(TRICKY, "price").of_name("providers") == 2


texts = st.text(st.sampled_from("[]{}#'\"=\\ ,.a\n") | st.characters(codec="utf-8"), max_size=12)


def literal(text: str, form: int) -> str:
    """Return a TOML string of some text, in one of the four forms where it can be."""
    escaped = "".join(f"\\U{ord(c):08x}" if c in '"\\' or not c.isprintable() else c for c in text)
    plain = text.isprintable() and "'" not in text
    if form == 1 and plain:
        return f"'{text}'"
    if form == 2:
        return f'"""\n{escaped}\n\\\n"""'
    if form == 3 and plain:
        return f"'''{text}\n'''"
    return f'"{escaped}"'


@settings(max_examples=300)
@given(
    entries=st.lists(
        st.lists(st.tuples(texts, st.integers(0, 3)), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    ),
    comment=texts,
)
def test_lines_are_those_at_which_they_were_written(
    entries: list[list[tuple[str, int]]], comment: str
) -> None:
    """A file is written line by line, and where each key went is kept."""
    remark = "".join(c for c in comment if c.isprintable())
    text = f"# {remark}\n"
    wanted: dict[tuple[int, str], int] = {}
    for place, values in enumerate(entries):
        wanted[place, ""] = text.count("\n") + 1
        text += f"[[price]] # {remark}\n"
        for number, (value, form) in enumerate(values):
            wanted[place, f"key{number}"] = text.count("\n") + 1
            text += f"key{number} = [ {literal(value, form)}, [1] ] # {remark}\n\n"
    assert len(tomllib.loads(text)["price"]) == len(entries)

    lines = Lines(text, "price")
    for (place, key), line in wanted.items():
        assert (lines.of_key(place, key) if key else lines.of_entry(place)) == line
