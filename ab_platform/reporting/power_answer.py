"""What a power plan comes to, in sentences, and its rows in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ab_platform.experiment import Experiment
from ab_platform.metrics import SURFACE_LABELS, Row
from ab_platform.power_plan import PowerPlan, RowPower
from ab_platform.reporting import figures
from ab_platform.reporting.html_parts import capital

ROUNDED = 1e-3
"""How far weights that are meant to be the same may be apart."""

UNITS = (" (s)", " (ms)")
"""Ends of a metric's label that a sentence leaves out; what a percentage is of stays."""


def answer(plan: PowerPlan, experiment: Experiment) -> str:
    """Say what the first primary row finds by the planned end, and what it would take to find what is asked.

    Args:
        plan: of the experiment.
        experiment: as it was planned.
    """
    row = next(row for row in plan.rows if row.role == "primary")
    words = row_words(rows_by_name(experiment)[row.row])
    arm = arm_words(row, experiment)
    against = f" of {arm}" if arm else ""
    days = _days(plan.days)
    if row.detectable is None:
        return f"With {days}, nothing can be shown in {words}: {row.reason}."
    found = (
        f"With {days} and {_users(row, experiment)}, a lift{against} of {figures.size(row.detectable)} in {words} "
        f"is found with {_power(row, experiment)}"
    )
    return f"{found}{_beyond(row)}."


def _power(row: RowPower, experiment: Experiment) -> str:
    """Say how surely one row is found; more surely than all of them, where guardrails have to hold as well."""
    own = f"{100.0 * row.power:.3g} % power"
    together = f" ({100.0 * experiment.power:.3g} % for all rows together)"
    return own if math.isclose(row.power, experiment.power) else own + together


def _beyond(row: RowPower) -> str:
    """Say what it would take to find what is asked."""
    if row.asked is None or row.users_needed is None:
        return ""
    asked, users = f"{100.0 * abs(row.asked):.3g} %", about(row.users_needed)
    if row.enough:
        by = "" if row.days_needed is None else f", there by day {row.days_needed:,}"
        return f", so the {asked} looked for would be found; that needs {users} users{by}"
    if row.days_needed is None:
        return f"; {asked} would need {users} users, more than come within a year"
    return f"; {asked} would need {users} users, {_days(row.days_needed)}"


def row_words(row: Row) -> str:
    """Name a row within a sentence, such as `play duration per user on Home Card`."""
    return f"{_metric_words(row)} on {SURFACE_LABELS[row.surface]}"


def row_label(row: Row) -> str:
    """Name a row by itself, such as `Home Card: play duration per user`."""
    return f"{SURFACE_LABELS[row.surface]}: {_metric_words(row)}"


def in_words(sentence: str, experiment: Experiment) -> str:
    """Name the rows of a sentence in words, and begin it with a capital."""
    # The longest first: the name of one row may begin another's.
    for name, row in sorted(rows_by_name(experiment).items(), key=lambda each: -len(each[0])):
        sentence = sentence.replace(name, row_words(row))
    return capital(sentence)


def rows_by_name(experiment: Experiment) -> Mapping[str, Row]:
    """Return the rows of an experiment by their name, as `surface.metric`."""
    return {row.name: row for row in experiment.rows}


def about(users: int) -> str:
    """Print a number of users with three digits, rounded up, since nobody can tell more."""
    if users < 1_000:
        return f"{users:,}"
    step = 10 ** (math.floor(math.log10(users)) - 2)
    return f"{math.ceil(users / step) * step:,}"


def evenly(experiment: Experiment) -> bool:
    """Tell whether all arms have the same weight, but for what is rounded."""
    weights = [arm.weight for arm in experiment.arms]
    return max(weights) - min(weights) < ROUNDED


def distinct(plan: PowerPlan, experiment: Experiment) -> tuple[RowPower, ...]:
    """Leave out the rows of treatments that have as many users as the first, since they say the same.

    Args:
        plan: of the experiment.
        experiment: as it was planned.
    """
    weights = {arm.name: arm.weight for arm in experiment.arms}
    first, *rest = (arm.name for arm in experiment.treatments)
    alike = {arm for arm in rest if abs(weights[arm] - weights[first]) < ROUNDED}
    return tuple(row for row in plan.rows if row.arm not in alike)


def arm_words(row: RowPower, experiment: Experiment) -> str:
    """Say which treatment a row of `distinct` is of; empty where there is but one."""
    weights = {arm.name: arm.weight for arm in experiment.arms}
    several = [arm.name for arm in experiment.treatments]
    if len(several) == 1:
        return ""
    alike = all(abs(weights[arm] - weights[row.arm]) < ROUNDED for arm in several)
    return "each treatment" if alike else row.arm


def _metric_words(row: Row) -> str:
    label = row.metric.label
    for unit in UNITS:
        label = label.removesuffix(unit)
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _users(row: RowPower, experiment: Experiment) -> str:
    weights = {arm.name: arm.weight for arm in experiment.arms}
    if evenly(experiment):
        return f"{round(row.users * weights[row.arm]):,} users an arm"
    return f"{row.users:,} users, {100.0 * weights[row.arm]:.3g} % of them in {row.arm}"


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days:,} days"
