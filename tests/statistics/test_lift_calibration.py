"""Calibration of the lift: false positives and coverage of simulated experiments, each within its binomial bound.

The bound beside a figure is the central 99.9 % of Binomial(repetitions, nominal rate). Seeds are fixed, so a figure
leaves its bound only when the code changes. `CALIBRATION_REPETITIONS` in the environment raises the repetitions.
"""

import os
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ab_platform.statistics.lift import Estimate, Lift, Method, estimate, lift
from ab_platform.statistics.moments import Moments

REPETITIONS = int(os.environ.get("CALIBRATION_REPETITIONS", "2000"))

# A mean of skewness 6.2 needs many users: with 3,600 against 400, equal arms are called different in 5.9 % of 10,000.
USERS = {"mean": 20_000, "proportion": 4_000, "ratio": 4_000}

Table = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int], float], Table]
"""Draws (repetitions, users, columns) of an arm whose true value is multiplied by the last argument."""


def draw_watch_seconds(rng: np.random.Generator, shape: tuple[int, int], factor: float) -> Table:
    seconds: Table = np.exp(5.0 + rng.standard_normal(shape, dtype=np.float32), dtype=np.float64)  # skewness 6.2
    return factor * seconds[:, :, None]


def draw_clicked(rng: np.random.Generator, shape: tuple[int, int], factor: float) -> Table:
    return (rng.random(shape, dtype=np.float32) < 0.1 * factor).astype(np.float64)[:, :, None]


def draw_clicks_and_impressions(rng: np.random.Generator, shape: tuple[int, int], factor: float) -> Table:
    impressions = 1.0 + np.floor(6.0 * rng.standard_exponential(shape, dtype=np.float32))
    rate = 0.2 * factor * rng.random(shape, dtype=np.float32)  # users differ in theirs
    clicks = np.floor(impressions * rate + rng.random(shape, dtype=np.float32))  # whole, and right on average
    return np.stack([clicks, impressions], axis=2, dtype=np.float64)


METRICS: dict[str, Draw] = {
    "mean": draw_watch_seconds,
    "proportion": draw_clicked,
    "ratio": draw_clicks_and_impressions,
}
SPLITS = {"50/50": 0.5, "90/10": 0.1}


def simulate(metric: str, split: str, *, factor: float, seed: int) -> list[Lift]:
    rng, draw, users = np.random.default_rng(seed), METRICS[metric], USERS[metric]
    n_treatment = round(users * SPLITS[split])
    lifts: list[Lift] = []
    while len(lifts) < REPETITIONS:
        block = min(100, REPETITIONS - len(lifts))
        control = draw(rng, (block, users - n_treatment), 1.0)
        treatment = draw(rng, (block, n_treatment), factor)
        lifts.extend(lift(of(c), of(t)) for c, t in zip(control, treatment, strict=True))
    return lifts


def of(arm: Table) -> Estimate:
    return estimate(Moments.of(arm), 0, 1 if arm.shape[1] == 2 else None)


def covers(found: Lift, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def bound(rate: float, repetitions: int) -> tuple[float, float]:
    low, high = stats.binom.interval(0.999, repetitions, rate)
    return float(low) / repetitions, float(high) / repetitions


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("metric", METRICS)
def test_equal_arms_are_called_different_in_5_of_100(metric: str, split: str) -> None:
    # With 2,000 repetitions the bound is 3.45 % to 6.65 %.
    lifts = simulate(metric, split, factor=1.0, seed=101)
    rate = float(np.mean([found.p_value is not None and found.p_value < 0.05 for found in lifts]))
    low, high = bound(0.05, REPETITIONS)
    assert low <= rate <= high, f"{rate:.4f} is outside [{low:.4f}, {high:.4f}]"


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("metric", METRICS)
def test_fiellers_interval_holds_the_true_lift_in_95_of_100(metric: str, split: str) -> None:
    # With 2,000 repetitions the bound is 93.35 % to 96.55 %.
    lifts = simulate(metric, split, factor=1.2, seed=102)
    rate = float(np.mean([covers(found, 0.2) for found in lifts]))
    low, high = bound(0.95, REPETITIONS)
    assert low <= rate <= high, f"{rate:.4f} is outside [{low:.4f}, {high:.4f}]"


PUBLISHED_REPETITIONS = 10_000


def normal_arms(rng: np.random.Generator) -> tuple[list[Estimate], list[Estimate]]:
    """Normal(1, 5), 200 users of the control against 1,800, +50 %."""
    arms = []
    for mean, n in ((1.0, 200), (1.5, 1_800)):
        means = rng.normal(mean, 5.0 / np.sqrt(n), size=PUBLISHED_REPETITIONS)
        variances = 25.0 * rng.chisquare(n - 1, size=PUBLISHED_REPETITIONS) / (n - 1) / n
        arms.append([Estimate(*each, n) for each in zip(means.tolist(), variances.tolist(), strict=True)])
    return arms[0], arms[1]


def bernoulli_arms(rng: np.random.Generator) -> tuple[list[Estimate], list[Estimate]]:
    """Bernoulli(.02), 1,000 users each, +100 %."""
    arms = []
    for rate in (0.02, 0.04):
        shares = rng.binomial(1_000, rate, size=PUBLISHED_REPETITIONS) / 1_000
        arms.append([Estimate(share, share * (1.0 - share) / 999, 1_000) for share in shares.tolist()])
    return arms[0], arms[1]


@pytest.mark.parametrize(
    ("arms", "truth", "method", "published"),
    [
        (normal_arms, 0.5, "delta", 0.912),  # 90.25 % to 92.12 %
        (bernoulli_arms, 1.0, "delta", 0.938),  # 92.99 % to 94.58 %
        (bernoulli_arms, 1.0, "fieller", 0.947),  # 93.95 % to 95.42 %
    ],
)
def test_noisy_baselines_are_covered_as_published(
    arms: Callable[[np.random.Generator], tuple[list[Estimate], list[Estimate]]],
    truth: float,
    method: Method,
    published: float,
) -> None:
    pairs = zip(*arms(np.random.default_rng(103)), strict=True)
    rate = float(np.mean([covers(lift(c, t, method=method), truth) for c, t in pairs]))
    low, high = bound(published, PUBLISHED_REPETITIONS)
    assert low <= rate <= high, f"{rate:.4f} is outside [{low:.4f}, {high:.4f}]"


def test_fieller_excludes_the_truth_no_more_than_5_of_100_times_where_delta_does() -> None:
    # At 10,000 repetitions the upper bound of 5 % is 5.73 %; the delta method excludes it in 8.8 %.
    # A fifth of these rows are unbounded: they give no ends, and so exclude nothing.
    rows = [lift(c, t) for c, t in zip(*normal_arms(np.random.default_rng(104)), strict=True)]
    excluded = float(np.mean([not (found.unbounded or covers(found, 0.5)) for found in rows]))
    assert excluded <= bound(0.05, PUBLISHED_REPETITIONS)[1]
    assert 0.1 < float(np.mean([found.unbounded for found in rows])) < 0.3
