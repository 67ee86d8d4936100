"""One file of spooled events, framed so that what is whole is found again beside what is torn or spoiled.

    abp-spool 1 000000000035 00000000 ... how far it was handed over: bytes, events, checksum of these
    {"type":"impression",...}             the events of one record, a line each
    {"type":"click",...}
    @000001f2 00000002 00000002 5d1e...   its end: bytes, events, events of the file so far, checksum of all these

A lock on the file tells its one user, who writes it or hands it over, from all others. The kernel frees it when that
process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from ab_platform.errors import EventError
from ab_platform.service.codec import Item, decode
from models.durable import sync_folder

PRIVATE = 0o600
READ_BYTES = 2**20

_HEADER = re.compile(rb"abp-spool 1 (([0-9a-f]{12}) ([0-9a-f]{8})) ([0-9a-f]{8})\n")
_END = re.compile(rb"@([0-9a-f]{8} [0-9a-f]{8} ([0-9a-f]{8})) ([0-9a-f]{8})\n")
_LAST_END = re.compile(rb"\n" + _END.pattern)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a segment, and how many of its events lie before it."""

    offset: int
    events: int


@dataclass(frozen=True, slots=True)
class Record:
    """Events that were appended together, and the place behind them."""

    events: Sequence[Item]
    end: Place


@dataclass(frozen=True, slots=True)
class Spoiled:
    """Bytes from an offset on that hold no whole record; None where the disk does not give them."""

    offset: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Measure:
    """The size of a segment, and how many of its events are not handed over yet."""

    size_bytes: int
    events: int


def _header(place: Place) -> bytes:
    counts = b"%012x %08x" % (place.offset, place.events)
    return b"abp-spool 1 %b %08x\n" % (counts, crc32(counts))


HEADER_BYTES = len(_header(Place(0, 0)))
START = Place(HEADER_BYTES, 0)


class Segment:
    """A segment that this process writes; nobody else takes it before it is closed or the process is gone."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.broken = False
        self._descriptor = descriptor
        self._end = START
        self._listed = False

    @classmethod
    def fresh(cls, path: Path) -> Segment | None:
        """Make a segment; None where somebody took the file for an abandoned one before it was locked.

        Raises:
            OSError: where the disk cannot take it; nothing is left then.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:
                os.close(descriptor)
                return None
            _write(descriptor, _header(START), 0)
        except OSError:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @property
    def size_bytes(self) -> int:
        """Return how long it is."""
        return self._end.offset

    def append(self, lines: Sequence[bytes]) -> None:
        """Write a record, safely on disk when it returns; where that fails, the segment stays as it was.

        Args:
            lines: of its events, without their ends.

        Raises:
            OSError: where the disk cannot take it; where `broken` is set, the segment can take nothing more.
        """
        end = Place(self._end.offset + record_bytes(lines), self._end.events + len(lines))
        try:
            _write(self._descriptor, _framed(lines, so_far=end.events), self._end.offset)
            os.fsync(self._descriptor)
            self._list()
        except BaseException as error:
            self._take_back(error)
            raise
        self._end = end

    def close(self) -> None:
        """Leave the segment to whoever hands it over; without a record it is deleted."""
        if self._end == START:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # its records are on disk already
            os.close(self._descriptor)

    def _list(self) -> None:
        """Make the name of a new file as lasting as its records."""
        if not self._listed:
            sync_folder(self.path.parent)
            self._listed = True

    def _take_back(self, error: BaseException) -> None:
        # After any other fault nobody can say what a later fsync would vouch for.
        self.broken = not (isinstance(error, OSError) and error.errno in {ENOSPC, EDQUOT})
        try:
            os.ftruncate(self._descriptor, self._end.offset)
        except OSError:
            self.broken = True


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[BinaryIO | None]:
    """Open a segment that nobody writes or hands over, and keep others off; None where it is taken or gone."""
    try:
        file = path.open("r+b", buffering=READ_BYTES)
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Whoever had it in between may have finished it; its name never comes again.
        yield file if path.exists() else None


def handed_over(file: BinaryIO) -> Place:
    """Read up to where a segment was handed over."""
    return _handed_over(file.fileno())


def note_handed_over(file: BinaryIO, place: Place) -> None:
    """Write up to where a segment was handed over: into the file itself, for a full disk holds no other."""
    with contextlib.suppress(OSError):  # events that are handed over twice do no harm
        _write(file.fileno(), _header(place), 0)


def read(file: BinaryIO, start: Place) -> Iterator[Record | Spoiled]:
    """Read a segment from a place on; a record that was torn at its end is left out, for it was never acknowledged."""
    file.seek(start.offset)
    offset, lines = start.offset, list[bytes]()
    while True:
        try:
            line = file.readline()
        except OSError:
            yield Spoiled(offset, None)
            return
        if not line:
            break
        if end := _END.fullmatch(line):
            body = b"".join(lines)
            yield from _record(offset, body, line, end)
            offset, lines = offset + len(body) + len(line), []
        else:
            lines.append(line)
    # A torn record stops within an event or within its end; after a whole line that is none, its end was spoiled.
    if lines and lines[-1].endswith(b"\n") and not lines[-1].startswith(b"{"):
        yield Spoiled(offset, b"".join(lines))


def measured(path: Path) -> Measure | None:
    """Measure a segment without reading it through; None where it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        return Measure(size, max(0, _written(descriptor, size) - _handed_over(descriptor).events))
    finally:
        os.close(descriptor)


def record_bytes(lines: Sequence[bytes]) -> int:
    """Return how many bytes a record of these lines takes."""
    return sum(map(len, lines)) + len(lines) + len(_end(b"", events=0, so_far=0))


def _framed(lines: Sequence[bytes], *, so_far: int) -> bytes:
    body = b"\n".join(lines) + b"\n"
    return body + _end(body, events=len(lines), so_far=so_far)


def _end(body: bytes, *, events: int, so_far: int) -> bytes:
    counts = b"%08x %08x %08x" % (len(body), events, so_far)
    return b"@%b %08x\n" % (counts, _checksum(body, counts))


def _checksum(body: bytes, counts: bytes) -> int:
    return crc32(counts, crc32(body))


def _record(offset: int, body: bytes, line: bytes, end: re.Match[bytes]) -> Iterator[Record | Spoiled]:
    """Tell the record that ends here from what lies before it: a record whose end was spoiled, for one."""
    counts, so_far, checksum = end.groups()
    own = body[-int(counts[:8], 16) :]
    events = _decoded(own) if _checksum(own, counts) == int(checksum, 16) else None
    if events is None:
        yield Spoiled(offset, body + line)
        return
    if len(own) < len(body):
        yield Spoiled(offset, body[: -len(own)])
    yield Record(events, Place(offset + len(body) + len(line), int(so_far, 16)))


def _decoded(body: bytes) -> list[Item] | None:
    """Read the events of a record; None where another version wrote what this one does not take."""
    try:
        return [decode(line) for line in body.split(b"\n")[:-1]]
    except EventError:
        return None


def _handed_over(descriptor: int) -> Place:
    match = _HEADER.fullmatch(os.pread(descriptor, HEADER_BYTES, 0))
    if match is None or crc32(match[1]) != int(match[4], 16):
        return START  # from the beginning: events that are handed over twice do no harm
    return Place(int(match[2], 16), int(match[3], 16))


def _written(descriptor: int, size: int) -> int:
    """Return how many events were written, from the last record's end; nearly always it is the file's last line."""
    reach = 64
    while True:
        start = max(0, size - reach)
        ends = _LAST_END.findall(os.pread(descriptor, size - start, start))
        if ends:
            return int(ends[-1][1], 16)
        if start == 0:
            return 0
        reach *= 64


def _write(descriptor: int, content: bytes, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written
