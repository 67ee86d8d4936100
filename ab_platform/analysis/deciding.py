"""What the rows say together: the decision rule, fed with the table, the split and the calendar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC

from ab_platform.lineage import Launch
from ab_platform.metrics import metric
from ab_platform.results import DecisionRow, LiftRow, Look, SampleRatioRow
from ab_platform.statistics.decision import (
    Calendar,
    Decision,
    GuardrailFinding,
    GuardrailRow,
    PrimaryFinding,
    PrimaryRow,
    Split,
    days_left,
    decide,
)
from ab_platform.storage.store import FirstExposed


def decisions(
    launch: Launch,
    lifts: Sequence[LiftRow],
    splits: Sequence[SampleRatioRow],
    look: Look,
    first: Sequence[FirstExposed],
    *,
    absent: str | None = None,
) -> tuple[DecisionRow, ...]:
    """Decide on every treatment.

    Args:
        launch: the experiment.
        lifts: the table.
        splits: checks of the split.
        look: what holds for all rows.
        first: users by the day of their first exposure.
        absent: why this look has no p-values, where it was not planned.
    """
    experiment = launch.experiment
    found = []
    for arm in experiment.treatments:
        rows = [row for row in lifts if row.arm == arm.name]
        primaries = [_primary(launch, row) for row in rows if row.role == "primary"]
        guards = [_guard(launch, row) for row in rows if row.role == "guardrail"]
        calendar = _calendar(launch, rows, look, first)
        decision = decide(primaries, guards, split=_split(splits, look), calendar=calendar)
        if absent is not None and decision.outcome == "not enough data":
            decision = Decision("keep running", absent, float(calendar.planned_days - calendar.days))
        found.append(
            DecisionRow(experiment.key, look.as_of, arm.name, decision.outcome, decision.reason, decision.days_left)
        )
    return tuple(found)


def breaches(launch: Launch, lifts: Sequence[LiftRow], *, looks: int = 1) -> tuple[LiftRow, ...]:
    """Return the guardrails that lie significantly beyond their margin.

    Args:
        launch: the experiment.
        lifts: the table.
        looks: among which the error rate is divided.
    """
    guards = [row for row in lifts if row.role == "guardrail"]
    shared = [replace(row, alpha=row.alpha / looks) for row in guards]
    return tuple(row for row, look in zip(guards, shared, strict=True) if _guard(launch, look).finding == "breached")


def _primary(launch: Launch, row: LiftRow) -> PrimaryRow:
    finding: PrimaryFinding = "no difference shown"
    if row.p_value is None or row.control is None or row.treatment is None:
        finding = "unknown"
    elif row.p_value < row.alpha:
        finding = "better" if (row.treatment > row.control) == _increase_is_good(launch, row) else "worse"
    return PrimaryRow(f"{row.surface}.{row.metric}", finding, row.reason)


def _guard(launch: Launch, row: LiftRow) -> GuardrailRow:
    finding: GuardrailFinding = "not shown"
    if row.p_value is None or row.lift is None:
        finding = "unknown"
    elif row.p_value < row.alpha:
        within = (row.lift > row.null_lift) == _increase_is_good(launch, row)
        finding = "non-inferior" if within else "breached"
    return GuardrailRow(f"{row.surface}.{row.metric}", finding, abs(row.null_lift), row.reason)


def _increase_is_good(launch: Launch, row: LiftRow) -> bool:
    return metric(row.metric, launch.experiment.metrics).increase_is_good


def _split(splits: Sequence[SampleRatioRow], look: Look) -> Split:
    """Take the worst of the checks; what a segment or phase too small to be tested leaves unknown does not count."""
    mixed = look.mixed_users / max(look.users + look.mixed_users, 1)
    alarmed = next((split for split in splits if split.alarm), None)
    if alarmed is not None:
        where = "" if alarmed.scope == "all" else f"on {alarmed.scope}: "
        return Split("alarm", f"{where}{alarmed.reason}", mixed)
    overall = next((split for split in splits if split.scope == "all"), None)
    if overall is None or overall.p_value is None:
        return Split("unknown", None if overall is None else overall.reason, mixed)
    return Split("trust", None, mixed)


def _calendar(launch: Launch, rows: Sequence[LiftRow], look: Look, first: Sequence[FirstExposed]) -> Calendar:
    experiment = launch.experiment
    begun = launch.starts_at.astimezone(UTC).date()
    days = (look.as_of - begun).days + 1
    stopped = launch.stopped_at is not None and launch.stopped_at.astimezone(UTC).date() <= look.as_of
    # A stopped experiment gets no more users: its end is reached.
    planned = days if stopped else experiment.days
    left = None if days >= planned else _days_left(launch, rows, days, planned - days, first)
    return Calendar(experiment.analysis.monitoring, days, planned, left)


def _days_left(
    launch: Launch, rows: Sequence[LiftRow], days: int, planned_left: int, first: Sequence[FirstExposed]
) -> float | None:
    """Return when the lift to find could be found on every primary row, at the present rate of new users.

    The smallest lift that can be found falls with the square root of the users.
    """
    wanted = launch.experiment.analysis.lift_to_find
    detectable = [row.detectable for row in rows if row.role == "primary"]
    if wanted is None or not detectable or any(each is None for each in detectable):
        return None
    begun = launch.starts_at.astimezone(UTC).date()
    by_day = [0] * days
    for each in first:
        by_day[(each.day - begun).days] += each.users
    largest = max(each for each in detectable if each is not None)
    needed = math.ceil(sum(by_day) * (largest / abs(wanted)) ** 2)
    return days_left(users_by_day=by_day, needed=needed, planned_left=planned_left)
