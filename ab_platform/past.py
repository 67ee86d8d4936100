"""What past experiments tell a new one: how users vary, what covariates save, and how fast users come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date

from ab_platform.analysis.comparing import PREDICTORS, Compared, by_surface, from_cells, from_rows
from ab_platform.analysis.plan import BEFORE, PREDICTION, RowPlan, plan_rows
from ab_platform.analysis.readout import population_of
from ab_platform.assignment import BUCKETS
from ab_platform.experiment import Experiment
from ab_platform.lineage import Launch
from ab_platform.power_plan import Variation
from ab_platform.statistics.lift import Estimate, estimate
from ab_platform.storage.store import ExposedOn, PerUser, Population, Store

LATELY = 3
"""Days, at most, that tell how arrivals go on after the last observed one."""


@dataclass(frozen=True)
class Arrivals:
    """How many users are exposed on one surface by the end of each day.

    After the last observed day the new users of a day go on from those of the last three days, fewer each day by the
    factor by which these were fewer than the three before. Growth is not believed: the factor is at most 1.

    Attributes:
        by_day: `(days,)` users so far, all arms together, at the end of each observed day.
        most: users there are; more never come.
        source: where they were observed, that they are given, or that they are assumed.
    """

    by_day: tuple[float, ...]
    most: float
    source: str

    def by(self, day: int) -> float:
        """Return the users exposed by the end of a day, counted from 1."""
        observed = len(self.by_day)
        if day <= observed:
            return min(self.by_day[day - 1], self.most)
        rate, factor = self._lately()
        further = sum(rate * factor**step for step in range(1, day - observed + 1))
        return min(self.by_day[-1] + further, self.most)

    def day_of(self, users: float, *, longest: int) -> int | None:
        """Return the first day by whose end so many users are there; None where it is none up to `longest`."""
        return next((day for day in range(1, longest + 1) if self.by(day) >= users), None)

    def scaled(self, factor: float, most: float) -> Arrivals:
        """Return the arrivals where the experiment owns another share of the layer."""
        return Arrivals(tuple(users * factor for users in self.by_day), most, self.source)

    def _lately(self) -> tuple[float, float]:
        """Return the new users of the last observed day, smoothed over the last few, and the factor from day to day."""
        new = [users - before for users, before in zip(self.by_day, (0.0, *self.by_day), strict=False)]
        span = min(LATELY, len(new) // 2)
        if span == 0:
            return new[-1], 1.0
        last, before = sum(new[-span:]), sum(new[-2 * span : -span])
        factor = min(1.0, last / before) ** (1.0 / span) if before > 0.0 else 1.0
        # What the span brought in all, at this factor from day to day, leaves so much for its last day.
        return last * factor ** (span - 1) / sum(factor**step for step in range(span)), factor


@dataclass(frozen=True)
class PastData:
    """What was measured, as far as something was.

    Attributes:
        variations: by row, as `surface.metric`.
        arrivals: by surface, as if this experiment had run then.
    """

    variations: Mapping[str, Variation]
    arrivals: Mapping[str, Arrivals]


def past(store: Store, experiment: Experiment, population: int) -> PastData:
    """Measure the primary rows and guardrails in the newest experiments on the same data set that have user-days.

    Each row is taken from the newest experiment that can tell it: the variation from its control's users, and what the
    covariates save from its control against its first treatment, exactly as its analysis would.

    Args:
        store: holds the user-days.
        experiment: the one to plan.
        population: users of the data set.
    """
    variations: dict[str, Variation] = {}
    arrivals: dict[str, Arrivals] = {}
    share = _share(experiment, experiment.traffic)
    for launch in sorted(store.experiments(), key=lambda each: each.launched_at, reverse=True):
        watermark = store.watermark(launch.experiment.key)
        if watermark is None or launch.experiment.data.dataset != experiment.data.dataset:
            continue
        as_of = watermark.astimezone(UTC).date()
        variations = {**_variations(store, launch, experiment, as_of, known=variations), **variations}
        counted = _arrivals(launch, store.exposed_by_day(_population(store, launch, experiment, as_of)), as_of)
        factor = share / _share(launch.experiment, launch.traffic) if launch.traffic else 0.0
        arrivals = {each: found.scaled(factor, population * share) for each, found in counted.items()} | arrivals
        if len(variations) == len(_wanted(experiment)) and set(arrivals) >= set(experiment.surfaces):
            break
    return PastData(variations, arrivals)


def _share(experiment: Experiment, traffic: float) -> float:
    """Return the share of the layer's users who are in."""
    low, high = experiment.layer_buckets
    return (high - low) / BUCKETS * traffic


def _wanted(experiment: Experiment) -> tuple[str, ...]:
    return tuple(row.name for row in experiment.rows if row.role != "secondary")


def _population(store: Store, launch: Launch, experiment: Experiment, as_of: date) -> Population:
    """Say whose rows to read, with the covariates of the experiment that is planned."""
    definition = replace(launch.experiment, analysis=experiment.analysis)
    return population_of(store, replace(launch, experiment=definition), as_of)


def _variations(
    store: Store, launch: Launch, experiment: Experiment, as_of: date, *, known: Iterable[str]
) -> dict[str, Variation]:
    population = _population(store, launch, experiment, as_of)
    missing = set(_wanted(experiment)) - set(known)
    plans = [plan for plan in plan_rows(experiment, before=bool(population.earlier)) if plan.row.name in missing]
    days = (as_of - launch.starts_at.astimezone(UTC).date()).days + 1
    source = f"measured in {launch.experiment.key} over {days} {'day' if days == 1 else 'days'}"
    found = {}
    for plan, compared in _compared(store, launch, experiment, population, plans):
        control = _plain(plan, compared)
        if control.value and control.variance:
            coefficient = (control.variance * control.n) ** 0.5 / abs(control.value)
            found[plan.row.name] = Variation(coefficient, compared.adjusted.variance_saved, source)
    return found


def _compared(
    store: Store, launch: Launch, experiment: Experiment, population: Population, plans: Sequence[RowPlan]
) -> list[tuple[RowPlan, Compared]]:
    control, treatment = launch.experiment.control.name, launch.experiment.treatments[0].name
    summed = [plan for plan in plans if not plan.needs_rows]
    rowwise = [plan for plan in plans if plan.needs_rows]
    cells = store.cells(population, [plan.columns for plan in summed]) if summed else ()
    found = [(plan, from_cells(plan, cells, control, treatment)) for plan in summed]
    columns = _columns(experiment, rowwise)
    rows = by_surface(store.user_values(population, columns)) if rowwise else {}
    return found + [
        (plan, from_rows(plan, rows[plan.row.surface], columns, control, treatment))
        for plan in rowwise
        if plan.row.surface in rows
    ]


def _columns(experiment: Experiment, plans: Sequence[RowPlan]) -> tuple[PerUser, ...]:
    needed = [column for plan in plans for column in plan.columns]
    if any(plan.predicted for plan in plans):
        attributes = [name for name in experiment.analysis.covariates if name not in (BEFORE, PREDICTION)]
        needed += [*PREDICTORS, *(PerUser(name, "attribute") for name in attributes)]
    return tuple(dict.fromkeys(needed))


def _plain(plan: RowPlan, compared: Compared) -> Estimate:
    """Return the control's estimate without covariates; a quantile has none."""
    if plan.row.metric.statistic == "quantile":
        return compared.adjusted.control
    return estimate(compared.control, plan.outcome.numerator, plan.outcome.denominator)


def _arrivals(launch: Launch, exposed: Sequence[ExposedOn], as_of: date) -> dict[str, Arrivals]:
    """Add up the users exposed by the end of each day, by surface."""
    first = launch.starts_at.astimezone(UTC).date()
    days = (as_of - first).days + 1
    source = f"users come as in {launch.experiment.key}, observed for {days} {'day' if days == 1 else 'days'}"
    found: dict[str, Arrivals] = {}
    for surface in sorted({each.surface for each in exposed}):
        on = [each for each in exposed if each.surface == surface]
        counts = (sum(each.users for each in on if (each.day - first).days < day) for day in range(1, days + 1))
        found[surface] = Arrivals(tuple(float(users) for users in counts), float("inf"), source)
    return found
