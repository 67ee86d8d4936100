"""user_days -> Moments per arm -> Lifts and sample-ratio checks, stored by as_of; and the truth of a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from ab_platform.errors import NotFoundError
from ab_platform.events import Surface
from ab_platform.experiment import Arm, Experiment
from ab_platform.lineage import Launch
from ab_platform.metrics import COLUMNS, Metric, column_index, rows
from ab_platform.results import LiftRow, Readout, SampleRatioRow, Truth
from ab_platform.statistics.lift import Estimate, estimate, lift
from ab_platform.statistics.moments import Moments
from ab_platform.statistics.sample_ratio import sample_ratio
from ab_platform.storage.store import Exposed, OutcomeColumns, Store

NOBODY = Moments.empty(len(COLUMNS))

ArmMoments = Mapping[tuple[Surface, str], Moments]
"""The moments of the users exposed on a surface, by surface and arm."""


def analyze(store: Store, key: str, *, as_of: date | None = None) -> Readout:
    """Roll up what is new, compute every row of the table, and store it by `as_of`.

    Args:
        store: holds events, user-days and results.
        key: the experiment.
        as_of: last day (UTC, inclusive) that counts; by default the day of the newest event.

    Raises:
        NotFoundError: for an unknown experiment, or one without a single event.
    """
    launch = store.experiment(key)
    store.roll_up(key)
    watermark = store.watermark(key, as_of)
    if watermark is None:
        raise NotFoundError(f"{key} has no events that count yet; replay visits: `abp replay {key}`")
    as_of = as_of or watermark.astimezone(UTC).date()
    moments: ArmMoments = {(each.surface, each.arm): each.moments for each in store.moments(key, as_of)}
    store.write_readout(
        _lift_rows(launch.experiment, moments, as_of, watermark),
        _sample_ratio_rows(launch, store.exposed(key, as_of), as_of, watermark),
    )
    return readout(store, key, as_of=as_of)


def readout(store: Store, key: str, *, as_of: date | None = None) -> Readout:
    """Read the stored results of one experiment.

    Args:
        store: holds the results.
        key: the experiment.
        as_of: which analysis; the newest by default.

    Raises:
        NotFoundError: for an unknown experiment, or a day that was not analysed.
    """
    launch = store.experiment(key)
    lifts = store.lifts(key, as_of)
    if not lifts:
        when = "yet" if as_of is None else f"as of {as_of}"
        raise NotFoundError(f"{key} is not analysed {when}; run `abp analyze {key}`")
    experiment = launch.experiment
    return Readout(
        experiment=key,
        as_of=lifts[0].as_of,
        watermark=lifts[0].watermark,
        lifts=lifts,
        sample_ratios=store.sample_ratios(key, lifts[0].as_of),
        truths=truths(experiment, store.outcomes(key)),
        labels=_labels(experiment),
    )


def truths(experiment: Experiment, outcomes: Sequence[OutcomeColumns]) -> tuple[Truth, ...]:
    """Compute the true lifts of a replay: every user's outcome under both arms, nobody left out.

    Args:
        experiment: the definition.
        outcomes: per arm and surface, what each replayed user does there; empty without a replay.
    """
    if not outcomes:
        return ()
    moments: ArmMoments = {(each.surface, each.arm): exposed_moments(each) for each in outcomes}
    return tuple(
        _truth(surface, metric, arm, estimates(moments, surface, metric, experiment.control, arm))
        for surface, metric in rows(experiment.surfaces)
        for arm in experiment.treatments
    )


def exposed_moments(outcomes: OutcomeColumns, among: NDArray[np.bool_] | None = None) -> Moments:
    """Return the moments of the users exposed on the surface, in the order of `metrics.COLUMNS`.

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
    numerator = column_index(metric.numerator)
    denominator = None if metric.denominator is None else column_index(metric.denominator)
    of_control, of_treatment = (moments.get((surface, arm.name), NOBODY) for arm in (control, treatment))
    return estimate(of_control, numerator, denominator), estimate(of_treatment, numerator, denominator)


def _lift_rows(experiment: Experiment, moments: ArmMoments, as_of: date, watermark: datetime) -> list[LiftRow]:
    return [
        _lift_row(experiment, moments, arm, surface, metric, as_of, watermark)
        for surface, metric in rows(experiment.surfaces)
        for arm in experiment.treatments
    ]


def _lift_row(
    experiment: Experiment,
    moments: ArmMoments,
    arm: Arm,
    surface: Surface,
    metric: Metric,
    as_of: date,
    watermark: datetime,
) -> LiftRow:
    control, treatment = estimates(moments, surface, metric, experiment.control, arm)
    found = lift(control, treatment, alpha=experiment.alpha)
    of_control = moments.get((surface, experiment.control.name), NOBODY)
    of_treatment = moments.get((surface, arm.name), NOBODY)
    return LiftRow(
        experiment=experiment.key,
        as_of=as_of,
        surface=surface,
        metric=metric.name,
        arm=arm.name,
        method=found.method,
        alpha=found.alpha,
        watermark=watermark,
        users_control=of_control.n,
        users_treatment=of_treatment.n,
        numerator_control=_total(of_control, metric.numerator),
        numerator_treatment=_total(of_treatment, metric.numerator),
        denominator_control=_total(of_control, metric.denominator),
        denominator_treatment=_total(of_treatment, metric.denominator),
        control=control.value,
        treatment=treatment.value,
        lift=found.lift,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        reason=found.reason,
    )


def _total(moments: Moments, column: str | None) -> float:
    """Return the total of a column, or the number of users where there is no column."""
    if column is None or not moments.n:
        return float(moments.n)
    return float(moments.n * moments.means[COLUMNS.index(column)])


def _truth(surface: Surface, metric: Metric, arm: Arm, estimates: tuple[Estimate, Estimate]) -> Truth:
    control, treatment = (each.value for each in estimates)
    if control is None or treatment is None or control == 0.0:
        return Truth(surface, metric.name, arm.name, control, treatment, None)
    return Truth(surface, metric.name, arm.name, control, treatment, (treatment - control) / abs(control))


def _sample_ratio_rows(
    launch: Launch, exposed: Sequence[Exposed], as_of: date, watermark: datetime
) -> list[SampleRatioRow]:
    scopes = ("all", *launch.experiment.surfaces)
    return [_sample_ratio_row(launch, scope, exposed, as_of, watermark) for scope in scopes]


def _sample_ratio_row(
    launch: Launch, scope: str, exposed: Sequence[Exposed], as_of: date, watermark: datetime
) -> SampleRatioRow:
    experiment = launch.experiment
    users = {each.arm: each.users for each in exposed if each.scope == scope}
    arms = (experiment.control, *experiment.treatments)
    weights = [arm.weight for arm in arms]
    check = sample_ratio([users.get(arm.name, 0) for arm in arms], weights)
    return SampleRatioRow(
        experiment=experiment.key,
        as_of=as_of,
        scope=scope,
        watermark=watermark,
        arms=tuple(arm.name for arm in arms),
        counts=tuple(check.counts),
        expected=tuple(check.expected),
        chi2=check.chi2,
        p_value=check.p_value,
        alarm=check.alarm,
        reason=check.reason,
    )


def _labels(experiment: Experiment) -> dict[str, str]:
    """Say what each arm is, control first, by the settings that not all arms share."""
    shared = set.intersection(*(set(arm.config.items()) for arm in experiment.arms))
    labels = {}
    for arm in (experiment.control, *experiment.treatments):
        own = ", ".join(f"{name} {value}" for name, value in arm.config.items() if (name, value) not in shared)
        labels[arm.name] = f"{arm.recommender} ({own})" if own else arm.recommender
    return labels
