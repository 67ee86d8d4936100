"""Statements on user-days: roll up what is open, and tell how far they reach."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Column, Connection, Delete, Table, delete, func, insert, select, tuple_

from ab_platform.storage import bulk, counting
from ab_platform.storage.connection import one_at_a_time
from ab_platform.storage.described import dialect_of, whole_query
from ab_platform.storage.schema import mixed_users, open_user_days, user_days

_CLAIMED = bulk.stage("claimed_user_days", *(Column(key.name, key.type, primary_key=True) for key in open_user_days.c))
_COUNTED = bulk.stage("counted_events", *(Column(each.name, each.type) for each in counting.COUNTED))


@dataclass(frozen=True)
class RolledUp:
    """What a roll-up did.

    Attributes:
        user_days: user-days that were counted anew.
        watermark: time of the newest event that counts; None while none does.
    """

    user_days: int
    watermark: datetime | None


@dataclass(frozen=True)
class Batch:
    """What one transaction of a roll-up did: open days taken, and user-days counted anew."""

    taken: int
    counted: int


def roll_up(connection: Connection, experiment: str | None, *, batch: int) -> Batch:
    """Count the user-days of open days anew, and close the days.

    A day that an unfinished transaction is adding to is left open for the next roll-up. Events that arrive after the
    claim open their day again, whether this counts them or not.

    Args:
        connection: in a transaction that writes.
        experiment: only of this one; of all where None.
        batch: open days to take, at most.
    """
    one_at_a_time(connection, "roll up")
    bulk.empty(connection, _CLAIMED)
    open_days = select(open_user_days).order_by(*open_user_days.primary_key).limit(batch)
    if experiment is not None:
        open_days = open_days.where(open_user_days.c.experiment == experiment)
    claim = insert(_CLAIMED).from_select(_CLAIMED.c.keys(), open_days.with_for_update(skip_locked=True))
    taken = bulk.changed(connection, claim)
    if not taken:
        return Batch(0, 0)
    connection.execute(_close())
    connection.execute(_forget())
    connection.execute(_forget_mixed())
    dialect = dialect_of(connection)
    _put(connection, mixed_users, counting.mixed_users(_CLAIMED, dialect))
    bulk.empty(connection, _COUNTED)
    _put(connection, _COUNTED, counting.counted_events(_CLAIMED, dialect))
    return Batch(taken, _put(connection, user_days, counting.user_days(_CLAIMED, _COUNTED, dialect)))


def reopen(connection: Connection, experiment: str, *, since: datetime) -> None:
    """Open the user-days that count an event from a moment on, since the experiment now ends there."""
    one_at_a_time(connection, "roll up")
    days = select(user_days.c.experiment, user_days.c.user_id, user_days.c.day).distinct()
    affected = days.where(user_days.c.experiment == experiment, user_days.c.last_at >= since)
    put = bulk.upsert_from(bulk.engine_of(connection), open_user_days, query=affected)
    connection.execute(put.on_conflict_do_nothing())


def watermark(connection: Connection, experiment: str | None, *, as_of: date | None) -> datetime | None:
    """Return the time of the newest event that counts, up to a day where one is given."""
    query = select(func.max(user_days.c.last_at))
    if experiment is not None:
        query = query.where(user_days.c.experiment == experiment)
    if as_of is not None:
        query = query.where(user_days.c.day <= as_of)
    newest: datetime | None = connection.execute(query).scalar_one()
    return newest


def _put(connection: Connection, target: Table, query: str) -> int:
    """Insert what a whole query gives, in the order of the table's columns; return how many rows that were."""
    columns = ", ".join(column.name for column in target.c)
    return bulk.changed(connection, whole_query(f"INSERT INTO {target.name} ({columns}) {query}"))


def _close() -> Delete:
    key = tuple(open_user_days.primary_key)
    return delete(open_user_days).where(tuple_(*key).in_(select(*(_CLAIMED.c[column.name] for column in key))))


def _forget() -> Delete:
    """Delete the user-days that are counted anew, so that one without an event left is gone."""
    user = (user_days.c.experiment, user_days.c.user_id)
    claimed_user = (_CLAIMED.c.experiment, _CLAIMED.c.user_id)
    since = select(_CLAIMED).where(tuple_(*claimed_user) == tuple_(*user), _CLAIMED.c.day <= user_days.c.day)
    return delete(user_days).where(tuple_(*user).in_(select(*claimed_user)), since.exists())


def _forget_mixed() -> Delete:
    """Delete what is known of claimed users, so that one who was seen in a single arm is not mixed."""
    user = (mixed_users.c.experiment, mixed_users.c.user_id)
    return delete(mixed_users).where(tuple_(*user).in_(select(_CLAIMED.c.experiment, _CLAIMED.c.user_id)))
