from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from threading import Barrier
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import Row, func, insert, select

from ab_platform.errors import EventError, NotFoundError
from ab_platform.events import AnyEvent, Exposure, Surface
from ab_platform.results import Outcome
from ab_platform.storage import schema
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.store import Recorded, Store, open_store
from tests.storage.made import END, KEY, START, after, click, definition, impression, started, watch


def exposures(store: Store) -> list[tuple[str, str, str, datetime]]:
    columns = schema.exposures.c
    query = select(columns.user_id, columns.surface, columns.arm, columns.at).order_by(columns.user_id, columns.surface)
    with reading(store.engine) as connection:
        return [(user, surface, arm, at) for user, surface, arm, at in connection.execute(query)]


def rows(store: Store, query: object) -> list[Row[*tuple[object, ...]]]:
    with reading(store.engine) as connection:
        return list(connection.execute(query))  # type: ignore[call-overload]


def test_every_kind_comes_back_as_it_was_recorded(store: Store) -> None:
    started(store)
    far_east = timezone(timedelta(hours=9))
    shown = replace(impression("ü", after(seconds=0.123456)), at=datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=far_east))
    batch: list[AnyEvent] = [shown, click("ü", after(seconds=3)), watch("ü", after(seconds=4), 12.3456)]
    store.record(batch)
    columns = schema.events.c
    found = rows(store, select(columns.event_id, columns.kind, columns.user_id, columns.at).order_by(columns.at))
    assert found == [
        (shown.event_id, "impression", "ü", after(seconds=0.123456)),
        (batch[1].event_id, "click", "ü", after(seconds=3)),
        (batch[2].event_id, "watch", "ü", after(seconds=4)),
    ]
    own = (columns.slate_id, columns.position, columns.served_by, columns.impression_id, columns.watch_seconds)
    assert rows(store, select(*own).order_by(columns.at)) == [
        (UUID(int=7), 0, "control", None, None),
        (None, None, None, UUID(int=8), None),
        (None, None, None, UUID(int=9), 12.346),
    ]


def test_the_bulk_path_stores_what_sqlalchemy_would_have_stored(store: Store) -> None:
    started(store)
    shown = impression("u", after(seconds=1.5))
    store.record([shown])
    same = {"user_id": "u", "arm": "control", "surface": "home_card", "title_id": "title-1", "experiment": KEY}
    other = {
        "event_id": UUID(int=shown.event_id.int ^ 1),
        "kind": "impression",
        "at": shown.at,
        "slate_id": shown.slate_id,
        **same,
    }
    with writing(store.engine) as connection:
        connection.execute(insert(schema.events), other)
        for column in ("at", "slate_id"):
            raw = connection.exec_driver_sql(f"SELECT {column} FROM events").scalars().all()
            assert raw[0] == raw[1]


def test_inserting_an_event_twice_stores_it_once(store: Store) -> None:
    started(store)
    batch: list[AnyEvent] = [impression("u", after(seconds=1)), click("u", after(seconds=2))]
    assert store.record(batch) == Recorded(stored=2, duplicates=0)
    assert store.record(batch) == Recorded(stored=0, duplicates=2)
    assert store.record([*batch, click("u", after(seconds=3)), *batch]) == Recorded(stored=1, duplicates=4)
    assert rows(store, select(func.count()).select_from(schema.events)) == [(3,)]


def test_of_two_events_with_one_id_the_first_stays(store: Store) -> None:
    started(store)
    first = impression("u", after(days=1))
    second = replace(first, at=after(seconds=1), user_id="v")
    assert store.record([first, second]) == Recorded(stored=1, duplicates=1)
    assert store.record([second, click("u", after(days=2))]) == Recorded(stored=1, duplicates=1)
    assert exposures(store) == [("u", "home_card", "control", after(days=1))]


def test_nothing_to_record_is_nothing(store: Store) -> None:
    assert store.record([]) == Recorded(stored=0, duplicates=0)


def test_an_exposure_is_the_earliest_impression_on_each_surface(store: Store) -> None:
    started(store)
    store.record([impression("u", after(days=2)), impression("u", after(days=3), surface="movie_card")])
    store.record([impression("u", after(days=1), arm="pia"), click("u", after(seconds=1))])
    store.record([impression("u", after(days=4))])
    assert exposures(store) == [
        ("u", "home_card", "pia", after(days=1)),
        ("u", "movie_card", "control", after(days=3)),
    ]


def test_impressions_outside_the_experiment_expose_nobody(store: Store) -> None:
    started(store)
    store.record([impression("early", after(seconds=-1)), impression("late", END)])
    store.record([impression("first", START), impression("last", END - timedelta(microseconds=1))])
    assert [user for user, *_ in exposures(store)] == ["first", "last"]


def test_two_arms_at_the_same_moment_expose_to_the_same_one_in_any_order(store: Store) -> None:
    started(store)
    for user, arms in (("u", ("control", "pia")), ("v", ("pia", "control"))):
        for arm in arms:
            store.record([impression(user, START, arm=arm, mark=arm)])
    assert [arm for _, _, arm, _ in exposures(store)] == ["control", "control"]


def test_an_event_of_an_experiment_that_is_not_launched_is_refused(store: Store) -> None:
    started(store)
    with pytest.raises(NotFoundError, match=rf"names experiment 'pia-vs-multi', not launched; did you mean '{KEY}'\?"):
        store.record([impression("u", START), impression("u", START, key="pia-vs-multi")])
    assert rows(store, select(schema.events)) == []


def test_an_event_of_an_arm_that_does_not_exist_is_refused(store: Store) -> None:
    started(store)
    with pytest.raises(NotFoundError, match=rf"names arm 'pai', which '{KEY}' does not have; did you mean 'pia'\?"):
        store.record([impression("u", START, arm="pai")])


def test_sessions_that_record_the_same_events_in_other_orders_end_and_store_each_once(store: Store, url: str) -> None:
    started(store)
    batch = [impression(f"u{number % 20}", after(seconds=number)) for number in range(200)]
    barrier = Barrier(3)

    def record_together(order: int) -> int:
        other = open_store(url, migrate=False)
        barrier.wait()
        stored = sum(other.record(batch[::order][cut : cut + 50]).stored for cut in range(0, 200, 50))
        other.close()
        return stored

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(record_together, [1, -1, 1])) == len(batch)
    assert len(exposures(store)) == 20


CHILD = """
import os, signal, sys
from ab_platform.storage.store import open_store
from tests.storage.made import after, impression
store = open_store(sys.argv[1], migrate=False)
print(store.record([impression("u", after(seconds=number)) for number in range(50)]).stored, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_acknowledged_survives_a_kill(store: Store, url: str) -> None:
    started(store)
    child = subprocess.run([sys.executable, "-c", CHILD, url], check=False, capture_output=True, text=True)
    assert (child.returncode, child.stdout) == (-signal.SIGKILL, "50\n")
    assert rows(store, select(func.count()).select_from(schema.events)) == [(50,)]


def test_outcomes_are_aligned_by_user_and_stored_once(store: Store) -> None:
    started(store)
    made = [
        Outcome(KEY, user, arm, "home_card", 10, len(user), 1.5) for user in ("bb", "a") for arm in ("pia", "control")
    ]
    store.record([], made)
    store.record([], [replace(outcome, clicks=99) for outcome in made])
    store.record([], [Outcome(KEY, "a", "pia", "movie_card", 3, 2, 0.25)])
    found = {(each.surface, each.arm): each for each in store.outcomes(KEY)}
    assert sorted(found) == [("home_card", "control"), ("home_card", "pia"), ("movie_card", "pia")]
    assert all(each.users == ("a", "bb") for each in found.values())
    np.testing.assert_array_equal(found["home_card", "control"].clicks, [1, 2])
    np.testing.assert_array_equal(found["movie_card", "pia"].impressions, [3, 0])
    np.testing.assert_array_equal(found["movie_card", "pia"].watch_seconds, [0.25, 0.0])
    assert store.replayed_users(KEY) == {"a", "bb"}


def test_without_a_replay_there_are_no_outcomes(store: Store) -> None:
    started(store)
    assert store.outcomes(KEY) == ()
    assert store.replayed_users(KEY) == frozenset()


def test_a_day_is_a_day_in_utc(store: Store) -> None:
    started(store)
    evening = datetime(2026, 3, 2, 20, tzinfo=timezone(timedelta(hours=-9)))
    store.record([impression("u", evening)])
    assert rows(store, select(schema.open_user_days.c.day)) == [(evening.astimezone(UTC).date(),)]


def test_what_became_of_each_is_told_in_the_order_of_the_batch(store: Store) -> None:
    started(store)
    started(store, definition("gone", layer="beside"))
    store.give_up_events("gone", stored=0, at=END, reason="old")
    first, second = impression("u", after(seconds=1)), click("u", after(seconds=2))
    late = impression("u", START, key="gone")
    assert store.record_each([second, late, first, second]) == ("stored", "too_late", "stored", "duplicate")
    assert store.record_each([first, watch("u", after(seconds=3), 1.0), late]) == ("duplicate", "stored", "too_late")
    assert store.record_each([]) == ()


def test_of_sessions_that_record_the_same_event_exactly_one_is_told_that_it_stored_it(store: Store, url: str) -> None:
    started(store)
    batch = [impression(f"u{number % 20}", after(days=number % 3, seconds=number)) for number in range(100)]
    barrier = Barrier(3)

    def record_together(order: int) -> dict[UUID, str]:
        other = open_store(url, migrate=False)
        barrier.wait()
        told: dict[UUID, str] = {}
        for cut in range(0, 100, 25):
            own = batch[::order][cut : cut + 25]
            told |= dict(zip((event.event_id for event in own), other.record_each(own), strict=True))
        other.close()
        return told

    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(record_together, [1, -1, 1]))
    for event in batch:
        assert sorted(each[event.event_id] for each in told) == ["duplicate", "duplicate", "stored"]


@pytest.mark.parametrize(
    "identity",
    [uuid4(), UUID(int=7 << 76), UUID(int=((1 << 48) - 1) << 80 | 7 << 76 | 2 << 62)],
    ids=["of version 4", "of another variant", "of a year that has no date"],
)
def test_an_id_that_does_not_tell_its_day_is_refused_and_nothing_is_stored(store: Store, identity: UUID) -> None:
    started(store)
    batch = [impression("u", START), replace(impression("u", START), event_id=identity)]
    with pytest.raises(EventError, match=f"event id {identity} is not time-ordered; it must be a UUID of version 7"):
        store.record(batch)
    assert rows(store, select(schema.events)) == []


def exposed(
    user: str, at: datetime, *, arm: str = "control", surface: Surface = "home_card", key: str = KEY
) -> Exposure:
    return Exposure(key, user, arm, surface, at)


def opened(store: Store) -> list[tuple[str, date]]:
    columns = schema.open_user_days.c
    return [(user, day) for user, day in rows(store, select(columns.user_id, columns.day).order_by(columns.day))]  # type: ignore[misc]


def test_an_exposure_that_is_told_stands_and_makes_the_clicks_after_it_count(store: Store) -> None:
    started(store)
    store.record([click("u", after(days=1)), click("u", after(days=3), mark="later")])
    store.roll_up()
    assert rows(store, select(schema.user_days.c.clicks)) == []
    assert store.record_each([exposed("u", after(days=2))]) == ("stored",)
    assert exposures(store) == [("u", "home_card", "control", after(days=2))]
    assert opened(store) == [("u", after(days=2).date())]
    store.roll_up()
    counted = schema.user_days.c
    assert rows(store, select(counted.day, counted.impressions, counted.clicks)) == [(after(days=3).date(), 0, 1)]
    assert store.compare_with_recount(KEY).differing == 0
    assert rows(store, select(func.count()).select_from(schema.events)) == [(2,)]


def test_an_exposure_is_stored_where_it_is_the_earliest_and_else_a_duplicate(store: Store) -> None:
    started(store)
    store.record([impression("u", after(days=2))])
    store.roll_up()
    assert store.record_each([exposed("u", after(days=3))]) == ("duplicate",)
    assert store.record_each([exposed("u", after(days=2))]) == ("duplicate",)
    assert opened(store) == []
    assert store.record_each([exposed("u", after(days=1))]) == ("stored",)
    assert store.record_each([exposed("u", after(days=1))]) == ("duplicate",)
    assert opened(store) == [("u", after(days=1).date())]
    store.record([impression("u", after(seconds=5), mark="earlier")])
    assert exposures(store) == [("u", "home_card", "control", after(seconds=5))]


def test_of_exposures_in_one_batch_the_earliest_is_stored_also_beside_impressions(store: Store) -> None:
    started(store)
    batch: list[AnyEvent | Exposure] = [
        exposed("u", after(days=2)),
        exposed("u", after(days=1)),
        impression("u", after(days=3)),
        exposed("u", after(days=1)),
        exposed("u", after(days=1), surface="movie_card"),
        exposed("v", after(days=2)),
        impression("v", after(days=1)),
    ]
    expected = ("duplicate", "stored", "stored", "duplicate", "stored", "duplicate", "stored")
    assert store.record_each(batch) == expected
    assert exposures(store) == [
        ("u", "home_card", "control", after(days=1)),
        ("u", "movie_card", "control", after(days=1)),
        ("v", "home_card", "control", after(days=1)),
    ]


def test_an_exposure_outside_its_experiment_exposes_nobody(store: Store) -> None:
    started(store)
    assert store.record_each([exposed("u", after(seconds=-1)), exposed("u", END)]) == ("duplicate", "duplicate")
    assert (exposures(store), opened(store)) == ([], [])


def test_an_exposure_after_the_events_were_deleted_is_too_late(store: Store) -> None:
    started(store)
    store.give_up_events(KEY, stored=0, at=END, reason="old")
    assert store.record_each([exposed("u", START)]) == ("too_late",)
    assert (exposures(store), opened(store)) == ([], [])


def test_an_exposure_of_an_unknown_experiment_or_arm_is_refused(store: Store) -> None:
    started(store)
    for wrong in (exposed("u", START, key="other"), exposed("u", START, arm="other")):
        with pytest.raises(NotFoundError, match="an event names"):
            store.record_each([wrong])


@pytest.mark.parametrize("exposure_first", [True, False])
def test_an_exposure_and_an_impression_of_two_arms_are_noticed(store: Store, exposure_first: bool) -> None:
    started(store)
    told, shown = exposed("u", after(days=1), arm="pia"), impression("u", after(days=2))
    for each in (told, shown) if exposure_first else (shown, told):
        store.record_each([each])
        store.roll_up()
    mixed = schema.mixed_users.c
    assert rows(store, select(mixed.user_id, mixed.at)) == [("u", after(days=2))]
    assert store.compare_with_recount(KEY).differing == 0
