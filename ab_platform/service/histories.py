"""What users have seen, for slates: read from the store once, kept in memory, and read anew after a fresh watch."""

from __future__ import annotations

import logging
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from time import monotonic
from typing import Protocol

import numpy as np

from ab_platform.errors import StoreError
from ab_platform.experiment import DataRule
from ab_platform.lineage import Launch
from ab_platform.training import titles_by_user
from models.interactions import Interactions

logger = logging.getLogger(__name__)

AWAY_SECONDS = 1.0
"""How long the database is left alone after it was away, and how often one request tries it then."""


class Reads(Protocol):
    """Where histories are kept."""

    def history(self, dataset: str, user_id: str, *, least_rating: float) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Return the titles a user liked, and their times."""
        ...

    def watched(self, experiment: str, user_id: str, *, until: datetime | None) -> tuple[str, ...]:
        """Return the titles a user watched under an experiment."""
        ...


class Changes(Protocol):
    """What says that a history changed."""

    def of(self, user_id: str) -> int:
        """Return the user's mark; another than before after each change."""
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    """A history, and what tells whether it still holds.

    Attributes:
        titles: in the order they were seen.
        until: the moment of slates up to which watches are in it; None where all are.
        mark: of the user, from before it was read.
        read_at: seconds of the clock.
    """

    titles: tuple[str, ...]
    until: datetime | None
    mark: int
    read_at: float


class HistoryCache:
    """The histories of the users who came last.

    One that changed is not served again, on whatever worker the change was stored. While the database is away, the one
    that was read before serves, or an empty one: a slate from it is better than none.

    Args:
        store: where they are kept; it may be away.
        users: kept in memory, at most; the one who was asked for the longest ago goes first.
        marks: says whose history changed.
        ttl_seconds: after which a history is read anew, marked or not: the watch may be of another machine.
        clock: seconds that only grow.

    Attributes:
        served_old: histories served while the database was away, as they were read before.
        served_empty: histories that could not be read, and were never before.
    """

    def __init__(
        self,
        store: Reads,
        *,
        users: int = 100_000,
        marks: Changes,
        ttl_seconds: float = 30.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._users = users
        self._marks = marks
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._lock = Lock()
        self._next_try_at: float | None = None
        self.served_old = 0
        self.served_empty = 0

    def of(self, launch: Launch, user_id: str, *, until: datetime | None = None) -> tuple[str, ...]:
        """Return what a user has seen: what the arms may learn from, then the watches under the experiment.

        Args:
            launch: the experiment; its data rule says what is held back.
            user_id: known or not; who is not has seen nothing.
            until: what was watched from slates of then on does not count, for visits on a calendar of their own; all
                does where it is None.
        """
        found = self.cached(launch, user_id, until=until)
        return self.read(launch, user_id, until=until) if found is None else found

    def cached(self, launch: Launch, user_id: str, *, until: datetime | None = None) -> tuple[str, ...] | None:
        """Return a history from memory, at once; None where it has to be read. Arguments as in `of`."""
        key = (launch.experiment.key, user_id)
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._holds(entry, user_id, until):
                self._entries.move_to_end(key)
                return entry.titles
            return self._without_database(entry) if self._leaves_alone() else None

    def read(self, launch: Launch, user_id: str, *, until: datetime | None = None) -> tuple[str, ...]:
        """Read a history from the store and keep it. Arguments as in `of`."""
        key = (launch.experiment.key, user_id)
        # Before the store: a watch that is stored in between makes it another.
        mark, read_at = self._marks.of(user_id), self._clock()
        try:
            titles = self._read(launch, user_id, until)
        except StoreError as error:
            return self._failed(key, error)
        with self._lock:
            self._next_try_at = None
            self._entries[key] = _Entry(titles, until, mark, read_at)
            self._entries.move_to_end(key)
            if len(self._entries) > self._users:
                self._entries.popitem(last=False)
        return titles

    def __len__(self) -> int:
        return len(self._entries)

    def _holds(self, entry: _Entry, user_id: str, until: datetime | None) -> bool:
        fresh = self._clock() - entry.read_at < self._ttl_seconds
        return fresh and entry.until == until and entry.mark == self._marks.of(user_id)

    def _read(self, launch: Launch, user_id: str, until: datetime | None) -> tuple[str, ...]:
        rule = launch.experiment.data
        liked, times = self._store.history(rule.dataset, user_id, least_rating=rule.least_rating)
        watched = self._store.watched(launch.experiment.key, user_id, until=until)
        # One copy of each title's id for all users: a history is then little more than its references.
        return tuple(map(sys.intern, (*shown(liked, times, rule), *watched)))

    def _leaves_alone(self) -> bool:
        """Tell whether the database was away a moment ago; each time the wait is over, one request may try it."""
        if self._next_try_at is None:
            return False
        if self._clock() < self._next_try_at:
            return True
        self._next_try_at = self._clock() + AWAY_SECONDS
        return False

    def _failed(self, key: tuple[str, str], error: StoreError) -> tuple[str, ...]:
        with self._lock:
            if self._next_try_at is None:
                logger.warning("histories are served from memory: %s", error)
            self._next_try_at = self._clock() + AWAY_SECONDS
            return self._without_database(self._entries.get(key))

    def _without_database(self, entry: _Entry | None) -> tuple[str, ...]:
        if entry is None:
            self.served_empty += 1
            return ()
        self.served_old += 1
        return entry.titles


def shown(titles: tuple[str, ...], times: tuple[int, ...], rule: DataRule) -> tuple[str, ...]:
    """Return what of one user's interactions is not held back, oldest first, exactly as in a snapshot of all users.

    Args:
        titles: liked, in any order.
        times: unix seconds of each.
        rule: says which part is held back.
    """
    if not titles:
        return ()
    one = ("",) * len(titles)
    history, _ = Interactions.from_rows(one, titles, np.array(times, np.int64)).hold_back(rule.hold_back)
    return tuple(titles_by_user(history)[""])
