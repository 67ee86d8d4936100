"""Statements on the days of the events table: on PostgreSQL each day of ids is a table, made and dropped as a whole.

An id begins with its milliseconds, so the ids of a UTC day are a range, and the primary key stays unique over all days.
SQLite keeps all events in one table; there is nothing to make there and nothing to drop.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from ab_platform.errors import EventError, StoreError
from ab_platform.events import first_id, is_time_ordered
from ab_platform.storage.connection import code_of
from ab_platform.storage.schema import events

_UNIX = date(1970, 1, 1)
_DAY_MS = 24 * 3600 * 1000
_NO_PARTITION = "23514"


def check_ids(ids: Iterable[UUID]) -> None:
    """Refuse an id that is not time-ordered: it would belong to a day of chance.

    Raises:
        EventError: for an id that is not a UUID of version 7, or is of a year after 9998.
    """
    for event_id in ids:
        if not is_time_ordered(event_id.int) or event_id.int >= _TOO_LATE:
            raise EventError(
                f"event id {event_id} is not time-ordered; it must be a UUID of version 7 of a year up to 9998, "
                "as `event_id(at, key)` makes it"
            )


def first_id_of(day: date) -> UUID:
    """Return the lowest id that a day can have."""
    return first_id(datetime.combine(day, time(), UTC))


def make(connection: Connection, days: Iterable[date]) -> int:
    """Make the partitions of days that have none; of two processes at once, the second finds them there.

    Writers and readers of events do not wait for it.

    Args:
        connection: in a transaction of its own that writes, to PostgreSQL.
        days: in any order.

    Returns:
        How many were made.
    """
    connection.execute(text(f"LOCK TABLE ONLY {events.name} IN SHARE UPDATE EXCLUSIVE MODE"))
    missing = sorted(set(days) - set(made(connection)))
    for day in missing:
        low, high = first_id_of(day), first_id_of(day + timedelta(days=1))
        connection.execute(text(f"CREATE TABLE {_name(day)} (LIKE {events.name} INCLUDING DEFAULTS)"))
        attach = f"ALTER TABLE {events.name} ATTACH PARTITION {_name(day)} FOR VALUES FROM ('{low}') TO ('{high}')"
        connection.execute(text(attach))
    return len(missing)


def made(connection: Connection) -> tuple[date, ...]:
    """List the days that have a partition, in order."""
    query = (
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        f"WHERE inhparent = '{events.name}'::regclass"
    )
    found = (_NAME.fullmatch(name) for name in connection.execute(text(query)).scalars())
    return tuple(sorted(datetime.strptime(each[1], "%Y%m%d").date() for each in found if each))


def is_day(table: str | None) -> bool:
    """Tell whether a table is the partition of a day: those come and go, and no migration speaks of them."""
    return table is not None and _NAME.fullmatch(table) is not None


class Days:
    """The days that are known to have a partition, so that it is not asked again before each batch."""

    def __init__(self) -> None:
        self._known: frozenset[date] = frozenset()

    def check(self, connection: Connection, ids: Iterable[UUID]) -> None:
        """Look up the days of events that are not known yet; on SQLite there is nothing to look up.

        Raises:
            DaysMissingError: where some have no partition.
        """
        if connection.dialect.name == "sqlite":
            return
        days = {_UNIX + timedelta(days=number) for number in {(each.int >> 80) // _DAY_MS for each in ids}}
        if not days <= self._known:
            self._known = frozenset(made(connection))
        if missing := days - self._known:
            raise DaysMissingError(missing)

    def forget(self) -> None:
        """Know nothing any more, since a day went."""
        self._known = frozenset()


class DaysMissingError(StoreError):
    """Events of days that have no partition; nothing was written.

    Attributes:
        days: without one.
    """

    def __init__(self, days: Collection[date]) -> None:
        told = ", ".join(day.isoformat() for day in sorted(days))
        super().__init__(f"the events table has no partition for {told}; record the events again")
        self.days = days


def lacking(error: BaseException) -> bool:
    """Tell whether a write failed because a day that was known has no partition any more."""
    return code_of(error) == _NO_PARTITION


def experiments_of(connection: Connection, day: date) -> set[str]:
    """Return the experiments of the events of a day, from one to the next by the index, however many events."""
    next_one = f"SELECT experiment FROM {_name(day)} {{}} ORDER BY experiment LIMIT 1"
    query = (
        f"WITH RECURSIVE found AS (({next_one.format('')}) UNION ALL "
        f"SELECT ({next_one.format('WHERE experiment > found.experiment')}) FROM found WHERE experiment IS NOT NULL) "
        "SELECT experiment FROM found WHERE experiment IS NOT NULL"
    )
    return set(connection.execute(text(query)).scalars())


def counted(connection: Connection, day: date) -> dict[str, int]:
    """Count the events of a day by experiment."""
    query = text(f"SELECT experiment, count(*) FROM {_name(day)} GROUP BY experiment")
    return {experiment: count for experiment, count in connection.execute(query).all()}  # noqa: C416


def drop(connection: Connection, day: date) -> None:
    """Drop the partition of a day with all that is in it, once nobody reads events.

    Args:
        connection: in a transaction that writes, to PostgreSQL.
        day: whose partition is there.
    """
    connection.execute(text(f"LOCK TABLE ONLY {events.name} IN ACCESS EXCLUSIVE MODE"))
    connection.execute(text(f"DROP TABLE {_name(day)}"))


_TOO_LATE = first_id_of(date.max.replace(month=1, day=1)).int
_NAME = re.compile(rf"{events.name}_(\d{{8}})")


def _name(day: date) -> str:
    return f"{events.name}_{day:%Y%m%d}"
