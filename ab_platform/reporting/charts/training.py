"""How trainings went: NDCG@100 on the validation users by epoch, a mark at the epoch whose weights were kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import altair as alt

from ab_platform.reporting.charts.frame import Record, values
from ab_platform.reporting.charts.palette import arm_colours
from ab_platform.reporting.html_key import Mark

HEIGHT = 300


@dataclass(frozen=True)
class Curve:
    """One training.

    Attributes:
        arm: that was trained; its curves share a colour.
        run: which of its trainings, such as `seed 1`.
        ndcg: NDCG@100 on the validation users after each epoch, from the first.
        best_epoch: which came to the most, and whose weights a training keeps; 0 where none did.
        faint: whether it stands behind the others: a trial, which nobody is served by.
    """

    arm: str
    run: str
    ndcg: tuple[float, ...]
    best_epoch: int
    faint: bool = False


def training(curves: Sequence[Curve]) -> alt.LayerChart:
    """Draw curves, those of an arm in its colour, control first.

    Args:
        curves: each of at least one epoch.
    """
    points = values([point for number, curve in enumerate(curves) for point in _points(curve, number)])
    arms = list(dict.fromkeys(curve.arm for curve in curves))
    layers = [_lines(points, arms), _lasts(points, arms), _bests(points, arms)]
    drawn = alt.LayerChart(layer=layers)
    return drawn.properties(height=HEIGHT, description=described(curves))


def marks(curves: Sequence[Curve]) -> Iterator[Mark]:
    """Yield the legend."""
    arms = list(dict.fromkeys(curve.arm for curve in curves))
    for arm, colour in zip(arms, arm_colours(len(arms)), strict=True):
        yield Mark(arm, colour, "line")


def described(curves: Sequence[Curve]) -> str:
    """Say what the chart shows, for who cannot see it."""
    kept = "; ".join(
        f"{curve.arm}, {curve.run}: {curve.ndcg[curve.best_epoch - 1]:.4f} at epoch {curve.best_epoch} "
        f"of {len(curve.ndcg)}"
        for curve in curves
        if 0 < curve.best_epoch <= len(curve.ndcg) and not curve.faint
    )
    return f"Validation NDCG@100 by epoch. Weights kept: {kept or 'of none'}."


def _points(curve: Curve, number: int) -> Iterator[Record]:
    for epoch, ndcg in enumerate(curve.ndcg, start=1):
        yield {
            "arm": curve.arm,
            "run": curve.run,
            "curve": number,
            "epoch": epoch,
            "ndcg": ndcg,
            "faint": curve.faint,
            "kept": epoch == curve.best_epoch,
            "last": epoch == len(curve.ndcg),
        }


def _encoded(chart: alt.Chart, arms: Sequence[str]) -> alt.Chart:
    colours = alt.Scale(domain=list(arms), range=list(arm_colours(len(arms))))
    return chart.encode(
        x=alt.X(
            "epoch:Q",
            title="epoch",
            scale=alt.Scale(zero=False, nice=False),
            axis=alt.Axis(tickMinStep=1, tickCount=10, format="d", grid=False),
        ),
        y=alt.Y("ndcg:Q", title="validation NDCG@100", scale=alt.Scale(zero=False), axis=alt.Axis(format=".3f")),
        color=alt.Color("arm:N", scale=colours, legend=None),
        tooltip=[
            alt.Tooltip("arm:N"),
            alt.Tooltip("run:N", title="training"),
            alt.Tooltip("epoch:Q", format="d"),
            alt.Tooltip("ndcg:Q", title="NDCG@100", format=".4f"),
        ],
    )


def _lines(points: alt.InlineData, arms: Sequence[str]) -> alt.Chart:
    faint = alt.condition(alt.datum["faint"], alt.value(0.3), alt.value(0.95))
    wide = alt.condition(alt.datum["faint"], alt.value(1), alt.value(2))
    lines = _encoded(alt.Chart(points).mark_line(interpolate="linear"), arms)
    return lines.encode(detail=alt.Detail("curve:N"), opacity=faint, strokeWidth=wide)


def _lasts(points: alt.InlineData, arms: Sequence[str]) -> alt.Chart:
    """Mark where a curve ends; a training of one epoch is a mark and no line."""
    ends = alt.Chart(points).transform_filter((alt.datum["last"]) & (~alt.datum["kept"]))
    return _encoded(ends.mark_tick(orient="vertical", thickness=2, size=9), arms)


def _bests(points: alt.InlineData, arms: Sequence[str]) -> alt.Chart:
    kept = alt.Chart(points).transform_filter((alt.datum["kept"]) & (~alt.datum["faint"]))
    return _encoded(kept.mark_point(filled=True, size=90, opacity=1), arms)
