"""Raw events that are deleted: nothing of them is stored or counted from then on, also while they are going."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import sleep
from uuid import UUID

import pytest
from sqlalchemy import Table, func, select

from ab_platform.errors import ExperimentError, NotFoundError
from ab_platform.events import AnyEvent, Impression, event_id
from ab_platform.results import Outcome
from ab_platform.storage import deleting, events, experiments, partitions, schema, user_days
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.store import Population, RawEvents, Recorded, Store, open_store
from tests.storage.made import END, KEY, START, after, click, definition, impression, started


def count(store: Store, table: Table) -> int:
    with reading(store.engine) as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def shown(user: str, arm: str) -> Impression:
    return Impression(event_id(START, f"{user}/{arm}"), KEY, user, arm, "home_card", "t", START, UUID(int=5), 0, arm)


def given_up(store: Store) -> None:
    """Give up the events of an experiment of sixty users, thirty an arm; another experiment goes on beside it."""
    started(store, definition(buckets=(0, 5_000)))
    started(store, definition("other", buckets=(5_000, 10_000)))
    store.record([shown(f"{arm}{number}", arm) for arm in ("control", "pia") for number in range(30)])
    store.record([impression("u", START, key="other")])
    store.roll_up()
    assert store.give_up_events(KEY, stored=60, at=END, reason="old")


def test_giving_up_is_noted_once_with_what_there_was(store: Store) -> None:
    given_up(store)
    assert store.give_up_events(KEY, stored=60, at=after(days=30), reason="again")
    assert store.experiment(KEY).events_deleted_at == END
    [noted] = [change for change in store.changes(KEY) if change.action == "delete_events"]
    assert (noted.at, noted.before, noted.after, noted.reason) == (END, {"events": 60}, {"events": 0}, "old")


def test_events_that_came_in_or_wait_to_be_counted_are_not_given_up(store: Store) -> None:
    started(store)
    store.record([impression("u", START)])
    assert store.raw_events(KEY) == RawEvents(1, 1)
    assert not store.give_up_events(KEY, stored=1, at=END, reason="old")
    store.roll_up()
    assert not store.give_up_events(KEY, stored=0, at=END, reason="old")
    assert store.experiment(KEY).events_deleted_at is None
    assert store.give_up_events(KEY, stored=1, at=END, reason="old")


def test_an_experiment_that_is_not_launched_is_not_given_up(store: Store) -> None:
    with pytest.raises(NotFoundError, match="is not launched"):
        store.give_up_events(KEY, stored=0, at=END, reason="old")


def test_events_go_batch_by_batch_and_those_of_others_stay(store: Store) -> None:
    given_up(store)
    assert [store.delete_events(KEY, batch=25) for _ in range(4)] == [25, 25, 10, 0]
    assert store.raw_events(KEY) == RawEvents(0, 0)
    assert store.raw_events("other") == RawEvents(1, 0)
    assert count(store, schema.exposures) == count(store, schema.user_days) == 61


def test_events_that_were_not_given_up_are_not_deleted(store: Store) -> None:
    given_up(store)
    assert store.delete_events("other") == 0
    assert store.raw_events("other").stored == 1


def test_two_that_delete_at_once_delete_every_event_once(store: Store, url: str) -> None:
    given_up(store)
    stores = [open_store(url, migrate=False) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        deleted = list(pool.map(lambda each: sum(each.delete_events(KEY, batch=7) for _ in range(9)), stores))
    assert sum(deleted) == 60
    for each in stores:
        each.close()


@pytest.mark.parametrize("deleted", [False, True])
def test_events_that_come_after_are_too_late_and_change_nothing(store: Store, deleted: bool) -> None:
    given_up(store)
    if deleted:
        store.delete_events(KEY)
    before = count(store, schema.events)
    batch: list[AnyEvent] = [shown("control0", "control"), click("control0", after(days=1)), impression("new", START)]
    assert store.record(batch) == Recorded(stored=0, duplicates=0, too_late=3)
    mixed = [*batch, impression("u", START, key="other"), impression("v", START, key="other")]
    assert store.record(mixed) == Recorded(stored=1, duplicates=1, too_late=3)
    assert (count(store, schema.events), count(store, schema.open_user_days)) == (before + 1, 1)
    assert count(store, schema.exposures) == 62


def test_outcomes_of_a_replay_stay_and_no_more_are_taken(store: Store) -> None:
    started(store)
    store.record([impression("u", START)], [Outcome(KEY, "u", "pia", "home_card", 1, 1, 2.5)])
    store.roll_up()
    store.give_up_events(KEY, stored=1, at=END, reason="old")
    store.delete_events(KEY)
    with pytest.raises(ExperimentError, match=f"'{KEY}' cannot be replayed: its raw events were deleted"):
        store.record([], [Outcome(KEY, "v", "pia", "home_card", 1, 1, 2.5)])
    assert store.replayed_users(KEY) == {"u"}


def test_a_stop_after_the_end_leaves_the_days_closed_and_an_earlier_one_is_refused(store: Store) -> None:
    given_up(store)
    with pytest.raises(ExperimentError, match=r"cannot stop at 2026-03-02 .*raw events were deleted .* give a moment"):
        store.stop(KEY, at=after(days=1))
    assert store.experiment(KEY).state == "running"
    assert store.stop(KEY, at=END)
    assert count(store, schema.open_user_days) == 0


def test_titles_are_not_counted_from_what_is_left(store: Store) -> None:
    started(store)
    store.record([shown(f"{arm}{number}", arm) for arm in ("control", "pia") for number in range(30)])
    store.roll_up()
    everyone = Population(KEY, END.date(), "ml-1m")
    assert len(store.title_groups(everyone)) == 2
    store.give_up_events(KEY, stored=60, at=END, reason="old")
    assert store.title_groups(everyone) == ()


def test_what_is_being_recorded_is_waited_for(store: Store, url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    started(store)
    other = open_store(url, migrate=False)
    store.make_partitions(since=START.date(), days=1)
    with ThreadPoolExecutor(1) as pool:
        with writing(store.engine) as writer:
            events.record_each(writer, [impression("u", START)], partitions.Days())
            waiting = pool.submit(other.give_up_events, KEY, stored=0, at=END, reason="old")
            sleep(0.3)
            assert not waiting.done()
        assert waiting.result(timeout=30) is False
    other.close()


def test_an_event_that_waited_for_the_end_is_too_late(store: Store, url: str) -> None:
    started(store)
    other = open_store(url, migrate=False)
    with ThreadPoolExecutor(1) as pool:
        with writing(store.engine) as connection:
            assert deleting.give_up(connection, KEY, stored=0, at=END, reason="old")
            waiting = pool.submit(other.record, [impression("u", START)])
            sleep(0.3)
            assert not waiting.done()
        assert waiting.result(timeout=30) == Recorded(0, 0, too_late=1)
    other.close()


def test_a_stop_and_the_end_of_the_events_do_not_wait_in_a_circle(store: Store, url: str) -> None:
    started(store)
    other = open_store(url, migrate=False)
    with ThreadPoolExecutor(1) as pool:
        with writing(store.engine) as stopping:
            experiments.stop(stopping, KEY, at=END, reason=None)
            waiting = pool.submit(other.give_up_events, KEY, stored=0, at=END, reason="old")
            sleep(0.3)
            user_days.reopen(stopping, KEY, since=END)
        assert waiting.result(timeout=30) is True
    other.close()
