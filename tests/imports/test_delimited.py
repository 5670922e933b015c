"""CSV as Python's own writer and others write it, and what is wrong in it, by line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.errors import SourceError
from majordomo_analytics.imports.delimited import Cells, DelimitedReader, RowError


def read(data: bytes) -> list[tuple[int, Cells | str]]:
    return [
        (line, str(cells) if isinstance(cells, RowError) else cells)
        for line, cells in DelimitedReader(io.BytesIO(data), "the file")
    ]


texts = st.text(
    st.one_of(st.characters(codec="utf-8", exclude_characters="\x00"), st.sampled_from('",\n\r;'))
)


@given(
    st.lists(st.tuples(texts, texts, texts), max_size=6),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_what_pythons_writer_writes_is_read_back(
    rows: list[tuple[str, str, str]], delimiter: str, end: str, quotes_all: bool
) -> None:
    """An empty field comes back as nothing, unless it stands in quotes."""
    file = io.StringIO(newline="")
    writer = csv.writer(
        file,
        delimiter=delimiter,
        lineterminator=end,
        quoting=csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL,
    )
    writer.writerows([("a", "b", "c"), *rows])

    found = read(file.getvalue().encode())

    as_text = [tuple(cell or "" for cell in cells) for _, cells in found]
    assert as_text == rows
    assert quotes_all or not any(cell == "" for _, cells in found for cell in cells)


def test_nothing_is_not_the_empty_text() -> None:
    assert read(b'a,b\n,""\n') == [(2, [None, ""])]


def test_lines_are_those_of_the_file_also_behind_fields_of_several_lines() -> None:
    assert read(b'a,b\r\n"x\r\ny",1\r\n\r\n2,3') == [(2, ["x\r\ny", "1"]), (5, ["2", "3"])]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,2,3", "it has 3 fields, and the first line 2"),
        (b"1", "it has 1 fields, and the first line 2"),
        (b'"1,2', "a quote in it is never closed"),
        (b'"1"x,2', "something stands behind the closing quote of field 1"),
        (b"\xff,2", "byte 1 of it is no UTF-8"),
    ],
)
def test_a_bad_row_is_told_by_its_line_and_those_behind_it_are_read(
    line: bytes, reason: str
) -> None:
    assert read(b"a,b\n" + line + b"\n5,6\n") == [(2, reason), (3, ["5", "6"])]


def test_a_quote_that_is_never_closed_takes_a_row_and_not_the_file() -> None:
    rows = b'a,b\n1,"2\n' + b"3,4\n" * 300_000

    found = read(rows)

    assert found[0] == (2, "a quote in it is never closed")
    assert len(found) == 300_001
    assert found[-1] == (300_002, ["3", "4"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no first line"),
        (b"a,b,a\n", "names the column 'a' twice"),
        (b"\xff\xfea\x00", "no UTF-8 text"),
    ],
)
def test_a_file_without_a_header_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        DelimitedReader(io.BytesIO(data), "the file")


def test_a_byte_order_mark_is_no_part_of_a_name() -> None:
    assert DelimitedReader(io.BytesIO(b'\xef\xbb\xbf"a";b\n'), "f").columns == ("a", "b")
