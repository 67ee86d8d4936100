"""The true lifts: of a replay, from every user's outcome under both arms; of a simulated world, by construction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ab_platform.events import Surface
from ab_platform.experiment import Arm, Experiment
from ab_platform.lineage import Change
from ab_platform.metrics import Column, Metric
from ab_platform.results import Truth
from ab_platform.statistics.lift import Estimate, estimate
from ab_platform.statistics.moments import Moments
from ab_platform.storage.store import OutcomeColumns

COLUMNS: tuple[Column, ...] = ("impressions", "clicks", "clicked", "watch_seconds")
"""What is known of a replayed user under every arm."""

NOBODY = Moments.empty(len(COLUMNS))

ArmMoments = Mapping[tuple[Surface, str], Moments]
"""The moments of the users exposed on a surface over `COLUMNS`, by surface and arm."""


def truths(experiment: Experiment, outcomes: Sequence[OutcomeColumns], changes: Iterable[Change]) -> tuple[Truth, ...]:
    """Return the true lifts of a replay or of a simulated world; nothing of live visits.

    Args:
        experiment: the definition.
        outcomes: per arm and surface, what each replayed user does there; empty without a replay.
        changes: the experiment's log, in which a simulated world has written its truth.
    """
    simulated = next((change.after for change in changes if change.action == "simulate"), None)
    if simulated is not None:
        return _simulated(simulated)
    if not outcomes:
        return ()
    moments: ArmMoments = {(each.surface, each.arm): exposed_moments(each) for each in outcomes}
    return tuple(
        _truth(row.surface, row.metric, arm, estimates(moments, row.surface, row.metric, experiment.control, arm))
        for row in experiment.rows
        for arm in experiment.treatments
        if row.metric.statistic == "mean" and set(row.metric.columns) <= set(COLUMNS)
    )


def exposed_moments(outcomes: OutcomeColumns, among: NDArray[np.bool_] | None = None) -> Moments:
    """Return the moments of the users exposed on the surface, in the order of `COLUMNS`.

    Args:
        outcomes: of one arm on one surface.
        among: booleans (users,): who counts; everyone by default.
    """
    exposed = outcomes.impressions > 0
    if among is not None:
        exposed &= among
    columns = (outcomes.impressions, outcomes.clicks, outcomes.clicks > 0, outcomes.watch_seconds)
    return Moments.of(np.column_stack(columns).astype(float)[exposed])


def estimates(
    moments: ArmMoments, surface: Surface, metric: Metric, control: Arm, treatment: Arm
) -> tuple[Estimate, Estimate]:
    """Return a metric's estimates on one surface, control first."""
    numerator = COLUMNS.index(metric.numerator)
    denominator = None if metric.denominator is None else COLUMNS.index(metric.denominator)
    of_control, of_treatment = (moments.get((surface, arm.name), NOBODY) for arm in (control, treatment))
    return estimate(of_control, numerator, denominator), estimate(of_treatment, numerator, denominator)


def _truth(surface: Surface, metric: Metric, arm: Arm, estimates: tuple[Estimate, Estimate]) -> Truth:
    control, treatment = (each.value for each in estimates)
    if control is None or treatment is None or control == 0.0:
        return Truth(surface, metric.name, arm.name, control, treatment, None)
    return Truth(surface, metric.name, arm.name, control, treatment, (treatment - control) / abs(control))


def _simulated(world: Mapping[str, object]) -> tuple[Truth, ...]:
    known = world.get("truths", [])
    assert isinstance(known, list)
    return tuple(Truth(**each) for each in known)
