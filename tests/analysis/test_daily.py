"""Every day is analysed once, as it would have been on that day, and again where something came."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ab_platform.analysis import analyze, analyze_days
from ab_platform.errors import NotFoundError
from ab_platform.results import LiftView
from ab_platform.storage.store import Store
from tests.analysis.made import KEY, START, definition, launched, visits

DAYS = [START.date() + timedelta(days=number) for number in range(7)]


def week(store: Store) -> None:
    launch = launched(store, definition())
    store.record(visits(launch, 120))


def of_day(store: Store, day: date) -> list[LiftView]:
    return [view for view in store.lift_history(KEY) if view.row.as_of == day]


def test_every_day_with_events_is_analysed_as_it_would_have_been_on_that_day(store: Store) -> None:
    week(store)
    assert list(analyze_days(store, KEY)) == DAYS
    assert list(store.as_ofs(KEY)) == DAYS
    at_once = of_day(store, DAYS[2])
    analyze(store, KEY, as_of=DAYS[2])
    assert of_day(store, DAYS[2]) == at_once
    users = [of_day(store, day)[0].row.users_control for day in DAYS]
    assert users == sorted(users)


def test_a_second_time_nothing_is_left_to_do(store: Store) -> None:
    week(store)
    analyze(store, KEY)
    assert list(analyze_days(store, KEY)) == DAYS[:-1]
    before = store.lift_history(KEY)
    assert analyze_days(store, KEY) == ()
    assert store.lift_history(KEY) == before


def test_a_day_is_due_again_when_a_newer_event_came(store: Store) -> None:
    launch = launched(store, definition())
    happened = sorted(visits(launch, 120), key=lambda event: event.at)
    noon = datetime(2026, 3, 5, 12, tzinfo=UTC)
    store.record([event for event in happened if event.at < noon])
    assert list(analyze_days(store, KEY)) == DAYS[:4]
    store.record([event for event in happened if event.at >= noon])
    assert list(analyze_days(store, KEY)) == DAYS[3:]


def test_how_far_it_is_is_told_before_each_day_and_at_the_end(store: Store) -> None:
    week(store)
    told: list[tuple[int, int]] = []
    analyze_days(store, KEY, progress=lambda done, days: told.append((done, days)))
    assert told == [(done, 7) for done in range(8)]


def test_without_an_event_there_is_no_day_to_analyze(store: Store) -> None:
    launched(store, definition())
    with pytest.raises(NotFoundError, match="no events that count yet"):
        analyze_days(store, KEY)
    with pytest.raises(NotFoundError):
        analyze_days(store, "nothing")
