"""Random patterns of the subset, each with what Python's own `re` calls the same."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

LETTERS = "ab0_% -.^$|(é\n\t\U0001f600]\\"
SPECIAL = frozenset("\\.[](){}|*+?^$")


@dataclass(frozen=True)
class Written:
    """One pattern: as a user writes it, and as Python does."""

    ours: str
    python: str
    empty: bool = True
    repeatable: bool = True


def _literal(character: str) -> Written:
    ours = f"\\{character}" if character in SPECIAL else character
    return Written(ours, ours, empty=False)


@st.composite
def _class(draw: st.DrawFn) -> Written:
    members = draw(
        st.lists(
            st.sampled_from([r"\d", r"\w", r"\s", r"\D", r"\W", r"\S"])
            | st.sampled_from(["a-z", "0-_", "é-\U0001f600"])
            | st.sampled_from(LETTERS).map(
                lambda c: f"\\{c}" if c in "[]^-\\|&~" else c
            ),
            min_size=1, max_size=3,
        )
    )  # fmt: skip
    dash = draw(st.sampled_from(["", "-"]))
    text = f"[{draw(st.sampled_from(['', '^']))}{''.join(members)}{dash}]"
    return Written(text, text, empty=False)


ATOMS = st.one_of(
    st.sampled_from(LETTERS).map(_literal),
    st.sampled_from([Written(t, t, empty=False) for t in (".", r"\d", r"\w", r"\s", r"\D", r"\n")]),
    st.just(Written("^", "^", repeatable=False)),
    st.just(Written("$", r"\Z", repeatable=False)),
    _class(),
)


@st.composite
def _repeated(draw: st.DrawFn, inner: st.SearchStrategy[Written]) -> Written:
    piece = draw(inner)
    if not piece.repeatable:
        return piece
    sign = draw(
        st.sampled_from(["", "?"] if piece.empty else ["", "*", "+", "?", "{2}", "{0,2}", "{1,}"])
    )
    empty = piece.empty or sign in ("*", "?", "{0,2}")
    return Written(piece.ours + sign, piece.python + sign, empty, not sign)


@st.composite
def _grouped(draw: st.DrawFn, inner: st.SearchStrategy[Written]) -> Written:
    branches = draw(st.lists(st.lists(_repeated(inner), max_size=3), min_size=1, max_size=3))
    opening = draw(st.sampled_from(["(", "(?:"]))
    return Written(
        opening + "|".join("".join(p.ours for p in branch) for branch in branches) + ")",
        "(?:" + "|".join("".join(p.python for p in branch) for branch in branches) + ")",
        any(all(p.empty for p in branch) for branch in branches),
    )


_PIECES = st.recursive(ATOMS, _grouped, max_leaves=8)
PATTERNS = st.lists(_repeated(_PIECES), max_size=4).map(
    lambda pieces: Written("".join(p.ours for p in pieces), "".join(p.python for p in pieces))
)
TEXTS = st.text(st.sampled_from(LETTERS), max_size=6)
