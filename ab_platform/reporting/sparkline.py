"""The lift by day, small: a band for its intervals, a line, zero; of HTML boxes alone, since SVG is stripped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ab_platform.reporting import figures
from ab_platform.reporting.overview import Point
from ab_platform.reporting.verdict import Tone

REACH = 2.5
"""The axis reaches so many times as far as the newest interval: the first days' would press the rest flat."""

HALF_LINE_PIXELS = 0.9

BAR_WIDTH = 4.0
"""Of an interval that has none beside it, in percent of the width."""


def sparkline(points: Sequence[Point], tone: Tone, arm: str) -> str:
    """Draw the lift by day; nothing without any.

    Args:
        points: the oldest first.
        tone: what the newest says.
        arm: the treatment, for who cannot see it.
    """
    if not points:
        return ""
    low, high = _axis(points)
    places = [(_x(points, place), 100.0 * (high - point.lift) / (high - low)) for place, point in enumerate(points)]
    pieces = [
        f'<span class="band" style="clip-path:polygon({_band(points, low, high)})"></span>',
        f'<span class="zero" style="top:{100.0 * high / (high - low):.1f}%"></span>',
        f'<span class="trace" style="clip-path:polygon({_trace(places)})"></span>',
        f'<span class="dot" style="left:{places[-1][0]:.1f}%;top:{_within(places[-1][1]):.1f}%"></span>',
    ]
    return f'<div class="spark {tone}" role="img" aria-label="{escape(_words(points, arm))}">{"".join(pieces)}</div>'


def _axis(points: Sequence[Point]) -> tuple[float, float]:
    """Choose an axis that holds zero and every lift and interval, as far as the newest makes sense of them."""
    newest = [abs(end) for end in (points[-1].lift, points[-1].low, points[-1].high) if end is not None]
    reach = REACH * max(max(newest), 1e-4)
    ends = [end for point in points for end in (point.lift, point.low, point.high) if end is not None]
    low, high = max(min(0.0, *ends), -reach), min(max(0.0, *ends), reach)
    slack = 0.06 * max(high - low, 1e-4)
    return low - slack, high + slack


def _x(points: Sequence[Point], place: int) -> float:
    """Return where a day stands, in percent of the width; a single one at the right, where the newest always is."""
    days = (points[-1].as_of - points[0].as_of).days
    return 100.0 if days == 0 else 100.0 * (points[place].as_of - points[0].as_of).days / days


def _band(points: Sequence[Point], low: float, high: float) -> str:
    """Return the corners of the intervals; of a single one, a bar."""
    ends = [(_x(points, place), each.low, each.high) for place, each in enumerate(points)]
    known = [(x, bottom, top) for x, bottom, top in ends if bottom is not None and top is not None]
    if len(known) == 1:
        [(x, bottom, top)] = known
        left = min(max(x - BAR_WIDTH / 2, 0.0), 100.0 - BAR_WIDTH)
        known = [(left, bottom, top), (left + BAR_WIDTH, bottom, top)]
    upper = [(x, _within(100.0 * (high - top) / (high - low))) for x, _, top in known]
    lower = [(x, _within(100.0 * (high - bottom) / (high - low))) for x, bottom, _ in reversed(known)]
    return ",".join(f"{x:.1f}% {y:.1f}%" for x, y in [*upper, *lower]) or "0 0"


def _trace(places: Sequence[tuple[float, float]]) -> str:
    """Return the corners of the line: there above it, back below it."""
    above = [f"{x:.1f}% calc({_within(y):.1f}% - {HALF_LINE_PIXELS}px)" for x, y in places]
    below = [f"{x:.1f}% calc({_within(y):.1f}% + {HALF_LINE_PIXELS}px)" for x, y in reversed(places)]
    return ",".join([*above, *below])


def _within(share: float) -> float:
    return min(max(share, 0.0), 100.0)


def _words(points: Sequence[Point], arm: str) -> str:
    newest = points[-1]
    decimals = figures.lift_decimals(newest.lift, newest.low, newest.high)
    now = f"{figures.percent(newest.lift, decimals)} as of {newest.as_of.isoformat()}"
    if len(points) == 1:
        return f"Lift of {arm}: {now}"
    first = points[0]
    return f"Lift of {arm} by day: {figures.percent(first.lift, decimals)} as of {first.as_of.isoformat()}, {now}"
