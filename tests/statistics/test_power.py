"""Power: one question is the other's inverse, statsmodels agrees, and simulated experiments find what was promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.power import NormalIndPower, TTestIndPower

from ab_platform.statistics.lift import Estimate, lift
from ab_platform.statistics.power import detectable_lift, users_needed

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
