"""Confidence sequence: an interval that may be looked at any time, as often as one likes.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences",
arXiv 2103.06476, theorem 2.2: a mixture of normal likelihood ratios with a variance rho^2 of the effect. The estimate is
asymptotically normal at every look, from a few hundred users on; then over all looks together at most alpha of the
experiments without a difference ever leave out 0. It is conservative where looks end. The mixture sequential probability
ratio test with a fixed tau (Johari, Koomen, Pekelis and Walsh, "Always valid inference", 2022) is the same family, with
rho^2 = tau^2 over the variance of one user.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ab_platform.statistics.monitoring import MonitoringName

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """Looks at any time.

    Attributes:
        rho: standard deviation of the mixture, in standard deviations of one user; fixed before the first look.
    """

    rho: float

    def __post_init__(self) -> None:
        """Check rho.

        Raises:
            ValueError: unless it is above 0.
        """
        if not 0.0 < self.rho < math.inf:
            raise ValueError(f"rho is {self.rho}; it must be above 0: see `tuned`")

    @property
    def name(self) -> MonitoringName:
        """Return `sequential`."""
        return "sequential"

    def critical(self, alpha: float, *, users: int, degrees: float) -> float:
        """Return the half-width at this look, in standard errors: eq. 2.6 of the paper."""
        spread = self._spread(users)
        # At N users the interval is sqrt(2 (N rho^2 + 1) / (N rho^2) ln(sqrt(N rho^2 + 1) / alpha)) standard errors wide.
        return math.sqrt(2.0 * spread / (spread - 1.0) * (0.5 * math.log(spread) - math.log(alpha)))

    def p_value(self, statistic: float, *, users: int, degrees: float) -> float:
        """Return min(1, 1 / e), with the e-value in logarithms, so that nothing overflows."""
        spread = self._spread(users)
        log_e = 0.5 * statistic**2 * (spread - 1.0) / spread - 0.5 * math.log(spread)
        return min(1.0, math.exp(-log_e))

    def _spread(self, users: int) -> float:
        """Return N rho^2 + 1."""
        if users < 1:
            raise ValueError(f"users are {users}; a look needs at least 1")
        return users * self.rho**2 + 1.0


def tuned(expected_users: int, alpha: float) -> ConfidenceSequence:
    """Make the sequence that is narrowest when so many users are there.

    rho = sqrt((-2 ln alpha + ln(-2 ln alpha + 1)) / N*), eq. 2.7 of the paper. It is fixed for the experiment: also where
    an interval is later asked for at an alpha that several rows share.

    Args:
        expected_users: in all arms by the planned end, N*.
        alpha: two-sided error rate of the experiment, in (0, 1).

    Raises:
        ValueError: for an argument out of its range.
    """
    if expected_users < 1:
        raise ValueError(f"expected_users is {expected_users}; it must be at least 1")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")
    odds = -2.0 * math.log(alpha)
    return ConfidenceSequence(math.sqrt((odds + math.log(odds + 1.0)) / expected_users))


def running(intervals: Iterable[Interval | None]) -> tuple[Interval | None, ...]:
    """Return what all looks so far have in common, look by look: more users never widen it.

    A true effect that stays the same lies in all of them at once in 1 - alpha of experiments. An intersection that has
    become empty says that the effect moved, or that one of the alpha happened; it is None from there on.

    Args:
        intervals: (low, high) of each look in order; None where a look had no bounded one.
    """
    low, high = -math.inf, math.inf
    found: list[Interval | None] = []
    for each in intervals:
        if each is not None:
            low, high = max(low, each[0]), min(high, each[1])
        found.append((low, high) if low <= high else None)
    return tuple(found)
