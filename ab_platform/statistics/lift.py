"""Lift: how far the treatment is from the control, as a fraction of it, with its interval and p-value.

    value of an arm     M / D, means over its users; the constant 1 is the denominator of a plain mean
    lift                (T - C) / |C|: treatment / control - 1, and above zero for more when the baseline is below zero
    p-value             of lift = null, two-sided. At the null of 0 this is Welch's test of T = C
    Fieller's interval  every lift that such a test would not reject, so it leaves out the null exactly when p < alpha
    delta's interval    lift -/+ t se(lift). Its p-value is of lift - null over that same se, so that the two agree; the
                        interval of the difference stays Welch's

How far is far enough is `Monitoring`'s to say: for one look, Student's t with the degrees of freedom of Welch and
Satterthwaite. The arms are independent but for what covariates make them share (`Joint`), with users enough for a mean
to be near normal: at a skewness of 6, 3,600 users against 400 give 5.9 % false positives instead of 5 %, 18,000 against
2,000 give what they should. A number that could not be computed is None, and `reason` says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from ab_platform.statistics.moments import Moments
from ab_platform.statistics.monitoring import FIXED, Monitoring, MonitoringName

Method = Literal["fieller", "delta"]

_RESOLUTION = 1e-14  # some 45 roundings: users who differ by less, relative to the value, are constant


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric's value in one arm.

    Attributes:
        value: None without users, or where the denominator's mean is 0.
        variance: of the value, its squared standard error; None without a value or below 2 users.
        n: users.
    """

    value: float | None
    variance: float | None
    n: int

    def __post_init__(self) -> None:
        """Check that the three fit.

        Raises:
            ValueError: for a value that is not finite, or a variance that is below 0, missing or too much.
        """
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"value is {self.value}; it must be finite, or None where there is none")
        if self.variance is not None and not 0.0 <= self.variance < math.inf:
            raise ValueError(f"variance is {self.variance}; it must be finite and at least 0")
        if (self.variance is not None) != (self.value is not None and self.n >= 2):
            raise ValueError(
                f"variance is {self.variance} of {self}; a value of at least 2 users has one, no other has"
            )


@dataclass(frozen=True, slots=True)
class Joint:
    """How the estimates of two arms vary together; without covariates, independently.

    Attributes:
        covariance: of the control's and the treatment's value.
        control_part: what the control's users add to the variance of treatment - control.
        treatment_part: what the treatment's users add.
    """

    covariance: float
    control_part: float
    treatment_part: float


@dataclass(frozen=True, slots=True)
class Lift:
    """A treatment against the control; a number that could not be computed is None, with the reason.

    Attributes:
        control: the control's estimate.
        treatment: the treatment's estimate.
        difference: treatment - control, in the metric's unit.
        difference_low: lower end of the interval of the difference.
        difference_high: its upper end.
        lift: difference / |control|, as a fraction.
        low: lower end of the interval of the lift; None when unbounded.
        high: its upper end; None when unbounded.
        p_value: two-sided, of lift = null; below alpha exactly when the interval leaves out the null.
        method: how the interval of the lift was made.
        monitoring: how often it may be looked at.
        alpha: two-sided error rate of intervals and p-value.
        null: the lift that the p-value tests.
        unbounded: whether Fieller's set has no ends, because the control may well be 0. The interval of the difference
            and the p-value stand, and agree.
        reason: why a number is absent; None when all are there.
    """

    control: Estimate
    treatment: Estimate
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    lift: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    method: Method = "fieller"
    monitoring: MonitoringName = "fixed"
    alpha: float = 0.05
    null: float = 0.0
    unbounded: bool = False
    reason: str | None = None


def estimate(moments: Moments, numerator: int, denominator: int | None = None) -> Estimate:
    """Estimate a ratio of means over users by the delta method.

    Var(M/D) = (s_M^2 - 2 (M/D) s_MD + (M/D)^2 s_D^2) / (n D^2), of Deng, Knoblich and Lu, "Applying the delta method in
    metric analytics", KDD 2018. Below the constant 1 this is s_M^2 / n, exactly.

    Args:
        moments: of one arm.
        numerator: column above the line.
        denominator: column below it; None for the constant 1, one per user.
    """
    pair = moments.select(numerator, denominator)
    above, below = (float(mean) for mean in pair.means)
    if pair.n == 0 or below == 0.0:
        return Estimate(None, None, pair.n)
    value = above / below
    if pair.n < 2:
        return Estimate(value, None, pair.n)
    gradient = np.array([1.0, -value]) / below
    terms = pair.covariance() * np.outer(gradient, gradient)
    variance = float(terms.sum())
    rounding = _RESOLUTION * float(np.abs(terms).sum()) + (_RESOLUTION * value) ** 2
    return Estimate(value, variance / pair.n if variance > rounding else 0.0, pair.n)


def lift(
    control: Estimate,
    treatment: Estimate,
    *,
    alpha: float = 0.05,
    method: Method = "fieller",
    null: float = 0.0,
    monitoring: Monitoring = FIXED,
    joint: Joint | None = None,
) -> Lift:
    """Compare a treatment with the control.

    Args:
        control: the baseline.
        treatment: the challenger, of other users.
        alpha: two-sided error rate, in (0, 1).
        method: of the interval of the lift.
        null: lift that the p-value tests, such as -0.02 for a guardrail that may fall by 2 %.
        monitoring: how often the experiment may be looked at.
        joint: how the two vary together; independently where None.

    Raises:
        ValueError: for an alpha, a null or a method that does not exist.
    """
    _check_options(alpha, method, null)
    points = replace(_points(control, treatment), method=method, alpha=alpha, null=null, monitoring=monitoring.name)
    reason = _untestable(control, treatment, joint)
    if reason is not None:
        return replace(points, reason=reason)
    arms = _numbers(control, treatment, joint, alpha, monitoring)
    tested = _with_difference(points, arms, monitoring)
    if tested.lift is None:
        absent = f"control mean is {arms.control:g}; a relative lift needs a non-zero baseline"
        return replace(tested, p_value=tested.p_value if null == 0.0 else None, reason=absent)
    with_interval = _with_fieller if method == "fieller" else _with_delta
    return with_interval(tested, arms, monitoring)


class _Numbers(NamedTuple):
    """Both arms without the None, and what the look requires of them."""

    control: float
    treatment: float
    control_variance: float
    treatment_variance: float
    covariance: float
    difference_variance: float
    users: int
    degrees: float
    quantile: float

    def variance_against(self, apart: float) -> float:
        """Return the variance of T - (1 + apart) C, in a form in which nothing cancels where apart is 0."""
        own = self.control_variance
        return self.difference_variance + 2.0 * apart * (own - self.covariance) + apart**2 * own


def _check_options(alpha: float, method: str, null: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(get_args(Method))}")
    if not -1.0 < null < math.inf:
        raise ValueError(f"null is {null}; it must be a lift above -1, such as -0.02 for 2 % less")


def _untestable(control: Estimate, treatment: Estimate, joint: Joint | None) -> str | None:
    """Say why there is no standard error to test with, or None."""
    for name, arm in (("control", control), ("treatment", treatment)):
        if arm.n < 2:
            return f"{name} has {arm.n} {'user' if arm.n == 1 else 'users'}; at least 2 are required"
        if arm.value is None:
            return f"{name} has a denominator of 0; a ratio needs a non-zero one"
    if control.variance == 0.0 and treatment.variance == 0.0:
        return "both arms are constant; the standard error is 0"
    if joint is not None and joint.control_part + joint.treatment_part == 0.0:
        return "the covariates leave no variance; the standard error is 0"
    return None


def _points(control: Estimate, treatment: Estimate) -> Lift:
    """Give what needs no standard error: the difference and the lift, where both arms have a value."""
    if control.value is None or treatment.value is None:
        return Lift(control, treatment)
    difference = treatment.value - control.value
    relative = difference / abs(control.value) if control.value else math.inf
    return Lift(control, treatment, difference=difference, lift=relative if math.isfinite(relative) else None)


def _numbers(
    control: Estimate, treatment: Estimate, joint: Joint | None, alpha: float, monitoring: Monitoring
) -> _Numbers:
    assert control.value is not None
    assert control.variance is not None
    assert treatment.value is not None
    assert treatment.variance is not None
    joint = joint or Joint(0.0, control.variance, treatment.variance)
    variance = joint.control_part + joint.treatment_part
    share = joint.control_part / variance
    degrees = 1.0 / (share**2 / (control.n - 1) + (1.0 - share) ** 2 / (treatment.n - 1))
    users = control.n + treatment.n
    quantile = monitoring.critical(alpha, users=users, degrees=degrees)
    spreads = (control.variance, treatment.variance, joint.covariance, variance)
    return _Numbers(control.value, treatment.value, *spreads, users, degrees, quantile)


def _with_difference(row: Lift, arms: _Numbers, monitoring: Monitoring) -> Lift:
    """Add the interval of the difference, and the p-value of lift = null as that of T - (1 + null) C = 0."""
    difference = arms.treatment - arms.control
    half = arms.quantile * math.sqrt(arms.difference_variance)
    apart = math.copysign(row.null, row.null * arms.control)
    statistic = (difference - apart * arms.control) / math.sqrt(arms.variance_against(apart))
    return replace(
        row,
        difference_low=difference - half,
        difference_high=difference + half,
        p_value=monitoring.p_value(statistic, users=arms.users, degrees=arms.degrees),
    )


def _with_fieller(row: Lift, arms: _Numbers, monitoring: Monitoring) -> Lift:
    """Add Fieller's interval (E. C. Fieller, Journal of the Royal Statistical Society B 16, 1954), of dependent arms.

    With everything in units of the control, e how far the ratio is from the null's and x how far a lift is from the
    null, the set is where (e - x)^2 <= t^2 (v - 2 x k + x^2 d): v is the variance of e, d that of the control, k their
    covariance. It has ends when g = t^2 d < 1. The far one is computed first and gives the near one by their product,
    so that the near one crosses the null where |e| crosses t sqrt(v) and nowhere else.
    """
    unit = arms.control**2
    apart = math.copysign(row.null, row.null * arms.control)
    e = (arms.treatment - arms.control) / arms.control - apart
    v, d = arms.variance_against(apart) / unit, arms.control_variance / unit
    k = (arms.covariance - arms.control_variance) / unit - apart * d
    t2 = arms.quantile**2
    g = t2 * d
    if not g < 1.0:
        return replace(row, unbounded=True, reason=_unbounded_reason(arms, g))
    middle = e - t2 * k
    determinant = (arms.treatment_variance * arms.control_variance - arms.covariance**2) / unit**2
    root = math.sqrt(max(t2 * (v - 2.0 * e * k + e**2 * d) - t2**2 * determinant, 0.0))
    far = (middle + math.copysign(root, middle)) / (1.0 - g)
    near = (e**2 - t2 * v) / ((1.0 - g) * far) if far else 0.0
    low, high = sorted(row.null + math.copysign(1.0, arms.control) * end for end in (near, far))
    return replace(row, low=low, high=high)


def _unbounded_reason(arms: _Numbers, g: float) -> str:
    error = math.sqrt(arms.control_variance)
    return (
        f"control mean is {arms.control:.6g} with standard error {error:.3g}, so g is {g:.3g}; "
        "a bounded relative interval needs g below 1: read the difference, or wait for more users"
    )


def _with_delta(row: Lift, arms: _Numbers, monitoring: Monitoring) -> Lift:
    """Replace interval and p-value by the delta method's: Var(T/C) = (v_T - 2 (T/C) c + (T/C)^2 v_C) / C^2."""
    ratio = arms.treatment / arms.control
    error = math.sqrt(arms.variance_against(ratio - 1.0)) / abs(arms.control)
    if error == 0.0:
        reason = "the delta method's standard error is 0, as the treatment is constantly 0; use method fieller"
        return replace(row, p_value=None, reason=reason)
    relative = (arms.treatment - arms.control) / abs(arms.control)
    half = arms.quantile * error
    p_value = monitoring.p_value((relative - row.null) / error, users=arms.users, degrees=arms.degrees)
    return replace(row, low=relative - half, high=relative + half, p_value=p_value)
