"""Members of an object are found where they stand, and cut with one comma each."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture.places import members_in, places_to_cut

TEXTS = st.text(max_size=8) | st.sampled_from(['"', "\\", '{"a":1}', "]", ", ", "usage"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
PAIRS = st.lists(st.tuples(TEXTS, VALUES), max_size=6)
SPACES = st.sampled_from(["", " ", "\n  ", "\t\r\n"])


def written(pairs: list[tuple[str, object]], space: str, *, is_ascii: bool) -> str:
    """Return an object with these members in this order, names that repeat among them."""
    members = [
        f"{json.dumps(name, ensure_ascii=is_ascii)}{space}:{space}"
        f"{json.dumps(value, ensure_ascii=is_ascii)}"
        for name, value in pairs
    ]
    return f"{space}{{{space}{f'{space},{space}'.join(members)}{space}}}{space}"


def pairs_of(text: bytes) -> list[tuple[str, object]]:
    return json.loads(text, object_pairs_hook=list)  # type: ignore[no-any-return]


@given(pairs=PAIRS, space=SPACES, is_ascii=st.booleans())
def test_members_stand_where_they_were_written(
    pairs: list[tuple[str, object]], space: str, is_ascii: bool
) -> None:
    """Each member is found, in order, with its name and exactly its value."""
    text = written(pairs, space, is_ascii=is_ascii).encode()
    members = members_in(text)
    assert [member.name.decode() for member in members] == [name for name, _ in pairs]
    assert [json.loads(text[m.value_start : m.end]) for m in members] == [
        json.loads(json.dumps(value)) for _, value in pairs
    ]
    for member, (name, _) in zip(members, pairs, strict=True):
        quoted = text[member.start : member.value_start].rstrip().removesuffix(b":")
        assert json.loads(quoted) == name


@given(pairs=PAIRS, space=SPACES, data=st.data())
def test_what_is_cut_was_never_there(
    pairs: list[tuple[str, object]], space: str, data: st.DataObject
) -> None:
    """Without the places to cut, the text is what it is without those members."""
    text = written(pairs, space, is_ascii=True).encode()
    indexes = range(len(pairs))
    unwanted = data.draw(st.sets(st.sampled_from(indexes))) if pairs else set()
    cuts = places_to_cut(text, members_in(text), unwanted)
    assert all(before[1] <= after[0] for before, after in pairwise(cuts))
    for start, end in reversed(cuts):
        text = text[:start] + text[end:]
    kept = [pair for index, pair in enumerate(pairs) if index not in unwanted]
    expected = written(kept, space, is_ascii=True)
    if not kept:
        expected = f"{space}{{}}{space}"
    assert text == expected.encode()


@pytest.mark.parametrize("text", [b"", b" ", b"[]", b'"a"', b"1", b"{}", b"{", b'{"a"', b"{a:1}"])
def test_what_is_no_object_has_no_members(text: bytes) -> None:
    assert members_in(text) == []


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\ ua1', max_size=60).map(str.encode))
def test_any_bytes_are_survived(text: bytes) -> None:
    """Places are inside the text and in order, whatever it is."""
    last = 0
    for member in members_in(text):
        assert last <= member.start < member.value_start <= member.end <= len(text)
        last = member.end


@pytest.mark.parametrize(
    "piece", [b"[],", b'{"a":[1]},', b"[[[[]]]],", b'"\\"\\\\",', b'{"a":{"b":{"c":"d"}}},']
)
def test_time_grows_with_the_length(piece: bytes) -> None:
    """Sixteen times the text takes nowhere near sixteen times sixteen times the time."""

    def seconds(times: int) -> float:
        text = b'{"a":[' + piece * times + b'0],"b":1}'
        best = 1e9
        for _ in range(3):
            begin = time.process_time()
            assert [member.name for member in members_in(text)] == [b"a", b"b"]
            best = min(best, time.process_time() - begin)
        return best

    assert seconds(32_000) < 64 * max(seconds(2_000), 1e-4)
