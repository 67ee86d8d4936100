"""A week of two experiments for the tests of the archive, and what the archive and the database hold, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pyarrow.parquet as pq
from sqlalchemy import select

from ab_platform.events import AnyEvent
from ab_platform.storage.archive import TABLES, Archive, TableName
from ab_platform.storage.connection import reading
from ab_platform.storage.schema import metadata
from ab_platform.storage.store import Store
from tests.storage.made import END, START, after, click, definition, impression, started, watch

KEYS = ("first", "second")
LATER = END + timedelta(days=91)

Rows = Mapping[TableName, list[tuple[object, ...]]]


def day(number: int) -> date:
    return (START + timedelta(days=number)).date()


def happened(key: str, users: int = 24) -> list[AnyEvent]:
    """Return what users did on three days each, some of whom have ids that databases sort each their way."""
    seen: list[AnyEvent] = []
    for number in range(users):
        user = f"{('u', 'U', 'ü', '_')[number % 4]}{number:03d}"
        arm = ("control", "pia")[number % 2]
        for turn in range(3):
            at = after(days=number % 4 + turn, seconds=number + 0.25)
            seen.append(replace(impression(user, at, key=key, arm=arm), latency_ms=1.5 if turn else None))
            seen.append(replace(click(user, at + timedelta(seconds=5), key=key), arm=arm))
            seen.append(replace(watch(user, at + timedelta(seconds=9), 60.125, key=key), arm=arm))
    return seen


def lived(store: Store) -> None:
    """Fill a store with a week of two experiments, rolled up."""
    for key in KEYS:
        started(store, definition(key, layer=f"layer-{key}"))
        store.record(happened(key))
    store.roll_up()


def in_archive(archive: Archive, of: date) -> Rows:
    """Return the rows of a day in the archive, by table, sorted."""
    found = archive.day(of)
    days = [found] if found else []
    return {
        table: sorted(
            tuple(row.values()) for path in archive.paths(days, table) for row in pq.read_table(path).to_pylist()
        )
        for table in TABLES
    }


def in_database(store: Store, of: date) -> Rows:
    """Return the rows of a day in the database, by table, sorted."""
    begin = datetime.combine(of, time(), UTC)
    found: dict[TableName, list[tuple[object, ...]]] = {}
    with reading(store.engine) as connection:
        for name in TABLES:
            table = metadata.tables[name]
            query = select(table)
            if "day" in table.c:
                query = query.where(table.c.day == of)
            else:
                query = query.where(table.c.at >= begin, table.c.at < begin + timedelta(days=1))
            found[name] = sorted(tuple(row) for row in connection.execute(query))
    return found
