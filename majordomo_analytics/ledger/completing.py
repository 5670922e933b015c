"""Names at the tab key: measures, metadata keys, columns and grains, inside a question.

IPython knows a method's parameters, but not which names may be their values. A matcher of
our own does, from the source of the ledger that is asked.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from majordomo_analytics.errors import MajordomoError
from majordomo_analytics.plan.measures import MEASURES
from majordomo_analytics.times import TIME_GRAINS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENGINES = ("duckdb", "polars", "postgres", "spark")
COMPARED = ("previous period", "previous year")
_CALL = re.compile(r"\.\s*(query|by|filter|plot|requests)\s*$")
_NAME = re.compile(r"[A-Za-z_]\w*")
_PARAMETER = re.compile(r"(\w+)\s*=\s*[\[({]?[^=\[\]{}()]*$")
_WORD = re.compile(r"[A-Za-z_]\w*$")
_QUESTION = ("measures", "dimensions", "filters", "time_range", "time_grain")


def offer_completions() -> None:
    """Teach IPython the names, once, if it is what runs this."""
    if "IPython" not in sys.modules:
        return
    from IPython.core.completer import context_matcher
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None or any(getattr(m, "is_ours", False) for m in shell.Completer.custom_matchers):
        return

    @context_matcher(identifier="majordomo_names")  # type: ignore[untyped-decorator]
    def matcher(context: Any) -> dict[str, object]:
        from IPython.core.completer import SimpleCompletion

        text = context.full_text[: _offset(context)]
        fragment, names = complete(text, shell.user_ns)
        found = [SimpleCompletion(text=name, type="value") for name in names]
        return {"completions": found, "matched_fragment": fragment, "suppress": bool(found)}

    matcher.is_ours = True
    shell.Completer.custom_matchers.append(matcher)


def complete(text: str, namespace: Mapping[str, object]) -> tuple[str, list[str]]:
    """Return what is being written at the end of `text`, and the names that it may become.

    Parameters
    ----------
    text
        The code up to the cursor.
    namespace
        The variables of the session, among which the ledger is looked for.
    """
    call, inside, quoted = _open_call(text)
    match = _CALL.search(call)
    if match is None:
        return "", []
    ledger = _ledger_in(call, namespace)
    if ledger is None:
        return "", []
    method = match[1]
    if quoted is None:
        word = _WORD.search(inside)
        fragment = word[0] if word else ""
        before = inside[: len(inside) - len(fragment)].rstrip()
        if method != "filter" or (before and not before.endswith(",")):
            return "", []
        names = [f"{name.replace('-', '_')}=" for name in _dimensions(ledger)]
        return fragment, _starting(fragment, [n for n in names if n[:-1].isidentifier()])
    falling = "-" if quoted.startswith("-") else ""  # as in order_by="-total_cost"
    fragment = quoted.removeprefix(falling)
    return fragment, _starting(fragment, _values(method, inside, ledger))


def _values(method: str, inside: str, ledger: Any) -> Sequence[str]:
    """Return the names that may stand in a string of a call."""
    named = _PARAMETER.search(inside)
    parameter = named[1] if named else None
    if parameter is None and method == "query":
        depth = _commas(inside)
        parameter = _QUESTION[depth] if depth < len(_QUESTION) else None
    if parameter == "measures" or (method == "plot" and parameter == "measure"):
        return _measures(ledger)
    if parameter in ("time_grain", "every"):
        return TIME_GRAINS
    if parameter == "engine":
        return ENGINES
    if parameter == "compare":
        return COMPARED
    if parameter == "order_by":
        return [*_measures(ledger), *_dimensions(ledger)]
    if method == "plot":
        from majordomo_analytics.plots.choice import KINDS

        return KINDS if parameter in (None, "kind") else ()
    if parameter in ("dimensions", "filters") or method in ("by", "filter"):
        return _dimensions(ledger)
    return ()


def _measures(ledger: Any) -> list[str]:
    from majordomo_analytics.plan.measures import Measure

    own = [one.name for one in ledger.question.own if isinstance(one, Measure)]
    return [*MEASURES, *own]


def _dimensions(ledger: Any) -> list[str]:
    """Return metadata keys, dimensions of the user's own, and columns."""
    from majordomo_analytics.plan.dimensions import Derived
    from majordomo_analytics.records.columns import BY_NAME

    own = [one.name for one in ledger.question.own if isinstance(one, Derived)]
    try:
        keys = ledger.source.engine().catalogue().keys()
    except (MajordomoError, OSError):
        keys = ()  # the tab key is no place for an error
    return [*keys, *own, *BY_NAME]


def _starting(fragment: str, names: Sequence[str]) -> list[str]:
    """Return the names that begin so; case does not count, and ``_`` is ``-``."""
    wanted = fragment.casefold().replace("_", "-")
    return [name for name in names if name.casefold().replace("_", "-").startswith(wanted)]


def _ledger_in(call: str, namespace: Mapping[str, object]) -> Any:
    """Return the ledger that was named last before the call."""
    from majordomo_analytics.ledger.ledger import Ledger

    for name in reversed(_NAME.findall(call)):
        if isinstance(found := namespace.get(name), Ledger):
            return found
    return None


def _open_call(text: str) -> tuple[str, str, str | None]:
    """Return the code before the innermost open call, its arguments, and an open string."""
    opened: list[tuple[str, int]] = []
    quote, begun, place = "", 0, 0
    while place < len(text):
        char = text[place]
        if quote:
            if char == "\\":
                place += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote, begun = char, place + 1
        elif char == "#":
            end = text.find("\n", place)
            place = len(text) if end < 0 else end
        elif char in "([{":
            opened.append((char, place))
        elif char in ")]}" and opened:
            opened.pop()
        elif char == "\n" and not opened:
            opened.clear()
        place += 1
    calls = [at for char, at in opened if char == "("]
    if not calls:
        return "", "", None
    inside = text[calls[-1] + 1 : begun - 1] if quote else text[calls[-1] + 1 :]
    return text[: calls[-1]], inside, text[begun:] if quote else None


def _commas(inside: str) -> int:
    """Return how many arguments are complete before the end of `inside`."""
    depth, found, quote = 0, 0, ""
    for char in inside:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            found += 1
    return found


def _offset(context: Any) -> int:
    """Return the cursor's place in the whole text."""
    lines = context.full_text.split("\n")[: context.cursor_line]
    return sum(len(line) + 1 for line in lines) + int(context.cursor_position)
