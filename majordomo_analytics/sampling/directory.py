"""A sample as a data directory: what `ma.open` opens, with its truth beside the lake."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from majordomo_analytics.datadir import NOBODYS, DataDirectory
from majordomo_analytics.errors import DataDirectoryError
from majordomo_analytics.lake.table import append_once, create_lake
from majordomo_analytics.sampling.making import GENERATOR_VERSION, Making
from majordomo_analytics.sampling.truth import written

if TYPE_CHECKING:
    from collections.abc import Callable

    from majordomo_analytics.sampling.making import Recipe

TRUTH = "truth.json"
"""The file in the data directory of a sample that says what is true of it."""

UNFINISHED = "sample.unfinished.json"
"""Stands there instead of the truth until the last row is written."""

APPLICATION = "majordomo sample"


def make_sample(
    path: str | Path, recipe: Recipe, *, on_rows: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Make a sample in the folder `path`, and return its truth.

    A finished sample of the same recipe is left as it is; one that was broken off is
    finished, its rows neither lost nor doubled.

    Parameters
    ----------
    path
        A folder that is empty, not there yet, or holds this very sample.
    recipe
        What to make.
    on_rows
        Called with how many rows were written since the last call.

    Returns
    -------
    dict
        What the file ``truth.json`` says.

    Raises
    ------
    DataDirectoryError
        If the folder holds anything else; nothing is changed then.
    LakeError
        If it cannot be written.
    """
    folder = Path(path)
    making = Making(recipe)
    asked = _marks(making, recipe)
    if _is_used(folder):
        found = _found(folder)
        if found != asked:
            raise DataDirectoryError(_refusal(folder, found, asked))
        if (folder / TRUTH).exists():
            return read_truth(folder)
    directory = DataDirectory.create(folder)
    unfinished = folder / UNFINISHED
    unfinished.write_text(json.dumps(asked) + "\n", "utf-8")
    create_lake(directory.lake)
    done = 0
    with closing(making.tables()) as tables:
        for table in tables:
            first, done = done + 1, done + table.num_rows
            append_once(directory.lake, table, application=APPLICATION, first=first, last=done)
            on_rows(table.num_rows)
    truth = making.truth()
    draft = folder / f"{TRUTH}.new"
    draft.write_text(written(truth), "utf-8")
    draft.replace(folder / TRUTH)
    unfinished.unlink()
    return truth


def read_truth(path: str | Path) -> dict[str, Any]:
    """Return what is true of the sample in the folder `path`.

    Raises
    ------
    DataDirectoryError
        If there is no finished sample.
    """
    file = Path(path) / TRUTH
    try:
        truth: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        message = f"{str(path)!r} holds no finished sample: there is no {TRUTH} in it"
        raise DataDirectoryError(message) from error
    except (OSError, ValueError) as error:
        message = f"{str(file)!r} cannot be read as the truth of a sample: {error}"
        raise DataDirectoryError(message) from error
    return truth


def _marks(making: Making, recipe: Recipe) -> dict[str, Any]:
    """Return what decides the rows of a sample."""
    return {
        "version": GENERATOR_VERSION,
        "rows": recipe.rows,
        "seed": recipe.seed,
        "days": recipe.days,
        "price_version": making.price_version,
    }


def _is_used(folder: Path) -> bool:
    if folder.exists() and not folder.is_dir():
        message = f"{str(folder)!r} is a file; a sample is made in a folder"
        raise DataDirectoryError(message)
    return folder.is_dir() and any(path.name not in NOBODYS for path in folder.iterdir())


def _found(folder: Path) -> dict[str, Any] | None:
    """Return what the sample in a folder was made from, None if there is none."""
    try:
        if (folder / TRUTH).exists():
            generator: dict[str, Any] = read_truth(folder)["generator"]
            return generator
        unfinished: dict[str, Any] = json.loads((folder / UNFINISHED).read_text("utf-8"))
    except (OSError, ValueError, KeyError):
        return None
    return unfinished


def _refusal(folder: Path, found: dict[str, Any] | None, asked: dict[str, Any]) -> str:
    if found is None:
        return f"{str(folder)!r} is not empty and no sample; name a folder of its own for it"
    differs = [
        f"{name} {found.get(name)!r} instead of {value!r}"
        for name, value in asked.items()
        if found.get(name) != value
    ]
    return (
        f"{str(folder)!r} holds another sample, with {' and '.join(differs)}; name another "
        "folder, or remove that one first"
    )
