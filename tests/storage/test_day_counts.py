from __future__ import annotations

from datetime import timedelta

from ab_platform.storage.store import DayCount, Store
from tests.storage.made import KEY, START, after, click, impression, started


def test_user_days_are_counted_by_surface_arm_and_day(store: Store) -> None:
    started(store)
    store.record(
        [
            impression("a", after(seconds=60)),
            impression("b", after(seconds=30)),
            click("b", after(seconds=90)),
            impression("d", after(days=1)),
            impression("c", after(days=1, seconds=5), arm="pia", surface="movie_card"),
        ]
    )
    store.roll_up()
    first, second = START.date(), START.date() + timedelta(days=1)
    assert store.day_counts(KEY, second) == (
        DayCount("home_card", "control", first, 2, 2, 2, 0, after(seconds=90)),
        DayCount("home_card", "control", second, 1, 1, 1, 0, after(days=1)),
        DayCount("movie_card", "pia", second, 1, 1, 1, 0, after(days=1, seconds=5)),
    )
    assert [each.day for each in store.day_counts(KEY, first)] == [first]


def test_an_experiment_without_user_days_has_no_counts(store: Store) -> None:
    started(store)
    assert store.day_counts(KEY, START.date()) == ()
