"""Group sequential: looks that are planned, each of which spends a part of alpha.

Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70, 1983, with spending of O'Brien and
Fleming's kind: each side spends 2 - 2 Phi(z / sqrt(t)) up to the fraction t of the planned users. Early looks spend next
to nothing, so that the last one is nearly as sharp as a single look: of an effect that one look finds with a chance of
.91, 28 daily looks find it with .90. The interval is the repeated confidence interval of Jennison and Turnbull (Journal of the Royal
Statistical Society B 51, 1989): what it covers, it covers at all looks at once. The estimate is near normal at each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, optimize, special

from ab_platform.statistics import recursion
from ab_platform.statistics.monitoring import MonitoringName

ALPHAS = (
    *(1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 3e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.0125),
    *(0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.045, 0.05, 0.055, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25),
    *(0.3, 0.35, 0.4, 0.45, 0.5, 0.6),
)
"""Levels whose boundaries are integrated; between them they are interpolated on the scale of normal quantiles, which is
right to 1e-5 of a standard error. Beyond .6, where early looks have spent all there is, a p-value says no more than that.
"""


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
        steps = [later - earlier for earlier, later in zip((0.0, *self.fractions), self.fractions, strict=False)]
        if not steps or min(steps) <= 0.0 or self.fractions[-1] > 1.0:
            raise ValueError(f"fractions are {self.fractions}; they must increase and lie in (0, 1]")

    @property
    def name(self) -> MonitoringName:
        """Return `group_sequential`."""
        return "group_sequential"

    def critical(self, alpha: float, *, users: int, degrees: float) -> float:
        """Return the boundary of this look, in standard errors."""
        return _critical(self.fractions, alpha)

    def p_value(self, statistic: float, *, users: int, degrees: float) -> float:
        """Return the level at which the repeated interval just leaves out no difference."""
        size = abs(statistic)
        low, high = math.log(np.finfo(float).tiny), 0.0
        if not _critical(self.fractions, math.exp(low)) > size:
            return math.exp(low)
        # To the last digit, so that p < alpha exactly when the statistic is beyond the boundary of alpha.
        while low < (middle := (low + high) / 2.0) < high:
            if _critical(self.fractions, math.exp(middle)) < size:
                high = middle
            else:
                low = middle
        return math.exp(low) if size else 1.0


def spent(fraction: float, alpha: float) -> float:
    """Return the part of alpha that both sides together have spent up to a fraction of the planned users."""
    return float(4.0 * special.ndtr(special.ndtri(alpha / 4.0) / math.sqrt(fraction)))


def boundaries(fractions: Sequence[float], alpha: float) -> tuple[float, ...]:
    """Return the boundary of every look, in standard errors."""
    return recursion.boundaries(tuple(fractions), lambda fraction: spent(fraction, alpha))


def power(fractions: Sequence[float], *, alpha: float, drift: float) -> float:
    """Return the chance to find an effect at any of the looks.

    Args:
        fractions: of the planned users, at every look.
        alpha: two-sided error rate.
        drift: the effect over its standard error at the planned users.
    """
    return recursion.power(tuple(fractions), boundaries(fractions, alpha), drift=drift)


def inflation(fractions: Sequence[float], *, alpha: float, power: float) -> float:
    """Return how many times the users of a single look are needed for the same power."""
    limits = boundaries(fractions, alpha)
    single = float(special.ndtri(power) - special.ndtri(alpha / 2.0))

    def missing(drift: float) -> float:
        return recursion.power(tuple(fractions), limits, drift=drift) - power

    drift = optimize.brentq(missing, 0.5 * single, 2.0 * single, xtol=1e-6)
    return float((drift / single) ** 2)


def _critical(fractions: tuple[float, ...], alpha: float) -> float:
    """Interpolate the boundary of the last look; it grows steadily with the normal quantile of alpha."""
    quantile = float(-special.ndtri(alpha / 2.0))
    quantiles, limits, slope = _table(fractions)
    if quantile >= quantiles[-1]:
        return float(limits[-1] + slope * (quantile - quantiles[-1]))
    return float(_curve(fractions)(quantile))


@lru_cache(maxsize=128)
def _table(fractions: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return normal quantiles, this look's boundaries at them, and the slope beyond the last."""
    quantiles = np.array([0.0, *(-special.ndtri(alpha / 2.0) for alpha in reversed(ALPHAS))])
    limits = np.array([0.0, *(boundaries(fractions, alpha)[-1] for alpha in reversed(ALPHAS))])
    limits = np.maximum.accumulate(limits)
    slope = float((limits[-1] - limits[-2]) / (quantiles[-1] - quantiles[-2]))
    return quantiles, limits, slope


@lru_cache(maxsize=128)
def _curve(fractions: tuple[float, ...]) -> interpolate.PchipInterpolator:
    quantiles, limits, _ = _table(fractions)
    return interpolate.PchipInterpolator(quantiles, limits)
