"""Interval bars around a zero line, drawn with HTML boxes alone: what sanitises the page may strip SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

from ab_platform.reporting.figures import percent, unbounded
from ab_platform.reporting.printed import PrintedRow
from ab_platform.results import LiftRow, Truth

MARGIN = 7.0
"""Percent of the width left free at either side."""

FARTHEST = 4.0
"""An end farther out than this many times what the median row reaches is cut, with an arrow; the rest stay legible."""


@dataclass(frozen=True)
class Axis:
    """The lifts that all bars of one table share.

    Attributes:
        low: lift at the left, 0 or below.
        high: lift at the right, 0 or above.
    """

    low: float
    high: float

    def position(self, lift: float) -> float:
        """Return where a lift stands, in percent of the width; what lies beyond an end stands at the end."""
        inside = min(max(lift, self.low), self.high)
        return MARGIN + (100.0 - 2 * MARGIN) * (inside - self.low) / (self.high - self.low)

    def ticks(self) -> tuple[float, ...]:
        """Return two to six round lifts, 0 among them."""
        step = _round_step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(step * number for number in range(first, last + 1))


def axis(rows: Sequence[LiftRow], truths: Sequence[Truth] = ()) -> Axis:
    """Choose an axis that holds zero, every interval and every true lift, but for ends that lie far out."""
    ends = [*(end for row in rows for end in _ends(row)), *(truth.lift for truth in truths if truth.lift is not None)]
    if not any(ends):
        return Axis(-0.01, 0.01)
    reach = FARTHEST * median(max(abs(end) for end in _ends(row)) for row in rows if any(_ends(row)))
    low, high = max(min(0.0, *ends), -reach), min(max(0.0, *ends), reach)
    slack = 0.25 * (high - low)
    return Axis(min(low, -slack), max(high, slack))


def bar(row: PrintedRow, shared: Axis) -> str:
    """Draw one row: its interval, its lift and, where known, its true lift."""
    pieces = [_mark("zero", shared, 0.0), *_range(row, shared)]
    if row.row.lift is not None:
        pieces.append(_mark("lift", shared, row.row.lift))
    if row.true_lift is not None:
        pieces.append(_mark("true", shared, row.true_lift))
    word = row.verdict.split()[0]
    return f'<div class="bar {word}" role="img" aria-label="{escape(describe(row))}">{"".join(pieces)}</div>'


def scale(shared: Axis) -> str:
    """Draw the axis with its round lifts."""
    decimals = 0 if all(abs(round(100 * tick) - 100 * tick) < 1e-9 for tick in shared.ticks()) else 1
    labels = (
        f'<span class="tick" style="left:{shared.position(tick):.2f}%">{_tick(tick, decimals)}</span>'
        for tick in shared.ticks()
    )
    return f'<div class="scale">{"".join(labels)}</div>'


def describe(row: PrintedRow) -> str:
    """Say in words what the bar shows, for who cannot see it."""
    parts = [f"{row.label}: lift {row.lift}", f"interval {row.interval}", row.verdict]
    if row.truth is not None:
        parts.append(f"true lift {row.truth.lift}, {row.truth.remark}")
    return ", ".join(parts)


def _ends(row: LiftRow) -> tuple[float, ...]:
    return tuple(end for end in (row.low, row.lift, row.high) if end is not None)


def _range(row: PrintedRow, shared: Axis) -> Iterator[str]:
    low, high = row.row.low, row.row.high
    if unbounded(row.row):
        low, high = -math.inf, math.inf
    if low is None or high is None:
        return
    left, right = shared.position(low), shared.position(high)
    cuts = " cut-low" * (low < shared.low) + " cut-high" * (high > shared.high)
    yield f'<span class="range{cuts}" style="left:{left:.2f}%;width:{right - left:.2f}%"></span>'


def _mark(name: str, shared: Axis, lift: float) -> str:
    return f'<span class="{name}" style="left:{shared.position(lift):.2f}%"></span>'


def _tick(lift: float, decimals: int) -> str:
    return "0" if lift == 0.0 else percent(lift, decimals).replace("-", "−")


def _round_step(rough: float) -> float:
    """Return the least of 1, 2 or 5 times a power of ten that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough - 1e-12)
