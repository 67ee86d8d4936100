"""The lift in each segment of one dimension beneath the lift of all users, all on one axis."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import altair as alt

from ab_platform.metrics import Metric
from ab_platform.reporting import figures
from ab_platform.reporting.bars import Axis, Bar, axis
from ab_platform.reporting.charts.frame import Record, rule, signed, sized, tooltip, value_axis, values
from ab_platform.reporting.charts.palette import NEUTRAL, TONES
from ab_platform.reporting.printed_rows import surface_label
from ab_platform.reporting.printed_segments import ALL
from ab_platform.reporting.verdict import TONES as VERDICTS
from ab_platform.reporting.verdict import heterogeneity, verdict
from ab_platform.results import LiftRow, SegmentRow, SegmentTestRow

ROW_HEIGHT = 28
USERS_PADDING = 10
LETTER_WIDTH, MOST_LETTERS = 6.6, 24
"""Pixels of a letter of a segment's name, about, and how many letters there is room for."""
FARTHEST = 2.0
"""As in `bars`, but less far: the small segments of a dimension are wide, and they are not what is looked for."""
FACTS = ("Segment", "Lift", "Interval", "Users, control", "Users, treatment")
"""What a mark says of its segment."""

SEGMENT, LIFT, LOW, HIGH, SAID = "segment", "lift", "low", "high", "said"


@dataclass(frozen=True)
class Layout:
    """What several such charts share, so that they can be compared.

    Attributes:
        axis: of the lifts.
        names: width of the column of names, in pixels.
    """

    axis: Axis
    names: int


def forest(
    segments: Sequence[SegmentRow],
    test: SegmentTestRow | None,
    overall: LiftRow,
    measured: Metric,
    *,
    layout: Layout | None = None,
    doubted: bool = False,
) -> alt.LayerChart:
    """Draw one row of the table in all segments of one dimension, in the order in which they are given.

    Args:
        segments: of one row and dimension, at least one.
        test: whether the lift differs between them; None where it is not tested.
        overall: the row among all users.
        measured: its metric.
        layout: that several such charts share; one of its own where None.
        doubted: whether split or data forbid to believe it, so that all users have no colour either.
    """
    shared = layout or laid_out(segments, overall)
    reach = shared.axis
    records = [record(overall, ALL), *(record(each, each.segment) for each in segments)]
    colour = NEUTRAL if doubted else TONES[VERDICTS[verdict(overall, measured)]]
    layers = [
        *_overall(overall, reach, colour, measured),
        *_intervals(records, shared, colour),
        *_cut_ends(records, reach),
        _users(records),
    ]
    drawn: alt.LayerChart = alt.layer(*layers).resolve_axis(x="independent", y="independent")
    return sized(drawn, ROW_HEIGHT * len(records), describe(segments, test, overall, measured))


def laid_out(segments: Sequence[SegmentRow], overall: LiftRow) -> Layout:
    """Choose an axis that holds zero and every interval, but for ends that lie far out, and room for every name."""
    longest = max(len(name) for name in (ALL, *(each.segment for each in segments)))
    return Layout(forest_axis(segments, overall), round(LETTER_WIDTH * min(longest, MOST_LETTERS)) + USERS_PADDING)


def forest_axis(segments: Sequence[SegmentRow], overall: LiftRow) -> Axis:
    """Choose an axis that holds zero and every interval, but for ends that lie far out."""
    rows: list[LiftRow | SegmentRow] = [overall, *segments]
    return axis([Bar(each.lift, each.low, each.high, "no", "") for each in rows], farthest=FARTHEST)


def describe(segments: Sequence[SegmentRow], test: SegmentTestRow | None, overall: LiftRow, measured: Metric) -> str:
    """Say in sentences what the chart shows, for who cannot see it."""
    found = "unknown" if test is None else heterogeneity(test, overall.alpha)
    words = {
        "differs": "The lift differs between segments.",
        "no difference shown": "No difference between segments is shown.",
        "unknown": "Whether the lift differs between segments is unknown.",
    }
    dimension = segments[0].dimension
    lifts = "; ".join(f"{each.segment} {_figures(each)[0]}" for each in segments)
    return (
        f"{surface_label(overall.surface)}, {measured.label}, {overall.arm}: lift by {dimension}, each with its "
        f"interval. All users {_figures(overall)[0]}; {lifts}. {words[found]}"
    )


def _figures(row: LiftRow | SegmentRow) -> tuple[str, str]:
    decimals = figures.lift_decimals(row.lift, row.low, row.high)
    return figures.percent(row.lift, decimals), figures.interval(row, decimals)


def record(row: LiftRow | SegmentRow, name: str) -> Record:
    """Give a row's figures to a chart, as they are stored and as they are printed.

    Args:
        row: of all users or of a segment.
        name: what it is called.
    """
    lift, interval = (signed(each) for each in _figures(row))
    users = f"{row.users_control:,}", f"{row.users_treatment:,}"
    facts = dict(zip(FACTS, (name, lift, interval, *users), strict=True))
    said = f"{name}: lift {lift}, interval {interval}, {users[0]} users in control, {users[1]} in treatment"
    return {SEGMENT: name, LIFT: row.lift, LOW: row.low, HIGH: row.high, SAID: said, "all": name == ALL} | facts


def _overall(overall: LiftRow, reach: Axis, colour: str, measured: Metric) -> Iterator[alt.Chart]:
    """Draw the interval of all users through every row, and zero."""
    if overall.low is not None and overall.high is not None:
        band = alt.MarkDef("rect", color=colour, opacity=0.14, clip=True, aria=False, tooltip=None)
        data = values([{LOW: overall.low, HIGH: overall.high}])
        yield alt.Chart(data, mark=band).encode(x=_x(LOW, reach), x2=HIGH)
    axis = value_axis(measured, "relative", orient="bottom")
    zero = values([{"zero": 0.0}])
    yield alt.Chart(zero, mark=rule(NEUTRAL, [1, 0], width=1.2)).encode(x=_x("zero", reach, axis=axis))


def _intervals(records: Sequence[Record], shared: Layout, colour: str) -> Iterator[alt.Chart]:
    data, reach = values(records), shared.axis
    coloured = alt.Color(
        "all", type="nominal", scale=alt.Scale(domain=[True, False], range=[colour, NEUTRAL]), legend=None
    )
    line = alt.MarkDef("rule", strokeWidth=2.5, clip=True, aria=False)
    yield alt.Chart(data, mark=line).encode(
        x=_x(LOW, reach), x2=HIGH, y=_y(records, _names(shared.names)), color=coloured, tooltip=tooltip(FACTS)
    )
    shape = alt.Shape(
        "all", type="nominal", scale=alt.Scale(domain=[True, False], range=["diamond", "circle"]), legend=None
    )
    size = alt.Size("all", type="nominal", scale=alt.Scale(domain=[True, False], range=[190, 80]), legend=None)
    point = alt.MarkDef("point", filled=True, opacity=1, clip=True)
    yield alt.Chart(data, mark=point).encode(
        x=_x(LIFT, reach),
        y=_y(records),
        color=coloured,
        shape=shape,
        size=size,
        description=alt.Description(SAID, type="nominal"),
        tooltip=tooltip(FACTS),
    )


def _names(width: int) -> alt.Axis:
    return alt.Axis(
        title=None,
        domain=False,
        ticks=False,
        grid=False,
        labelAlign="left",
        labelFlush=False,
        labelLimit=width,
        labelOverlap=False,
        labelPadding=width,
    )


def _cut_ends(records: Sequence[Record], reach: Axis) -> Iterator[alt.Chart]:
    for mark, cut in arrowheads(records, reach, "triangle-left", "triangle-right"):
        yield alt.Chart(cut, mark=mark).encode(x=_x("end", reach), y=_y(records))


def arrowheads(
    records: Sequence[Record], reach: Axis, below: str, above: str
) -> Iterator[tuple[alt.MarkDef, alt.InlineData]]:
    """Give a mark and its data for the ends of intervals that go on beyond a chart.

    Args:
        records: of segments.
        reach: what the chart holds.
        below: shape of an arrowhead at its lower end.
        above: the same, upper end.
    """
    for end, place, shape in ((LOW, reach.low, below), (HIGH, reach.high, above)):
        cut = [{SEGMENT: each[SEGMENT], "end": place} for each in records if _beyond(each[end], place)]
        if cut:
            mark = alt.MarkDef("point", shape=shape, filled=True, size=70, color=NEUTRAL, opacity=1, aria=False)
            yield mark, values(cut)


def _beyond(end: object, place: float) -> bool:
    return isinstance(end, float) and abs(end) > abs(place) and (end > 0) == (place > 0)


def _users(records: Sequence[Record]) -> alt.Chart:
    """Write the users of both arms at the right."""
    users = {str(each[SEGMENT]): f"{each[FACTS[3]]} / {each[FACTS[4]]}" for each in records}
    cases = (f"datum.value == {json.dumps(name)} ? {json.dumps(text)} : " for name, text in users.items())
    axis = alt.Axis(
        title=["users", "control / treatment"],
        titleAngle=0,
        titleAlign="left",
        titleAnchor="start",
        titleFontSize=11,
        titleX=USERS_PADDING,
        titleY=-22,
        orient="right",
        labelExpr="".join(cases) + "''",
        labelFlush=False,
        labelLimit=0,
        labelOverlap=False,
        labelPadding=USERS_PADDING,
        domain=False,
        ticks=False,
        grid=False,
    )
    mark = alt.MarkDef("point", opacity=0, aria=False, tooltip=None)
    return alt.Chart(values(records), mark=mark).encode(x=alt.value(0), y=_y(records, axis))


def _x(field: str, reach: Axis, *, axis: alt.Axis | None = None) -> alt.X:
    scale = alt.Scale(domain=[reach.low, reach.high], nice=False, zero=False)
    return alt.X(field, type="quantitative", scale=scale, axis=axis)


def _y(records: Sequence[Record], axis: alt.Axis | None = None) -> alt.Y:
    order = [str(each[SEGMENT]) for each in records]
    return alt.Y(SEGMENT, type="nominal", sort=order, scale=alt.Scale(domain=order), axis=axis)
