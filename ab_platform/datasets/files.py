"""Files in a folder or in a zip, read in place, in blocks of whole rows."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ab_platform.datasets.source import Tick
from ab_platform.errors import DataError

BLOCK_BYTES = 4 << 20  # about 180,000 rows of MovieLens
MOST_ROW_BYTES = 64 << 20
LONGEST_LINE = 1 << 16

_UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError)
"""Damaged, truncated, encrypted, or packed in a way that the standard library does not know."""


@dataclass(frozen=True)
class Member:
    """A file, on its own or inside a zip.

    Attributes:
        name: its name without folders.
        folder: the folders above it, within the folder or zip that was opened.
        size: bytes, unpacked.
        place: where it is, for people.
        open: opens it for reading.
    """

    name: str
    folder: str
    size: int
    place: str
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Block:
    """Whole rows of a file.

    Attributes:
        data: the rows as they stand.
        line: number of the first line, from 1.
    """

    data: bytes
    line: int


def members(path: Path) -> tuple[Member, ...]:
    """List the files of a folder (two folders deep), of a zip, or the one file that the path is.

    Raises:
        DataError: the zip cannot be read.
    """
    if path.is_dir():
        found = (file for depth in ("*", "*/*", "*/*/*") for file in path.glob(depth) if file.is_file())
        return tuple(each for file in sorted(found) for each in _of_file(file, path))
    return _of_zip(path) if path.suffix.lower() == ".zip" else (_plain(path, path.parent),)


def _of_file(file: Path, root: Path) -> tuple[Member, ...]:
    """Look also into a zip that holds one file of text, as the Taste Profile is published."""
    return _of_zip(file) if file.name.endswith(".txt.zip") else (_plain(file, root),)


def _plain(file: Path, root: Path) -> Member:
    folder = file.parent.relative_to(root).as_posix()
    return Member(file.name, folder, file.stat().st_size, str(file), lambda: file.open("rb"))


def _of_zip(path: Path) -> tuple[Member, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except _UNREADABLE as error:
        raise _unreadable(str(path), error) from error
    return tuple(_packed(path, entry) for entry in entries if not entry.filename.startswith("__MACOSX/"))


def _packed(path: Path, entry: zipfile.ZipInfo) -> Member:
    folder, _, name = entry.filename.rpartition("/")
    # The archive object may go: an open member keeps the file.
    return Member(name, folder, entry.file_size, f"{path}/{entry.filename}", lambda: zipfile.ZipFile(path).open(entry))


def pieces(member: Member) -> Iterator[bytes]:
    """Yield a file's bytes, at most BLOCK_BYTES at a time.

    Raises:
        DataError: the file or the zip around it is damaged.
    """
    try:
        with member.open() as stream:
            while piece := stream.read(BLOCK_BYTES):
                yield piece
    except _UNREADABLE as error:
        raise _unreadable(member.place, error) from error


def first_line(member: Member) -> str:
    """Return a text file's first line, without its end and at most LONGEST_LINE long.

    Raises:
        DataError: the file or the zip around it is damaged.
    """
    try:
        with member.open() as stream:
            return decoded(stream.readline(LONGEST_LINE)).rstrip("\r\n")
    except _UNREADABLE as error:
        raise _unreadable(member.place, error) from error


def _unreadable(place: str, error: BaseException) -> DataError:
    return DataError(
        f"{place} cannot be read ({error}); it must be a whole file that may be read: fetch it again "
        "or make it readable, and repeat the command"
    )


def content_hash(files: Sequence[Member], tick: Tick) -> str:
    """Return the sha256, in hex, of the files' bytes in the given order; packed or not makes no difference.

    Args:
        files: what to hash.
        tick: told the bytes done so far.
    """
    digest, done = hashlib.sha256(), 0
    for member in files:
        # Sizes first, so that moving the border between two files changes the hash.
        digest.update(member.size.to_bytes(8, "big"))
        for piece in pieces(member):
            digest.update(piece)
            done += len(piece)
            tick(done)
    return digest.hexdigest()


def blocks(member: Member, *, quoted: bool = False) -> Iterator[Block]:
    """Yield a file in blocks of whole rows.

    Args:
        member: the file.
        quoted: whether a row may go over several lines inside double quotes.

    Raises:
        DataError: a row is longer than MOST_ROW_BYTES, or the file is damaged.
    """
    line, rest = 1, b""
    for piece in pieces(member):
        data = rest + piece
        end = _end_of_rows(data, quoted=quoted)
        if end:
            yield Block(data[:end], line)
            line += data.count(b"\n", 0, end)
        rest = data[end:]
        if len(rest) > MOST_ROW_BYTES:
            raise DataError(
                f"{member.name}:{line}: the row is longer than {MOST_ROW_BYTES >> 20} MB; "
                "end each row with a line feed, and close each double quote"
            )
    if rest:
        yield Block(rest, line)


def _end_of_rows(data: bytes, *, quoted: bool) -> int:
    """Return where the last whole row ends: after the last line feed with an even number of quotes before it."""
    end = data.rfind(b"\n") + 1
    odd = data.count(b'"', 0, end) % 2 if quoted else 0
    while odd and end:
        before = data.rfind(b"\n", 0, data.rfind(b'"', 0, end)) + 1
        odd = (odd + data.count(b'"', before, end)) % 2
        end = before
    return end


def numbered_lines(member: Member) -> Iterator[tuple[int, str]]:
    """Yield a text file's lines with their numbers, from 1, without line ends; blank lines are left out."""
    for block in blocks(member):
        for number, line in enumerate(block.data.split(b"\n"), start=block.line):
            if line.strip():
                yield number, decoded(line.removesuffix(b"\r"))


def decoded(line: bytes) -> str:
    """Decode a line of titles: UTF-8, with or without a byte-order mark, or else ISO-8859-1.

    Accented ISO-8859-1 text is all but never valid UTF-8, so the guess is safe.
    """
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("iso-8859-1")
