"""The manifest of a published day: which files it is made of, and how to tell that they are as they were."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import date, datetime
from hashlib import file_digest, sha256
from pathlib import Path

from ab_platform.errors import StoreError
from ab_platform.storage.archive.layout import TableName


@dataclass(frozen=True, order=True)
class ArchivedFile:
    """The rows of one table, day and shard.

    Attributes:
        table: which rows.
        shard: whose, from 0.
        path: of the file, from the archive's folder.
        rows: how many; never 0, since a shard without rows has no file.
        size: in bytes.
        sha256: of the bytes.
    """

    table: TableName
    shard: int
    path: str
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True)
class ArchivedDay:
    """A published day.

    Attributes:
        day: in UTC.
        published_at: when its manifest was written.
        files: by table and shard.
    """

    day: date
    published_at: datetime
    files: tuple[ArchivedFile, ...]

    @property
    def version(self) -> str:
        """Return a hash of what the day holds; published again without a change it is the same."""
        return sha256("\n".join(sorted(f"{each.path} {each.sha256}" for each in self.files)).encode()).hexdigest()[:16]

    def of(self, table: TableName, shard: int | None = None) -> tuple[ArchivedFile, ...]:
        """Return the files of a table, of one shard or of all."""
        return tuple(each for each in self.files if each.table == table and shard in (None, each.shard))

    def rows(self, table: TableName) -> int:
        """Return how many rows of a table there are."""
        return sum(each.rows for each in self.of(table))


def write(path: Path, day: ArchivedDay) -> None:
    """Put a manifest in place of what was there, at once and for good."""
    told = {
        "day": day.day.isoformat(),
        "published_at": day.published_at.isoformat(),
        "version": day.version,
        "files": [asdict(each) for each in day.files],
    }
    replace(path, json.dumps(told, indent=1).encode())


def read(path: Path) -> ArchivedDay:
    """Read a manifest.

    Raises:
        StoreError: for a file that is no manifest, or is not as it was written.
    """
    try:
        told = json.loads(path.read_bytes())
        files = tuple(ArchivedFile(**each) for each in told["files"])
        day = ArchivedDay(date.fromisoformat(told["day"]), datetime.fromisoformat(told["published_at"]), files)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the archive's manifest {path} cannot be read ({error}); publish the day again: `abp archive --day "
            f"{path.stem} --again`"
        ) from error
    if day.version != told.get("version"):
        raise StoreError(
            f"the archive's manifest {path} is of version {told.get('version')}, its files make {day.version}; publish "
            f"the day again: `abp archive --day {path.stem} --again`"
        )
    return day


def replace(path: Path, content: bytes) -> None:
    """Write a file in place of another, so that after a power cut there is the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
