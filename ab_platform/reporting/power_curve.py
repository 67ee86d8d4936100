"""Users against the smallest lift they find: as bars in a terminal, and as a picture in SVG, drawn by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from ab_platform.power_plan import CurvePoint, PowerPlan, RowPower

BAR_WIDTH = 36
EIGHTHS = " ▏▎▍▌▋▊▉"

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 64, 52
LEGEND_STEP = 18
MOST_TICKS = 12
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, told apart by colour-blind people too; further lines are dashed."""


def as_bars(row: RowPower) -> str:
    """Draw one row's curve in text: a line for each number of users, evenly apart by factors, the longest bar first.

    Args:
        row: of a plan, with a curve.
    """
    marked = {row.users: "planned end"} if row.detectable is not None else {}
    points = {point.users: point.detectable for point in row.curve[::2]}
    if row.detectable is not None:
        points[row.users] = row.detectable
    if row.users_needed is not None and row.asked is not None:
        points[row.users_needed] = abs(row.asked)
        marked[row.users_needed] = "needed" if row.users != row.users_needed else "planned end, as needed"
    widest = max(points.values(), default=1.0)
    wide = max((len(f"{users:,}") for users in points), default=0)
    lines = (
        f"{users:>{wide},}  {100.0 * lift:6.2f} %  {_blocks(lift / widest)}  {marked.get(users, '')}"
        for users, lift in sorted(points.items())
    )
    return "\n".join(line.rstrip() for line in lines)


def as_svg(plan: PowerPlan) -> str:
    """Draw every row's curve on logarithmic axes; a full circle is the planned end, an empty one what is needed."""
    rows = [row for row in plan.rows if row.curve]
    height = HEIGHT + LEGEND_STEP * max(len(rows) - 1, 0)
    frame = _frame(rows, height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="12" fill="#333">',
        f"<title>{escape(plan.experiment)}: users and the smallest lift they find</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="15" font-weight="600">{escape(plan.experiment)}: '
        "smallest lift found, by users</text>",
        *_axes(frame),
    ]
    for place, row in enumerate(rows):
        parts += _line(row, frame, place)
    return "\n".join([*parts, "</svg>", ""])


def as_html(plan: PowerPlan) -> str:
    """Put the picture, and how its figures were made, on a page of its own."""
    told = "".join(f"<p>{escape(each)}</p>" for each in (*plan.told, f"Next: {plan.advice}."))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(plan.experiment)}: power</title>'
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:2rem auto;padding:0 1rem;color:#333}"
        f"svg{{max-width:100%;height:auto}}</style></head><body>\n{as_svg(plan)}{told}</body></html>\n"
    )


@dataclass(frozen=True)
class _Frame:
    """What the axes span, and where on the picture."""

    users: tuple[float, float]
    lifts: tuple[float, float]
    top: float
    bottom: float

    def x(self, users: float) -> float:
        """Return where so many users stand."""
        return LEFT + (WIDTH - LEFT - RIGHT) * _share(users, self.users)

    def y(self, lift: float) -> float:
        """Return where a lift stands; the largest is at the top."""
        return self.bottom - (self.bottom - self.top) * _share(lift, self.lifts)


def _frame(rows: Sequence[RowPower], height: int) -> _Frame:
    users = [point.users for row in rows for point in _shown(row)] or [100, 10_000]
    lifts = [point.detectable for row in rows for point in _shown(row)] or [0.01, 0.1]
    top = TOP + LEGEND_STEP * max(len(rows) - 1, 0)
    return _Frame((min(users), max(users)), (0.9 * min(lifts), 1.1 * max(lifts)), top, height - BOTTOM)


def _shown(row: RowPower) -> Sequence[CurvePoint]:
    marks = [point for point in (_planned(row), _needed(row)) if point is not None]
    return [*row.curve, *marks]


def _planned(row: RowPower) -> CurvePoint | None:
    return None if row.detectable is None else CurvePoint(row.users, row.detectable)


def _needed(row: RowPower) -> CurvePoint | None:
    if row.users_needed is None or row.asked is None:
        return None
    return CurvePoint(row.users_needed, abs(row.asked))


def _share(value: float, span: tuple[float, float]) -> float:
    low, high = (math.log(each) for each in span)
    return (math.log(value) - low) / (high - low) if high > low else 0.5


def _axes(frame: _Frame) -> Iterator[str]:
    for users in _ticks(frame.users):
        x = frame.x(users)
        yield f'<line x1="{x:.1f}" y1="{frame.top}" x2="{x:.1f}" y2="{frame.bottom}" stroke="#e6e6e6"/>'
        yield f'<text x="{x:.1f}" y="{frame.bottom + 18}" text-anchor="middle">{users:,.0f}</text>'
    for lift in _ticks(frame.lifts):
        y = frame.y(lift)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e6e6e6"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{100.0 * lift:g} %</text>'
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    yield f'<text x="{middle}" y="{frame.bottom + 40}" text-anchor="middle">users exposed, all arms together</text>'


def _ticks(span: tuple[float, float]) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten within a span; every third of them where they are many."""
    low, high = (math.floor(math.log10(each)) for each in span)
    steps = [round(step * 10.0**power, 9) for power in range(low, high + 1) for step in (1, 2, 5)]
    within = [step for step in steps if span[0] <= step <= span[1]]
    return within if len(within) <= MOST_TICKS else within[::3]


def _line(row: RowPower, frame: _Frame, place: int) -> Iterator[str]:
    """Yield the curve of the row at a place, its marks, and its line of the legend."""
    color, legend = COLORS[place % len(COLORS)], LEGEND_STEP * place + 44
    dashes = ' stroke-dasharray="6 4"' if place >= len(COLORS) else ""
    stroke = f'stroke="{color}" stroke-width="2"{dashes}'
    shown = sorted(_shown(row), key=lambda point: point.users)
    points = " ".join(f"{frame.x(each.users):.1f},{frame.y(each.detectable):.1f}" for each in shown)
    yield f'<polyline points="{points}" fill="none" {stroke}/>'
    for mark, fill in ((_planned(row), color), (_needed(row), "#fff")):
        if mark is not None:
            x, y = frame.x(mark.users), frame.y(mark.detectable)
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="{color}" stroke-width="2"/>'
    yield f'<line x1="{LEFT}" y1="{legend - 4}" x2="{LEFT + 22}" y2="{legend - 4}" {stroke}/>'
    yield f'<text x="{LEFT + 28}" y="{legend}">{escape(_legend(row))}</text>'


def _legend(row: RowPower) -> str:
    parts = [f"{row.row}, {row.arm}"]
    if row.detectable is not None:
        parts.append(f"● planned end: {100.0 * row.detectable:.1f} % with {row.users:,} users")
    if row.users_needed is not None and row.asked is not None:
        parts.append(f"○ {100.0 * abs(row.asked):g} % needs {row.users_needed:,}")
    return " · ".join(parts)


def _blocks(share: float) -> str:
    """Return a bar of a share of the width, to the eighth of a character."""
    eighths = round(8 * BAR_WIDTH * share)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip().ljust(BAR_WIDTH)
