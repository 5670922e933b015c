"""One pass over the spools for one sink: what is new in them, each row once.

A spool whose worker is gone is adopted on the way. One that makes trouble does not hold up
the others, and no trouble is raised: a pass says what it met.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from majordomo_analytics.drain.dead_letters import DeadLetters
from majordomo_analytics.drain.delivery import deliver, retry_dead
from majordomo_analytics.drain.removal import check_place, remember_sink
from majordomo_analytics.errors import (
    DamagedSpoolError,
    LakeError,
    MajordomoError,
    PostgresError,
    RowsRefusedError,
    SpoolError,
)
from majordomo_analytics.spool.adoption import adopt, set_aside
from majordomo_analytics.spool.files import spool_files
from majordomo_analytics.spool.locks import drain_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.sinks import Sink
    from majordomo_analytics.spool.adoption import Adoption
    from majordomo_analytics.spool.files import SpoolFile

ROWS_PER_COMMIT = 10_000
LOCK_WAIT_S = 60.0


@dataclass(slots=True)
class Pass:
    """What one pass over the spools did for one sink.

    Attributes
    ----------
    rows
        Rows that reached the sink and were new there.
    dead
        Rows that it refused, set aside as dead letters.
    troubles
        One sentence for each spool that could not be served, or for the sink itself.
    is_down
        Whether the sink could not be used at all, or another drain did.
    positions
        How far the sink has come in each spool, as it said itself.
    interrupted
        Requests that were cut short with their worker, and have a row now that says so.
    quarantined
        Spools that were damaged.
    """

    rows: int = 0
    dead: int = 0
    interrupted: int = 0
    quarantined: int = 0
    troubles: list[str] = field(default_factory=list)
    is_down: bool = False
    positions: dict[str, int] = field(default_factory=dict)


def serve(
    data: DataDirectory,
    sink: Sink,
    *,
    on_rows: Callable[[int], None] = lambda _: None,
    again: bool = False,
    finished: dict[str, int] | None = None,
) -> Pass:
    """Give one sink everything that is in the spools now; its troubles do not raise.

    Parameters
    ----------
    data, sink
        What to drain, and where to.
    on_rows
        Called with the number of rows each time some were read and delivered.
    again
        Whether the sink is to be given its dead letters again.
    finished
        Positions in spools that have no writer and nothing more for this sink. They are
        passed over, and more are added: spools that wait for another sink can be many.
    """
    finished = {} if finished is None else finished
    done = Pass()
    lock = drain_lock(data.spool, sink.name)
    try:
        if not lock.acquire_within(LOCK_WAIT_S):
            done.is_down = True
            done.troubles.append(
                f"{sink.name}: another drain is at work on {str(data.root)!r} "
                f"for over {LOCK_WAIT_S:g} s"
            )
            return done
        if sink.name != "lake":
            check_place(data, sink.name, sink.place)
        if sink.open():  # it may be another server, or an older state
            finished.clear()
        if sink.name != "lake":
            # Not before it was reached once: rows are not kept for an address mistyped.
            remember_sink(data, sink.name, sink.place)
        if again:
            _deliver_dead(data, sink, done)
        _drain_spools(data, sink, done, on_rows, finished)
    except MajordomoError as error:
        done.is_down = True
        done.troubles.append(f"{sink.name}: {error}")
    except Exception as error:  # noqa: BLE001 - nobody would start its thread again
        done.is_down = True
        done.troubles.append(f"{sink.name} could not be served: {error!r}")
    finally:
        lock.release()
    return done


def _drain_spools(
    data: DataDirectory,
    sink: Sink,
    done: Pass,
    on_rows: Callable[[int], None],
    finished: dict[str, int],
) -> None:
    spools = deque(spool_files(data.spool))
    is_blocked = False
    while spools:
        spool = spools.popleft()
        if spool.uuid in finished:
            done.positions[spool.uuid] = finished[spool.uuid]
            continue
        lock = spool.writer_lock
        is_orphan = False
        try:
            # Taken before reading: a spool that has no writer now will never grow again.
            is_orphan = lock.acquire()
            is_adopted = False
            if is_orphan:
                is_adopted, saved_in = _adopt(adopt, spool, data, done)
                if saved_in is not None:
                    spools.append(saved_in)
                    continue
            if is_blocked and not spool.was_never_begun() and spool.holds_rewritten_rows():
                # They may be in the older spool that made trouble: only once the sink has
                # that one can it be told.
                continue
            _drain_spool(spool, data, sink, done, on_rows)
            if is_adopted and spool.uuid in done.positions:
                finished[spool.uuid] = done.positions[spool.uuid]
        except PostgresError:
            raise  # the next spool would wait as long for the same answer
        except (SpoolError, LakeError, RowsRefusedError) as error:
            if isinstance(error, DamagedSpoolError) and is_orphan:
                # It was sound when it was adopted.
                _, saved_in = _adopt(set_aside, spool, data, done)
                if saved_in is not None:
                    spools.append(saved_in)
                    continue
            if spool.path.exists():  # else another drain has removed it: every sink has it
                is_blocked = True
                done.troubles.append(str(error))
        except Exception as error:  # noqa: BLE001 - one spool must not hold up the others
            is_blocked = True
            trouble = f"the spool {spool.uuid} could not be drained to {sink.name}: {error!r}"
            done.troubles.append(trouble)
        finally:
            if not spool.path.exists():
                spool.unlink()  # the lock, which has come back
            lock.release()
    for gone in finished.keys() - done.positions.keys():
        del finished[gone]


def _adopt(
    way: Callable[[SpoolFile, Path], Adoption],
    spool: SpoolFile,
    data: DataDirectory,
    done: Pass,
) -> tuple[bool, SpoolFile | None]:
    """Adopt a spool whose writer lock is held; return whether it is, and its stand-in.

    One that cannot be written now, as on a disk that is full, is drained all the same, and
    stays.
    """
    try:
        adoption = way(spool, data.quarantine)
    except SpoolError as error:
        if spool.path.exists():
            done.troubles.append(str(error))
        return False, None
    done.interrupted += adoption.interrupted
    if adoption.saved_in is not None:
        done.quarantined += 1
        done.troubles.append(adoption.told(spool, data.quarantine))
    return True, adoption.saved_in


def _drain_spool(
    spool: SpoolFile,
    data: DataDirectory,
    sink: Sink,
    done: Pass,
    on_rows: Callable[[int], None],
) -> None:
    """Append what the sink does not have yet."""
    if spool.was_never_begun():
        return
    position = sink.position(spool.uuid)
    done.positions[spool.uuid] = position
    while rows := spool.read(position, ROWS_PER_COMMIT):
        delivery = deliver(rows, spool.uuid, sink, DeadLetters(data.dead_letters))
        position = rows[-1].sequence
        done.positions[spool.uuid] = position
        done.rows += delivery.appended
        on_rows(len(rows))
        if delivery.refused:
            done.dead += delivery.refused
            done.troubles.append(
                f"{sink.name} cannot hold {delivery.refused} of the rows up to {position} of "
                f"the spool {spool.uuid}; they are in {data.dead_letters.name}, and "
                "`mdm drain --retry-dead` tries them again"
            )


def _deliver_dead(data: DataDirectory, sink: Sink, done: Pass) -> None:
    delivery = retry_dead(sink, DeadLetters(data.dead_letters), most=ROWS_PER_COMMIT)
    done.rows += delivery.appended
    if delivery.refused:
        done.dead += delivery.refused
        done.troubles.append(f"{sink.name} still refuses {delivery.refused} dead letters")
