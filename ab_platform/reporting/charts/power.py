"""Users, or days, against the smallest lift that they find."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt

from ab_platform.power_plan import DayPoint, PowerPlan, RowPower
from ab_platform.reporting import figures
from ab_platform.reporting.charts.frame import Record, tooltip, values
from ab_platform.reporting.charts.palette import CONTROL, arm_colours

Against = Literal["users", "days"]

HEIGHT = 380
MOST_TICKS = 8
LEGEND_WIDTH = 270
"""Of its words, so that they stay within a telephone's width."""

TOLD = ("Row", "Users", "Day", "Lift found")
"""What a mark says when it is pointed at."""

PLANNED, NEEDED = "planned end", "what is looked for"


@dataclass(frozen=True)
class Curve:
    """One row of a plan, as it is drawn.

    Attributes:
        label: what it is called in the legend.
        row: of the plan.
        days: what it would find by the end of each day.
    """

    label: str
    row: RowPower
    days: tuple[DayPoint, ...]


def curves(plan: PowerPlan, drawn: Sequence[Curve], *, against: Against) -> alt.LayerChart:
    """Draw each row's curve: a full circle is the planned end, an empty one what it takes to find what is looked for.

    Args:
        plan: whose rows they are.
        drawn: rows with a curve, at least one.
        against: users, on a logarithmic axis, or days.
    """
    marks = [record for curve in drawn for record in _marks(plan, curve, against)]
    # By days the curve ends where nothing more is known; by users it goes on as straight as it is, up to its marks.
    beyond = marks if against == "users" else []
    lines = [record for curve in drawn for record in _line(curve, against)] + beyond
    points = [*lines, *marks]
    x, y = (
        _x_axis([_number(each, against) for each in points], against),
        _y_axis([_number(each, "lift") for each in points]),
    )
    colour = _colours(drawn)
    shown = tooltip(TOLD)
    line = alt.Chart(values(lines)).mark_line(strokeWidth=2.5).encode(x, y, colour, _dashes(drawn), tooltip=shown)
    # Nearly nothing to see, but wide enough to be pointed at.
    touched = alt.Chart(values(lines)).mark_circle(size=140, opacity=0.01).encode(x, y, colour, tooltip=shown)
    layers = [line, touched, *(_circles(marks, mark).encode(x, y, colour, tooltip=shown) for mark in (NEEDED, PLANNED))]
    whole = [_planned_day(plan, x), *layers] if against == "days" else layers
    return alt.LayerChart(layer=whole, height=HEIGHT, description=_description(plan, drawn, against))


def _line(curve: Curve, against: Against) -> list[Record]:
    if against == "days":
        return [_record(curve, point.users, point.day, point.detectable) for point in curve.days]
    day_of = {point.users: point.day for point in reversed(curve.days)}
    return [_record(curve, point.users, _first_day(day_of, point.users), point.detectable) for point in curve.row.curve]


def _first_day(day_of: Mapping[int, int], users: int) -> int | None:
    """Return the first day by whose end so many users are there, of the days that the curve reaches."""
    return min((day for there, day in day_of.items() if there >= users), default=None)


def _marks(plan: PowerPlan, curve: Curve, against: Against) -> list[Record]:
    row = curve.row
    found: list[Record] = []
    if row.detectable is not None:
        found.append({**_record(curve, row.users, plan.days, row.detectable), "mark": PLANNED})
    reached = row.days_needed is not None and row.days_needed <= max((each.day for each in curve.days), default=0)
    if row.users_needed is not None and row.asked is not None and (against == "users" or reached):
        found.append({**_record(curve, row.users_needed, row.days_needed, abs(row.asked)), "mark": NEEDED})
    return found


def _record(curve: Curve, users: int, day: int | None, lift: float) -> Record:
    told = (curve.label, f"{users:,}", "—" if day is None else f"{day}", figures.size(lift))
    return {"row": curve.label, "users": users, "days": day, "lift": lift, **dict(zip(TOLD, told, strict=True))}


def _number(record: Record, name: str) -> float:
    value = record[name]
    assert isinstance(value, int | float)
    return float(value)


def _x_axis(found: Sequence[float], against: Against) -> alt.X:
    low, high = min(found), max(found)
    if against == "days":
        axis = alt.Axis(title="days", grid=False, tickMinStep=1, tickCount=MOST_TICKS, format="d")
        return alt.X("days:Q", axis=axis, scale=alt.Scale(domain=[1, max(high, 2)], nice=False))
    axis = alt.Axis(title="users exposed, all arms together", grid=False, values=ticks(low, high), format="~s")
    return alt.X("users:Q", axis=axis, scale=alt.Scale(type="log", domain=[low, max(high, 1.01 * low)], nice=False))


def _y_axis(found: Sequence[float]) -> alt.Y:
    low, high = 0.9 * min(found), 1.1 * max(found)
    label = "format(100 * datum.value, '~r') + ' %'"
    axis = alt.Axis(
        title="smallest lift found", values=ticks(low, high), labelExpr=label, gridOpacity=0.5, domain=False
    )
    return alt.Y("lift:Q", axis=axis, scale=alt.Scale(type="log", domain=[low, high], nice=False))


def ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten within a span, or only the powers where those would be many."""
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        within = [each for power in powers for step in steps if low <= (each := float(f"{step}e{power}")) <= high]
        if len(within) <= MOST_TICKS:
            break
    return within


def _colours(drawn: Sequence[Curve]) -> alt.Color:
    labels = [curve.label for curve in drawn]
    scale = alt.Scale(domain=labels, range=list(arm_colours(len(labels) + 1)[1:]))
    return alt.Color("row:N", scale=scale, legend=_legend(drawn))


def _dashes(drawn: Sequence[Curve]) -> alt.StrokeDash:
    """Tell guardrails from primary rows without colour."""
    dashes = [[6, 4] if curve.row.role == "guardrail" else [1, 0] for curve in drawn]
    scale = alt.Scale(domain=[curve.label for curve in drawn], range=dashes)
    return alt.StrokeDash("row:N", scale=scale, legend=_legend(drawn))


def _legend(drawn: Sequence[Curve]) -> alt.Legend | None:
    """Name the curves where there are several; the widest layer is nearly nothing to see, and not what is named."""
    if len(drawn) == 1:
        return None
    return alt.Legend(
        title=None,
        orient="top",
        direction="vertical",
        columns=1,
        labelLimit=LEGEND_WIDTH,
        symbolType="stroke",
        symbolOpacity=1.0,
        symbolStrokeWidth=2.5,
    )


def _planned_day(plan: PowerPlan, x: alt.X) -> alt.Chart:
    drawn: alt.Chart = alt.Chart(values([{"days": plan.days}])).mark_rule(color=CONTROL, strokeDash=[3, 3]).encode(x)
    return drawn


def _circles(marks: Sequence[Record], mark: str) -> alt.Chart:
    """Draw the circles of one kind, a full one where the plan ends."""
    of_kind = alt.Chart(values([each for each in marks if each["mark"] == mark]))
    drawn: alt.Chart = of_kind.mark_point(size=130, strokeWidth=2.5, opacity=1.0, filled=mark == PLANNED)
    return drawn


def _description(plan: PowerPlan, drawn: Sequence[Curve], against: Against) -> str:
    ends = (
        f"{curve.label}: {figures.size(curve.row.detectable)} with {curve.row.users:,} users"
        for curve in drawn
        if curve.row.detectable is not None
    )
    return f"Smallest lift found against {against}. By the planned end, day {plan.days}: {'; '.join(ends)}."
