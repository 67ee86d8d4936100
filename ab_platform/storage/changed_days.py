"""Statements on days whose rows changed: the transaction that changes them marks them, until the archive has them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import cast

from sqlalchemy import Connection, Date, delete, func, select, union, update

from ab_platform.storage import bulk
from ab_platform.storage.schema import changed_days, events, exposures, user_days

ExposureRow = tuple[str, str, str, str, object]
"""Experiment, user, surface, arm and moment, as the driver takes it."""


def mark(connection: Connection, days: Iterable[date]) -> None:
    """Say that rows of some days change in this transaction; the last thing that it writes, in the order of days.

    So who waits for a day here holds nothing that its holder still wants.

    Args:
        connection: in a transaction that writes.
        days: in UTC, in any order.
    """
    written = bulk.encoding(connection).day
    bulk.put(
        connection,
        changed_days,
        rows=[(written(day), 1, 0) for day in sorted(set(days))],
        conflict="(day) DO UPDATE SET changed = changed_days.changed + 1",
    )


def left(connection: Connection, rows: Sequence[ExposureRow]) -> set[date]:
    """Return the days that lose an exposure when earlier ones are put in their place.

    Args:
        connection: in the transaction that will put them.
        rows: the exposures to put.
    """
    later = _later_sqlite if bulk.engine_of(connection) == "sqlite" else _later_postgres
    return set(later(connection, rows)) if rows else set()


def of_user(connection: Connection, user_id: str, keys: Iterable[str]) -> set[date]:
    """Return the days that have rows of a user.

    Args:
        connection: in a transaction.
        user_id: the user.
        keys: of all experiments that the user may have rows of, so that indexes find them.
    """
    of = list(keys)
    moments = (func.date(table.c.at, type_=Date).label("day") for table in (events, exposures))
    days = zip((*moments, user_days.c.day), (events, exposures, user_days), strict=True)
    query = union(*(select(day).where(table.c.experiment.in_(of), table.c.user_id == user_id) for day, table in days))
    return set(connection.execute(query).scalars())


def stale(connection: Connection) -> tuple[date, ...]:
    """List the days whose rows changed since the archive took them, in order."""
    query = select(changed_days.c.day).where(changed_days.c.changed > changed_days.c.archived)
    return tuple(connection.execute(query.order_by(changed_days.c.day)).scalars())


def every(connection: Connection) -> tuple[date, ...]:
    """List the days that have rows, or had some that the archive still holds, in order."""
    return tuple(connection.execute(select(changed_days.c.day).order_by(changed_days.c.day)).scalars())


def changes(connection: Connection, day: date) -> int:
    """Return how many transactions changed rows of a day; 0 where none did."""
    found = connection.execute(select(changed_days.c.changed).where(changed_days.c.day == day)).scalar_one_or_none()
    return found or 0


def archived(connection: Connection, day: date, changed: int) -> None:
    """Say that the archive holds a day as it was after so many changes; a day that changed since stays stale."""
    as_it_was = (changed_days.c.day == day, changed_days.c.changed >= changed, changed_days.c.archived < changed)
    connection.execute(update(changed_days).where(*as_it_was).values(archived=changed))


def withdrawn(connection: Connection, day: date, changed: int) -> None:
    """Say that a day has no row any more, nor the archive; one that changed since stays stale."""
    connection.execute(delete(changed_days).where(changed_days.c.day == day, changed_days.c.changed == changed))


def _later_sqlite(connection: Connection, rows: Sequence[ExposureRow]) -> Iterable[date]:
    query = "SELECT substr(at, 1, 10) FROM exposures WHERE experiment = ? AND user_id = ? AND surface = ? AND at > ?"
    cursor = cast(sqlite3.Cursor, connection.connection.cursor())
    found = [day for *place, _, at in rows for (day,) in cursor.execute(query, (*place, at))]
    cursor.close()
    return map(date.fromisoformat, found)


def _later_postgres(connection: Connection, rows: Sequence[ExposureRow]) -> Iterable[date]:
    query = (
        "SELECT exposures.at FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[]) "
        "AS put (experiment, user_id, surface, at) JOIN exposures USING (experiment, user_id, surface) "
        "WHERE exposures.at > put.at"
    )
    experiments, users, surfaces, _, moments = map(list, zip(*rows, strict=True))
    found = connection.exec_driver_sql(query, (experiments, users, surfaces, moments))
    return (cast(datetime, at).astimezone(UTC).date() for at in found.scalars())
