"""The analytical expressions, in Ibis: one text for every engine, over tables described by the schema.

Population and counting are defined here and nowhere else. A user counts on a surface from the first impression there
on (the exposure), with the arm of that impression; events before it do not count, nor any outside the experiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from itertools import combinations_with_replacement

import ibis
import ibis.expr.types as ir
from ibis import _
from sqlalchemy import Boolean, Date, Float, Integer, String, Table, Uuid
from sqlalchemy.types import TypeEngine

from ab_platform.metrics import COLUMNS
from ab_platform.storage import schema

LIMB = 65_536
"""Milliseconds in the high limb of watch time.

A user's milliseconds go into the products as two integers, high * LIMB + low, so that neither a product nor its sum
over the weeks of a hundred million users leaves 64 bits: SQLite would refuse the sum, and floats would drop digits.
"""

LIMBS = ("impressions", "clicks", "clicked", "watch_high", "watch_low")
"""The columns that are summed, per user: those of `metrics.COLUMNS`, watch seconds as two limbs of milliseconds."""

PAIRS = tuple(combinations_with_replacement(range(len(LIMBS)), 2))
"""The products that are summed, as places in `LIMBS`."""

WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "impressions": (1, 0, 0, 0, 0),
    "clicks": (0, 1, 0, 0, 0),
    "clicked": (0, 0, 1, 0, 0),
    "watch_seconds": (0, 0, 0, LIMB, 1),
}
"""What each column of `metrics.COLUMNS` is as a sum of limbs; watch seconds in milliseconds."""

assert tuple(WEIGHTS) == COLUMNS


def table(described: Table) -> ir.Table:
    """Return an Ibis table with the name and columns of a SQLAlchemy table."""
    return ibis.table({column.name: _type(column.type) for column in described.c}, name=described.name)


def _type(column: TypeEngine[object]) -> str:
    """Return the name that Ibis has for a column's type."""
    match column:
        case schema.UtcDateTime():
            return "timestamp('UTC')"
        case Date():
            return "date"
        case Integer():
            return "int64"
        case Boolean():
            return "boolean"
        case Float():
            return "float64"
        case Uuid():
            return "uuid"
        case String():
            return "string"
    return "json"


@cache
def user_days(claimed: Table, dialect: str) -> str:
    """Write the query that counts user-days anew from events.

    Args:
        claimed: table of (experiment, user_id, day); every day of such a user from there on is counted, since a new
            exposure on a day changes what counts on the days after it.
        dialect: of the engine, as Ibis names it.
    """
    since = table(claimed).group_by("experiment", "user_id").agg(since=_.day.min())
    spans = table(schema.experiments).select("experiment", "ends_at", "stopped_at")
    exposures = table(schema.exposures).select("experiment", "user_id", "surface", "arm", exposed_at=_.at)
    events = table(schema.events).select("experiment", "user_id", "surface", "kind", "at", "watch_seconds")
    counted = (
        since.join(events, ["experiment", "user_id"])
        .join(exposures, ["experiment", "user_id", "surface"])
        .join(spans, "experiment")
        .filter(_.at >= _.exposed_at, _.at < _.ends_at, _.stopped_at.isnull() | (_.at < _.stopped_at))
        .mutate(day=_.at.date())
        .filter(_.day >= _.since)
    )
    totals = counted.group_by("experiment", "user_id", "surface", "day", "arm").agg(
        impressions=(_.kind == "impression").sum(),
        clicks=(_.kind == "click").sum(),
        # Whole milliseconds add up to the same total in any order.
        watch_seconds=_milliseconds(_.watch_seconds.fill_null(0.0)).sum() / 1000.0,
        last_at=_.at.max(),
    )
    return str(ibis.to_sql(totals, dialect=dialect))


def exposed_users(experiment: str, as_of: date) -> ir.Table:
    """Select who counts: (user_id, surface, arm) of the exposures of one experiment up to a day, inclusive."""
    spans = table(schema.experiments).filter(_.experiment == experiment).select("experiment", "ends_at", "stopped_at")
    return (
        table(schema.exposures)
        .join(spans, "experiment")
        .filter(_.at < _.ends_at, _.stopped_at.isnull() | (_.at < _.stopped_at), _.at.date() <= as_of)
        .select("user_id", "surface", "arm")
    )


def exposed(experiment: str, as_of: date, *, dialect: str) -> str:
    """Write the query that counts users by (scope, arm): each surface, and `all` for those exposed on any."""
    users = exposed_users(experiment, as_of)
    by_surface = users.group_by(scope=_.surface, arm=_.arm).agg(users=_.count())
    anywhere = users.group_by(scope=ibis.literal("all"), arm=_.arm).agg(users=_.user_id.nunique())
    return str(ibis.to_sql(by_surface.union(anywhere), dialect=dialect))


def moments(experiment: str, as_of: date, *, dialect: str) -> str:
    """Write the query of each (surface, arm): users `n`, `sum_I` of each limb and `product_I_J` of each two, I <= J.

    Everything in it is a sum of integers: the digits depend neither on the engine nor on the order of the rows.
    """
    totals = (
        table(schema.user_days)
        .filter(_.experiment == experiment, _.day <= as_of)
        .group_by("user_id", "surface")
        .agg(impressions=_.impressions.sum(), clicks=_.clicks.sum(), watch=_milliseconds(_.watch_seconds).sum())
    )
    per_user = exposed_users(experiment, as_of).left_join(totals, ["user_id", "surface"])
    limbs = per_user.select("surface", "arm", **_limbs(per_user))
    sums = {f"sum_{i}": limbs[name].sum() for i, name in enumerate(LIMBS)}
    products = {f"product_{i}_{j}": (limbs[LIMBS[i]] * limbs[LIMBS[j]]).sum() for i, j in PAIRS}
    return str(ibis.to_sql(limbs.group_by("surface", "arm").agg(n=_.count(), **sums, **products), dialect=dialect))


def _limbs(per_user: ir.Table) -> dict[str, ir.IntegerValue]:
    """Return what is summed of each user; a user without user-days is 0 throughout."""
    clicks, watch = per_user.clicks.fill_null(0), per_user.watch.fill_null(0)
    # Rounded up or down, the two limbs are the same sum.
    high = (watch / LIMB).round().cast("int64")
    values = (
        per_user.impressions.fill_null(0),
        clicks,
        (clicks > 0).ifelse(1, 0).cast("int64"),
        high,
        watch - high * LIMB,
    )
    return dict(zip(LIMBS, values, strict=True))


def _milliseconds(seconds: ir.FloatingValue) -> ir.IntegerValue:
    # Events are stored in thousandths, so an engine's way of rounding a half does not matter here.
    return (seconds * 1000).round().cast("int64")
