"""A day of the database into the archive: its rows are streamed, divided by shard, and published at once.

The rows and the count of the day's changes are read at one moment, so a change from then on leaves the day stale. What
only the archive holds, such as events that were deleted from the database, is taken over from the day as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ab_platform.errors import StoreError
from ab_platform.storage.archive.archive import Archive, Part
from ab_platform.storage.archive.carrying import experiments_of, woven
from ab_platform.storage.archive.layout import TABLES, TableName, shards_of
from ab_platform.storage.archive.manifest import ArchivedDay, ArchivedFile

if TYPE_CHECKING:
    from ab_platform.storage.day_rows import DayRows
    from ab_platform.storage.store import Store

OnTable = Callable[[TableName], None]
"""Called after each table of a day."""


@dataclass(frozen=True)
class Exported:
    """What became of a day.

    Attributes:
        day: as it is published now; None where it has no row.
        changed: whether it is other than before.
    """

    day: ArchivedDay | None
    changed: bool


def export(store: Store, archive: Archive, day: date, *, at: datetime, on_table: OnTable | None = None) -> Exported:
    """Publish a day as the database has it; the same again changes nothing.

    Killed at any point, it leaves the day as it was, or published, and stale until it is done to the end.

    Args:
        store: holds the rows.
        archive: takes them; nobody else may be writing it.
        day: in UTC.
        at: now.
        on_table: told how far it is.

    Raises:
        StoreError: for a damaged file with rows that the database does not hold any more.
    """
    before = _standing(archive, day)
    with store.day_rows(day) as rows:
        files = [file for table in TABLES for file in _written(archive, day, table, rows, before, on_table)]
    if before is None or not files:
        archive.withdraw(day)  # also where its manifest cannot be read
    published = archive.publish(day, files, at=at) if files else None
    store.note_archived(day, rows.changes, withdrawn=published is None)
    return Exported(published, _version(published) != _version(before))


def split(rows: pa.Table, shards: int) -> Iterator[tuple[int, pa.Table]]:
    """Divide rows by the shard of their users, in their order."""
    encoded = pc.dictionary_encode(rows["user_id"].combine_chunks())
    of_user = shards_of(encoded.dictionary.to_pylist(), shards)
    shard = of_user[encoded.indices.to_numpy()]
    order = np.argsort(shard, kind="stable")
    ends = np.cumsum(np.bincount(shard, minlength=shards))
    divided = rows.take(pa.array(order))
    for each, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
        if end > begin:
            yield each, divided.slice(begin, end - begin)


def _standing(archive: Archive, day: date) -> ArchivedDay | None:
    """Return a day as it is published; None where it is not, or its manifest cannot be read."""
    try:
        return archive.day(day)
    except StoreError:
        return None


def _version(day: ArchivedDay | None) -> str | None:
    return day.version if day else None


def _written(
    archive: Archive,
    day: date,
    table: TableName,
    rows: DayRows,
    before: ArchivedDay | None,
    on_table: OnTable | None,
) -> list[ArchivedFile]:
    """Write the parts of one table."""
    everything = before.files if before else ()
    carried = rows.absent(table, experiments_of(archive.folder / each.path for each in everything))
    paths = [archive.folder / each.path for each in everything if each.table == table]
    _require_carried(archive, day, before, sorted(carried) or _perhaps(table, rows), table)
    streamed = woven(rows.batches(table, without=carried), paths, table, carried)
    parts = _divided(archive, day, table, streamed)
    if on_table is not None:
        on_table(table)
    return [part.file for part in parts if part.file]


def _perhaps(table: TableName, rows: DayRows) -> list[str]:
    """List the experiments that the day may have rows of which only a damaged file would show."""
    return list(rows.deleted_events()) if table == "events" else []


def _require_carried(
    archive: Archive, day: date, before: ArchivedDay | None, carried: Sequence[str], table: TableName
) -> None:
    """Refuse to publish a day without rows that only a damaged file has."""
    if not carried:
        return
    damaged = {} if before is None else archive.damage(before.of(table))
    wrong = {archive.folder / each.path: told for each, told in damaged.items()}
    if before is None and day in archive.published():
        wrong = {archive.manifest_of(day): "cannot be read"}
    if wrong:
        told = "; ".join(f"{path} {found}" for path, found in wrong.items())
        raise StoreError(
            f"{told}; {table} of {', '.join(carried)} on {day} are in the archive only, so the day cannot be made "
            f"again from the database: put a copy of the file in its place, then run `abp archive --verify`"
        )


def _divided(archive: Archive, day: date, table: TableName, batches: Iterable[pa.Table]) -> list[Part]:
    parts: dict[int, Part] = {}
    with ExitStack() as stack:
        for batch in batches:
            for shard, rows in split(batch, archive.shards):
                if shard not in parts:
                    parts[shard] = stack.enter_context(archive.part(table, day, shard))
                parts[shard].add(rows)
    return list(parts.values())
