"""Statements that count again what was counted: open the days of an interval anew, or compare all days with a recount.

Both go through the users of an experiment in ranges, so that a transaction is short however many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Date, Select, Table, and_, func, insert, literal, select, union, union_all
from sqlalchemy.sql.elements import ColumnElement

from ab_platform.storage import bulk, user_days
from ab_platform.storage.connection import one_at_a_time
from ab_platform.storage.experiments import without_events
from ab_platform.storage.schema import events, experiments, mixed_users, open_user_days
from ab_platform.storage.schema import user_days as stored_days
from ab_platform.storage.user_days import CLAIMED, ROLL_UP

_RECOUNTED = bulk.stage_of(stored_days)
_RECOUNTED_MIXED = bulk.stage_of(mixed_users)
_LONG_AGO = date(1, 1, 1)


@dataclass(frozen=True)
class Users:
    """The users of one experiment whose ids sort after one and up to another, in the database's order.

    Attributes:
        experiment: its key.
        after: the id before the first; None for no limit.
        last: the last id; None for no limit.
    """

    experiment: str
    after: str | None = None
    last: str | None = None

    def among(self, table: Table) -> ColumnElement[bool]:
        """Say which rows of a table are theirs."""
        limits: list[ColumnElement[bool]] = [table.c.experiment == self.experiment]
        if self.after is not None:
            limits.append(table.c.user_id > self.after)
        if self.last is not None:
            limits.append(table.c.user_id <= self.last)
        return and_(*limits)


@dataclass(frozen=True)
class Compared:
    """The user-days of an experiment beside a recount from its events.

    Attributes:
        user_days: that are stored.
        differing: user-days that one of both lacks or counts otherwise, and users known to be mixed by only one.
    """

    user_days: int
    differing: int


def next_users(connection: Connection, before: Users, *, count: int) -> Users:
    """Return the next users who have an event or a user-day; without a last id where these are the rest.

    Args:
        connection: in a transaction.
        before: whose last id they come after.
        count: how many, at most.
    """
    rest = Users(before.experiment, before.last)
    found = union(*(select(_first(table, rest, count).subquery()) for table in (events, stored_days))).subquery()
    last = select(found.c.user_id).order_by(found.c.user_id).offset(count - 1).limit(1)
    return Users(rest.experiment, rest.after, connection.execute(last).scalar_one_or_none())


def during(connection: Connection, *, since: datetime, until: datetime) -> tuple[str, ...]:
    """List the experiments that ran on the days of an interval and still have their raw events, by key."""
    first, last = _days(since, until)
    begin = datetime.combine(first, time(), UTC)
    end = datetime.combine(last, time(), UTC) + timedelta(days=1)
    query = select(experiments.c.experiment).where(experiments.c.starts_at < end, experiments.c.ends_at > begin)
    kept = experiments.c.experiment.not_in(without_events())
    return tuple(connection.execute(query.where(kept).order_by(experiments.c.experiment)).scalars())


def reopen(connection: Connection, users: Users, *, since: datetime, until: datetime) -> int:
    """Open the user-days of an interval: those with an event in it, and those that are stored of days that end in it.

    So the hours of a day together open what the whole day opens, and not all of it each.

    Args:
        connection: in a transaction that writes.
        users: whose.
        since: begin of the interval.
        until: its end, exclusive.

    Returns:
        How many were not open already.
    """
    one_at_a_time(connection, ROLL_UP)
    first, last_ended = since.astimezone(UTC).date(), until.astimezone(UTC).date() - timedelta(days=1)
    day = func.date(events.c.at, type_=Date).label("day")
    happened = select(events.c.experiment, events.c.user_id, day)
    counted = select(stored_days.c.experiment, stored_days.c.user_id, stored_days.c.day)
    days = union(
        happened.where(users.among(events), events.c.at >= since, events.c.at < until),
        counted.where(users.among(stored_days), stored_days.c.day.between(first, last_ended)),
    ).subquery()
    # Asked again here: since the experiment was chosen, its events may have been deleted.
    countable = select(days).where(days.c.experiment.not_in(without_events()))
    put = bulk.upsert_from(
        bulk.engine_of(connection), open_user_days, query=countable.order_by(days.c.user_id, days.c.day)
    )
    return bulk.changed(connection, put.on_conflict_do_nothing())


def compare(connection: Connection, users: Users) -> Compared:
    """Count user-days from their events and compare every value with what is stored; nothing is changed.

    Args:
        connection: in a transaction; what it fills are stages of its own.
        users: whose.
    """
    for stage in (CLAIMED, _RECOUNTED, _RECOUNTED_MIXED):
        bulk.empty(connection, stage)
    everyone = union(*(select(table.c.user_id).where(users.among(table)) for table in (events, stored_days))).subquery()
    claimed = select(literal(users.experiment), everyone.c.user_id, literal(_LONG_AGO, Date))
    connection.execute(insert(CLAIMED).from_select(CLAIMED.c.keys(), claimed))
    user_days.count_claimed(connection, user_days=_RECOUNTED, mixed_users=_RECOUNTED_MIXED)
    stored = select(func.count()).select_from(stored_days).where(users.among(stored_days))
    differing = (
        _differing(users, stored_days, _RECOUNTED),
        _differing(users, mixed_users, _RECOUNTED_MIXED),
    )
    return Compared(
        connection.execute(stored).scalar_one(), sum(connection.execute(query).scalar_one() for query in differing)
    )


def _first(table: Table, rest: Users, count: int) -> Select[Any]:
    """Select the first users of a table, by its index."""
    return select(table.c.user_id).where(rest.among(table)).distinct().order_by(table.c.user_id).limit(count)


def _differing(users: Users, stored: Table, recounted: Table) -> Select[int]:
    """Count the keys whose row is in one of two tables only, or not the same in both."""
    old = select(*stored.c).where(users.among(stored))
    new = select(*(recounted.c[column.name] for column in stored.c))
    keys = [column.name for column in stored.primary_key]
    either = union_all(
        *(
            select(*(rows.c[name] for name in keys))
            for rows in (old.except_(new).subquery(), new.except_(old).subquery())
        )
    ).subquery()
    return select(func.count()).select_from(select(*either.c).distinct().subquery())


def _days(since: datetime, until: datetime) -> tuple[date, date]:
    """Return the first and the last day that an interval touches."""
    last = until - timedelta(microseconds=1)
    return since.astimezone(UTC).date(), last.astimezone(UTC).date()
