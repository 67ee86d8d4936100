"""How far each arm is from the control offline: a dot and its interval for each, on one axis with a zero line."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt

from ab_platform.offline.results import ACCURACY, Comparison, Difference
from ab_platform.reporting.bars import Axis, Bar, axis
from ab_platform.reporting.charts.frame import Record, signed, values
from ab_platform.reporting.charts.palette import BETTER, NEUTRAL, WORSE
from ab_platform.reporting.html_key import Form, Mark
from ab_platform.reporting.offline import difference_words, interval_words, p_words, relative_words

ROW, AROUND = 28, 60
"""Pixels: of a row, and of the axis around them."""

TICKS = "datum.value == 0 ? '0' : format(datum.value, '+~g')"
VERDICTS = ("better", "worse", "no difference shown")
COLOURS = (BETTER, WORSE, NEUTRAL)
FORMS: tuple[Form, ...] = ("triangle-up", "triangle-down", "circle")
"""Of the verdicts: told apart without colours too."""


def differences(found: Comparison, metric: str) -> alt.LayerChart:
    """Draw the differences from the control on one metric; an end that lies far out is cut, with an arrow.

    Args:
        found: with at least one arm beside the control.
        metric: one of `ACCURACY`.
    """
    rows = found.of_metric(metric)
    shared = axis([_bar(each) for each in rows])
    points = values([_record(each, found, shared) for each in rows])
    order = [each.arm for each in rows]
    y = alt.Y(
        "arm:N", sort=order, title=None, axis=alt.Axis(labelLimit=150, labelFlush=False, ticks=False, domain=False)
    )
    layers = [_zero(), _ranges(points, y), *_arrows(points, y, shared), _dots(points, y, shared)]
    drawn = alt.LayerChart(layer=layers)
    return drawn.properties(height=ROW * len(rows), description=described(found, metric))


def marks() -> Iterator[Mark]:
    """Yield the legend."""
    for verdict, colour, form in zip(VERDICTS, COLOURS, FORMS, strict=True):
        yield Mark(verdict, colour, form)


def described(found: Comparison, metric: str) -> str:
    """Say what the chart shows, for who cannot see it."""
    told = "; ".join(
        f"{each.arm} {difference_words(each.paired)} ({interval_words(each.paired)}), {each.verdict}"
        for each in found.of_metric(metric)
    )
    return f"Differences from {found.control} in {ACCURACY[metric]}: {told}."


def _bar(each: Difference) -> Bar:
    found = each.paired
    return Bar(found.difference, found.low, found.high, "no", "")


def _record(each: Difference, found: Comparison, shared: Axis) -> Record:
    paired = each.paired
    low, high = (paired.difference if end is None else end for end in (paired.low, paired.high))
    return {
        "arm": each.arm,
        "difference": paired.difference,
        "low": max(low, shared.low),
        "high": min(high, shared.high),
        "beyond": "low" if paired.difference < shared.low else "high" if paired.difference > shared.high else "",
        "cut_low": low < shared.low,
        "cut_high": high > shared.high,
        "verdict": each.verdict,
        "shown": signed(difference_words(paired)),
        "interval": signed(interval_words(paired)),
        "relative": signed(relative_words(paired)),
        "p": "not corrected" if each.adjusted_p_value is None else p_words(each.adjusted_p_value, found),
    }


def _zero() -> alt.Chart:
    zero: alt.Chart = alt.Chart(values([{"zero": 0.0}])).mark_rule(color=NEUTRAL, opacity=0.7).encode(x=alt.X("zero:Q"))
    return zero


def _ranges(points: alt.InlineData, y: alt.Y) -> alt.Chart:
    reach = alt.datum["high"] > alt.datum["low"]
    drawn: alt.Chart = (
        alt.Chart(points)
        .transform_filter(reach)
        .mark_rule(strokeWidth=2)
        .encode(y=y, x=alt.X("low:Q"), x2=alt.X2("high:Q"), color=_colour(), tooltip=_tooltip())
    )
    return drawn


def _arrows(points: alt.InlineData, y: alt.Y, shared: Axis) -> list[alt.Chart]:
    """Point out of the plot where an interval goes on."""
    return [
        alt.Chart(points)
        .transform_filter(alt.datum[f"cut_{end}"])
        .mark_point(shape=shape, filled=True, size=70, opacity=1)
        .encode(y=y, x=alt.datum(at), color=_colour(), tooltip=_tooltip())
        for end, shape, at in (("low", "triangle-left", shared.low), ("high", "triangle-right", shared.high))
    ]


def _dots(points: alt.InlineData, y: alt.Y, shared: Axis) -> alt.Chart:
    scale = alt.Scale(domain=[shared.low, shared.high], nice=False)
    x = alt.X("difference:Q", title=None, scale=scale, axis=alt.Axis(labelExpr=TICKS, tickCount=5))
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=VERDICTS, range=FORMS), legend=None)
    inside = alt.Chart(points).transform_filter(alt.datum["beyond"] == "")
    drawn: alt.Chart = inside.mark_point(filled=True, size=75, opacity=1).encode(
        y=y, x=x, color=_colour(), shape=shape, tooltip=_tooltip()
    )
    return drawn


def _colour() -> alt.Color:
    return alt.Color("verdict:N", scale=alt.Scale(domain=VERDICTS, range=COLOURS), legend=None)


def _tooltip() -> list[alt.Tooltip]:
    fields = {
        "arm": "arm",
        "shown": "difference",
        "interval": "interval",
        "relative": "relative",
        "p": "p (Holm)",
        "verdict": "verdict",
    }
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in fields.items()]
