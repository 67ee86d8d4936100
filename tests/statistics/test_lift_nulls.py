"""Lift against a null other than 0, and of arms that vary together: one rule, from whichever side it is read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from ab_platform.statistics.lift import Estimate, Joint, Lift, Method, lift

METHODS: tuple[Method, ...] = ("fieller", "delta")

values = st.floats(0.1, 1e3) | st.floats(-1e3, -0.1)
errors = st.floats(1e-3, 1e2)
users = st.integers(2, 10_000)
estimates = st.builds(lambda value, error, n: Estimate(value, error**2, n), values, errors, users)
nulls = st.sampled_from([-0.5, -0.02, 0.0, 0.02, 0.3, 2.0])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Estimate, Estimate, Joint]:
    """Draw two arms that share a part of their variance, as common covariates make them do."""
    control, treatment = draw(estimates), draw(estimates)
    assert control.variance is not None
    assert treatment.variance is not None
    correlation = draw(st.floats(-0.9, 0.9))
    covariance = correlation * math.sqrt(control.variance * treatment.variance)
    whole = control.variance + treatment.variance - 2.0 * covariance
    share = draw(st.floats(0.1, 0.9))
    return control, treatment, Joint(covariance, share * whole, (1.0 - share) * whole)


def leaves_out(found: Lift, value: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return not found.low <= value <= found.high


@given(pair=pairs(), null=nulls, alpha=st.floats(0.001, 0.5), method=st.sampled_from(METHODS))
def test_the_interval_leaves_out_the_null_exactly_when_p_is_below_alpha(
    pair: tuple[Estimate, Estimate, Joint], null: float, alpha: float, method: Method
) -> None:
    control, treatment, joint = pair
    found = lift(control, treatment, alpha=alpha, null=null, joint=joint, method=method)
    assume(not found.unbounded)
    assert found.p_value is not None
    assume(abs(found.p_value / alpha - 1.0) > 1e-6)
    assert leaves_out(found, null) == (found.p_value < alpha)


@given(pair=pairs(), alpha=st.floats(0.001, 0.5))
def test_fiellers_ends_are_the_nulls_that_are_just_rejected(
    pair: tuple[Estimate, Estimate, Joint], alpha: float
) -> None:
    control, treatment, joint = pair
    found = lift(control, treatment, alpha=alpha, joint=joint)
    assume(not found.unbounded)
    for end in (found.low, found.high):
        assert end is not None
        assume(-0.999 < end < 1e4)
        assert lift(control, treatment, alpha=alpha, null=end, joint=joint).p_value == pytest.approx(alpha, rel=1e-4)


@given(pair=pairs(), null=nulls)
def test_the_interval_does_not_depend_on_the_null(pair: tuple[Estimate, Estimate, Joint], null: float) -> None:
    control, treatment, joint = pair
    found, other = lift(control, treatment, joint=joint), lift(control, treatment, joint=joint, null=null)
    assert found.unbounded == other.unbounded
    if not found.unbounded:
        assert found.low is not None
        assert found.high is not None
        width = found.high - found.low
        assert other.low == pytest.approx(found.low, abs=1e-6 * width + 1e-9 * abs(found.low))
        assert other.high == pytest.approx(found.high, abs=1e-6 * width + 1e-9 * abs(found.high))


def test_against_a_margin_the_p_value_is_of_the_shifted_difference() -> None:
    control, treatment = Estimate(10.0, 0.04, 500), Estimate(10.1, 0.05, 480)
    found = lift(control, treatment, null=-0.02)
    error = math.sqrt(0.05 + 0.98**2 * 0.04)
    share = 0.04 / 0.09
    degrees = 1.0 / (share**2 / 499 + (1.0 - share) ** 2 / 479)
    assert found.p_value == pytest.approx(2.0 * stats.t.sf((10.1 - 9.8) / error, degrees), rel=1e-12)


def test_below_zero_a_margin_lies_on_the_worse_side_too() -> None:
    # From -10 to -10.1 is a fall of 1 %: within a margin of 2 %, beyond one of 0.5 %.
    control, treatment = Estimate(-10.0, 1e-6, 500), Estimate(-10.1, 1e-6, 500)
    within, beyond = lift(control, treatment, null=-0.02), lift(control, treatment, null=-0.005)
    assert within.low is not None
    assert beyond.high is not None
    assert within.low > -0.02
    assert beyond.high < -0.005


def test_a_control_of_0_has_no_p_value_against_a_margin() -> None:
    found = lift(Estimate(0.0, 0.1, 50), Estimate(1.0, 0.1, 50), null=-0.02)
    assert (found.lift, found.p_value) == (None, None)
    assert found.reason == "control mean is 0; a relative lift needs a non-zero baseline"


def test_arms_that_vary_together_tell_more_of_their_difference() -> None:
    control, treatment = Estimate(10.0, 1.0, 500), Estimate(11.0, 1.0, 500)
    apart, together = (
        lift(control, treatment, joint=Joint(covariance, 1.0 - covariance, 1.0 - covariance))
        for covariance in (0.0, 0.9)
    )
    assert together.p_value is not None
    assert apart.p_value is not None
    assert together.p_value < apart.p_value


def test_dependent_fieller_holds_the_truth_in_95_of_100() -> None:
    # 10,000 pairs of normal means that correlate at .8, true lift .5; the bound of 99.9 % is 94.27 to 95.70 %.
    rng = np.random.default_rng(7)
    covariance = np.array([[4.0, 3.2], [3.2, 4.0]])
    drawn = rng.multivariate_normal([40.0, 60.0], covariance, size=10_000)
    joint = Joint(3.2, 0.8, 0.8)
    rows = [lift(Estimate(c, 4.0, 10**6), Estimate(t, 4.0, 10**6), joint=joint) for c, t in drawn.tolist()]
    held = float(np.mean([not leaves_out(row, 0.5) for row in rows]))
    assert 0.9427 <= held <= 0.9570
    independent = [lift(Estimate(c, 4.0, 10**6), Estimate(t, 4.0, 10**6)) for c, t in drawn.tolist()]
    assert float(np.mean([not leaves_out(row, 0.5) for row in independent])) > 0.99


@pytest.mark.parametrize("null", [-1.0, -2.0, math.nan, math.inf])
def test_a_null_that_is_no_lift_is_refused(null: float) -> None:
    with pytest.raises(ValueError, match="it must be a lift above -1"):
        lift(Estimate(1.0, 1.0, 10), Estimate(1.0, 1.0, 10), null=null)


def test_covariates_that_leave_no_variance_are_said_so() -> None:
    found = lift(Estimate(1.0, 1.0, 10), Estimate(2.0, 1.0, 10), joint=Joint(1.0, 0.0, 0.0))
    assert (found.difference, found.p_value) == (1.0, None)
    assert found.reason == "the covariates leave no variance; the standard error is 0"
