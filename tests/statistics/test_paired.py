"""Paired differences over users and seeds: laws, hand cases, and how often their intervals cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ttest_rel

from ab_platform.statistics.paired import paired, spread_of

RNG = np.random.default_rng(5)
CONTROL: NDArray[np.float64] = RNG.uniform(0.1, 0.6, (3, 40))
TREATMENT: NDArray[np.float64] = CONTROL + RNG.normal(0.02, 0.1, (3, 40))


def test_with_one_seed_it_is_the_paired_t_test() -> None:
    found = paired(CONTROL[:1], TREATMENT[:1])
    expected = ttest_rel(TREATMENT[0], CONTROL[0])
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.degrees, found.users, found.seeds, found.reason) == (39, 40, 1, None)


def test_the_variance_is_that_of_the_two_way_design_worked_out_by_hand() -> None:
    # Means by user 1, 3, 8 and by seed 3, 5; the rest is -1, 0, 1 and its negative.
    cells = np.array([[-1.0, 2.0, 8.0], [3.0, 4.0, 8.0]])
    of_users, of_seeds, of_rest = 2 * (9 + 1 + 16) / 2, 3 * (1 + 1) / 1, 2 * (1 + 0 + 1) / 2
    total = of_users + of_seeds - of_rest
    found = spread_of(cells)
    assert found.error == pytest.approx(math.sqrt(total / 6))
    assert found.degrees == pytest.approx(total**2 / (of_users**2 / 2 + of_seeds**2 / 1 + of_rest**2 / 2))


def test_seeds_that_agree_more_than_chance_leave_the_paired_interval_over_users() -> None:
    same = np.vstack([RNG.normal(0, 1, 30)] * 3) + 1e-3 * np.array([[1.0], [-1.0], [0.0]]) * RNG.choice([-1, 1], 30)
    same -= same.mean(axis=1, keepdims=True)
    found, by_user = spread_of(same), same.mean(axis=0)
    assert found.error == pytest.approx(by_user.std(ddof=1) / math.sqrt(30))
    assert found.degrees == pytest.approx(29)


def test_users_who_do_not_differ_leave_the_t_interval_over_seeds() -> None:
    by_seed = np.array([0.1, 0.3, 0.2, 0.5])
    found = spread_of(np.repeat(by_seed[:, None], 6, axis=1))
    assert found.error == pytest.approx(by_seed.std(ddof=1) / 2)
    assert found.degrees == pytest.approx(3)


def test_an_arm_without_seeds_is_compared_with_every_training_of_the_other() -> None:
    broadcast = paired(CONTROL[:1], TREATMENT)
    repeated = paired(np.repeat(CONTROL[:1], 3, axis=0), TREATMENT)
    assert broadcast == repeated
    assert broadcast.seeds == 3


@given(st.integers(0, 10_000))
def test_swapping_the_arms_turns_the_interval_around(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.uniform(0, 1, (2, rng.integers(1, 4), rng.integers(2, 9)))
    forth, back = paired(one, other), paired(other, one)
    assert forth.low is not None
    assert forth.high is not None
    assert forth.low <= forth.difference <= forth.high
    assert (back.low, back.high, back.p_value) == pytest.approx((-forth.high, -forth.low, forth.p_value))


@given(st.integers(0, 10_000))
def test_the_p_value_is_below_alpha_exactly_where_the_interval_leaves_zero_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    control = rng.uniform(0, 1, (3, 12))
    found = paired(control, control + rng.normal(0.1, 0.3, (3, 12)), confidence=0.9)
    assert found.low is not None
    assert found.high is not None
    assert found.p_value is not None
    assert (found.p_value < 0.1) == (not found.low <= 0 <= found.high)


def test_degrees_of_freedom_are_never_below_those_of_the_smaller_facet() -> None:
    # Few users and one wild seed: Satterthwaite's rule alone comes to 0.6, and an interval of hundreds.
    cells = np.array([[0.00, 0.01, 0.02], [0.13, 0.10, 0.13]])
    assert spread_of(cells).degrees >= 1


def test_the_relative_difference_is_of_the_means_and_scales_with_the_unit() -> None:
    found, in_percent = paired(CONTROL, TREATMENT), paired(100 * CONTROL, 100 * TREATMENT)
    assert found.relative == pytest.approx(TREATMENT.mean() / CONTROL.mean() - 1)
    assert in_percent.relative_low == pytest.approx(found.relative_low)
    assert in_percent.high == pytest.approx(100 * (found.high or 0))


def test_a_treatment_that_is_a_multiple_of_its_control_has_a_relative_difference_without_spread() -> None:
    found = paired(CONTROL, 1.1 * CONTROL)
    assert found.relative == pytest.approx(0.1)
    assert (found.relative_low, found.relative_high) == pytest.approx((0.1, 0.1))


def test_equal_arms_do_not_differ_and_equal_shifts_surely_do() -> None:
    same, shifted = paired(CONTROL, CONTROL), paired(np.zeros((2, 5)), np.ones((2, 5)))
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    assert (shifted.low, shifted.high, shifted.p_value) == (1, 1, 0)
    assert shifted.relative is None
    assert "the control's mean is 0" in (shifted.reason or "")


def test_one_user_has_no_interval_and_says_so() -> None:
    found = paired(CONTROL[:, :1], TREATMENT[:, :1])
    assert found.difference == pytest.approx((TREATMENT - CONTROL)[:, 0].mean())
    assert (found.low, found.high, found.p_value, found.relative_low) == (None, None, None, None)
    assert found.reason == "1 user; at least 2 are required for an interval"


@pytest.mark.parametrize(
    ("control", "treatment", "confidence", "message"),
    [
        (CONTROL, TREATMENT[:, :9], 0.95, r"the arms are \(3, 40\) and \(3, 9\); both must be \(seeds, users\)"),
        (CONTROL[0], TREATMENT[0], 0.95, r"both must be \(seeds, users\)"),
        (CONTROL[:2], TREATMENT, 0.95, "the arms have 2 and 3 seeds; train both from the same seeds"),
        (CONTROL, TREATMENT * np.nan, 0.95, "a user's metric is not finite"),
        (CONTROL, TREATMENT, 95.0, "confidence is 95.0; it must lie between 0 and 1"),
    ],
)
def test_what_does_not_go_together_is_refused(
    control: NDArray[np.float64], treatment: NDArray[np.float64], confidence: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        paired(control, treatment, confidence=confidence)


@pytest.mark.parametrize(
    ("seeds", "seed_effect", "least"),
    [
        # Worlds of 60 users with a user effect of 1 and a rest of 1; the true mean is 0. Of 1,500 intervals that cover
        # with probability p, fewer than p - 3 sqrt(p (1 - p) / 1500) cover once in 740 times: .018 below .94, .02 below
        # .92, .026 below .87. A t interval over users alone covers 45, 38 and 34 % in the last three.
        (3, 0.0, 0.935),
        (5, 1.0, 0.922),
        (3, 1.0, 0.9),
        (2, 1.0, 0.844),
    ],
)
def test_intervals_cover_users_and_seeds_as_often_as_is_said(seeds: int, seed_effect: float, least: float) -> None:
    rng = np.random.default_rng(20)
    covered = 0
    for _ in range(1_500):
        rest = rng.normal(0, 1, (seeds, 60))
        cells = rng.normal(0, 1, 60) + rng.normal(0, seed_effect, (seeds, 1)) + rest
        spread = spread_of(cells)
        covered += abs(cells.mean()) <= spread.half_width(0.95)
    assert least <= covered / 1_500 <= 0.985
