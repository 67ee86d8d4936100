"""Events that wait on disk: fsynced before the caller goes on, and sent by the next start where this one is killed."""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

from ab_platform.client.queues import Batch, MemoryQueue

logger = logging.getLogger(__name__)

SUFFIX = ".events"
PROGRESS = ".sent"
SEGMENT_BYTES = 8 * 2**20
"""A segment that is longer is not written on; it is deleted once it is sent."""

READ_BYTES = 64 * 2**10
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700

_numbers = itertools.count()


class Segment:
    """One file of framed lines, and how far it is sent. Its lock says that a process lives that will send it.

    A frame is the crc32 of a line of JSON as 8 hex digits, a space, the line, and the line's end.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.size = 0  # of what is whole and acknowledged
        self.sent = 0
        self.waiting = 0

    @classmethod
    def fresh(cls, folder: Path) -> Segment:
        """Make a segment of this process's own, locked before others can see it."""
        path = folder / f"{time.time_ns():020d}-{os.getpid()}-{next(_numbers)}{SUFFIX}"
        hidden = path.with_suffix(".new")
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            hidden.rename(path)
            _sync(folder)
        except OSError:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @classmethod
    def left(cls, path: Path) -> Segment | None:
        """Take over a segment whose process is gone; None where it lives, or another took it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.error("%s holds events that cannot be read: %s", path, error)
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            gone = os.fstat(descriptor).st_nlink == 0
        except OSError:
            gone = True
        if gone:
            os.close(descriptor)
            return None
        segment = cls(path, descriptor)
        segment.size = os.fstat(descriptor).st_size
        segment.sent = _progress(path, segment.size)
        segment.waiting = sum(1 for _ in segment.frames())
        return segment

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines; they are on disk when it returns, and none of them is where it raises.

        Raises:
            OSError: where the disk does not take them.
        """
        data = memoryview(b"".join(b"%08x %s\n" % (crc32(line), line) for line in lines))
        written = 0
        try:
            while written < len(data):  # at a place, so that a rest of a failed write is written over
                written += os.pwrite(self._descriptor, data[written:], self.size + written)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)
        self.waiting += len(lines)

    def frames(self) -> Iterator[tuple[bytes, int]]:
        """Read what is not sent yet: each frame without its end, and where it ends. A torn last one is left out."""
        at, rest = self.sent, b""
        while at + len(rest) < self.size:
            block = os.pread(self._descriptor, min(READ_BYTES, self.size - at - len(rest)), at + len(rest))
            if not block:
                return
            *whole, rest = (rest + block).split(b"\n")
            for frame in whole:
                at += len(frame) + 1
                yield frame, at

    def mark(self, end: int, lines: int) -> None:
        """Say how far it is sent. A kill before that is on disk repeats a batch, which is harmless."""
        self.sent = end
        self.waiting -= lines
        fresh = self.path.with_suffix(f"{PROGRESS}-{os.getpid()}")
        try:
            fresh.write_text(str(end), encoding="ascii")
            fresh.replace(self.path.with_suffix(PROGRESS))
        except OSError as error:
            logger.warning("how far %s is sent cannot be written, so a restart repeats it: %s", self.path, error)

    def delete(self) -> None:
        """Remove it: all is sent, or given up."""
        self.path.unlink(missing_ok=True)
        for progress in self.path.parent.glob(f"{self.path.stem}{PROGRESS}*"):  # with what a kill left half-way
            progress.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it, for another process to take over."""
        os.close(self._descriptor)


class Outbox:
    """A queue in a folder. Several processes may share it: each writes segments of its own.

    A disk that takes nothing more does not fail the caller: the events wait in memory, with a word in the log.

    Args:
        folder: made where it is not there.
        limit_bytes: beyond it the oldest segment is given up, counted, with a word in the log.
    """

    on_disk = True

    def __init__(self, folder: Path, *, limit_bytes: int = 2**30) -> None:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._folder = folder
        self._limit = limit_bytes
        self._memory = MemoryQueue()
        self._lock = threading.Lock()
        self._dropped = 0
        self._last: Segment | None = None  # the one that is written to
        found = (Segment.left(path) for path in sorted(folder.glob(f"*{SUFFIX}")))
        self._segments = deque(each for each in found if each is not None)

    def put(self, lines: Sequence[bytes]) -> None:
        """Keep events; they are on disk when it returns."""
        with self._lock:
            try:
                self._own().append(lines)
            except OSError as error:
                logger.error(
                    "%d events wait in memory only: %s does not take them: %s", len(lines), self._folder, error
                )
                self._memory.put(lines)
            self._drop()

    def peek(self, most: int, most_bytes: int) -> Batch | None:
        """Return the oldest, at least one; None where none waits."""
        with self._lock:
            while self._segments:
                batch = self._oldest(self._segments[0], most, most_bytes)
                if batch is not None:
                    return batch
                if self._segments[0] is self._last and self._last.size < SEGMENT_BYTES:
                    break
                self._forget(self._segments[0])
            return self._memory.peek(most, most_bytes)

    def done(self, batch: Batch) -> None:
        """Let go of what `peek` returned."""
        if batch.source is self._memory:
            self._memory.done(batch)
            return
        with self._lock:
            segment = batch.source
            if isinstance(segment, Segment) and segment in self._segments:
                segment.mark(batch.end, len(batch.lines))

    def waiting(self) -> int:
        """Return how many wait."""
        with self._lock:
            return sum(each.waiting for each in self._segments) + self._memory.waiting()

    def dropped(self) -> int:
        """Return how many were given up so far."""
        return self._dropped + self._memory.dropped()

    def close(self) -> None:
        """Let go of the files; those that are sent are deleted."""
        with self._lock:
            for segment in self._segments:
                if segment.waiting:
                    segment.close()
                else:
                    segment.delete()
            self._segments.clear()
            self._last = None

    def _own(self) -> Segment:
        if self._last is None or self._last.size >= SEGMENT_BYTES:
            self._last = Segment.fresh(self._folder)
            self._segments.append(self._last)
        return self._last

    def _oldest(self, segment: Segment, most: int, most_bytes: int) -> Batch | None:
        """Return the oldest whole lines of a segment; damaged ones are passed over and logged."""
        chosen: list[bytes] = []
        size, end = 0, segment.sent
        for frame, after in segment.frames():
            line = _whole(frame)
            if line is None:
                if chosen:
                    break
                logger.error("%s is damaged before byte %d; one event is lost", segment.path, after)
                self._dropped += 1
                segment.mark(after, 1)
                continue
            size += len(line) + 1
            if chosen and (len(chosen) >= most or size > most_bytes):
                break
            chosen.append(line)
            end = after
        return Batch(tuple(chosen), segment, end) if chosen else None

    def _drop(self) -> None:
        while sum(each.size for each in self._segments) > self._limit and self._segments[0] is not self._last:
            oldest = self._segments[0]
            lost = oldest.waiting
            logger.error("%s is over its limit of %d bytes; %d events are lost", self._folder, self._limit, lost)
            self._dropped += lost
            self._forget(oldest)

    def _forget(self, segment: Segment) -> None:
        self._segments.remove(segment)
        if segment is self._last:
            self._last = None
        segment.delete()


def _whole(frame: bytes) -> bytes | None:
    """Return the line in a frame; None where it is not as it was written."""
    digits, _, line = frame.partition(b" ")
    return line if digits == b"%08x" % crc32(line) else None


def _progress(path: Path, size: int) -> int:
    """Return how far a segment was sent; from the start where nobody can tell."""
    try:
        return min(int(path.with_suffix(PROGRESS).read_text(encoding="ascii")), size)
    except (OSError, ValueError):
        return 0


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
