"""Crossing probabilities of repeated looks at a normal mean, by recursive numerical integration.

With information fractions t_1 < t_2 < ... the score B_k = Z_k sqrt(t_k) has independent increments, normal with mean
drift (t_k - t_(k-1)) and variance t_k - t_(k-1). The density of having crossed no boundary so far is carried from look
to look (P. Armitage, C. K. McPherson and B. C. Rowe, Journal of the Royal Statistical Society A 132, 1969; Jennison and
Turnbull, "Group sequential methods", 2000, section 19.2), here by Gauss's rule on panels that are narrow against the
increments before and after the look. Twice as many points change boundaries and chances by less than 1e-9.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

Vector = NDArray[np.float64]

POINTS = 16
PANEL = 6.0
"""Width of a panel of so many points, in standard deviations of the smaller increment."""

_CHUNK = 512
_REACH = 39.0  # standard deviations, beyond which the normal density is 0 in floating point
_NOTHING = 1e-290  # chances below it lose their digits
_CERTAIN = 10.0  # standard deviations of a score that hold all of it but 1e-23
_NORMAL = 1.0 / math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, eq=False, slots=True)
class Surviving:
    """The scores of experiments that have crossed nothing up to a look.

    Attributes:
        fraction: of the information at the look.
        scores: `(points,)` between the boundaries, increasing.
        masses: `(points,)` density times the weight of the point.
    """

    fraction: float
    scores: Vector
    masses: Vector

    def crossing(self, fraction: float, boundary: float, *, drift: float = 0.0) -> tuple[float, float]:
        """Return the chances to be below -boundary, and above it, in standard errors, at the next look."""
        step = fraction - self.fraction
        deviation, edge = math.sqrt(step), boundary * math.sqrt(fraction)
        expected = self.scores + drift * step
        low, high = (special.ndtr((side * expected - edge) / deviation) for side in (-1.0, 1.0))
        return float(self.masses @ low), float(self.masses @ high)

    def density(self, fraction: float, score: float) -> float:
        """Return the density of a score at the next look, without drift."""
        step = fraction - self.fraction
        return float(self.masses @ np.exp(-0.5 * (score - self.scores) ** 2 / step)) * _NORMAL / math.sqrt(step)


START = Surviving(0.0, np.zeros(1), np.ones(1))
"""Before the first look: a score of 0."""


def boundaries(fractions: Sequence[float], spent: Callable[[float], float]) -> tuple[float, ...]:
    """Return the boundary of each look, in standard errors, at which it spends what the function allows it.

    Args:
        fractions: of the information, increasing.
        spent: error rate spent up to a fraction, both sides together; increasing, at most 1.
    """
    state, before, found = START, 0.0, []
    for look, fraction in enumerate(fractions):
        so_far = spent(fraction)
        found.append(_boundary(state, fraction, so_far - before))
        before = so_far
        if look + 1 < len(fractions):
            edge = min(found[-1], _REACH) * math.sqrt(fraction)
            state = _carried(state, fraction, (-edge, edge), following=fractions[look + 1])
    return tuple(found)


def power(fractions: Sequence[float], limits: Sequence[float], *, drift: float) -> float:
    """Return the chance to cross a boundary at any of the looks, on the side of the drift, before the other.

    Args:
        fractions: of the information, increasing.
        limits: boundary of each look, in standard errors.
        drift: expected statistic at full information: the effect over its standard error then, at least 0.
    """
    state, crossed = START, 0.0
    following = [*fractions[1:], math.inf]
    for fraction, limit, after in zip(fractions, limits, following, strict=True):
        crossed += state.crossing(fraction, limit, drift=drift)[1]
        edge, certain = limit * math.sqrt(fraction), _CERTAIN * math.sqrt(fraction)
        between = max(-edge, drift * fraction - certain), min(edge, drift * fraction + certain)
        state = _carried(state, fraction, between, following=after, drift=drift)
    return crossed


def _carried(
    state: Surviving, fraction: float, between: tuple[float, float], *, following: float, drift: float = 0.0
) -> Surviving:
    """Go on to a look and keep the scores between two; the look that follows says how fine the points must be."""
    step = fraction - state.fraction
    scores, weights = _points(*between, math.sqrt(min(step, following - fraction)))
    deviation, away = math.sqrt(step), drift * step
    density = np.zeros_like(scores)
    for first in range(0, len(scores), _CHUNK):
        here = scores[first : first + _CHUNK] - away
        reach = here[0] - _REACH * deviation, here[-1] + _REACH * deviation
        near = slice(*np.searchsorted(state.scores, reach))
        apart = (here[:, None] - state.scores[near]) / deviation  # (here, near)
        density[first : first + _CHUNK] = np.exp(-0.5 * apart**2) @ state.masses[near]
    return Surviving(fraction, scores, density * weights * (_NORMAL / deviation))


def _points(low: float, high: float, deviation: float) -> tuple[Vector, Vector]:
    """Return points and weights of Gauss's rule on panels; none where there is nothing between low and high."""
    if not low < high:
        return np.zeros(0), np.zeros(0)
    nodes, weights = _gauss()
    panels = math.ceil((high - low) / (PANEL * deviation))
    half = 0.5 * (high - low) / panels
    centres = low + half * (2.0 * np.arange(panels) + 1.0)
    return (centres[:, None] + half * nodes).ravel(), np.tile(half * weights, panels)


@lru_cache(maxsize=1)
def _gauss() -> tuple[Vector, Vector]:
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    return nodes, weights


def _boundary(state: Surviving, fraction: float, share: float) -> float:
    """Return where the chance to cross either side is the share.

    By Newton's rule on its logarithm, which is concave: from above the root it comes down to it and never passes it.
    Above it are both the boundary of a look without any before, and the one if all scores were at their outermost.
    """
    if not share > _NOTHING:
        return math.inf
    quantile = float(-special.ndtri(share / 2.0))
    root, outermost = math.sqrt(fraction), float(state.scores[-1])
    boundary = min(quantile, (outermost + quantile * math.sqrt(fraction - state.fraction)) / root)
    for _ in range(100):
        crossing = 2.0 * state.crossing(fraction, boundary)[1]
        slope = 2.0 * state.density(fraction, boundary * root) * root
        closer = max(0.0, boundary + crossing / slope * math.log(crossing / share)) if crossing > 0.0 else boundary
        if not abs(closer - boundary) > 1e-13 * boundary:
            break
        boundary = closer
    return boundary
