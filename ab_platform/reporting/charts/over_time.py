"""The lift as of each day, in two nested bands: what one look at the end promises, and what every look does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt

from ab_platform.metrics import Metric
from ab_platform.reporting.charts.frame import (
    Record,
    day_axis,
    day_scale,
    moment,
    named_axis,
    rule,
    signed,
    sized,
    tooltip,
    value_axis,
    values,
)
from ab_platform.reporting.charts.palette import NEUTRAL, TONES, TRUTH
from ab_platform.reporting.history import Calendar
from ab_platform.reporting.story import TRUE, Story, Told, describe, story
from ab_platform.reporting.verdict import Tone
from ab_platform.reporting.viewing import Scale
from ab_platform.results import LiftRow, LiftView

HEIGHT = 300
HALF_DAY = 12

SHAPES: dict[Tone, str] = {"better": "circle", "worse": "diamond", "no": "circle", "unknown": "circle"}
SIZES: dict[Tone, int] = {"better": 110, "worse": 130, "no": 50, "unknown": 50}
OPACITIES = (0.24, 0.4)
"""Of the bands, the wider first; the narrower lies on it."""
BAND_SIZE = 160
"""Of a band in the legend."""

DAY, LIFT, LOW, HIGH, RUN, MEANS, SAID = "day", "lift", "low", "high", "run", "means", "said"
FACTS = ("As of", "Lift", "For one look", "At every look", "Says")


def over_time(
    history: Sequence[LiftView],
    row: LiftRow,
    measured: Metric,
    planned: Calendar,
    *,
    covariates: bool | None = None,
    scale: Scale = "relative",
    truth: float | None = None,
) -> alt.LayerChart:
    """Draw how a lift came to be; the arguments are those of `story`."""
    return draw(story(history, row, measured, planned, covariates=covariates, scale=scale, truth=truth))


def draw(told: Story) -> alt.LayerChart:
    """Draw a story with its legend, its calendar and what each day says.

    Args:
        told: of one row, of at least one day.
    """
    layers = [*_bands(told), *_levels(told), *_marked_days(told), *_days(told)]
    drawn: alt.LayerChart = alt.layer(*layers).resolve_axis(x="independent", y="independent")
    return sized(drawn, HEIGHT, describe(told))


def _legend() -> alt.Legend:
    return alt.Legend(title=None, orient="bottom", direction="vertical", columns=1, labelLimit=0, symbolStrokeWidth=0)


def _bands(told: Story) -> Iterator[alt.Chart]:
    """Draw both bands through days in a row, and a bar where a day stands alone."""
    for name, mark in (("area", alt.MarkDef("area", aria=False, clip=True, tooltip=None)), ("bar", _alone())):
        records = [each for each in _ends(told) if (each[HIGH + "_day"] is not None) == (name == "bar")]
        if not records:
            continue
        chart = alt.Chart(values(records), mark=mark).encode(
            x=_days_of(told),
            y=_lifts_of(told, LOW),
            y2=HIGH,
            detail=alt.Detail(RUN, type="nominal"),
            fill=_coloured(told),
            opacity=alt.Opacity(MEANS, type="nominal", scale=_opaque(told), legend=_legend()),
        )
        yield chart.encode(x2=HIGH + "_day") if name == "bar" else chart


def _alone() -> alt.MarkDef:
    return alt.MarkDef("rect", aria=False, clip=True, tooltip=None)


def _ends(told: Story) -> Iterator[Record]:
    """Give both ends of both bands, by runs of days that have them."""
    for band, meaning in enumerate(told.bands):
        for number, run in enumerate(told.runs(band, bounded=True)):
            for day in run:
                alone = len(run) == 1
                found = day.spans[band]
                yield {
                    DAY: moment(day.as_of, hours=-3 if alone else 0),
                    HIGH + "_day": moment(day.as_of, hours=3) if alone else None,
                    LOW: found.low,
                    HIGH: found.high,
                    RUN: f"{band}-{number}",
                    MEANS: meaning,
                }


def _levels(told: Story) -> Iterator[alt.Chart]:
    """Draw the lines across all days: zero, a guardrail's margin, the true lift."""
    found = {"": 0.0} | told.levels
    for name, level in found.items():
        colour, dash = (TRUTH, [6, 4]) if name == TRUE else (NEUTRAL, [4, 3] if name else [1, 0])
        axis = named_axis({level: name}, orient="right") if name else None
        y = alt.Y("level", type="quantitative", scale=_scale(told), axis=axis)
        yield alt.Chart(values([{"level": level}]), mark=rule(colour, dash, width=1.5 if name else 1)).encode(y=y)


def _marked_days(told: Story) -> Iterator[alt.Chart]:
    """Draw the planned end, each change of the traffic and a stop; their names stand above."""
    marks = dict(_named_days(told.planned))
    axis = named_axis(marks, orient="top")
    x = alt.X(DAY, type="quantitative", scale=_clock(told), axis=axis)
    yield alt.Chart(values([{DAY: day} for day in marks]), mark=rule(NEUTRAL, [2, 3])).encode(x=x)


def _named_days(planned: Calendar) -> Iterator[tuple[float, str]]:
    # A change counts from its day on, so it stands before the mark of that day.
    if len(planned.ramp) > 1:
        for number, phase in enumerate(planned.ramp):
            yield moment(phase.since, hours=-HALF_DAY), f"{'' if number else 'traffic '}{100 * phase.traffic:g} %"
    if planned.stopped is not None:
        yield moment(planned.stopped), "stopped"
    yield moment(planned.last), "planned end"


def _days(told: Story) -> Iterator[alt.Chart]:
    records = list(_said(told))
    data = values(records)
    line = alt.MarkDef("line", aria=False, clip=True, color=NEUTRAL, strokeWidth=2, tooltip=None)
    bottom = alt.X(DAY, type="quantitative", scale=_clock(told), axis=day_axis(told.planned.first, told.last))
    left = alt.Y(LIFT, type="quantitative", scale=_scale(told), axis=value_axis(told.measured, told.scale))
    yield alt.Chart(data, mark=line).encode(x=bottom, y=left, detail=alt.Detail(RUN, type="nominal"))
    point = alt.MarkDef("point", filled=True, clip=True, strokeWidth=0)
    yield alt.Chart(data, mark=point).encode(
        x=_days_of(told),
        y=_lifts_of(told, LIFT),
        fill=_coloured(told),
        opacity=alt.Opacity(MEANS, type="nominal", scale=_opaque(told), legend=_legend()),
        shape=alt.Shape(MEANS, type="nominal", scale=_shaped(told), legend=_legend()),
        size=alt.Size(MEANS, type="nominal", scale=_sized(told), legend=_legend()),
        description=alt.Description(SAID, type="nominal"),
        tooltip=tooltip(FACTS),
    )
    # The whole height of a day answers the pointer, since a mark is small under a finger.
    hovered = alt.MarkDef("rule", aria=False, strokeWidth=24, opacity=0)
    yield alt.Chart(data, mark=hovered).encode(x=_days_of(told), tooltip=tooltip(FACTS))


def _said(told: Story) -> Iterator[Record]:
    for number, run in enumerate(told.runs()):
        for day in run:
            facts = dict(zip(FACTS, (signed(each) for each in day.facts), strict=True))
            yield {
                DAY: moment(day.as_of),
                LIFT: day.spans[1].middle,
                RUN: number,
                MEANS: told.meaning(day.tone),
                SAID: _sentence(day),
            } | facts


def _sentence(day: Told) -> str:
    return ", ".join(f"{name.lower()} {fact}" for name, fact in zip(FACTS, day.facts, strict=True))


def _days_of(told: Story) -> alt.X:
    return alt.X(DAY, type="quantitative", scale=_clock(told), axis=None)


def _lifts_of(told: Story, field: str) -> alt.Y:
    return alt.Y(field, type="quantitative", scale=_scale(told), axis=None)


def _clock(told: Story) -> alt.Scale:
    return day_scale(told.planned.first, told.last)


def _scale(told: Story) -> alt.Scale:
    return alt.Scale(domain=[told.axis.low, told.axis.high], nice=False, zero=False)


def _coloured(told: Story) -> alt.Fill:
    colours = [NEUTRAL, NEUTRAL, *(TONES[tone] for tone in told.tones)]
    return alt.Fill(MEANS, type="nominal", scale=alt.Scale(domain=told.meanings, range=colours), legend=_legend())


def _opaque(told: Story) -> alt.Scale:
    return alt.Scale(type="ordinal", domain=told.meanings, range=[*OPACITIES, *(1.0 for _ in told.tones)])


def _shaped(told: Story) -> alt.Scale:
    return alt.Scale(domain=told.meanings, range=["square", "square", *(SHAPES[tone] for tone in told.tones)])


def _sized(told: Story) -> alt.Scale:
    sizes = [BAND_SIZE, BAND_SIZE, *(SIZES[tone] for tone in told.tones)]
    return alt.Scale(type="ordinal", domain=told.meanings, range=sizes)
