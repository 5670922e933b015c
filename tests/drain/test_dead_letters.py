"""A row that a sink cannot hold stops no other row, and is not lost."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence

import pytest

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.drain import delivery, passes
from majordomo_analytics.drain.dead_letters import DeadLetter, DeadLetters
from majordomo_analytics.drain.loop import DrainReport, drain_once
from majordomo_analytics.drain.postgres import PostgresSink
from majordomo_analytics.drain.sinks import LakeSink, Place, Sink
from majordomo_analytics.errors import SpoolError
from majordomo_analytics.records.request import RequestRecord, encode_record
from majordomo_analytics.spool.files import spool_files
from tests.drain.spools import spool, spool_bytes, spool_many
from tests.support.postgres import run, select
from tests.support.proxy import lake_rows, mdm
from tests.support.records import a_record

TOO_LARGE = 2**63
"""One more than a 64-bit column holds."""


def both(data: DataDirectory, dsn: str) -> tuple[Sink, Sink]:
    return LakeSink(data.lake), PostgresSink(dsn, lake=data.lake)


def ids_in_lake(data: DataDirectory) -> list[str]:
    return sorted(row["id"] for row in lake_rows(data.root))


def ids_in_postgres(dsn: str) -> list[str]:
    return sorted(str(row[0]) for row in select(dsn, "select id from llm_requests"))


def letters(data: DataDirectory, sink: str) -> list[tuple[str, str]]:
    return [(letter.id, letter.code) for letter in DeadLetters(data.dead_letters).of(sink)]


def test_a_row_that_no_sink_can_hold_is_set_aside_by_both(
    data: DataDirectory, postgres: str
) -> None:
    """A count that leaves its type: 22003 in Postgres, an overflow in Arrow."""
    good, bad = [a_record() for _ in range(6)], a_record(request_bytes=TOO_LARGE)
    spool(data, *good[:4], bad, *good[4:])

    report = drain_once(data, both(data, postgres))

    assert (report.rows, report.postgres_rows, report.spools_removed) == (6, 6, 1)
    assert len(report.troubles) == 2
    assert all("cannot hold 1 of the rows" in trouble for trouble in report.troubles)
    assert ids_in_lake(data) == ids_in_postgres(postgres) == sorted(r.id for r in good)
    assert letters(data, "lake") == [(bad.id, "OverflowError")]
    assert letters(data, "postgres") == [(bad.id, "22003")]


@pytest.mark.parametrize(
    ("poison", "code"),
    [
        ({"metadata": {"Feature": "a\x00b"}}, "22P05"),
        ({"error_message": "a\x00b"}, "DataError"),  # the client refuses it already
        ({"id": "no-uuid"}, "22P02"),
        ({"majordomo_api_key_id": "no-uuid"}, "22P02"),
    ],
    ids=["nul-in-jsonb", "nul-in-text", "id", "api-key-id"],
)
def test_a_row_that_postgres_alone_refuses_is_in_the_lake(
    data: DataDirectory, postgres: str, poison: dict[str, object], code: str
) -> None:
    """NUL is taken out when a row is made; should one slip through, it harms one sink."""
    bad, good = a_record(**poison), a_record()
    spool(data, bad, good)

    report = drain_once(data, both(data, postgres))

    assert (report.rows, report.postgres_rows, report.spools_removed) == (2, 1, 1)
    assert ids_in_lake(data) == sorted([bad.id, good.id])
    assert ids_in_postgres(postgres) == [good.id]
    assert letters(data, "postgres") == [(bad.id, code)]
    assert letters(data, "lake") == []


def test_a_letter_says_where_its_row_stood_and_has_its_record(
    data: DataDirectory, postgres: str
) -> None:
    bad = a_record(request_bytes=TOO_LARGE, metadata={"Feature": "ä"})
    uuid = spool(data, a_record(), bad).uuid
    drain_once(data, both(data, postgres))

    (letter,) = DeadLetters(data.dead_letters).of("postgres")

    assert (letter.spool, letter.sequence) == (uuid, 2)
    assert "out of range" in letter.reason
    assert json.loads(letter.record)["metadata"] == {"Feature": "ä"}
    assert stat.S_IMODE(data.dead_letters.stat().st_mode) == 0o600


def test_a_record_that_cannot_be_read_is_set_aside(data: DataDirectory, postgres: str) -> None:
    """Whatever bytes they are; a newer version's record is another matter and stays."""
    good = a_record()
    spool_bytes(data, ("broken", b'{"id": "bro\xff'), (good.id, encode_record(good)))

    report = drain_once(data, both(data, postgres))

    assert (report.rows, report.postgres_rows, report.spools_removed) == (1, 1, 1)
    for sink in ("lake", "postgres"):
        assert letters(data, sink) == [("broken", "UnreadableRecord")]


@pytest.mark.parametrize("places", [[0], [9], [0, 1], [4, 5], [0, 9], [3, 4, 7], list(range(9))])
def test_refused_rows_are_found_wherever_they_stand(
    data: DataDirectory, postgres: str, places: list[int]
) -> None:
    records = [a_record(request_bytes=TOO_LARGE) if n in places else a_record() for n in range(10)]
    spool(data, *records)

    drain_once(data, both(data, postgres))

    good = sorted(record.id for n, record in enumerate(records) if n not in places)
    bad = sorted(records[n].id for n in places)
    assert ids_in_lake(data) == ids_in_postgres(postgres) == good
    assert sorted(request_id for request_id, _ in letters(data, "lake")) == bad
    assert sorted(request_id for request_id, _ in letters(data, "postgres")) == bad
    assert spool_files(data.spool) == []


def test_a_sink_that_refuses_nearly_everything_is_at_fault_itself(
    data: DataDirectory, postgres: str
) -> None:
    """Nothing is set aside and nothing moves: somebody has to look at the sink."""
    records = [a_record(request_bytes=5) for _ in range(delivery.MOST_REFUSED + 20)]
    spool_many(data, records)
    drain_once(DataDirectory.create(data.root.parent / "other"), both(data, postgres)[1:])
    run(postgres, "alter table llm_requests add constraint closed check (request_bytes <> 5)")

    report = drain_once(data, both(data, postgres))

    assert (report.rows, report.postgres_rows, report.spools_removed) == (120, 0, 0)
    assert "refuses so many rows" in report.troubles[0]
    assert letters(data, "postgres") == []

    run(postgres, "alter table llm_requests drop constraint closed")
    assert drain_once(data, both(data, postgres)) == DrainReport(
        postgres_rows=120, spools_removed=1
    )


def test_a_sink_that_refuses_all_of_a_few_rows_for_one_reason_is_at_fault_itself(
    data: DataDirectory, postgres: str
) -> None:
    """And a batch of one row, or with two reasons, is a matter of its rows."""
    drain_once(data, both(data, postgres))
    run(postgres, "alter table llm_requests add constraint closed check (request_bytes <> 5)")
    refused = spool(data, *[a_record(request_bytes=5) for _ in range(3)]).uuid

    (trouble,) = drain_once(data, both(data, postgres)).troubles

    assert f"postgres refuses each of 3 rows of the spool {refused} for one reason" in trouble
    assert "23514" in trouble
    assert letters(data, "postgres") == []
    run(postgres, "alter table llm_requests drop constraint closed")
    assert drain_once(data, both(data, postgres)).postgres_rows == 3

    spool(data, a_record(request_bytes=TOO_LARGE), a_record(error_message="a\x00b"))
    spool(data, a_record(request_bytes=TOO_LARGE))
    drain_once(data, both(data, postgres))
    assert sorted(code for _, code in letters(data, "postgres")) == ["22003", "22003", "DataError"]


def test_letters_that_cannot_be_kept_leave_their_rows_in_the_spool(data: DataDirectory) -> None:
    """A row is never passed over before its letter is safe."""
    spool(data, a_record(), a_record(request_bytes=TOO_LARGE))
    data.dead_letters.mkdir()

    report = drain_once(data)

    assert (report.rows, report.spools_removed) == (0, 0)
    assert "the dead letters in" in report.troubles[0]
    data.dead_letters.rmdir()
    assert drain_once(data).rows == 1


def test_dead_letters_that_are_tried_again_and_taken_are_gone(
    data: DataDirectory, postgres: str
) -> None:
    """The constraint that refused them was a mistake and is no more."""
    records = [a_record(request_bytes=n) for n in (5, 6)]
    drain_once(data, both(data, postgres))
    run(postgres, "alter table llm_requests add constraint odd check (request_bytes <> 5)")
    spool(data, *records)
    drain_once(data, both(data, postgres))
    assert letters(data, "postgres") == [(records[0].id, "23514")]
    run(postgres, "alter table llm_requests drop constraint odd")

    report = drain_once(data, both(data, postgres), again=True)
    repeated = drain_once(data, both(data, postgres), again=True)

    assert (report.postgres_rows, report.troubles) == (1, ())
    assert repeated == DrainReport()
    assert ids_in_postgres(postgres) == ids_in_lake(data) == sorted(r.id for r in records)
    assert letters(data, "postgres") == []


def test_a_dead_letter_whose_row_came_by_another_road_is_not_doubled(
    data: DataDirectory, postgres: str
) -> None:
    """As when a try was committed and the process died before the letter was removed."""
    record = a_record()
    spool(data, record)
    drain_once(data, both(data, postgres))
    box = DeadLetters(data.dead_letters)
    for sink in ("lake", "postgres"):
        letter = DeadLetter(sink, record.id, "spool", 1, "x", "y", encode_record(record))
        box.write([letter])

    report = drain_once(data, both(data, postgres), again=True)

    assert report.troubles == ()
    assert ids_in_lake(data) == ids_in_postgres(postgres) == [record.id]
    assert (letters(data, "lake"), letters(data, "postgres")) == ([], [])


def test_a_letter_that_is_refused_again_stays(data: DataDirectory) -> None:
    bad = a_record(request_bytes=TOO_LARGE)
    spool(data, bad)

    (trouble,) = drain_once(data).troubles
    again = mdm("drain", "--data", str(data.root), "--retry-dead", check=False)

    assert "`mdm drain --retry-dead` tries them again" in trouble
    assert again.returncode == 3
    assert "lake still refuses 1 dead letters" in again.stderr
    assert letters(data, "lake") == [(bad.id, "OverflowError")]


def test_letters_are_tried_again_in_steps(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are refused again come first, in the middle, and last."""
    monkeypatch.setattr(passes, "ROWS_PER_COMMIT", 2)
    records = [a_record(request_bytes=TOO_LARGE if n in (0, 3, 6) else 1) for n in range(7)]
    box = DeadLetters(data.dead_letters)
    box.write(
        DeadLetter("lake", record.id, "spool", n // 2, "x", "y", encode_record(record))
        for n, record in enumerate(records)
    )
    sizes: list[int] = []
    append = LakeSink.append

    def watched(self: LakeSink, given: Sequence[RequestRecord], place: Place | None) -> int:
        sizes.append(len(given))
        return append(self, given, place)

    monkeypatch.setattr(LakeSink, "append", watched)
    report = drain_once(data, again=True)

    refused = sorted(records[n].id for n in (0, 3, 6))
    assert (report.rows, report.troubles) == (4, ("lake still refuses 3 dead letters",))
    assert sorted(request_id for request_id, _ in letters(data, "lake")) == refused
    assert sizes == [1, 1, 2]
    assert ids_in_lake(data) == sorted({r.id for r in records} - set(refused))


def test_the_same_row_is_one_letter_however_often_it_is_refused(data: DataDirectory) -> None:
    """A batch is done again when the process died between the letter and the commit."""
    box = DeadLetters(data.dead_letters)
    letter = DeadLetter("lake", "id", "spool", 1, "x", "y", b"{}")
    box.write([letter])
    box.write([letter])

    assert box.of("lake") == [letter]
    box.remove("lake", ["id"])
    assert box.of("lake") == []


def test_a_file_of_letters_that_is_damaged_is_an_error_of_ours(data: DataDirectory) -> None:
    data.dead_letters.write_bytes(b"this is no database" * 100)

    with pytest.raises(SpoolError, match="cannot be kept"):
        DeadLetters(data.dead_letters).of("lake")


def test_a_mistake_in_pricing_is_told_as_a_row_that_is_refused(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row that makes the code stumble does not stop those behind it."""
    from majordomo_analytics.drain import enrich

    row_of = enrich.row_of

    def stumble(record: RequestRecord, **named: object) -> object:
        if record.model == "stumble":
            raise ZeroDivisionError("by zero")
        return row_of(record, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(enrich, "row_of", stumble)
    good, bad = a_record(), a_record(model="stumble")
    spool(data, good, bad)

    assert drain_once(data).rows == 1
    assert letters(data, "lake") == [(bad.id, "ZeroDivisionError")]


def test_a_spool_that_can_hardly_be_read_at_all_stays(data: DataDirectory) -> None:
    """So many records that are none were not written by a mistake of one request."""
    spool_bytes(data, *((str(n), b"?") for n in range(delivery.MOST_REFUSED + 1)))

    report = drain_once(data)

    assert (report.rows, report.spools_removed) == (0, 0)
    assert "101 rows" in report.troubles[0]
    assert not data.dead_letters.exists()


def test_a_column_that_is_required_and_null_is_a_row_at_fault(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrow would take the null, and Delta refuse the whole batch."""
    from majordomo_analytics.drain import enrich

    row_of = enrich.row_of

    def forget(record: RequestRecord, **named: object) -> object:
        row = row_of(record, **named)  # type: ignore[arg-type]
        return {**row, "outcome": None} if record.model == "forgotten" else row

    monkeypatch.setattr(enrich, "row_of", forget)
    good, bad = a_record(), a_record(model="forgotten")
    spool(data, bad, good)

    assert drain_once(data).rows == 1
    assert letters(data, "lake") == [(bad.id, "NullInRequiredColumn")]
