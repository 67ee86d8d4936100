"""What a day adds to the totals of users, in Ibis: who entered, what users did, and what they had done before.

A user's total grows from day to day, so the sum of its squares does not follow from the day alone; it follows from the
totals that stood the day before, of those who came. `warehouse.totals` keeps these.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
from ibis import _

from ab_platform.metrics import MEASURES, Measure
from ab_platform.storage import per_user, schema
from ab_platform.storage.described import table
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.population import Population
from ab_platform.storage.written_once import written_once


def tells(families: Sequence[Sequence[PerUser]]) -> bool:
    """Tell whether running totals give the sums of some columns.

    A measure's total does, and whether there is a click; not what is known of users apart from events, and not columns
    that change on days without an event, such as whether a user's seventh day is over.
    """
    return all(
        each.name in (*MEASURES, "clicked", "known") and each.source in ("during", "before")
        for family in families
        for each in family
    )


def measures_of(families: Sequence[Sequence[PerUser]]) -> tuple[Measure, ...]:
    """Return the measures that columns are made of, sorted."""
    names = {stored_as(each) for family in families for each in family}
    return tuple(sorted(measure for measure in MEASURES if measure in names))


def stored_as(column: PerUser) -> str:
    """Return the measure that a column is made of."""
    return "clicks" if column.name == "clicked" else column.name


@written_once
def entered(population: Population, *, dialect: str) -> str:
    """Write the query of who was exposed on the last day of a population: (user_id, surface, arm)."""
    users = _entered(population).select("user_id", "surface", "arm")
    return str(ibis.to_sql(users, dialect=dialect))


@written_once
def deeds(population: Population, measures: Sequence[Measure], *, dialect: str) -> str:
    """Write the query of what users did on a population's last day: (user_id, surface, measures in whole steps)."""
    days = table(schema.user_days).filter(_.experiment == population.experiment, _.day == population.as_of)
    steps = {measure: per_user.day_steps(days, measure).cast("int64") for measure in measures}
    return str(ibis.to_sql(days.select("user_id", "surface", **steps), dialect=dialect))


@written_once
def before(population: Population, measures: Sequence[Measure], *, dialect: str) -> str:
    """Write the query of what users did before their exposure: (user_id, surface, known, measures in whole steps).

    Where every earlier experiment had ended before, of all users at once; else of those exposed on the last day of the
    population, each over the days before that.
    """
    found = per_user.before(_entered(population), population, measures, dialect)
    totals = {measure: found[f"before_sum_{measure}"].cast("int64") for measure in measures}
    named = found.select(
        user_id=_.of_user, surface=_.of_surface, known=(_.before_sum_known > 0).ifelse(1, 0).cast("int64"), **totals
    )
    return str(ibis.to_sql(named, dialect=dialect))


def _entered(population: Population) -> ir.Table:
    return per_user.exposed(population).filter(_.exposed_on == population.as_of)
