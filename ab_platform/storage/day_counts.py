"""User-days counted by surface, arm and day, for the checks of the data, in Ibis: one text for every engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _
from sqlalchemy import Connection

from ab_platform.events import Surface
from ab_platform.storage import schema
from ab_platform.storage.described import day_of, dialect_of, moment_of, table, whole_query


@dataclass(frozen=True)
class DayCount:
    """What one arm's users did on one surface and day, also those seen in several arms.

    Attributes:
        surface: where.
        arm: of the users' exposure.
        day: in UTC.
        users: who came.
        impressions: titles shown to them.
        slates: that these were of.
        fallback_slates: of which popularity made, in the arm's place.
        last_at: time of the newest event that counts.
    """

    surface: Surface
    arm: str
    day: date
    users: int
    impressions: int
    slates: int
    fallback_slates: int
    last_at: datetime


def day_counts(connection: Connection, experiment: str, *, as_of: date) -> tuple[DayCount, ...]:
    """Count the user-days of an experiment up to a day, inclusive; sorted."""
    query = whole_query(counted([experiment], as_of, dialect=dialect_of(connection)))
    return day_counts_of(connection.execute(query).mappings())  # type: ignore[arg-type]


def counted(experiments: Sequence[str], as_of: date, *, dialect: str) -> str:
    """Write the query of each (surface, arm, day) up to a day, inclusive; of several experiments, of each of them.

    Args:
        experiments: their keys.
        as_of: last day that counts.
        dialect: of the engine, as Ibis names it.
    """
    days = _of(experiments).filter(_.day <= as_of)
    totals = {name: days[name].sum() for name in ("impressions", "slates", "fallback_slates")}
    found = days.group_by(*_keys(experiments), "surface", "arm", "day").agg(
        users=_.count(), **totals, last_at=_.last_at.max()
    )
    return str(ibis.to_sql(found, dialect=dialect))


def newest(experiments: Sequence[str], as_of: date | None, *, dialect: str) -> str:
    """Write the query of the time `last_at` of the newest event that counts, up to a day where one is given."""
    days = _of(experiments)
    within = days if as_of is None else days.filter(_.day <= as_of)
    return str(ibis.to_sql(within.aggregate(by=_keys(experiments), last_at=_.last_at.max()), dialect=dialect))


def _of(experiments: Sequence[str]) -> ir.Table:
    days = table(schema.user_days)
    return days.filter(_.experiment == experiments[0] if len(experiments) == 1 else _.experiment.isin(experiments))


def _keys(experiments: Sequence[str]) -> tuple[str, ...]:
    """Return what tells the rows of several experiments apart."""
    return ("experiment",) if len(experiments) > 1 else ()


def day_counts_of(rows: Iterable[Mapping[str, Any]]) -> tuple[DayCount, ...]:
    """Read rows of `counted`; those of one (surface, arm, day) are of disjoint users and are added up."""
    parts: dict[tuple[Surface, str, date], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        parts[row["surface"], row["arm"], day_of(row["day"])].append(row)
    return tuple(_added_up(*key, parts[key]) for key in sorted(parts))


def _added_up(surface: Surface, arm: str, day: date, rows: Sequence[Mapping[str, Any]]) -> DayCount:
    def total(name: str) -> int:
        return sum(int(row[name]) for row in rows)

    newest_at = max(moment_of(row["last_at"]) for row in rows)
    sums = (total("users"), total("impressions"), total("slates"), total("fallback_slates"))
    return DayCount(surface, arm, day, *sums, newest_at)
