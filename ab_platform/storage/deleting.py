"""Statements that delete the raw events of an experiment: first said for good, then by whole days or batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, delete, func, select, text, update

from ab_platform.errors import StoreAwayError
from ab_platform.lineage import Change
from ab_platform.storage import bulk, partitions
from ab_platform.storage import experiments as experiment_statements
from ab_platform.storage.connection import code_of, one_at_a_time
from ab_platform.storage.events import RECORD
from ab_platform.storage.experiments import without_events
from ab_platform.storage.schema import events, experiments, open_user_days
from ab_platform.storage.user_days import ROLL_UP

EMPTY_DAYS_KEPT = 2
"""Days past whose empty partition stays, since events may still come."""

LONGEST_WAIT_MS = 2_000
"""How long a drop waits for those who read events; those who record wait behind it."""

_DELETE = "delete events"
"""The task of deleting raw events: two that delete the same ones would each count wrongly."""

_NOT_IN_TIME = "55P03"


@dataclass(frozen=True)
class RawEvents:
    """What there is of an experiment's raw events.

    Attributes:
        stored: events.
        open_days: user-days that are not rolled up.
    """

    stored: int
    open_days: int


@dataclass(frozen=True)
class DroppedDay:
    """A day of raw events that went as a whole.

    Attributes:
        day: in UTC, of the ids.
        events: how many there were, by experiment; none where the day was empty.
    """

    day: date
    events: Mapping[str, int]


def raw_events(connection: Connection, experiment: str) -> RawEvents:
    """Count the raw events of an experiment, and the user-days that wait to be counted from them."""
    stored, open_days = (
        connection.execute(select(func.count()).select_from(table).where(table.c.experiment == experiment)).scalar_one()
        for table in (events, open_user_days)
    )
    return RawEvents(stored, open_days)


def give_up(connection: Connection, experiment: str, *, stored: int, at: datetime, reason: str) -> bool:
    """Say that the raw events of an experiment are deleted, and note it in the change log, unless it was said before.

    No events are being recorded and no user-days counted while this transaction runs; from then on none are.

    Args:
        connection: in a transaction that writes.
        experiment: its key.
        stored: raw events there were when the user-days were compared with them.
        at: now.
        reason: for the change log.

    Returns:
        Whether they may be deleted; not where events came in since, or wait to be counted.

    Raises:
        NotFoundError: for an unknown key.
    """
    # The row before the task: a stop takes them in this order too.
    standing = experiment_statements.get(connection, experiment, lock=True)
    if standing.events_deleted_at is not None:
        return True
    one_at_a_time(connection, ROLL_UP)
    one_at_a_time(connection, RECORD)
    if raw_events(connection, experiment) != RawEvents(stored, 0):
        return False
    given_up = update(experiments).where(experiments.c.experiment == experiment).values(events_deleted_at=at)
    connection.execute(given_up)
    before, after = {"events": stored}, {"events": 0}
    experiment_statements.note(connection, Change(experiment, at, "delete_events", before, after, reason))
    return True


def delete_some(connection: Connection, experiment: str, *, batch: int) -> int:
    """Delete some of the raw events of an experiment that were given up; of any other, none.

    Args:
        connection: in a transaction that writes.
        experiment: its key.
        batch: events, at most.

    Returns:
        How many; fewer than `batch` where no more are left.
    """
    one_at_a_time(connection, _DELETE)
    some = select(events.c.event_id).where(events.c.experiment == experiment, events.c.experiment.in_(without_events()))
    return bulk.changed(connection, delete(events).where(events.c.event_id.in_(some.limit(batch))))


def days_to_drop(connection: Connection, *, at: datetime) -> tuple[date, ...]:
    """List the days whose partition may go as a whole, in order; on PostgreSQL."""
    return tuple(day for day in partitions.made(connection) if _may_go(connection, day, at))


def in_use(error: StoreAwayError) -> bool:
    """Tell whether a day was not dropped because its events are being read or recorded."""
    return code_of(error.__cause__) == _NOT_IN_TIME


def drop_day(connection: Connection, day: date, *, at: datetime) -> DroppedDay | None:
    """Drop the partition of a day whose events are all of given-up experiments, or that is past and empty.

    Nothing is being recorded while it is looked at for the last time and goes. Who records waits before the first
    statement on events, then finds no partition and makes it again, so an event that was acknowledged is never lost.

    Args:
        connection: in a transaction of its own that writes, to PostgreSQL.
        day: of ids.
        at: now.

    Returns:
        What went; None where it has to stay, or was gone.
    """
    one_at_a_time(connection, _DELETE)
    if day not in partitions.made(connection) or not _may_go(connection, day, at):
        return None
    # Counted before anybody has to wait: of given-up experiments no more come.
    counted = partitions.counted(connection, day)
    one_at_a_time(connection, ROLL_UP)
    connection.execute(text(f"SET LOCAL lock_timeout = {LONGEST_WAIT_MS}"))
    one_at_a_time(connection, RECORD)
    if not _may_go(connection, day, at):
        return None
    partitions.drop(connection, day)
    return DroppedDay(day, counted)


def _may_go(connection: Connection, day: date, at: datetime) -> bool:
    here = partitions.experiments_of(connection, day)
    if not here:
        return day < at.astimezone(UTC).date() - timedelta(days=EMPTY_DAYS_KEPT)
    return here <= set(connection.execute(without_events()).scalars())
