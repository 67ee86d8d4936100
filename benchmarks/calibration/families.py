"""Families: six rows of one experiment, and what adjusted p-values and intervals promise of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ab_platform.statistics.lift import Estimate, Lift, estimate, lift
from ab_platform.statistics.moments import Moments
from ab_platform.statistics.multiplicity import Adjusted, adjust
from benchmarks.calibration.cell import Cell, Claim, Section, Simulate, Vector
from benchmarks.calibration.one_look import ALPHA, holds
from benchmarks.calibration.worlds import half, six_metrics

ROWS = 6
TRUE_LIFT, CLEAR_LIFT = 0.1, 0.3
USERS = half(2_000)

Rows = Sequence[tuple[Estimate, Estimate]]
Count = Callable[[Rows, Vector], Sequence[float]]
"""Judges the rows of one experiment, whose true lifts `(rows,)` are known: one number a claim."""

SECTION = Section(
    "Six rows of one experiment, correlated by .5",
    "Holm and Benjamini-Hochberg hold whatever the truth, and are conservative where rows are alike or some differ: "
    "their bounds have one side. A false discovery rate is the mean share of what was found that is false; the false "
    "coverage rate is the mean share of the found rows whose interval misses. Intervals at alpha / 6 hold all six rows "
    "at once; Holm's agree with its tests and promise no more, which is shown where all six rows clearly differ.",
)


def cells() -> list[Cell]:
    """Return no row that differs, two that do, and six."""
    nothing = (
        Claim("any found, unadjusted", ALPHA, "shown"),
        Claim("any falsely found, Holm", ALPHA, "at most"),
        Claim("false discovery rate, Benjamini-Hochberg", ALPHA, "at most"),
        Claim("false coverage rate, Benjamini-Hochberg", ALPHA, "at most"),
    )
    everything = (
        Claim("all intervals hold, alpha / 6", 1.0 - ALPHA, "at least"),
        Claim("all intervals hold, Holm's", 1.0 - ALPHA, "shown"),
    )
    return [
        Cell(SECTION, "no row truly differs", USERS.text, nothing, simulated(0, TRUE_LIFT, findings)),
        Cell(SECTION, "2 rows truly differ, +10 %", USERS.text, nothing, simulated(2, TRUE_LIFT, findings)),
        Cell(SECTION, "6 rows truly differ, +30 %", USERS.text, everything, simulated(6, CLEAR_LIFT, simultaneous)),
    ]


def simulated(differing: int, true_lift: float, count: Count) -> Simulate:
    """Draw experiments in which so many rows differ."""
    truths = np.where(np.arange(ROWS) < differing, true_lift, 0.0)

    def simulate(rng: np.random.Generator, repetitions: int) -> Vector:
        counts: Vector = np.sum([count(_rows(rng, truths), truths) for _ in range(repetitions)], axis=0, dtype=float)
        return counts

    return simulate


def findings(rows: Rows, truths: Vector) -> Sequence[float]:
    """Count false findings of both adjustments, and of none."""
    p_values = [lift(*row).p_value for row in rows]
    holm = adjust(p_values, alpha=ALPHA, method="holm")
    hochberg = adjust(p_values, alpha=ALPHA, method="benjamini_hochberg")
    untrue = truths == 0.0
    raw = np.array([p_value is not None and p_value < ALPHA for p_value in p_values])
    found = _rejected(hochberg)
    missed = np.array([not holds(each, truth) for each, truth in zip(_intervals(rows, hochberg), truths, strict=True)])
    return (
        (raw & untrue).any(),
        (_rejected(holm) & untrue).any(),
        (found & untrue).sum() / max(found.sum(), 1),
        (found & missed).sum() / max(found.sum(), 1),
    )


def simultaneous(rows: Rows, truths: Vector) -> Sequence[float]:
    """Count whether the intervals of all rows hold, at alpha / 6 and at Holm's levels."""
    equal = [lift(*row, alpha=ALPHA / ROWS) for row in rows]
    holm = _intervals(rows, adjust([lift(*row).p_value for row in rows], alpha=ALPHA, method="holm"))
    return tuple(
        float(all(holds(each, truth) for each, truth in zip(found, truths, strict=True))) for found in (equal, holm)
    )


def _rows(rng: np.random.Generator, truths: Vector) -> Rows:
    control = Moments.of(six_metrics(rng, USERS.control, np.zeros(ROWS)))
    treatment = Moments.of(six_metrics(rng, USERS.treatment, truths))
    return [(estimate(control, row), estimate(treatment, row)) for row in range(ROWS)]


def _intervals(rows: Rows, adjusted: Sequence[Adjusted]) -> list[Lift]:
    """Give each row the interval at its own level."""
    return [lift(*row, alpha=each.alpha) for row, each in zip(rows, adjusted, strict=True)]


def _rejected(adjusted: Sequence[Adjusted]) -> NDArray[np.bool_]:
    return np.array([each.p_value is not None and each.p_value < ALPHA for each in adjusted])
