"""The lift on each day since the users' exposure: one that fades is a novelty, one that grows is learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt

from ab_platform.metrics import Metric
from ab_platform.reporting.bars import Axis
from ab_platform.reporting.charts.forest import FACTS, HIGH, LIFT, LOW, SAID, SEGMENT, arrowheads, forest_axis, record
from ab_platform.reporting.charts.frame import Record, rule, sized, tooltip, value_axis, values
from ab_platform.reporting.charts.palette import NEUTRAL
from ab_platform.reporting.printed_rows import surface_label
from ab_platform.results import LiftRow, SegmentRow

HEIGHT = 180


def novelty(ages: Sequence[SegmentRow], overall: LiftRow, measured: Metric) -> alt.LayerChart:
    """Draw one row by days since the exposure, beside the lift of all days.

    Args:
        ages: of one row, at least one, the day of the exposure first.
        overall: the row over all days.
        measured: its metric.
    """
    reach = forest_axis(ages, overall)
    records = [record(each, each.segment) for each in ages]
    layers = [*_overall(overall, reach), *_days(records, reach, measured)]
    drawn: alt.LayerChart = alt.layer(*layers).resolve_axis(x="independent", y="independent")
    return sized(drawn, HEIGHT, describe(ages, overall, measured))


def describe(ages: Sequence[SegmentRow], overall: LiftRow, measured: Metric) -> str:
    """Say in sentences what the chart shows, for who cannot see it."""
    lifts = "; ".join(str(record(each, f"day {each.segment}")[SAID]) for each in ages)
    return f"{surface_label(overall.surface)}, {measured.label}, {overall.arm}: lift by days since exposure. {lifts}."


def _overall(overall: LiftRow, reach: Axis) -> Iterator[alt.Chart]:
    """Draw the interval of all days through every one, and zero."""
    if overall.low is not None and overall.high is not None:
        band = alt.MarkDef("rect", color=NEUTRAL, opacity=0.14, clip=True, aria=False, tooltip=None)
        yield alt.Chart(values([{LOW: overall.low, HIGH: overall.high}]), mark=band).encode(y=_y(LOW, reach), y2=HIGH)
    yield alt.Chart(values([{"zero": 0.0}]), mark=rule(NEUTRAL, [1, 0])).encode(y=_y("zero", reach))


def _days(records: Sequence[Record], reach: Axis, measured: Metric) -> Iterator[alt.Chart]:
    data = values(records)
    line = alt.MarkDef("rule", strokeWidth=2.5, clip=True, aria=False, color=NEUTRAL)
    lifts = value_axis(measured, "relative", ticks=4)
    axis = alt.Axis(title="days since exposure", labelAngle=0, domain=False, ticks=False, grid=False)
    yield alt.Chart(data, mark=line).encode(
        x=_x(records, axis),
        y=_y(LOW, reach, axis=lifts),
        y2=HIGH,
        tooltip=tooltip(FACTS),
    )
    point = alt.MarkDef("point", filled=True, opacity=1, size=80, clip=True, color=NEUTRAL)
    yield alt.Chart(data, mark=point).encode(
        x=_x(records), y=_y(LIFT, reach), description=alt.Description(SAID, type="nominal"), tooltip=tooltip(FACTS)
    )
    for mark, cut in arrowheads(records, reach, "triangle-down", "triangle-up"):
        yield alt.Chart(cut, mark=mark).encode(x=_x(records), y=_y("end", reach))


def _x(records: Sequence[Record], axis: alt.Axis | None = None) -> alt.X:
    order = [str(each[SEGMENT]) for each in records]
    return alt.X(SEGMENT, type="nominal", sort=order, scale=alt.Scale(domain=order), axis=axis)


def _y(field: str, reach: Axis, *, axis: alt.Axis | None = None) -> alt.Y:
    scale = alt.Scale(domain=[reach.low, reach.high], nice=False, zero=False)
    return alt.Y(field, type="quantitative", scale=scale, axis=axis)
