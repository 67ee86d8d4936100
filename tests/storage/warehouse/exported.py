"""The days of a database put into an archive, for the tests of what reads it."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import select

from ab_platform.storage import schema
from ab_platform.storage.archive import Archive, ArchivedFile, TableName, arrow_schema, shards_of
from ab_platform.storage.archive.layout import SORTED_BY
from ab_platform.storage.connection import reading
from ab_platform.storage.per_user import KNOWN_BEFORE, PerUser
from ab_platform.storage.store import Store

FAMILIES = (
    (PerUser("watch_seconds"), PerUser("watch_seconds", "before"), KNOWN_BEFORE),
    (PerUser("clicks"), PerUser("impressions"), PerUser("clicks", "before"), PerUser("impressions", "before")),
    (PerUser("clicked"), PerUser("clicked", "before"), KNOWN_BEFORE),
)
"""Columns whose sums running totals give."""

AT = datetime(2026, 6, 1, tzinfo=UTC)


def exported(store: Store, folder: Path, *, shards: int = 3) -> Archive:
    """Publish every day of exposures and user-days that a database has."""
    archive = Archive(folder, shards=shards)
    files: dict[date, list[ArchivedFile]] = defaultdict(list)
    for table in ("exposures", "user_days"):
        for (day, shard), rows in _rows(store, table, shards).items():
            with archive.part(table, day, shard) as part:
                part.add(pa.Table.from_pylist(rows, schema=arrow_schema(table)))
            assert part.file is not None
            files[day].append(part.file)
    for day, made in files.items():
        archive.publish(day, made, at=AT)
    return archive


def _rows(store: Store, table: TableName, shards: int) -> dict[tuple[date, int], list[dict[str, Any]]]:
    described = schema.metadata.tables[table]
    with reading(store.engine) as connection:
        rows = [dict(row) for row in connection.execute(select(described)).mappings()]
    rows.sort(key=lambda row: [row[name] for name in SORTED_BY[table]])
    found = defaultdict(list)
    for row, shard in zip(rows, shards_of([row["user_id"] for row in rows], shards).tolist(), strict=True):
        found[row["day"] if table == "user_days" else row["at"].date(), shard].append(row)
    return found
