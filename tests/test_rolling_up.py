"""The roll-up of an interval: what is new as it is due, and a past interval anew, to the digit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from ab_platform.errors import PlatformError
from ab_platform.events import AnyEvent
from ab_platform.rolling_up import RolledUpInterval, roll_up
from ab_platform.storage import partitions
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.schema import user_days
from ab_platform.storage.store import Store, open_store
from tests.storage.made import KEY, START, after, click, definition, impression, started, watch

HOUR = timedelta(hours=1)


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A migrated store without rows, on either engine."""
    opened = open_store(request.getfixturevalue(request.param), migrate=False)
    yield opened
    opened.close()


def stored(store: Store) -> list[tuple[object, ...]]:
    with reading(store.engine) as connection:
        return [tuple(row) for row in connection.execute(select(user_days).order_by(*user_days.primary_key))]


def arriving(hour: int) -> list[AnyEvent]:
    """Return what arrives in an hour: what happened in it, and something late of the day before."""
    at = after(seconds=hour * 3_600)
    batch: list[AnyEvent] = [impression(f"u{hour % 5}", at), watch(f"u{hour % 5}", at, hour / 7)]
    return [*batch, click(f"u{hour % 3}", at - timedelta(days=1), mark=str(hour))] if hour > 24 else batch


def by_the_hour(store: Store, hours: int = 60) -> list[tuple[datetime, datetime]]:
    """Let events arrive and be rolled up hour by hour."""
    started(store)
    intervals = [(after(seconds=hour * 3_600), after(seconds=(hour + 1) * 3_600)) for hour in range(hours)]
    for hour, (since, until) in enumerate(intervals):
        store.record(arriving(hour))
        done = roll_up(store, since=since, until=until)
        assert (done.since, done.until, done.experiments) == (since, until, (KEY,))
    return intervals


def test_a_run_that_is_due_counts_what_is_new_and_a_second_one_nothing(store: Store) -> None:
    started(store)
    started(store, definition("other", layer="elsewhere"))
    store.record([impression("u", START), impression("v", after(seconds=9), key="other")])
    first = roll_up(store, since=START, until=START + HOUR)
    assert first == RolledUpInterval(START, START + HOUR, 2, after(seconds=9), ("other", KEY))
    assert roll_up(store, since=START, until=START + HOUR) == RolledUpInterval(
        START, START + HOUR, 0, after(seconds=9), ()
    )
    assert roll_up(store) == RolledUpInterval(None, None, 0, after(seconds=9), ())


def test_a_back_fill_in_any_order_gives_what_the_runs_that_were_due_gave(store: Store) -> None:
    intervals = by_the_hour(store)
    before = stored(store)
    for since, until in [*intervals[::-7], *intervals[3::11]]:
        roll_up(store, since=since, until=until, recount=True)
        assert stored(store) == before


def test_a_back_fill_of_every_day_brings_lost_and_damaged_user_days_back(store: Store) -> None:
    by_the_hour(store)
    before = stored(store)
    for damage in (delete(user_days), update(user_days).values(clicks=7, watch_seconds=0.3)):
        with writing(store.engine) as connection:
            connection.execute(damage)
        for day in range(3):
            done = roll_up(store, since=after(days=day), until=after(days=day + 1), recount=True)
            assert done.experiments == (KEY,)
        assert stored(store) == before


def test_an_event_too_late_for_its_hour_counts_on_its_day(store: Store) -> None:
    started(store)
    store.record([impression("u", START)])
    roll_up(store, since=START, until=START + HOUR)
    store.record([click("u", START + HOUR / 2)])
    done = roll_up(store, since=START + 5 * HOUR, until=START + 6 * HOUR)
    assert (done.user_days, done.watermark) == (1, START + HOUR / 2)


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        (START, START, r"the interval from 2026-03-01T00:00:00\+00:00 to .* is empty; it must end after it begins"),
        (None, START, r"the interval to recount is from None to 2026-03-01.*give both its begin and its end"),
        (START.replace(tzinfo=None), after(days=1), r"since is 2026-03-01T00:00:00, without a time zone; give it in"),
    ],
)
def test_an_interval_that_is_none_is_refused(
    store: Store, since: datetime | None, until: datetime, message: str
) -> None:
    with pytest.raises(PlatformError, match=message):
        roll_up(store, since=since, until=until, recount=True)


def test_a_run_that_knows_the_time_makes_room_for_today_and_a_week(store: Store) -> None:
    roll_up(store, at=after(days=1, seconds=5))
    roll_up(store)
    if store.engine.dialect.name == "postgresql":
        with reading(store.engine) as connection:
            assert partitions.made(connection) == tuple(after(days=day).date() for day in range(1, 9))
