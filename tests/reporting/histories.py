"""Lifts over time for the tests of charts, tables and pages: intervals that narrow as users come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from math import sqrt

from ab_platform.events import Surface
from ab_platform.lineage import Phase
from ab_platform.metrics import Role
from ab_platform.reporting.history import Calendar
from ab_platform.results import LiftRow, LiftView
from ab_platform.statistics.monitoring import MonitoringName
from tests.readouts import lift_row

FIRST = date(2025, 3, 3)
DAYS = tuple(FIRST + timedelta(days=number) for number in range(7))
CALENDAR = Calendar(FIRST, DAYS[-1], (Phase(FIRST, 1.0),), None)
RAMPED = Calendar(FIRST, DAYS[-1], (Phase(FIRST, 0.1), Phase(DAYS[1], 0.5), Phase(DAYS[3], 1.0)), None)

LIFTS = (0.021, 0.062, 0.051, 0.038, 0.047, 0.044, 0.045)
"""As of each day."""


WIDTHS: dict[MonitoringName, float] = {"fixed": 1.0, "sequential": 1.45}
"""Of the intervals, times that for one look."""


def views(
    surface: Surface = "home_card",
    metric: str = "play_duration",
    *,
    arm: str = "pia",
    role: Role = "primary",
    control: float = 41.32,
    lifts: Sequence[float] = LIFTS,
    days: Iterable[date] = DAYS,
    covariates: tuple[bool, ...] = (False,),
    null_lift: float = 0.0,
) -> tuple[LiftView, ...]:
    """Build the views of one row against the control; those with covariates have intervals of 0.8 times the width."""
    wanted = set(days)
    return tuple(
        LiftView("multi_vae", adjusted, replace(row, role=role, null_lift=null_lift))
        for day, lift in zip(DAYS, lifts, strict=True)
        if day in wanted
        for adjusted in covariates
        for row in _rows(surface, metric, arm, day, lift, control, 0.8 if adjusted else 1.0)
    )


def _rows(
    surface: Surface, metric: str, arm: str, day: date, lift: float, control: float, width: float
) -> Iterator[LiftRow]:
    reach = 0.09 * width / sqrt((day - FIRST).days + 1)
    for monitoring, times in WIDTHS.items():
        low, high = lift - times * reach, lift + times * reach
        row = lift_row(
            surface,
            metric,
            values=(control, control * (1 + lift)),
            lift=(lift, low, high),
            p_value=0.01 if low > 0 or high < 0 else 0.3,
            arm=arm,
        )
        yield replace(row, as_of=day, monitoring=monitoring)
