r"""Random patterns, each written twice: as a user would, and for Python's `re`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypothesis import strategies as st

from majordomo_analytics.plan.filters import Matches
from majordomo_analytics.plan.patterns import read_pattern

_SHORTHANDS = (r"\d", r"\w", r"\s", r"\D", r"\W", r"\S")
_TIMES = ("", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}")


@dataclass(frozen=True)
class Pattern:
    """A pattern, and what `re.search` is given for it."""

    written: str
    python: str

    def found_in(self, text: str) -> bool:
        return re.search(self.python, text, re.ASCII) is not None


@dataclass(frozen=True, slots=True)
class Spelled(Matches):
    """The plan's own condition, which remembers how Python would say it."""

    by_python: Pattern


def matches(name: str, pattern: Pattern) -> Spelled:
    return Spelled(name, read_pattern(pattern.written), pattern)


@st.composite
def patterns(draw: st.DrawFn, texts: list[str]) -> Pattern:
    """Draw a pattern that is found in some of the texts: of their own characters."""
    characters = st.sampled_from(sorted({one for text in texts for one in text} | {"a", "-"}))
    part = st.builds(
        lambda text, start, length: _literal(text[start : start + length]),
        st.sampled_from([*texts, "ab"]),
        st.integers(0, 3),
        st.integers(1, 4),
    )
    one = st.one_of(
        characters.map(_literal),
        st.sampled_from([".", *_SHORTHANDS]),
        st.builds(_class, st.lists(characters, min_size=1, max_size=3), st.booleans()),
        st.tuples(characters, characters).map(
            lambda ends: "[" + "-".join(map(_literal, sorted(ends))) + "]"
        ),
    )
    repeated = st.builds(str.__add__, one, st.sampled_from(_TIMES))
    branch = st.lists(repeated | part, min_size=1, max_size=3).map("".join)
    group = st.builds(
        lambda branches, kind, times: f"({kind}{'|'.join(branches)}){times}",
        st.lists(part.filter(bool), min_size=1, max_size=2),
        st.sampled_from(["", "?:"]),
        st.sampled_from(["", "?", "+", "{2}"]),
    )
    body = draw(st.lists(branch | group | part, min_size=1, max_size=3).map("".join))
    start, end = draw(st.sampled_from(["", "", "^"])), draw(st.sampled_from(["", "", "$"]))
    if draw(st.integers(0, 4)) == 0:
        other = draw(part)
        return Pattern(f"{start}{body}{end}|{other}", f"{start}{body}{_end(end)}|{other}")
    return Pattern(start + body + end, start + body + _end(end))


def _literal(text: str) -> str:
    return "".join(f"\\{one}" if one.isascii() and not one.isalnum() else one for one in text)


def _class(characters: list[str], negated: bool) -> str:
    return f"[{'^' * negated}{''.join(map(_literal, characters))}]"


def _end(sign: str) -> str:
    """Return the very end: Python's own ``$`` is also before a last line feed."""
    return r"\Z" if sign else ""
