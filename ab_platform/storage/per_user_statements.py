"""Statements that read users: exact sums by arm and segment, their rows, and how many were exposed when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select, text

from ab_platform.events import Surface
from ab_platform.storage import per_user
from ab_platform.storage.described import dialect_of, whole_query
from ab_platform.storage.exact_sums import ExactSums
from ab_platform.storage.per_user import PerUser, Population
from ab_platform.storage.schema import mixed_users

ROOM = "128MB"
"""Memory of one step of PostgreSQL's plan, where it has as much to do."""


@dataclass(frozen=True)
class Cell:
    """The exact sums of the users of one arm on one surface in one segment of each dimension.

    Attributes:
        surface: where.
        arm: which arm.
        segments: one a dimension, in the order asked for.
        sums: over its users.
    """

    surface: Surface
    arm: str
    segments: tuple[str, ...]
    sums: ExactSums


@dataclass(frozen=True, eq=False)
class UserValues:
    """The rows of one surface, sorted by user.

    Attributes:
        surface: where.
        users: `(users,)` ids.
        arms: `(users,)` arm names.
        values: `(users, columns)` in the columns' units.
    """

    surface: Surface
    users: NDArray[np.object_]
    arms: NDArray[np.object_]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class AgeCell:
    """The exact sums of the users of one arm and surface who came on one day since their exposure's."""

    surface: Surface
    arm: str
    age: int
    sums: ExactSums


@dataclass(frozen=True)
class ExposedOn:
    """How many users of one arm were exposed on a surface on a day."""

    surface: Surface
    arm: str
    day: date
    users: int


@dataclass(frozen=True)
class FirstExposed:
    """How many users of one arm and segment were first exposed, on any surface, on a day."""

    arm: str
    day: date
    segments: tuple[str, ...]
    users: int


def cells(
    connection: Connection, population: Population, *, families: Sequence[Sequence[PerUser]], dimensions: Sequence[str]
) -> tuple[Cell, ...]:
    """Add up the users of each (surface, arm, segments), sorted."""
    query = per_user.sums(population, families, dimensions, dialect=dialect_of(connection))
    implied = {f"{one}_x_{other}": f"sum_{limb}" for (one, other), limb in per_user.implied(families).items()}
    found = []
    _make_room(connection)
    for row in connection.execute(whole_query(query)).mappings():
        segments = tuple(str(row[f"segment_{place}"]) for place in range(len(dimensions)))
        whole = {**row, **{product: row[total] for product, total in implied.items()}}
        found.append(Cell(row["surface"], row["arm"], segments, ExactSums.of(whole, families)))
    return tuple(sorted(found, key=lambda cell: (cell.surface, cell.arm, cell.segments)))


def values(connection: Connection, population: Population, *, columns: Sequence[PerUser]) -> tuple[UserValues, ...]:
    """Read the users' rows, a surface at a time."""
    query = per_user.values(population, columns, dialect=dialect_of(connection))
    rows = connection.execute(whole_query(query)).all()
    order = sorted(set(columns))
    surfaces = np.array([row[1] for row in rows], dtype=object)
    users, arms = (np.array([row[place] for row in rows], dtype=object) for place in (0, 2))
    whole = np.array([row[3:] for row in rows], dtype=np.float64).reshape(len(rows), len(order))
    table = whole[:, [order.index(column) for column in columns]] / [column.steps for column in columns]
    return tuple(
        UserValues(surface, users[among], arms[among], table[among])
        for surface in sorted(set(surfaces.tolist()))
        for among in [surfaces == surface]
    )


def by_age(
    connection: Connection, population: Population, *, families: Sequence[Sequence[PerUser]]
) -> tuple[AgeCell, ...]:
    """Add up what users did on each day since their exposure's, of those who came then; sorted."""
    query = per_user.by_age(population, families, dialect=dialect_of(connection))
    found = [
        AgeCell(row["surface"], row["arm"], int(row["age"]), ExactSums.of(dict(row), families))
        for row in connection.execute(whole_query(query)).mappings()
    ]
    return tuple(sorted(found, key=lambda cell: (cell.surface, cell.arm, cell.age)))


def exposed_by_day(connection: Connection, population: Population) -> tuple[ExposedOn, ...]:
    """Count users by the day of their exposure; sorted."""
    query = per_user.exposed_by_day(population, dialect=dialect_of(connection))
    rows = connection.execute(whole_query(query)).mappings()
    found = [ExposedOn(row["surface"], row["arm"], _date(row["exposed_on"]), int(row["users"])) for row in rows]
    return tuple(sorted(found, key=lambda each: (each.surface, each.arm, each.day)))


def first_exposed(
    connection: Connection, population: Population, *, dimensions: Sequence[str]
) -> tuple[FirstExposed, ...]:
    """Count users by the day of their first exposure on any surface; sorted."""
    query = per_user.first_exposures(population, dimensions, dialect=dialect_of(connection))
    found = [
        FirstExposed(
            row["arm"],
            _date(row["exposed_on"]),
            tuple(str(row[f"segment_{place}"]) for place in range(len(dimensions))),
            int(row["users"]),
        )
        for row in connection.execute(whole_query(query)).mappings()
    ]
    return tuple(sorted(found, key=lambda each: (each.day, each.arm, each.segments)))


def count_mixed(connection: Connection, experiment: str, *, as_of: date) -> int:
    """Count users seen in several arms up to a day, inclusive."""
    end = datetime.combine(as_of, time.max, UTC)
    query = select(func.count()).select_from(mixed_users)
    return connection.execute(query.where(mixed_users.c.experiment == experiment, mixed_users.c.at <= end)).scalar_one()


def _make_room(connection: Connection) -> None:
    """Let PostgreSQL group a million users in memory, in this transaction; its 4 MB would write them to disk."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL work_mem = '{ROOM}'"))


def _date(value: date | str) -> date:
    """Return a day as SQLite writes it, or as PostgreSQL gives it."""
    return date.fromisoformat(value) if isinstance(value, str) else value
