"""What an analysis gives: the rows of the table, checks of the split, segments, the decision, and a replay's truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from ab_platform.events import Surface
from ab_platform.metrics import Role, Row
from ab_platform.statistics.decision import Outcome as DecisionOutcome
from ab_platform.statistics.monitoring import MonitoringName
from ab_platform.statistics.multiplicity import Adjustment


@dataclass(frozen=True)
class LiftRow:
    """One metric on one surface, a treatment against the control.

    Attributes:
        experiment: its key.
        as_of: last day (UTC, inclusive) whose events count.
        surface: where.
        metric: name in the catalogue or of the experiment's own.
        arm: the treatment.
        role: whether the row decides, guards or informs.
        method: how the interval was made, such as `fieller`.
        monitoring: how often it may be looked at.
        adjustment: for the other rows of its family; `none` where it has none.
        alpha: two-sided error rate that the p-value is compared with.
        interval_alpha: error rate of the interval, so that it leaves out the null exactly when p is below alpha.
        null_lift: what the p-value tests: 0, or a guardrail's margin on its worse side.
        watermark: time of the newest event that counts.
        users_control: users exposed on the surface, control.
        users_treatment: the same, treatment.
        numerator_control: total of the numerator, control.
        numerator_treatment: the same, treatment.
        denominator_control: total of the denominator, control; the users where the metric has none.
        denominator_treatment: the same, treatment.
        control: the metric's value, control; adjusted for the covariates where variance_saved is there; None with
            `reason` where it could not be computed.
        treatment: the same, treatment.
        difference: treatment - control, in the metric's unit.
        difference_low: lower end of its interval.
        difference_high: upper end.
        lift: treatment / control - 1, as a fraction.
        low: lower end of the interval of the lift.
        high: upper end.
        p_value: of the null, adjusted as `adjustment` says.
        detectable: smallest lift that is found with the planned power at these users.
        variance_saved: share of the difference's variance that the covariates took away; None without them.
        cap: of a winsorised metric, where its largest values were cut.
        reason: why a number is absent, or the interval unbounded.
    """

    experiment: str
    as_of: date
    surface: Surface
    metric: str
    arm: str
    role: Role
    method: str
    monitoring: MonitoringName
    adjustment: Adjustment
    alpha: float
    interval_alpha: float
    null_lift: float
    watermark: datetime
    users_control: int
    users_treatment: int
    numerator_control: float
    numerator_treatment: float
    denominator_control: float
    denominator_treatment: float
    control: float | None
    treatment: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    lift: float | None
    low: float | None
    high: float | None
    p_value: float | None
    detectable: float | None
    variance_saved: float | None
    cap: float | None
    reason: str | None


@dataclass(frozen=True)
class LiftView:
    """A row of the table made another way, for who asks what it would be otherwise; it decides nothing.

    Attributes:
        baseline: the arm that the row's arm is compared with; the row's `control` figures are those of this arm.
        covariates: whether covariates took variance away.
        row: the same figures as in the table. Its `monitoring` is `fixed` or `sequential`, its interval has the
            experiment's alpha, and its p-value is adjusted for no other row.
    """

    baseline: str
    covariates: bool
    row: LiftRow


@dataclass(frozen=True)
class Headline:
    """What one analysis found on an experiment's first primary row, for one treatment.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        row: the treatment's row.
    """

    experiment: str
    as_of: date
    row: LiftRow


CheckStatus = Literal["healthy", "warning", "unhealthy", "unknown"]

CheckName = Literal["mixed_users", "logging_delay", "fallbacks", "missing_data", "no_data"]


@dataclass(frozen=True)
class Check:
    """One thing about the data that decides whether the table may be believed; the split has rows of its own.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        check: what is looked at.
        scope: where: `all`, a surface, an arm, or a surface and an arm with a blank between.
        status: what was found.
        value: the figure that it was found by, as `check` has it: a share in [0, 1], or seconds; None where unknown.
        told: the figure, what is required, in a sentence.
        next_step: what to do about it; None where it is healthy.
    """

    experiment: str
    as_of: date
    check: CheckName
    scope: str
    status: CheckStatus
    value: float | None
    told: str
    next_step: str | None


@dataclass(frozen=True)
class SegmentRow:
    """A row of the table among the users of one segment.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        surface: where.
        metric: name of the metric.
        arm: the treatment.
        dimension: what the users are divided by: a user attribute, `interactions`, `cohort`, or `days since exposure`,
            of which every user is in several segments.
        segment: which of its values.
        users_control: users of the segment, control.
        users_treatment: the same, treatment.
        control: the metric's value, control.
        treatment: the same, treatment.
        lift: as in LiftRow.
        low: lower end of its interval, not adjusted for the number of segments.
        high: upper end.
        p_value: of no difference, not adjusted either: what adjusts is the test between the segments.
        reason: why a number is absent.
    """

    experiment: str
    as_of: date
    surface: Surface
    metric: str
    arm: str
    dimension: str
    segment: str
    users_control: int
    users_treatment: int
    control: float | None
    treatment: float | None
    lift: float | None
    low: float | None
    high: float | None
    p_value: float | None
    reason: str | None


@dataclass(frozen=True)
class SegmentTestRow:
    """Whether a row's lift differs between the segments of one dimension.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        surface: where.
        metric: name of the metric.
        arm: the treatment.
        dimension: what the users are divided by.
        statistic: Cochran's Q.
        degrees: its degrees of freedom.
        p_value: of one lift in all segments, adjusted over all such tests of the readout by Holm.
        reason: why it is absent.
    """

    experiment: str
    as_of: date
    surface: Surface
    metric: str
    arm: str
    dimension: str
    statistic: float | None
    degrees: int | None
    p_value: float | None
    reason: str | None


@dataclass(frozen=True)
class DecisionRow:
    """What the decision rule says of one treatment.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        arm: the treatment.
        outcome: what to do.
        reason: why, in a sentence.
        days_left: until there is enough to decide, about; None where that cannot be said.
    """

    experiment: str
    as_of: date
    arm: str
    outcome: DecisionOutcome
    reason: str
    days_left: float | None


@dataclass(frozen=True)
class Look:
    """What holds for all rows of one analysis.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        watermark: time of the newest event that counts.
        users: exposed on any surface and analysed.
        mixed_users: users seen in several arms; they are left out of every row.
        told: how the rows were made, in sentences.
    """

    experiment: str
    as_of: date
    watermark: datetime
    users: int
    mixed_users: int
    told: tuple[str, ...]


@dataclass(frozen=True)
class SampleRatioRow:
    """Whether the arms got the users they should have.

    Attributes:
        experiment: its key.
        as_of: last day (UTC, inclusive) whose exposures count.
        scope: a surface, `all` for users exposed on any, or a phase of one traffic, or a segment of those on any.
        watermark: time of the newest event that counts.
        arms: arm names, control first.
        counts: users exposed, in the order of `arms`.
        expected: what the weights expect, in the same order.
        chi2: Pearson's statistic.
        p_value: its p-value; None with `reason` where unknown.
        e_value: evidence against the split that may be looked at any time.
        alarm: p below .001 over the number of checks alike, an e-value from 1,000 times that number on, or users in an
            arm of weight 0.
        reason: why it alarms or is unknown.
    """

    experiment: str
    as_of: date
    scope: str
    watermark: datetime
    arms: tuple[str, ...]
    counts: tuple[int, ...]
    expected: tuple[float, ...]
    chi2: float | None
    p_value: float | None
    e_value: float | None
    alarm: bool
    reason: str | None


@dataclass(frozen=True)
class Outcome:
    """What one replayed user does on one surface under one arm, assigned or not."""

    experiment: str
    user_id: str
    arm: str
    surface: Surface
    impressions: int
    clicks: int
    watch_seconds: float


TruthSource = Literal["replay", "simulation"]


@dataclass(frozen=True)
class Truth:
    """The true lift: of a replay, from every user's outcome under both arms; of a simulated world, by construction."""

    surface: Surface
    metric: str
    arm: str
    control: float | None
    treatment: float | None
    lift: float | None


@dataclass(frozen=True)
class Readout:
    """All that is shown of one experiment as of one day.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        watermark: time of the newest event that counts.
        lifts: rows, surface first, in the order of the experiment.
        sample_ratios: `all` first, then per surface, phase and segment.
        truths: empty unless the visits were replayed or simulated.
        labels: arm names and what they are, control first.
        rows: what the rows are, by surface and metric.
        decisions: one a treatment.
        segments: rows among the users of each segment.
        segment_tests: whether the lift differs between segments.
        look: what holds for all rows.
        truth_from: how the true lifts are known; None where they are not.
        views: the rows made other ways: with and without covariates, for one look and for any, against every baseline.
        checks: of the data.
    """

    experiment: str
    as_of: date
    watermark: datetime
    lifts: tuple[LiftRow, ...]
    sample_ratios: tuple[SampleRatioRow, ...]
    truths: tuple[Truth, ...]
    labels: Mapping[str, str]
    rows: Mapping[tuple[Surface, str], Row]
    decisions: tuple[DecisionRow, ...] = ()
    segments: tuple[SegmentRow, ...] = ()
    segment_tests: tuple[SegmentTestRow, ...] = ()
    look: Look | None = None
    truth_from: TruthSource | None = None
    views: tuple[LiftView, ...] = ()
    checks: tuple[Check, ...] = ()

    def truth(self, row: LiftRow) -> Truth | None:
        """Return the true lift of a row, where it is known."""
        key = (row.surface, row.metric, row.arm)
        return next((each for each in self.truths if (each.surface, each.metric, each.arm) == key), None)
