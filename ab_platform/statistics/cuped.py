"""CUPED: what users did before their exposure takes variance out of the lift, and nothing else.

    value of an arm     V' = V - theta . (X - X of both arms), V and each X a ratio of means
    theta               cov(V, X) / var(X), of the linearised ratios, from the users of both arms together
    what it costs       X of both arms moves both values, so they vary together, and a relative lift needs their
                        covariance: without it the interval promises what it does not keep

Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by utilizing pre-experiment
data", WSDM 2013, section 3; ratios by the delta method as in Deng, Knoblich and Lu, KDD 2018: a user's linearised ratio
is (m - R d) / D. The covariates must not depend on the arm, which holds for what happened before the exposure; then the
difference of the adjusted values estimates what the difference of the plain ones does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ab_platform.statistics.lift import Estimate, Joint, estimate
from ab_platform.statistics.moments import Moments

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_RESOLUTION = 1e-12  # of what a variance is the sum of
_SINGULAR = 1e-10  # a covariate that others explain but for this share of its variance adds nothing


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of means, as columns of the moments.

    Attributes:
        numerator: column above the line.
        denominator: column below it; None for the constant 1.
    """

    numerator: int
    denominator: int | None = None


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Both arms' estimates after adjustment.

    Attributes:
        control: the control's adjusted estimate.
        treatment: the treatment's.
        joint: how the two vary together; None where nothing was adjusted.
        variance_saved: share of the difference's variance that the covariates took away; None where nothing was
            adjusted. Slightly below 0 where they explain nothing.
    """

    control: Estimate
    treatment: Estimate
    joint: Joint | None = None
    variance_saved: float | None = None


def adjust(control: Moments, treatment: Moments, outcome: Ratio, covariates: Sequence[Ratio] = ()) -> Adjusted:
    """Estimate a metric in both arms, adjusted for covariates; without usable ones, as it is.

    A covariate is usable where its denominator is not 0 in either arm and it varies. One that the covariates before it
    already tell is left out.

    Args:
        control: moments of the control's users.
        treatment: moments of the treatment's users, in the same columns.
        outcome: the metric.
        covariates: of the time before exposure.
    """
    unadjusted = Adjusted(_estimate(control, outcome), _estimate(treatment, outcome))
    if unadjusted.control.variance is None or unadjusted.treatment.variance is None:
        return unadjusted
    arms = (control, treatment)
    usable = [each for each in covariates if all(_value(arm, each) is not None for arm in arms)]
    if not usable:
        return unadjusted
    ratios = (outcome, *usable)
    theta = _theta(_linearised(control + treatment, ratios))
    if not theta.any():
        return unadjusted
    return _adjusted(arms, unadjusted.control.variance + unadjusted.treatment.variance, ratios, theta)


def _adjusted(arms: tuple[Moments, Moments], before: float, ratios: Sequence[Ratio], theta: Vector) -> Adjusted:
    """Adjust by theta; `before` is the variance that the difference had."""
    of_control, of_treatment = (_linearised(arm, ratios) / arm.n for arm in arms)
    values = np.array([[_value(arm, each) or 0.0 for each in ratios] for arm in arms])
    shares = np.array([_treatment_share(arms, each) for each in ratios[1:]])
    apart = values[1, 1:] - values[0, 1:]
    # What each arm's own covariates, then the other's, weigh in its adjusted value.
    toward_treatment, toward_control = theta * shares, theta * (1.0 - shares)
    control_own, control_other = np.append(1.0, -toward_treatment), np.append(0.0, toward_treatment)
    treatment_own, treatment_other = np.append(1.0, -toward_control), np.append(0.0, toward_control)
    difference = np.append(1.0, -theta)
    joint = Joint(
        covariance=float(control_own @ of_control @ treatment_other + control_other @ of_treatment @ treatment_own),
        control_part=_spread(difference, of_control),
        treatment_part=_spread(difference, of_treatment),
    )
    control_variance = _spread(control_own, of_control) + _spread(control_other, of_treatment)
    treatment_variance = _spread(treatment_own, of_treatment) + _spread(treatment_other, of_control)
    return Adjusted(
        Estimate(float(values[0, 0] + toward_treatment @ apart), control_variance, arms[0].n),
        Estimate(float(values[1, 0] - toward_control @ apart), treatment_variance, arms[1].n),
        joint,
        None if before == 0.0 else 1.0 - (joint.control_part + joint.treatment_part) / before,
    )


def _estimate(moments: Moments, ratio: Ratio) -> Estimate:
    return estimate(moments, ratio.numerator, ratio.denominator)


def _value(moments: Moments, ratio: Ratio) -> float | None:
    """Return the value of `_estimate`, which looks at the variance besides."""
    below = _mean(moments, ratio.denominator)
    return None if moments.n == 0 or below == 0.0 else _mean(moments, ratio.numerator) / below


def _mean(moments: Moments, column: int | None) -> float:
    return 1.0 if column is None else float(moments.means[column])


def _linearised(moments: Moments, ratios: Sequence[Ratio]) -> Matrix:
    """Return the covariance over users of the linearised ratios (m - R d) / D, `(ratios, ratios)`."""
    columns = [column for each in ratios for column in (each.numerator, each.denominator)]
    pairs = moments.select(*columns)
    gradient = np.zeros((len(ratios), len(columns)))
    for place in range(len(ratios)):
        above, below = pairs.means[2 * place], pairs.means[2 * place + 1]
        gradient[place, 2 * place : 2 * place + 2] = np.array([1.0, -above / below]) / below
    covariance = pairs.covariance()
    linearised = gradient @ covariance @ gradient.T
    summed = np.diag(np.abs(gradient) @ np.abs(covariance) @ np.abs(gradient).T)
    varies = np.diag(linearised) > _RESOLUTION * summed  # what is left below is rounding
    return np.where(np.outer(varies, varies), linearised, 0.0)


def _theta(covariance: Matrix) -> Vector:
    """Return the coefficients of the first ratio on the others, 0 for those that add nothing."""
    theta = np.zeros(len(covariance) - 1)
    chosen: list[int] = []
    for candidate in range(1, len(covariance)):
        if _adds(covariance, chosen, candidate):
            chosen.append(candidate)
    if chosen:
        scale = np.sqrt(np.diag(covariance)[chosen])
        correlation = covariance[np.ix_(chosen, chosen)] / np.outer(scale, scale)
        theta[np.array(chosen) - 1] = np.linalg.solve(correlation, covariance[chosen, 0] / scale) / scale
    return theta


def _adds(covariance: Matrix, chosen: Sequence[int], candidate: int) -> bool:
    """Tell whether a covariate varies beyond what the chosen ones explain of it."""
    own = covariance[candidate, candidate]
    if not own > 0.0:
        return False
    if not chosen:
        return True
    shared = covariance[chosen, candidate]
    explained = shared @ np.linalg.solve(covariance[np.ix_(chosen, chosen)], shared)
    return bool(1.0 - explained / own > _SINGULAR)


def _treatment_share(arms: tuple[Moments, Moments], ratio: Ratio) -> float:
    """Return the treatment's weight in a ratio of both arms: its share of the denominator."""
    control, treatment = (arm.n * _mean(arm, ratio.denominator) for arm in arms)
    return treatment / (control + treatment)


def _spread(weights: Vector, covariance: Matrix) -> float:
    """Return the variance of a weighted sum; rounding may leave it a little below 0."""
    return max(float(weights @ covariance @ weights), 0.0)
