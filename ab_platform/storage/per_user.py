"""User-days -> one row a user, and the exact sums of many such rows, in Ibis: one text for every engine.

Who counts is defined here and nowhere else: the users exposed on a surface, with the arm of their exposure, but for
those who were seen in several arms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations_with_replacement
from typing import Literal

import ibis
import ibis.expr.types as ir
from ibis import _

from ab_platform.metrics import MEASURES, RETENTION, STEPS, Column, Measure
from ab_platform.storage import schema
from ab_platform.storage.described import in_steps, table

LIMB = 65_536
"""Steps in the high limb of a column that is not a count.

A user's milliseconds go into the products as two integers, high * LIMB + low, so that neither a product nor its sum
over the weeks of a hundred million users leaves 64 bits: SQLite would refuse the sum, and floats would drop digits.
"""

ATTRIBUTE_STEPS = 1_000
"""Steps per unit of a user attribute that serves as a covariate."""

DimensionKind = Literal["attribute", "interactions", "cohort"]
INTERACTION_GROUPS = ((5, "0-4"), (11, "5-10"), (51, "11-50"), (101, "51-100"))
"""Groups of Table 3 of the paper by their exclusive upper ends; beyond them is `100+`."""
MANY_INTERACTIONS = "100+"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Population:
    """Whose rows are made.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        dataset: where user attributes are looked up.
        earlier: other experiments whose user-days tell what users did before their exposure.
        covariate_days: how long before the exposure they are asked.
    """

    experiment: str
    as_of: date
    dataset: str
    earlier: tuple[str, ...] = ()
    covariate_days: int = 28


@dataclass(frozen=True, order=True)
class PerUser:
    """A column of the per-user rows.

    Attributes:
        name: of the column, of a user attribute, or `known` (1 for a user of whom `source` tells anything).
        source: the experiment itself, the time before the exposure, or the user's attributes; `known:NAME` tells of
            the attribute NAME whether it is there.
    """

    name: Column
    source: Literal["during", "before", "attribute", "attribute_known"] = "during"

    @property
    def steps(self) -> int:
        """Return the steps per unit in which the column is added up."""
        if self.source == "attribute":
            return ATTRIBUTE_STEPS
        return STEPS.get(self.name, 1)  # type: ignore[call-overload,no-any-return]

    @property
    def label(self) -> str:
        """Return the column's name in the query."""
        return f"{self.source}_{self.name}"


KNOWN_BEFORE = PerUser("known", "before")


def exposed_users(population: Population) -> ir.Table:
    """Select who counts: (user_id, surface, arm, exposed_on) of the exposures up to the day, inclusive."""
    spans = table(schema.experiments).filter(_.experiment == population.experiment)
    spans = spans.select("experiment", "ends_at", "stopped_at")
    mixed = table(schema.mixed_users).filter(_.experiment == population.experiment, _.at.date() <= population.as_of)
    return (
        table(schema.exposures)
        .join(spans, "experiment")
        .filter(_.at < _.ends_at, _.stopped_at.isnull() | (_.at < _.stopped_at), _.at.date() <= population.as_of)
        .anti_join(mixed.select("user_id"), "user_id")
        .select("user_id", "surface", "arm", exposed_on=_.at.date())
    )


def rows(population: Population, columns: Iterable[PerUser], dimensions: Sequence[str] = ()) -> ir.Table:
    """Select one row a user and surface: surface, arm, the columns in whole steps, and the user's segments.

    A user without user-days is 0 throughout; what a source does not tell is 0 too, and so is its `known`.

    Args:
        population: whose.
        columns: which.
        dimensions: user attributes, `interactions` or `cohort`; each becomes a column `segment_I`.
    """
    wanted = sorted(set(columns))
    users = exposed_users(population)
    users = _with_during(users, population, [each.name for each in wanted if each.source == "during"])
    users = _with_before(users, population, [each.name for each in wanted if each.source == "before"])
    for each in wanted:
        if each.source == "attribute":
            users = _with_attribute(users, population.dataset, each)
    users = _with_segments(users, population, dimensions)
    values = {each.label: _value(users, each) for each in wanted}
    segments = (f"segment_{place}" for place in range(len(dimensions)))
    return users.select("user_id", "surface", "arm", *segments, **values)


def sums(
    population: Population, families: Sequence[Sequence[PerUser]], dimensions: Sequence[str], *, dialect: str
) -> str:
    """Write the query of each (surface, arm, segments): users `n`, the sum of each limb, the products of each family.

    Everything in it is a sum of integers: the digits depend neither on the engine nor on the order of the rows.

    Args:
        population: whose.
        families: columns whose products with each other are wanted.
        dimensions: as in `rows`.
        dialect: of the engine, as Ibis names it.
    """
    columns = sorted({column for family in families for column in family})
    users = rows(population, columns, dimensions)
    keys = ("surface", "arm", *(f"segment_{place}" for place in range(len(dimensions))))
    names = limb_names(columns)
    limbs = users.select(*keys, **_limbs(users, columns))
    totals = {f"sum_{name}": limbs[name].sum() for name in names}
    products = {f"{one}_x_{other}": (limbs[one] * limbs[other]).sum() for one, other in limb_pairs(families)}
    return str(ibis.to_sql(limbs.group_by(keys).agg(n=_.count(), **totals, **products), dialect=dialect))


def values(population: Population, columns: Sequence[PerUser], *, dialect: str) -> str:
    """Write the query of the rows themselves, sorted by surface and user."""
    users = rows(population, columns).order_by("surface", "user_id")
    return str(ibis.to_sql(users, dialect=dialect))


def by_age(population: Population, families: Sequence[Sequence[PerUser]], *, dialect: str) -> str:
    """Write the query of each (surface, arm, days since the exposure): as `sums`, of those with a user-day then.

    Args:
        population: whose.
        families: columns of the experiment itself.
        dialect: of the engine, as Ibis names it.
    """
    columns = sorted({column for family in families for column in family})
    days = table(schema.user_days).filter(_.experiment == population.experiment, _.day <= population.as_of)
    users = exposed_users(population).join(days.drop("arm"), ["user_id", "surface"])
    users = users.mutate(
        age=_days_between(_.day, _.exposed_on),
        **{each.label: _day_value(users, each.name) for each in columns},
    )
    limbs = users.select("surface", "arm", "age", **_limbs(users, columns))
    totals = {f"sum_{name}": limbs[name].sum() for name in limb_names(columns)}
    products = {f"{one}_x_{other}": (limbs[one] * limbs[other]).sum() for one, other in limb_pairs(families)}
    return str(
        ibis.to_sql(limbs.group_by("surface", "arm", "age").agg(n=_.count(), **totals, **products), dialect=dialect)
    )


def exposed_by_day(population: Population, *, dialect: str) -> str:
    """Write the query that counts users by (surface, arm, exposed_on)."""
    counted = exposed_users(population).group_by("surface", "arm", "exposed_on").agg(users=_.count())
    return str(ibis.to_sql(counted, dialect=dialect))


def first_exposures(population: Population, dimensions: Sequence[str] = (), *, dialect: str) -> str:
    """Write the query that counts users by (arm, first_at as a day, segments) of the first exposure on any surface."""
    users = exposed_users(population)
    first = users.group_by("user_id", "arm").agg(exposed_on=_.exposed_on.min())
    first = _with_segments(first, population, dimensions)
    keys = ("arm", "exposed_on", *(f"segment_{place}" for place in range(len(dimensions))))
    return str(ibis.to_sql(first.group_by(keys).agg(users=_.count()), dialect=dialect))


def limb_names(columns: Iterable[PerUser]) -> tuple[str, ...]:
    """Return the limbs that columns are added up in: a count is one, anything else two."""
    return tuple(name for column in columns for name, _ in limbs_of(column))


def limbs_of(column: PerUser) -> tuple[tuple[str, int], ...]:
    """Return the names of a column's limbs and what each weighs."""
    if column.steps == 1:
        return ((column.label, 1),)
    return ((f"{column.label}_high", LIMB), (f"{column.label}_low", 1))


def limb_pairs(families: Sequence[Sequence[PerUser]]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of limbs whose products the families need, each once, in the order of the names."""
    pairs = {
        (min(pair), max(pair))
        for family in families
        for pair in combinations_with_replacement(limb_names(sorted(set(family))), 2)
    }
    return tuple(sorted(pairs))


def _limbs(users: ir.Table, columns: Iterable[PerUser]) -> dict[str, ir.Value]:
    limbs: dict[str, ir.Value] = {}
    for column in columns:
        whole = users[column.label]
        if column.steps == 1:
            limbs[column.label] = whole
        else:
            # Rounded up or down, the two limbs are the same sum.
            high = (whole / LIMB).round().cast("int64")
            limbs |= {f"{column.label}_high": high, f"{column.label}_low": whole - high * LIMB}
    return limbs


def _with_during(users: ir.Table, population: Population, names: Sequence[Column]) -> ir.Table:
    if not names:
        return users
    days = table(schema.user_days).filter(_.experiment == population.experiment, _.day <= population.as_of)
    retained = [name for name in names if name.startswith("returned_")]
    if retained:
        days = days.drop("arm").join(users.select("user_id", "surface", "exposed_on"), ["user_id", "surface"])
    totals = {f"sum_{name}": _total(days, name) for name in _measures(names)}
    totals |= {f"sum_{name}": _returned(days, _days_of(name)) for name in retained}
    per_user = days.group_by("user_id", "surface").agg(**totals)
    joined = users.left_join(per_user, ["user_id", "surface"]).drop("user_id_right", "surface_right")
    due = {f"sum_{name}": _due(joined, population.as_of, _days_of(name)) for name in names if name.startswith("due_")}
    return joined.mutate(**due) if due else joined


def _with_before(users: ir.Table, population: Population, names: Sequence[Column]) -> ir.Table:
    """Add what users did on the surface on the days before their exposure's, in earlier experiments."""
    if not names:
        return users
    days = table(schema.user_days).filter(_.experiment.isin(population.earlier or ("",)))
    pairs = users.select("user_id", "surface", "exposed_on").join(days.drop("arm"), ["user_id", "surface"])
    pairs = pairs.filter(_.day < _.exposed_on, _days_between(_.exposed_on, _.day) <= population.covariate_days)
    totals = {f"before_sum_{name}": _total(pairs, name) for name in _measures(names)}
    per_user = pairs.group_by("user_id", "surface").agg(before_sum_known=(_.count() > 0).ifelse(1, 0), **totals)
    return users.left_join(per_user, ["user_id", "surface"]).drop("user_id_right", "surface_right")


def _with_attribute(users: ir.Table, dataset: str, column: PerUser) -> ir.Table:
    stored = table(schema.user_attributes).filter(_.dataset == dataset, _.name == column.name)
    number = stored.select("user_id", **{f"raw_{column.name}": _.value.cast("float64")})
    return users.left_join(number, "user_id").drop("user_id_right")


def _with_segments(users: ir.Table, population: Population, dimensions: Sequence[str]) -> ir.Table:
    for place, dimension in enumerate(dimensions):
        column = f"segment_{place}"
        if dimension == "cohort":
            users = users.mutate(**{column: _.exposed_on.cast("string")})
            continue
        stored = table(schema.user_attributes).filter(_.dataset == population.dataset, _.name == dimension)
        stored = stored.select("user_id", **{column: _group(_.value) if dimension == "interactions" else _.value})
        users = users.left_join(stored, "user_id").drop("user_id_right")
        users = users.mutate(**{column: users[column].fill_null(UNKNOWN)})
    return users


def _group(count: ir.Value) -> ir.Value:
    number = count.cast("int64")
    return ibis.cases(*((number < end, name) for end, name in INTERACTION_GROUPS), else_=MANY_INTERACTIONS)


def _value(users: ir.Table, column: PerUser) -> ir.Value:
    """Return a column in whole steps, 0 where nothing is known."""
    match column.source:
        case "during" | "before":
            prefix = "sum_" if column.source == "during" else "before_sum_"
            name = "clicks" if column.name == "clicked" else column.name
            total = users[f"{prefix}{name}"].fill_null(0)
            return (total > 0).ifelse(1, 0).cast("int64") if column.name == "clicked" else total
        case "attribute":
            return in_steps(users[f"raw_{column.name}"].fill_null(0.0), ATTRIBUTE_STEPS)
        case "attribute_known":
            return users[f"raw_{column.name}"].notnull().ifelse(1, 0).cast("int64")


def _measures(names: Sequence[Column]) -> tuple[Measure, ...]:
    """Return the measures that columns are made of."""
    wanted = {"clicks" if name == "clicked" else name for name in names}
    return tuple(measure for measure in MEASURES if measure in wanted)


def _total(days: ir.Table, measure: Column) -> ir.Value:
    """Return a measure's total over days, in whole steps."""
    return _day_steps(days, measure).sum()


def _day_steps(days: ir.Table, measure: Column) -> ir.Value:
    steps: int = STEPS.get(measure, 1)  # type: ignore[call-overload]
    return days[measure] if steps == 1 else in_steps(days[measure], steps)


def _day_value(days: ir.Table, name: Column) -> ir.Value:
    if name == "clicked":
        return (days.clicks > 0).ifelse(1, 0).cast("int64")
    return _day_steps(days, name)


def _returned(days: ir.Table, after: int) -> ir.Value:
    came = (days.impressions > 0) & (_days_between(days.day, days.exposed_on) == after)
    return came.ifelse(1, 0).max()


def _due(users: ir.Table, as_of: date, after: int) -> ir.Value:
    return (_days_between(ibis.literal(as_of), users.exposed_on) >= after).ifelse(1, 0).cast("int64")


def _days_between(later: ir.Value, earlier: ir.Value) -> ir.Value:
    return _day_number(later) - _day_number(earlier)


def _day_number(day: ir.Value) -> ir.Value:
    return (day.cast("timestamp('UTC')").epoch_seconds() / 86_400).round().cast("int64")


def _days_of(name: Column) -> int:
    found = RETENTION.fullmatch(name)
    assert found is not None
    return int(found.group(2))
