"""Do segments differ: one lift in all of them, or a lift that depends on the segment (an interaction).

A lift that is significant in one segment and not in another is no difference between the two. What is tested is whether
all segments share one lift, by Cochran's Q over their logarithms of treatment / control: sum of w (x - mean x)^2 with
w = 1 / Var x, chi-squared with one degree of freedom less than there are segments (W. G. Cochran, Biometrics 10, 1954).
Where a ratio is not above 0 its logarithm does not exist, and the lifts themselves are compared. Users of different
segments are different users, and each segment has enough of them for its lift to be near normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special


@dataclass(frozen=True, slots=True)
class SegmentLift:
    """The lift in one segment.

    Attributes:
        segment: its name.
        lift: treatment / control - 1; None where it could not be computed.
        variance: of the lift, its squared standard error; None where unknown.
    """

    segment: str
    lift: float | None
    variance: float | None


@dataclass(frozen=True, slots=True)
class SegmentTest:
    """Whether segments share one lift.

    Attributes:
        q: Cochran's statistic; None with the reason where unknown.
        degrees: of freedom.
        p_value: of one lift in all segments.
        reason: why it is unknown, or which segments were left out.
    """

    q: float | None
    degrees: int | None
    p_value: float | None
    reason: str | None


def differences(segments: Sequence[SegmentLift]) -> SegmentTest:
    """Test whether segments share one lift; those without a lift or with a variance of 0 are left out."""
    usable = [(each.lift, each.variance) for each in segments if each.lift is not None and each.variance]
    left_out = [each.segment for each in segments if each.lift is None or not each.variance]
    told = f"without a lift to compare: {', '.join(left_out)}" if left_out else None
    if len(usable) < 2:
        known = "segment has a lift" if len(usable) == 1 else "segments have a lift"
        return SegmentTest(None, None, None, f"{len(usable)} {known}; a difference needs at least 2")
    q = _q(_comparable(usable))
    degrees = len(usable) - 1
    return SegmentTest(q, degrees, float(special.chdtrc(degrees, q)), told)


def _comparable(lifts: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return logarithms of the ratios with their variances, or the lifts where a ratio is not above 0."""
    if any(lift <= -1.0 for lift, _ in lifts):
        return list(lifts)
    return [(math.log1p(lift), variance / (1.0 + lift) ** 2) for lift, variance in lifts]


def _q(values: Sequence[tuple[float, float]]) -> float:
    weights = [1.0 / variance for _, variance in values]
    mean = math.fsum(w * x for w, (x, _) in zip(weights, values, strict=True)) / math.fsum(weights)
    return math.fsum(w * (x - mean) ** 2 for w, (x, _) in zip(weights, values, strict=True))
