"""How many users and days an experiment needs, and how small a lift the ones it gets can show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ab_platform.errors import ExperimentError, nearest
from ab_platform.experiment import Experiment
from ab_platform.metrics import Row
from ab_platform.past import Arrivals, PastData, past
from ab_platform.power_plan import (
    CurvePoint,
    DayPoint,
    PowerPlan,
    RowPower,
    Variation,
    advice,
    family_size,
    told,
    users_in,
)
from ab_platform.statistics import group_sequential
from ab_platform.statistics.confidence_sequence import tuned
from ab_platform.statistics.decision import guardrail_power
from ab_platform.statistics.monitoring import FIXED
from ab_platform.statistics.power import detectable_lift, users_needed
from ab_platform.storage.store import Store

ASSUMED_VARIATION = 1.0
"""A row's standard deviation over its mean, until past user-days tell."""

LONGEST = 365
"""Days beyond which no experiment is planned."""

CURVE_POINTS = 20
CURVE_REACH = 10.0
"""How many times the planned users a curve goes beyond them."""

DAYS_REACH = 4
"""How many times the planned days a curve over days goes beyond them."""

LEAST_KEPT = 1e-6
"""Share of the variance that is left at least, where covariates seemed to explain all of it."""

MANY = 1_000_000
"""Users at which required widths are compared; they depend on shares of the users, so any large number will do."""


@dataclass(frozen=True)
class Given:
    """What is said by hand in place of what is measured.

    Attributes:
        lift: to find on the primary rows, in place of the file's.
        users: in all arms at the planned end, on every surface.
        users_per_day: new ones, in all arms, on every surface.
        variation: coefficient of variation of every row that `variations` does not name.
        variations: the same by row, as `surface.metric`.
        variance_saved: share of every row's variance that covariates take away.
    """

    lift: float | None = None
    users: int | None = None
    users_per_day: float | None = None
    variation: float | None = None
    variations: Mapping[str, float] = field(default_factory=dict)
    variance_saved: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ExperimentError: naming the value found and what is required.
        """
        if self.lift is not None and not -1.0 < self.lift != 0.0:
            raise ExperimentError(f"lift is {self.lift}; it must be other than 0 and above -1, such as 0.03 for +3 %")
        if self.users_per_day is not None and not 0.0 < self.users_per_day < math.inf:
            raise ExperimentError(f"users per day are {self.users_per_day}; they must be above 0")
        named = [*self.variations.items(), *([("variation", self.variation)] if self.variation is not None else [])]
        for name, value in named:
            if not 0.0 < value < math.inf:
                raise ExperimentError(f"{name} is {value}; a coefficient of variation must be above 0, such as 1.5")
        if self.variance_saved is not None and not 0.0 <= self.variance_saved < 1.0:
            raise ExperimentError(f"variance saved is {self.variance_saved}; it must be a share in [0, 1), such as 0.3")


def plan(store: Store, experiment: Experiment, population: int, *, given: Given | None = None) -> PowerPlan:
    """Plan an experiment by what past ones on its data set measured.

    Args:
        store: holds their user-days.
        experiment: the definition.
        population: users of the data set.
        given: what is said by hand.

    Raises:
        ExperimentError: for a row that is not planned, or users that no arm can be made of.
    """
    return planned(experiment, past(store, experiment, population), population, given=given or Given())


def planned(experiment: Experiment, measured: PastData, population: int, *, given: Given) -> PowerPlan:
    """Plan an experiment by what was measured; what was not is assumed, and says so.

    Args:
        experiment: the definition.
        measured: of past experiments.
        population: users of the data set.
        given: what is said by hand.

    Raises:
        ExperimentError: for a row that is not planned, or users that no arm can be made of.
    """
    rows = _planned_rows(experiment)
    _check(experiment, rows, given)
    expected = users_in(experiment, population)
    arrivals = {row.surface: _arrivals(experiment, measured, row.surface, expected, given) for row in rows}
    found = tuple(
        _row_power(experiment, row, arm, _variation(measured, row, given), arrivals[row.surface], given)
        for row in rows
        for arm in (each.name for each in experiment.treatments)
    )
    return PowerPlan(
        experiment.key,
        experiment.days,
        population,
        round(expected),
        found,
        tuple(told(experiment, found)),
        advice(experiment, found),
    )


def by_days(
    experiment: Experiment, measured: PastData, population: int, row: RowPower, *, given: Given
) -> tuple[DayPoint, ...]:
    """Return what a row of a plan would show were the experiment to end after each day, where it shows anything.

    Args:
        experiment: as it was planned.
        measured: of past experiments.
        population: users of the data set.
        row: of the plan.
        given: what is said by hand.
    """
    weights = {each.name: each.weight for each in experiment.arms}
    pair = (weights[experiment.control.name], weights[row.arm])
    if min(pair) <= 0.0:
        return ()
    arrivals = _arrivals(experiment, measured, row.row.partition(".")[0], users_in(experiment, population), given)
    last = min(LONGEST, DAYS_REACH * experiment.days)
    users = [(day, math.floor(arrivals.by(day) + 1e-9)) for day in range(1, last + 1)]
    found = ((day, count, _detectable(row, count, pair)) for day, count in users)
    return tuple(DayPoint(day, count, shown) for day, count, shown in found if shown is not None)


def inflation(experiment: Experiment, *, alpha: float, power: float, pair: float) -> float:
    """Return how many times the users of a single look the experiment's monitoring needs.

    Planned looks are taken as evenly many users apart. Of looks at any time only the one at the planned end is counted
    on, ((critical + z_power) / (z_alpha/2 + z_power))^2, so that the power is at least this. Both are tuned for the
    users that are needed: `analysis.users` has to be set to them.

    Args:
        experiment: says how often it is looked at.
        alpha: two-sided error rate of the row.
        power: chance to find what is asked.
        pair: share of all users who are in the two arms compared.
    """
    match experiment.analysis.monitoring:
        case "fixed":
            return 1.0
        case "group_sequential":
            looks = experiment.analysis.looks or 1
            fractions = [look / looks for look in range(1, looks + 1)]
            return group_sequential.inflation(fractions, alpha=alpha, power=power)
        case "sequential":
            users = round(MANY * pair)
            once = FIXED.critical(alpha, users=users, degrees=float(users))
            any_time = tuned(MANY, experiment.alpha).critical(alpha, users=users, degrees=float(users))
            beyond = FIXED.critical(2.0 * (1.0 - power), users=users, degrees=float(users))
            return ((any_time + beyond) / (once + beyond)) ** 2


def _planned_rows(experiment: Experiment) -> tuple[Row, ...]:
    """Return the primary rows, then the guardrails."""
    return tuple(row for role in ("primary", "guardrail") for row in experiment.rows if row.role == role)


def _check(experiment: Experiment, rows: Sequence[Row], given: Given) -> None:
    if not experiment.alpha < experiment.power:
        raise ExperimentError(f"power is {experiment.power}; it must be above alpha, {experiment.alpha}", ("power",))
    names = [row.name for row in rows]
    unknown = next((name for name in given.variations if name not in names), None)
    if unknown is not None:
        raise ExperimentError(f"row '{unknown}' is no primary row and no guardrail; {nearest(unknown, names)}")
    smallest = min((arm.weight for arm in experiment.arms if arm.weight), default=1.0)
    if given.users is not None and given.users * smallest < 2.0:
        raise ExperimentError(
            f"{given.users} users leave {max(given.users, 0) * smallest:.3g} in the smallest arm; "
            f"at least 2 are required, so {math.ceil(2.0 / smallest)} in all"
        )


def _arrivals(experiment: Experiment, measured: PastData, surface: str, expected: float, given: Given) -> Arrivals:
    if given.users_per_day is not None:
        return Arrivals((given.users_per_day,), math.inf, f"{given.users_per_day:g} new users a day are given")
    if surface in measured.arrivals:
        return measured.arrivals[surface]
    evenly = tuple(expected * day / experiment.days for day in range(1, experiment.days + 1))
    return Arrivals(evenly, expected, "assumed: all users come, evenly over the planned days")


def _variation(measured: PastData, row: Row, given: Given) -> Variation:
    found = measured.variations.get(row.name, Variation(ASSUMED_VARIATION, None, "assumed: nothing past tells it"))
    if given.variance_saved is not None:
        found = replace(found, variance_saved=given.variance_saved)
    by_hand = given.variations.get(row.name, given.variation)
    return found if by_hand is None else replace(found, coefficient=by_hand, source="given")


def _row_power(
    experiment: Experiment, row: Row, arm: str, variation: Variation, arrivals: Arrivals, given: Given
) -> RowPower:
    """Answer for one row and treatment; what cannot be computed is absent, with the reason."""
    weights = {each.name: each.weight for each in experiment.arms}
    pair = (weights[experiment.control.name], weights[arm])
    primary = row.role == "primary"
    alpha = experiment.alpha / (family_size(experiment) if primary else 1)
    power = guardrail_power(experiment.power, len(experiment.guardrails))
    wanted = experiment.analysis.lift_to_find if given.lift is None else given.lift
    users = math.floor(arrivals.by(experiment.days) + 1e-9) if given.users is None else given.users
    users_from = arrivals.source if given.users is None else "users are given"
    found = RowPower(
        row.name, arm, row.role, wanted if primary else row.null, alpha, power, variation, 1.0, users, users_from
    )
    if min(pair) <= 0.0:
        return replace(found, reason=f"an arm has weight 0: {experiment.control.name} {pair[0]:g}, {arm} {pair[1]:g}")
    inflated = inflation(experiment, alpha=alpha, power=power, pair=sum(pair))
    return _answered(replace(found, inflation=inflated), pair, arrivals, given)


def _answered(row: RowPower, pair: tuple[float, float], arrivals: Arrivals, given: Given) -> RowPower:
    needed = None if row.asked is None else _needed(row, pair)
    longest = None if needed is None else arrivals.day_of(needed, longest=LONGEST)
    reasons = []
    if row.asked is None:
        reasons.append("no lift to find is given")
    elif longest is None:
        reasons.append(f"at most {math.floor(arrivals.by(LONGEST)):,} users come within {LONGEST} days")
    detectable = _detectable(row, row.users, pair)
    if detectable is None:
        reasons.append(f"{row.users:,} users are too few to show anything")
    return replace(
        row,
        users_needed=needed,
        days_needed=longest,
        detectable=detectable,
        curve=tuple(_curve(row, pair, start=arrivals.by(1))),
        reason="; ".join(reasons) or None,
    )


def _needed(row: RowPower, pair: tuple[float, float]) -> int:
    """Return the users that find the lift asked for, or that show a guardrail non-inferior when nothing changed."""
    assert row.asked is not None
    guarded = row.role == "guardrail"
    return users_needed(
        lift=0.0 if guarded else row.asked,
        margin=-row.asked if guarded else 0.0,
        weights=pair,
        coefficient_of_variation=row.variation.coefficient,
        alpha=row.alpha,
        power=row.power,
        variance_kept=_kept(row.variation),
        inflation=row.inflation,
    )


def _detectable(row: RowPower, users: int, pair: tuple[float, float]) -> float | None:
    """Return the smallest lift that is found, or the smallest margin that is shown; None for too few users."""
    if users * min(pair) < 2.0 * row.inflation:
        return None
    found = detectable_lift(
        users=users,
        weights=pair,
        coefficient_of_variation=row.variation.coefficient,
        alpha=row.alpha,
        power=row.power,
        variance_kept=_kept(row.variation),
        inflation=row.inflation,
    )
    return found if row.role == "primary" or row.asked is None else _margin(found, pair, math.copysign(1.0, -row.asked))


def _margin(lift: float, pair: tuple[float, float], side: float) -> float | None:
    """Return the smallest margin that is shown by users who find this lift.

    Their variance is of T - (1 - side m) C: m^2 = b + a (1 - side m)^2, with a the control's part of the lift's square
    and b the treatment's. Few users show no margin at all: none below 1 downward, none however wide upward.

    Args:
        lift: that the users find.
        pair: shares of the users in (control, treatment).
        side: 1 where less is worse, -1 where more is.
    """
    control, treatment = pair
    a, b = lift**2 * treatment / (control + treatment), lift**2 * control / (control + treatment)
    if (b if side > 0.0 else a) >= 1.0:
        return None
    return (a + b) / (side * a + math.sqrt(a + b - a * b))


def _kept(variation: Variation) -> float:
    """Return the share of the variance that the covariates leave; what they may add is not counted as a loss."""
    return min(max(1.0 - (variation.variance_saved or 0.0), LEAST_KEPT), 1.0)


def _curve(row: RowPower, pair: tuple[float, float], *, start: float) -> Iterator[CurvePoint]:
    """Yield points evenly apart on a logarithmic axis: from the first day's users to ten times the planned ones."""
    first = max(start, 2.0 * row.inflation / min(pair) + 1.0)
    last = max(CURVE_REACH * row.users, CURVE_REACH * first)
    steps = (first * (last / first) ** (step / (CURVE_POINTS - 1)) for step in range(CURVE_POINTS))
    for users in dict.fromkeys(math.ceil(step) for step in steps):
        detectable = _detectable(row, users, pair)
        if detectable is not None:
            yield CurvePoint(users, detectable)
