"""Confidence sequence: an interval that may be looked at any time, as often as one likes.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences", Annals of Statistics 52, 2024 (arXiv 2103.06476), theorem 2.2: Robbins's mixture of normal likelihood
ratios. The estimate is taken as normal at every look, with independent increments; then, over all looks together, at
most alpha of the experiments without a difference ever leave out 0. However late and often one looks, some of alpha is
left for later looks: it is conservative.

The mixture sequential probability ratio test with a fixed tau (Johari, Koomen, Pekelis and Walsh, "Always valid
inference", Operations Research 70, 2022) is the same family: rho^2 is tau^2 over N times the squared standard error of
the estimate, which for two arms of the same size is four times the variance of a user.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ab_platform.statistics import recursion
from ab_platform.statistics.monitoring import MonitoringName

Interval = tuple[float, float]
"""Low and high."""


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """Looks at any time.

    Attributes:
        rho: standard deviation of the mixture over effects, in units of sqrt(N) standard errors; fixed before the first
            look, and the same whatever alpha is asked for.
    """

    rho: float

    def __post_init__(self) -> None:
        """Check rho.

        Raises:
            ValueError: unless it is finite and above 0.
        """
        if not 0.0 < self.rho < math.inf:
            raise ValueError(f"rho is {self.rho}; it must be finite and above 0: `tuned` finds it")

    @property
    def name(self) -> MonitoringName:
        """Return `sequential`."""
        return "sequential"

    def critical(self, alpha: float, *, users: int, degrees: float) -> float:
        """Return the half-width at this look, in standard errors.

        With m = N rho^2 it is sqrt(2 (m + 1)/m ln(sqrt(m + 1)/alpha)), which is sqrt(N) times the theorem's. The
        degrees do not matter.

        Raises:
            ValueError: unless alpha lies between 0 and 1 and there are users.
        """
        _check_alpha(alpha)
        information = self._information(users)
        return math.sqrt(2.0 * (1.0 + 1.0 / information) * (0.5 * math.log1p(information) - math.log(alpha)))

    def p_value(self, statistic: float, *, users: int, degrees: float) -> float:
        """Return min(1, 1/e), e = exp(m statistic^2 / (2 (m + 1))) / sqrt(m + 1); never 0.

        Raises:
            ValueError: without users.
        """
        information = self._information(users)
        evidence = 0.5 * statistic * statistic / (1.0 + 1.0 / information)
        return max(math.exp(min(0.0, 0.5 * math.log1p(information) - evidence)), sys.float_info.min)

    def _information(self, users: int) -> float:
        """Return N rho^2."""
        if users < 1:
            raise ValueError(f"users are {users}; a look needs at least 1")
        return users * self.rho * self.rho


def tuned(expected_users: int, alpha: float) -> ConfidenceSequence:
    """Make the sequence that is all but narrowest when so many users are there.

    rho = sqrt((-2 ln alpha + ln(-2 ln alpha + 1)) / N*), the approximation of the paper's appendix on the mixture's
    tuning. It is fixed for the experiment: also where several rows share alpha and an interval is asked for at less.

    Args:
        expected_users: in both arms by the planned end, N*.
        alpha: two-sided error rate of the experiment, in (0, 1).

    Raises:
        ValueError: for an argument out of its range.
    """
    if expected_users < 1:
        raise ValueError(f"expected_users is {expected_users}; it must be at least 1")
    _check_alpha(alpha)
    odds = -2.0 * math.log(alpha)
    return ConfidenceSequence(math.sqrt((odds + math.log1p(odds)) / expected_users))


def running(intervals: Iterable[Interval | None]) -> tuple[Interval | None, ...]:
    """Return what all looks so far have in common, look by look: more users never widen it.

    An effect that stays the same lies in all of them at once in 1 - alpha of experiments. What they have in common is
    None where there is nothing left, and from there on: the effect moved, or this is one of the alpha. Before the first
    bounded interval it is everything, from -inf to inf.

    Args:
        intervals: (low, high) of each look, in order; None where a look had no bounded one.
    """
    low, high = -math.inf, math.inf
    found: list[Interval | None] = []
    for each in intervals:
        if each is not None:
            low, high = max(low, each[0]), min(high, each[1])
        found.append((low, high) if low <= high else None)
    return tuple(found)


def power(sequence: ConfidenceSequence, looks: Sequence[int], *, alpha: float, drift: float) -> float:
    """Return the chance to find an effect, with its sign, at any of some looks.

    Args:
        sequence: with its rho.
        looks: users in both arms at each look, increasing.
        alpha: two-sided error rate, in (0, 1).
        drift: the effect over its standard error at the last look.

    Raises:
        ValueError: for an argument out of its range.
    """
    if not looks or any(later <= earlier for earlier, later in zip((0, *looks), looks, strict=False)):
        raise ValueError(f"looks are at {tuple(looks)} users; give at least one, each with more than the one before")
    limits = [sequence.critical(alpha, users=users, degrees=math.inf) for users in looks]
    return recursion.power([users / looks[-1] for users in looks], limits, drift=abs(drift))


def _check_alpha(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")
