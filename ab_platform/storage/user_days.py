"""Statements on user-days: roll up what is open, and tell how far they reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Column, ColumnElement, Connection, Delete, Table, and_, delete, func, insert, select, tuple_

from ab_platform.storage import bulk, changed_days, counting
from ab_platform.storage.connection import one_at_a_time
from ab_platform.storage.described import dialect_of, whole_query
from ab_platform.storage.experiments import without_events
from ab_platform.storage.schema import mixed_users, open_user_days, user_days

ROLL_UP = "roll up"
"""The task of opening and counting user-days, one transaction at a time."""

CLAIMED = bulk.stage("claimed_user_days", *(Column(key.name, key.type, primary_key=True) for key in open_user_days.c))
_COUNTED = bulk.stage("counted_events", *(Column(each.name, each.type) for each in counting.COUNTED))


@dataclass(frozen=True)
class RolledUp:
    """What a roll-up did.

    Attributes:
        user_days: user-days that were counted anew.
        watermark: time of the newest event that counts; None while none does.
        experiments: keys, sorted, of those whose days were counted anew.
    """

    user_days: int
    watermark: datetime | None
    experiments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """What one transaction of a roll-up did: open days taken, user-days counted anew, and of which experiments."""

    taken: int
    counted: int
    experiments: frozenset[str] = frozenset()


def roll_up(connection: Connection, experiment: str | None, *, batch: int) -> Batch:
    """Count the user-days of open days anew, and close the days.

    A day that an unfinished transaction is adding to is left open for the next roll-up. Events that arrive after the
    claim open their day again, whether this counts them or not.

    Args:
        connection: in a transaction that writes.
        experiment: only of this one; of all where None.
        batch: open days to take, at most.
    """
    one_at_a_time(connection, ROLL_UP)
    bulk.empty(connection, CLAIMED)
    countable = open_user_days.c.experiment.not_in(without_events())
    open_days = select(open_user_days).where(countable).order_by(*open_user_days.primary_key).limit(batch)
    if experiment is not None:
        open_days = open_days.where(open_user_days.c.experiment == experiment)
    claim = insert(CLAIMED).from_select(CLAIMED.c.keys(), open_days.with_for_update(skip_locked=True))
    taken = bulk.changed(connection, claim)
    if not taken:
        return Batch(0, 0)
    connection.execute(_close())
    changed = set(connection.execute(_forget().returning(user_days.c.day)).scalars())
    connection.execute(_forget_mixed())
    experiments = frozenset(connection.execute(select(CLAIMED.c.experiment).distinct()).scalars())
    counted = count_claimed(connection, user_days=user_days, mixed_users=mixed_users)
    for days in (select(CLAIMED.c.day), select(user_days.c.day).where(_recounted())):
        changed.update(connection.execute(days.distinct()).scalars())
    changed_days.mark(connection, changed)
    return Batch(taken, counted, experiments)


def count_claimed(connection: Connection, *, user_days: Table, mixed_users: Table) -> int:
    """Count the user-days of claimed users from their events, each from the first claimed day on.

    Args:
        connection: in the transaction that filled the stage `CLAIMED`.
        user_days: takes them; those of claimed users are not in it.
        mixed_users: takes those of the claimed users who were seen in several arms.

    Returns:
        How many user-days.
    """
    dialect = dialect_of(connection)
    bulk.empty(connection, _COUNTED)
    _put(connection, _COUNTED, counting.counted_events(CLAIMED, dialect))
    _put(connection, mixed_users, counting.mixed_users(CLAIMED, _COUNTED, dialect))
    return _put(connection, user_days, counting.user_days(CLAIMED, _COUNTED, dialect))


def reopen(connection: Connection, experiment: str, *, since: datetime) -> None:
    """Open the user-days that count an event from a moment on, since the experiment now ends there.

    Where the raw events were deleted there is nothing to count them from, so they stay closed.
    """
    one_at_a_time(connection, ROLL_UP)
    days = select(user_days.c.experiment, user_days.c.user_id, user_days.c.day).distinct()
    countable = user_days.c.experiment.not_in(without_events())
    affected = days.where(user_days.c.experiment == experiment, user_days.c.last_at >= since, countable)
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


def watermarks(connection: Connection, experiments: Sequence[str], *, as_of: date | None) -> dict[str, datetime]:
    """Return the time of the newest event that counts of each experiment that has one."""
    query = select(user_days.c.experiment, func.max(user_days.c.last_at)).group_by(user_days.c.experiment)
    query = query.where(user_days.c.experiment.in_(experiments))
    if as_of is not None:
        query = query.where(user_days.c.day <= as_of)
    return {row[0]: row[1] for row in connection.execute(query)}


def _put(connection: Connection, target: Table, query: str) -> int:
    """Insert what a whole query gives, in the order of the table's columns; return how many rows that were."""
    columns = ", ".join(column.name for column in target.c)
    return bulk.changed(connection, whole_query(f"INSERT INTO {target.name} ({columns}) {query}"))


def _close() -> Delete:
    key = tuple(open_user_days.primary_key)
    return delete(open_user_days).where(tuple_(*key).in_(select(*(CLAIMED.c[column.name] for column in key))))


def _forget() -> Delete:
    """Delete the user-days that are counted anew, so that one without an event left is gone."""
    return delete(user_days).where(_recounted())


def _recounted() -> ColumnElement[bool]:
    """Say which user-days are of a claimed user, from the first claimed day on."""
    user = (user_days.c.experiment, user_days.c.user_id)
    claimed_user = (CLAIMED.c.experiment, CLAIMED.c.user_id)
    since = select(CLAIMED).where(tuple_(*claimed_user) == tuple_(*user), CLAIMED.c.day <= user_days.c.day)
    return and_(tuple_(*user).in_(select(*claimed_user)), since.exists())


def _forget_mixed() -> Delete:
    """Delete what is known of claimed users, so that one who was seen in a single arm is not mixed."""
    user = (mixed_users.c.experiment, mixed_users.c.user_id)
    return delete(mixed_users).where(tuple_(*user).in_(select(CLAIMED.c.experiment, CLAIMED.c.user_id)))
