"""Our six rows from the sums of users, whatever engine added them up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import date

from ab_platform.analysis.comparing import Compared, from_cells, unadjusted
from ab_platform.analysis.plan import RowPlan, plan_rows
from ab_platform.analysis.readout import population_of
from ab_platform.lineage import Launch
from ab_platform.metrics import TABLE_2
from ab_platform.statistics.cuped import Adjusted
from ab_platform.statistics.lift import Estimate, Lift, lift
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.per_user_statements import Cell
from ab_platform.storage.population import Population
from ab_platform.storage.store import Store
from ab_platform.storage.wanted import Wanted
from benchmarks.analysis.answers import Row
from benchmarks.analysis.world import ARMS, LAST_DAY, Data, keys

Families = Sequence[Sequence[PerUser]]
Read = Callable[[Population, Families], Sequence[Cell]]
Ahead = Callable[[Sequence[Wanted]], None]


def answer(
    launches: Store, data: Data, read: Read, *, ahead: Ahead = lambda wanted: None, as_of: date = LAST_DAY
) -> list[Row]:
    """Analyse every experiment.

    Args:
        launches: the database that knows the experiments.
        data: what there is.
        read: adds up the users, in exact sums.
        ahead: is told what will be asked of all experiments before any is, as `analyze_all` does.
        as_of: last day that counts.
    """
    every = launches.experiments()
    own = set(keys(data))
    asked = [_asked(launches, each, every, as_of) for each in every if each.experiment.key in own]
    ahead([wanted for wanted, _ in asked])
    return [row for wanted, plans in asked for row in _rows(wanted, plans, read)]


def _asked(
    launches: Store, launched: Launch, every: Sequence[Launch], as_of: date
) -> tuple[Wanted, tuple[RowPlan, ...]]:
    population = population_of(launches, launched, as_of, launches=every)
    planned = plan_rows(launched.experiment, before=bool(population.earlier))
    plans = tuple(plan for plan in planned if plan.row.metric in TABLE_2)
    return Wanted(population, tuple(dict.fromkeys(plan.columns for plan in plans)), rest=False), plans


def _rows(wanted: Wanted, plans: Sequence[RowPlan], read: Read) -> Iterator[Row]:
    cells = read(wanted.population, wanted.families)
    for plan in plans:
        yield _row(plan, from_cells(plan, cells, *ARMS))


def _row(plan: RowPlan, compared: Compared) -> Row:
    adjusted, plain = compared.adjusted, unadjusted(plan, compared).adjusted
    found, without = _lift(adjusted), _lift(plain).lift
    if found.lift is None or found.low is None or found.high is None or without is None:
        raise SystemExit(f"{plan.row.name} has no lift with an interval: {found.reason}; draw more users")
    return Row(
        plan.row.surface,
        plan.row.metric.name,
        found.lift,
        found.low,
        found.high,
        without,
        plain.control.n + plain.treatment.n,
        math.sqrt((_squared_variation(plain.control) + _squared_variation(plain.treatment)) / 2.0),
        1.0 - (adjusted.variance_saved or 0.0),
    )


def _lift(adjusted: Adjusted) -> Lift:
    return lift(adjusted.control, adjusted.treatment, joint=adjusted.joint)


def _squared_variation(arm: Estimate) -> float:
    assert arm.value is not None
    assert arm.variance is not None
    return arm.variance * arm.n / arm.value**2
