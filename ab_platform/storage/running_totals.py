"""What users had done before and after each day, in Ibis: from it a day's change of the exact sums, one day at a time.

Let T be a user's total of a column through day d, T' the one through the day before, and X what the user did before the
exposure. Over the users who count, sums of products telescope:

    sum of T_i T_j   through d  =  sum over days up to d, and users seen on them, of T_i T_j - T'_i T'_j
    sum of X_i T_j              =  the same of X_i (T_j - T'_j)
    sum of X_i X_j, of X_i, of 1  =  over users who enter, less those who leave, of X_i X_j, X_i, 1

A user enters on the day of the exposure, and leaves on the day on which a second arm was seen. So the sums through any
day are those of the days up to it added together: a new day costs that day, and every earlier look comes with it. All
of it is integers, so it is what `per_user.sums` gives, to the digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from ab_platform.metrics import MEASURES, Measure
from ab_platform.storage import per_user, schema
from ab_platform.storage.described import table
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.population import Population
from ab_platform.storage.written_once import written_once

NAME = "running_totals"

KEYS = ("user_id", "surface", "day")


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
    names = {"clicks" if each.name == "clicked" else each.name for family in families for each in family}
    return tuple(sorted(measure for measure in MEASURES if measure in names))


def columns(measures: Sequence[Measure]) -> pa.Schema:
    """Return the columns of the rows: whole steps before the day, after it, and before the exposure."""
    totals = [f"{when}_{measure}" for measure in measures for when in ("was", "now", "before")]
    whole = ["entered", "before_known", *totals]
    keys = [("user_id", pa.string()), ("surface", pa.string()), ("arm", pa.string()), ("day", pa.date32())]
    return pa.schema([*keys, *((name, pa.int64()) for name in whole)])


def kept_columns(measures: Sequence[Measure]) -> pa.Schema:
    """Return the columns of the rows as they are kept: with the shard of the user."""
    return columns(measures).append(pa.field("shard", pa.int64()))


@written_once
def rows(population: Population, measures: Sequence[Measure], *, since: date | None, dialect: str) -> str:
    """Write the query of one row for each user, surface and day on which the user was seen, entered or left.

    Args:
        population: whose, and the last day.
        measures: that are totalled.
        since: first day of the rows; what was before is added up and not given. None for all days.
        dialect: of the engine, as Ibis names it.
    """
    users = _users(population)
    days = _days(population, measures)
    new = days if since is None else days.filter(_.day >= since)
    seen = _seen(users, _deeds(users, new), measures)
    recent = seen if since is None else seen.filter(_.day >= since)
    # Of those who are seen alone: what the others did before is not asked.
    among = None if since is None else recent.select("user_id", "surface").distinct()
    joined = _joined(recent, per_user.before(users, population, measures, dialect, among=among))
    if since is not None and among is not None:
        joined = _joined(joined, _opening(days, among, measures, since))
    through = ibis.window(group_by=("user_id", "surface"), order_by="day", preceding=None, following=0)
    now = {measure: _through(joined, measure, through, opened=since is not None) for measure in measures}
    gone = joined.left_on.notnull() & (joined.day == joined.left_on)
    values: dict[str, ir.Value] = {
        "entered": gone.ifelse(-1, (joined.day == joined.exposed_on).ifelse(1, 0)).cast("int64"),
        "before_known": (joined.before_sum_known.fill_null(0) > 0).ifelse(1, 0).cast("int64"),
    }
    for measure in measures:
        values[f"was_{measure}"] = now[measure] - joined[measure]
        values[f"now_{measure}"] = gone.ifelse(0, now[measure])
        values[f"before_{measure}"] = joined[f"before_sum_{measure}"].fill_null(0)
    given = [name for name in columns(measures).names if name not in values]
    return str(ibis.to_sql(joined.select(*given, **values), dialect=dialect))


def sums(families: Sequence[Sequence[PerUser]], dialect: str) -> str:
    """Write the query of each (shard, day, surface, arm): by how much the day changed what `per_user.sums` gives.

    Args:
        families: columns whose products with each other are wanted.
        dialect: of the engine, as Ibis names it.
    """
    steps = ibis.table(ibis.Schema.from_pyarrow(kept_columns(measures_of(families))), name=NAME)
    wanted = sorted({column for family in families for column in family})
    limbs = {name: limb for column in wanted for name, limb in _limbs(steps, column).items()}
    totals = {f"sum_{name}": _change(steps, limbs[name]).sum() for name in per_user.limb_names(wanted)}
    known = per_user.implied(families)
    products = {
        name: _change(steps, limbs[one], limbs[other]).sum()
        for (one, other), name in per_user.product_names(families).items()
        if (one, other) not in known
    }
    changed = steps.group_by("shard", "day", "surface", "arm").agg(n=_.entered.sum(), **totals, **products)
    return str(ibis.to_sql(changed, dialect))


Limb = tuple[ir.Value, ir.Value] | tuple[ir.Value]
"""A limb before and after the day; or of what a user did before the exposure, which no day changes."""


def _change(steps: ir.Table, one: Limb, other: Limb | None = None) -> ir.Value:
    """Return by how much a row changes the sum of a limb, or of the product of two."""
    match (one, other):
        case ((was, now), None):
            return now - was
        case ((before,), None):
            return steps.entered * before
        case ((was, now), (other_was, other_now)):
            return now * other_now - was * other_was
        case ((was, now), (before,)) | ((before,), (was, now)):
            return before * (now - was)
        case ((before,), (other_before,)):
            return steps.entered * before * other_before
    raise AssertionError(one)


def _limbs(steps: ir.Table, column: PerUser) -> dict[str, Limb]:
    """Return the limbs of a column by their names."""
    stored = "clicks" if column.name == "clicked" else column.name
    values = [steps[f"{when}_{stored}"] for when in (("was", "now") if column.source == "during" else ("before",))]
    if column.name == "clicked":
        values = [(value > 0).ifelse(1, 0).cast("int64") for value in values]
    names = per_user.limb_names([column])
    split = [per_user.divided(value) if len(names) > 1 else (value,) for value in values]
    return {name: tuple(parts[place] for parts in split) for place, name in enumerate(names)}


def _users(population: Population) -> ir.Table:
    """Select the users who count or did: (user_id, surface, arm, exposed_on, left_on)."""
    exposed = per_user.exposed(population)
    left = table(schema.mixed_users).filter(_.experiment == population.experiment)
    left = left.select(of_user=_.user_id, left_on=_.at.date()).filter(_.left_on <= population.as_of)
    joined = exposed.left_join(left, exposed.user_id == left.of_user)
    return joined.filter(_.left_on.isnull() | (_.exposed_on < _.left_on)).drop("of_user")


def _days(population: Population, measures: Sequence[Measure]) -> ir.Table:
    """Select what users did on each day, in whole steps."""
    days = table(schema.user_days).filter(_.experiment == population.experiment, _.day <= population.as_of)
    return days.select(*KEYS, **{measure: per_user.day_steps(days, measure).cast("int64") for measure in measures})


def _deeds(users: ir.Table, days: ir.Table) -> ir.Table:
    """Select what users did while they counted."""
    return days.join(users, ["user_id", "surface"]).filter(_.left_on.isnull() | (_.day < _.left_on))


def _seen(users: ir.Table, deeds: ir.Table, measures: Sequence[Measure]) -> ir.Table:
    """Add the days on which users entered without a deed, or left."""
    entered = users.mutate(day=_.exposed_on).anti_join(deeds, KEYS)
    left = users.filter(_.left_on.notnull()).mutate(day=_.left_on)
    nothing = {measure: ibis.literal(0).cast("int64") for measure in measures}
    kept = (*KEYS, "arm", "exposed_on", "left_on")
    silent = (part.select(*kept, **nothing) for part in (entered, left))
    return ibis.union(deeds.select(*kept, *measures), *silent)


def _opening(days: ir.Table, among: ir.Table, measures: Sequence[Measure], since: date) -> ir.Table:
    """Total what the users who are seen did before the first day of the rows."""
    earlier = days.filter(_.day < since).semi_join(among, ["user_id", "surface"])
    totals = {f"opening_{measure}": earlier[measure].sum().cast("int64") for measure in measures}
    return earlier.group_by(of_user=_.user_id, of_surface=_.surface).agg(**totals)


def _joined(users: ir.Table, known: ir.Table) -> ir.Table:
    """Add what is known of users on a surface, where anything is."""
    same = (users.user_id == known.of_user) & (users.surface == known.of_surface)
    return users.left_join(known, same).drop("of_user", "of_surface")


def _through(joined: ir.Table, measure: Measure, through: ir.Window, *, opened: bool) -> ir.Value:
    """Return a user's total through each day."""
    total = joined[measure].sum().over(through).cast("int64")
    return total + joined[f"opening_{measure}"].fill_null(0) if opened else total
