"""Power: one question is the other's inverse, statsmodels agrees, and simulated experiments find what was promised."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.power import NormalIndPower, TTestIndPower

from ab_platform.statistics.lift import Estimate, lift
from ab_platform.statistics.monitoring import FIXED, Monitoring, MonitoringName
from ab_platform.statistics.power import detectable_lift, power_of, users_needed

REPETITIONS = 10_000
FOUND = (7867, 8131)  # Binomial(10000, .8), 99.9 % of the time

splits = st.sampled_from([(0.5, 0.5), (0.9, 0.1), (0.3, 0.3), (0.01, 0.05)])


@settings(deadline=None)
@given(
    users=st.integers(400, 10**8),
    weights=splits,
    variation=st.floats(0.05, 20.0),
    alpha=st.sampled_from([0.001, 0.05, 0.2]),
    power=st.sampled_from([0.5, 0.8, 0.95]),
)
def test_the_users_needed_for_the_detectable_lift_are_those_it_was_made_from(
    users: int, weights: tuple[float, float], variation: float, alpha: float, power: float
) -> None:
    least = detectable_lift(users=users, weights=weights, coefficient_of_variation=variation, alpha=alpha, power=power)
    needed = users_needed(lift=least, weights=weights, coefficient_of_variation=variation, alpha=alpha, power=power)
    assert needed == users


@settings(deadline=None)
@given(size=st.floats(0.003, 2.0), weights=splits, variation=st.floats(0.05, 5.0))
def test_one_user_fewer_would_not_do(size: float, weights: tuple[float, float], variation: float) -> None:
    needed = users_needed(lift=-size, weights=weights, coefficient_of_variation=variation)
    assert detectable_lift(users=needed, weights=weights, coefficient_of_variation=variation) <= size
    if min(weights) * (needed - 1) >= 2.0:
        assert detectable_lift(users=needed - 1, weights=weights, coefficient_of_variation=variation) > size


@pytest.mark.parametrize("alpha", [0.01, 0.05])
@pytest.mark.parametrize("power", [0.8, 0.95])
@pytest.mark.parametrize(("control", "treatment", "rel"), [(10, 10, 1e-3), (50, 200, 1e-4), (900, 100, 1e-4)])
def test_the_detectable_lift_is_statsmodels(
    control: int, treatment: int, rel: float, alpha: float, power: float
) -> None:
    users = control + treatment
    found = detectable_lift(
        users=users,
        weights=(control / users, treatment / users),
        coefficient_of_variation=1.0,
        alpha=alpha,
        power=power,
    )
    expected = TTestIndPower().solve_power(nobs1=control, ratio=treatment / control, alpha=alpha, power=power)
    assert found == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1)])
def test_the_users_needed_are_statsmodels(weights: tuple[float, float]) -> None:
    found = users_needed(lift=0.03, weights=weights, coefficient_of_variation=2.0)
    expected = NormalIndPower().solve_power(
        effect_size=0.03 / 2.0, ratio=weights[1] / weights[0], alpha=0.05, power=0.8
    )
    assert found * weights[0] == pytest.approx(expected, rel=1e-4)


def test_simulated_experiments_find_the_detectable_lift_as_often_as_promised() -> None:
    # 10,000 experiments of 1,000 users split 70/30; Binomial(10000, .8): 99.9 % of the time 7867 to 8131 find it.
    rng, repetitions, n_control, n_treatment = np.random.default_rng(30), 10_000, 700, 300
    true_lift = detectable_lift(users=1_000, weights=(0.7, 0.3), coefficient_of_variation=0.5)
    control = rng.normal(10.0, 5.0, size=(repetitions, n_control))
    treatment = rng.normal(10.0 * (1.0 + true_lift), 5.0, size=(repetitions, n_treatment))
    lifts = [lift(c, t) for c, t in zip(estimates(control), estimates(treatment), strict=True)]
    found = sum(each.p_value is not None and each.p_value < 0.05 for each in lifts)
    assert stats.binom.interval(0.999, repetitions, 0.8) == (7867, 8131)
    assert 7867 <= found <= 8131


def estimates(arm: NDArray[np.float64]) -> list[Estimate]:
    n = arm.shape[1]
    variances = arm.var(axis=1, ddof=1) / n
    return [Estimate(*each, n) for each in zip(arm.mean(axis=1).tolist(), variances.tolist(), strict=True)]


def test_more_variation_needs_its_square_in_users() -> None:
    one, two = (users_needed(lift=0.01, weights=(0.5, 0.5), coefficient_of_variation=cv) for cv in (1.0, 2.0))
    assert two / one == pytest.approx(4.0, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": (0.5, 0.0)}, "need a share above 0, at most 1.0 together"),
        ({"weights": (0.8, 0.8)}, "need a share above 0, at most 1.0 together"),
        ({"coefficient_of_variation": 0.0}, "coefficient_of_variation is 0.0; it must be above 0"),
        ({"alpha": 1.0}, "alpha is 1.0; it must lie between 0 and 1"),
        ({"power": 0.04}, "power is 0.04; it must lie between alpha 0.05 and 1"),
        ({"power": 1.0}, "power is 1.0; it must lie between alpha 0.05 and 1"),
    ],
)
def test_arguments_out_of_range_are_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"weights": (0.5, 0.5), "coefficient_of_variation": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        detectable_lift(users=1_000, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        users_needed(lift=0.1, **arguments)  # type: ignore[arg-type]


def test_a_lift_of_0_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lift is 0.0; it must be a fraction other than 0"):
        users_needed(lift=0.0, weights=(0.5, 0.5), coefficient_of_variation=1.0)


def test_too_few_users_are_refused() -> None:
    with pytest.raises(ValueError, match="10 users leave 1 in an arm; at least 2 are required"):
        detectable_lift(users=10, weights=(0.9, 0.1), coefficient_of_variation=1.0)


# What an analysis adds


margins = st.sampled_from([0.0, 0.02, 0.2, -0.05])
kept = st.sampled_from([1.0, 0.6, 0.1])
inflations = st.sampled_from([1.0, 1.3, 2.5])


@settings(deadline=None)
@given(
    users=st.integers(1_000, 10**8),
    weights=splits,
    variation=st.floats(0.05, 20.0),
    power=st.sampled_from([0.5, 0.8, 0.95]),
    margin=margins,
    variance_kept=kept,
    inflation=inflations,
)
def test_users_lift_and_power_are_three_sides_of_one_formula(
    users: int,
    weights: tuple[float, float],
    variation: float,
    power: float,
    margin: float,
    variance_kept: float,
    inflation: float,
) -> None:
    least = detectable_lift(
        users=users,
        weights=weights,
        coefficient_of_variation=variation,
        power=power,
        margin=margin,
        variance_kept=variance_kept,
        inflation=inflation,
    )
    found = power_of(
        users=users,
        weights=weights,
        coefficient_of_variation=variation,
        lift=least,
        margin=margin,
        variance_kept=variance_kept,
        inflation=inflation,
    )
    needed = users_needed(
        lift=least,
        weights=weights,
        coefficient_of_variation=variation,
        power=power,
        margin=margin,
        variance_kept=variance_kept,
        inflation=inflation,
    )
    assert found == pytest.approx(power, rel=1e-6)
    assert needed == pytest.approx(users, rel=1e-6, abs=1)


@pytest.mark.parametrize("size", [0.0, 0.2, -0.6, 1.0])
@pytest.mark.parametrize(("control", "treatment", "abs_error"), [(10, 10, 2e-3), (50, 200, 2e-4), (900, 100, 2e-4)])
def test_the_power_is_statsmodels(control: int, treatment: int, abs_error: float, size: float) -> None:
    users = control + treatment
    found = power_of(
        users=users,
        weights=(control / users, treatment / users),
        coefficient_of_variation=1.0,
        lift=size,
    )
    # Its two-sided power counts what was found with the wrong sign; one-sided at half the alpha does not.
    expected = TTestIndPower().power(abs(size), control, 0.025, ratio=treatment / control, alternative="larger")
    assert found == pytest.approx(expected, abs=abs_error)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.7, 0.2)])
def test_a_margin_is_a_distance_like_a_lift_with_less_of_the_controls_noise(weights: tuple[float, float]) -> None:
    guarded = users_needed(lift=0.0, weights=weights, coefficient_of_variation=2.0, margin=0.05)
    found = users_needed(lift=0.05, weights=weights, coefficient_of_variation=2.0)
    less = (1.0 / weights[1] + 0.95**2 / weights[0]) / (1.0 / weights[1] + 1.0 / weights[0])
    assert guarded / found == pytest.approx(less, rel=1e-3)


def test_a_guardrail_is_shown_less_surely_the_worse_it_truly_is() -> None:
    sure = [
        power_of(users=20_000, weights=(0.5, 0.5), coefficient_of_variation=1.0, lift=true_lift, margin=0.05)
        for true_lift in (0.02, 0.0, -0.02, -0.05, -0.08)
    ]
    assert sure == sorted(sure, reverse=True)
    assert sure[3] == pytest.approx(0.025, abs=1e-4)  # at the margin itself it is one-sided at alpha / 2


def test_a_margin_of_a_metric_of_which_more_is_worse_is_below_0() -> None:
    arguments = {"weights": (0.5, 0.5), "coefficient_of_variation": 1.0}
    worst = detectable_lift(users=20_000, margin=-0.05, **arguments)  # type: ignore[arg-type]
    assert 0.0 < worst < 0.05
    assert power_of(users=20_000, lift=worst, margin=-0.05, **arguments) == pytest.approx(0.8)  # type: ignore[arg-type]


def test_covariates_and_looks_are_factors_of_the_users() -> None:
    arguments = {"lift": 0.01, "weights": (0.5, 0.5), "coefficient_of_variation": 2.0}
    plain = users_needed(**arguments)  # type: ignore[arg-type]
    assert users_needed(variance_kept=0.4, **arguments) / plain == pytest.approx(0.4, rel=1e-4)  # type: ignore[arg-type]
    assert users_needed(inflation=1.7, **arguments) / plain == pytest.approx(1.7, rel=1e-4)  # type: ignore[arg-type]


# Simulated experiments of normal users: means and variances of the arms are drawn, not each user.


@dataclass(frozen=True)
class Farther:
    """A look that requires 2.5 standard errors, as if there were more looks."""

    @property
    def name(self) -> MonitoringName:
        return "sequential"

    def critical(self, alpha: float, *, users: int, degrees: float) -> float:
        return 2.5

    def p_value(self, statistic: float, *, users: int, degrees: float) -> float:
        return 0.05 * 2.5 / max(abs(statistic), 1e-9)


def arms(seed: int, mean: float, deviation: float, users: int) -> list[Estimate]:
    rng = np.random.default_rng(seed)
    means = rng.normal(mean, deviation / math.sqrt(users), size=REPETITIONS)
    variances = deviation**2 * rng.chisquare(users - 1, size=REPETITIONS) / (users - 1) / users
    return [Estimate(*each, users) for each in zip(means.tolist(), variances.tolist(), strict=True)]


def found_better(
    control: list[Estimate], treatment: list[Estimate], *, null: float = 0.0, monitoring: Monitoring = FIXED
) -> int:
    lifts = [lift(c, t, null=null, monitoring=monitoring) for c, t in zip(control, treatment, strict=True)]
    return sum(each.p_value is not None and each.p_value < 0.05 and (each.lift or 0.0) > null for each in lifts)


@pytest.mark.parametrize(("true_lift", "margin"), [(0.0, 0.1), (-0.03, 0.15)])
def test_simulated_guardrails_are_shown_as_often_as_promised(true_lift: float, margin: float) -> None:
    needed = users_needed(lift=true_lift, weights=(0.6, 0.3), coefficient_of_variation=1.5, margin=margin)
    control = arms(31, 10.0, 15.0, round(0.6 * needed))
    treatment = arms(32, 10.0 * (1.0 + true_lift), 15.0, round(0.3 * needed))
    assert FOUND[0] <= found_better(control, treatment, null=-margin) <= FOUND[1]


def test_simulated_experiments_with_covariates_find_the_lift_as_often_as_promised() -> None:
    # Covariates that explain 1 - .36 of the variance leave a deviation of .6.
    needed = users_needed(lift=0.1, weights=(0.5, 0.5), coefficient_of_variation=1.5, variance_kept=0.36)
    control, treatment = arms(33, 10.0, 9.0, needed // 2), arms(34, 11.0, 9.0, needed // 2)
    assert FOUND[0] <= found_better(control, treatment) <= FOUND[1]


def test_simulated_experiments_that_are_looked_at_more_often_find_the_lift_as_often_as_promised() -> None:
    # A caller's factor: the square of the distance at 2.5 standard errors over that at 1.96.
    power, fixed = stats.norm.ppf(0.8), stats.norm.ppf(0.975)
    inflation = ((2.5 + power) / (fixed + power)) ** 2
    needed = users_needed(lift=0.1, weights=(0.5, 0.5), coefficient_of_variation=1.5, inflation=inflation)
    control, treatment = arms(35, 10.0, 15.0, needed // 2), arms(36, 11.0, 15.0, needed // 2)
    assert FOUND[0] <= found_better(control, treatment, monitoring=Farther()) <= FOUND[1]
    assert found_better(control, treatment) > FOUND[1]


def test_a_spread_that_grows_with_the_mean_needs_a_tenth_more_users_for_a_lift_of_a_tenth() -> None:
    needed = users_needed(lift=0.1, weights=(0.5, 0.5), coefficient_of_variation=1.5)
    short = found_better(arms(37, 10.0, 15.0, needed // 2), arms(38, 11.0, 16.5, needed // 2))
    more = round(needed * (1.0 + 1.1**2) / 2.0)
    enough = found_better(arms(37, 10.0, 15.0, more // 2), arms(38, 11.0, 16.5, more // 2))
    assert short < FOUND[0] <= enough <= FOUND[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": 1.0}, "margin is 1.0; it must be a fraction below 1, such as 0.02 for 2 %"),
        ({"margin": float("nan")}, "margin is nan; it must be a fraction below 1"),
        ({"variance_kept": 0.0}, "variance_kept is 0.0; it must lie above 0 and up to 1"),
        ({"variance_kept": 1.1}, "variance_kept is 1.1; it must lie above 0 and up to 1"),
        ({"inflation": 0.9}, "inflation is 0.9; it must be at least 1, 1 for a single look"),
        ({"weights": (0.5, 0.6)}, "weights are"),
        ({"coefficient_of_variation": -1.0}, "coefficient_of_variation is -1.0"),
    ],
)
def test_additions_out_of_range_are_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"weights": (0.5, 0.5), "coefficient_of_variation": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        detectable_lift(users=1_000, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        users_needed(lift=0.1, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        power_of(users=1_000, lift=0.1, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("true_lift", "margin"), [(-0.05, 0.05), (-0.1, 0.05), (0.1, -0.05)])
def test_no_number_of_users_shows_a_guardrail_that_is_breached(true_lift: float, margin: float) -> None:
    with pytest.raises(ValueError, match=rf"lift is {true_lift}; it must be a fraction better than -margin, {-margin}"):
        users_needed(lift=true_lift, weights=(0.5, 0.5), coefficient_of_variation=1.0, margin=margin)


def test_the_power_of_a_lift_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="lift is nan; it must be a fraction"):
        power_of(users=1_000, weights=(0.5, 0.5), coefficient_of_variation=1.0, lift=float("nan"))


def test_power_needs_2_users_an_arm_of_what_an_inflation_leaves() -> None:
    with pytest.raises(ValueError, match="10 users leave 1 in an arm; at least 2 are required"):
        power_of(users=10, weights=(0.5, 0.5), coefficient_of_variation=1.0, lift=0.1, inflation=5.0)
