"""However the bytes of an answer are cut on their way, they say the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture import streams
from tests.capture.bodies import Case, known
from tests.capture.cases import CASES
from tests.support.compressed import ENCODINGS


def in_two(compress: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what compresses a body as two members."""
    return lambda body: compress(body[:99]) + compress(body[99:])


SENT: dict[str, tuple[str | None, Callable[[bytes], bytes]]] = {
    "plain": (None, lambda body: body),
    **{name: (encoding.header, encoding.compress) for name, encoding in ENCODINGS.items()},
    "two gzip members": (None, in_two(ENCODINGS["gzip"].compress)),
    "two zstd frames": (None, in_two(ENCODINGS["zstd"].compress)),
}
"""Ways to send a body: the header, and what makes the bytes on the wire."""
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_counts_are_those_in_the_body(case: Case) -> None:
    """The reader finds the counts that a person reads in the answer, and no others."""
    captured = case.read()
    assert known(captured) == case.counts
    assert captured.usage.status == "reported"
    assert captured.usage.source == ("stream_final" if case.is_streamed else "body")
    assert captured.model == case.model
    assert captured.response_id == case.response_id
    assert captured.is_streamed == case.is_streamed
    assert captured.error_message is None
    assert captured.flags == captured.usage.flags == ()


@each_case
@pytest.mark.parametrize("way", SENT)
def test_one_cut_anywhere_changes_nothing(case: Case, way: str) -> None:
    """Two chunks say the same as one, wherever the cut is, compressed or not."""
    whole = case.read()
    header, compress = SENT[way]
    body = compress(case.body)
    for cut in range(len(body) + 1):
        parts = case.read(body[:cut], body[cut:], content_encoding=header)
        assert parts == whole, f"cut at {cut}"


@each_case
@pytest.mark.parametrize("way", SENT)
def test_single_bytes_say_the_same(case: Case, way: str) -> None:
    """An answer that comes byte by byte says what it says in one piece."""
    header, compress = SENT[way]
    body = compress(case.body)
    single = [bytes((byte,)) for byte in body]
    assert case.read(*single, content_encoding=header) == case.read()


@given(case=st.sampled_from(CASES), data=st.data())
def test_random_cuts_change_nothing(case: Case, data: st.DataObject) -> None:
    """Many chunks of any size, empty ones among them, say the same as one."""
    cuts = data.draw(st.lists(st.integers(0, len(case.body)), max_size=40).map(sorted))
    edges = [0, *cuts, len(case.body)]
    chunks = [case.body[a:b] for a, b in pairwise(edges)]
    assert case.read(*chunks) == case.read()


@each_case
def test_scanned_documents_say_the_same(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document too large to hold is read as a small one is, wherever it is cut."""
    whole = case.read()
    for held in (8, 40, 333):
        monkeypatch.setattr(streams, "MAX_HELD_BYTES", held)
        assert case.read(*(bytes((byte,)) for byte in case.body)) == whole
        for cut in range(0, len(case.body), 7):
            assert case.read(case.body[:cut], case.body[cut:]) == whole


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name != "gemini lines"], ids=lambda case: case.name
)
def test_truncated_answers_never_report_more(case: Case) -> None:
    """An answer cut anywhere keeps what came: never more than the whole answer says."""
    whole = case.read()
    for end in range(len(case.body)):
        cut = case.read(case.body[:end], complete=False)
        if cut.usage.status == "reported":
            assert known(cut) == known(whole)
        elif not case.is_streamed:
            assert cut.usage.status == "missing"
        for name, count in known(cut).items():
            most = case.counts[name]
            assert not isinstance(count, int) or (isinstance(most, int) and count <= most)
