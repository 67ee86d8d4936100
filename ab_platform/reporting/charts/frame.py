"""What the charts of lifts share: their axes, their clock, and how a picture is told to who cannot see it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import altair as alt

from ab_platform.metrics import Metric
from ab_platform.reporting import figures
from ab_platform.reporting.html_parts import signed as signed  # a chart prints its figures as a table does
from ab_platform.reporting.viewing import Scale

WIDTH = 640
"""Of a chart that stands by itself; a page stretches it."""

MOST_DAY_LABELS = 8

Value = str | float | int | bool | None
Record = Mapping[str, Value]
Side = Literal["left", "right", "top", "bottom"]


def values(records: Iterable[Record]) -> alt.InlineData:
    """Give records to a chart."""
    return alt.InlineData(values=[dict(record) for record in records])


def moment(day: date, *, hours: int = 0) -> float:
    """Return a day as the milliseconds since 1970 of its beginning in UTC, so that no reader's clock moves it.

    Args:
        day: in UTC.
        hours: later than its beginning.
    """
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hours)).timestamp() * 1000.0


def day_axis(first: date, last: date) -> alt.Axis:
    """Name as many days of a chart, the first and the last given, as there is room for."""
    days = (last - first).days
    step = -(-(days + 1) // MOST_DAY_LABELS)
    ticks = [moment(first + timedelta(days=n)) for n in range(0, days + 1, step)]
    # The names are made of UTC, whatever the axis: a reader's own clock would call a day by that of the evening before.
    named = "utcFormat(datum.value, '%-d %b')"
    return alt.Axis(
        title=None,
        description=f"Days from {first.isoformat()} to {last.isoformat()}",
        values=ticks,
        labelExpr=named,
        labelFlush=False,
        labelOverlap=True,
        labelSeparation=8,
        grid=False,
        domain=False,
        ticks=False,
    )


def day_scale(first: date, last: date) -> alt.Scale:
    """Give each day of a chart as much room as every other; a day stands in the middle of its own.

    It is a scale of numbers, for values of `moment`: one of time takes the ends of its domain for local times.
    """
    return alt.Scale(domain=[moment(first, hours=-12), moment(last, hours=12)], nice=False, zero=False)


def sized(chart: alt.LayerChart, height: int, description: str) -> alt.LayerChart:
    """Give a chart its height, without what stands around it, all the width that there is, and its words.

    Args:
        chart: of layers.
        height: of the marks, in pixels.
        description: says what it shows, for who cannot see it.
    """
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    sized: alt.LayerChart = chart.properties(width=WIDTH, height=height, autosize=fit, description=description)
    return sized


def value_axis(measured: Metric, scale: Scale, *, orient: Side = "left", ticks: int = 6) -> alt.Axis:
    """Name the estimates of a scale with their sign, in percent or in the metric's unit.

    Args:
        measured: the metric.
        scale: of the estimates.
        orient: side of the chart.
        ticks: about how many there are.
    """
    times, sign = 100.0, " %"
    if scale == "difference":
        times, sign = figures.UNIT_SCALES[measured.unit], figures.DIFFERENCE_SIGNS[measured.unit]
    expression = f"datum.value == 0 ? '0' : format({times:g} * datum.value, '+,.3~f') + '{sign}'"
    return alt.Axis(
        title=None,
        orient=orient,
        labelExpr=expression,
        tickCount=ticks,
        gridOpacity=0.5,
        domain=False,
        ticks=False,
        labelPadding=6,
    )


def named_axis(names: Mapping[float, str], *, orient: Side) -> alt.Axis:
    """Write names at places; an axis takes its colour from the theme, which a mark of text does not.

    Args:
        names: by place.
        orient: side of the chart.
    """
    cases = "".join(f"+datum.value == {json.dumps(place)} ? {json.dumps(name)} : " for place, name in names.items())
    return alt.Axis(
        title=None,
        orient=orient,
        aria=False,
        values=list(names),
        labelExpr=f"{cases}''",
        labelOverlap="greedy",
        labelLimit=0,
        grid=False,
        domain=False,
        ticks=False,
        labelPadding=4,
    )


def rule(colour: str, dash: Sequence[float], *, width: float = 1.0) -> alt.MarkDef:
    """Draw a line through the whole chart that says nothing by itself."""
    return alt.MarkDef("rule", color=colour, strokeDash=list(dash), strokeWidth=width, aria=False, tooltip=None)


def tooltip(names: Sequence[str]) -> list[alt.Tooltip]:
    """Show printed figures under the names that they have as fields."""
    return [alt.Tooltip(field=name, type="nominal", title=name) for name in names]
