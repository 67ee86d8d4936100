"""Statements on the titles that groups of users were shown: coverage of the catalogue is of groups, not of users."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

import ibis
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Connection, Integer, Select, String, distinct, func, or_, select

from ab_platform.assignment import buckets
from ab_platform.events import Surface
from ab_platform.storage import bulk
from ab_platform.storage.described import dialect_of, whole_query
from ab_platform.storage.experiments import without_events
from ab_platform.storage.per_user import exposed_users
from ab_platform.storage.population import Population
from ab_platform.storage.schema import events, experiments, titles

GROUPS = 25
"""Groups that the smallest arm is divided into: enough for a variance, and each as large as can be."""

_SALT = "title groups"
_STAGE = bulk.stage(
    "grouped_users",
    Column("user_id", String, primary_key=True),
    Column("surface", String, primary_key=True),
    Column("arm", String),
    Column("place", Integer),
)


@dataclass(frozen=True, eq=False)
class TitleGroups:
    """What random groups of users of one arm were shown on one surface.

    Attributes:
        surface: where.
        arm: which arm.
        users: in the arm, grouped or not.
        group_users: in each group, alike in all arms.
        titles: `(groups,)` distinct titles that a group was shown.
        catalogue: titles there are.
    """

    surface: Surface
    arm: str
    users: int
    group_users: int
    titles: NDArray[np.int64]
    catalogue: int


def title_groups(connection: Connection, population: Population) -> tuple[TitleGroups, ...]:
    """Count the titles shown to groups of equal size.

    Returns:
        A row each surface and arm; nothing where an arm has fewer users than groups, or the raw events were deleted.
    """
    # Also while they are being deleted: what is left of them would be counted as all there was.
    if population.experiment in connection.execute(without_events()).scalars().all():
        return ()
    users = _users(connection, population)
    sizes = {surface: min(map(len, arms.values())) // GROUPS for surface, arms in users.items() if len(arms) > 1}
    grouped = list(_grouped(users, sizes))
    bulk.fill(connection, _STAGE, rows=grouped)
    found: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for surface, arm, place, count in connection.execute(_counted(population)):
        found[surface, arm][place] = count
    catalogue = select(func.count()).where(titles.c.dataset == population.dataset)
    known = connection.execute(catalogue).scalar_one()
    return tuple(
        TitleGroups(
            surface,
            arm,
            len(ids),
            sizes[surface],
            np.array([found[surface, arm].get(place, 0) for place in range(len(ids) // sizes[surface])]),
            known,
        )
        for surface, arms in users.items()
        for arm, ids in arms.items()
        if sizes.get(surface)
    )


def _users(connection: Connection, population: Population) -> Mapping[Surface, Mapping[str, Sequence[str]]]:
    """Return the users of each surface and arm."""
    query = str(ibis.to_sql(exposed_users(population), dialect=dialect_of(connection)))
    found: dict[Surface, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for user, surface, arm, _ in connection.execute(whole_query(query)):
        found[surface][arm].append(user)
    return {surface: dict(sorted(found[surface].items())) for surface in sorted(found)}


def _grouped(
    users: Mapping[Surface, Mapping[str, Sequence[str]]], sizes: Mapping[Surface, int]
) -> Iterator[tuple[str, str, str, int]]:
    """Put users in an order that depends on nothing but them, and cut it into groups; what is left over is in none."""
    for surface, arms in users.items():
        size = sizes.get(surface, 0)
        for arm, ids in arms.items() if size else ():
            order = np.lexsort([np.array(ids), buckets(_SALT, ids)])
            for rank, place in enumerate(order.tolist()):
                if rank < len(ids) // size * size:
                    yield ids[place], surface, arm, rank // size


def _counted(population: Population) -> Select[Any]:
    shown = [
        events.c.experiment == population.experiment,
        events.c.kind == "impression",
        events.c.at <= datetime.combine(population.as_of, time.max, UTC),
        events.c.at >= experiments.c.starts_at,
        events.c.at < experiments.c.ends_at,
        or_(experiments.c.stopped_at.is_(None), events.c.at < experiments.c.stopped_at),
    ]
    on_surface = (events.c.user_id == _STAGE.c.user_id) & (events.c.surface == _STAGE.c.surface)
    joined = events.join(_STAGE, on_surface).join(experiments, experiments.c.experiment == events.c.experiment)
    keys = (_STAGE.c.surface, _STAGE.c.arm, _STAGE.c.place)
    return select(*keys, func.count(distinct(events.c.title_id))).select_from(joined).where(*shown).group_by(*keys)
