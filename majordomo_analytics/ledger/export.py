"""Requests themselves, written to a file of any size in bounded memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from majordomo_analytics.engines.duckdb import DuckDBEngine
from majordomo_analytics.engines.export import ExportFormat
from majordomo_analytics.errors import SettingsError, SourceError, UnsupportedByEngineError
from majordomo_analytics.ledger.asking import plan_for

if TYPE_CHECKING:
    from majordomo_analytics.ledger.ledger import Ledger

BY_SUFFIX = {
    ".parquet": ExportFormat.PARQUET,
    ".csv": ExportFormat.CSV,
    ".json": ExportFormat.JSON,
    ".jsonl": ExportFormat.JSON,
    ".ndjson": ExportFormat.JSON,
}


def format_for(path: Path) -> ExportFormat:
    """Return the format that the name of a file stands for.

    Raises
    ------
    SettingsError
        If it stands for none.
    """
    form = BY_SUFFIX.get(path.suffix.lower())
    if form is None:
        message = (
            f"the name {path.name!r} says no format; write --format parquet, csv or json, or "
            f"end the name in {', '.join(BY_SUFFIX)}"
        )
        raise SettingsError(message)
    return form


def export_requests(ledger: Ledger, path: str | Path, format: ExportFormat | None = None) -> int:
    """Write the requests of a ledger to one file; return how many they are.

    The file has every column of `llm_requests` and each promoted metadata key as a column
    of its name; requests come in no order, so that none has to wait in memory. It appears
    when it is whole, in place of an older one.

    Parameters
    ----------
    ledger
        The requests; filters and a time range that are settled count.
    path
        Where to write.
    format
        How; by the end of the name unless given.

    Raises
    ------
    SettingsError
        If the name says no format.
    SourceError
        If the file cannot be written.
    """
    target = Path(path)
    form = format_for(target) if format is None else format
    engine = ledger.source.engine(DuckDBEngine.name)
    if not isinstance(engine, DuckDBEngine):
        message = f"{ledger.source.label} cannot be exported: only DuckDB writes files"
        raise UnsupportedByEngineError(message)
    plan = plan_for(ledger.plain_question(), engine)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        draft.touch()  # says plainly if it cannot be written
        written = engine.export(plan, draft, form)
        draft.replace(target)
    except OSError as error:
        message = f"{str(target)!r} cannot be written: {error.strerror or error}"
        raise SourceError(message) from error
    finally:
        draft.unlink(missing_ok=True)
    return written
