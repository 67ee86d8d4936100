"""Which per-user columns a row of the table needs, and in which of them its covariates stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ab_platform.experiment import Experiment
from ab_platform.metrics import RETENTION, Metric, Row
from ab_platform.statistics.cuped import Ratio
from ab_platform.storage.store import KNOWN_BEFORE, PerUser

BEFORE, PREDICTION = "before", "prediction"


@dataclass(frozen=True)
class RowPlan:
    """How one row is computed.

    Attributes:
        row: of the table.
        columns: what is read of each user, the metric's own columns first.
        outcome: the metric, in those columns.
        covariates: what variance is taken out with, in those columns.
        predicted: whether a prediction joins the covariates, once the users' rows are read.
    """

    row: Row
    columns: tuple[PerUser, ...]
    outcome: Ratio
    covariates: tuple[Ratio, ...]
    predicted: bool = False

    @property
    def needs_rows(self) -> bool:
        """Whether the users' own rows are needed; sums will do for a mean."""
        return self.predicted or self.row.metric.statistic in ("winsorised", "quantile")


def plan_rows(experiment: Experiment, *, before: bool) -> tuple[RowPlan, ...]:
    """Plan every row of an experiment.

    Args:
        experiment: the definition.
        before: whether anything is stored of the time before the exposures.
    """
    names = [name for name in experiment.analysis.covariates if before or name not in (BEFORE, PREDICTION)]
    return tuple(_plan(row, names) for row in experiment.rows)


def _plan(row: Row, covariates: Sequence[str]) -> RowPlan:
    measured = row.metric
    if measured.statistic == "coverage":
        return RowPlan(row, (), Ratio(0, 1), ())
    columns = [PerUser(name) for name in measured.columns]
    outcome = Ratio(0, None if measured.denominator is None else 1)
    ratios: list[Ratio] = []
    if measured.statistic != "quantile":
        for name in covariates:
            for family in _families(name, measured):
                ratios.append(Ratio(len(columns), len(columns) + 1 if len(family) == 2 else None))
                columns += family
    predicted = PREDICTION in covariates and measured.statistic != "quantile" and not _retained(measured)
    return RowPlan(row, tuple(columns), outcome, tuple(ratios), predicted)


def _families(name: str, measured: Metric) -> list[list[PerUser]]:
    """Return the covariate's ratios as columns, each with the indicator of who it is known of."""
    match name:
        case "before" if not _retained(measured):
            return [[PerUser(column, "before") for column in measured.columns], [KNOWN_BEFORE]]
        case "before" | "prediction":
            return []
    return [[PerUser(name, "attribute")], [PerUser(name, "attribute_known")]]


def _retained(measured: Metric) -> bool:
    """Tell a metric that begins with the exposure, so that there is none of before."""
    return any(RETENTION.fullmatch(column) for column in measured.columns)
