"""Baselines: a control below zero, near zero, or noisy, where a lift as a fraction of it is hardest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ab_platform.statistics.lift import Estimate, Method, lift
from benchmarks.calibration.cell import Cell, Claim, Section, Simulate, Vector
from benchmarks.calibration.one_look import ALPHA, FALSE_POSITIVES, called_different, holds
from benchmarks.calibration.worlds import Split, bernoulli_estimate, half, normal_estimate, tenth

Sample = Callable[[np.random.Generator, int, float], Estimate]
"""Draws the estimate of so many users of an arm, at a lift over the control."""

PUBLISHED = 0.912, 0.938  # coverage of the delta method's interval at the last two baselines

SECTION = Section(
    "Baselines, at one look",
    "Near zero, Fieller's set has no ends in many rows, as it must: no method that always gives ends can hold the "
    "truth in 95 % (Gleser and Hwang, The Annals of Statistics 15, 1987). Such a row leaves out nothing here, so "
    "coverage is then at least 95 %. *Truth rejected* asks the set itself, ends or none: p < .05 of the true lift as "
    "the null. The delta method falls short on a noisy baseline; it is held against the published 91.2 % and 93.8 %.",
)


def cells() -> list[Cell]:
    """Return baselines by Fieller's interval, then the two published by the delta method."""
    negative, near_zero = _normal(-1.0, 5.0), _normal(0.05, 1.0)
    rows: list[tuple[str, Sample, Split, float]] = [
        ("mean -1, deviation 5", negative, half(4_000), 0.2),
        ("mean -1, deviation 5", negative, tenth(20_000), 0.2),
        ("mean .05, deviation 1: near zero", near_zero, half(4_000), 0.2),
        ("mean .05, deviation 1: near zero", near_zero, tenth(4_000), 0.2),
        ("mean 1, deviation 5, true lift +50 %", _normal(1.0, 5.0), Split(200, 1_800), 0.5),
        ("proportion .02, true lift +100 %", _clicked(0.02), half(2_000), 1.0),
    ]
    fieller = [_cell(case, split, compared(draw, split, truth, "fieller")) for case, draw, split, truth in rows]
    noisy = zip(rows[-2:], PUBLISHED, strict=True)
    delta = [_delta(row[0], row[2], compared(*row[1:], "delta"), published) for row, published in noisy]
    return [*fieller, *delta]


def compared(draw: Sample, split: Split, truth: float, method: Method) -> Simulate:
    """Compare equal arms, and arms with a true lift."""

    def simulate(rng: np.random.Generator, repetitions: int) -> Vector:
        counts = np.zeros(4)
        for _ in range(repetitions):
            control = draw(rng, split.control, 0.0)
            same = lift(control, draw(rng, split.treatment, 0.0), method=method)
            better = lift(control, draw(rng, split.treatment, truth), method=method, null=truth)
            events = called_different(same), called_different(better), holds(better, truth), better.unbounded
            counts += events
        return counts

    return simulate


def _normal(mean: float, deviation: float) -> Sample:
    """A lift moves a mean below zero up, towards zero: it is a fraction of the mean's size."""
    return lambda rng, n, lift: normal_estimate(rng, mean + lift * abs(mean), deviation, n)


def _clicked(rate: float) -> Sample:
    return lambda rng, n, lift: bernoulli_estimate(rng, rate * (1.0 + lift), n)


def _cell(case: str, split: Split, simulate: Simulate) -> Cell:
    claims = (
        FALSE_POSITIVES,
        Claim("truth rejected", ALPHA),
        Claim("coverage", 1.0 - ALPHA, "at least"),
        Claim("without ends", side="shown"),
    )
    return Cell(SECTION, case, split.text, claims, simulate)


def _delta(case: str, split: Split, simulate: Simulate, published: float) -> Cell:
    claims = (
        Claim("false positives", side="shown"),
        Claim("truth rejected", 1.0 - published),
        Claim("coverage", published),
        Claim("without ends", side="shown"),
    )
    return Cell(SECTION, f"{case}, by the delta method", split.text, claims, simulate)
