from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from ab_platform.errors import NotFoundError, SpoolFullError, StoreAwayError
from ab_platform.events import AnyEvent, Click, Watch, event_id
from ab_platform.service.codec import Item
from ab_platform.service.recording import AWAY_SECONDS, Clocks, Recorder
from ab_platform.service.spool import Pending
from ab_platform.storage.store import Status
from tests.worlds import START


class Kept:
    """A fake database: it keeps events by id, may be away, may be slow, and knows one experiment."""

    def __init__(self) -> None:
        self.events: dict[UUID, Item] = {}
        self.commits: list[int] = []
        self.away = False
        self.blocked = threading.Event()
        self.blocked.set()

    def record_each(self, batch: Sequence[Item]) -> list[Status]:
        self.blocked.wait(10)
        if self.away:
            raise StoreAwayError("the database does not answer")
        if any(event.experiment != "known" for event in batch):
            raise NotFoundError("not launched")
        self.commits.append(len(batch))
        return [self._put(event) for event in batch]

    def _put(self, event: Item) -> Status:
        assert isinstance(event, AnyEvent)
        known = event.event_id in self.events
        self.events[event.event_id] = event
        return "duplicate" if known else "stored"


class Held:
    """A fake spool in memory, which may be full."""

    def __init__(self) -> None:
        self.events: list[Item] = []
        self.full = False

    def append(self, events: Sequence[Item]) -> None:
        if self.full:
            raise SpoolFullError("no room")
        self.events.extend(events)

    def drain(self, take: Callable[[Sequence[Item]], None], *, at_once: int = 10, stop: Callable[[], bool]) -> int:
        held = list(self.events)
        take(held)
        self.events.clear()
        return len(held)

    def pending(self) -> Pending:
        return Pending(0, 0, len(self.events))


class Touches:
    def __init__(self) -> None:
        self.users: list[str] = []

    def touch(self, user_id: str, *, now_ns: int) -> None:
        self.users.append(user_id)


class World:
    def __init__(self) -> None:
        self.store, self.spool, self.marks = Kept(), Held(), Touches()
        self.seconds = 100.0
        self.forgotten: set[str] = set()
        self.recorder = Recorder(
            self.store,
            self.spool,
            self.marks,
            clocks=Clocks(lambda: self.seconds, time.time_ns),
            forgotten=lambda event: event.user_id in self.forgotten,
        )


@pytest.fixture
def world() -> Iterator[World]:
    with _running() as made:
        yield made


@contextmanager
def _running() -> Iterator[World]:
    made = World()
    made.recorder.start()
    yield made
    made.store.blocked.set()
    made.recorder.stop()


def clicks(count: int, *, first: int = 0, experiment: str = "known") -> list[Item]:
    made: list[Item] = []
    for number in range(first, first + count):
        at = START + timedelta(seconds=number)
        made.append(Click(event_id(at, "c"), experiment, "u", "arm", "home_card", "t", at, event_id(at, "i")))
    return made


def a_watch(user_id: str) -> Watch:
    made = event_id(START, user_id)
    return Watch(made, "known", user_id, "arm", "home_card", "t", START, event_id(START, "i"), 60.0)


def test_events_are_stored_when_the_answer_comes(world: World) -> None:
    assert world.recorder.record(clicks(3)).result(5) == ["stored"] * 3
    assert len(world.store.events) == 3


def test_a_second_time_the_same_event_is_a_duplicate(world: World) -> None:
    world.recorder.record(clicks(2)).result(5)
    assert world.recorder.record(clicks(3)).result(5) == ["duplicate", "duplicate", "stored"]


def test_batches_that_wait_for_a_commit_are_committed_together(world: World) -> None:
    world.store.blocked.clear()
    answers = [world.recorder.record(clicks(10, first=10 * number)) for number in range(20)]
    world.store.blocked.set()
    assert [answer.result(5) for answer in answers] == [["stored"] * 10] * 20
    assert len(world.store.commits) <= 3
    assert sum(world.store.commits) == 200


def test_each_batch_gets_its_own_answers(world: World) -> None:
    world.recorder.record(clicks(1)).result(5)
    world.store.blocked.clear()
    first = world.recorder.record(clicks(1, first=50))
    again, new = world.recorder.record(clicks(1)), world.recorder.record(clicks(2, first=60))
    world.store.blocked.set()
    assert (first.result(5), again.result(5), new.result(5)) == (["stored"], ["duplicate"], ["stored", "stored"])


def test_a_database_that_is_away_sends_events_to_the_spool(world: World) -> None:
    world.store.away = True
    assert world.recorder.record(clicks(2)).result(5) == ["spooled"] * 2
    assert world.spool.events == clicks(2)


def test_a_database_that_was_away_is_left_alone_for_a_moment(world: World) -> None:
    world.store.away = True
    world.recorder.record(clicks(1)).result(5)
    world.store.away = False
    assert world.recorder.record(clicks(1, first=1)).result(5) == ["spooled"]
    world.seconds += AWAY_SECONDS
    assert world.recorder.record(clicks(1, first=2)).result(5) == ["stored"]


def test_with_neither_database_nor_room_nothing_is_acknowledged(world: World) -> None:
    world.store.away = world.spool.full = True
    with pytest.raises(SpoolFullError):
        world.recorder.record(clicks(1)).result(5)


def test_what_the_spool_held_is_stored_under_the_same_ids(world: World) -> None:
    world.store.away = True
    world.recorder.record(clicks(4)).result(5)
    world.store.away = False
    assert world.recorder.drain(stop=lambda: False) == 4
    assert list(world.store.events.values()) == clicks(4)
    assert world.spool.events == []


def test_the_spool_keeps_its_events_while_the_database_stays_away(world: World) -> None:
    world.store.away = True
    world.recorder.record(clicks(4)).result(5)
    with pytest.raises(StoreAwayError):
        world.recorder.drain(stop=lambda: False)
    assert len(world.spool.events) == 4


def test_an_event_that_the_store_refuses_takes_no_other_with_it(world: World) -> None:
    mixed = [*clicks(5), *clicks(1, first=5, experiment="gone"), *clicks(2, first=6)]
    assert world.recorder.record(mixed).result(5) == [*["stored"] * 5, "refused", *["stored"] * 2]


def test_the_events_of_a_user_who_was_forgotten_leave_the_spool_unstored(world: World) -> None:
    world.store.away = True
    world.recorder.record([a_watch("stays"), a_watch("goes")]).result(5)
    world.store.away = False
    world.forgotten.add("goes")
    world.recorder.drain(stop=lambda: False)
    assert [event.user_id for event in world.store.events.values()] == ["stays"]


def test_a_stored_watch_marks_its_user_and_a_spooled_one_when_it_is_stored(world: World) -> None:
    world.recorder.record([a_watch("one")]).result(5)
    assert world.marks.users == ["one"]
    world.store.away = True
    world.recorder.record([a_watch("two")]).result(5)
    assert world.marks.users == ["one"]
    world.store.away = False
    world.recorder.drain(stop=lambda: False)
    assert world.marks.users == ["one", "two"]


def test_what_waits_at_the_end_is_still_written() -> None:
    with _running() as world:
        world.store.blocked.clear()
        answers = [world.recorder.record(clicks(1, first=number)) for number in range(50)]
    assert [answer.result(0) for answer in answers] == [["stored"]] * 50


def test_an_error_nobody_foresaw_reaches_whom_it_concerns(world: World) -> None:
    world.store.record_each = _break  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        world.recorder.record(clicks(1)).result(5)


def _break(batch: Sequence[Item]) -> list[Status]:
    raise ZeroDivisionError


def test_two_writers_commit_side_by_side_and_both_finish_before_the_end() -> None:
    both = threading.Barrier(2)

    class Meeting(Kept):
        def record_each(self, batch: Sequence[Item]) -> list[Status]:
            both.wait(10)  # passes only once another transaction is under way
            return super().record_each(batch)

    recorder = Recorder(Meeting(), Held(), Touches(), clocks=Clocks(time.monotonic, time.time_ns), writers=2)
    first = recorder.record(clicks(4_000))
    second = recorder.record(clicks(1, first=9_000))
    recorder.start()
    recorder.stop()
    assert (len(first.result(0)), second.result(0)) == (4_000, ["stored"])
