"""CUPED: tea-tasting and least squares agree, the laws hold, and what cannot help is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
import tea_tasting as tt  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ab_platform.statistics.cuped import Adjusted, Ratio, adjust
from ab_platform.statistics.lift import Lift, estimate, lift
from ab_platform.statistics.moments import Moments

Table = NDArray[np.float64]

SECONDS, VIEWS, SECONDS_BEFORE, VIEWS_BEFORE, KNOWN = range(5)


def users(seed: int, n: int, *, factor: float = 1.0, known: float = 1.0) -> Table:
    """Draw users whose time now resembles their time before: seconds, views, the same before, and whether known."""
    rng = np.random.default_rng(seed)
    taste = rng.gamma(2.0, 50.0, n)
    views, views_before = (1.0 + rng.poisson(6.0, n) for _ in range(2))
    is_known = (rng.random(n) < known).astype(float)
    seconds = factor * (taste * views / 6.0 + rng.exponential(20.0, n))
    before = (taste * views_before / 6.0 + rng.exponential(20.0, n)) * is_known
    return np.column_stack([seconds, views, before, views_before * is_known, is_known])


def compared(adjusted: Adjusted, *, alpha: float = 0.05) -> Lift:
    return lift(adjusted.control, adjusted.treatment, joint=adjusted.joint, alpha=alpha)


def moments(table: Table) -> Moments:
    return Moments.of(table)


CONTROL, TREATMENT = users(1, 900), users(2, 1_100, factor=1.1)
COLUMNS = ["seconds", "views", "seconds_before", "views_before", "known"]


@pytest.mark.parametrize(
    ("metric", "outcome", "covariate"),
    [
        (tt.Mean("seconds", covariate="seconds_before"), Ratio(SECONDS), Ratio(SECONDS_BEFORE)),
        (
            tt.RatioOfMeans("seconds", "views", numer_covariate="seconds_before", denom_covariate="views_before"),
            Ratio(SECONDS, VIEWS),
            Ratio(SECONDS_BEFORE, VIEWS_BEFORE),
        ),
    ],
)
def test_the_difference_its_interval_and_its_p_value_are_tea_tastings(
    metric: tt.Mean | tt.RatioOfMeans, outcome: Ratio, covariate: Ratio
) -> None:
    import pandas as pd

    both = pd.DataFrame(np.vstack([CONTROL, TREATMENT]), columns=COLUMNS)
    both["variant"] = [0] * len(CONTROL) + [1] * len(TREATMENT)
    expected = tt.Experiment(row=metric).analyze(both)["row"]
    adjusted = adjust(moments(CONTROL), moments(TREATMENT), outcome, [covariate])
    found = compared(adjusted)
    assert adjusted.control.value == pytest.approx(expected.control, rel=1e-9)
    assert adjusted.treatment.value == pytest.approx(expected.treatment, rel=1e-9)
    assert found.difference_low == pytest.approx(expected.effect_size_ci_lower, rel=1e-9)
    assert found.difference_high == pytest.approx(expected.effect_size_ci_upper, rel=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_several_covariates_give_the_coefficients_of_least_squares_on_all_users() -> None:
    table = np.vstack([CONTROL, TREATMENT])
    fitted = sm.OLS(table[:, SECONDS], sm.add_constant(table[:, [SECONDS_BEFORE, VIEWS_BEFORE]])).fit()
    theta = fitted.params[1:]
    covariates = [Ratio(SECONDS_BEFORE), Ratio(VIEWS_BEFORE)]
    adjusted = adjust(moments(CONTROL), moments(TREATMENT), Ratio(SECONDS), covariates)
    apart = (TREATMENT - CONTROL.mean(axis=0)).mean(axis=0)
    expected = apart[SECONDS] - theta @ apart[[SECONDS_BEFORE, VIEWS_BEFORE]]
    assert compared(adjusted).difference == pytest.approx(expected, rel=1e-9)


def test_the_variance_saved_is_what_the_covariate_explains() -> None:
    adjusted = adjust(moments(CONTROL), moments(TREATMENT), Ratio(SECONDS), [Ratio(SECONDS_BEFORE)])
    plain, narrow = (
        compared(each) for each in (adjust(moments(CONTROL), moments(TREATMENT), Ratio(SECONDS)), adjusted)
    )
    assert adjusted.variance_saved is not None
    width, narrower = (each.difference_high - each.difference_low for each in (plain, narrow))  # type: ignore[operator]
    assert (narrower / width) ** 2 == pytest.approx(1.0 - adjusted.variance_saved, rel=1e-3)
    assert adjusted.variance_saved > 0.4


def test_without_covariates_nothing_changes() -> None:
    adjusted = adjust(moments(CONTROL), moments(TREATMENT), Ratio(SECONDS, VIEWS))
    assert adjusted.control == estimate(moments(CONTROL), SECONDS, VIEWS)
    assert (adjusted.joint, adjusted.variance_saved) == (None, None)


def test_a_covariate_known_of_half_the_users_helps_with_its_indicator() -> None:
    halves = users(3, 2_000, known=0.5), users(4, 2_000, known=0.5)
    alone, with_indicator = (
        adjust(moments(halves[0]), moments(halves[1]), Ratio(SECONDS), covariates)
        for covariates in ([Ratio(SECONDS_BEFORE)], [Ratio(SECONDS_BEFORE), Ratio(KNOWN)])
    )
    assert alone.variance_saved is not None
    assert with_indicator.variance_saved is not None
    assert with_indicator.variance_saved > alone.variance_saved + 0.05


@pytest.mark.parametrize(
    "covariates",
    [
        [Ratio(KNOWN)],  # constant: everybody is known
        [Ratio(SECONDS, KNOWN - 4)],  # a column over itself is 1
    ],
)
def test_a_covariate_that_does_not_vary_is_left_out(covariates: list[Ratio]) -> None:
    adjusted = adjust(moments(CONTROL), moments(TREATMENT), Ratio(SECONDS), covariates)
    assert adjusted.joint is None


def test_a_covariate_that_repeats_another_is_left_out() -> None:
    once = adjust(moments(CONTROL), moments(TREATMENT), Ratio(SECONDS), [Ratio(SECONDS_BEFORE)])
    twice = adjust(moments(CONTROL), moments(TREATMENT), Ratio(SECONDS), [Ratio(SECONDS_BEFORE)] * 2)
    assert twice == once


def test_a_covariate_of_which_an_arm_knows_nothing_is_left_out() -> None:
    nobody = TREATMENT.copy()
    nobody[:, VIEWS_BEFORE] = 0.0
    adjusted = adjust(moments(CONTROL), moments(nobody), Ratio(SECONDS, VIEWS), [Ratio(SECONDS_BEFORE, VIEWS_BEFORE)])
    assert adjusted.joint is None


@pytest.mark.parametrize("n", [0, 1])
def test_an_arm_too_small_to_have_a_variance_is_not_adjusted(n: int) -> None:
    adjusted = adjust(moments(CONTROL), moments(TREATMENT[:n]), Ratio(SECONDS), [Ratio(SECONDS_BEFORE)])
    found = compared(adjusted)
    assert (adjusted.joint, found.p_value) == (None, None)
    assert found.reason == f"treatment has {n} {'user' if n == 1 else 'users'}; at least 2 are required"


def test_an_outcome_that_the_covariate_tells_whole_has_no_variance_and_says_so() -> None:
    same = CONTROL.copy(), TREATMENT.copy()
    for table in same:
        table[:, SECONDS] = 3.0 * table[:, SECONDS_BEFORE] + 1.0
    found = compared(adjust(moments(same[0]), moments(same[1]), Ratio(SECONDS), [Ratio(SECONDS_BEFORE)]))
    if found.p_value is None:
        assert found.reason == "the covariates leave no variance; the standard error is 0"
    else:  # rounding may leave some 1e-16 of it
        assert abs(found.difference or 0.0) < 1e-9


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_scaling_the_metric_or_moving_the_covariate_leaves_lift_and_p_alone(
    seed: int, scale: float, shift: float
) -> None:
    tables = users(seed, 200), users(seed + 1, 300)
    moved = [table * [scale, 1, 1, 1, 1] + [0, 0, shift, 0, 0] for table in tables]
    found, other = (
        compared(adjust(moments(one), moments(two), Ratio(SECONDS), [Ratio(SECONDS_BEFORE)]))
        for one, two in (tables, moved)
    )
    assert other.lift == pytest.approx(found.lift, rel=1e-6, abs=1e-9)
    assert other.p_value == pytest.approx(found.p_value, rel=1e-6, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_swapping_the_arms_inverts_the_ratio_and_keeps_the_p_value(seed: int) -> None:
    one, two = moments(users(seed, 200)), moments(users(seed + 1, 300))
    outcome, covariates = Ratio(SECONDS, VIEWS), [Ratio(SECONDS_BEFORE, VIEWS_BEFORE), Ratio(VIEWS_BEFORE)]
    found, swapped = compared(adjust(one, two, outcome, covariates)), compared(adjust(two, one, outcome, covariates))
    assert found.lift is not None
    assert swapped.lift is not None
    assert found.high is not None
    assert swapped.low is not None
    assert (1.0 + found.lift) * (1.0 + swapped.lift) == pytest.approx(1.0, rel=1e-9)
    assert (1.0 + found.high) * (1.0 + swapped.low) == pytest.approx(1.0, rel=1e-9)
    assert found.p_value == pytest.approx(swapped.p_value, rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.01, 0.05, 0.2, 0.6]))
def test_the_interval_leaves_out_zero_exactly_when_p_is_below_alpha(seed: int, alpha: float) -> None:
    adjusted = adjust(
        moments(users(seed, 60)), moments(users(seed + 1, 90, factor=1.1)), Ratio(SECONDS), [Ratio(SECONDS_BEFORE)]
    )
    found = compared(adjusted, alpha=alpha)
    assert found.low is not None
    assert found.high is not None
    assert found.p_value is not None
    assert (found.low > 0.0 or found.high < 0.0) == (found.p_value < alpha)


def test_the_covariance_of_the_adjusted_values_is_that_of_repeated_experiments() -> None:
    # The mistake of the field is to leave it out. 3,000 experiments of 150 users against 250; 4 standard errors.
    pairs = [
        adjust(moments(users(seed, 150)), moments(users(9_000 + seed, 250)), Ratio(SECONDS), [Ratio(SECONDS_BEFORE)])
        for seed in range(3_000)
    ]
    values = np.array([[each.control.value, each.treatment.value] for each in pairs])
    predicted = np.mean([each.joint.covariance for each in pairs if each.joint is not None])
    found = np.cov(values.T)
    assert found[0, 1] == pytest.approx(predicted, abs=4.0 * float(np.sqrt(found[0, 0] * found[1, 1] / 3_000)))
    assert predicted > 0.2 * np.sqrt(found[0, 0] * found[1, 1])
    for place, arm in enumerate(("control", "treatment")):
        mean_variance = np.mean([getattr(each, arm).variance for each in pairs])
        assert found[place, place] == pytest.approx(mean_variance, rel=0.12)


def test_an_adjusted_estimate_keeps_its_users() -> None:
    adjusted = adjust(moments(CONTROL), moments(TREATMENT), Ratio(SECONDS), [Ratio(SECONDS_BEFORE)])
    assert (adjusted.control.n, adjusted.treatment.n) == (900, 1_100)
    assert replace(adjusted) == adjusted
