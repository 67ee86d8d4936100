"""Statements on assignments: the users of a data set block by block, who of them is in, and who was exposed to what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Delete, Integer, Select, String, delete, literal, or_, select, union

from ab_platform.storage import bulk
from ab_platform.storage.recounting import Users
from ab_platform.storage.schema import assignments, exposures, interactions, user_attributes

USERS_AT_ONCE = 50_000

_STAGE = bulk.stage(
    "placed_users",
    Column("user_id", String, primary_key=True),
    Column("arm", String),
    Column("arm_bucket", Integer),
    Column("layer_bucket", Integer),
)

Placed = tuple[str, str, int, int]
"""User, arm, bucket under the experiment's salt, bucket under the layer's."""


@dataclass(frozen=True)
class Written:
    """What became of assignments: rows that are new or name another arm or bucket, and rows that are gone."""

    changed: int
    removed: int


def users_after(connection: Connection, dataset: str, *, after: str | None, count: int) -> list[str]:
    """Return the next users of a data set, by interactions or attributes, in the database's order.

    Args:
        connection: in a transaction.
        dataset: whose users.
        after: the id before the first; None to begin.
        count: how many, at most.
    """
    acted = select(interactions.c.user_id).where(interactions.c.dataset == dataset).distinct()
    # By name, since the users of one attribute lie in order.
    attributes = [
        select(user_attributes.c.user_id).where(user_attributes.c.dataset == dataset, user_attributes.c.name == name)
        for name in connection.execute(
            select(user_attributes.c.name).where(user_attributes.c.dataset == dataset).distinct()
        ).scalars()
    ]
    parts = [_next(query, after, count) for query in (acted, *attributes)]
    found = union(*parts).subquery()
    return list(connection.execute(select(found.c.user_id).order_by(found.c.user_id).limit(count)).scalars())


def write(connection: Connection, users: Users, *, placed: Iterable[Placed], traffic: float, at: datetime) -> Written:
    """Store who of some users is in; who is not loses the row, and who has it with the same arm keeps it as it is.

    Args:
        connection: in a transaction that writes.
        users: whom the rows are about.
        placed: those of them who are in, once each.
        traffic: share that is in now.
        at: now.
    """
    bulk.fill(connection, _STAGE, rows=placed)
    values = select(
        literal(users.experiment).label("experiment"),
        *(_STAGE.c[name] for name in ("user_id", "arm", "arm_bucket", "layer_bucket")),
        literal(traffic, assignments.c.traffic.type).label("traffic"),
        literal(at, assignments.c.assigned_at.type).label("assigned_at"),
    ).order_by(_STAGE.c.user_id)
    put = bulk.upsert_from(bulk.engine_of(connection), assignments, query=values)
    decided = ("arm", "arm_bucket", "layer_bucket")
    put = put.on_conflict_do_update(
        index_elements=list(assignments.primary_key),
        set_={name: put.excluded[name] for name in (*decided, "traffic", "assigned_at")},
        where=or_(*(assignments.c[name] != put.excluded[name] for name in decided)),
    )
    return Written(bulk.changed(connection, put), bulk.changed(connection, _gone(users)))


def exposed_arms(connection: Connection, experiment: str) -> Iterator[list[tuple[str, str]]]:
    """Stream who was exposed to which arm on any surface, a part at a time; a user of several arms comes once each."""
    columns = exposures.c
    query = select(columns.user_id, columns.arm).where(columns.experiment == experiment)
    distinct = query.distinct().order_by(columns.user_id, columns.arm)
    streamed = connection.execution_options(yield_per=USERS_AT_ONCE).execute(distinct)
    for rows in streamed.partitions():
        yield [(user, arm) for user, arm in rows]


def _next(query: Select[Any], after: str | None, count: int) -> Select[Any]:
    user = query.selected_columns.user_id
    rest = query if after is None else query.where(user > after)
    return select(rest.order_by(user).limit(count).subquery())


def _gone(users: Users) -> Delete:
    still = select(_STAGE.c.user_id).where(_STAGE.c.user_id == assignments.c.user_id)
    return delete(assignments).where(users.among(assignments), ~still.exists())
