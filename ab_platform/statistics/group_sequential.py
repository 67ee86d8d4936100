"""Group sequential: looks that are planned, each of which spends a part of alpha.

Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70, 1983, with spending of O'Brien and
Fleming's kind: up to the fraction t of the planned users, each side spends 2 - 2 Phi(z / sqrt(t)), which at t = 1 is
alpha / 2 for z the normal's upper quantile of alpha / 4. Early looks spend next to nothing, so that the last one is
nearly as sharp as a single look: of an effect that one look finds with a chance of .912, 28 daily looks find it with
.900.

The interval is the repeated confidence interval of Jennison and Turnbull (Journal of the Royal Statistical Society B
51, 1989): what it covers, it covers at all looks at once. The estimate is taken as normal at each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from ab_platform.statistics import recursion
from ab_platform.statistics.monitoring import MonitoringName

SMALLEST_ALPHA = 1e-12
"""Below it boundaries are continued, from integrated ones, as they grow in the limit."""

CLOSEST = 1e-4
"""Of two looks nearer than this share of the planned users, what the later one requires leaves out the earlier one."""

_DEGREE = 40
_STEEP = 0.02  # in units of z, next to alpha = 1, where boundaries fall to 0 steeply
_FARTHEST = 33.0  # standard errors, beyond which chances have no digits left


@dataclass(frozen=True, slots=True)
class GroupSequential:
    """The last of some planned looks.

    Attributes:
        fractions: share of the planned users at each look so far, increasing, in (0, 1]; the last is this look.
    """

    fractions: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the fractions.

        Raises:
            ValueError: unless they increase and lie in (0, 1].
        """
        _check_fractions(self.fractions)

    @property
    def name(self) -> MonitoringName:
        """Return `group_sequential`."""
        return "group_sequential"

    def critical(self, alpha: float, *, users: int, degrees: float) -> float:
        """Return the boundary of this look, in standard errors, to 1e-6; the normal's, whatever the degrees.

        Raises:
            ValueError: unless alpha lies between 0 and 1.
        """
        _check_alpha(alpha)
        return _critical(self.fractions, alpha)

    def p_value(self, statistic: float, *, users: int, degrees: float) -> float:
        """Return the level at which the repeated interval just leaves out no difference.

        It is the largest float whose boundary is not below the statistic, found among them all: p < alpha exactly when
        the statistic is beyond the boundary of alpha, but for rounding in the last digits. Never 0.
        """
        size = abs(statistic)
        low, high = (int(np.float64(end).view(np.int64)) for end in (np.finfo(np.float64).tiny, 1.0))
        if _critical(self.fractions, 1.0) >= size:
            return 1.0
        while high - low > 1:  # floats above 0 are ordered as their bits are
            middle = (low + high) // 2
            if _critical(self.fractions, _float(middle)) >= size:
                low = middle
            else:
                high = middle
        return _float(low)


def spent(fraction: float, alpha: float) -> float:
    """Return the part of alpha that both sides together have spent up to a fraction of the planned users.

    Twice Lan and DeMets' alpha_1*(t) (1983), of a test to one side at alpha / 2.
    """
    return _both_sides(_z(alpha), fraction)


def boundaries(fractions: Sequence[float], alpha: float) -> tuple[float, ...]:
    """Return the boundary of every look, in standard errors.

    Args:
        fractions: of the planned users, at every look, increasing, in (0, 1].
        alpha: two-sided error rate, in (0, 1).

    Raises:
        ValueError: for an argument out of its range.
    """
    _check_fractions(fractions)
    _check_alpha(alpha)
    return recursion.boundaries(fractions, lambda fraction: spent(fraction, alpha))


def power(fractions: Sequence[float], *, alpha: float, drift: float) -> float:
    """Return the chance to find an effect, with its sign, at any of the looks.

    Args:
        fractions: of the planned users, at every look.
        alpha: two-sided error rate.
        drift: the effect over its standard error at the planned users.

    Raises:
        ValueError: for an argument out of its range.
    """
    return recursion.power(fractions, boundaries(fractions, alpha), drift=abs(drift))


def inflation(fractions: Sequence[float], *, alpha: float, power: float) -> float:
    """Return how many times the users of a single look are needed for the same power.

    Args:
        fractions: of the planned users, at every look.
        alpha: two-sided error rate.
        power: chance to find the effect by the last look, above alpha.

    Raises:
        ValueError: for an argument out of its range.
    """
    limits = boundaries(fractions, alpha)
    if not alpha < power < 1.0:
        raise ValueError(f"power is {power}; it must lie between alpha {alpha} and 1")
    single = float(special.ndtri(power) - special.ndtri(alpha / 2.0))

    def missing(times: float) -> float:
        return power - recursion.power(fractions, limits, drift=math.sqrt(times) * single)

    enough = 1.0
    while missing(enough) > 0.0:
        enough *= 2.0
    return enough if enough == 1.0 else float(optimize.brentq(missing, enough / 2.0, enough, xtol=1e-9))


def _check_alpha(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")


def _check_fractions(fractions: Sequence[float]) -> None:
    steps = [later - earlier for earlier, later in zip((0.0, *fractions), fractions, strict=False)]
    if not (steps and all(step > 0.0 for step in steps) and fractions[-1] <= 1.0):
        raise ValueError(
            f"fractions are {tuple(fractions)}; they must increase and lie in (0, 1]: "
            "leave out a look without new users, and count more users than planned as 1.0"
        )


def _float(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))


def _z(alpha: float) -> float:
    """Return the normal quantile of a quarter of alpha, which the spending is made of."""
    return float(-special.ndtri(alpha / 4.0))


def _both_sides(z: float, fraction: float) -> float:
    return float(4.0 * special.ndtr(-z / math.sqrt(fraction)))


def _critical(fractions: tuple[float, ...], alpha: float) -> float:
    """Return the boundary of the last look; it grows steadily as alpha falls."""
    z, fraction = _z(alpha), fractions[-1]
    curve = _curve(fractions)
    if curve is None:
        return _alone(z, fraction)
    return curve.at(z) if z <= curve.last else curve.at(curve.last) + (z - curve.last) / math.sqrt(fraction)


def _alone(z: float, fraction: float) -> float:
    """Return the boundary of a look at which all that may be spent so far is spent, in logarithms of the chances."""
    return max(0.0, float(-special.ndtri_exp(math.log(2.0) + special.log_ndtr(-z / math.sqrt(fraction)))))


@dataclass(frozen=True, eq=False, slots=True)
class _Curve:
    """The boundary of a look as a polynomial: over z / sqrt(t), by the logarithm of z's distance from its least.

    Attributes:
        last: largest z that it is made for.
        coefficients: of Chebyshev's polynomials.
    """

    last: float
    coefficients: NDArray[np.float64]
    fraction: float

    def at(self, z: float) -> float:
        low, high = _ends(self.last)
        place = (2.0 * math.log(max(z - _z(1.0), 0.0) + _STEEP) - low - high) / (high - low)
        share = float(np.polynomial.chebyshev.chebval(place, self.coefficients))
        return max(0.0, share * z / math.sqrt(self.fraction))


def _ends(last: float) -> tuple[float, float]:
    return math.log(_STEEP), math.log(last - _z(1.0) + _STEEP)


@lru_cache(maxsize=512)
def _curve(fractions: tuple[float, ...]) -> _Curve | None:
    """Integrate boundaries at some levels, as many rows ask for them at many; None where the look stands alone.

    That is the first one, and any so early that a chance that it spends would not have digits.
    """
    apart = [later - earlier >= CLOSEST for earlier, later in pairwise(fractions)]
    looks = [fraction for fraction, far in zip(fractions, [*apart, True], strict=True) if far]
    last = min(_z(SMALLEST_ALPHA), _FARTHEST * math.sqrt(looks[-1]))
    if len(looks) == 1 or last <= _z(1.0):
        return None
    low, high = _ends(last)
    places = np.polynomial.chebyshev.chebpts1(_DEGREE + 1)
    zs = (_z(1.0) - _STEEP + np.exp(0.5 * (low + high + (high - low) * places))).tolist()
    shares = [_integrated(looks, z) * math.sqrt(looks[-1]) / z for z in zs]
    return _Curve(last, np.polynomial.chebyshev.chebfit(places, np.array(shares), _DEGREE), looks[-1])


def _integrated(looks: Sequence[float], z: float) -> float:
    return recursion.boundaries(looks, lambda fraction: _both_sides(z, fraction))[-1]
