"""Events that wait to be sent: what every queue does, and the one in memory, which loses its oldest when full."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

MOST_WAITING = 100_000
"""Events that wait in memory; some 40 MB."""


@dataclass(frozen=True)
class Batch:
    """Events that go together.

    Attributes:
        lines: each a line of JSON.
        source: what they were taken from; the queue's own.
        end: where in the source they end; the queue's own.
    """

    lines: tuple[bytes, ...]
    source: object
    end: int


class Queue(Protocol):
    """Keeps events, oldest first, until they are acknowledged. Several threads may use it."""

    on_disk: bool
    """Whether `put` waits for a disk."""

    def put(self, lines: Sequence[bytes]) -> None:
        """Keep events."""
        ...

    def peek(self, most: int, most_bytes: int) -> Batch | None:
        """Return the oldest, at least one; None where none waits. They stay until `done`."""
        ...

    def done(self, batch: Batch) -> None:
        """Let go of what `peek` returned."""
        ...

    def waiting(self) -> int:
        """Return how many wait."""
        ...

    def dropped(self) -> int:
        """Return how many were given up so far."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


def queue_in(folder: Path | None, *, most: int) -> Queue:
    """Return a queue in a folder, or where there is none, one of at most so many events in memory."""
    if folder is None:
        return MemoryQueue(most=most)
    # Locks of files are POSIX's; without an outbox the client runs everywhere.
    from ab_platform.client.outbox import Outbox

    return Outbox(folder)


class MemoryQueue:
    """A bounded queue in memory: when it is full, the oldest events are dropped, counted, and warned of once.

    Args:
        most: events that wait.
    """

    on_disk = False

    def __init__(self, *, most: int = MOST_WAITING) -> None:
        self._most = most
        self._lines: deque[bytes] = deque()
        self._first = 0  # number of the oldest line, counted from the first ever
        self._dropped = 0
        self._lock = threading.Lock()

    def put(self, lines: Sequence[bytes]) -> None:
        """Keep events."""
        with self._lock:
            self._lines.extend(lines)
            excess = len(self._lines) - self._most
            if excess > 0:
                self._drop(excess)

    def peek(self, most: int, most_bytes: int) -> Batch | None:
        """Return the oldest, at least one; None where none waits."""
        with self._lock:
            chosen: list[bytes] = []
            size = 0
            for line in self._lines:
                size += len(line) + 1
                if chosen and (len(chosen) >= most or size > most_bytes):
                    break
                chosen.append(line)
            return Batch(tuple(chosen), self, self._first + len(chosen)) if chosen else None

    def done(self, batch: Batch) -> None:
        """Let go of what `peek` returned; some of it may have been dropped meanwhile."""
        with self._lock:
            while self._first < batch.end:
                self._lines.popleft()
                self._first += 1

    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._lines)

    def dropped(self) -> int:
        """Return how many were given up so far."""
        return self._dropped

    def close(self) -> None:
        """Let go of nothing: there are no files."""

    def _drop(self, excess: int) -> None:
        if not self._dropped:
            logger.warning(
                "more than %d events wait to be sent; the oldest are dropped. Is the service away? "
                "With an outbox they would wait on disk",
                self._most,
            )
        for _ in range(excess):
            self._lines.popleft()
        self._first += excess
        self._dropped += excess
