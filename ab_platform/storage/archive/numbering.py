"""Numbers of users, a shard's from 0 on, so that a row's user is a place in an array and no text has to be compared.

    numbers/SS-LINEAGE/users.arrow                    the ids of a shard's users; a user's number is the place here
    numbers/SS-LINEAGE/TABLE-2026-11-30-HASH.int32    the number of each row's user of one file of the archive

They are made of the archive's files and can be made again. A user who came keeps the number as long as the lineage
lasts: until somebody of the shard is erased, or the users' file is lost. Then all numbers of the shard are new.
"""

from __future__ import annotations

import os
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from shutil import rmtree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ab_platform.errors import StoreError
from ab_platform.storage.archive import sealed
from ab_platform.storage.archive.archive import Archive
from ab_platform.storage.archive.layout import TableName
from ab_platform.storage.archive.locking import WAIT_SECONDS, alone
from ab_platform.storage.archive.manifest import ArchivedFile, replace

NUMBERED: tuple[TableName, ...] = ("exposures", "user_days")
"""Tables whose rows are added up by user."""

Numbers = NDArray[np.int32]

ROWS_AT_ONCE = 4_000_000
"""Rows whose ids are held at once, unless one file has more."""

_USERS = "users.arrow"
_ID = "user_id"
_NOBODY = pa.array([], pa.string())
_NUMBER = np.dtype("<i4")


class Numbering:
    """The numbers of users in an archive, as they stand when it is made.

    Args:
        archive: whose users they are.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive, self._folder = archive, archive.folder / "numbers"
        self._lineages = {shard: _lineage(self._folder, shard) for shard in range(archive.shards)}

    def number(self, files: Iterable[ArchivedFile], *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Number the rows of files that are not numbered yet; the same again changes nothing.

        Cut short anywhere, the next time goes on.

        Args:
            files: of the tables in `NUMBERED`; others are left out.
            wait_seconds: for another process that numbers.

        Raises:
            StoreAwayError: where another process is at it for longer.
        """
        wanted = [each for each in files if each.table in NUMBERED]
        if not any(self._lacking(wanted)):
            return
        with alone(self._folder, wait_seconds=wait_seconds):
            by_shard: dict[int, list[ArchivedFile]] = defaultdict(list)
            for file in wanted:
                by_shard[file.shard].append(file)
            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                list(pool.map(self._number, by_shard, by_shard.values()))

    def of(self, file: ArchivedFile) -> Numbers:
        """Return the number of each row's user, (rows,); one that is not as it was written is made again.

        Raises:
            StoreError: where the file is not numbered any more, or was not.
        """
        path = self._path(file)
        if path is None or not _whole(path, file):
            raise _gone(file.path)
        try:
            return _numbers(path)
        except ValueError:
            path.unlink(missing_ok=True)
            self.number([file])
            return _numbers(path)

    def lineage(self, shard: int) -> str:
        """Return a name that changes with the numbers of a shard; empty where nobody has one."""
        folder = self._lineages[shard]
        return folder.name if folder else ""

    def users(self, shard: int) -> int:
        """Return how many users of a shard have numbers."""
        return len(self._every(shard, check=False))

    def find(self, shard: int, users: Sequence[str]) -> Mapping[str, int]:
        """Return the numbers of those of some users of a shard who have one."""
        if not users:
            return {}
        every = self._every(shard)
        places = pc.indices_nonzero(pc.is_in(every, value_set=pa.array(users, pa.string())))
        return dict(zip(every.take(places).to_pylist(), places.to_pylist(), strict=True))

    def _every(self, shard: int, *, check: bool = True) -> pa.Array:
        """Return the ids of a shard's users who have numbers."""
        folder = self._lineages[shard]
        try:
            return _read(folder, check=check) if folder else _NOBODY
        except (OSError, ValueError) as error:
            raise _gone(f"shard {shard}") from error

    def _lacking(self, files: Iterable[ArchivedFile]) -> Iterator[ArchivedFile]:
        return (each for each in files if not _whole(self._path(each), each))

    def _path(self, file: ArchivedFile) -> Path | None:
        folder = self._lineages[file.shard]
        return folder / _named(file) if folder else None

    def _number(self, shard: int, files: Sequence[ArchivedFile]) -> None:
        """Number files of a shard; nobody else does."""
        folder = self._lineages[shard] = _lineage(self._folder, shard)  # another process may have begun it
        for useless in set(self._folder.glob(f"{shard:02d}-*")) - {folder}:
            rmtree(useless)
        users = self._every(shard)
        for some in _grouped(list(self._lacking(files))):
            ids = [_ids(self._archive.folder / each.path) for each in some]
            encoded = pa.chunked_array([users, *ids]).dictionary_encode().chunks
            users = encoded[-1].dictionary
            folder = self._lineages[shard] = folder or self._folder / f"{shard:02d}-{uuid.uuid4().hex[:12]}"
            _write(folder, users)  # before the numbers that name them
            for file, rows in zip(some, encoded[-len(some) :], strict=True):
                _forget_others(folder, file)
                numbers = np.from_dlpack(rows.indices).astype(_NUMBER).tobytes()
                replace(folder / _named(file), numbers + sealed.seal_of(numbers))


def forget_shard(archive: Archive, shard: int) -> None:
    """Delete the numbers of a shard's users, and with them what is known of an erased one."""
    folder = archive.folder / "numbers"
    if folder.exists():
        with alone(folder):
            for lineage in folder.glob(f"{shard:02d}-*"):
                rmtree(lineage)


def _gone(what: str) -> StoreError:
    return StoreError(
        f"the users of {what} have no numbers, or others since a moment ago: somebody was erased, or the day was "
        "published anew; repeat"
    )


def _numbers(path: Path) -> Numbers:
    found: Numbers = np.frombuffer(sealed.read(path), dtype=_NUMBER)
    return found


def _lineage(folder: Path, shard: int) -> Path | None:
    """Return the folder of a shard's numbers; one whose users cannot be read is none."""
    for found in sorted(folder.glob(f"{shard:02d}-*")):
        with suppress(OSError, ValueError):
            _read(found)
            return found
    return None


def _read(folder: Path, *, check: bool = True) -> pa.Array:
    """Return the ids of users, the place of each its number."""
    return pa.ipc.open_file(sealed.read(folder / _USERS, check=check)).get_batch(0).column(0)


def _write(folder: Path, users: pa.Array) -> None:
    into = pa.BufferOutputStream()
    rows = pa.record_batch([users], names=[_ID])
    with pa.ipc.new_file(into, rows.schema) as writer:
        writer.write_batch(rows)
    content = into.getvalue()
    replace(folder / _USERS, content.to_pybytes() + sealed.seal_of(content))


def _ids(path: Path) -> pa.Array:
    return pq.read_table(path, columns=[_ID], partitioning=None)[_ID].combine_chunks()


def _grouped(files: Sequence[ArchivedFile]) -> Iterator[Sequence[ArchivedFile]]:
    """Group files whose ids are held at once."""
    some: list[ArchivedFile] = []
    for file in files:
        if some and sum(each.rows for each in some) + file.rows > ROWS_AT_ONCE:
            yield some
            some = []
        some.append(file)
    if some:
        yield some


def _named(file: ArchivedFile) -> str:
    """Name the numbers of a file by its table, day and content."""
    path = PurePosixPath(file.path)
    return f"{_of_day(path)}{path.stem.partition('-')[2]}.int32"


def _of_day(path: PurePosixPath) -> str:
    return f"{path.parts[0]}-{path.parent.name.removeprefix('day=')}-"


def _forget_others(folder: Path, file: ArchivedFile) -> None:
    """Delete the numbers of what a day was before."""
    for other in folder.glob(f"{_of_day(PurePosixPath(file.path))}*"):
        other.unlink(missing_ok=True)


def _whole(path: Path | None, file: ArchivedFile) -> bool:
    with suppress(FileNotFoundError):
        return path is not None and path.stat().st_size == file.rows * _NUMBER.itemsize + sealed.SEAL_BYTES
    return False
