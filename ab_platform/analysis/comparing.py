"""Both arms of a row, however its metric is made: from exact sums for a mean, from the users' rows for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ab_platform.analysis.plan import RowPlan
from ab_platform.assignment import buckets
from ab_platform.lineage import Launch
from ab_platform.metrics import MEASURES
from ab_platform.statistics import winsorised
from ab_platform.statistics.cupac import cross_fitted, fold_of
from ab_platform.statistics.cuped import Adjusted, Ratio, adjust
from ab_platform.statistics.lift import Estimate
from ab_platform.statistics.moments import Moments
from ab_platform.statistics.quantile import quantile
from ab_platform.storage.exact_sums import ExactSums
from ab_platform.storage.store import KNOWN_BEFORE, Cell, PerUser, TitleGroups, UserValues

Table = NDArray[np.float64]

PREDICTORS: tuple[PerUser, ...] = (*(PerUser(measure, "before") for measure in MEASURES), KNOWN_BEFORE)
"""What a prediction is made from, beside the attributes that are covariates."""


@dataclass(frozen=True)
class Compared:
    """Both arms of a row.

    Attributes:
        adjusted: their estimates, and how they vary together.
        control: moments of the control's users in the metric's own columns, for its totals.
        treatment: the same, treatment.
        cap: where a winsorised metric was cut.
        values: of the arms, control first, where they are known without a variance.
        users: of the arms, where what was averaged is groups of them.
        reason: why an estimate is absent, beyond what the estimates tell.
    """

    adjusted: Adjusted
    control: Moments
    treatment: Moments
    cap: float | None = None
    values: tuple[float | None, float | None] = (None, None)
    users: tuple[int, int] | None = None
    reason: str | None = None


def from_cells(plan: RowPlan, cells: Iterable[Cell], control: str, treatment: str) -> Compared:
    """Compare two arms by the exact sums of their users on the row's surface."""
    found = list(cells)
    return from_moments(plan, *(moments_of(plan, found, arm) for arm in (control, treatment)))


def moments_of(plan: RowPlan, cells: Iterable[Cell], arm: str) -> Moments:
    """Return the moments of one arm's users on the row's surface, in the row's columns."""
    key = (plan.row.surface, arm)
    return ExactSums.total(cell.sums for cell in cells if (cell.surface, cell.arm) == key).moments(plan.columns)


def from_moments(plan: RowPlan, control: Moments, treatment: Moments) -> Compared:
    """Compare two arms by their moments in the row's columns."""
    own = range(len(plan.row.metric.columns))
    return Compared(
        adjust(control, treatment, plan.outcome, plan.covariates), control.select(*own), treatment.select(*own)
    )


def from_rows(plan: RowPlan, users: UserValues, columns: Sequence[PerUser], control: str, treatment: str) -> Compared:
    """Compare two arms by their users' rows.

    Args:
        plan: of the row.
        users: of the row's surface, in all arms.
        columns: of the users' rows.
        control: name of the control.
        treatment: name of the treatment.
    """
    table = users.values[:, [columns.index(column) for column in plan.columns]]
    arms = [users.arms == arm for arm in (control, treatment)]
    match plan.row.metric.statistic:
        case "quantile":
            return _quantiles(plan, table, arms)
        case "winsorised":
            table, cap = _winsorised(plan, table, arms[0])
            return replace(_with_prediction(plan, table, users, columns, arms), cap=cap)
        case "mean" | "coverage":
            return _with_prediction(plan, table, users, columns, arms)


def from_groups(plan: RowPlan, groups: Iterable[TitleGroups], launch: Launch, control: str, treatment: str) -> Compared:
    """Compare the share of the catalogue that groups of one size were shown; the unit is the group."""
    of_arm = {each.arm: each for each in groups if each.surface == plan.row.surface}
    pair = [of_arm.get(arm) for arm in (control, treatment)]
    if pair[0] is None or pair[1] is None or not pair[0].catalogue:
        nothing = Moments.empty(2)
        few = "each arm needs at least 25 users to be divided into groups, and the data set its titles"
        if launch.events_deleted_at is not None:
            few = f"it is counted from raw events, which were deleted on {launch.events_deleted_at:%Y-%m-%d}"
        return Compared(adjust(nothing, nothing, plan.outcome), nothing, nothing, reason=few)
    control_moments, treatment_moments = (
        Moments.of(np.column_stack([each.titles, np.full(len(each.titles), each.catalogue)])) for each in pair if each
    )
    compared = adjust(control_moments, treatment_moments, plan.outcome)
    return Compared(compared, control_moments, treatment_moments, users=(pair[0].users, pair[1].users))


def unadjusted(plan: RowPlan, compared: Compared) -> Compared:
    """Return the same arms as they are without covariates."""
    return replace(compared, adjusted=adjust(compared.control, compared.treatment, plan.outcome))


def _quantiles(plan: RowPlan, table: Table, arms: Sequence[NDArray[np.bool_]]) -> Compared:
    level = plan.row.metric.level
    assert level is not None
    found = [quantile(table[among, 0], level) for among in arms]
    estimates = [
        each.estimate or Estimate(None, None, int(among.sum())) for each, among in zip(found, arms, strict=True)
    ]
    reason = next((each.reason for each in found if each.reason), None)
    control, treatment = (Moments.of(table[among, :1]) for among in arms)
    values = (found[0].value, found[1].value)
    return Compared(Adjusted(estimates[0], estimates[1]), control, treatment, values=values, reason=reason)


def _winsorised(plan: RowPlan, table: Table, control: NDArray[np.bool_]) -> tuple[Table, float | None]:
    """Cut the metric, and what it was before, each at its quantile over the users of all arms."""
    level = plan.row.metric.level
    assert level is not None
    if not len(table):
        return table, None
    cut = table.copy()
    caps = {
        place: winsorised.cap(table[control, place], table[~control, place], level)
        for place, column in enumerate(plan.columns)
        if column.name == plan.row.metric.numerator
    }
    for place, cap in caps.items():
        cut[:, place] = winsorised.capped(table[:, place], cap)
    return cut, caps[0]


def _with_prediction(
    plan: RowPlan, table: Table, users: UserValues, columns: Sequence[PerUser], arms: Sequence[NDArray[np.bool_]]
) -> Compared:
    among = arms[0] | arms[1]
    if not plan.predicted or among.sum() < MANY_ENOUGH:
        return from_moments(plan, *(Moments.of(table[arm]) for arm in arms))
    features = users.values[:, [place for place, column in enumerate(columns) if _predicts(column)]][among]
    folds = fold_of(buckets(FOLD_SALT, users.users[among]))
    predictions = np.zeros((len(table), len(plan.row.metric.columns)))
    for place in range(predictions.shape[1]):
        predictions[among, place] = cross_fitted(features, table[among, place], folds)
    # A ratio's two predictions are covariates of their own: they are centred, so there is no ratio of them.
    predicted = (Ratio(table.shape[1] + place) for place in range(predictions.shape[1]))
    wider = replace(plan, covariates=(*plan.covariates, *predicted))
    whole = np.hstack([table, predictions])
    return from_moments(wider, *(Moments.of(whole[arm]) for arm in arms))


FOLD_SALT = "cross-fitting"
MANY_ENOUGH = 50
"""Users from which on a prediction is fitted; below them it would be noise."""


def _predicts(column: PerUser) -> bool:
    return column.source != "during"


def totals(compared: Compared, place: int) -> tuple[float, float]:
    """Return a column's totals, control first; the users where there is no such column."""

    def total(moments: Moments) -> float:
        if place >= len(moments.means) or not moments.n:
            return float(moments.n)
        return float(moments.n * moments.means[place])

    return total(compared.control), total(compared.treatment)


def by_surface(values: Iterable[UserValues]) -> Mapping[str, UserValues]:
    """Return the users' rows by surface."""
    return {each.surface: each for each in values}
