"""The colour of each value: the same in every figure of a session.

A value keeps the colour that it had when it was first drawn, whatever is filtered or sorted
afterwards. No two values of a key share one.
"""

from __future__ import annotations

import colorsys
from threading import Lock
from typing import TYPE_CHECKING

from majordomo_analytics.errors import QueryError
from majordomo_analytics.plan.plan import OTHER, UNTAGGED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PALETTE = (
    "#1F77C4", "#D38209", "#55A389", "#AC4405", "#904C83", "#32A2B5", "#287650", "#E23061",
)  # fmt: skip
"""Any two are told apart with every kind of red-green blindness, and each stands out from a
white page and from a dark one (contrast 3 to 1). Searched for by number, see the tests."""

GREYS = {OTHER: "#7E848F", UNTAGGED: "#A7ADB8"}
SLATE = "#5F7A94"
"""For marks that stand for no single value."""

RISE, FALL = "#C2571A", "#1F77C4"
_LEAST_LUMINANCE, _MOST_LUMINANCE = 0.14, 0.29

_seen: dict[str, dict[str, str]] = {}
_lock = Lock()


def is_rest(values: Iterable[object]) -> bool:
    """Return whether a combination has no value of its own in one of its dimensions."""
    return any(value in (OTHER, UNTAGGED) for value in values)


def colours_of(key: str, values: Sequence[object]) -> list[str]:
    """Return the colour of each value of a metadata key or column; of the rest, a grey."""
    with _lock:
        seen = _seen.setdefault(_folded(key), {})
        chosen = []
        for value in values:
            name = str(value)
            if name in GREYS:
                chosen.append(GREYS[name])
                continue
            if name not in seen:
                seen[name] = _free(seen.values())
            chosen.append(seen[name])
        return chosen


def pin_colours(key: str, colours: Mapping[str, str]) -> None:
    """Give values of a key colours of your own, in every figure from now on.

    Parameters
    ----------
    key
        The metadata key or column, such as ``"Feature"``.
    colours
        The colour of each value, as ``"#rrggbb"``.

    Raises
    ------
    QueryError
        If a colour is not written so.

    Examples
    --------
    >>> import majordomo_analytics as ma
    >>> ma.plots.pin_colours("Provider-Tier", {"gold": "#b8860b"})
    >>> ma.plots.forget_colours()
    """
    for value, colour in colours.items():
        if not _is_hex(colour):
            message = f"the colour {colour!r} of {value!r} is not written like '#1f77c4'"
            raise QueryError(message)
    with _lock:
        seen = _seen.setdefault(_folded(key), {})
        taken = {colour.upper() for colour in colours.values()}
        for value in [value for value, colour in seen.items() if colour.upper() in taken]:
            del seen[value]  # it is given another when it is drawn next
        seen.update({value: colour.upper() for value, colour in colours.items()})


def forget_colours() -> None:
    """Begin anew with colours, as in a new session."""
    with _lock:
        _seen.clear()


def _free(taken: Iterable[str]) -> str:
    used = set(taken)
    place = 0
    while (colour := colour_at(place)) in used:
        place += 1
    return colour


def colour_at(place: int) -> str:
    """Return the colour at a place of the row of all colours; no two are the same.

    After the palette come its hues turned a little, each time in another lightness.
    """
    turn, place = divmod(place, len(PALETTE))
    if not turn:
        return PALETTE[place]
    hue, _, saturation = colorsys.rgb_to_hls(*_parts(PALETTE[place]))
    hue, saturation = (hue + 0.06 * turn) % 1, min(saturation, 0.6)
    wanted = _LEAST_LUMINANCE + (_MOST_LUMINANCE - _LEAST_LUMINANCE) * _spread(turn)
    low, high = 0.0, 1.0
    for _ in range(12):
        light = (low + high) / 2
        colour = _hex(colorsys.hls_to_rgb(hue, light, saturation))
        low, high = (light, high) if luminance(colour) < wanted else (low, light)
    return colour


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour as WCAG defines it, from 0 to 1."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in _parts(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(colour: str) -> str:
    """Return the colour of text that is read best on another."""
    here = luminance(colour)
    return "#FFFFFF" if 1.05 / (here + 0.05) >= (here + 0.05) / 0.058 else "#14171C"


def _parts(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _hex(parts: Iterable[float]) -> str:
    return "#" + "".join(f"{round(part * 255):02X}" for part in parts)


def _spread(number: int) -> float:
    """Return the fraction whose binary digits are those of `number` in reverse."""
    found, step = 0.0, 0.5
    while number:
        number, digit = divmod(number, 2)
        found += digit * step
        step /= 2
    return found


def _folded(key: str) -> str:
    return key.casefold().replace("_", "-")


def _is_hex(colour: object) -> bool:
    if not isinstance(colour, str) or len(colour) != 7 or colour[0] != "#":
        return False
    return all(digit in "0123456789abcdefABCDEF" for digit in colour[1:])
