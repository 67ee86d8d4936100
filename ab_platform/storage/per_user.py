"""User-days -> one row a user, and the exact sums of many such rows, in Ibis: one text for every engine.

Who counts is defined here and nowhere else: the users exposed on a surface, with the arm of their exposure, but for
those who were seen in several arms.

Every query is of one experiment, or of several that are alike: then the experiment is one more key of each step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Literal, get_args

import ibis
import ibis.expr.types as ir
from ibis import Deferred, _
from sqlalchemy import Table

from ab_platform.metrics import MEASURES, RETENTION, STEPS, Column, Measure
from ab_platform.storage import schema
from ab_platform.storage.days import days_before, days_between, end_of
from ab_platform.storage.described import in_steps, table
from ab_platform.storage.population import EARLIER, OneOrMany, Population
from ab_platform.storage.segments import COHORT, segment, stored_segment
from ab_platform.storage.written_once import SHAPES, written_once

LIMB_BITS = 16
LIMB = 1 << LIMB_BITS
"""Steps in the high limb of a column that is not a count.

A user's milliseconds go into the products as two integers, high * LIMB + low, so that neither a product nor its sum
over the weeks of a hundred million users leaves 64 bits: SQLite would refuse the sum, and floats would drop digits.
"""

ATTRIBUTE_STEPS = 1_000
"""Steps per unit of a user attribute that serves as a covariate."""

Source = Literal["during", "before", "attribute", "attribute_known"]


@dataclass(frozen=True, order=True)
class PerUser:
    """A column of the per-user rows.

    Attributes:
        name: of the column, of a user attribute, or `known` (1 for a user of whom `source` tells anything).
        source: the experiment itself, the time before the exposure, the user's attributes, or whether one is there.
    """

    name: Column
    source: Source = "during"

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


def exposed_users(whose: OneOrMany) -> ir.Table:
    """Select who counts: (user_id, surface, arm, exposed_on) of the exposures up to the day, inclusive."""
    mixed = _of(whose, schema.mixed_users).filter(_.at.date() <= whose.as_of)
    return exposed(whose).anti_join(mixed.select(*whose.keys, "user_id"), [*whose.keys, "user_id"])


def exposed(whose: OneOrMany) -> ir.Table:
    """Select who counts but for the mixed users, who are still there: (user_id, surface, arm, exposed_on)."""
    spans = _of(whose, schema.experiments).select("experiment", "ends_at", "stopped_at")
    return (
        _of(whose, schema.exposures)
        .join(spans, "experiment")
        .filter(_.at < _.ends_at, _.stopped_at.isnull() | (_.at < _.stopped_at), _.at < end_of(whose.as_of))
        .select(*whose.keys, "user_id", "surface", "arm", exposed_on=_.at.date())
    )


def _of(whose: OneOrMany, described: Table) -> ir.Table:
    """Select the rows of the experiments, by their names in the text, so that an engine skips files of others."""
    rows = table(described)
    if len(whose.experiments) == 1:
        return rows.filter(_.experiment == whose.experiments[0])
    return rows.filter(_.experiment.isin(whose.experiments))


def rows(whose: OneOrMany, columns: Iterable[PerUser], dimensions: Sequence[str] = (), *, dialect: str) -> ir.Table:
    """Select one row a user and surface: surface, arm, the columns in whole steps, and the user's segments.

    A user without user-days is 0 throughout; what a source does not tell is 0 too, and so is its `known`.

    Args:
        whose: of one experiment, or of several.
        columns: which.
        dimensions: user attributes, `interactions` or `cohort`; each becomes a column `segment_I`.
        dialect: of the engine, as Ibis names it.
    """
    wanted = sorted(set(columns))
    users = exposed_users(whose)
    # One chain of joins without a selection in between: SQLite cannot read queries that are nested too deep.
    joined = users
    for part, surface in _parts(users, whose, wanted, dimensions, dialect):
        keys = ("surface", *whose.keys) if surface else ()
        same = [joined.user_id == part.of_user, *(joined[key] == part[f"of_{key}"] for key in keys)]
        joined = joined.left_join(part, same)
    values = {each.label: _value(joined, each, whose.as_of) for each in wanted}
    segments = {f"segment_{place}": segment(joined, place, name) for place, name in enumerate(dimensions)}
    return joined.select(*whose.keys, "user_id", "surface", "arm", **segments, **values)


@written_once
def sums(whose: OneOrMany, families: Sequence[Sequence[PerUser]], dimensions: Sequence[str], *, dialect: str) -> str:
    """Write the query of each (surface, arm, segments): users `n`, the sum of each limb, the products of each family.

    A product that is one of the sums, see `implied`, is left out: some fifty sums over every user are what it costs.
    Everything in it is a sum of integers: the digits depend neither on the engine nor on the order of the rows.

    Args:
        whose: as in `rows`.
        families: columns whose products with each other are wanted.
        dimensions: as in `rows`.
        dialect: of the engine, as Ibis names it.
    """
    columns = sorted({column for family in families for column in family})
    users = rows(whose, columns, dimensions, dialect=dialect)
    keys = (*whose.keys, "surface", "arm", *(f"segment_{place}" for place in range(len(dimensions))))
    names = limb_names(columns)
    limbs = users.select(*keys, **_limbs(users, columns))
    totals = {f"sum_{name}": limbs[name].sum() for name in names}
    known = implied(families)
    products = {
        name: (limbs[one] * limbs[other]).sum()
        for (one, other), name in product_names(families).items()
        if (one, other) not in known
    }
    return str(ibis.to_sql(limbs.group_by(keys).agg(n=_.count(), **totals, **products), dialect=dialect))


@written_once
def values(population: Population, columns: Sequence[PerUser], *, dialect: str) -> str:
    """Write the query of the rows themselves, sorted by surface and user."""
    users = rows(population, columns, dialect=dialect).order_by("surface", "user_id")
    return str(ibis.to_sql(users, dialect=dialect))


@written_once
def by_age(whose: OneOrMany, families: Sequence[Sequence[PerUser]], *, dialect: str) -> str:
    """Write the query of each (surface, arm, days since the exposure): as `sums`, of those with a user-day then.

    Args:
        whose: as in `rows`.
        families: columns of the experiment itself.
        dialect: of the engine, as Ibis names it.
    """
    columns = sorted({column for family in families for column in family})
    days = _of(whose, schema.user_days).filter(_.day <= whose.as_of)
    users = exposed_users(whose).join(days.drop("arm"), [*whose.keys, "user_id", "surface"])
    users = users.mutate(
        age=days_between(_.day, _.exposed_on),
        **{each.label: _day_value(users, each.name) for each in columns},
    )
    keys = (*whose.keys, "surface", "arm", "age")
    limbs = users.select(*keys, **_limbs(users, columns))
    totals = {f"sum_{name}": limbs[name].sum() for name in limb_names(columns)}
    products = {name: (limbs[one] * limbs[other]).sum() for (one, other), name in product_names(families).items()}
    return str(ibis.to_sql(limbs.group_by(keys).agg(n=_.count(), **totals, **products), dialect=dialect))


@written_once
def exposed_by_day(whose: OneOrMany, *, dialect: str) -> str:
    """Write the query that counts users by (surface, arm, exposed_on)."""
    counted = exposed_users(whose).group_by(*whose.keys, "surface", "arm", "exposed_on").agg(users=_.count())
    return str(ibis.to_sql(counted, dialect=dialect))


@written_once
def first_exposures(whose: OneOrMany, dimensions: Sequence[str] = (), *, dialect: str) -> str:
    """Write the query that counts users by (arm, first_at as a day, segments) of the first exposure on any surface."""
    joined = exposed_users(whose).group_by(*whose.keys, "user_id", "arm").agg(exposed_on=_.exposed_on.min())
    for place, name in enumerate(dimensions):
        if name != COHORT:
            part = stored_segment(whose.dataset, place, name)
            joined = joined.left_join(part, joined.user_id == part.of_user)
    segments = {f"segment_{place}": segment(joined, place, name) for place, name in enumerate(dimensions)}
    keys = (*whose.keys, "arm", "exposed_on")
    first = joined.select(*keys, **segments)
    return str(ibis.to_sql(first.group_by(*keys, *segments).agg(users=_.count()), dialect=dialect))


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
    return _limb_pairs(tuple(map(tuple, families)))


@lru_cache(maxsize=SHAPES)  # asked for each row of an answer
def _limb_pairs(families: tuple[tuple[PerUser, ...], ...]) -> tuple[tuple[str, str], ...]:
    pairs = {
        (min(pair), max(pair))
        for family in families
        for pair in combinations_with_replacement(limb_names(sorted(set(family))), 2)
    }
    return tuple(sorted(pairs))


def product_names(families: Sequence[Sequence[PerUser]]) -> Mapping[tuple[str, str], str]:
    """Return the name of each product in a query: a number, since two names together are longer than engines take."""
    return {pair: f"product_{number}" for number, pair in enumerate(limb_pairs(families))}


def implied(families: Sequence[Sequence[PerUser]]) -> Mapping[tuple[str, str], str]:
    """Return the pairs of limbs whose product is one of the two, for every user, with that limb.

    So it is with a column of 0 and 1 and itself, and with what users did before and whether that is known: it is 0
    where it is not.
    """
    columns = sorted({column for family in families for column in family})
    limbs = {name: column for column in columns for name in limb_names([column])}
    pairs = limb_pairs(families)
    found = {(one, other): one for one, other in pairs if one == other and _is_indicator(limbs[one])}
    for pair in pairs:
        if KNOWN_BEFORE.label in pair and all(limbs[name].source == "before" for name in pair):
            found[pair] = next((name for name in pair if name != KNOWN_BEFORE.label), KNOWN_BEFORE.label)
    return found


def _is_indicator(column: PerUser) -> bool:
    return (
        column.source == "attribute_known"
        or column.name in ("clicked", "known")
        or RETENTION.fullmatch(column.name) is not None
    )


def _limbs(users: ir.Table, columns: Iterable[PerUser]) -> dict[str, ir.Value]:
    limbs: dict[str, ir.Value] = {}
    for column in columns:
        whole = users[column.label]
        if column.steps == 1:
            limbs[column.label] = whole
        else:
            high, low = divided(whole)
            limbs |= {f"{column.label}_high": high, f"{column.label}_low": low}
    return limbs


def divided(whole: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Divide whole steps into their high and their low limb."""
    # Shifted, a sum below 0 is rounded down: the lower limb is never negative, on either engine.
    return whole >> LIMB_BITS, whole & (LIMB - 1)


def _parts(
    users: ir.Table, whose: OneOrMany, columns: Sequence[PerUser], dimensions: Sequence[str], dialect: str
) -> Iterator[tuple[ir.Table, bool]]:
    """Give what is joined to the users, and whether it is of their surface: totals, attributes and segments."""
    names = {source: [each.name for each in columns if each.source == source] for source in get_args(Source)}
    during = [name for name in names["during"] if not name.startswith("due_")]
    if during:
        yield _during(users, whose, during), True
    if names["before"]:
        yield before(users, whose, names["before"], dialect), True
    for name in sorted({*names["attribute"], *names["attribute_known"]}):
        stored = table(schema.user_attributes).filter(_.dataset == whose.dataset, _.name == name)
        yield stored.select(of_user=_.user_id, **{f"raw_{name}": _.value.cast("float64")}), False
    for place, name in enumerate(dimensions):
        if name != COHORT:
            yield stored_segment(whose.dataset, place, name), False


def _during(users: ir.Table, whose: OneOrMany, names: Sequence[Column]) -> ir.Table:
    """Total what users did in the experiment."""
    days = _of(whose, schema.user_days).filter(_.day <= whose.as_of)
    retained = [name for name in names if name.startswith("returned_")]
    if retained:
        keys = (*whose.keys, "user_id", "surface")
        days = days.drop("arm").join(users.select(*keys, "exposed_on"), keys)
    totals = {f"sum_{name}": _total(days, name) for name in _measures(names)}
    totals |= {f"sum_{name}": _returned(days, _days_of(name)) for name in retained}
    return days.group_by(**_of_keys(whose)).agg(**totals)


def _of_keys(whose: OneOrMany) -> dict[str, Deferred]:
    """Name what totals are of, so that they can be joined to the users."""
    return {"of_user": _.user_id, "of_surface": _.surface, **{f"of_{key}": _[key] for key in whose.keys}}


def before(users: ir.Table, whose: OneOrMany, names: Sequence[Column], dialect: str) -> ir.Table:
    """Total what users did on the surface on the days before their exposure's, in earlier experiments.

    Gives (of_user, of_surface, before_sum_known, before_sum_NAME of each measure), of those with such a day; of several
    experiments also of_experiment.
    """
    days = _earlier_days(whose)
    if whose.ended_before:
        totals = {f"before_sum_{name}": _total(days, name) for name in _measures(names)}
        return days.group_by(**_of_keys(whose)).agg(before_sum_known=_.count(), **totals)
    since = days_before(users.exposed_on, whose.covariate_days, dialect)
    keys = (*whose.keys, "user_id", "surface")
    exposed = users.select(*keys, "exposed_on", since=since)
    # Bounds of the day itself: both engines find such days by their key.
    pairs = exposed.join(days.drop("arm"), keys).filter(_.day >= _.since, _.day < _.exposed_on)
    totals = {f"before_sum_{name}": _total(pairs, name) for name in _measures(names)}
    return pairs.group_by(**_of_keys(whose)).agg(before_sum_known=_.count(), **totals)


def _earlier_days(whose: OneOrMany) -> ir.Table:
    """Select the user-days of earlier experiments; of several, once for each experiment that they are before."""
    days = table(schema.user_days).filter(_.experiment.isin(whose.earlier or ("",)))
    if not whose.keys:
        return days
    before_which = ibis.table({"experiment": "string", "earlier": "string"}, name=EARLIER)
    return days.rename(earlier="experiment").join(before_which, "earlier")


def _value(joined: ir.Table, column: PerUser, as_of: date) -> ir.Value:
    """Return a column in whole steps, 0 where nothing is known."""
    match column.source:
        case "attribute":
            return in_steps(joined[f"raw_{column.name}"].fill_null(0.0), ATTRIBUTE_STEPS)
        case "attribute_known":
            return joined[f"raw_{column.name}"].notnull().ifelse(1, 0).cast("int64")
    if column.name.startswith("due_"):
        return (days_between(ibis.literal(as_of), joined.exposed_on) >= _days_of(column.name)).ifelse(1, 0)
    prefix = "sum_" if column.source == "during" else "before_sum_"
    total = joined[f"{prefix}{'clicks' if column.name == 'clicked' else column.name}"].fill_null(0)
    return (total > 0).ifelse(1, 0) if column.name in ("clicked", "known") else total


def _measures(names: Sequence[Column]) -> tuple[Measure, ...]:
    """Return the measures that columns are made of."""
    wanted = {"clicks" if name == "clicked" else name for name in names}
    return tuple(measure for measure in MEASURES if measure in wanted)


def day_steps(days: ir.Table, measure: Column) -> ir.Value:
    """Return what a user-day counts, in whole steps."""
    steps: int = STEPS.get(measure, 1)  # type: ignore[call-overload]
    return days[measure] if steps == 1 else in_steps(days[measure], steps)


def _total(days: ir.Table, measure: Column) -> ir.Value:
    """Add up a user's days: as floats, in which whole steps are exact.

    Integers of 64 bits would be added up in more: PostgreSQL's numerics are slow, DuckDB's 128 bits a tenth slower.
    """
    return day_steps(days, measure).cast("float64").sum().cast("int64")


def _day_value(days: ir.Table, name: Column) -> ir.Value:
    if name == "clicked":
        return (days.clicks > 0).ifelse(1, 0).cast("int64")
    return day_steps(days, name)


def _returned(days: ir.Table, after: int) -> ir.Value:
    came = (days.impressions > 0) & (days_between(days.day, days.exposed_on) == after)
    return came.ifelse(1, 0).max()


def _days_of(name: Column) -> int:
    found = RETENTION.fullmatch(name)
    assert found is not None
    return int(found.group(2))
