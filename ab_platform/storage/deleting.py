"""Statements that delete the raw events of an experiment: first said for good, then batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, update

from ab_platform.lineage import Change
from ab_platform.storage import bulk
from ab_platform.storage import experiments as experiment_statements
from ab_platform.storage.connection import one_at_a_time
from ab_platform.storage.events import RECORD
from ab_platform.storage.experiments import without_events
from ab_platform.storage.schema import events, experiments, open_user_days
from ab_platform.storage.user_days import ROLL_UP


@dataclass(frozen=True)
class RawEvents:
    """What there is of an experiment's raw events.

    Attributes:
        stored: events.
        open_days: user-days that are not rolled up.
    """

    stored: int
    open_days: int


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
    # Two that delete the same rows would each count fewer than there are.
    one_at_a_time(connection, "delete events")
    some = select(events.c.event_id).where(events.c.experiment == experiment, events.c.experiment.in_(without_events()))
    return bulk.changed(connection, delete(events).where(events.c.event_id.in_(some.limit(batch))))
