"""Segment differences: is the lift the same in every segment, and which segment differs from the rest?

    Q              sum over segments of w (x - mean)^2, w = 1 / variance and the mean weighted by w. When they have one
                   lift it is chi-squared, with one degree of freedom less than there are segments (Cochran, "The
                   combination of estimates from different experiments", Biometrics 10, 1954)
    each segment   against the weighted mean of the others, normal; adjusted for the number of segments by Holm

Each user is in one segment, so segments are independent. The standard errors are taken as known, which holds for a few
hundred users in each arm of a segment and more. That one segment is significant and another is not says nothing of a
difference between them: this test does.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ab_platform.statistics.multiplicity import adjust

Scale = Literal["ratio", "difference"]


@dataclass(frozen=True, slots=True)
class SegmentLift:
    """The lift among the users of one segment.

    Attributes:
        segment: its name.
        lift: as a fraction, or the difference of the arms on the scale `difference`; None where there is none.
        variance: of the lift, its squared standard error; None where there is none.
    """

    segment: str
    lift: float | None
    variance: float | None

    @property
    def usable(self) -> bool:
        """Whether there is a lift with a finite standard error above 0."""
        return (
            self.lift is not None
            and self.variance is not None
            and math.isfinite(self.lift)
            and sys.float_info.min < self.variance < math.inf
        )


@dataclass(frozen=True, slots=True)
class AgainstRest:
    """One segment against all others.

    Attributes:
        segment: its name.
        lift: of the segment.
        rest: of the others, weighted by their precision; not the lift among all of their users.
        p_value: two-sided, of lift = rest, adjusted for the number of segments by Holm.
        reason: why a number is absent; None when all are there.
    """

    segment: str
    lift: float | None
    rest: float | None
    p_value: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class SegmentTest:
    """Whether the lift differs between segments; a number that could not be computed is None, with the reason.

    Attributes:
        q: Cochran's statistic.
        degrees: of freedom, usable segments less 1.
        p_value: of one lift in all segments.
        reason: why there is no test, or which segments it leaves out.
        each: segments against the rest, in the order given.
    """

    q: float | None
    degrees: int | None
    p_value: float | None
    reason: str | None
    each: tuple[AgainstRest, ...]


def differences(segments: Sequence[SegmentLift], *, alpha: float = 0.05, scale: Scale = "ratio") -> SegmentTest:
    """Test whether the segments have one lift.

    On the scale `ratio` lifts are compared as log(1 + lift), with the variance over (1 + lift)^2 by the delta method:
    the variance of a lift grows with the lift, so that weights and lifts would go together; that of its logarithm does
    not. Where a lift is -1 or less there is no logarithm, and all are compared as they are, by the delta method alone.
    On the scale `difference` they are compared as they are: for differences of the arms in the metric's unit. A
    treatment may change both alike or one only, as where a segment has another baseline; the scale is part of the
    question.

    Args:
        segments: with their lifts, or with their differences on that scale.
        alpha: error rate for the family of segments against the rest.
        scale: `ratio` or `difference`.

    Raises:
        ValueError: for an alpha out of its range, an unknown scale, or a segment that is given twice.
    """
    _check(segments, alpha, scale)
    usable = [each for each in segments if each.usable]
    if len(usable) < 2:
        few = f"{len(usable)} of {len(segments)} segments have a lift with a standard error; at least 2 are required"
        return SegmentTest(None, None, None, few, tuple(_absent(each, few) for each in segments))
    logarithmic = scale == "ratio" and all(each.lift is not None and each.lift > -1.0 for each in usable)
    values, weights = _scaled(usable, logarithmic)
    mean = np.average(values, weights=weights)
    q = float(np.sum(weights * (values - mean) ** 2))
    degrees = len(usable) - 1
    left_out = [each.segment for each in segments if not each.usable]
    reason = f"without {', '.join(left_out)}, which have no lift with a standard error" if left_out else None
    compared = {each.segment: each for each in _against_rest(usable, values, weights, alpha, logarithmic)}
    each = tuple(compared.get(one.segment) or _absent(one, _NO_ERROR) for one in segments)
    return SegmentTest(q, degrees, float(special.chdtrc(degrees, q)), reason, each)


_NO_ERROR = "no lift with a standard error above 0; the segment needs users in both arms who vary"


def _scaled(usable: Sequence[SegmentLift], logarithmic: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values and weights on the scale on which they are compared."""
    lifts = np.array([each.lift for each in usable], dtype=np.float64)
    weights = 1.0 / np.array([each.variance for each in usable], dtype=np.float64)
    return (np.log1p(lifts), weights * (1.0 + lifts) ** 2) if logarithmic else (lifts, weights)


def _against_rest(
    usable: Sequence[SegmentLift],
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    alpha: float,
    logarithmic: bool,
) -> list[AgainstRest]:
    others = ~np.eye(len(values), dtype=bool)  # sums without the segment, rather than a difference that cancels
    rest_weights = others @ weights
    rests = others @ (weights * values) / rest_weights
    statistics = (values - rests) / np.sqrt(1.0 / weights + 1.0 / rest_weights)
    family = adjust((2.0 * special.ndtr(-np.abs(statistics))).tolist(), alpha=alpha, method="holm")
    rest_lifts = np.expm1(rests) if logarithmic else rests
    return [
        AgainstRest(one.segment, one.lift, rest, adjusted.p_value, None)
        for one, rest, adjusted in zip(usable, rest_lifts.tolist(), family, strict=True)
    ]


def _absent(one: SegmentLift, reason: str) -> AgainstRest:
    return AgainstRest(one.segment, one.lift, None, None, reason)


def _check(segments: Sequence[SegmentLift], alpha: float, scale: str) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")
    if scale not in get_args(Scale):
        raise ValueError(f"scale is {scale!r}; it must be one of {', '.join(get_args(Scale))}")
    names = [each.segment for each in segments]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"segment {repeated[0]!r} is given twice; each user must be in one segment")
