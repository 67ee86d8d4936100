"""Guardrails: how often a treatment exactly at the margin is called non-inferior, or breached."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from ab_platform.statistics.cuped import Ratio
from ab_platform.statistics.lift import Estimate, estimate, lift
from ab_platform.statistics.moments import Moments
from benchmarks.calibration import worlds
from benchmarks.calibration.cell import Cell, Claim, Section, Simulate, Vector
from benchmarks.calibration.worlds import Draw, Split, half, tenth

Sample = Callable[[np.random.Generator, int, float], Estimate]
"""Draws the estimate of so many users of an arm whose metric is the control's, times a factor."""

MARGIN = 0.05
ONE_TAIL = 0.025

SECTION = Section(
    "Guardrails, at one look",
    "The true lift is exactly the margin, -5 %. *Non-inferior* is an interval above the margin, *breached* one below, "
    "each promised to be wrong in 2.5 %. One tail alone feels a skewness that cancels in the two together. With a "
    "small treatment *non-inferior* is said too rarely, which is the safe side, and *breached* too often, until users "
    "are many or the split is even. The last two rows do not keep the promise; they are held against what their "
    "skewness predicts (P. Hall, The Bootstrap and Edgeworth Expansion, 1992, section 2.6).",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a user's value is like: its variance, and its third central moment."""

    variance: float
    third: float


def cells() -> list[Cell]:
    """Return rows that keep the promise, then those whose tails are uneven."""
    clicked, ratio, mean = "proportion: users who clicked", "ratio: clicks / impressions", "mean: watch seconds"
    of_clicks = drawn(worlds.clicks_and_impressions, Ratio(0, 1))
    even: list[tuple[str, Sample, Split]] = [
        (clicked, share_clicked, half(4_000)),
        (clicked, share_clicked, tenth(200_000)),
        (ratio, of_clicks, half(4_000)),
        (ratio, of_clicks, tenth(20_000)),
        (mean, drawn(worlds.watch_seconds, Ratio(0)), half(20_000)),
    ]
    uneven: list[tuple[str, Sample, Callable[[float], Shape]]] = [
        (clicked, share_clicked, bernoulli),
        (mean, drawn(worlds.watch_seconds, Ratio(0)), log_normal),
    ]
    few = tenth(20_000)
    return [
        *(_cell(case, split, sample, (ONE_TAIL, ONE_TAIL)) for case, sample, split in even),
        *(_cell(f"{case}, against its skewness", few, sample, tails(shape, few)) for case, sample, shape in uneven),
    ]


def tails(shape: Callable[[float], Shape], split: Split) -> tuple[float, float]:
    """Predict how often Welch's statistic is above and below what a tail of 2.5 % allows it.

    P(S <= x) = Phi(x) + phi(x) A (2 x^2 + 1) / 6, with A the third cumulant of the mean in units of its standard error:
    the Edgeworth expansion of a studentised mean, Hall 1992, section 2.6. It holds for a difference of independent
    means too, whose third cumulant is also its covariance with its variance's estimate.
    """
    ratio = 1.0 - MARGIN
    control, treatment = shape(1.0), shape(ratio)
    variance = treatment.variance / split.treatment + ratio**2 * control.variance / split.control
    third = treatment.third / split.treatment**2 - ratio**3 * control.third / split.control**2
    z = float(-special.ndtri(ONE_TAIL))
    density = math.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    moved = density * third / variance**1.5 * (2.0 * z**2 + 1.0) / 6.0
    return ONE_TAIL - moved, ONE_TAIL + moved


def bernoulli(factor: float) -> Shape:
    """Return the shape of `clicked`."""
    rate = 0.1 * factor
    spread = rate * (1.0 - rate)
    return Shape(spread, spread * (1.0 - 2.0 * rate))


def log_normal(factor: float) -> Shape:
    """Return the shape of `watch_seconds`, in units of its median."""
    excess = math.e - 1.0
    variance = factor**2 * excess * math.e
    return Shape(variance, (math.e + 2.0) * math.sqrt(excess) * variance**1.5)


def share_clicked(rng: np.random.Generator, users: int, factor: float) -> Estimate:
    """Draw the share of users who clicked."""
    return worlds.bernoulli_estimate(rng, 0.1 * factor, users)


def drawn(draw: Draw, metric: Ratio) -> Sample:
    """Draw users, and estimate the metric."""
    return lambda rng, users, factor: estimate(
        Moments.of(draw(rng, users, factor)), metric.numerator, metric.denominator
    )


def at_the_margin(sample: Sample, split: Split) -> Simulate:
    """Compare arms whose lift is exactly the margin, and ask on which side of it the interval lies."""

    def simulate(rng: np.random.Generator, repetitions: int) -> Vector:
        counts = np.zeros(2)
        for _ in range(repetitions):
            control, treatment = sample(rng, split.control, 1.0), sample(rng, split.treatment, 1.0 - MARGIN)
            found = lift(control, treatment, null=-MARGIN)
            assert found.low is not None
            assert found.high is not None
            counts += [found.low > -MARGIN, found.high < -MARGIN]
        return counts

    return simulate


def _cell(case: str, split: Split, sample: Sample, rates: tuple[float, float]) -> Cell:
    claims = Claim("falsely non-inferior", rates[0]), Claim("falsely breached", rates[1])
    return Cell(SECTION, case, split.text, claims, at_the_margin(sample, split))
