"""Latent spaces as pictures in SVG, drawn by hand: users in the plane, and bars by group of users."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from ab_platform.latent_findings import Cohort, Findings, Panel, Plane
from ab_platform.reporting.latent import group_names, span
from ab_platform.reporting.power_curve import COLORS

WIDTH = 1200
MARGIN, GAP = 40, 36
PANELS_A_ROW = 3
PANEL = (WIDTH - 2 * MARGIN - (PANELS_A_ROW - 1) * GAP) / PANELS_A_ROW
PANEL_HEAD, PANEL_FOOT = 50, 74
HEAD = 84
MARK = 3.4
BARS_HEIGHT, BARS_LEFT, BARS_BOTTOM = 460, 84, 64
MOST_TICKS = 6
FAINT = 'font-size="12" fill="#777"'


@dataclass(frozen=True)
class Series:
    """The bars of one colour: a low and a high end for each category, None where there is nothing."""

    label: str
    ends: Sequence[tuple[float, float] | None]


def plane(found: Plane) -> str:
    """Draw each condition as a panel: a mark a mask, its shape and colour the cohort's, joined to its user's others."""
    rows = math.ceil(len(found.panels) / PANELS_A_ROW)
    height = math.ceil(HEAD + rows * (PANEL_HEAD + PANEL + PANEL_FOOT))
    anchored = any(panel.centroids is not None for panel in found.panels)
    parts = [*_open("The same users under each condition", height), *_cohort_legend(found.cohorts, anchored=anchored)]
    for number, panel in enumerate(found.panels):
        x = MARGIN + (number % PANELS_A_ROW) * (PANEL + GAP)
        y = HEAD + (number // PANELS_A_ROW) * (PANEL_HEAD + PANEL + PANEL_FOOT)
        parts += [f'<g transform="translate({x:.1f},{y:.1f})">', *_panel(panel, found.cohorts), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def variances(found: Findings) -> str:
    """Draw the variance across masks of each arm, by how many interactions users have."""
    series = []
    for arm in found.arms:
        by_name = {group.group: group.variance for group in arm.geometry.groups}
        values = [by_name.get(name) for name in group_names(found)]
        series.append(Series(arm.arm, [None if value is None else (value, value) for value in values]))
    title = "How far masks move a user: variance of the posterior mean across masks"
    return bars(title, [f"{name} interactions" for name in group_names(found)], series, unit="trace of the covariance")


def distances(found: Findings) -> str:
    """Draw the latent distance of pairs that are near and far in input; a bar is the lower bound, its tip the upper."""
    series = [
        Series(arm.arm, [(pairs.low, pairs.high) for pairs in (arm.geometry.near, arm.geometry.far)])
        for arm in found.arms
    ]
    title = "How far apart posteriors are: 1-Wasserstein distance of pairs of users, lower and upper bound"
    return bars(title, ["pairs with near inputs", "pairs with far inputs"], series, unit="1-Wasserstein distance")


def bars(title: str, categories: Sequence[str], series: Sequence[Series], *, unit: str) -> str:
    """Draw bars in groups, one group a category and one bar a series, from 0; the legend names the series.

    Args:
        title: of the picture.
        categories: under the groups.
        series: as many ends each as there are categories.
        unit: of the axis.
    """
    top = max((high for each in series for ends in each.ends if ends for high in ends), default=0.0) or 1.0
    frame = _Frame(top, HEAD, BARS_HEIGHT - BARS_BOTTOM)
    parts = [*_open(title, BARS_HEIGHT), *_series_legend(series), *_axis(frame, unit)]
    slot = (WIDTH - BARS_LEFT - MARGIN) / len(categories)
    wide = min(0.8 * slot / len(series), 90.0)
    for place, category in enumerate(categories):
        middle = BARS_LEFT + (place + 0.5) * slot
        parts.append(f'<text x="{middle:.1f}" y="{frame.bottom + 24}" text-anchor="middle">{escape(category)}</text>')
        for number, each in enumerate(series):
            left = middle + (number - len(series) / 2) * wide
            parts += _bar(frame, each.ends[place], left, wide, COLORS[number % len(COLORS)])
    return "\n".join([*parts, "</svg>", ""])


@dataclass(frozen=True)
class _Frame:
    """What the vertical axis spans, from 0, and where on the picture."""

    most: float
    top: float
    bottom: float

    def y(self, value: float) -> float:
        """Return where a value stands; some room is left above the largest for its figure."""
        return self.bottom - (self.bottom - self.top) * value / (1.1 * self.most)


def _open(title: str, height: int) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" font-family="system-ui, sans-serif" font-size="14" fill="#333">'
    )
    yield f"<title>{escape(title)}</title>"
    yield '<rect width="100%" height="100%" fill="#fff"/>'
    yield f'<text x="{MARGIN}" y="34" font-size="18" font-weight="600">{escape(title)}</text>'


def _cohort_legend(cohorts: Sequence[Cohort], *, anchored: bool) -> Iterator[str]:
    for number, cohort in enumerate(cohorts):
        x = MARGIN + number * 250
        yield _mark(number, x + 8, 60, 2 * MARK)
        yield f'<text x="{x + 24}" y="65">{cohort.name}: {span(cohort)} interactions</text>'
    x = MARGIN + len(cohorts) * 250
    yield f'<path d="M{x} 60h22" stroke="#333" stroke-opacity="0.5" stroke-width="1.5"/>'
    yield f'<text x="{x + 30}" y="65">masks of one user</text>'
    if anchored:
        yield f'<path d="M{x + 180} 60h14m-7 -7v14" stroke="#333" stroke-width="1.5" fill="none"/>'
        yield f'<text x="{x + 202}" y="65">mean of a user\'s anchors</text>'


def _panel(panel: Panel, cohorts: Sequence[Cohort]) -> Iterator[str]:
    yield f'<text x="0" y="18" font-weight="600">{escape(panel.arm)}</text>'
    yield f'<text x="0" y="38">{escape(panel.condition)}</text>'
    yield f'<rect y="{PANEL_HEAD}" width="{PANEL:.1f}" height="{PANEL:.1f}" fill="#fafafa" stroke="#ccc"/>'
    numbers = [number for number, cohort in enumerate(cohorts) for _ in range(cohort.users)]
    placed = _placed(np.array([*panel.points, *([panel.centroids] if panel.centroids else [])]))
    masks = len(panel.points)
    for user, number in enumerate(numbers):
        yield from _user(placed[:masks, user], number)
    for centroid, number in zip(placed[masks:].reshape(-1, 2), numbers, strict=False):
        yield _cross(number, *centroid)
    yield from _axes()
    yield from _told(panel)


def _told(panel: Panel) -> Iterator[str]:
    """Say beneath a panel what the plane cannot show, since it is no measure of distance."""
    foot = PANEL_HEAD + PANEL + 40
    own = (
        "no masks: one mark a user" if panel.own is None else f"nearest mark is the same user's: {_percent(panel.own)}"
    )
    yield f'<text x="0" y="{foot:.1f}">{own}</text>'
    yield f'<text x="0" y="{foot + 20:.1f}">nearest other user has as many: {_percent(panel.same_cohort)}</text>'


def _axes() -> Iterator[str]:
    middle = PANEL / 2
    yield f'<text x="{middle:.1f}" y="{PANEL_HEAD + PANEL + 18:.1f}" text-anchor="middle" {FAINT}>t-SNE 1</text>'
    turned = f"translate(-8,{PANEL_HEAD + middle:.1f}) rotate(-90)"
    yield f'<text transform="{turned}" text-anchor="middle" {FAINT}>t-SNE 2</text>'


def _placed(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit points (masks, users, 2) into the panel, both axes at one scale."""
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    scale = 0.92 * PANEL / (max(float((high - low).max()), 1e-12))
    placed: NDArray[np.float64] = (points - (low + high) / 2) * scale + PANEL / 2 + np.array([0, PANEL_HEAD])
    return placed


def _user(points: NDArray[np.float64], number: int) -> Iterator[str]:
    """Yield a user's marks, and from their middle a line to each."""
    middle = points.mean(axis=0)
    if len(points) > 1:
        lines = "".join(f"M{middle[0]:.1f} {middle[1]:.1f}L{x:.1f} {y:.1f}" for x, y in points)
        yield f'<path d="{lines}" stroke="{COLORS[number]}" stroke-opacity="0.35" fill="none"/>'
    for x, y in points:
        yield _mark(number, x, y, MARK)


def _mark(number: int, x: float, y: float, size: float) -> str:
    """Return the mark of a cohort: a disc, a square or a triangle."""
    paint = f'fill="{COLORS[number]}" fill-opacity="0.75"'
    if number == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" {paint}/>'
    if number == 1:
        return f'<rect x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size:.1f}" height="{2 * size:.1f}" {paint}/>'
    corners = f"{x - size:.1f},{y + size:.1f} {x + size:.1f},{y + size:.1f} {x:.1f},{y - size:.1f}"
    return f'<polygon points="{corners}" {paint}/>'


def _cross(number: int, x: float, y: float) -> str:
    """Return the mark of a user's mean anchor."""
    place = f"M{x - MARK:.1f} {y:.1f}h{2 * MARK:.1f}M{x:.1f} {y - MARK:.1f}v{2 * MARK:.1f}"
    return f'<path d="{place}" stroke="{COLORS[number]}" stroke-width="1.5" fill="none"/>'


def _series_legend(series: Sequence[Series]) -> Iterator[str]:
    x = float(MARGIN)
    for number, each in enumerate(series):
        yield f'<rect x="{x:.0f}" y="52" width="16" height="16" fill="{COLORS[number % len(COLORS)]}"/>'
        yield f'<text x="{x + 24:.0f}" y="65">{escape(each.label)}</text>'
        x += 56 + 8 * len(each.label)


def _axis(frame: _Frame, unit: str) -> Iterator[str]:
    for value in _ticks(frame.most):
        y = frame.y(value)
        yield f'<line x1="{BARS_LEFT}" y1="{y:.1f}" x2="{WIDTH - MARGIN}" y2="{y:.1f}" stroke="#e6e6e6"/>'
        yield f'<text x="{BARS_LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">{value:g}</text>'
    middle = (frame.top + frame.bottom) / 2
    yield f'<text transform="translate(26,{middle:.0f}) rotate(-90)" text-anchor="middle">{escape(unit)}</text>'


def _bar(frame: _Frame, ends: tuple[float, float] | None, left: float, wide: float, color: str) -> Iterator[str]:
    if ends is None:
        return
    (low, high), middle = ends, left + wide / 2
    foot, tip = frame.y(low), frame.y(high)
    sides = f'x="{left + 2:.1f}" width="{wide - 4:.1f}"'
    yield f'<rect {sides} y="{foot:.1f}" height="{frame.bottom - foot:.1f}" fill="{color}"/>'
    if high > low:
        yield f'<path d="M{middle:.1f} {foot:.1f}V{tip:.1f}m-8 0h16" stroke="#333" stroke-width="2" fill="none"/>'
    yield f'<text x="{middle:.1f}" y="{tip - 7:.1f}" text-anchor="middle" font-size="13">{_figure(low)}</text>'


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _figure(value: float) -> str:
    """Print three digits, or all whole ones."""
    return f"{value:,.0f}" if value >= 100.0 or value == 0.0 else f"{value:#.3g}"


def _ticks(most: float) -> list[float]:
    """Return round values from 0 up to the largest, a few of them."""
    power = 10.0 ** math.floor(math.log10(most / MOST_TICKS))
    step = next(each * power for each in (1, 2, 5, 10) if MOST_TICKS * each * power >= most)
    return [number * step for number in range(int(1.1 * most / step) + 1)]
