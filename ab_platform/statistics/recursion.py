"""Crossing probabilities of repeated looks at a normal mean, by recursive numerical integration.

With information fractions t_1 < t_2 < ... the score B_k = Z_k sqrt(t_k) has independent increments N(0, t_k - t_(k-1)).
The density of having crossed no boundary so far is carried from look to look (P. Armitage, C. K. McPherson and B. C.
Rowe, Journal of the Royal Statistical Society A 132, 1969; Jennison and Turnbull, "Group sequential methods", 2000,
section 19.2), by Simpson's rule on a grid that is fine against every increment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Vector = NDArray[np.float64]

POINTS_PER_DEVIATION = 6.0
FEWEST_POINTS, MOST_POINTS = 161, 2_401
FARTHEST = 60.0
"""Standard errors beyond which no boundary is looked for."""

_NORMAL = 1.0 / math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, eq=False, slots=True)
class Surviving:
    """The scores of experiments that have crossed nothing up to a look.

    Attributes:
        fraction: of the information at the look.
        scores: `(points,)` grid between the boundaries.
        masses: `(points,)` density times the weight of the point.
    """

    fraction: float
    scores: Vector
    masses: Vector

    def crossing(self, fraction: float, boundary: float, drift: float = 0.0) -> float:
        """Return the chance to cross -/+ boundary, in standard errors, at the next look, and not before."""
        step = fraction - self.fraction
        deviation, edge = math.sqrt(step), boundary * math.sqrt(fraction)
        away = self.scores + drift * step
        return float(self.masses @ (special.ndtr((away - edge) / deviation) + special.ndtr((-edge - away) / deviation)))


def start() -> Surviving:
    """Return the state before the first look: a score of 0."""
    return Surviving(0.0, np.zeros(1), np.ones(1))


def carry_on(state: Surviving, fraction: float, boundary: float, *, finest: float, drift: float = 0.0) -> Surviving:
    """Go on to a look, keeping what stays between its boundaries.

    Args:
        state: up to the look before.
        fraction: of the information at the look.
        boundary: in standard errors.
        finest: smallest increment of all looks, which the grid has to resolve.
        drift: mean of the score at full information.
    """
    edge = boundary * math.sqrt(fraction)
    step = fraction - state.fraction
    # Beyond eight deviations of the score there is nothing to carry on.
    edge = min(edge, 8.0 * math.sqrt(fraction) + abs(drift))
    points = int(np.clip(2.0 * edge * POINTS_PER_DEVIATION / math.sqrt(finest), FEWEST_POINTS, MOST_POINTS)) | 1
    scores = np.linspace(-edge, edge, points)
    weights = np.full(points, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    weights *= (scores[1] - scores[0]) / 3.0
    apart = (scores[:, None] - state.scores[None, :] - drift * step) / math.sqrt(step)
    density = np.exp(-0.5 * apart**2) @ state.masses * (_NORMAL / math.sqrt(step))
    return Surviving(fraction, scores, density * weights)


def boundaries(fractions: Sequence[float], spent: Callable[[float], float]) -> tuple[float, ...]:
    """Return the boundary of each look, in standard errors, at which it spends what the function allows it.

    Args:
        fractions: of the information, increasing.
        spent: error rate spent up to a fraction.
    """
    state, found, before = start(), [], 0.0
    finest = _finest(fractions)
    for fraction in fractions:
        share = spent(fraction) - before
        found.append(_boundary(state, fraction, share))
        before += share
        if fraction is not fractions[-1]:
            state = carry_on(state, fraction, found[-1], finest=finest)
    return tuple(found)


def power(fractions: Sequence[float], limits: Sequence[float], *, drift: float) -> float:
    """Return the chance to cross a boundary at any of the looks.

    Args:
        fractions: of the information, increasing.
        limits: boundary of each look, in standard errors.
        drift: expected statistic at full information: the effect over its standard error then.
    """
    state, crossed = start(), 0.0
    finest = _finest(fractions)
    for fraction, limit in zip(fractions, limits, strict=True):
        crossed += state.crossing(fraction, limit, drift)
        state = carry_on(state, fraction, limit, finest=finest, drift=drift)
    return crossed


def _finest(fractions: Sequence[float]) -> float:
    return min(later - earlier for earlier, later in zip((0.0, *fractions), fractions, strict=False))


def _boundary(state: Surviving, fraction: float, share: float) -> float:
    """Return where the chance to cross is the share; in logarithms, since early looks spend next to nothing."""
    if state.fraction == 0.0:
        return float(-special.ndtri(share / 2.0)) if share > 0.0 else FARTHEST
    target = math.log(share) if share > 0.0 else -math.inf

    def excess(boundary: float) -> float:
        crossing = state.crossing(fraction, boundary)
        return (math.log(crossing) if crossing > 0.0 else -math.inf) - target

    if not math.isfinite(target) or excess(0.0) <= 0.0:
        return FARTHEST if not math.isfinite(target) else 0.0
    beyond = next(edge for edge in (4.0, 8.0, 16.0, FARTHEST) if edge == FARTHEST or excess(edge) < 0.0)
    if excess(beyond) >= 0.0 or not math.isfinite(excess(beyond)):
        beyond = _finite(excess, beyond)
    return float(optimize.brentq(excess, 0.0, beyond, xtol=1e-10))


def _finite(excess: Callable[[float], float], beyond: float) -> float:
    """Come back from where the chance to cross has become 0 in floating point."""
    while not math.isfinite(excess(beyond)):
        beyond *= 0.9
    return beyond
