"""Statements that read users: exact sums by arm and segment, their rows, and how many were exposed when."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select, text

from ab_platform.events import Surface
from ab_platform.storage import per_user
from ab_platform.storage.described import day_of, dialect_of, whole_query
from ab_platform.storage.exact_sums import ExactSums
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.population import Population
from ab_platform.storage.schema import mixed_users

Row = Mapping[str, Any]
"""A row of a query, by its columns' names, as any engine gives it."""

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
    _make_room(connection)
    return cells_of(_rows(connection, query), families, dimensions)


def values(connection: Connection, population: Population, *, columns: Sequence[PerUser]) -> tuple[UserValues, ...]:
    """Read the users' rows, a surface at a time."""
    query = per_user.values(population, columns, dialect=dialect_of(connection))
    rows = connection.execute(whole_query(query)).all()
    users, surfaces, arms = (np.array([row[place] for row in rows], dtype=object) for place in range(3))
    whole = np.array([row[3:] for row in rows], dtype=np.float64).reshape(len(rows), len(set(columns)))
    return values_of(users, surfaces, arms, whole, columns=columns)


def by_age(
    connection: Connection, population: Population, *, families: Sequence[Sequence[PerUser]]
) -> tuple[AgeCell, ...]:
    """Add up what users did on each day since their exposure's, of those who came then; sorted."""
    query = per_user.by_age(population, families, dialect=dialect_of(connection))
    return ages_of(_rows(connection, query), families)


def exposed_by_day(connection: Connection, population: Population) -> tuple[ExposedOn, ...]:
    """Count users by the day of their exposure; sorted."""
    query = per_user.exposed_by_day(population, dialect=dialect_of(connection))
    return exposed_of(_rows(connection, query))


def first_exposed(
    connection: Connection, population: Population, *, dimensions: Sequence[str]
) -> tuple[FirstExposed, ...]:
    """Count users by the day of their first exposure on any surface; sorted."""
    query = per_user.first_exposures(population, dimensions, dialect=dialect_of(connection))
    return first_of(_rows(connection, query), dimensions)


def count_mixed(connection: Connection, experiment: str, *, as_of: date) -> int:
    """Count users seen in several arms up to a day, inclusive."""
    end = datetime.combine(as_of, time.max, UTC)
    query = select(func.count()).select_from(mixed_users)
    return connection.execute(query.where(mixed_users.c.experiment == experiment, mixed_users.c.at <= end)).scalar_one()


def cells_of(rows: Iterable[Row], families: Sequence[Sequence[PerUser]], dimensions: Sequence[str]) -> tuple[Cell, ...]:
    """Read rows of `per_user.sums`; sums of one (surface, arm, segments) are of disjoint users and are added up."""
    names = per_user.product_names(families)
    implied = {names[pair]: f"sum_{limb}" for pair, limb in per_user.implied(families).items()}
    parts: dict[tuple[Surface, str, tuple[str, ...]], list[ExactSums]] = defaultdict(list)
    for row in rows:
        whole = {**row, **{product: row[total] for product, total in implied.items()}}
        parts[row["surface"], row["arm"], _segments(row, dimensions)].append(ExactSums.of(whole, families))
    return tuple(Cell(*key, ExactSums.total(parts[key])) for key in sorted(parts))


def values_of(
    users: NDArray[np.object_],
    surfaces: NDArray[np.object_],
    arms: NDArray[np.object_],
    whole: NDArray[np.float64],
    *,
    columns: Sequence[PerUser],
) -> tuple[UserValues, ...]:
    """Divide rows of `per_user.values` by surface.

    Args:
        users: `(rows,)` sorted on each surface.
        surfaces: `(rows,)`.
        arms: `(rows,)`.
        whole: `(rows, columns)` in steps, the columns in their own order.
        columns: in the order asked for.
    """
    order = sorted(set(columns))
    table = whole[:, [order.index(column) for column in columns]] / [column.steps for column in columns]
    return tuple(
        UserValues(surface, users[among], arms[among], table[among])
        for surface in sorted(set(surfaces.tolist()))
        for among in [surfaces == surface]
    )


def ages_of(rows: Iterable[Row], families: Sequence[Sequence[PerUser]]) -> tuple[AgeCell, ...]:
    """Read rows of `per_user.by_age`, and add up those of one (surface, arm, age)."""
    parts: dict[tuple[Surface, str, int], list[ExactSums]] = defaultdict(list)
    for row in rows:
        parts[row["surface"], row["arm"], int(row["age"])].append(ExactSums.of(row, families))
    return tuple(AgeCell(*key, ExactSums.total(parts[key])) for key in sorted(parts))


def exposed_of(rows: Iterable[Row]) -> tuple[ExposedOn, ...]:
    """Read rows of `per_user.exposed_by_day`, and add up those of one (surface, arm, day)."""
    users: Counter[tuple[Surface, str, date]] = Counter()
    for row in rows:
        users[row["surface"], row["arm"], day_of(row["exposed_on"])] += int(row["users"])
    return tuple(ExposedOn(*key, users[key]) for key in sorted(users))


def first_of(rows: Iterable[Row], dimensions: Sequence[str]) -> tuple[FirstExposed, ...]:
    """Read rows of `per_user.first_exposures`, and add up those of one (arm, day, segments)."""
    users: Counter[tuple[date, str, tuple[str, ...]]] = Counter()
    for row in rows:
        users[day_of(row["exposed_on"]), row["arm"], _segments(row, dimensions)] += int(row["users"])
    return tuple(FirstExposed(arm, day, segments, users[day, arm, segments]) for day, arm, segments in sorted(users))


def _rows(connection: Connection, query: str) -> Iterable[Row]:
    return connection.execute(whole_query(query)).mappings()  # type: ignore[return-value]


def _segments(row: Row, dimensions: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(row[f"segment_{place}"]) for place in range(len(dimensions)))


def _make_room(connection: Connection) -> None:
    """Let PostgreSQL group a million users in memory, in this transaction; its 4 MB would write them to disk."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL work_mem = '{ROOM}'"))
