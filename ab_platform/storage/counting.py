"""Events -> user-days, in Ibis: one text for every engine.

Counting is defined here and nowhere else. A user counts on a surface from the first impression there on (the exposure),
with the arm of that impression; events before it do not count, nor any outside the experiment.
"""

from __future__ import annotations

from functools import cache

import ibis
import ibis.expr.types as ir
from ibis import _
from sqlalchemy import Column, Date, Integer, String, Table

from ab_platform.metrics import MEASURES, STEPS, Measure
from ab_platform.storage import schema
from ab_platform.storage.described import in_steps, table

VISIT_GAP_SECONDS = 1_800
"""A slate more than half an hour after the one before it, on the same surface, begins a visit."""

COUNTED = (
    *(schema.events.c[name] for name in ("experiment", "user_id", "surface", "arm", "event_id", "kind", "title_id")),
    *(schema.events.c[name] for name in ("at", "slate_id", "position", "impression_id", "watch_seconds", "latency_ms")),
    Column("day", Date),
    Column("fell_back", Integer),
    Column("own_arm", String),
)
"""Columns of the events that count: with the arm of the exposure, their day, 1 where another served than it, and the
arm that they name themselves."""

USER = ("experiment", "user_id", "surface", "arm")
DAY = (*USER, "day")


@cache
def counted_events(claimed: Table, dialect: str) -> str:
    """Write the query of the events that count of claimed users, in the order of the columns of `COUNTED`.

    Args:
        claimed: table of (experiment, user_id, day).
        dialect: of the engine, as Ibis names it.
    """
    users = table(claimed).select("experiment", "user_id").distinct()
    exposures = table(schema.exposures).select("experiment", "user_id", "surface", assigned=_.arm, exposed_at=_.at)
    counted = (
        _within(users, table(schema.events))
        .join(exposures, ["experiment", "user_id", "surface"])
        .filter(_.at >= _.exposed_at)
    )
    fell_back = (_.served_by != _.arm).ifelse(1, 0)
    in_order = counted.mutate(own_arm=_.arm, arm=_.assigned, day=_.at.date(), fell_back=fell_back)
    return str(ibis.to_sql(in_order.select(*(column.name for column in COUNTED)), dialect=dialect))


@cache
def user_days(claimed: Table, counted: Table, dialect: str) -> str:
    """Write the query that counts user-days anew.

    Args:
        claimed: table of (experiment, user_id, day); every day of such a user from there on is counted, since a new
            exposure on a day changes what counts on the days after it.
        counted: what `counted_events` gives.
        dialect: of the engine, as Ibis names it.
    """
    events = table(counted)
    impressions, clicks = (events.filter(_.kind == kind) for kind in ("impression", "click"))
    plain = events.group_by(*DAY).agg(
        impressions=(_.kind == "impression").sum(),
        clicks=(_.kind == "click").sum(),
        watch_seconds=_added_up(_.watch_seconds.fill_null(0.0), "watch_seconds"),
        last_at=_.at.max(),
    )
    # Parts under each other rather than side by side: SQLite cannot read joins nested this deep.
    parts = [
        _whole(part) for part in (plain, _of_slates(impressions), _of_clicks(clicks, impressions), _of_titles(events))
    ]
    totals = (
        ibis.union(*parts)
        .group_by(*DAY)
        .agg(**{measure: _[measure].sum() for measure in MEASURES}, last_at=_.last_at.max())
    )
    since = table(claimed).group_by("experiment", "user_id").agg(since=_.day.min())
    recent = totals.join(since, ["experiment", "user_id"]).filter(_.day >= _.since)
    in_order = recent.select("experiment", "user_id", "surface", "day", "arm", *MEASURES, "last_at")
    return str(ibis.to_sql(in_order, dialect=dialect))


def _whole(part: ir.Table) -> ir.Table:
    """Add the measures that a part does not count."""
    columns: dict[str, ir.Value] = {
        measure: (part[measure] if measure in part.columns else ibis.literal(0)).cast(
            "float64" if measure in STEPS else "int64"
        )
        for measure in MEASURES
    }
    last_at = part.last_at if "last_at" in part.columns else ibis.null("timestamp('UTC')")
    return part.select(*DAY, **columns, last_at=last_at)


@cache
def mixed_users(claimed: Table, counted: Table, dialect: str) -> str:
    """Write the query of claimed users who were served by several arms, and when first by the second one.

    No impression is before the exposure of its user and surface, so every one within the experiment counts. An exposure
    that a client told of is among them, as far as it stands.

    Args:
        claimed: table of (experiment, user_id, day).
        counted: what `counted_events` gives.
        dialect: of the engine, as Ibis names it.
    """
    users = table(claimed).select("experiment", "user_id").distinct()
    seen = ["experiment", "user_id", "arm", "at"]
    impressions = table(counted).filter(_.kind == "impression").mutate(arm=_.own_arm).select(seen)
    shown = impressions.union(_within(users, table(schema.exposures)).select(seen))
    first = shown.group_by("experiment", "user_id", "arm").agg(at=_.at.min())
    place = ibis.row_number().over(group_by=["experiment", "user_id"], order_by=["at", "arm"])
    second = first.mutate(place=place).filter(_.place == 1).select("experiment", "user_id", "at")
    return str(ibis.to_sql(second, dialect=dialect))


def _within(users: ir.Table, seen: ir.Table) -> ir.Table:
    """Select the events or exposures of (experiment, user_id) that fall within their experiment."""
    spans = table(schema.experiments).select("experiment", "starts_at", "ends_at", "stopped_at")
    return (
        users.join(seen, ["experiment", "user_id"])
        .join(spans, "experiment")
        .filter(_.at >= _.starts_at, _.at < _.ends_at, _.stopped_at.isnull() | (_.at < _.stopped_at))
        .drop("starts_at", "ends_at", "stopped_at")
    )


def _of_slates(impressions: ir.Table) -> ir.Table:
    """Count slates, the visits they make, and how they were served."""
    slates = impressions.group_by(*USER, "slate_id").agg(
        at=_.at.min(), fell_back=_.fell_back.max(), latency_ms=_.latency_ms.max()
    )
    timed = slates.mutate(day=_.at.date(), second=_seconds(_.at))
    before = timed.second.lag().over(group_by=USER, order_by=["at", "slate_id"])
    begun = timed.mutate(gap=_.second - before)
    return begun.group_by(*DAY).agg(
        slates=_.count(),
        visits=(_.gap.isnull() | (_.gap > VISIT_GAP_SECONDS)).ifelse(1, 0).sum(),
        fallback_slates=_.fell_back.sum(),
        timed_slates=_.latency_ms.notnull().ifelse(1, 0).sum(),
        latency_ms=_added_up(_.latency_ms.fill_null(0.0), "latency_ms"),
    )


def _of_clicks(clicks: ir.Table, impressions: ir.Table) -> ir.Table:
    """Count the ranks of what was clicked, and of each slate's first click the slate and how long it took.

    All of it on the day of the click itself: what a day counts must not depend on the days after it, since an event
    that arrives late has its own day and those after it counted anew, and none before.

    A click whose impression was never logged has no rank and no slate.
    """
    shown = impressions.select(
        "experiment", impression_id=_.event_id, shown_slate=_.slate_id, rank=_.position + 1, shown_at=_.at
    )
    ranked = (
        clicks.drop("slate_id", "position")
        .join(shown, ["experiment", "impression_id"])
        .mutate(place=ibis.row_number().over(group_by=[*USER, "shown_slate"], order_by=["at", "shown_at"]))
    )
    # A clock that runs behind the server's cannot click before it sees.
    waited = ranked.mutate(seconds=ibis.greatest(_seconds(_.at) - _seconds(_.shown_at), 0))
    return waited.group_by(*DAY).agg(
        clicked_slates=(_.place == 0).ifelse(1, 0).sum(),
        reciprocal_ranks=_added_up(1.0 / _.rank, "reciprocal_ranks"),
        first_click_seconds=(_.place == 0).ifelse(_.seconds, 0).cast("float64").sum(),
    )


def _of_titles(events: ir.Table) -> ir.Table:
    """Count titles on the day they were first watched, so that days add up to distinct titles."""
    watched = events.filter(_.kind == "watch").group_by(*USER, "title_id").agg(at=_.at.min())
    return watched.mutate(day=_.at.date()).group_by(*DAY).agg(titles_watched=_.count())


def _added_up(value: ir.Value, measure: Measure) -> ir.Value:
    """Add up whole steps: the total is the same in any order."""
    return in_steps(value, STEPS[measure]).sum() / float(STEPS[measure])


def _seconds(at: ir.Value) -> ir.Value:
    """Return whole seconds; engines round a fraction of one differently, so it is cut off first."""
    return at.epoch_seconds().cast("float64").floor().cast("int64")
