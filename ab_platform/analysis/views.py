"""The rows of the table made other ways: with and without covariates, for one look and for any, against other arms.

They are stored with the analysis, so that whoever reads it can switch between them without anything being computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

from ab_platform.analysis.comparing import Compared, unadjusted
from ab_platform.analysis.looks import Monitored
from ab_platform.analysis.plan import RowPlan
from ab_platform.analysis.table import Inferred, row_alone
from ab_platform.experiment import Experiment
from ab_platform.power_plan import users_in
from ab_platform.results import LiftView
from ab_platform.statistics.confidence_sequence import tuned
from ab_platform.statistics.monitoring import FIXED, MonitoringName

Compare = Callable[[RowPlan, str, str], Compared]
"""Compares two arms in a row, given the row's plan, the baseline and the arm."""

USERS_UNPLANNED = 10_000
"""What looks at any time are tuned for where nobody can say how many users were planned for."""


def lift_views(
    experiment: Experiment,
    plans: Sequence[RowPlan],
    compare: Compare,
    *,
    population: int,
    as_of: date,
    watermark: datetime,
) -> tuple[LiftView, ...]:
    """Infer every row in every other way, each by itself: no view is adjusted for another.

    The view that equals the row as the experiment has it, in a family of one, carries the same digits.

    Args:
        experiment: the definition.
        plans: of the rows.
        compare: gives both arms of a row.
        population: users of the data set; 0 where that is not known.
        as_of: last day that counts.
        watermark: time of the newest event that counts.
    """
    rules = _rules(experiment, population)
    return tuple(
        LiftView(
            baseline,
            covariates,
            replace(
                row_alone(experiment, Inferred(plan, arm, compared), rule, as_of=as_of, watermark=watermark),
                monitoring=name,
            ),
        )
        for plan in plans
        for baseline, arm in pairs(experiment)
        for covariates, compared in _with_and_without(plan, compare(plan, baseline, arm))
        for name, rule in rules.items()
    )


def pairs(experiment: Experiment) -> Iterable[tuple[str, str]]:
    """Return each baseline and the arm that is compared with it: the control first, then, of several treatments, each.

    With one treatment the control alone is a baseline: the other way round is the same comparison.
    """
    control, treatments = experiment.control.name, [arm.name for arm in experiment.treatments]
    yield from ((control, arm) for arm in treatments)
    if len(treatments) > 1:
        for baseline in treatments:
            yield from ((baseline, arm) for arm in (control, *treatments) if arm != baseline)


def tuning_users(experiment: Experiment, population: int) -> int:
    """Return the users that looks at any time are tuned for.

    A confidence sequence holds whatever it is tuned for, but only if that was said before anything was seen: tuned
    anew to the users of each look, it would be narrowest at every one of them, and promise too much. So it is the
    rule's own number, or what the experiment was planned for: its share of the data set's users. Neither depends on
    who came.

    Args:
        experiment: the definition.
        population: users of the data set; 0 where that is not known.
    """
    return experiment.analysis.users or round(users_in(experiment, population)) or USERS_UNPLANNED


def _rules(experiment: Experiment, population: int) -> Mapping[MonitoringName, Monitored]:
    any_time = tuned(tuning_users(experiment, population), experiment.alpha)
    return {"fixed": Monitored(FIXED, ""), "sequential": Monitored(any_time, "")}


def _with_and_without(plan: RowPlan, compared: Compared) -> Iterator[tuple[bool, Compared]]:
    """Give a row with its covariates and without; where they took nothing away, it is without them already."""
    if compared.adjusted.joint is None:
        yield False, compared
        return
    yield True, compared
    yield False, unadjusted(plan, compared)
