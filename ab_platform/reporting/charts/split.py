"""The split day by day: the share of users that each treatment got, and the evidence against the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from statistics import NormalDist

import altair as alt

from ab_platform.reporting import figures
from ab_platform.reporting.charts.frame import Record, day_axis, day_scale, moment, signed, sized, tooltip, values
from ab_platform.reporting.charts.palette import NEUTRAL, WORSE, arm_colours
from ab_platform.reporting.printed_checks import gaps
from ab_platform.results import SampleRatioRow
from ab_platform.statistics.sample_ratio import ALARM_BELOW

HEIGHT = 200
LEAST_EVIDENCE = 0.01
"""Where the axis of e-values ends below: what is smaller says the same."""

EVIDENCE = "datum.value < 1e6 ? format(datum.value, datum.value < 1 ? '.2~f' : ',') : format(datum.value, '.0e')"

SHARES_DESCRIPTION = "Share of all users that each treatment got, by day, beside the share that its weight promises."
EVIDENCE_DESCRIPTION = "E-value against the split that the weights promise, by day, beside the value that alarms."


def shares(history: Sequence[SampleRatioRow]) -> alt.LayerChart:
    """Draw the share of users in each treatment beside what its weight promises, and how far chance goes.

    Args:
        history: checks of one scope, the oldest first; at least one.
    """
    records = list(_shares(history))
    x, colour = _x(history), _colour(history)
    y = alt.Y("share:Q", title="Share of users", axis=alt.Axis(format=".1%", grid=False), scale=alt.Scale(zero=False))
    shown = ["Day", "Arm", "Users", "Expected", "Gap"]
    base = alt.Chart(values(records))
    band = base.mark_area(opacity=0.16).encode(
        x=x, y=alt.Y("low:Q", title="Share of users"), y2=alt.Y2("high:Q"), color=colour
    )
    expected = base.mark_line(strokeDash=[5, 3], strokeWidth=1.2, opacity=0.8).encode(
        x=x, y=alt.Y("expected:Q"), color=colour
    )
    line = base.mark_line(strokeWidth=2.0).encode(x=x, y=y, color=colour)
    points = base.mark_point(filled=True, size=55, opacity=1.0).encode(
        x=x, y=y, color=colour, shape=_shape(), tooltip=tooltip(shown)
    )
    return _layered((band, expected, line, points), SHARES_DESCRIPTION)


def evidence(history: Sequence[SampleRatioRow]) -> alt.LayerChart:
    """Draw the e-value against the split by day, with the line from which it alarms.

    Args:
        history: checks of one scope, the oldest first; at least one.
    """
    alarm = 1.0 / ALARM_BELOW
    records = list(_evidence(history))
    highest = max([alarm, *(float(each["evidence"]) for each in records if isinstance(each["evidence"], float))])
    scale = alt.Scale(type="log", domain=[LEAST_EVIDENCE, highest * 10.0], clamp=True)
    powers = range(-2, 13, 2 if highest < 1e6 else 4)
    ticks = [10.0**power for power in powers if 10.0**power <= highest * 10.0]
    axis = alt.Axis(values=ticks, labelExpr=EVIDENCE, grid=False)
    y = alt.Y("evidence:Q", title="e-value", scale=scale, axis=axis)
    base, x = alt.Chart(values(records)), _x(history)
    limit = alt.Chart(values([{"alarm": alarm, "words": f"alarm from {alarm:,.0f}"}]))
    rule = limit.mark_rule(color=WORSE, strokeDash=[5, 3]).encode(y=alt.Y("alarm:Q", scale=scale, title="e-value"))
    label = limit.mark_text(align="left", baseline="bottom", dx=4, dy=-3, color=WORSE).encode(
        x=alt.value(0), y=alt.Y("alarm:Q", scale=scale), text=alt.Text("words:N")
    )
    line = base.mark_line(strokeWidth=2.0, color=NEUTRAL).encode(x=x, y=y)
    points = base.mark_point(filled=True, size=55, opacity=1.0).encode(
        x=x,
        y=y,
        shape=_shape(),
        color=alt.condition("datum.alarm", alt.value(WORSE), alt.value(NEUTRAL)),
        tooltip=tooltip(["Day", "e-value", "p-value"]),
    )
    return _layered((rule, label, line, points), EVIDENCE_DESCRIPTION)


def _layered(layers: Sequence[alt.Chart], description: str) -> alt.LayerChart:
    return sized(alt.LayerChart(layer=list(layers)), HEIGHT, description)


def _shares(history: Sequence[SampleRatioRow]) -> Iterator[Record]:
    """Yield a record a treatment and day; one without figures, of a day that was not analysed, breaks the line."""
    chance = NormalDist().inv_cdf(1.0 - ALARM_BELOW / 2.0)
    for row in history:
        users, printed = sum(row.counts), gaps(row)
        for place in range(1, len(row.arms)):
            expected = row.expected[place] / sum(row.expected) if sum(row.expected) else None
            off = None if expected is None or not users else chance * (expected * (1.0 - expected) / users) ** 0.5
            yield {
                "at": moment(row.as_of),
                "share": row.counts[place] / users if users else None,
                "expected": expected,
                "low": None if off is None or expected is None else max(0.0, expected - off),
                "high": None if off is None or expected is None else min(1.0, expected + off),
                "alarm": row.alarm,
                "Day": row.as_of.isoformat(),
                "Arm": row.arms[place],
                "Users": printed[place].found,
                "Expected": printed[place].expected,
                "Gap": signed(printed[place].gap),
            }
    treatments = history[-1].arms[1:]
    for day in _missing(history):
        for arm in treatments:
            yield {"at": moment(day), "share": None, "expected": None, "low": None, "high": None, "Arm": arm}


def _evidence(history: Sequence[SampleRatioRow]) -> Iterator[Record]:
    for row in history:
        yield {
            "at": moment(row.as_of),
            "evidence": None if row.e_value is None else max(float(row.e_value), LEAST_EVIDENCE),
            "alarm": row.alarm,
            "Day": row.as_of.isoformat(),
            "e-value": figures.e_value(row.e_value),
            "p-value": figures.p_value(row.p_value, ALARM_BELOW),
        }
    for day in _missing(history):
        yield {"at": moment(day), "evidence": None, "alarm": False}


def _missing(history: Sequence[SampleRatioRow]) -> Iterator[date]:
    """Yield the days between the first and the last that were not analysed."""
    there = {row.as_of for row in history}
    first, last = min(there), max(there)
    for number in range((last - first).days):
        day = first + timedelta(days=number)
        if day not in there:
            yield day


def _x(history: Sequence[SampleRatioRow]) -> alt.X:
    first, last = min(row.as_of for row in history), max(row.as_of for row in history)
    return alt.X("at", type="quantitative", scale=day_scale(first, last), axis=day_axis(first, last))


def _colour(history: Sequence[SampleRatioRow]) -> alt.Color:
    arms = history[-1].arms
    treatments = list(arms[1:])
    colours = list(arm_colours(len(arms))[1:])
    legend = alt.Legend(title=None, orient="top") if len(treatments) > 1 else None
    return alt.Color("Arm:N", scale=alt.Scale(domain=treatments, range=colours), legend=legend)


def _shape() -> alt.Shape:
    """Tell a day that alarms by its shape, too."""
    return alt.Shape("alarm:N", scale=alt.Scale(domain=[False, True], range=["circle", "square"]), legend=None)
