"""What an analysis gives: rows of Table 2, sample-ratio checks, and the truth that a replay knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from ab_platform.events import Surface


@dataclass(frozen=True)
class LiftRow:
    """One metric on one surface, a treatment against the control.

    Attributes:
        experiment: its key.
        as_of: last day (UTC, inclusive) whose events count.
        surface: where.
        metric: name in the catalogue.
        arm: the treatment.
        method: how the interval was made, such as `fieller`.
        alpha: two-sided error rate of interval and p-value.
        watermark: time of the newest event that counts.
        users_control: users exposed on the surface, control.
        users_treatment: the same, treatment.
        numerator_control: total of the numerator, control.
        numerator_treatment: the same, treatment.
        denominator_control: total of the denominator, control; the users where the metric has none.
        denominator_treatment: the same, treatment.
        control: the metric's value, control; None with `reason` where it could not be computed.
        treatment: the same, treatment.
        lift: treatment / control - 1, as a fraction.
        low: lower end of the interval of the lift.
        high: upper end.
        p_value: of no difference.
        reason: why a number is absent, or the interval unbounded.
    """

    experiment: str
    as_of: date
    surface: Surface
    metric: str
    arm: str
    method: str
    alpha: float
    watermark: datetime
    users_control: int
    users_treatment: int
    numerator_control: float
    numerator_treatment: float
    denominator_control: float
    denominator_treatment: float
    control: float | None
    treatment: float | None
    lift: float | None
    low: float | None
    high: float | None
    p_value: float | None
    reason: str | None


@dataclass(frozen=True)
class SampleRatioRow:
    """Whether the arms got the users they should have.

    Attributes:
        experiment: its key.
        as_of: last day (UTC, inclusive) whose exposures count.
        scope: a surface, or `all` for users exposed on any.
        watermark: time of the newest event that counts.
        arms: arm names, control first.
        counts: users exposed, in the order of `arms`.
        expected: what the weights expect, in the same order.
        chi2: Pearson's statistic.
        p_value: its p-value; None with `reason` where unknown.
        alarm: p below .001, or users in an arm of weight zero.
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


@dataclass(frozen=True)
class Truth:
    """The true lift over the replayed population: every user's outcome under both arms."""

    surface: Surface
    metric: str
    arm: str
    control: float | None
    treatment: float | None
    lift: float | None


@dataclass(frozen=True)
class Readout:
    """All that Table 2 shows of one experiment as of one day.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        watermark: time of the newest event that counts.
        lifts: rows, surface first, in the order of the catalogue.
        sample_ratios: `all` first, then per surface.
        truths: empty unless the visits were replayed.
        labels: arm names and what they are, control first.
    """

    experiment: str
    as_of: date
    watermark: datetime
    lifts: tuple[LiftRow, ...]
    sample_ratios: tuple[SampleRatioRow, ...]
    truths: tuple[Truth, ...]
    labels: Mapping[str, str]

    def truth(self, row: LiftRow) -> Truth | None:
        """Return the true lift of a row, where a replay knows it."""
        key = (row.surface, row.metric, row.arm)
        return next((each for each in self.truths if (each.surface, each.metric, each.arm) == key), None)
