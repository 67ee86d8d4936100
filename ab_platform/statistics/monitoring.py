"""Monitoring: how often an experiment may be looked at, as the distance from no difference that a look requires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

MonitoringName = Literal["fixed", "sequential", "group_sequential"]


class Monitoring(Protocol):
    """What a look at an experiment requires; `critical` and `p_value` are two sides of one rule."""

    @property
    def name(self) -> MonitoringName:
        """Return the word that stands in the experiment file and beside the result."""

    def critical(self, alpha: float, *, users: int, degrees: float) -> float:
        """Return the half-width of the interval in standard errors.

        Args:
            alpha: two-sided error rate, in (0, 1).
            users: in both arms, at this look.
            degrees: of freedom of the standard error.
        """

    def p_value(self, statistic: float, *, users: int, degrees: float) -> float:
        """Return the p-value of an estimate over its standard error; below alpha exactly beyond `critical(alpha)`."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """One look at the planned end: Student's t."""

    @property
    def name(self) -> MonitoringName:
        """Return `fixed`."""
        return "fixed"

    def critical(self, alpha: float, *, users: int, degrees: float) -> float:
        """Return Student's two-sided quantile."""
        from scipy import special  # not at the top: experiment files name what is here, and every verb reads them

        return float(-special.stdtrit(degrees, alpha / 2.0))

    def p_value(self, statistic: float, *, users: int, degrees: float) -> float:
        """Return the p-value by the lower tail, which keeps its digits where 1 - cdf has none left."""
        from scipy import special

        return float(2.0 * special.stdtr(degrees, -abs(statistic)))


FIXED = Fixed()
