"""Counting again: an interval from its events, whatever is stored of it, and all days beside a recount."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import Row, Table, delete, insert, select, update

from ab_platform.events import AnyEvent
from ab_platform.storage import recounting
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.schema import events, experiments, mixed_users, open_user_days, user_days
from ab_platform.storage.store import Compared, Store, open_store
from tests.storage.made import END, KEY, START, after, click, definition, impression, started, watch

Rows = list[Row[*tuple[object, ...]]]


def rows(store: Store, table: Table = user_days) -> Rows:
    with reading(store.engine) as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key)))


def changed(store: Store, statement: object) -> None:
    with writing(store.engine) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def happened(key: str = KEY, users: int = 30) -> list[AnyEvent]:
    """Return a week of users, some of whom come on two surfaces or see two arms."""
    seen: list[AnyEvent] = []
    for number in range(users):
        user, at = f"u{number:02d}", after(days=number % 5, seconds=number)
        seen += [impression(user, at, key=key, arm="pia" if number % 2 else "control")]
        seen += [click(user, at + timedelta(hours=1), key=key), watch(user, at + timedelta(days=1), 7.125, key=key)]
        seen += [impression(user, at + timedelta(days=1), key=key, surface="movie_card")] if number % 3 else []
    return seen


def counted(store: Store, key: str = KEY) -> None:
    started(store, definition(key, layer=f"layer-{key}"))
    store.record(happened(key))
    store.roll_up()


DAMAGES: dict[str, Callable[[Store], None]] = {
    "lost": lambda store: changed(store, delete(user_days)),
    "half lost": lambda store: changed(store, delete(user_days).where(user_days.c.user_id < "u20")),
    "wrong": lambda store: changed(store, update(user_days).values(clicks=99, watch_seconds=0.1, arm="control")),
    "of nobody": lambda store: changed(store, insert(user_days).values({**_of("u00", store), "user_id": "ghost"})),
    "of another day": lambda store: changed(store, insert(user_days).values({**_of("u01", store), "day": END.date()})),
    "mixed": lambda store: changed(store, insert(mixed_users).values(experiment=KEY, user_id="u03", at=START)),
}


def _of(user: str, store: Store) -> dict[str, object]:
    return next(dict(row._mapping) for row in rows(store) if row.user_id == user)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_recount_of_the_whole_time_mends_what_was_lost_or_damaged(store: Store, damage: str) -> None:
    counted(store)
    before, mixed = rows(store), rows(store, mixed_users)
    DAMAGES[damage](store)
    assert (rows(store), rows(store, mixed_users)) != (before, mixed)
    done = store.recount(START, END + timedelta(days=1), batch=4)
    assert (rows(store), rows(store, mixed_users)) == (before, mixed)
    assert rows(store, open_user_days) == []
    assert done.experiments == (KEY,)


def test_a_recount_opens_the_days_of_its_interval_and_no_others(store: Store) -> None:
    started(store)
    store.record([impression("u", START), click("u", after(days=1)), click("u", after(days=2)), impression("v", START)])
    store.roll_up()
    everyone = recounting.Users(KEY)
    with writing(store.engine) as connection:
        assert recounting.reopen(connection, everyone, since=after(days=1, seconds=-1), until=after(days=2)) == 3
    opened = [(row.user_id, row.day) for row in rows(store, open_user_days)]
    assert opened == [("u", START.date()), ("u", after(days=1).date()), ("v", START.date())]


def test_only_the_last_hour_of_a_day_opens_what_is_stored_of_it_without_an_event(store: Store) -> None:
    started(store)
    store.record([impression("u", after(seconds=60))])
    store.roll_up()
    changed(store, update(user_days).values(impressions=9))
    store.recount(after(seconds=7_200), after(seconds=10_800))
    assert [row.impressions for row in rows(store)] == [9]
    store.recount(after(days=1, seconds=-3_600), after(days=1))
    assert [row.impressions for row in rows(store)] == [1]


def test_a_recount_leaves_alone_what_ran_at_another_time(store: Store) -> None:
    counted(store)
    done = store.recount(END + timedelta(days=1), END + timedelta(days=2))
    assert (done.user_days, done.experiments) == (0, ())
    with reading(store.engine) as connection:
        assert recounting.during(connection, since=after(days=6), until=END) == (KEY,)
        assert recounting.during(connection, since=after(days=-1), until=START) == ()


def test_a_recount_that_is_cut_short_is_finished_by_the_next_roll_up(store: Store) -> None:
    counted(store)
    before = rows(store)
    changed(store, delete(user_days))
    with writing(store.engine) as connection:
        recounting.reopen(connection, recounting.Users(KEY, None, "u14"), since=START, until=END)
    store.roll_up()
    assert {row.user_id for row in rows(store)} == {f"u{number:02d}" for number in range(15)}
    store.recount(START, END)
    assert rows(store) == before


def test_recounts_roll_ups_and_events_at_once_end_as_one_after_another(store: Store, url: str) -> None:
    counted(store)
    late = [click(f"u{number:02d}", after(days=5, seconds=number), mark="late") for number in range(30)]
    stores = [open_store(url, migrate=False) for _ in range(4)]

    def record(each: Store) -> None:
        for event in late:
            each.record([event])

    tasks: list[Callable[[Store], object]] = [
        lambda each: each.recount(START, END, batch=7),
        lambda each: each.recount(after(days=2), END, batch=3),
        lambda each: [each.roll_up(batch=5) for _ in range(5)],
        record,
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pair: pair[0](pair[1]), zip(tasks, stores, strict=True)))
    store.roll_up()
    assert store.compare_with_recount(KEY) == Compared(len(rows(store)), 0)
    assert sum(row.clicks for row in rows(store)) == 60
    for each in stores:
        each.close()


@pytest.mark.parametrize("batch", [1, 7, 1_000])
def test_user_days_that_were_rolled_up_are_the_same_as_a_recount(store: Store, batch: int) -> None:
    counted(store)
    counted(store, "other")
    before = rows(store)
    assert store.compare_with_recount(KEY, batch=batch) == Compared(len(before) // 2, 0)
    assert rows(store) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_comparison_finds_what_a_recount_would_change(store: Store, damage: str) -> None:
    counted(store)
    before = {row[:4]: row for row in rows(store)} | {row[:2]: row for row in rows(store, mixed_users)}
    DAMAGES[damage](store)
    found = {row[:4]: row for row in rows(store)} | {row[:2]: row for row in rows(store, mixed_users)}
    differing = {key for key in before | found if before.get(key) != found.get(key)}
    assert store.compare_with_recount(KEY, batch=8).differing == len(differing) > 0


def test_a_single_digit_is_a_difference(store: Store) -> None:
    counted(store)
    one = (user_days.c.user_id == "u04") & (user_days.c.watch_seconds > 0)
    changed(store, update(user_days).where(one).values(watch_seconds=7.126))
    assert store.compare_with_recount(KEY).differing == 1


def test_a_comparison_keeps_no_writer_waiting(store: Store) -> None:
    counted(store)
    with reading(store.engine) as connection:
        recounting.compare(connection, recounting.Users(KEY))
        assert store.record([click("u00", after(days=6))]).stored == 1


def test_events_without_user_days_differ(store: Store) -> None:
    started(store)
    store.record(happened())
    assert store.compare_with_recount(KEY).user_days == 0
    assert store.compare_with_recount(KEY).differing > 0
    changed(store, delete(events))
    assert store.compare_with_recount(KEY) == Compared(0, 0)


def test_users_come_in_ranges_that_leave_nobody_out(store: Store) -> None:
    counted(store)
    changed(store, delete(events).where(events.c.user_id.in_(["u00", "u29"])))
    changed(store, delete(user_days).where(user_days.c.user_id == "u07"))
    users = recounting.Users(KEY)
    lasts: list[str | None] = []
    while not lasts or lasts[-1] is not None:
        with reading(store.engine) as connection:
            users = recounting.next_users(connection, users, count=10)
        lasts.append(users.last)
    assert lasts == ["u09", "u19", "u29", None]


def test_the_days_of_an_experiment_without_raw_events_are_not_opened(store: Store) -> None:
    counted(store)
    before = rows(store)
    changed(store, update(experiments).values(events_deleted_at=END))
    changed(store, delete(events).where(events.c.user_id < "u10"))
    store.recount(START, END)
    with writing(store.engine) as connection:
        assert recounting.reopen(connection, recounting.Users(KEY), since=START, until=END) == 0
    changed(store, insert(open_user_days).values(experiment=KEY, user_id="u01", day=date(2026, 3, 1)))
    assert store.roll_up().user_days == 0
    assert rows(store) == before
