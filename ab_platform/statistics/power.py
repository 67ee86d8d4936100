"""Power: how many users a lift needs, how small a lift the users can show, and how surely they show it.

All answer for the two-sided t test of `lift`, of two arms whose users vary alike: where a treatment's spread grows with
its mean, a lift of 10 % makes it a tenth wider, and the users needed are some 10 % more. What counts is the coefficient
of variation, a user's standard deviation over the mean: sqrt(variance * n) / |value| of an `Estimate`, for ratios too.
What an analysis adds has neutral defaults:

    margin          of a guardrail: the test is of lift = -margin, so a true lift of 0 lies a margin away from it.
                    It is found in one direction only, which is one-sided at alpha / 2
    variance_kept   share of the variance that covariates leave, 1 - variance_saved
    inflation       times as many users as one look needs, for looks at any time or at planned times

Several treatments share a control: give each pair its weights, below 1 in total, and the alpha that its family leaves.
"""

from __future__ import annotations

import math

from scipy import special


def detectable_lift(
    *,
    users: int,
    weights: tuple[float, float],
    coefficient_of_variation: float,
    alpha: float = 0.05,
    power: float = 0.8,
    margin: float = 0.0,
    variance_kept: float = 1.0,
    inflation: float = 1.0,
) -> float:
    """Return the smallest true lift, either way, that is found significant with the given power.

    With a margin it is the worst true lift that is still shown to be within it, a negative one where users are plenty.

    lift = d se, where the noncentral t with noncentrality d exceeds the critical value t with the given power:
    d = t (1 - 1/(4 df)) + z_power sqrt(1 + t^2/(2 df)) (Abramowitz and Stegun 26.7.10), and se is that of
    T - (1 - margin) C over the control, cv sqrt(1/n_T + (1 - margin)^2/n_C). Found with the wrong sign does not count.

    Args:
        users: in the experiment, all arms together.
        weights: shares of those users in (control, treatment); below 1 in total when there are more arms.
        coefficient_of_variation: of one user, above 0.
        alpha: two-sided error rate.
        power: chance to find the lift, above alpha.
        margin: tolerated lift for the worse, below 1; below 0 for a metric of which more is worse.
        variance_kept: share of the variance that covariates leave, in (0, 1].
        inflation: users over those that a single look needs, at least 1.

    Raises:
        ValueError: for an argument out of its range, or fewer than 2 users in an arm.
    """
    _check(coefficient_of_variation, alpha, power)
    _check_additions(margin, variance_kept, inflation)
    error, degrees = _error(users, weights, coefficient_of_variation, margin, variance_kept, inflation)
    distance = _noncentrality(degrees, alpha, power) * error
    return math.copysign(distance, margin) - margin


def users_needed(
    *,
    lift: float,
    weights: tuple[float, float],
    coefficient_of_variation: float,
    alpha: float = 0.05,
    power: float = 0.8,
    margin: float = 0.0,
    variance_kept: float = 1.0,
    inflation: float = 1.0,
) -> int:
    """Return the fewest users, all arms together, whose detectable lift is no larger than this one.

    Args:
        lift: true lift to find, as a fraction; either way and not 0 without a margin. With one, what the treatment may
            truly do to the guardrail, usually 0; on the better side of -margin.
        weights: shares of the users in (control, treatment).
        coefficient_of_variation: of one user, above 0.
        alpha: two-sided error rate.
        power: chance to find the lift, above alpha.
        margin: as in `detectable_lift`.
        variance_kept: as in `detectable_lift`.
        inflation: as in `detectable_lift`.

    Raises:
        ValueError: for an argument out of its range.
    """
    _check(coefficient_of_variation, alpha, power)
    _check_additions(margin, variance_kept, inflation)
    distance = _distance(lift, margin)
    if not 0.0 < distance < math.inf:
        required = f"better than -margin, {-margin}" if margin else "other than 0, such as 0.03 for 3 %"
        raise ValueError(f"lift is {lift}; it must be a fraction {required}")
    control, treatment = _checked(weights)
    quantiles = float(special.ndtri(power) - special.ndtri(alpha / 2.0))
    deviation = coefficient_of_variation * math.sqrt(variance_kept)
    spread = (1.0 - margin) ** 2 / control + 1.0 / treatment
    fewest = (quantiles * deviation / distance) ** 2 * spread * inflation
    users = max(math.floor(fewest), math.ceil(2.0 * inflation / min(control, treatment)))

    def finds(count: int) -> bool:
        error, degrees = _error(count, weights, coefficient_of_variation, margin, variance_kept, inflation)
        return _noncentrality(degrees, alpha, power) * error <= distance

    while not finds(users):  # the normal's users fall short of Student's by a few
        users += 1 + (users >> 50)  # beyond 2**53 a float does not see one user
    return users


def power_of(
    *,
    users: int,
    weights: tuple[float, float],
    coefficient_of_variation: float,
    lift: float,
    alpha: float = 0.05,
    margin: float = 0.0,
    variance_kept: float = 1.0,
    inflation: float = 1.0,
) -> float:
    """Return the chance that a true lift is found: the inverse of `detectable_lift`, by the same formula.

    Args:
        users: in the experiment, all arms together.
        weights: shares of those users in (control, treatment).
        coefficient_of_variation: of one user, above 0.
        lift: true lift, as in `users_needed`; with a margin, on either side of -margin.
        alpha: two-sided error rate.
        margin: as in `detectable_lift`.
        variance_kept: as in `detectable_lift`.
        inflation: as in `detectable_lift`.

    Raises:
        ValueError: for an argument out of its range, or fewer than 2 users in an arm.
    """
    _check(coefficient_of_variation, alpha)
    _check_additions(margin, variance_kept, inflation)
    if not math.isfinite(lift):
        raise ValueError(f"lift is {lift}; it must be a fraction, such as 0.03 for 3 %")
    error, degrees = _error(users, weights, coefficient_of_variation, margin, variance_kept, inflation)
    middle, spread = _approximation(degrees, alpha)
    return float(special.ndtr((_distance(lift, margin) / error - middle) / spread))


def _error(
    users: int,
    weights: tuple[float, float],
    coefficient_of_variation: float,
    margin: float,
    variance_kept: float,
    inflation: float,
) -> tuple[float, float]:
    """Return the standard error of what is tested, over the control's mean, and its degrees of freedom."""
    control, treatment = (users * weight / inflation for weight in _checked(weights))
    if min(control, treatment) < 2.0 - 1e-9:  # a share of users may round down
        raise ValueError(f"{users} users leave {min(control, treatment):.3g} in an arm; at least 2 are required")
    deviation = coefficient_of_variation * math.sqrt(variance_kept)
    return deviation * math.sqrt((1.0 - margin) ** 2 / control + 1.0 / treatment), control + treatment - 2.0


def _noncentrality(degrees: float, alpha: float, power: float) -> float:
    middle, spread = _approximation(degrees, alpha)
    return middle + float(special.ndtri(power)) * spread


def _approximation(degrees: float, alpha: float) -> tuple[float, float]:
    """Return the normal's mean and deviation for the noncentrality at which the critical value is just met."""
    critical = float(-special.stdtrit(degrees, alpha / 2.0))
    return critical * (1.0 - 0.25 / degrees), math.sqrt(1.0 + critical**2 / (2.0 * degrees))


def _distance(lift: float, margin: float) -> float:
    """Return how far a true lift is from what is tested; below 0 on the worse side of a margin."""
    return math.copysign(1.0, margin) * (lift + margin) if margin else abs(lift)


def _check(coefficient_of_variation: float, alpha: float, power: float | None = None) -> None:
    if not 0.0 < coefficient_of_variation < math.inf:
        raise ValueError(f"coefficient_of_variation is {coefficient_of_variation}; it must be above 0")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")
    if power is not None and not alpha < power < 1.0:
        raise ValueError(f"power is {power}; it must lie between alpha {alpha} and 1, such as 0.8")


def _check_additions(margin: float, variance_kept: float, inflation: float) -> None:
    if not -math.inf < margin < 1.0:
        raise ValueError(f"margin is {margin}; it must be a fraction below 1, such as 0.02 for 2 %")
    if not 0.0 < variance_kept <= 1.0:
        raise ValueError(f"variance_kept is {variance_kept}; it must lie above 0 and up to 1, 1 without covariates")
    if not 1.0 <= inflation < math.inf:
        raise ValueError(f"inflation is {inflation}; it must be at least 1, 1 for a single look")


def _checked(weights: tuple[float, float]) -> tuple[float, float]:
    if min(weights) <= 0.0 or sum(weights) > 1.0 + 1e-9:
        raise ValueError(f"weights are {weights}; control and treatment need a share above 0, at most 1.0 together")
    return weights
