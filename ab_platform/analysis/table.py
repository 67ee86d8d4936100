"""The rows of the table: every row of the experiment, every treatment, with one verdict each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from scipy import special

from ab_platform.analysis.comparing import Compared, totals
from ab_platform.analysis.looks import Monitored
from ab_platform.analysis.plan import RowPlan
from ab_platform.experiment import Experiment
from ab_platform.results import LiftRow
from ab_platform.statistics.cuped import Adjusted
from ab_platform.statistics.lift import Lift, lift
from ab_platform.statistics.multiplicity import Adjusted as AdjustedP
from ab_platform.statistics.multiplicity import Adjustment, adjust

Key = tuple[int, str]
"""Place of a row in the experiment, and a treatment."""


@dataclass(frozen=True)
class Inferred:
    """One row against one treatment, before it is laid out.

    Attributes:
        plan: of the row.
        arm: the treatment.
        compared: both arms.
    """

    plan: RowPlan
    arm: str
    compared: Compared


def lift_rows(
    experiment: Experiment, found: Sequence[Inferred], monitored: Monitored, *, as_of: date, watermark: datetime
) -> tuple[LiftRow, ...]:
    """Infer every row; primary rows are one family, whose p-values and intervals are adjusted together.

    Args:
        experiment: the definition.
        found: what was compared, in the order of the rows.
        monitored: what the look requires.
        as_of: last day that counts.
        watermark: time of the newest event that counts.
    """
    first = [_infer_row(each, experiment.alpha, monitored) for each in found]
    adjusted = _adjusted(experiment, found, first)
    rows = []
    for place, (each, at_alpha) in enumerate(zip(found, first, strict=True)):
        level = adjusted.get(place, AdjustedP(at_alpha.p_value, experiment.alpha))
        inferred = at_alpha if level.alpha == experiment.alpha else _infer_row(each, level.alpha, monitored)
        family: Adjustment = experiment.analysis.adjustment if place in adjusted else "none"
        inferred = replace(inferred, p_value=level.p_value)
        row = _row(experiment, each, inferred, as_of=as_of, watermark=watermark)
        rows.append(replace(row, adjustment=family))
    return tuple(rows)


def row_alone(
    experiment: Experiment, each: Inferred, monitored: Monitored, *, as_of: date, watermark: datetime
) -> LiftRow:
    """Infer one row by itself, adjusted for no other, with the interval of the experiment's alpha."""
    inferred = _infer_row(each, experiment.alpha, monitored)
    return _row(experiment, each, inferred, as_of=as_of, watermark=watermark)


def infer(compared: Compared, monitored: Monitored, *, alpha: float, null: float = 0.0) -> Lift:
    """Make the lift of two arms at one look; where the look was not planned, without interval and p-value."""
    adjusted = compared.adjusted
    found = lift(
        adjusted.control,
        adjusted.treatment,
        alpha=alpha,
        null=null,
        monitoring=monitored.monitoring,
        joint=adjusted.joint,
    )
    return found if monitored.absent is None else _without_inference(found, monitored.absent)


def _infer_row(each: Inferred, alpha: float, monitored: Monitored) -> Lift:
    found = infer(each.compared, monitored, alpha=alpha, null=each.plan.row.null)
    reason = each.compared.reason or _nothing_logged(each)
    return replace(found, reason=reason) if reason is not None and found.p_value is None else found


def _nothing_logged(each: Inferred) -> str | None:
    """Say where a metric is 0 in both arms because no event of its kind came, or None."""
    compared = each.compared
    if not compared.control.n or not compared.treatment.n:
        return None
    for place, column in enumerate(each.plan.row.metric.columns):
        if totals(compared, place) == (0.0, 0.0):
            return f"no {column} came from either arm; log the events that it is counted from, or drop the metric"
    return None


def _without_inference(found: Lift, reason: str) -> Lift:
    return replace(
        found,
        difference_low=None,
        difference_high=None,
        low=None,
        high=None,
        p_value=None,
        unbounded=False,
        reason=reason if found.reason is None or found.unbounded else found.reason,
    )


def _adjusted(experiment: Experiment, found: Sequence[Inferred], lifts: Sequence[Lift]) -> Mapping[int, AdjustedP]:
    """Adjust the primary rows of all treatments as one family; a family of one is as it is."""
    places = [place for place, each in enumerate(found) if each.plan.row.role == "primary"]
    method = experiment.analysis.adjustment
    if len(places) < 2 or method == "none":
        return {}
    family = adjust([lifts[place].p_value for place in places], alpha=experiment.alpha, method=method)
    return dict(zip(places, family, strict=True))


def _row(experiment: Experiment, each: Inferred, found: Lift, *, as_of: date, watermark: datetime) -> LiftRow:
    row, compared = each.plan.row, each.compared
    numerators, denominators = totals(compared, 0), totals(compared, 1)
    return LiftRow(
        experiment=experiment.key,
        as_of=as_of,
        surface=row.surface,
        metric=row.metric.name,
        arm=each.arm,
        role=row.role,
        method=found.method,
        monitoring=experiment.analysis.monitoring,
        adjustment="none",
        alpha=experiment.alpha,
        interval_alpha=found.alpha,
        null_lift=found.null,
        watermark=watermark,
        users_control=compared.users[0] if compared.users else compared.control.n,
        users_treatment=compared.users[1] if compared.users else compared.treatment.n,
        numerator_control=numerators[0],
        numerator_treatment=numerators[1],
        denominator_control=denominators[0],
        denominator_treatment=denominators[1],
        control=compared.values[0] if found.control.value is None else found.control.value,
        treatment=compared.values[1] if found.treatment.value is None else found.treatment.value,
        difference=found.difference,
        difference_low=found.difference_low,
        difference_high=found.difference_high,
        lift=found.lift,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        detectable=_detectable(experiment, compared.adjusted, found),
        variance_saved=compared.adjusted.variance_saved,
        cap=compared.cap,
        reason=found.reason,
    )


def _detectable(experiment: Experiment, adjusted: Adjusted, found: Lift) -> float | None:
    """Return the smallest lift, either way, that a look like this one finds with the planned power.

    The interval of the difference reaches as far as the look requires; power needs some more standard errors beyond it.
    """
    if found.difference_low is None or found.difference_high is None or not found.control.value:
        return None
    half = (found.difference_high - found.difference_low) / 2.0
    beyond = float(special.ndtri(experiment.power)) * _standard_error(adjusted)
    return (half + beyond) / abs(found.control.value)


def _standard_error(adjusted: Adjusted) -> float:
    joint = adjusted.joint
    if joint is not None:
        return math.sqrt(joint.control_part + joint.treatment_part)
    return math.sqrt((adjusted.control.variance or 0.0) + (adjusted.treatment.variance or 0.0))
