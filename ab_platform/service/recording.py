"""Events in: committed together before anyone is answered, or kept in the spool while the database is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Literal, Protocol

from ab_platform.errors import EventError, NotFoundError, StoreAwayError
from ab_platform.events import Watch
from ab_platform.service.codec import Item
from ab_platform.service.spool import Pending
from ab_platform.storage.store import Status

logger = logging.getLogger(__name__)

MOST_TOGETHER = 4_000
"""Events of one transaction: more would keep those who wait for it waiting."""

AWAY_SECONDS = 1.0
"""How long the database is left alone after it was away; events go straight to the spool meanwhile."""

Kept = Status | Literal["spooled"] | Literal["refused"]
"""What became of an event: `refused` where the store knows no such experiment or arm."""


class Keeper(Protocol):
    """What commits events."""

    def record_each(self, batch: Sequence[Item]) -> Sequence[Status]:
        """Store events and say what became of each."""
        ...


class Overflow(Protocol):
    """What keeps events while the database is away."""

    def append(self, events: Sequence[Item]) -> None:
        """Keep events, safely on disk when it returns."""
        ...

    def drain(self, take: Callable[[Sequence[Item]], None], *, at_once: int = ..., stop: Callable[[], bool]) -> int:
        """Hand over what was kept."""
        ...

    def pending(self) -> Pending:
        """Say how much is kept."""
        ...


class Touched(Protocol):
    """What other workers learn fresh watches from."""

    def touch(self, user_id: str, *, now_ns: int) -> None:
        """Say that a user's history changed."""
        ...


@dataclass(frozen=True)
class Clocks:
    """The time, as arguments.

    Attributes:
        seconds: that only grow.
        nanoseconds: of the wall.
    """

    seconds: Callable[[], float]
    nanoseconds: Callable[[], int]


@dataclass(frozen=True)
class _Batch:
    events: Sequence[Item]
    answer: Future[Sequence[Kept]] = field(default_factory=Future)


class Recorder:
    """Writes events of many requests in one transaction each time, by threads of its own.

    While one transaction commits, the batches that arrive wait together for the next: the more there are, the fewer
    commits a batch takes. A database that is away is left alone for a moment, and the events go to the spool.

    Args:
        store: commits.
        spool: keeps what the store cannot take now.
        marks: says whose history changed.
        clocks: the time.
        forgotten: tells an event of a user who asked to be forgotten since; what the spool holds of them is dropped.
        writers: transactions at once; more than one pays where the database is another process.

    Attributes:
        committed: is told of every transaction: how many events, and the seconds it took.
    """

    def __init__(
        self,
        store: Keeper,
        spool: Overflow,
        marks: Touched,
        *,
        clocks: Clocks,
        forgotten: Callable[[Item], bool] = lambda _: False,
        writers: int = 1,
    ) -> None:
        self._store = store
        self._spool = spool
        self._marks = marks
        self._forgotten = forgotten
        self._clocks = clocks
        self.committed: Callable[[int, float], None] = _told_to_nobody
        self._waiting: SimpleQueue[_Batch | None] = SimpleQueue()
        self._away_until = 0.0
        self._threads = [
            threading.Thread(target=self._run, name=f"recorder-{number}", daemon=True) for number in range(writers)
        ]

    def start(self) -> None:
        """Begin to write."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Write what waits, then end."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    @property
    def away(self) -> bool:
        """Tell whether the database is left alone just now."""
        return self._clocks.seconds() < self._away_until

    def record(self, events: Sequence[Item]) -> Future[Sequence[Kept]]:
        """Keep events; the answer comes when they are safe.

        Returns:
            What became of each event, in their order; or SpoolFullError where there is no room for them.
        """
        batch = _Batch(events)
        self._waiting.put(batch)
        return batch.answer

    def drain(self, *, stop: Callable[[], bool]) -> int:
        """Move what the spool holds to the database; return how many events.

        What the store refuses is left out, with a word in the log, so that the rest goes on.

        Raises:
            StoreAwayError: where the database is away again; the rest stays in the spool.
        """
        return self._spool.drain(self._take, stop=stop)

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batches, ended = self._together(first)
            self._write(batches)
            if ended:
                return

    def _together(self, first: _Batch) -> tuple[list[_Batch], bool]:
        """Return the first batch with those that wait behind it, and whether that was the last."""
        batches, events = [first], len(first.events)
        while events < MOST_TOGETHER:
            try:
                batch = self._waiting.get_nowait()
            except Empty:
                return batches, False
            if batch is None:
                return batches, True
            batches.append(batch)
            events += len(batch.events)
        return batches, False

    def _write(self, batches: Sequence[_Batch]) -> None:
        try:
            kept = self._commit([event for batch in batches for event in batch.events])
        except Exception as error:
            if len(batches) == 1:
                batches[0].answer.set_exception(error)
                return
            for batch in batches:  # one batch's fault is not the others'
                self._write([batch])
            return
        start = 0
        for batch in batches:
            batch.answer.set_result(kept[start : start + len(batch.events)])
            start += len(batch.events)

    def _commit(self, events: Sequence[Item]) -> Sequence[Kept]:
        if self.away:
            return self._keep(events)
        try:
            kept = self._recorded(events)
        except StoreAwayError as error:
            logger.warning("events go to the spool: %s", error)
            self._away_until = self._clocks.seconds() + AWAY_SECONDS
            return self._keep(events)
        self._touch(events)
        return kept

    def _keep(self, events: Sequence[Item]) -> Sequence[Kept]:
        self._spool.append(events)
        return ["spooled"] * len(events)

    def _recorded(self, events: Sequence[Item]) -> Sequence[Kept]:
        """Store events; those that the store refuses are told apart."""
        started = self._clocks.seconds()
        try:
            kept = self._store.record_each(events)
            self.committed(len(events), self._clocks.seconds() - started)
            return kept
        except (NotFoundError, EventError) as error:
            if len(events) == 1:
                logger.error("an event is refused: %s", error)
                return ["refused"]
            half = len(events) // 2
            return [*self._recorded(events[:half]), *self._recorded(events[half:])]

    def _take(self, events: Sequence[Item]) -> None:
        wanted = [event for event in events if not self._forgotten(event)]
        if wanted:
            self._recorded(wanted)
            self._touch(wanted)

    def _touch(self, events: Sequence[Item]) -> None:
        for user_id in {event.user_id for event in events if isinstance(event, Watch)}:
            self._marks.touch(user_id, now_ns=self._clocks.nanoseconds())


def _told_to_nobody(events: int, seconds: float) -> None:
    """Let a transaction pass untold."""
