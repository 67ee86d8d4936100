"""When each user's history last changed, in a file that all workers of one machine map into their memory."""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from hashlib import blake2b
from pathlib import Path

PRIVATE = 0o600
SLOT_BYTES = 8

TICK_BITS = 10
"""Low bits of a mark that tell processes apart; the others are its time, in ticks of about a microsecond."""


class Marks:
    """A table of times, one for all users of a slot: a mark may say that a history changed where it did not.

    Marks are compared, not read: a history is old once its user's mark is another than before it was read.

    Args:
        path: of the file, made where it is missing or of another size.
        slots: how many marks there are; the same in every process.
    """

    def __init__(self, path: Path, slots: int = 65_536) -> None:
        self._slots = slots
        descriptor = _opened(path, slots * SLOT_BYTES)
        try:
            self._map = mmap.mmap(descriptor, slots * SLOT_BYTES)
        finally:
            os.close(descriptor)
        # One aligned word is written and read at once: no reader sees half a mark.
        self._marks = memoryview(self._map).cast("Q")
        self._process = os.getpid() & ((1 << TICK_BITS) - 1)
        self._last_tick = 0
        self._lock = threading.Lock()

    def touch(self, user_id: str, *, now_ns: int) -> None:
        """Mark that a user's history changed; whoever read the mark before reads another now.

        Args:
            user_id: whose it is.
            now_ns: nanoseconds since 1970; a clock that was set back does no harm.
        """
        slot = self._slot(user_id)
        with self._lock:
            # Above what stands there, whoever wrote it, and above what this process wrote in the same instant.
            seen = self._marks[slot] >> TICK_BITS
            tick = max(now_ns >> TICK_BITS, self._last_tick, seen) + 1
            self._last_tick = tick
            self._marks[slot] = tick << TICK_BITS | self._process

    def of(self, user_id: str) -> int:
        """Return the user's mark: about the nanosecond of the last touch, never before it; 0 where there was none."""
        return self._marks[self._slot(user_id)]

    def close(self) -> None:
        """Let go of the file."""
        self._marks.release()
        self._map.close()

    def _slot(self, user_id: str) -> int:
        name = user_id.encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(name, digest_size=8).digest()) % self._slots


def _opened(path: Path, size: int) -> int:
    """Open the file, or make it where it is missing or of another size; one process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, PRIVATE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists() or path.stat().st_size != size:
            _make(path, size)
        return os.open(path, os.O_RDWR)
    finally:
        os.close(lock)


def _make(path: Path, size: int) -> None:
    """Put a file of zeros in place, whole; who has mapped the one before keeps that."""
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        # Written, not only made long: a hole that a full disk cannot fill would kill the process that writes to it.
        file.write(bytes(size))
    fresh.replace(path)
