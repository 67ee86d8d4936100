"""Statements that read users one by one, to compute their assignment again: the exposed, and a data set's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    String,
    Subquery,
    and_,
    case,
    cast,
    extract,
    func,
    literal,
    select,
)

from ab_platform.events import Surface
from ab_platform.storage.population import Population
from ab_platform.storage.schema import experiments, exposures, interactions, mixed_users, user_attributes
from ab_platform.storage.segments import UNKNOWN

USERS_AT_ONCE = 50_000

NEVER = -1


@dataclass(frozen=True, eq=False)
class ExposedUsers:
    """Some of the users who were exposed, each once.

    Attributes:
        users: ids.
        at: `(users, surfaces)` unix seconds of the exposure on each surface, NEVER where there is none.
        arms: a list for each surface of the arms recorded there, empty where there is none.
        mixed: `(users,)` whether they were seen in several arms.
        attributes: a list of values for each attribute asked for.
    """

    users: list[str]
    at: NDArray[np.int64]
    arms: tuple[list[str], ...]
    mixed: NDArray[np.bool_]
    attributes: tuple[list[str], ...]


@dataclass(frozen=True, eq=False)
class KnownUsers:
    """Some of the users of a data set, and which of them were exposed, `(users,)`."""

    users: list[str]
    exposed: NDArray[np.bool_]


def exposed_users(
    connection: Connection, population: Population, *, surfaces: Sequence[Surface], attributes: Sequence[str]
) -> Iterator[ExposedUsers]:
    """Stream the exposed users, also those who were seen in several arms.

    Args:
        connection: that stays open meanwhile.
        population: who they are.
        surfaces: where.
        attributes: which are wanted.
    """
    query = _with_attributes(_users(connection, population, surfaces), population, attributes)
    streamed = connection.execution_options(yield_per=USERS_AT_ONCE).execute(query)
    count = len(surfaces)
    for rows in streamed.partitions():
        users, mixed, *rest = zip(*rows, strict=True)
        at, arms, found = rest[:count], rest[count : 2 * count], rest[2 * count :]
        yield ExposedUsers(
            users=list(users),
            at=np.array(at, dtype=np.int64).T,
            arms=tuple(map(list, arms)),
            mixed=np.array(mixed, dtype=bool),
            attributes=tuple(map(list, found)),
        )


def known_users(connection: Connection, population: Population) -> Iterator[KnownUsers]:
    """Stream the users of the data set, and whether they were exposed."""
    known = select(interactions.c.user_id).where(interactions.c.dataset == population.dataset).distinct().subquery()
    # A look-up by key for each user: SQLite would compare two derived tables row by row.
    counts = _counts(connection, population)
    exposed = select(exposures.c.user_id).where(exposures.c.user_id == known.c.user_id, *counts).exists()
    query = select(known.c.user_id, exposed)
    streamed = connection.execution_options(yield_per=USERS_AT_ONCE).execute(query)
    for rows in streamed.partitions():
        users, seen = zip(*rows, strict=True)
        yield KnownUsers(list(users), np.array(seen, dtype=bool))


def _users(connection: Connection, population: Population, surfaces: Sequence[Surface]) -> Subquery:
    """Select a row for each user: when and in which arm on each surface."""
    at = cast(extract("epoch", exposures.c.at), BigInteger)
    when = [_on(surface, at, literal(NEVER)).label(f"at_{place}") for place, surface in enumerate(surfaces)]
    arms = [
        _on(surface, exposures.c.arm, literal("", String)).label(f"arm_{place}")
        for place, surface in enumerate(surfaces)
    ]
    wanted = (*_counts(connection, population), exposures.c.surface.in_(surfaces))
    return select(exposures.c.user_id, *when, *arms).where(*wanted).group_by(exposures.c.user_id).subquery()


def _on(surface: str, value: ColumnElement[Any], otherwise: ColumnElement[Any]) -> ColumnElement[Any]:
    # A user has one exposure on a surface at most; the other rows are below it.
    return func.max(case((exposures.c.surface == surface, value), else_=otherwise))


def _counts(connection: Connection, population: Population) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Say which exposures count: those within the experiment, up to the day."""
    span = select(experiments.c.ends_at, experiments.c.stopped_at)
    row = connection.execute(span.where(experiments.c.experiment == population.experiment)).one()
    # Looked up once: asked for each exposure, it would cost as much as the rest of the query.
    end = min(filter(None, (row.ends_at, row.stopped_at, _end(population))))
    return exposures.c.experiment == population.experiment, exposures.c.at < end


def _end(population: Population) -> datetime:
    """Return the moment after the last day that counts."""
    return datetime.combine(population.as_of, time.min, UTC) + timedelta(days=1)


def _with_attributes(users: Subquery, population: Population, attributes: Sequence[str]) -> Select[Any]:
    mixed = mixed_users.alias()
    several = mixed.c.experiment == population.experiment, mixed.c.at < _end(population)
    joined: Any = users.outerjoin(mixed, and_(mixed.c.user_id == users.c.user_id, *several))
    values: list[ColumnElement[str]] = []
    for place, name in enumerate(attributes):
        stored = user_attributes.alias(f"attribute_{place}")
        on = and_(stored.c.dataset == population.dataset, stored.c.name == name, stored.c.user_id == users.c.user_id)
        joined = joined.outerjoin(stored, on)
        values.append(func.coalesce(stored.c.value, UNKNOWN))
    user, *rest = users.c
    return select(user, mixed.c.user_id.is_not(None), *rest, *values).select_from(joined)
