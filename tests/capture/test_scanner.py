"""The scanner copies what is wanted of any JSON, as a parser that holds it all would."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture.scanner import Kept, Scanner

KEPT: Kept = {b"usage": None, b"model": None, b"inside": {b"usage": None, b"deep": {b"x": None}}}

NAMES = st.sampled_from(["usage", "model", "inside", "deep", "x", "other", 'q"\\', "é"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(-1e9, 1e9),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(NAMES, values, max_size=4),
    max_leaves=25,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=6)


def scanned(*chunks: bytes) -> list[object]:
    found: list[bytes] = []
    reader = Scanner(KEPT, found.append)
    for chunk in chunks:
        reader.feed(chunk)
    return [json.loads(document) for document in found]


def wanted(value: object, kept: Kept | None) -> object:
    """Return what of `value` is wanted, by a walk through the parsed value."""
    if kept is None:
        return value
    if isinstance(value, dict):
        names = [name for name in value if name.encode() in kept]
        return {name: wanted(value[name], kept[name.encode()]) for name in names}
    if isinstance(value, list):
        return [wanted(one, kept) for one in value if isinstance(one, dict | list)]
    return None


@given(document=DOCUMENTS, indent=st.sampled_from([None, 1]), data=st.data())
def test_scanner_agrees_with_a_parser(
    document: dict[str, object], indent: int | None, data: st.DataObject
) -> None:
    """What is copied, however the text is cut, is what a walk through the value finds."""
    text = json.dumps(document, indent=indent, ensure_ascii=False).encode()
    expected = [wanted(document, KEPT)]
    cut = data.draw(st.integers(0, len(text)))
    assert scanned(text) == expected
    assert scanned(text[:cut], text[cut:]) == expected
    assert scanned(*(text[at : at + 1] for at in range(len(text)))) == expected


@given(st.lists(DOCUMENTS, max_size=4), st.sampled_from(["array", "lines"]))
def test_every_document_is_found(documents: list[dict[str, object]], form: str) -> None:
    """The elements of an array, and documents in a row, are found one by one."""
    text = json.dumps(documents) if form == "array" else "\n".join(map(json.dumps, documents))
    assert scanned(text.encode()) == [wanted(document, KEPT) for document in documents]


@given(st.text(alphabet='{}[]":,\\ aux1\n', max_size=200), st.integers(0, 200))
def test_nonsense_is_survived(text: str, cut: int) -> None:
    """Text that is no JSON never raises, and says the same wherever it is cut."""
    whole: list[bytes] = []
    Scanner(KEPT, whole.append).feed(text.encode())
    parts: list[bytes] = []
    reader = Scanner(KEPT, parts.append)
    reader.feed(text[:cut].encode())
    reader.feed(text[cut:].encode())
    assert parts == whole


@pytest.mark.parametrize(
    "text",
    [
        b'{"usage": ' + b"9" * 500_000 + b"}",
        b'{"usage": "' + b"x" * 500_000 + b'"}',
        b'{"' + b"k" * 500_000 + b'": 1}',
        b'{"inside": [' + b'{"usage": 1},' * 50_000 + b"{}]}",
    ],
)
def test_document_that_needs_too_much_is_dropped(text: bytes) -> None:
    """What is copied of one document is bounded; the next document is read again."""
    found: list[bytes] = []
    reader = Scanner(KEPT, found.append)
    for at in range(0, len(text), 5000):
        reader.feed(text[at : at + 5000])
    assert reader.is_too_large
    assert found == []
    reader.feed(b'{"model": "m"}')
    assert found == [b'{"model": "m"}']
    assert reader.documents == 1


def test_small_containers_go_by_at_any_depth() -> None:
    """Nesting deeper than one match sees is followed to its end."""
    deep = b"[" * 5000 + b'{"usage": "}]"}' + b"]" * 5000
    assert scanned(b'{"a": ' + deep + b', "model": "m"}') == [{"model": "m"}]
