"""The dials of the planner: what an experiment has, and what a person may set in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import streamlit as st

from ab_platform.drafting import Settings
from ab_platform.experiment import Experiment
from ab_platform.past import PastData
from ab_platform.planning import LONGEST, Given
from ab_platform.statistics.monitoring import MonitoringName
from dashboards import dials, folding

NAMES = ("days", "traffic", "lift", "monitoring", "looks", "power", "alpha", "control", "saved", "daily", "variation")
"""Of the dials that go back to where they stood when a plan starts from another experiment."""

LIFTS = (0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300)
"""Lifts to look for, in percent."""

LIFT = 3.0
"""What is looked for where the experiment does not say, in percent."""

ALPHAS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)

MOST_DAYS = 90
"""Of the dial, where the experiment is not longer itself."""

MONITORING: Mapping[MonitoringName, str] = {
    "fixed": "once, at the end",
    "sequential": "at any time",
    "group_sequential": "at planned looks",
}

LOOKS = 5


def turned(start: Experiment, measured: PastData) -> tuple[Settings, Given]:
    """Show the dials as the experiment has them, and return what they are turned to.

    Args:
        start: the experiment.
        measured: of past experiments, which tell where some dials stand.
    """
    columns = st.columns(4, gap="medium")
    with columns[0]:
        most = LONGEST if start.days > MOST_DAYS else MOST_DAYS
        days = dials.slide("days", "Days", start.days, span=(1, most))
    with columns[1]:
        traffic = _traffic(start)
    with columns[2]:
        lift = _lift(start)
    with columns[3]:
        monitoring = _monitoring(start)
    with folding.part("More settings", "more") as opened:
        more = _more(start, measured, grouped=monitoring == "group_sequential", shown=opened)
    chosen = Settings(days, traffic, lift, more.alpha, more.power, monitoring, more.looks, more.control_weight)
    return chosen, more.given


def _traffic(start: Experiment) -> float:
    share = max(1, round(100 * start.traffic))
    told = "Share of the users whom the experiment owns that are in it."
    chosen = dials.slide("traffic", "Traffic", share, span=(1, 100), sign="%d %%", told=told)
    # A dial that was not turned leaves what has more digits than it shows.
    return start.traffic if chosen == share and start.traffic else chosen / 100


def _lift(start: Experiment) -> float:
    asked = start.analysis.lift_to_find
    standing = LIFT if asked is None else round(100 * abs(asked), 6)
    told = "The smallest lift that should not be missed, on the primary rows."
    chosen = dials.step("lift", "Lift to find", standing, steps=LIFTS, words=_percent, told=told)
    return asked if asked is not None and chosen == standing else chosen / 100


def _monitoring(start: Experiment) -> MonitoringName:
    told = "How often the result may be looked at and acted on. More often takes more users."
    words = {str(name): text for name, text in MONITORING.items()}
    return cast(
        MonitoringName, dials.pick("monitoring", "Looked at", start.analysis.monitoring, words=words, told=told)
    )


@dataclass(frozen=True)
class _More:
    """What is rarely turned."""

    power: float
    alpha: float
    looks: int
    control_weight: float
    given: Given


def _more(start: Experiment, measured: PastData, *, grouped: bool, shown: bool) -> _More:
    columns = st.columns(4, gap="medium")
    with columns[0]:
        told = "Chance that a lift of this size is found."
        standing = round(100 * start.power)
        power = dials.slide("power", "Power", standing, span=(50, 99), sign="%d %%", told=told, shown=shown)
    with columns[1]:
        alpha = _alpha(start, shown=shown)
    with columns[2]:
        told = "Its share of the users; the treatments share the rest as they did."
        weight = round(100 * start.control.weight)
        label = "Users in the control"
        control = dials.slide("control", label, weight, span=(1, 99), sign="%d %%", told=told, shown=shown)
    with columns[3]:
        looks = start.analysis.looks or LOOKS
        if grouped:
            looks = dials.slide("looks", "Planned looks", looks, span=(2, 20), shown=shown)
    return _More(
        power=start.power if power == standing else power / 100,
        alpha=alpha,
        looks=looks,
        control_weight=start.control.weight if control == weight else control / 100,
        given=_given(measured, shown=shown),
    )


def _alpha(start: Experiment, *, shown: bool) -> float:
    told = "Chance that a lift is found where there is none."
    words = "{:g}".format
    return dials.step("alpha", "Alpha", start.alpha, steps=ALPHAS, words=words, told=told, shown=shown)


def _given(measured: PastData, *, shown: bool) -> Given:
    """Let what was measured be put aside."""
    saved = [each.variance_saved for each in measured.variations.values() if each.variance_saved is not None]
    columns = st.columns(4, gap="medium")
    with columns[0]:
        told = "Share of the variance that covariates (CUPED) take away, of every row. Left empty, it is as measured."
        empty = f"measured, {_span([max(100 * each, 0.0) for each in saved], ' %')}" if saved else "none"
        label, span = "Variance saved (%)", (0.0, 95.0)
        percent = dials.amount("saved", label, span=span, empty=empty, told=told, shown=shown)
    with columns[1]:
        told = "New ones, in all arms. Left empty, they come as they came to past experiments."
        label = "New users a day"
        daily = dials.amount("daily", label, span=(1.0, None), empty="measured", told=told, shown=shown)
    with columns[2]:
        told = "Standard deviation of a user over the mean, of every row. Left empty, it is as measured."
        coefficients = [each.coefficient for each in measured.variations.values()]
        empty = f"measured, {_span(coefficients, '')}" if coefficients else "assumed, 1"
        label = "Coefficient of variation"
        variation = dials.amount("variation", label, span=(0.01, None), empty=empty, told=told, shown=shown)
    return Given(users_per_day=daily, variation=variation, variance_saved=None if percent is None else percent / 100)


def _span(values: list[float], sign: str) -> str:
    ends = dict.fromkeys(f"{each:.2g}" for each in (min(values), max(values)))
    return " to ".join(ends) + sign


def _percent(value: float) -> str:
    return f"{value:g} %"
