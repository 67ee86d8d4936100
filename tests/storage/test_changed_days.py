"""Which days an event, an exposure or an erasure marks, on both engines: those whose rows change, and no other."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ab_platform.events import Exposure
from ab_platform.storage.store import Store
from tests.storage.archived import KEYS, day, lived
from tests.storage.made import after, impression


@pytest.fixture
def archived(store: Store) -> Store:
    """A store with a week of two experiments that the archive holds."""
    lived(store)
    note_all(store)
    return store


def note_all(store: Store) -> None:
    for each in store.stale_days():
        with store.day_rows(each) as rows:
            changes = rows.changes
        store.note_archived(each, changes, withdrawn=False)


def exposure(user: str, days: float) -> Exposure:
    return Exposure(KEYS[0], user, "control", "home_card", after(days=days))


def test_a_roll_up_marks_the_days_that_have_rows(store: Store) -> None:
    assert store.stale_days() == ()
    lived(store)
    assert store.stale_days() == store.changed_days() == tuple(day(number) for number in range(6))
    note_all(store)
    assert store.stale_days() == ()
    store.roll_up()
    assert store.stale_days() == ()


def test_an_event_marks_its_day_and_later_ones_of_its_user_when_it_is_rolled_up(archived: Store) -> None:
    archived.record([impression("u000", after(days=1, seconds=90), key="first", mark="late")])
    assert archived.stale_days() == ()
    archived.roll_up()
    assert archived.stale_days() == (day(1), day(2))  # of its user's days 0, 1 and 2


def test_a_stop_marks_the_days_with_events_from_then_on(archived: Store) -> None:
    archived.stop("first", at=after(days=4))
    archived.roll_up()
    assert archived.stale_days() == (day(4), day(5))


def test_a_user_of_two_arms_marks_the_days_that_do_not_count_any_more(archived: Store) -> None:
    archived.record([impression("u000", after(days=1, seconds=90), key="first", arm="pia", mark="late")])
    archived.roll_up()
    assert archived.mixed_users("first", day(6)) == 1
    assert archived.stale_days() == (day(1), day(2))


def test_an_exposure_that_moves_marks_the_day_that_it_leaves(archived: Store) -> None:
    archived.record_each([exposure("new", 6)])
    archived.roll_up()
    assert archived.stale_days() == (day(6),)
    note_all(archived)
    archived.record_each([exposure("new", 5), exposure("other", 5)])
    assert archived.stale_days() == (day(6),)  # at once; the day that it comes to is marked by the roll-up
    archived.roll_up()
    assert archived.stale_days() == (day(5), day(6))


def test_an_exposure_that_moves_within_its_day_or_not_at_all_marks_no_other(archived: Store) -> None:
    archived.record_each([exposure("new", 6)])
    archived.roll_up()
    note_all(archived)
    archived.record_each([exposure("new", 6.5)])
    archived.roll_up()
    assert archived.stale_days() == ()
    archived.record_each([exposure("new", 6 - 1 / 24)])
    archived.roll_up()
    assert archived.stale_days() == (day(5), day(6))


def test_an_erasure_marks_the_days_of_the_user(archived: Store) -> None:
    archived.record([impression("u004", after(days=6), key="first", mark="not counted yet")])
    archived.erase("u004", at=after(days=9))
    assert archived.stale_days() == (day(0), day(1), day(2), day(6))
    note_all(archived)
    archived.erase("u004", at=after(days=9) + timedelta(hours=1))
    assert archived.stale_days() == ()


def test_a_day_that_changes_while_it_is_archived_stays_stale(archived: Store) -> None:
    archived.record([impression("new", after(days=3), key="first")])
    archived.roll_up()
    with archived.day_rows(day(3)) as rows:
        changes = rows.changes
    archived.record([impression("newer", after(days=3), key="first")])
    archived.roll_up()
    archived.note_archived(day(3), changes, withdrawn=False)
    assert archived.stale_days() == (day(3),)
    archived.note_archived(day(3), changes, withdrawn=True)
    assert archived.stale_days() == (day(3),)


def test_a_day_that_is_withdrawn_is_forgotten_until_it_has_rows_again(archived: Store) -> None:
    gone: date = day(5)
    with archived.day_rows(gone) as rows:
        changes = rows.changes
    archived.note_archived(gone, changes, withdrawn=True)
    assert gone not in archived.changed_days()
    archived.record([impression("new", after(days=5), key="first")])
    archived.roll_up()
    assert archived.stale_days() == (gone,)
