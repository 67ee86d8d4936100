"""Lift: how far the treatment is from the control, as a fraction of it, with its interval and p-value.

    value of an arm     M / D, means over its users; the constant 1 is the denominator of a plain mean
    lift                (T - C) / |C|: treatment / control - 1, and above zero for more when the baseline is below zero
    p-value             of T = C, two-sided: Welch's t
    Fieller's interval  every lift at which a Welch test of T = (1 + lift) C does not reject. At a lift of 0 that is the
                        test of the p-value, so the interval leaves out 0 exactly when p < alpha
    delta's interval    lift -/+ t se(lift). Its p-value is of the lift over that same se, so that the two agree; the
                        interval of the difference stays Welch's

One t quantile, with the degrees of freedom of Welch and Satterthwaite, serves every interval. The arms are independent,
with users enough for a mean to be near normal: at a skewness of 6, 3,600 users against 400 give 5.9 % false positives
instead of 5 %, 18,000 against 2,000 give what they should. A number that could not be computed is None, and `reason`
says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy import special

from ab_platform.statistics.moments import Moments

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
class Lift:
    """A treatment against the control; a number that could not be computed is None, with the reason.

    Attributes:
        control: the control's estimate.
        treatment: the treatment's estimate.
        difference: treatment - control, in the metric's unit.
        difference_low: lower end of Welch's interval of the difference.
        difference_high: its upper end.
        lift: difference / |control|, as a fraction.
        low: lower end of the interval of the lift; None when unbounded.
        high: its upper end; None when unbounded.
        p_value: two-sided, of no difference; below alpha exactly when the interval leaves out 0.
        method: how the interval of the lift was made.
        alpha: two-sided error rate of intervals and p-value.
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
    alpha: float = 0.05
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


def lift(control: Estimate, treatment: Estimate, *, alpha: float = 0.05, method: Method = "fieller") -> Lift:
    """Compare a treatment with the control.

    Args:
        control: the baseline.
        treatment: the challenger, of other users.
        alpha: two-sided error rate, in (0, 1).
        method: of the interval of the lift.

    Raises:
        ValueError: for an alpha or a method that does not exist.
    """
    _check_options(alpha, method)
    points = _points(control, treatment)
    reason = _untestable(control, treatment)
    if reason is not None:
        return replace(points, method=method, alpha=alpha, reason=reason)
    arms = _numbers(control, treatment, alpha)
    tested = _with_welch(replace(points, method=method, alpha=alpha), arms)
    if tested.lift is None:
        return replace(tested, reason=f"control mean is {arms.control:g}; a relative lift needs a non-zero baseline")
    return _with_fieller(tested, arms) if method == "fieller" else _with_delta(tested, arms)


class _Numbers(NamedTuple):
    """Both arms without the None, and what Welch makes of their variances."""

    control: float
    treatment: float
    control_variance: float
    treatment_variance: float
    degrees: float
    quantile: float


def _check_options(alpha: float, method: str) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(get_args(Method))}")


def _untestable(control: Estimate, treatment: Estimate) -> str | None:
    """Say why there is no standard error to test with, or None."""
    for name, arm in (("control", control), ("treatment", treatment)):
        if arm.n < 2:
            return f"{name} has {arm.n} {'user' if arm.n == 1 else 'users'}; at least 2 are required"
        if arm.value is None:
            return f"{name} has a denominator of 0; a ratio needs a non-zero one"
    if control.variance == 0.0 and treatment.variance == 0.0:
        return "both arms are constant; the standard error is 0"
    return None


def _points(control: Estimate, treatment: Estimate) -> Lift:
    """Give what needs no standard error: the difference and the lift, where both arms have a value."""
    if control.value is None or treatment.value is None:
        return Lift(control, treatment)
    difference = treatment.value - control.value
    relative = difference / abs(control.value) if control.value else math.inf
    return Lift(control, treatment, difference=difference, lift=relative if math.isfinite(relative) else None)


def _numbers(control: Estimate, treatment: Estimate, alpha: float) -> _Numbers:
    assert control.value is not None
    assert control.variance is not None
    assert treatment.value is not None
    assert treatment.variance is not None
    share = control.variance / (control.variance + treatment.variance)
    degrees = 1.0 / (share**2 / (control.n - 1) + (1.0 - share) ** 2 / (treatment.n - 1))
    quantile = float(-special.stdtrit(degrees, alpha / 2.0))
    return _Numbers(control.value, treatment.value, control.variance, treatment.variance, degrees, quantile)


def _two_sided(statistic: float, degrees: float) -> float:
    """Return the p-value by the lower tail, which keeps its digits where 1 - cdf has none left."""
    return float(2.0 * special.stdtr(degrees, -abs(statistic)))


def _with_welch(row: Lift, arms: _Numbers) -> Lift:
    difference = arms.treatment - arms.control
    error = math.sqrt(arms.control_variance + arms.treatment_variance)
    half = arms.quantile * error
    return replace(
        row,
        difference_low=difference - half,
        difference_high=difference + half,
        p_value=_two_sided(difference / error, arms.degrees),
    )


def _with_fieller(row: Lift, arms: _Numbers) -> Lift:
    """Add Fieller's interval (E. C. Fieller, Journal of the Royal Statistical Society B 16, 1954).

    With everything in units of the control, d = (T - C)/C, g = t^2 v_C/C^2 and h = t^2 v_T/C^2, the set is where
    (d - x)^2 <= g (1 + x)^2 + h. It has ends when g < 1; the far one is computed first and gives the near one by their
    product, so that the near one crosses 0 where |T - C| crosses t se and nowhere else.
    """
    difference = (arms.treatment - arms.control) / arms.control
    g = (arms.quantile * math.sqrt(arms.control_variance) / arms.control) ** 2
    h = (arms.quantile * math.sqrt(arms.treatment_variance) / arms.control) ** 2
    if not g < 1.0:
        return replace(row, unbounded=True, reason=_unbounded_reason(arms, g))
    middle = difference + g
    root = math.sqrt(g * (1.0 + difference) ** 2 + (1.0 - g) * h)
    far = (middle + math.copysign(root, middle)) / (1.0 - g)
    near = (difference**2 - g - h) / ((1.0 - g) * far) if far else 0.0
    low, high = sorted(math.copysign(1.0, arms.control) * end for end in (near, far))
    return replace(row, low=low, high=high)


def _unbounded_reason(arms: _Numbers, g: float) -> str:
    error = math.sqrt(arms.control_variance)
    return (
        f"control mean is {arms.control:.6g} with standard error {error:.3g}, so g is {g:.3g}; "
        "a bounded relative interval needs g below 1: read the difference, or wait for more users"
    )


def _with_delta(row: Lift, arms: _Numbers) -> Lift:
    """Replace interval and p-value by the delta method's: Var(T/C) = (v_T + (T/C)^2 v_C) / C^2."""
    ratio = arms.treatment / arms.control
    error = math.sqrt(arms.treatment_variance + ratio**2 * arms.control_variance) / abs(arms.control)
    if error == 0.0:
        reason = "the delta method's standard error is 0, as the treatment is constantly 0; use method fieller"
        return replace(row, p_value=None, reason=reason)
    relative = (arms.treatment - arms.control) / abs(arms.control)
    half = arms.quantile * error
    return replace(row, low=relative - half, high=relative + half, p_value=_two_sided(relative / error, arms.degrees))
