"""A user's rows out of every published day: only the files of the user's shard are written anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ab_platform.errors import StoreError
from ab_platform.storage.archive.archive import Archive
from ab_platform.storage.archive.layout import TABLES, TableName, shards_of
from ab_platform.storage.archive.manifest import ArchivedDay, ArchivedFile
from ab_platform.storage.archive.numbering import forget_shard


def forget(archive: Archive, user_id: str, *, at: datetime) -> Mapping[TableName, int]:
    """Take a user's rows out of the archive, and delete the files that had them; a repetition changes nothing.

    Args:
        archive: where; nobody else may be writing it.
        user_id: the user, as the platform knows them.
        at: now.

    Returns:
        How many rows went, by table.

    Raises:
        StoreError: for files that are damaged; the user is gone from all others then.
    """
    [shard] = shards_of([user_id], archive.shards).tolist()
    gone: Counter[TableName] = Counter(dict.fromkeys(TABLES, 0))
    damaged: dict[ArchivedFile, str] = {}
    for day in archive.days():
        theirs = [file for table in TABLES for file in day.of(table, shard)]
        wrong = archive.damage(theirs)
        rows = {file: _count(archive, file, user_id) for file in theirs if file not in wrong}
        _publish_without(archive, day, user_id, [file for file, count in rows.items() if count], at)
        gone.update({file.table: count for file, count in rows.items()})
        damaged |= wrong
    for lying in archive.lying():
        archive.sweep(lying)
    for named in (f"{shard:02d}-*", f".{shard:02d}-*"):  # and what a writer that was killed left
        for derived in archive.folder.glob(f"running/*/*/{named}"):
            derived.unlink(missing_ok=True)  # made again where they are needed, without the user
    forget_shard(archive, shard)
    _require_whole(archive, damaged)
    return dict(gone)


def _publish_without(
    archive: Archive, day: ArchivedDay, user_id: str, theirs: list[ArchivedFile], at: datetime
) -> None:
    if not theirs:
        return
    rewritten = [_without(archive, day, file, user_id) for file in theirs]
    files = [file for file in day.files if file not in theirs] + [file for file in rewritten if file]
    if files:
        archive.publish(day.day, files, at=at)
    else:
        archive.withdraw(day.day)


def _without(archive: Archive, day: ArchivedDay, file: ArchivedFile, user_id: str) -> ArchivedFile | None:
    """Write a file anew without a user; None where nobody else was in it."""
    with archive.part(file.table, day.day, file.shard) as part, pq.ParquetFile(archive.folder / file.path) as old:
        for group in range(old.num_row_groups):
            rows = old.read_row_group(group)
            part.add(rows.filter(pc.not_equal(rows["user_id"], user_id)))
    return part.file


def _count(archive: Archive, file: ArchivedFile, user_id: str) -> int:
    rows = ds.dataset(archive.folder / file.path, format="parquet")
    return int(rows.count_rows(filter=ds.field("user_id") == user_id))


def _require_whole(archive: Archive, damaged: Mapping[ArchivedFile, str]) -> None:
    if damaged:
        told = "; ".join(f"{archive.folder / each.path} {wrong}" for each, wrong in damaged.items())
        raise StoreError(
            f"{told}: the user's rows may still be in there, and are gone from all other files; run "
            "`abp archive --verify`, then erase the user again"
        )
