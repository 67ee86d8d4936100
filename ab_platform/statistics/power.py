"""Power: how many users a lift needs, and how small a lift the users can show.

Both answer for the two-sided t test of `lift`, of two arms whose users vary alike. What counts is the coefficient of
variation, a user's standard deviation over the mean: sqrt(variance * n) / |value| of an `Estimate`, for ratios too.
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
) -> float:
    """Return the smallest true lift, either way, that is found significant with the given power.

    lift = d cv sqrt(1/n_C + 1/n_T), where the noncentral t with noncentrality d exceeds the critical value t with the
    given power: d = t (1 - 1/(4 df)) + z_power sqrt(1 + t^2/(2 df)) (Abramowitz and Stegun 26.7.10). Found with the
    wrong sign does not count.

    Args:
        users: in the experiment, all arms together.
        weights: shares of those users in (control, treatment); below 1 in total when there are more arms.
        coefficient_of_variation: of one user, above 0.
        alpha: two-sided error rate.
        power: chance to find the lift, above alpha.

    Raises:
        ValueError: for an argument out of its range, or fewer than 2 users in an arm.
    """
    _check(coefficient_of_variation, alpha, power)
    control, treatment = (users * weight for weight in _checked(weights))
    if min(control, treatment) < 2.0:
        raise ValueError(f"{users} users leave {min(control, treatment):.3g} in an arm; at least 2 are required")
    noncentrality = _noncentrality(control + treatment - 2.0, alpha, power)
    return noncentrality * coefficient_of_variation * math.sqrt(1.0 / control + 1.0 / treatment)


def users_needed(
    *,
    lift: float,
    weights: tuple[float, float],
    coefficient_of_variation: float,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """Return the fewest users, all arms together, whose detectable lift is no larger than this one.

    Args:
        lift: true lift to find, either way, as a fraction; not 0.
        weights: shares of the users in (control, treatment).
        coefficient_of_variation: of one user, above 0.
        alpha: two-sided error rate.
        power: chance to find the lift, above alpha.

    Raises:
        ValueError: for an argument out of its range.
    """
    _check(coefficient_of_variation, alpha, power)
    if not 0.0 < abs(lift) < math.inf:
        raise ValueError(f"lift is {lift}; it must be a fraction other than 0, such as 0.03 for 3 %")
    control, treatment = _checked(weights)
    quantiles = float(special.ndtri(power) - special.ndtri(alpha / 2.0))
    fewest = (quantiles * coefficient_of_variation / lift) ** 2 * (1.0 / control + 1.0 / treatment)
    users = max(math.floor(fewest), math.ceil(2.0 / min(control, treatment)))

    def finds(count: int) -> bool:
        least = detectable_lift(
            users=count,
            weights=weights,
            coefficient_of_variation=coefficient_of_variation,
            alpha=alpha,
            power=power,
        )
        return least <= abs(lift)

    while not finds(users):  # the normal's users fall short of Student's by a few
        users += 1 + (users >> 50)  # beyond 2**53 a float does not see one user
    return users


def _noncentrality(degrees: float, alpha: float, power: float) -> float:
    critical = -special.stdtrit(degrees, alpha / 2.0)
    spread = math.sqrt(1.0 + critical**2 / (2.0 * degrees))
    return float(critical * (1.0 - 0.25 / degrees) + special.ndtri(power) * spread)


def _check(coefficient_of_variation: float, alpha: float, power: float) -> None:
    if not 0.0 < coefficient_of_variation < math.inf:
        raise ValueError(f"coefficient_of_variation is {coefficient_of_variation}; it must be above 0")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")
    if not alpha < power < 1.0:
        raise ValueError(f"power is {power}; it must lie between alpha {alpha} and 1, such as 0.8")


def _checked(weights: tuple[float, float]) -> tuple[float, float]:
    if min(weights) <= 0.0 or sum(weights) > 1.0 + 1e-9:
        raise ValueError(f"weights are {weights}; control and treatment need a share above 0, at most 1.0 together")
    return weights
