"""Sample ratio: did each arm get the users that its weight promises?

A mismatch means that assignment or logging lost users, and then no lift of the experiment can be believed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

ALARM_BELOW = 0.001
"""An experiment is looked at often and its metrics rest on this, so a false alarm has to be rare."""

LEAST_EXPECTED = 5.0
"""Users the smallest arm must expect before Pearson's statistic is near its chi-squared (Cochran, 1954).

With half a user expected, a healthy experiment alarms in up to 1.4 % of looks instead of .1 %.
"""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Users counted against users expected.

    Attributes:
        counts: users in each arm.
        expected: users that the weights promise each arm, of those in arms with a positive weight.
        chi2: Pearson's statistic; None with the reason where unknown.
        p_value: of chi2 or more; None with the reason where unknown.
        alarm: p-value below .001, or users in an arm of weight 0. No alarm is not yet healthy: see `healthy`.
        reason: why it alarms or is unknown.
    """

    counts: tuple[int, ...]
    expected: tuple[float, ...]
    chi2: float | None
    p_value: float | None
    alarm: bool
    reason: str | None

    @property
    def healthy(self) -> bool:
        """Whether the ratio was tested and found right; never while unknown."""
        return self.p_value is not None and not self.alarm


def sample_ratio(counts: Sequence[int], weights: Sequence[float]) -> SampleRatio:
    """Test users per arm against the weights by Pearson's chi-squared.

    Arms of positive weight are tested, with one degree of freedom less than there are; one without any user counts as
    the 0 it is. An arm of weight 0 has no ratio: a user in it is an error of its own and alarms whatever the p-value.

    Args:
        counts: users in each arm.
        weights: what each arm was promised, in shares or in buckets, at least 0; only their ratios matter.

    Raises:
        ValueError: when lengths differ, or a count or weight is below 0.
    """
    _check(counts, weights)
    users = sum(count for count, weight in zip(counts, weights, strict=True) if weight > 0.0)
    expected = tuple(users * weight / sum(weights) for weight in weights)
    unknown = _unknown(users, expected)
    chi2 = p_value = None
    if unknown is None:
        chi2, p_value = _pearson([(count, each) for count, each in zip(counts, expected, strict=True) if each > 0.0])
    alarms = _alarms(counts, weights, p_value=p_value)
    reason = "; ".join(alarms if unknown is None else [*alarms, unknown]) or None
    return SampleRatio(tuple(counts), expected, chi2, p_value, alarm=bool(alarms), reason=reason)


def _check(counts: Sequence[int], weights: Sequence[float]) -> None:
    if len(counts) != len(weights):
        raise ValueError(f"{len(counts)} counts and {len(weights)} weights; each arm needs one of both")
    if any(count < 0 for count in counts):
        raise ValueError(f"counts are {list(counts)}; each must be at least 0")
    if not all(0.0 <= weight < math.inf for weight in weights) or not any(weights):
        raise ValueError(f"weights are {list(weights)}; each must be finite and at least 0, and one above 0")


def _unknown(users: int, expected: Sequence[float]) -> str | None:
    """Say why there is no p-value, or None."""
    if users == 0:
        return "no users in any arm of positive weight; the ratio is unknown until there are"
    tested = [each for each in expected if each > 0.0]
    if len(tested) < 2:
        return "1 arm has a positive weight; a ratio needs at least 2"
    if min(tested) < LEAST_EXPECTED:
        return f"the smallest arm expects {min(tested):.3g} users; at least {LEAST_EXPECTED:g} are required"
    return None


def _pearson(arms: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Return chi-squared and its upper tail for (counted, expected) of each arm."""
    chi2 = sum((count - expected) ** 2 / expected for count, expected in arms)
    return chi2, float(special.chdtrc(len(arms) - 1, chi2))


def _alarms(counts: Sequence[int], weights: Sequence[float], *, p_value: float | None) -> list[str]:
    alarms = [
        f"arm {index} has weight 0 but {count} users; nobody may be assigned to it"
        for index, (count, weight) in enumerate(zip(counts, weights, strict=True))
        if weight == 0.0 and count > 0
    ]
    if p_value is not None and p_value < ALARM_BELOW:
        alarms.append(f"p is {p_value:.2g}, below {ALARM_BELOW}; find where users were lost before reading any lift")
    return alarms
