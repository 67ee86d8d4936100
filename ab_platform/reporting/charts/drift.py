"""How masks and alignment move users, and who can learn from whom, as charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import altair as alt

from ab_platform.latent_findings import Contraction, Findings, Geometry, PairGroup
from ab_platform.reporting.charts.frame import Record, values
from ab_platform.reporting.charts.palette import NEUTRAL, TREATMENT, WORSE, arm_colours
from ab_platform.reporting.html_key import Form, Mark

HEIGHT, ROW, AROUND = 220, 44, 60
"""Pixels: of bars, of a row of dots, and of axes around them."""

LOW = 0.02
"""A bar below this share of the highest is hardly seen, so its figure stands above it."""

FIGURE = ",.3~r"

KINDS = ("measured", "predicted with the curvature before", "predicted with that after", "bound")
KIND_COLOURS = (TREATMENT, NEUTRAL, NEUTRAL, WORSE)
KIND_FORMS: tuple[Form, ...] = ("circle", "triangle-left", "triangle-right", "diamond")


@dataclass(frozen=True)
class Bar:
    """One bar: whose, in which group, how high, and what it says besides where the pointer rests."""

    arm: str
    group: str
    value: float
    told: str


@dataclass(frozen=True)
class Ratio:
    """A ratio of an arm to its control: what of, measured or predicted, and its value."""

    name: str
    kind: str
    value: float


def variances(found: Findings) -> alt.LayerChart:
    """Draw how far masks move users of each group: the variance of the posterior mean across masks."""
    bars = [
        Bar(arm.arm, group.group, group.variance, f"mean of {group.users:,} users")
        for arm in found.arms
        for group in arm.geometry.groups
    ]
    said = "How far masks move users: variance across masks by interactions."
    return _bars(found, bars, "variance across masks", said)


def distances(found: Findings) -> alt.LayerChart:
    """Draw how far apart posteriors of users with near and far inputs are: bounds on the 1-Wasserstein distance."""
    bars = [
        Bar(arm.arm, f"{end} inputs", pairs.low, f"at most {pairs.high:.3g}, mean of {pairs.pairs:,} pairs")
        for arm in found.arms
        for end, pairs in _ends(arm.geometry)
    ]
    said = "How far apart users are: least 1-Wasserstein distance of pairs."
    return _bars(found, bars, "1-Wasserstein distance", said)


def sharing(found: Findings) -> alt.LayerChart:
    """Draw for how many pairs there is a sharing radius at all, and for how many a step on one helps the other."""
    rooms = [
        Bar(arm.arm, f"radius > 0, {end}", 100 * pairs.room, f"percent of {pairs.compared:,} pairs")
        for arm in found.arms
        for end, pairs in _ends(arm.geometry)
    ]
    helped = [
        Bar(arm.arm, f"helped, {end}", 100 * pairs.helped, f"percent of {pairs.compared:,} pairs")
        for arm in found.arms
        for end, pairs in _ends(arm.geometry)
    ]
    said = "Percent of pairs with a sharing radius above 0, and of pairs where a small step helps."
    return _bars(found, rooms + helped, "% of pairs", said)


def contractions(found: Findings) -> alt.LayerChart:
    """Draw what alignment contracts beside what proposition 3.2 predicts: measured, both predictions and the bound."""
    ratios = [ratio for each in found.contractions for ratio in _ratios(each, several=len(found.contractions) > 1)]
    order = list(dict.fromkeys(ratio.name for ratio in ratios))
    most = 1.05 * max(1.0, *(ratio.value for ratio in ratios))
    records = values({"ratio": each.name, "kind": each.kind, "value": each.value} for each in ratios)
    dots = (
        alt.Chart(records)
        .mark_point(filled=True, size=110, opacity=1)
        .encode(
            y=alt.Y(
                "ratio:N",
                sort=order,
                title=None,
                axis=alt.Axis(labelLimit=150, labelFlush=False, ticks=False, domain=False),
            ),
            x=alt.X(
                "value:Q",
                title="arm / control",
                scale=alt.Scale(domain=[0, most], nice=False),
                axis=alt.Axis(format="~g", tickCount=5),
            ),
            color=alt.Color("kind:N", scale=alt.Scale(domain=KINDS, range=KIND_COLOURS), legend=None),
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=KINDS, range=KIND_FORMS), legend=None),
            tooltip=[alt.Tooltip("ratio:N"), alt.Tooltip("kind:N"), alt.Tooltip("value:Q", format=FIGURE)],
        )
    )
    said = "; ".join(f"{each.name}, {each.kind}: {each.value:.3g}" for each in ratios)
    one = (
        alt.Chart(values([{"one": 1.0}]))
        .mark_rule(color=NEUTRAL, strokeDash=[4, 3], aria=False)
        .encode(x=alt.X("one:Q"))
    )
    drawn = alt.LayerChart(layer=[one, dots])
    return drawn.properties(height=ROW * len(order), description=f"What alignment contracts. {said}.")


def arm_marks(found: Findings) -> Iterator[Mark]:
    """Yield the legend of all bars."""
    for arm, colour in zip(found.arms, arm_colours(len(found.arms)), strict=True):
        yield Mark(arm.arm, colour, "square")


def contraction_marks() -> Iterator[Mark]:
    """Yield the legend of the contractions."""
    for words, colour, form in zip(KINDS, KIND_COLOURS, KIND_FORMS, strict=True):
        yield Mark(words, colour, form)


def _bars(found: Findings, bars: Sequence[Bar], title: str, description: str) -> alt.LayerChart:
    """Draw bars in groups, one colour an arm, from 0."""
    arms = [arm.arm for arm in found.arms]
    groups = list(dict.fromkeys(bar.group for bar in bars))
    highest = max(bar.value for bar in bars)
    # A group's name takes two lines, so that all have room on a phone.
    labels = alt.Axis(labelAngle=0, ticks=False, domain=False, labelExpr="split(datum.label, ', ')", labelOverlap=False)
    base = alt.Chart(values(_record(bar, highest) for bar in bars)).encode(
        x=alt.X("group:N", sort=groups, title=None, axis=labels),
        xOffset=alt.XOffset("arm:N", sort=arms),
        y=alt.Y("value:Q", title=title, axis=alt.Axis(format=",~r", tickCount=4)),
    )
    drawn = base.mark_bar().encode(
        color=alt.Color("arm:N", scale=alt.Scale(domain=arms, range=list(arm_colours(len(arms)))), legend=None),
        tooltip=["arm:N", "group:N", alt.Tooltip("value:Q", title=title, format=FIGURE), alt.Tooltip("told:N")],
    )
    figures = base.mark_text(dy=-7, fontSize=11, color=NEUTRAL, aria=False).encode(text=alt.Text("figure:N"))
    listed = "; ".join(f"{bar.arm}, {bar.group}: {bar.value:.3g}" for bar in bars)
    chart = alt.LayerChart(layer=[drawn, figures])
    return chart.properties(height=HEIGHT, description=f"{description} {listed}.")


def _record(bar: Bar, highest: float) -> Record:
    figure = f"{bar.value:.2g}" if bar.value < LOW * highest else ""
    return {"arm": bar.arm, "group": bar.group, "value": bar.value, "told": bar.told, "figure": figure}


def _ends(geometry: Geometry) -> tuple[tuple[str, PairGroup], ...]:
    return ("near", geometry.near), ("far", geometry.far)


def _ratios(found: Contraction, *, several: bool) -> Iterator[Ratio]:
    predicted = (found.tau_before, found.tau_after, found.tau_bound)
    arm = f"{found.arm}: " if several else ""
    for name, measured, power in (("variance", found.variance_ratio, 2), ("distance", found.distance_ratio, 1)):
        # What was measured comes last, and so lies on top.
        for kind, value in zip((*KINDS[1:], KINDS[0]), (*(tau**power for tau in predicted), measured), strict=True):
            yield Ratio(f"{arm}{name}", kind, value)
    if found.relative_ratio is not None:
        yield Ratio(f"{arm}variance of spread", KINDS[0], found.relative_ratio)
