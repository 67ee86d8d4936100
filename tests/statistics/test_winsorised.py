"""Winsorised means: the cap is blind to the arm, and with it equal arms stay equal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats

from ab_platform.statistics.lift import estimate, lift
from ab_platform.statistics.moments import Moments
from ab_platform.statistics.winsorised import cap, capped

Values = NDArray[np.float64]

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50).map(np.array)
shares = st.floats(0.001, 1.0)


def means(arm: Values) -> Values:
    averages: Values = arm.mean(axis=1)
    return averages


def capped_rows(arm: Values, caps: Values) -> Values:
    return np.stack([capped(row, float(limit)) for row, limit in zip(arm, caps, strict=True)])


def row_caps(values: Values, share: float) -> Values:
    """Return the cap of each row of `(repetitions, users)`, by the rule of `cap`."""
    caps: Values = np.quantile(values, share, axis=1, method="inverted_cdf")
    return caps


# The cap


@given(control=numbers, treatment=numbers, share=shares)
def test_the_cap_is_the_smallest_value_that_the_share_does_not_exceed(
    control: Values, treatment: Values, share: float
) -> None:
    found, pooled = cap(control, treatment, share), np.concatenate([control, treatment])
    assert found in pooled
    assert np.mean(pooled <= found) >= share - 1e-12
    assert np.mean(pooled < found) < share + 1e-12


def test_the_nearest_rank_is_met_exactly() -> None:
    values = np.arange(1.0, 1_001.0)
    assert cap(values[::2], values[1::2], 0.999) == 999.0
    assert cap(values[::2], values[1::2], 0.9991) == 1_000.0
    assert cap(values[:3], values[3:], 0.5) == 500.0


@given(control=numbers, treatment=numbers, share=shares)
def test_the_cap_does_not_know_the_arms(control: Values, treatment: Values, share: float) -> None:
    pooled = np.concatenate([control, treatment])
    assert cap(control, treatment, share) == cap(treatment, control, share) == cap(pooled, np.array([]), share)


@given(values=numbers, limit=st.floats(-1e6, 1e6))
def test_capping_lowers_what_lies_above_and_nothing_else(values: Values, limit: float) -> None:
    found = capped(values, limit)
    assert np.array_equal(found[values <= limit], values[values <= limit])
    assert np.all(found[values > limit] == limit)
    assert np.array_equal(capped(found, limit), found)


def test_a_share_of_1_caps_nobody() -> None:
    control, treatment = np.array([1.0, 5.0]), np.array([9.0, 2.0])
    assert np.array_equal(capped(treatment, cap(control, treatment, 1.0)), treatment)


# What it is for


def test_a_cap_of_each_arm_makes_a_difference_where_there_is_none_and_the_pooled_one_does_not() -> None:
    # 1,800 against 200 equal users, share .999: the small arm's own cap is its largest value, so it is not capped.
    rng, repetitions = np.random.default_rng(108), 3_000
    values = np.exp(2.0 * rng.standard_normal((repetitions, 2_000)))
    control, treatment = values[:, :1_800], values[:, 1_800:]
    pooled = np.array([cap(c, t, 0.999) for c, t in zip(control, treatment, strict=True)])
    apart = means(capped_rows(treatment, pooled)) - means(capped_rows(control, pooled))
    own = [capped_rows(arm, row_caps(arm, 0.999)) for arm in (control, treatment)]
    own_apart = means(own[1]) - means(own[0])
    error = float(np.std(apart)) / np.sqrt(repetitions)
    assert abs(float(np.mean(apart))) < 3.3 * error  # 99.9 %
    assert float(np.mean(own_apart)) > 3.3 * float(np.std(own_apart)) / np.sqrt(repetitions)


def test_winsorised_means_of_equal_arms_are_called_different_in_5_of_100() -> None:
    # Log-normal with sigma 2, 2,000 users an arm, share .999; 10,000 repetitions: the bound is 4.32 % to 5.75 %.
    # The moments are taken for all repetitions at once; the next test holds them to the functions used in earnest.
    rng, repetitions, block = np.random.default_rng(109), 10_000, 500
    called = 0
    for _ in range(repetitions // block):
        p_values = welch(*winsorised_arms(rng, block))
        called += int(np.count_nonzero(p_values < 0.05))
    low, high = stats.binom.interval(0.999, repetitions, 0.05)
    assert low <= called <= high, f"{called} is outside [{low:g}, {high:g}]"


def test_the_simulation_and_the_lift_agree() -> None:
    control, treatment = winsorised_arms(np.random.default_rng(110), 3)
    rows = [
        lift(*(estimate(Moments.of(arm[:, None]), 0) for arm in pair))
        for pair in zip(control.astype(np.float64), treatment.astype(np.float64), strict=True)
    ]
    assert [row.p_value for row in rows] == pytest.approx(welch(control, treatment), rel=1e-3)
    pooled = np.hstack([control, treatment])
    assert all(row.max() == cap(row[:2_000], row[2_000:], 0.999) for row in pooled)


def winsorised_arms(rng: np.random.Generator, repetitions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    seconds = np.exp(2.0 * rng.standard_normal((repetitions, 4_000), dtype=np.float32))
    place = 3_996 - 1  # nearest rank of .999 of 4,000
    limits = np.partition(seconds, place, axis=1)[:, place]
    below = np.minimum(seconds, limits[:, None])
    return below[:, :2_000], below[:, 2_000:]


def welch(control: NDArray[np.float32], treatment: NDArray[np.float32]) -> Values:
    """Return Welch's p-values of `(repetitions, users)` with as many users in either arm."""
    users = control.shape[1]
    first, second = (arm.var(axis=1, ddof=1, dtype=np.float64) / users for arm in (control, treatment))
    apart = treatment.mean(axis=1, dtype=np.float64) - control.mean(axis=1, dtype=np.float64)
    degrees = (users - 1) * (first + second) ** 2 / (first**2 + second**2)
    p_values: Values = 2.0 * special.stdtr(degrees, -np.abs(apart) / np.sqrt(first + second))
    return p_values


# Refusals


@pytest.mark.parametrize(
    ("control", "treatment", "share", "message"),
    [
        ([1.0], [2.0], 0.0, "share is 0.0; it must lie above 0 and up to 1"),
        ([1.0], [2.0], 99.9, "share is 99.9; it must lie above 0 and up to 1"),
        ([], [], 0.9, "no users in either arm"),
        ([1.0], [np.nan], 0.9, "treatment values hold 1 numbers that are not finite"),
        ([[1.0]], [1.0], 0.9, "control values have shape"),
    ],
)
def test_what_has_no_cap_is_refused(control: list[float], treatment: list[float], share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cap(np.array(control), np.array(treatment), share)


def test_a_cap_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="cap is nan; it must be a number"):
        capped(np.array([1.0]), float("nan"))
