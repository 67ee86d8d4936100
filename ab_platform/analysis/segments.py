"""The lift among the users of each segment, whether it differs between them, and by days since the exposure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from ab_platform.analysis.comparing import Compared, from_cells, from_moments
from ab_platform.analysis.looks import Monitored
from ab_platform.analysis.plan import RowPlan
from ab_platform.analysis.table import infer
from ab_platform.errors import ExperimentError, nearest
from ab_platform.events import Surface
from ab_platform.experiment import Experiment
from ab_platform.metrics import MEASURES
from ab_platform.results import SegmentRow, SegmentTestRow
from ab_platform.statistics.lift import Lift
from ab_platform.statistics.multiplicity import adjust
from ab_platform.statistics.segment_differences import SegmentLift, differences
from ab_platform.storage.exact_sums import ExactSums
from ab_platform.storage.store import AgeCell, Cell, ExposedOn

AGE = "days since exposure"
COHORT, INTERACTIONS = "cohort", "interactions"

MOST_SEGMENTS = 50
"""Values of one dimension beyond which its rows would be too many to read and too thin to tell anything."""

LEAST_USERS = 30
"""Users in each arm of a segment below which its variance is too rough to weigh it against others."""

CELLS_AT_ONCE = 4_000
"""Combinations of segments that one query divides the users into: every dimension's rows are sums of the same cells."""


Dimensions = tuple[str, ...]
"""Dimensions whose cells are added up by one query."""


def batches(experiment: Experiment, attributes: Mapping[str, int], days: int) -> tuple[Dimensions, ...]:
    """Divide the dimensions so that each query makes a bounded number of cells; without dimensions, one query.

    Args:
        experiment: the definition.
        attributes: distinct values of each user attribute of the data set.
        days: of the experiment so far, each a cohort.

    Raises:
        ExperimentError: for a dimension that nothing is stored of, or that has too many values.
    """
    found: list[tuple[str, ...]] = [()]
    cells = 1
    for dimension in experiment.analysis.segments:
        values = _values(dimension, attributes, days)
        if found[-1] and cells * values > CELLS_AT_ONCE:
            found.append(())
            cells = 1
        found[-1] = (*found[-1], dimension)
        cells *= values
    return tuple(found)


def _values(dimension: str, attributes: Mapping[str, int], days: int) -> int:
    if dimension == COHORT:
        return max(days, 1)
    if dimension == INTERACTIONS:
        return 6
    if dimension not in attributes:
        known = nearest(dimension, [*attributes, COHORT, INTERACTIONS])
        raise ExperimentError(
            f"segment '{dimension}' is no user attribute of the data set; {known}", ("analysis", "segments")
        )
    if attributes[dimension] > MOST_SEGMENTS:
        raise ExperimentError(
            f"segment '{dimension}' has {attributes[dimension]:,} values; at most {MOST_SEGMENTS} make segments: "
            "group them before they are loaded with `abp attributes`",
            ("analysis", "segments"),
        )
    return attributes[dimension] + 1


def segment_rows(
    experiment: Experiment,
    plans: Sequence[RowPlan],
    cells: Mapping[Dimensions, Sequence[Cell]],
    monitored: Monitored,
    *,
    as_of: date,
) -> tuple[tuple[SegmentRow, ...], tuple[SegmentTestRow, ...]]:
    """Infer every row of the table that is a mean in every segment, and test whether the segments differ.

    The tests of primary rows are one family, those of all others another: they are many, and nobody planned for one.

    Args:
        experiment: the definition.
        plans: of the rows.
        cells: by the dimensions that divided them.
        monitored: what the look requires.
        as_of: last day that counts.
    """
    rows: list[SegmentRow] = []
    tests: dict[bool, list[SegmentTestRow]] = {True: [], False: []}
    for dimensions, divided in cells.items():
        for place, dimension in enumerate(dimensions):
            segments = sorted({cell.segments[place] for cell in divided}, key=natural)
            for plan in (each for each in plans if each.row.metric.statistic == "mean"):
                for arm in experiment.treatments:
                    found = [
                        (segment, _among(experiment, plan, divided, place, segment, arm.name)) for segment in segments
                    ]
                    inferred = [
                        (segment, each, infer(each, monitored, alpha=experiment.alpha)) for segment, each in found
                    ]
                    key = (experiment.key, as_of, plan.row.surface, plan.row.metric.name, arm.name, dimension)
                    rows += [_row(key, segment, each, one) for segment, each, one in inferred]
                    tests[plan.row.role == "primary"].append(_test(key, inferred))
    return tuple(rows), (*_holm(experiment, tests[True]), *_holm(experiment, tests[False]))


def age_rows(
    experiment: Experiment,
    plans: Sequence[RowPlan],
    cells: Sequence[AgeCell],
    exposed: Sequence[ExposedOn],
    monitored: Monitored,
    *,
    as_of: date,
) -> tuple[SegmentRow, ...]:
    """Infer each primary row that adds up over days by days since the exposure: a lift that fades is a novelty.

    On each such day the users count whose day is over; who did not come is 0.

    Args:
        experiment: the definition.
        plans: of the rows.
        cells: what users did on each day since their exposure's.
        exposed: users by the day of their exposure.
        monitored: what the look requires.
        as_of: last day that counts.
    """
    rows = []
    ages = sorted({cell.age for cell in cells})
    for plan in (each for each in plans if ages_apply(each)):
        alone = replace(plan, columns=plan.columns[: len(plan.row.metric.columns)], covariates=())
        for arm in experiment.treatments:
            key = (experiment.key, as_of, plan.row.surface, plan.row.metric.name, arm.name, AGE)
            for age in ages:
                pair = [
                    _of_age(alone, cells, exposed, name, age, as_of) for name in (experiment.control.name, arm.name)
                ]
                compared = from_moments(alone, *(sums.moments(alone.columns) for sums in pair))
                rows.append(_row(key, str(age), compared, infer(compared, monitored, alpha=experiment.alpha)))
    return tuple(rows)


def ages_apply(plan: RowPlan) -> bool:
    """Tell whether a row is a primary mean of measures, which alone are shown by days since the exposure."""
    measured = plan.row.metric
    daily = all(column in MEASURES or column == "clicked" for column in measured.columns)
    return plan.row.role == "primary" and measured.statistic == "mean" and daily


def _of_age(
    plan: RowPlan, cells: Iterable[AgeCell], exposed: Iterable[ExposedOn], arm: str, age: int, as_of: date
) -> ExactSums:
    surface = plan.row.surface
    came = ExactSums.total(cell.sums for cell in cells if (cell.surface, cell.arm, cell.age) == (surface, arm, age))
    last = as_of - timedelta(days=age)
    due = sum(each.users for each in exposed if (each.surface, each.arm) == (surface, arm) and each.day <= last)
    return (came if came.n else ExactSums.zero([plan.columns])).among(due)


def _among(
    experiment: Experiment, plan: RowPlan, cells: Iterable[Cell], place: int, segment: str, arm: str
) -> Compared:
    within = [cell for cell in cells if cell.segments[place] == segment]
    return from_cells(plan, within, experiment.control.name, arm)


Key = tuple[str, date, Surface, str, str, str]


def _row(key: Key, segment: str, compared: Compared, found: Lift) -> SegmentRow:
    experiment, as_of, surface, metric, arm, dimension = key
    return SegmentRow(
        experiment=experiment,
        as_of=as_of,
        surface=surface,
        metric=metric,
        arm=arm,
        dimension=dimension,
        segment=segment,
        users_control=compared.control.n,
        users_treatment=compared.treatment.n,
        control=found.control.value,
        treatment=found.treatment.value,
        lift=found.lift,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        reason=found.reason,
    )


def _test(key: Key, inferred: Sequence[tuple[str, Compared, Lift]]) -> SegmentTestRow:
    experiment, as_of, surface, metric, arm, dimension = key
    found = differences(
        [SegmentLift(segment, one.lift, _lift_variance(compared)) for segment, compared, one in inferred]
    )
    return SegmentTestRow(
        experiment, as_of, surface, metric, arm, dimension, found.q, found.degrees, found.p_value, found.reason
    )


def _lift_variance(compared: Compared) -> float | None:
    """Return the delta method's variance of a lift; None where too few users tell it."""
    control, treatment = compared.adjusted.control, compared.adjusted.treatment
    if min(control.n, treatment.n) < LEAST_USERS:
        return None
    if not control.value or treatment.value is None or control.variance is None or treatment.variance is None:
        return None
    ratio = treatment.value / control.value
    shared = 0.0 if compared.adjusted.joint is None else compared.adjusted.joint.covariance
    return (treatment.variance - 2.0 * ratio * shared + ratio**2 * control.variance) / control.value**2


def _holm(experiment: Experiment, tests: Sequence[SegmentTestRow]) -> tuple[SegmentTestRow, ...]:
    """Adjust the tests of one family."""
    if not tests:
        return ()
    family = adjust([each.p_value for each in tests], alpha=experiment.alpha, method="holm")
    return tuple(replace(each, p_value=adjusted.p_value) for each, adjusted in zip(tests, family, strict=True))


def natural(segment: str) -> tuple[int, str]:
    """Give the order of segments: those that begin with a number by it, as interaction groups do; the rest by name."""
    digits = segment.rstrip("+").split("-")[0]
    return (int(digits), segment) if digits.isdigit() else (1 << 40, segment)
