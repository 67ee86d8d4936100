"""Worlds: the users that are simulated, and what is known to be true of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ab_platform.statistics.lift import Estimate

Table = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, float], Table]
"""Draws `(users, columns)` of an arm whose metric is what the last argument makes of the control's: a factor."""

LOG_SECONDS = 5.0  # mean of the logarithm of a user's watch seconds; its deviation is 1, which is a skewness of 6.2


@dataclass(frozen=True, slots=True)
class Split:
    """How many users each arm has."""

    control: int
    treatment: int

    @property
    def text(self) -> str:
        """Return both, for the table."""
        return f"{self.control:,} + {self.treatment:,}"


def half(users: int) -> Split:
    """Split 50/50."""
    return Split(users // 2, users - users // 2)


def tenth(users: int) -> Split:
    """Split 90/10."""
    return Split(users - users // 10, users // 10)


def watch_seconds(rng: np.random.Generator, users: int, factor: float) -> Table:
    """Draw seconds."""
    return factor * _seconds(_normal(rng, users))[:, None]


def capped_mean(factor: float, cap: float) -> float:
    """Return the mean of min(seconds, cap) of `watch_seconds`: what of a log-normal lies below the cap, and the cap."""
    beyond = np.log(cap / factor) - LOG_SECONDS
    below = factor * np.exp(LOG_SECONDS + 0.5) * special.ndtr(beyond - 1.0)
    return float(below + cap * special.ndtr(-beyond))


def clicked(rng: np.random.Generator, users: int, factor: float) -> Table:
    """Draw 0/1 of a tenth of the users."""
    return (rng.random(users, dtype=np.float32) < 0.1 * factor).astype(np.float64)[:, None]


def clicks_and_impressions(rng: np.random.Generator, users: int, factor: float) -> Table:
    """Draw clicks and impressions, each user with a rate of their own."""
    rate = 0.2 * rng.random(users, dtype=np.float32)
    return np.column_stack(_clicks(rng, rate * np.float32(factor)))


def watch_and_before(rng: np.random.Generator, users: int, factor: float) -> Table:
    """Draw seconds and seconds before, as skewed as `watch_seconds`, whose logarithms correlate by 2/3."""
    now, before = _alike(rng, users)
    return np.column_stack([factor * _seconds(now), _seconds(before)])


def likes_and_before(rng: np.random.Generator, users: int, factor: float) -> Table:
    """Draw an outcome of which the time before tells nine tenths, where everyone gains alike, not in proportion."""
    before, own = rng.standard_normal((2, users), dtype=np.float32).astype(np.float64)
    return np.column_stack([10.0 * factor + 3.0 * before + own, 10.0 + 3.0 * before])


def watch_and_history(rng: np.random.Generator, users: int, factor: float) -> Table:
    """Draw seconds, seconds before, visits before, and whether there is a before: new users have zeros and watch less.

    The deviation of the logarithms is .5, which is a skewness of 1.8.
    """
    now, before = _alike(rng, users)
    known = rng.random(users, dtype=np.float32) < 0.7
    visits = 1.0 + np.floor(np.exp(1.0 + 0.5 * before + 0.5 * _normal(rng, users)))
    seconds = factor * _seconds(0.5 * now) * np.where(known, 1.0, 0.6)
    return np.column_stack([seconds, known * _seconds(0.5 * before), known * visits, known])


def clicks_and_before(rng: np.random.Generator, users: int, factor: float) -> Table:
    """Draw clicks, impressions, and both of the time before, at the same user's rate."""
    rate = 0.2 * rng.random(users, dtype=np.float32)
    return np.column_stack([*_clicks(rng, rate * np.float32(factor)), *_clicks(rng, rate)])


def six_metrics(rng: np.random.Generator, users: int, effects: NDArray[np.float64]) -> Table:
    """Draw six metrics of the same users, each pair correlated by .5, with a lift each."""
    common, own = rng.standard_normal((users, 1), np.float32), rng.standard_normal((users, 6), np.float32)
    values: Table = 10.0 * (1.0 + effects) + 5.0 * np.sqrt(0.5) * (common + own).astype(np.float64)
    return values


def normal_estimate(rng: np.random.Generator, mean: float, deviation: float, n: int) -> Estimate:
    """Draw the mean of so many normal users and its variance, from what they are exactly distributed like."""
    variance = deviation**2 * rng.chisquare(n - 1) / (n - 1) / n
    return Estimate(mean + deviation / np.sqrt(n) * rng.standard_normal(), variance, n)


def bernoulli_estimate(rng: np.random.Generator, rate: float, n: int) -> Estimate:
    """Draw the share of so many users, with its variance."""
    share = float(rng.binomial(n, rate)) / n
    return Estimate(share, share * (1.0 - share) / (n - 1), n)


def _normal(rng: np.random.Generator, users: int) -> NDArray[np.float32]:
    return rng.standard_normal(users, dtype=np.float32)


def _seconds(apart: NDArray[np.float32]) -> Table:
    seconds: Table = np.exp(np.float32(LOG_SECONDS) + apart).astype(np.float64)
    return seconds


def _alike(rng: np.random.Generator, users: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw two standard normals of a correlation of 2/3 each user."""
    common, now, before = rng.standard_normal((3, users), dtype=np.float32)
    common *= np.sqrt(np.float32(2.0 / 3.0))
    apart = np.sqrt(np.float32(1.0 / 3.0))
    return common + apart * now, common + apart * before


def _clicks(rng: np.random.Generator, rate: NDArray[np.float32]) -> tuple[Table, Table]:
    impressions = 1.0 + np.floor(6.0 * rng.standard_exponential(len(rate), dtype=np.float32))
    clicks = np.floor(impressions * rate + rng.random(len(rate), dtype=np.float32))  # whole, and right on average
    return clicks.astype(np.float64), impressions.astype(np.float64)
