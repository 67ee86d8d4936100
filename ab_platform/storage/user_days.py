"""Statements on user-days: roll up what is open, and read what was rolled up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from sqlalchemy import Column, Connection, Delete, Row, TextClause, delete, func, insert, select, text, tuple_

from ab_platform.events import Surface
from ab_platform.experiment import Experiment
from ab_platform.metrics import COLUMNS
from ab_platform.statistics.moments import Moments
from ab_platform.storage import aggregates, bulk
from ab_platform.storage.connection import one_at_a_time
from ab_platform.storage.schema import open_user_days, user_days

_CLAIMED = bulk.stage("claimed_user_days", *(Column(key.name, key.type, primary_key=True) for key in open_user_days.c))

_SCALE = [1.0, 1.0, 1.0, 0.001]
"""Unit of each of `metrics.COLUMNS` as the database sums it: watch seconds as milliseconds."""


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
class ArmMoments:
    """The moments of one arm's users on one surface, over `metrics.COLUMNS`."""

    surface: Surface
    arm: str
    moments: Moments


@dataclass(frozen=True)
class Exposed:
    """How many users of one arm were exposed.

    Attributes:
        scope: a surface, or `all` for users exposed on any.
        arm: which arm.
        users: how many.
    """

    scope: str
    arm: str
    users: int


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
    counted = _query(aggregates.user_days(_CLAIMED, _dialect(connection))).columns(*user_days.c).subquery()
    anew = insert(user_days).from_select(counted.c.keys(), select(counted))
    return Batch(taken, bulk.changed(connection, anew))


def reopen(connection: Connection, experiment: str, *, since: datetime) -> None:
    """Open the user-days that count an event from a moment on, since the experiment now ends there."""
    one_at_a_time(connection, "roll up")
    days = select(user_days.c.experiment, user_days.c.user_id, user_days.c.day).distinct()
    counting = days.where(user_days.c.experiment == experiment, user_days.c.last_at >= since)
    put = bulk.upsert_from(bulk.engine_of(connection), open_user_days, query=counting)
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


def exposed(connection: Connection, experiment: Experiment, *, as_of: date) -> tuple[Exposed, ...]:
    """Count exposed users: `all` first, then by surface, arms in the experiment's order, nobody as 0."""
    query = _query(aggregates.exposed(experiment.key, as_of, dialect=_dialect(connection)))
    found = {(row.scope, row.arm): row.users for row in connection.execute(query)}
    scopes = ("all", *experiment.surfaces)
    return tuple(
        Exposed(scope, arm.name, found.get((scope, arm.name), 0)) for scope in scopes for arm in experiment.arms
    )


def moments(connection: Connection, experiment: Experiment, *, as_of: date) -> tuple[ArmMoments, ...]:
    """Return the moments of every arm on every surface, those of nobody too."""
    query = _query(aggregates.moments(experiment.key, as_of, dialect=_dialect(connection)))
    found = {(row.surface, row.arm): _moments(row) for row in connection.execute(query)}
    nobody = Moments.empty(len(COLUMNS))
    return tuple(
        ArmMoments(surface, arm.name, found.get((surface, arm.name), nobody))
        for surface in experiment.surfaces
        for arm in experiment.arms
    )


def _moments(row: Row[*tuple[object, ...]]) -> Moments:
    """Put the limbs back together, in Python's integers, and centre."""
    sums = np.array([int(row._mapping[f"sum_{i}"]) for i in range(len(aggregates.LIMBS))], dtype=object)
    products = np.zeros((len(sums), len(sums)), dtype=object)
    for i, j in aggregates.PAIRS:
        products[i, j] = products[j, i] = int(row._mapping[f"product_{i}_{j}"])
    weights = np.array([aggregates.WEIGHTS[column] for column in COLUMNS], dtype=object)
    whole = weights @ products @ weights.T
    return Moments.from_exact_sums(row.n, (weights @ sums).tolist(), whole.tolist(), scale=_SCALE)


def _close() -> Delete:
    key = tuple(open_user_days.primary_key)
    return delete(open_user_days).where(tuple_(*key).in_(select(*(_CLAIMED.c[column.name] for column in key))))


def _forget() -> Delete:
    """Delete the user-days that are counted anew, so that one without an event left is gone."""
    user = (user_days.c.experiment, user_days.c.user_id)
    claimed_user = (_CLAIMED.c.experiment, _CLAIMED.c.user_id)
    since = select(_CLAIMED).where(tuple_(*claimed_user) == tuple_(*user), _CLAIMED.c.day <= user_days.c.day)
    return delete(user_days).where(tuple_(*user).in_(select(*claimed_user)), since.exists())


def _dialect(connection: Connection) -> str:
    """Return what Ibis calls the engine."""
    return "postgres" if connection.dialect.name == "postgresql" else connection.dialect.name


def _query(sql: str) -> TextClause:
    """Take a query that is whole as it is: a colon in it marks no parameter."""
    return text(sql.replace(":", r"\:"))
