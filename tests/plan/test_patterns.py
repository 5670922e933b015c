"""A pattern means the same in every engine, and what would not is refused."""

from __future__ import annotations

import re

import duckdb
import polars as pl
import psycopg
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import majordomo_analytics as ma
from majordomo_analytics.plan.patterns import for_postgres, read_pattern
from tests.plan.patterns import PATTERNS, TEXTS, Written


def found_by_python(pattern: Written, texts: list[str]) -> list[bool]:
    return [re.search(pattern.python, text, re.ASCII) is not None for text in texts]


def normal_form(pattern: Written) -> str:
    try:
        return read_pattern(pattern.ours)
    except ma.FilterError as error:
        assume("no character is in the class" not in str(error))  # such as [^\\d\\D]
        raise


@given(PATTERNS, st.lists(TEXTS, min_size=1, max_size=8))
@settings(max_examples=150)
def test_duckdb_and_polars_find_what_python_finds(pattern: Written, texts: list[str]) -> None:
    """RE2 and Rust's regex, from one normal form."""
    normal = normal_form(pattern)
    frame = pl.DataFrame({"text": texts})

    with duckdb.connect() as database:
        database.register("texts", frame.to_arrow())
        by_duckdb = database.execute("SELECT REGEXP_MATCHES(text, $1) FROM texts", [normal])
        assert [row[0] for row in by_duckdb.fetchall()] == found_by_python(pattern, texts)
    by_polars = frame.select(pl.col("text").str.contains(normal))["text"].to_list()
    assert by_polars == found_by_python(pattern, texts)


@given(st.lists(st.tuples(PATTERNS, TEXTS), min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_postgres_finds_what_python_finds(
    postgres_server: str, asked: list[tuple[Written, str]]
) -> None:
    """Postgres' advanced regular expressions, from the same normal form."""
    with psycopg.connect(postgres_server) as connection:
        for pattern, text in asked:
            normal = for_postgres(normal_form(pattern))
            found = connection.execute("SELECT %s::text ~ %s::text", (text, normal)).fetchone()
            assert found == (found_by_python(pattern, [text])[0],), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a**", "not repeated"),
        ("a*?", "lazy"),
        ("a++", "possessive"),
        ("*a", r"write .\\\*"),
        ("a{,3}", r"'\{2,5\}'"),
        ("a{256}", "255"),
        ("a{3,2}", "repeats nothing"),
        ("(a{100}){100}", "1000 characters"),
        ("a" * 1001, "1000 characters"),
        ("(" * 51 + ")" * 51, "50 deep"),
        ("(a*)*", "empty already"),
        ("^*", "cannot be repeated"),
        ("(a", "never closed"),
        ("a)", "no group is open"),
        ("[a", "never closed"),
        ("[]", "empty class"),
        ("[[:alpha:]]", "no other class"),
        ("[a&&b]", "not combined"),
        ("[z-a]", "up to a later one"),
        (r"[a-\d]", "up to a later one"),
        ("[a-c-e]", "first, last"),
        (r"[^\d\D]", "no character"),
        (r"\bgpt", "word boundaries"),
        (r"(a)\1", r"'\\1' has no meaning"),
        (r"\p{L}", "no meaning"),
        (r"a\Z", r"write '\$'"),
        ("(?i)gpt", "no flags"),
        ("(?=a)", "no lookaround"),
        ("a\\", "nothing follows"),
        ("a\0", "no text holds"),
        ("\ud800", "no text holds"),
    ],
)  # fmt: skip
def test_what_engines_read_differently_is_refused(pattern: str, why: str) -> None:
    """The message says where, why and what would be right."""
    with pytest.raises(ma.FilterError, match=why):
        read_pattern(pattern)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    """What is accepted is what Python reads too."""
    try:
        normal = read_pattern(text)
    except ma.FilterError:
        return
    re.compile(normal.replace(r"\z", r"\Z"))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12))
def test_escaped_text_is_found_in_itself(text: str) -> None:
    """`re.escape` writes only what the subset knows."""
    pattern = read_pattern(f"^{re.escape(text)}$")

    found = pl.Series([text, f"{text}x"]).str.contains(pattern)

    assert found.to_list() == [True, False]
