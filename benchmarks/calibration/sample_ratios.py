"""Sample ratios: how often healthy experiments alarm, at one look and at 28."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ab_platform.statistics.sample_ratio import ALARM_BELOW, log_e_values, sample_ratio
from benchmarks.calibration.cell import Cell, Claim, Section, Simulate, Vector

LOOKS = 28
USERS = 28_000

SECTION = Section(
    "Sample ratio, of healthy experiments",
    "Promised at .1 %. The chi-squared test is made for one look; at 28 its alarm is shown as the known fault. The "
    "e-value is valid at any number of looks, and so conservative: its bound has one side. Ten times the repetitions "
    "of other rows, since the rate is small.",
)


def cells() -> list[Cell]:
    """Return one look and 28, at three splits."""
    once = Claim("chi-squared, one look", ALARM_BELOW), Claim("e-value, one look", ALARM_BELOW, "at most")
    daily = Claim("chi-squared, any of 28", ALARM_BELOW, "shown"), Claim("e-value, any of 28", ALARM_BELOW, "at most")
    splits = {"50/50": (0.5, 0.5), "90/10": (0.9, 0.1), "50/25/25": (0.5, 0.25, 0.25)}
    made: list[Cell] = []
    for split, weights in splits.items():
        users = f"{USERS:,} in all"
        made.append(Cell(SECTION, f"{split}, one look", users, once, one_look(weights), times=10))
        made.append(Cell(SECTION, f"{split}, 28 daily looks", users, daily, daily_looks(weights), times=10))
    return made


def one_look(weights: Sequence[float]) -> Simulate:
    """Look once."""

    def simulate(rng: np.random.Generator, repetitions: int) -> Vector:
        counts = np.zeros(2)
        for users in rng.multinomial(USERS, weights, size=repetitions).tolist():
            found = sample_ratio(users, weights)
            assert found.p_value is not None
            assert found.e_value is not None
            counts += [found.p_value < ALARM_BELOW, found.e_value >= 1.0 / ALARM_BELOW]
        return counts

    return simulate


def daily_looks(weights: Sequence[float]) -> Simulate:
    """Look every day at the users so far."""

    def simulate(rng: np.random.Generator, repetitions: int) -> Vector:
        users = rng.multinomial(USERS // LOOKS, weights, size=(repetitions, LOOKS)).cumsum(axis=1)
        chi2 = chi_squared_p(users, weights) < ALARM_BELOW
        e = log_e_values(users, weights) >= -np.log(ALARM_BELOW)
        return np.array([chi2.any(axis=1).sum(), e.any(axis=1).sum()], dtype=np.float64)

    return simulate


def chi_squared_p(users: NDArray[np.int64], weights: Sequence[float]) -> Vector:
    """Return `sample_ratio`'s p-value of many counts `(..., arms)` at once."""
    expected = users.sum(axis=-1, keepdims=True) * np.array(weights)
    p_values: Vector = special.chdtrc(len(weights) - 1, ((users - expected) ** 2 / expected).sum(axis=-1))
    return p_values
