"""Figure 2: users in the plane, a chart a condition, a mark a mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt

from ab_platform.latent_findings import Cohort, Panel, Plane, Point
from ab_platform.reporting.charts.frame import Record, values
from ab_platform.reporting.charts.palette import ARMS, NEUTRAL
from ab_platform.reporting.html_key import Form, Mark
from ab_platform.reporting.latent import span

SIDE = 300
"""Pixels of a panel: three stand in a row on a page, one fills a phone."""

COLOURS = (ARMS[1], ARMS[2], ARMS[3])
FORMS: tuple[Form, ...] = ("circle", "square", "triangle-up")
"""Of the cohorts: told apart without colours too."""

PADDING = {"left": 2, "right": 2, "top": 2, "bottom": 2}

MARGIN = 0.04
"""Share of the reach of all marks that is left free around them."""


def panel(found: Panel, cohorts: Sequence[Cohort]) -> alt.LayerChart:
    """Draw one condition: a mark a mask, joined to the middle of its user's, and a cross at the user's mean anchor.

    Args:
        found: the condition.
        cohorts: of the plane; they decide form and colour.
    """
    scale = alt.Scale(domain=_square(found), nice=False)
    x, y = alt.X("x:Q", scale=scale, axis=None), alt.Y("y:Q", scale=scale, axis=None)
    names = [_words(each) for each in cohorts]
    colour = alt.Color("cohort:N", scale=alt.Scale(domain=names, range=COLOURS), legend=None)
    form = alt.Shape("cohort:N", scale=alt.Scale(domain=names, range=FORMS), legend=None)
    told = [alt.Tooltip("cohort:N", title="interactions"), alt.Tooltip("user:Q", title="user of this picture")]
    points = alt.Chart(values(_marks(found, cohorts))).encode(x=x, y=y, color=colour)
    layers = [points.mark_point(filled=True, size=24, opacity=0.75).encode(shape=form, tooltip=told)]
    if len(found.points) > 1:
        layers.insert(
            0, points.mark_rule(opacity=0.3, aria=False).encode(x2=alt.X2("middle_x:Q"), y2=alt.Y2("middle_y:Q"))
        )
    if found.centroids:
        crosses = alt.Chart(values(_centroids(found, cohorts))).mark_point(shape="cross", filled=True, size=40)
        layers.append(crosses.encode(x=x, y=y, color=colour, tooltip=told, opacity=alt.value(1)))
    framed = alt.ViewBackground(stroke=NEUTRAL, strokeOpacity=0.5, strokeWidth=1)
    drawn = alt.LayerChart(layer=layers)
    return drawn.properties(width=SIDE, height=SIDE, view=framed, padding=PADDING, description=described(found))


def described(found: Panel) -> str:
    """Say what a panel shows, for who cannot see it."""
    own = "" if found.own is None else f" The nearest other mark is the same user's for {100 * found.own:.0f} %."
    near = f" The nearest other user has as many interactions for {100 * found.same_cohort:.0f} %."
    return f"{found.arm}, {found.condition}: users in the plane.{own}{near}"


def marks(found: Plane) -> Iterator[Mark]:
    """Yield what all panels share as a legend."""
    for cohort, colour, form in zip(found.cohorts, COLOURS, FORMS, strict=False):
        yield Mark(_words(cohort), colour, form)
    yield Mark("masks of one user", NEUTRAL, "line")
    if any(each.centroids is not None for each in found.panels):
        yield Mark("mean of a user's anchors", NEUTRAL, "cross")


def _marks(found: Panel, cohorts: Sequence[Cohort]) -> Iterator[Record]:
    names = _of_users(cohorts)
    for user, places in enumerate(zip(*found.points, strict=True)):
        middle_x, middle_y = (sum(axis) / len(places) for axis in zip(*places, strict=True))
        for x, y in places:
            place = {"x": x, "y": y, "middle_x": middle_x, "middle_y": middle_y}
            yield place | {"user": user + 1, "cohort": names[user]}


def _centroids(found: Panel, cohorts: Sequence[Cohort]) -> Iterator[Record]:
    names = _of_users(cohorts)
    for user, (x, y) in enumerate(found.centroids or ()):
        yield {"x": x, "y": y, "user": user + 1, "cohort": names[user]}


def _of_users(cohorts: Sequence[Cohort]) -> list[str]:
    return [_words(each) for each in cohorts for _ in range(each.users)]


def _words(each: Cohort) -> str:
    return f"{each.name}: {span(each)} interactions"


def _square(found: Panel) -> list[float]:
    """Return one range for both axes, so that near is as near upwards as sideways."""
    points: list[Point] = [point for mask in (*found.points, found.centroids or ()) for point in mask]
    ends = [end for point in points for end in point]
    low, high = min(ends), max(ends)
    margin = MARGIN * (high - low) or 1.0
    return [low - margin, high + margin]
