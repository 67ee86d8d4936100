"""The days of the events table: made ahead or when needed, dropped as a whole, and no acknowledged event is lost."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from time import sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from ab_platform.errors import NotFoundError
from ab_platform.events import event_id
from ab_platform.storage import deleting, events, partitions
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.store import DroppedDay, Store, open_store
from tests.storage.made import END, KEY, START, after, definition, impression, started

DAY = START.date()
LATER = END + timedelta(days=91)


@pytest.fixture
def postgres(postgres_url: str) -> Store:
    """A migrated store on PostgreSQL without rows."""
    return open_store(postgres_url, migrate=False)


def made(store: Store) -> list[date]:
    with reading(store.engine) as connection:
        return list(partitions.made(connection))


def given_up(store: Store, *, days: int = 1) -> None:
    """Give up an experiment that has an event on each of some days; another one, without events, goes on beside it."""
    started(store, definition(buckets=(0, 5_000)))
    started(store, definition("other", buckets=(5_000, 10_000), days=365))
    store.record([impression("u", after(days=day)) for day in range(days)])
    store.roll_up()
    assert store.give_up_events(KEY, stored=days, at=END, reason="old")


def test_an_event_that_is_refused_or_too_late_makes_no_day(postgres: Store) -> None:
    given_up(postgres)
    assert postgres.record_each([impression("u", after(days=9))]) == ("too_late",)
    with pytest.raises(NotFoundError):
        postgres.record_each([impression("u", after(days=9), key="unknown")])
    assert made(postgres) == [DAY]


@given(st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 30), timezones=st.timezones()), st.text())
def test_the_day_of_an_id_is_the_utc_day_of_its_time_and_its_range_holds_it(at: datetime, key: str) -> None:
    identity, day = event_id(at, key), at.astimezone(UTC).date()
    if day.year < 1970:
        return
    assert partitions.first_id_of(day) <= identity < partitions.first_id_of(day + timedelta(days=1))
    partitions.check_ids([identity])


def test_days_are_made_ahead_once_and_sqlite_has_none(store: Store) -> None:
    on_postgres = store.engine.dialect.name == "postgresql"
    assert store.make_partitions(since=DAY, days=3) == (3 if on_postgres else 0)
    assert store.make_partitions(since=DAY + timedelta(days=2), days=2) == (1 if on_postgres else 0)
    if on_postgres:
        assert made(store) == [DAY + timedelta(days=day) for day in range(4)]


def test_a_day_is_made_by_the_first_event_of_it_wherever_it_lies(postgres: Store) -> None:
    started(postgres)
    assert postgres.record([impression("u", at) for at in (END, after(days=-10_000), after(days=900))]).stored == 3
    assert made(postgres) == [after(days=-10_000).date(), END.date(), after(days=900).date()]


def test_a_day_has_the_key_and_the_index_of_the_whole(postgres: Store) -> None:
    postgres.make_partitions(since=DAY, days=1)
    query = "SELECT indexdef FROM pg_indexes WHERE tablename = 'events_20260301' ORDER BY indexdef"
    with reading(postgres.engine) as connection:
        found = [definition.split(" USING ")[1] for definition in connection.execute(text(query)).scalars()]
    assert sorted(found) == ["btree (event_id)", "btree (experiment, user_id)"]


def test_making_a_day_waits_neither_for_who_reads_events_nor_for_who_records(postgres: Store) -> None:
    started(postgres)
    postgres.record([impression("u", START)])
    with writing(postgres.engine) as busy:
        busy.execute(text("SELECT * FROM events"))
        busy.execute(text("UPDATE events SET title_id = 't'"))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(postgres.make_partitions, since=DAY, days=5).result(timeout=10) == 4


CHILD = """
import sys
from ab_platform.storage.store import open_store
from tests.storage.made import after, impression
store = open_store(sys.argv[1], migrate=False)
print("ready", flush=True)
sys.stdin.readline()
print(store.record([impression(sys.argv[2], after(days=day)) for day in range(30)]).stored, flush=True)
"""


def test_processes_that_need_the_same_new_days_at_once_all_store_their_events(
    postgres: Store, postgres_url: str
) -> None:
    started(postgres)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, postgres_url, user],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for user in ("u", "v", "w")
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.communicate(timeout=120)[0] for child in children] == ["30\n"] * 3
    assert (len(made(postgres)), postgres.raw_events(KEY).stored) == (30, 90)


def test_a_day_that_was_dropped_by_another_process_is_made_again(postgres: Store, postgres_url: str) -> None:
    started(postgres)
    postgres.record([impression("u", START)])
    other = open_store(postgres_url, migrate=False)
    with writing(other.engine) as connection:
        partitions.drop(connection, DAY)
    assert postgres.record_each([impression("v", START), impression("v", END)]) == ("stored", "stored")
    assert made(postgres) == [DAY, END.date()]
    other.close()


def test_a_day_of_given_up_events_alone_goes_and_is_counted(store: Store) -> None:
    given_up(store, days=3)
    store.record([impression("v", after(days=1), key="other")])
    dropped = store.drop_days_of_events(at=LATER)
    if store.engine.dialect.name == "sqlite":
        assert dropped == ()
        return
    assert dropped == (DroppedDay(DAY, {KEY: 1}), DroppedDay(after(days=2).date(), {KEY: 1}))
    assert made(store) == [after(days=1).date()]
    assert (store.raw_events(KEY).stored, store.raw_events("other").stored) == (1, 1)
    assert store.delete_events(KEY) == 1
    assert store.drop_days_of_events(at=LATER) == ()


def test_events_that_come_after_their_day_went_are_too_late_and_those_of_others_are_stored(postgres: Store) -> None:
    given_up(postgres)
    assert len(postgres.drop_days_of_events(at=LATER)) == 1
    assert postgres.record_each([impression("u", START)]) == ("too_late",)
    assert made(postgres) == []
    batch = [impression("u", START), impression("v", START, key="other")]
    assert postgres.record_each(batch) == ("too_late", "stored")
    assert postgres.raw_events("other").stored == 1


def test_an_empty_day_goes_when_it_is_more_than_two_days_past(postgres: Store) -> None:
    postgres.make_partitions(since=DAY, days=6)
    dropped = postgres.drop_days_of_events(at=after(days=3, seconds=5))
    assert dropped == (DroppedDay(DAY, {}),)
    assert made(postgres)[0] == after(days=1).date()


def test_a_day_into_which_another_experiment_is_recording_stays(postgres: Store, postgres_url: str) -> None:
    given_up(postgres)
    other = open_store(postgres_url, migrate=False)
    with ThreadPoolExecutor(1) as pool:
        with writing(other.engine) as recording:
            assert events.record_each(recording, [impression("v", START, key="other")], partitions.Days()) == (
                "stored",
            )
            dropping = pool.submit(postgres.drop_days_of_events, at=LATER)
            sleep(0.3)
            assert not dropping.done()
        assert dropping.result(timeout=30) == ()
    assert (made(postgres), postgres.raw_events("other").stored) == ([DAY], 1)
    other.close()


def test_who_records_while_a_day_goes_waits_and_makes_it_again(postgres: Store, postgres_url: str) -> None:
    given_up(postgres)
    other = open_store(postgres_url, migrate=False)
    with ThreadPoolExecutor(1) as pool:
        with writing(postgres.engine) as dropping:
            assert deleting.drop_day(dropping, DAY, at=LATER) == DroppedDay(DAY, {KEY: 1})
            recording = pool.submit(other.record_each, [impression("v", START, key="other")])
            sleep(0.3)
            assert not recording.done()
        assert recording.result(timeout=30) == ("stored",)
    assert (made(postgres), postgres.raw_events("other").stored) == ([DAY], 1)
    other.close()


def test_a_day_whose_events_are_read_for_long_stays_for_the_next_time(
    postgres: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "LONGEST_WAIT_MS", 200)
    given_up(postgres)
    other = open_store(postgres_url, migrate=False)
    with reading(other.engine) as connection:
        connection.execute(text("SELECT * FROM events"))
        assert postgres.drop_days_of_events(at=LATER) == ()
    assert len(postgres.drop_days_of_events(at=LATER)) == 1
    other.close()


def test_no_event_that_was_acknowledged_is_lost_while_days_go(postgres: Store, postgres_url: str) -> None:
    given_up(postgres)
    postgres.drop_days_of_events(at=LATER)
    stores = [open_store(postgres_url, migrate=False) for _ in range(3)]
    barrier = Barrier(3)

    def record(user: int) -> int:
        barrier.wait()
        batches = [[impression(f"u{user}", after(seconds=at), key="other")] for at in range(40)]
        return sum(stores[user].record(batch).stored for batch in batches)

    def drop() -> int:
        barrier.wait()
        return sum(len(stores[2].drop_days_of_events(at=LATER)) for _ in range(40))

    with ThreadPoolExecutor(3) as pool:
        recorded: list[Future[int]] = [pool.submit(record, user) for user in (0, 1)]
        pool.submit(drop).result(timeout=120)
        acknowledged = sum(each.result(timeout=120) for each in recorded)
    assert (acknowledged, postgres.raw_events("other").stored) == (80, 80)
    for each in stores:
        each.close()
