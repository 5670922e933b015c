"""Erase a value from the rows that imports rejected: they stand whole in files of JSON.

Nobody can say what a rejected row would have had under which metadata key, so that a row
goes as a whole that has the value anywhere, alone or as a word of a longer text. It is a
copy: the file that was imported is the caller's.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from majordomo_analytics.drain import stillness
from majordomo_analytics.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from majordomo_analytics.datadir import DataDirectory

DRAFT_SUFFIX = ".erasing"
ESCAPED_BEFORE = r"(?<=\\[abfnrtv])|(?<=\\u[0-9a-f]{4})|(?<=\\x[0-9a-f]{2})"


@dataclass(slots=True)
class ErasedRejects:
    """How many lines went, and a sentence for each file that may hold the value still."""

    lines: int
    left: list[str]


def erase_from_rejects(data: DataDirectory, value: str) -> ErasedRejects:
    """Remove the rejected rows that have a value in them.

    Raises
    ------
    SpoolError
        If a file cannot be read or written.
    """
    erased = ErasedRejects(0, [])
    if not reject_files(data):
        return erased
    lock = stillness.import_lock(data)
    if not lock.acquire_within(stillness.WAIT_S):
        erased.left.append(
            f"an import is at work and may write to {str(data.rejects)!r}; erase again when it "
            "is done"
        )
        return erased
    try:
        pattern = pattern_of(value)
        for draft in data.rejects.glob(f"*{DRAFT_SUFFIX}"):  # of an erasure that was killed
            draft.unlink()
        for path in reject_files(data):
            _erase(path, pattern, erased)
    except OSError as error:
        message = f"rejected rows in {str(data.rejects)!r} cannot be erased: {error}"
        raise SpoolError(message) from error
    finally:
        lock.release()
    return erased


def reject_files(data: DataDirectory) -> list[Path]:
    """Return the files of rejected rows that are there."""
    return sorted(path for path in data.rejects.glob("*") if path.is_file())


def pattern_of(value: str) -> re.Pattern[str]:
    r"""Return what finds a value in a text, as it is or escaped as JSON, CSV or Python do.

    >>> pattern = pattern_of("u-1")
    >>> [bool(pattern.search(text)) for text in ("u-1", "for u-1.", r"a\nu-1", "au-12")]
    [True, True, True, False]
    """
    forms = {value, value.replace('"', '""'), repr(value)[1:-1]}
    for _ in range(2):  # a row may have JSON in a text
        forms |= {json.dumps(form, ensure_ascii=a)[1:-1] for form in forms for a in (True, False)}
    bordered = (
        (rf"(?:(?<!\w)|{ESCAPED_BEFORE})" if re.match(r"\w", form) else "")
        + re.escape(form)
        + (r"(?!\w)" if re.search(r"\w\Z", form) else "")
        for form in sorted(forms)
    )
    return re.compile("|".join(bordered))


def _erase(path: Path, pattern: re.Pattern[str], erased: ErasedRejects) -> None:
    draft = path.with_name(path.name + DRAFT_SUFFIX)
    kept = gone = unreadable = 0
    draft.touch(mode=0o600)
    with draft.open("wb") as file, path.open("rb") as lines:
        for line in lines:
            texts = _texts(line)
            is_readable = texts is not None
            if texts is None:
                texts = [line.decode("utf-8", "replace")]
            if any(map(pattern.search, texts)):
                gone += 1
                continue
            kept += 1
            unreadable += not is_readable
            file.write(line)
        file.flush()
        os.fsync(file.fileno())
    if gone and kept:
        draft.replace(path)
    else:
        draft.unlink()
        if gone:
            path.unlink()
    erased.lines += gone
    if unreadable:
        erased.left.append(
            f"{unreadable:,} lines of {str(path)!r} cannot be read, and may hold it; remove the "
            "file when it is not needed any more"
        )


def _texts(line: bytes) -> list[str] | None:
    """Return every text and number in a line of JSON, names included; None for another."""
    try:
        # Numbers as they are written: a user may be one.
        whole = json.loads(line, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    return list(_walk(whole))


def _walk(whole: Any) -> Iterator[str]:
    todo = [whole]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            todo += [*item, *item.values()]
        elif isinstance(item, list):
            todo += item
