"""Interval bars around a zero line, drawn with HTML boxes alone: what sanitises the page may strip SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

from ab_platform.reporting.figures import percent, unbounded
from ab_platform.reporting.printed_rows import PrintedRow
from ab_platform.reporting.printed_segments import PrintedSegment
from ab_platform.reporting.verdict import Tone

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

    def share(self, lift: float) -> float:
        """Return where a lift stands between both ends, 0 to 1; what lies beyond an end stands at the end."""
        return (min(max(lift, self.low), self.high) - self.low) / (self.high - self.low)

    def position(self, lift: float) -> float:
        """Return where a lift stands, in percent of the width, the free sides included."""
        return MARGIN + (100.0 - 2 * MARGIN) * self.share(lift)

    def ticks(self, most: int = 6) -> tuple[float, ...]:
        """Return one round lift to as many as there may be, 0 among them."""
        step = _round_step((self.high - self.low) / (most - 1))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(step * number for number in range(first, last + 1))


@dataclass(frozen=True)
class Bar:
    """What one bar shows: lifts as fractions, or differences in a metric's unit.

    Attributes:
        lift: where the mark is; None for none.
        low: lower end of the interval, minus infinity for one without; None where there is no interval.
        high: upper end.
        tone: what the colour says.
        words: the same for who cannot see it.
        margin: that a guardrail must stay on the good side of.
        true_lift: where it is known.
    """

    lift: float | None
    low: float | None
    high: float | None
    tone: Tone
    words: str
    margin: float | None = None
    true_lift: float | None = None

    @property
    def ends(self) -> tuple[float, ...]:
        """Return what the axis should hold of the row's own, as far as it is finite."""
        return tuple(end for end in (self.low, self.lift, self.high) if end is not None and math.isfinite(end))


def of_row(row: PrintedRow) -> Bar:
    """Return the bar of a row of the table."""
    effect = row.effect
    low, high = (-math.inf, math.inf) if effect.unbounded else (effect.low, effect.high)
    name = "lift" if effect.axis == "lift" else "difference"
    parts = [f"{row.label}: {name} {row.lift}", f"interval {row.interval}"]
    parts += [row.verdict] if row.truth is None else [row.verdict, f"true lift {row.truth.lift}, {row.truth.remark}"]
    return Bar(effect.point, low, high, row.tone, ", ".join(parts), effect.margin, row.true_lift)


def of_segment(segment: PrintedSegment) -> Bar:
    """Return the bar of a segment; without colour, since no segment has a verdict of its own."""
    row = segment.row
    low, high = (-math.inf, math.inf) if unbounded(row) else (row.low, row.high)
    return Bar(row.lift, low, high, "no", f"{segment.segment}: lift {segment.lift}, interval {segment.interval}")


def axis(bars: Sequence[Bar], *, farthest: float = FARTHEST) -> Axis:
    """Choose an axis that holds zero, every interval, margin and true lift, but for ends that lie far out.

    Args:
        bars: that share it.
        farthest: times what the median row reaches, beyond which an end is cut.
    """
    marks = (mark for bar in bars for mark in (bar.margin, bar.true_lift) if mark is not None)
    ends = [*(end for bar in bars for end in bar.ends), *marks]
    if not any(ends):
        return Axis(-0.01, 0.01)
    reaches = [max(abs(end) for end in bar.ends) for bar in bars if any(bar.ends)]
    reach = farthest * median(reaches) if reaches else math.inf
    low, high = max(min(0.0, *ends), -reach), min(max(0.0, *ends), reach)
    slack = 0.25 * (high - low)
    return Axis(min(low, -slack), max(high, slack))


def draw(bar: Bar, shared: Axis) -> str:
    """Draw one bar: its interval, its lift and, where there are, margin and true lift."""
    pieces = [_mark("zero", shared, 0.0)]
    if bar.margin is not None:
        pieces.append(_mark("margin", shared, bar.margin))
    pieces += _range(bar, shared)
    if bar.lift is not None:
        pieces.append(_mark("lift", shared, bar.lift))
    if bar.true_lift is not None:
        pieces.append(_mark("true", shared, bar.true_lift))
    return f'<div class="bar {bar.tone}" role="img" aria-label="{escape(bar.words)}">{"".join(pieces)}</div>'


def plot(bar: Bar, shared: Axis, width: int) -> str:
    """Draw one bar with characters: `|` is zero, `o` the lift, an arrowhead a cut end.

    Args:
        bar: what is drawn.
        shared: the axis.
        width: in characters, at least 3.
    """

    def place(lift: float) -> int:
        return round((width - 1) * shared.share(lift))

    cells = [" "] * width
    if bar.low is not None and bar.high is not None:
        left, right = place(bar.low), place(bar.high)
        cells[left : right + 1] = "-" * (right - left + 1)
        cells[left] = "<" if bar.low < shared.low else "["
        cells[right] = ">" if bar.high > shared.high else "]"
    cells[place(0.0)] = "|"
    if bar.lift is not None:
        cells[place(bar.lift)] = "o"
    return "".join(cells).rstrip()


def scale(shared: Axis, *, most: int = 6) -> str:
    """Draw the axis with its round lifts, as many as there is room for."""
    ticks = shared.ticks(most)
    decimals = 0 if all(abs(round(100 * tick) - 100 * tick) < 1e-9 for tick in ticks) else 1
    labels = (
        f'<span class="tick" style="left:{shared.position(tick):.2f}%">{_tick(tick, decimals)}</span>' for tick in ticks
    )
    return f'<div class="scale">{"".join(labels)}</div>'


def _range(bar: Bar, shared: Axis) -> Iterator[str]:
    if bar.low is None or bar.high is None:
        return
    left, right = shared.position(bar.low), shared.position(bar.high)
    cuts = " cut-low" * (bar.low < shared.low) + " cut-high" * (bar.high > shared.high)
    yield f'<span class="range{cuts}" style="left:{left:.2f}%;width:{right - left:.2f}%"></span>'


def _mark(name: str, shared: Axis, lift: float) -> str:
    return f'<span class="{name}" style="left:{shared.position(lift):.2f}%"></span>'


def _tick(lift: float, decimals: int) -> str:
    return "0" if lift == 0.0 else percent(lift, decimals).replace("-", "−")


def _round_step(rough: float) -> float:
    """Return the least of 1, 2 or 5 times a power of ten that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough - 1e-12)
