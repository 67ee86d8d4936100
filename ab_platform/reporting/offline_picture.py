"""How far each arm is from the control, as a forest plot in SVG, drawn by hand: a row an arm, a block a metric."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ab_platform.offline.results import ACCURACY, MAIN, Comparison, Difference, Verdict
from ab_platform.reporting.bars import Axis, Bar, axis

WIDTH, LEFT, RIGHT = 860, 190, 600
"""Of the picture, and where the plot begins and ends on it; names stand before, figures behind."""
TOP, ROW, BLOCK, BOTTOM = 64, 24, 34, 44

COLORS: dict[Verdict, str] = {"better": "#009e73", "worse": "#d55e00", "no difference shown": "#666666"}
"""Okabe and Ito's, told apart by colour-blind people too; a difference that is shown has a full mark besides."""

METRICS = (MAIN, *(metric for metric in ACCURACY if metric != MAIN))


def as_svg(comparison: Comparison) -> str:
    """Draw every difference with its interval; an end that lies far out is cut, with an arrow.

    Args:
        comparison: with at least one arm beside the control.
    """
    shared = axis([_bar(each) for each in comparison.differences])
    bottom = TOP + sum(BLOCK + ROW * len(comparison.of_metric(metric)) for metric in METRICS)
    height = bottom + BOTTOM
    title = f"{comparison.split.dataset}: differences from {comparison.control}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="12" fill="#333">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="20" y="28" font-size="15" font-weight="600">{escape(title)}</text>',
        f'<text x="20" y="48" fill="#666">{escape(_legend(comparison))}</text>',
        *_axis(shared, bottom),
    ]
    top = float(TOP)
    for metric in METRICS:
        parts.append(f'<text x="20" y="{top + 24:.0f}" font-weight="600">{ACCURACY[metric]}</text>')
        top += BLOCK
        for each in comparison.of_metric(metric):
            parts += _row(each, shared, top + ROW / 2)
            top += ROW
    return "\n".join([*parts, "</svg>", ""])


def _legend(comparison: Comparison) -> str:
    seeds = max((each.paired.seeds for each in comparison.differences), default=1)
    over = f"{comparison.split.test_users:,} test users" + (f" and {seeds} seeds" if seeds > 1 else "")
    return f"{100 * comparison.confidence:g} % intervals over {over}; full mark: a difference is shown"


def _bar(each: Difference) -> Bar:
    found = each.paired
    return Bar(found.difference, found.low, found.high, "no", _figures(each))


def _figures(each: Difference) -> str:
    found = each.paired
    if found.low is None or found.high is None:
        return f"{found.difference:+z.4f}"
    return f"{found.difference:+z.4f} ({found.low:+z.4f} to {found.high:+z.4f})"


def _x(shared: Axis, difference: float) -> float:
    return LEFT + (RIGHT - LEFT) * shared.share(difference)


def _axis(shared: Axis, bottom: float) -> Iterator[str]:
    for tick in shared.ticks():
        x, stroke = _x(shared, tick), "#999" if tick == 0.0 else "#e6e6e6"
        yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="{stroke}"/>'
        label = "0" if tick == 0.0 else f"{tick:+.4g}".replace("-", "−")
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>'


def _row(each: Difference, shared: Axis, y: float) -> Iterator[str]:
    color = COLORS[each.verdict]
    yield f'<text x="{LEFT - 14}" y="{y + 4:.1f}" text-anchor="end">{escape(each.arm)}</text>'
    yield f'<text x="{RIGHT + 14}" y="{y + 4:.1f}" font-size="11">{_figures(each).replace("-", "−")}</text>'
    found = each.paired
    if found.low is not None and found.high is not None:
        left, right = _x(shared, found.low), _x(shared, found.high)
        yield f'<line x1="{left:.1f}" y1="{y}" x2="{right:.1f}" y2="{y}" stroke="{color}" stroke-width="2"/>'
        if found.low < shared.low:
            yield _arrow(LEFT, y, -1, color)
        if found.high > shared.high:
            yield _arrow(RIGHT, y, 1, color)
    if shared.low <= found.difference <= shared.high:
        fill = "#fff" if each.verdict == "no difference shown" else color
        x = _x(shared, found.difference)
        yield f'<circle cx="{x:.1f}" cy="{y}" r="4.5" fill="{fill}" stroke="{color}" stroke-width="2"/>'


def _arrow(x: float, y: float, direction: int, color: str) -> str:
    """Draw the head of an arrow that points out of the plot: 1 to the right, -1 to the left."""
    back = x - 8 * direction
    return f'<path d="M{x},{y} L{back},{y - 5} L{back},{y + 5} Z" fill="{color}"/>'
