"""The archive on a disk: parts are written beside it, then published a day at a time."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from ab_platform.errors import StoreError
from ab_platform.storage.archive import manifest
from ab_platform.storage.archive.layout import TableName, arrow_schema, repeating
from ab_platform.storage.archive.manifest import ArchivedDay, ArchivedFile

SHARDS = 16

ROWS_AT_ONCE = 122_880
"""Rows of a row group: what an engine's thread takes at a time."""


class Archive:
    """A folder of published days.

    Args:
        folder: of the archive; made where it is not there.
        shards: that users are divided into, where the archive is new; one that is there keeps its own.

    Raises:
        StoreError: where `archive.json` cannot be read.
    """

    def __init__(self, folder: Path, *, shards: int = SHARDS) -> None:
        self.folder = folder
        self.shards = _shards(folder / "archive.json", shards)

    def day(self, day: date) -> ArchivedDay | None:
        """Return a published day; None where it is not."""
        path = self.manifest_of(day)
        return manifest.read(path) if path.exists() else None

    def days(self, *, since: date | None = None, until: date | None = None) -> tuple[ArchivedDay, ...]:
        """List the published days from one to another, both inclusive, in order."""
        wanted = (day for day in self.published() if (since or day) <= day <= (until or day))
        return tuple(manifest.read(self.manifest_of(day)) for day in wanted)

    def published(self) -> tuple[date, ...]:
        """List which days are published, in order, without reading their manifests."""
        return tuple(sorted(date.fromisoformat(path.stem) for path in (self.folder / "days").glob("????-??-??.json")))

    def lying(self) -> tuple[date, ...]:
        """List the days that have files, published or not, in order."""
        found = {path.name.removeprefix("day=") for path in self.folder.glob("*/day=????-??-??")}
        return tuple(sorted(map(date.fromisoformat, found)))

    def manifest_of(self, day: date) -> Path:
        """Return where the manifest of a day lies, or would lie."""
        return self.folder / "days" / f"{day.isoformat()}.json"

    def paths(self, days: Iterable[ArchivedDay], table: TableName, shard: int | None = None) -> list[str]:
        """Return the files of a table on some days, of one shard or of all, for an engine that reads Parquet."""
        return [str(self.folder / each.path) for day in days for each in day.of(table, shard)]

    def part(self, table: TableName, day: date, shard: int) -> Part:
        """Begin to write the rows of one table, day and shard; they are nobody's until they are published."""
        return Part(self.folder, table, day, shard)

    def publish(self, day: date, files: Iterable[ArchivedFile], *, at: datetime) -> ArchivedDay:
        """Make written parts the whole content of a day, in place of what it held; the same again changes nothing.

        Args:
            day: in UTC.
            files: of parts that are finished, at most one a table and shard; or of the day as it was.
            at: now.

        Raises:
            StoreError: for two parts of one table and shard, or a file that is not there.
        """
        made = ArchivedDay(day, at, tuple(sorted(files)))
        _require_whole(self.folder, made)
        standing = self.day(day) if self.manifest_of(day).exists() else None
        if standing is not None and standing.version == made.version:
            return standing
        manifest.write(self.manifest_of(day), made)
        return made

    def withdraw(self, day: date) -> None:
        """Take a day out of the archive; its files go with the next sweep."""
        with suppress(FileNotFoundError):
            self.manifest_of(day).unlink()
            manifest.sync_folder(self.manifest_of(day).parent)

    def sweep(self, day: date) -> int:
        """Delete the files of a day that its manifest does not name, such as those of a writer that was killed.

        Nobody may be writing the day, or reading what it held before.

        Returns:
            How many went.
        """
        published = self.day(day)
        named = {self.folder / each.path for each in published.files} if published else set()
        lying = [path for path in self.folder.glob(f"*/day={day.isoformat()}/*") if path not in named]
        for path in lying:
            path.unlink(missing_ok=True)
        return len(lying)

    def damage(self, files: Iterable[ArchivedFile]) -> dict[ArchivedFile, str]:
        """Return what is wrong with files that are not as they were published: missing, cut short or changed."""
        found = ((each, self._wrong(each)) for each in files)
        return {each: wrong for each, wrong in found if wrong}

    def _wrong(self, file: ArchivedFile) -> str | None:
        path = self.folder / file.path
        if not path.exists():
            return "is missing"
        size = path.stat().st_size
        if size != file.size:
            return f"has {size:,} bytes in place of {file.size:,}"
        found = manifest.sha256_of(path)
        return None if found == file.sha256 else f"has the checksum {found[:16]}… in place of {file.sha256[:16]}…"


class Part:
    """The rows of one table, day and shard while they are written.

    As a context manager it is finished at the end, or thrown away after an error. `file` is then what was written, and
    None where no row was.

    Args:
        folder: of the archive.
        table: which rows.
        day: theirs.
        shard: of their users.
    """

    def __init__(self, folder: Path, table: TableName, day: date, shard: int) -> None:
        self.file: ArchivedFile | None = None
        self.table = table
        self._archive, self._shard = folder, shard
        self._folder = folder / table / f"day={day.isoformat()}"
        self._beside = self._folder / f".{shard:02d}-{uuid.uuid4().hex}.writing"
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, rows: pa.Table) -> None:
        """Take rows on, in the order of `SORTED_BY`; they are written a row group at a time.

        Args:
            rows: with the columns of `arrow_schema`.
        """
        if rows.num_rows == 0:
            return
        self._waiting.append(rows.cast(arrow_schema(self.table)))
        self._rows += rows.num_rows
        if sum(each.num_rows for each in self._waiting) >= ROWS_AT_ONCE:
            self._write(whole_groups=True)

    def finish(self) -> ArchivedFile | None:
        """Write what is left, make it last, and name it by its content."""
        self._write(whole_groups=False)
        if self._writer is None:
            return None
        self._writer.close()
        with self._beside.open("rb") as written:
            os.fsync(written.fileno())
        digest, size = manifest.sha256_of(self._beside), self._beside.stat().st_size
        path = self._folder / f"{self._shard:02d}-{digest[:16]}.parquet"
        self._beside.replace(path)
        manifest.sync_folder(self._folder)
        relative = path.relative_to(self._archive).as_posix()
        self.file = ArchivedFile(self.table, self._shard, relative, self._rows, size, digest)
        return self.file

    def abandon(self) -> None:
        """Throw away what was written."""
        if self._writer is not None:
            self._writer.close()
        self._beside.unlink(missing_ok=True)

    def __enter__(self) -> Part:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish, or throw away after an error."""
        if error is None:
            self.finish()
        else:
            self.abandon()

    def _write(self, *, whole_groups: bool) -> None:
        if not self._waiting:
            return
        # In one piece, so that the file does not depend on how many rows came at a time.
        rows = pa.concat_tables(self._waiting).combine_chunks()
        ready = rows.num_rows // ROWS_AT_ONCE * ROWS_AT_ONCE if whole_groups else rows.num_rows
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                self._beside, arrow_schema(self.table), compression="zstd", use_dictionary=repeating(self.table)
            )
        self._writer.write_table(rows.slice(0, ready), row_group_size=ROWS_AT_ONCE)
        self._waiting = [rows.slice(ready)] if ready < rows.num_rows else []


def _shards(path: Path, wanted: int) -> int:
    """Return how many shards an archive has, and write it down where it is new."""
    if not path.exists():
        manifest.replace(path, json.dumps({"shards": wanted}).encode())
    try:
        shards = json.loads(path.read_bytes())["shards"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f'{path} cannot be read ({error}); it must hold {{"shards": {SHARDS}}}, as it was made'
        ) from error
    return int(shards)


def _require_whole(folder: Path, day: ArchivedDay) -> None:
    places: Sequence[tuple[TableName, int]] = [(each.table, each.shard) for each in day.files]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise StoreError(f"{day.day} has two parts of {twice[0]}, shard {twice[1]}; a day has one of each")
    missing = next((each.path for each in day.files if not (folder / each.path).exists()), None)
    if missing is not None:
        raise StoreError(f"{missing} is not there; write the part anew before {day.day} is published")
