"""The small sample that is shipped, how it is made anew, and where larger ones are kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from majordomo_analytics.sampling.directory import TRUTH, make_sample, read_truth
from majordomo_analytics.sampling.making import GENERATOR_VERSION, Making, Recipe
from majordomo_analytics.sampling.truth import written

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parent / "data"
REQUESTS = FOLDER / "requests.parquet"
SHIPPED_TRUTH = FOLDER / TRUTH
SHIPPED = Recipe(rows=40_000)
"""What the shipped sample is made from."""

_DELTA_ENCODED = {
    "requested_at", "responded_at", "created_at", "response_time_ms", "time_to_first_byte_ms",
}  # fmt: skip


def shipped_truth() -> dict[str, Any]:
    """Return what is true of the shipped sample."""
    return read_truth(FOLDER)


def make_shipped(folder: Path = FOLDER) -> dict[str, Any]:
    """Write the shipped sample and its truth into a folder, and return the truth.

    The truth holds two checksums: ``file_sha256`` is of the file, ``content_sha256`` of
    what it holds. The same versions of this package, of the prices and of pyarrow give the
    same file; another pyarrow may write other bytes, with the same content.
    """
    making = Making(SHIPPED)
    with closing(making.tables()) as tables:
        rows = pa.concat_tables(list(tables)).combine_chunks()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / REQUESTS.name
    text = {field.name for field in rows.schema if pa.types.is_string(field.type)} - {"id"}
    pq.write_table(
        rows,
        file,
        compression="zstd",
        compression_level=19,
        version="2.6",
        data_page_version="1.0",
        row_group_size=len(rows),
        use_dictionary=[*text, "raw_metadata.key_value.key", "raw_metadata.key_value.value"],
        column_encoding=dict.fromkeys(_DELTA_ENCODED, "DELTA_BINARY_PACKED"),
        store_schema=True,
    )
    truth = making.truth()
    truth["file_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    truth["content_sha256"] = fingerprint(rows)
    (folder / TRUTH).write_text(written(truth), "utf-8")
    return truth


def fingerprint(rows: pa.Table) -> str:
    """Return the SHA-256 of what a table holds, however it was stored.

    It covers the columns' names and order, which values are null, and the values.
    """
    digest = hashlib.sha256()
    for name in rows.schema.names:
        digest.update(f"{name}\n".encode())
        _feed(digest, rows.column(name).combine_chunks())
    return digest.hexdigest()


def _feed(digest: Any, column: pa.Array) -> None:
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)
    digest.update(np.asarray(column.is_null()).tobytes())
    kind = column.type
    if pa.types.is_map(kind):
        pairs = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        column = column.cast(pa.list_(pairs))
        kind = column.type
    if pa.types.is_list(kind):
        lengths = pc.list_value_length(column).fill_null(0)
        digest.update(np.asarray(lengths, "<i8").tobytes())
        inner = pc.list_flatten(column)
        parts = inner.flatten() if pa.types.is_struct(inner.type) else [inner]
        for part in parts:
            _feed(digest, part)
    elif pa.types.is_decimal(kind) or pa.types.is_null(kind):
        digest.update("\n".join(map(str, column.to_pylist())).encode())
    elif pa.types.is_string(kind):
        lengths = pc.binary_length(column).fill_null(0)
        digest.update(np.asarray(lengths, "<i8").tobytes())
        digest.update("".join(column.drop_null().to_pylist()).encode())
    elif pa.types.is_boolean(kind):
        digest.update(np.asarray(column.fill_null(False)).tobytes())
    else:  # whole numbers, and instants and dates as such
        if pa.types.is_date32(kind):
            column = column.cast(pa.int32())
        digest.update(np.asarray(column.cast(pa.int64()).fill_null(0), "<i8").tobytes())


def cache_folder() -> Path:
    """Return where samples are kept that were made on demand.

    ``MAJORDOMO_CACHE`` names it; else it is ``majordomo-analytics`` in ``XDG_CACHE_HOME``,
    by default ``~/.cache``.
    """
    own = os.environ.get("MAJORDOMO_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path there has to be ignored, says the XDG base directory specification.
    base = Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache"
    return base / "majordomo-analytics"


def cached_sample(
    recipe: Recipe, *, on_rows: Callable[[int], None] = lambda _: None
) -> tuple[Path, bool]:
    """Return the folder of a sample, made if need be, and whether it was made.

    It is made beside its place and moved there whole, so that others never see a part.
    """
    prices = hashlib.sha256(Making(recipe).price_version.encode()).hexdigest()[:8]
    name = f"{recipe.rows}-rows-{recipe.days}-days-seed-{recipe.seed}"
    place = cache_folder() / "samples" / f"v{GENERATOR_VERSION}-{name}-prices-{prices}"
    if (place / TRUTH).exists():
        return place, False
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="draft-", dir=place.parent))
    try:
        make_sample(draft / "sample", recipe, on_rows=on_rows)
        try:
            (draft / "sample").rename(place)
        except OSError:
            if not (place / TRUTH).exists():  # else somebody else was quicker with the same
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return place, True


if __name__ == "__main__":
    print(json.dumps(make_shipped()["generator"]))  # noqa: T201 - a command of the Makefile
