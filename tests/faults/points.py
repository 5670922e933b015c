"""The named points at which a process of the product can be made to die.

A point is a step of the product, found by its name or by the SQL it runs, and whether the
process dies before it or after it. The product knows nothing of them: the seam puts itself
around the steps in the processes that a test starts.
"""

from __future__ import annotations

from dataclasses import dataclass

WRITER = "majordomo_analytics.spool.writer"
DATABASE = "majordomo_analytics.spool.database"
ADOPTION = "majordomo_analytics.spool.adoption"
FILES = "majordomo_analytics.spool.files"
LOCKS = "majordomo_analytics.spool.locks"
TABLE = "majordomo_analytics.lake.table"
DEAD_LETTERS = "majordomo_analytics.drain.dead_letters"
POSTGRES = "majordomo_analytics.drain.postgres"


@dataclass(frozen=True, slots=True)
class Point:
    """Where a process dies.

    Attributes
    ----------
    role
        Which process: ``worker``, ``drain`` or ``supervisor``.
    step
        `module:name` of a function or method, or `sql:` and a regular expression that the
        beginning of a statement to a SQLite database matches.
    after
        Whether it dies once the step is done, or just before.
    """

    role: str
    step: str
    after: bool


def before(role: str, step: str) -> Point:
    return Point(role, step, after=False)


def after(role: str, step: str) -> Point:
    return Point(role, step, after=True)


PASSING = {
    "before-begin-commit": before("worker", "sql:insert into begun"),
    "after-begin-commit": after("worker", "sql:insert into begun"),
    "before-end-commit": before("worker", "sql:insert into finished"),
    "amid-shared-commit": before("worker", "sql:commit"),
    "after-end-commit": after("worker", "sql:insert into finished"),
    "before-last-send": before("worker", f"{WRITER}:SpoolWriter._wake"),
}
"""On the way of a request through a worker."""

ROTATION = {
    "before-new-spool": before("worker", f"{DATABASE}:create_database"),
    "new-spool-is-no-database-yet": before("worker", "sql:pragma journal_mode"),
    "amid-new-spool": before("worker", "sql:create table finished"),
    "after-new-spool": after("worker", f"{DATABASE}:create_database"),
    "before-begun-leave-old-spool": before("worker", "sql:delete from begun"),
    "after-begun-left-old-spool": after("worker", "sql:delete from begun"),
    "before-old-lock-is-free": before("worker", f"{LOCKS}:Lock.release"),
    "after-old-lock-is-free": after("worker", f"{LOCKS}:Lock.release"),
}
"""While a worker goes on in a new spool file."""

CLOSING = {
    "before-last-checkpoint": before("worker", "sql:pragma wal_checkpoint"),
    "after-last-checkpoint": after("worker", "sql:pragma wal_checkpoint"),
    "before-last-lock-is-free": before("worker", f"{LOCKS}:Lock.release"),
}
"""While a worker that was told to stop closes its spool."""

DRAINING = {
    "before-lake-commit": before("drain", f"{TABLE}:append_once"),
    "after-lake-commit": after("drain", f"{TABLE}:append_once"),
    "before-unlink": before("drain", f"{FILES}:SpoolFile.unlink"),
    "amid-unlink": after("drain", "pathlib:Path.unlink"),
    "after-unlink": after("drain", f"{FILES}:SpoolFile.unlink"),
}
"""In the drain, with any sink."""

ADOPTING = {
    "before-adoption": before("drain", f"{ADOPTION}:adopt"),
    "amid-adoption": before("drain", "sql:pragma user_version ="),
    "before-adoption-commit": before("drain", "sql:commit"),
    "after-adoption-commit": after("drain", "sql:commit"),
}
"""In the drain, while it adopts the spool of a worker that died."""

WITH_POSTGRES = {
    "before-postgres-transaction": before("drain", f"{POSTGRES}:PostgresSink.append"),
    "before-postgres-commit": after("drain", f"{POSTGRES}:PostgresSink._insert"),
    "after-postgres-commit": after("drain", f"{POSTGRES}:PostgresSink.append"),
    "before-dead-letters": before("drain", f"{DEAD_LETTERS}:DeadLetters.write"),
    "after-dead-letters": after("drain", f"{DEAD_LETTERS}:DeadLetters.write"),
}
"""In the drain, when rows go to Postgres or can go nowhere."""

POINTS = {**PASSING, **ROTATION, **CLOSING, **DRAINING, **ADOPTING, **WITH_POSTGRES}
