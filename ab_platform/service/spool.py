"""A durable queue of events on local disk, for the time the database is away."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from ab_platform.errors import SpoolFullError
from ab_platform.service.codec import Item, encode
from ab_platform.service.segments import (
    PRIVATE,
    Place,
    Record,
    Segment,
    Spoiled,
    claimed,
    handed_over,
    measured,
    note_handed_over,
    read,
    record_bytes,
)
from models.durable import sync_folder

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 64 * 2**20
"""A segment that is longer is not written on."""

SPARE_BYTES = 2**20
"""A spool with less room than this, or than a hundredth of its limit, counts as full."""

SUFFIX = ".events"
BAD = "bad"
PRIVATE_FOLDER = 0o700


@dataclass(frozen=True)
class Pending:
    """What waits on disk, of all processes that share the folder.

    Attributes:
        bytes: that the segments take.
        segments: files, those that are written right now among them.
        events: that were not handed over yet.
        spoiled: files in `bad/`, of bytes that are no whole record any more; a person may look at them and delete them.
        full: whether the next events are likely refused.
    """

    bytes: int
    segments: int
    events: int
    spoiled: int = 0
    full: bool = False


class Spool:
    """Keeps events in segments, each written by one process, and hands over those that no living process writes.

    Several threads may use one spool, and several processes one folder, each with a spool of its own that was made
    after any fork.

    Args:
        folder: of the segments, on a local disk; made where it is missing.
        limit_bytes: that the segments of all processes may take together; what several append at once may pass it.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = 10 * 2**30) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._own: Segment | None = None
        self._lock = threading.Lock()
        (folder / BAD).mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        folder.chmod(PRIVATE_FOLDER)
        sync_folder(folder.parent)

    def append(self, events: Sequence[Item]) -> None:
        """Keep events, all or none; they are safely on disk when it returns.

        Raises:
            SpoolFullError: where the disk is full or failing, or the limit is reached; none of them is kept then.
        """
        if not events:
            return
        lines = [encode(event) for event in events]
        with self._lock:
            try:
                self._check_room(record_bytes(lines))
                self._append(lines)
            except OSError as error:
                raise SpoolFullError(
                    f"the spool in {self._folder} cannot take {len(events)} events: {error.strerror or error}; "
                    "make room on its disk, or bring the database back"
                ) from error

    def drain(self, take: Callable[[Sequence[Item]], None], *, at_once: int = 5_000, stop: Callable[[], bool]) -> int:
        """Hand over what waits, oldest segment first, this process's own last.

        Events are handed over again where the process is killed between `take` and noting that, or `take` raises
        half-way. What spoiled on disk is moved to `bad/` and logged, and the rest goes on.

        Args:
            take: stores events; they are done with when it returns. What it raises is raised here, and the rest stays.
            at_once: events that are taken together, at most.
            stop: asked before each batch; the rest stays where it says yes.

        Returns:
            How many events were handed over.
        """
        done = 0
        # The own segment is given up only once the others went well, or each try would leave another file.
        for path in chain(self._segments(), self._given_up()):
            if stop():
                break
            with claimed(path) as file:
                if file is not None:
                    done += self._hand_over(path, file, take, at_once=at_once, stop=stop)
        return done

    def pending(self) -> Pending:
        """Measure what waits; cheap enough for every second."""
        found = [measure for path in self._segments() if (measure := measured(path)) is not None]
        size = sum(each.size_bytes for each in found)
        spoiled = len(list((self._folder / BAD).iterdir()))
        return Pending(size, len(found), sum(each.events for each in found), spoiled, self._full(size))

    def close(self) -> None:
        """Leave what waits to other processes, or to the next start."""
        with self._lock:
            self._give_up()

    def _append(self, lines: Sequence[bytes]) -> None:
        own = self._own = self._own or self._fresh()
        try:
            own.append(lines)
        finally:
            if own.broken or own.size_bytes >= SEGMENT_BYTES:
                self._give_up()

    def _fresh(self) -> Segment:
        while True:
            numbers = [path.name.partition("-")[0] for path in self._segments()]
            last = max((int(number) for number in numbers if number.isdecimal()), default=0)
            # By chance, so that no name ever comes again: what lies in `bad/` is named after its segment.
            path = self._folder / f"{last + 1:012d}-{secrets.token_hex(4)}{SUFFIX}"
            if segment := Segment.fresh(path):
                return segment

    def _give_up(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None

    def _given_up(self) -> Iterator[Path]:
        """Give up the own segment, when it is asked for, and yield its path."""
        with self._lock:
            own = self._own
            self._give_up()
        if own is not None:
            yield own.path

    def _segments(self) -> list[Path]:
        """Return the segments, oldest first."""
        with os.scandir(self._folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.name.endswith(SUFFIX))

    def _check_room(self, record: int) -> None:
        held = self._held()
        if held + record > self._limit_bytes:
            raise SpoolFullError(
                f"the spool in {self._folder} holds {held} bytes, and {record} more would pass its limit of "
                f"{self._limit_bytes}; bring the database back, or raise the limit"
            )

    def _held(self) -> int:
        size = 0
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    try:
                        size += entry.stat().st_size
                    except FileNotFoundError:  # handed over meanwhile
                        continue
        return size

    def _full(self, size: int) -> bool:
        spare = min(SPARE_BYTES, self._limit_bytes // 100)
        disk = os.statvfs(self._folder)
        return size + spare >= self._limit_bytes or disk.f_bavail * disk.f_frsize < spare

    def _hand_over(
        self,
        path: Path,
        file: BinaryIO,
        take: Callable[[Sequence[Item]], None],
        *,
        at_once: int,
        stop: Callable[[], bool],
    ) -> int:
        """Hand over a segment; return how many events, and delete it after the last."""
        done, kept = 0, list[bool]()
        found = read(file, handed_over(file))
        # Set aside before the place behind it is noted, or a kill in between would lose it.
        batches = _batches(found, at_once=at_once, spoiled=lambda each: kept.append(self._set_aside(path, each)))
        for batch, end in batches:
            if stop():
                return done
            for start in range(0, len(batch), at_once):
                take(batch[start : start + at_once])
            done += len(batch)
            note_handed_over(file, end)
        if all(kept):
            path.unlink()
        else:
            path.rename(self._folder / BAD / path.name)
        return done

    def _set_aside(self, path: Path, found: Spoiled) -> bool:
        """Keep what spoiled in `bad/`; return whether that went well: the whole segment is kept where it did not."""
        logger.error(
            "%s holds no whole record from byte %d on%s; that part is left out and kept in %s",
            path,
            found.offset,
            "" if found.content is None else f" for {len(found.content)} bytes",
            self._folder / BAD,
        )
        if found.content is None:
            return False
        aside = self._folder / BAD / f"{path.stem}-{found.offset}"
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(found.content)
        except OSError:
            aside.unlink(missing_ok=True)
            return False
        return True


def _batches(
    found: Iterator[Record | Spoiled], *, at_once: int, spoiled: Callable[[Spoiled], None]
) -> Iterator[tuple[Sequence[Item], Place]]:
    """Yield whole records together, up to so many events, and the place behind them; tell of what is spoiled."""
    batch, end = list[Item](), None
    for each in found:
        if isinstance(each, Spoiled):
            spoiled(each)
            continue
        if end is not None and len(batch) + len(each.events) > at_once:
            yield batch, end
            batch = []
        batch.extend(each.events)
        end = each.end
    if end is not None:
        yield batch, end
