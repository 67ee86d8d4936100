"""Group sequential: published boundaries, plain integrals, and 28 daily looks that keep what was promised."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, stats

from ab_platform.statistics import group_sequential, recursion
from ab_platform.statistics.confidence_sequence import power as any_time_power
from ab_platform.statistics.confidence_sequence import tuned
from ab_platform.statistics.group_sequential import GroupSequential, boundaries, inflation, power, spent
from ab_platform.statistics.lift import Estimate, lift
from ab_platform.statistics.monitoring import FIXED

DAILY = tuple(day / 28 for day in range(1, 29))
UNEVEN = (0.07, 0.2, 0.21, 0.55, 0.9)
LATE = (0.01, 0.99, 1.0)

alphas = st.floats(1e-9, 0.999)
looks = st.sampled_from([(1.0,), (0.3,), (0.5, 1.0), DAILY, DAILY[:3], UNEVEN, LATE])


def critical(fractions: tuple[float, ...], alpha: float) -> float:
    return GroupSequential(fractions).critical(alpha, users=1_000, degrees=998.0)


def p_value(fractions: tuple[float, ...], statistic: float) -> float:
    return GroupSequential(fractions).p_value(statistic, users=1_000, degrees=998.0)


def evenly(count: int) -> tuple[float, ...]:
    return tuple(look / count for look in range(1, count + 1))


# Boundaries


@pytest.mark.parametrize(
    "published",
    [(2.9626, 1.9686), (4.3326, 2.9631, 2.3590, 2.0141), (4.8769, 3.3569, 2.6803, 2.2898, 2.0310)],
)
def test_boundaries_at_even_looks_are_the_published_ones(published: tuple[float, ...]) -> None:
    # Spending of O'Brien and Fleming's kind, two-sided .05, as the programs after Lan and DeMets print it. Their second
    # of five is 3.3569; by the integral below it is 3.35701.
    assert boundaries(evenly(len(published)), 0.05) == pytest.approx(published, abs=1.2e-4)


def test_the_second_of_five_boundaries_is_a_plain_integral() -> None:
    first, second = boundaries((0.2, 0.4), 0.05)
    assert (round(first, 4), round(second, 4)) == (4.8769, 3.3570)
    assert crossed_at_second(0.2, 0.4, first, second) == pytest.approx(spent(0.4, 0.05) - spent(0.2, 0.05), rel=1e-7)


@pytest.mark.parametrize("alpha", [1e-4, 0.05, 0.5])
@pytest.mark.parametrize(("early", "late"), [(0.5, 1.0), (0.05, 0.9), (0.8, 0.81), (0.99, 1.0)])
def test_two_boundaries_are_those_of_a_plain_integral(early: float, late: float, alpha: float) -> None:
    first, second = boundaries((early, late), alpha)
    assert 2.0 * stats.norm.sf(first) == pytest.approx(spent(early, alpha), rel=1e-9)
    share = spent(late, alpha) - spent(early, alpha)
    assert crossed_at_second(early, late, first, second) == pytest.approx(share, rel=1e-7)


def crossed_at_second(early: float, late: float, first: float, second: float) -> float:
    root, deviation = math.sqrt(late), math.sqrt(late - early)

    def beyond(z: float) -> float:
        above = (second * root - z * math.sqrt(early)) / deviation
        return float(2.0 * stats.norm.pdf(z) * stats.norm.sf(above))

    inside = [z for z in (second * math.sqrt(early / late), first - deviation / math.sqrt(early)) if abs(z) < first]
    return float(integrate.quad(beyond, -first, first, points=inside, epsabs=0.0, epsrel=1e-10, limit=200)[0])


def test_four_boundaries_hold_as_many_as_the_multivariate_normal_says() -> None:
    fractions = (0.3, 0.45, 0.7, 1.0)
    limits = np.array(boundaries(fractions, 0.05))
    scores = np.minimum.outer(fractions, fractions)
    correlations = scores / np.sqrt(np.outer(fractions, fractions))
    inside = stats.multivariate_normal.cdf(
        limits, cov=correlations, lower_limit=-limits, abseps=1e-7, maxpts=4_000_000, rng=np.random.default_rng(3)
    )
    assert 1.0 - inside == pytest.approx(0.05, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(steps=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12), alpha=st.floats(1e-6, 0.9))
def test_all_looks_together_spend_alpha_and_half_of_it_on_each_side(steps: list[float], alpha: float) -> None:
    fractions = [min(1.0, part) for part in (np.cumsum(steps) / sum(steps)).tolist()]
    assert power(fractions, alpha=alpha, drift=0.0) == pytest.approx(spent(fractions[-1], alpha) / 2.0, rel=1e-6)


@pytest.mark.parametrize("fractions", [DAILY, UNEVEN, (0.3, 0.301, 0.5, 1.0)])
@pytest.mark.parametrize("alpha", [1e-9, 0.05, 0.9])
def test_twice_as_many_points_change_nothing(
    fractions: tuple[float, ...], alpha: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = boundaries(fractions, alpha)
    monkeypatch.setattr(recursion, "PANEL", recursion.PANEL / 2.0)
    assert boundaries(fractions, alpha) == pytest.approx(found, rel=1e-9)


def test_a_boundary_depends_on_the_looks_so_far_only() -> None:
    together = boundaries(DAILY, 0.05)
    assert [critical(DAILY[:count], 0.05) for count in (1, 2, 9, 28)] == pytest.approx(
        [together[count - 1] for count in (1, 2, 9, 28)], abs=1e-6
    )


@settings(deadline=None)
@given(fractions=looks, alpha=alphas)
def test_what_a_look_requires_is_the_integrated_boundary(fractions: tuple[float, ...], alpha: float) -> None:
    assert critical(fractions, alpha) == pytest.approx(boundaries(fractions, alpha)[-1], abs=1e-6)


def test_one_look_at_all_users_requires_the_normals_quantile() -> None:
    assert critical((1.0,), 0.05) == pytest.approx(stats.norm.isf(0.025), rel=1e-12)
    assert p_value((1.0,), -1.5) == pytest.approx(2.0 * stats.norm.sf(1.5), rel=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.50009), (0.9, 0.90009)])
def test_a_look_too_near_to_the_next_may_be_left_out_of_it(first: float, second: float) -> None:
    # Each look by what it required when it was the last one; the first of the two is then no part of the second.
    fractions = (first, second, 1.0)
    limits = [critical(fractions[:count], 0.05) for count in (1, 2, 3)]
    error = 2.0 * recursion.power(fractions, limits, drift=0.0)
    assert 0.05 < error < 0.0503
    assert limits[1] == critical((second,), 0.05)


# p-values


@settings(deadline=None)
@given(fractions=looks, alpha=alphas, nudge=st.integers(-4, 4), sign=st.sampled_from([-1.0, 1.0]))
def test_at_the_boundary_p_is_alpha_but_for_rounding(
    fractions: tuple[float, ...], alpha: float, nudge: int, sign: float
) -> None:
    limit = critical(fractions, alpha)
    found = p_value(fractions, sign * (limit + nudge * math.ulp(limit)))
    assert found == pytest.approx(alpha, rel=1e-12, abs=0.0)


@settings(deadline=None)
@given(fractions=looks, alpha=alphas, factor=st.sampled_from([-0.1, -1e-6, -1e-11, 1e-11, 1e-6, 0.1]))
def test_p_is_below_alpha_exactly_beyond_the_boundary(
    fractions: tuple[float, ...], alpha: float, factor: float
) -> None:
    statistic = critical(fractions, alpha) * (1.0 + factor)
    assert (p_value(fractions, statistic) < alpha) is (factor > 0.0)


@settings(deadline=None)
@given(fractions=looks, alpha=alphas, statistic=st.floats(-8.0, 8.0))
def test_p_and_boundary_agree_at_any_statistic(fractions: tuple[float, ...], alpha: float, statistic: float) -> None:
    limit = critical(fractions, alpha)
    if abs(abs(statistic) - limit) > 1e-11 * limit:
        assert (p_value(fractions, statistic) < alpha) is (abs(statistic) > limit)


@settings(deadline=None)
@given(fractions=looks, sizes=st.tuples(st.floats(0.0, 60.0), st.floats(0.0, 60.0)))
def test_more_evidence_never_has_a_larger_p(fractions: tuple[float, ...], sizes: tuple[float, float]) -> None:
    smaller, larger = sorted(sizes)
    assert 0.0 < p_value(fractions, larger) <= p_value(fractions, smaller) <= 1.0


@pytest.mark.parametrize("statistic", [40.0, 1e9, math.inf])
@pytest.mark.parametrize("fractions", [(1.0,), (0.001,), (1e-5, 2e-5), DAILY[:3], DAILY])
def test_overwhelming_evidence_has_a_tiny_p_above_0(fractions: tuple[float, ...], statistic: float) -> None:
    found = p_value(fractions, statistic)
    assert 0.0 < found <= 1.0
    if fractions[-1] == 1.0 or statistic > 40.0:
        assert found < 1e-300
    assert p_value(fractions, 0.0) == 1.0


def test_an_early_look_says_nothing_until_the_evidence_is_far_out() -> None:
    # At 1/28 of the users a level of .999 is still not spent at 3 standard errors; the t test's p would be .003.
    assert p_value(DAILY[:1], 3.0) == 1.0
    assert critical(DAILY[:1], 0.05) == pytest.approx(11.80, abs=0.005)


def test_far_out_boundaries_go_on_where_the_integrated_ones_end() -> None:
    below, above = (critical(DAILY, group_sequential.SMALLEST_ALPHA * factor) for factor in (0.999, 1.001))
    assert 0.0 < below - above < 1e-3
    # 2 Phi(-c) is at most what may be spent in all, so c is at least the quantile but for the earlier looks' share.
    assert critical(DAILY, 1e-100) == pytest.approx(stats.norm.isf(0.5e-100), abs=0.1)


def test_a_lift_is_significant_exactly_when_its_repeated_interval_leaves_out_0() -> None:
    control = Estimate(10.0, 0.02, 5_000)
    for value in np.linspace(10.0, 10.8, 41).tolist():
        found = lift(control, Estimate(value, 0.03, 5_000), monitoring=GroupSequential(DAILY[:14]))
        assert found.p_value is not None
        assert found.low is not None
        assert found.high is not None
        assert (found.p_value < 0.05) is not (found.low <= 0.0 <= found.high)


# Power


def test_the_power_of_one_look_is_the_normals() -> None:
    assert power((1.0,), alpha=0.05, drift=2.8) == pytest.approx(stats.norm.sf(stats.norm.isf(0.025) - 2.8), rel=1e-9)


def test_28_daily_looks_find_far_more_than_looks_at_any_time() -> None:
    # 27,500 users in two arms, means .04 standard deviations apart: one look has a power of .913. With the planned
    # looks it is .90, with a confidence sequence tuned for these users .69.
    users = 27_500
    drift = 0.04 * math.sqrt(users / 4)
    daily = [round(users * part) for part in DAILY]
    assert power((1.0,), alpha=0.05, drift=drift) == pytest.approx(0.9126, abs=5e-5)
    assert power(DAILY, alpha=0.05, drift=drift) == pytest.approx(0.9001, abs=5e-5)
    assert any_time_power(tuned(users, 0.05), daily, alpha=0.05, drift=drift) == pytest.approx(0.6892, abs=5e-5)


def test_an_effect_either_way_is_found_as_often() -> None:
    assert power(UNEVEN, alpha=0.05, drift=-2.0) == power(UNEVEN, alpha=0.05, drift=2.0)


@pytest.mark.parametrize("drift", [30.0, 200.0])
def test_a_huge_effect_is_found(drift: float) -> None:
    assert power(DAILY, alpha=0.05, drift=drift) == pytest.approx(1.0, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(
    fractions=st.sampled_from([evenly(2), evenly(5), UNEVEN, LATE]),
    alpha=st.sampled_from([0.001, 0.05, 0.2]),
    chance=st.floats(0.3, 0.99),
)
def test_the_inflated_users_have_the_power_they_were_inflated_for(
    fractions: tuple[float, ...], alpha: float, chance: float
) -> None:
    times = inflation(fractions, alpha=alpha, power=chance)
    single = stats.norm.ppf(chance) + stats.norm.isf(alpha / 2.0)
    assert power(fractions, alpha=alpha, drift=math.sqrt(times) * single) == pytest.approx(chance, abs=1e-7)
    assert times > 1.0


def test_one_look_needs_no_more_users_and_28_some_5_percent() -> None:
    assert inflation((1.0,), alpha=0.05, power=0.8) == pytest.approx(1.0, abs=1e-9)
    assert inflation(DAILY, alpha=0.05, power=0.8) == pytest.approx(1.0490949, abs=1e-6)


# Simulated experiments


def test_28_daily_looks_at_equal_arms_find_something_in_5_percent() -> None:
    # 20,000 experiments of 500 users a day and arm, one in ten clicks. Binomial(20000, .05): 99.9 % of the time 900 to
    # 1103 find a difference at some look. The t test, looked at as often, finds one in more than a fifth of them.
    statistics = daily_statistics(np.random.default_rng(41), 0.1, 0.1)
    limits = boundaries(DAILY, 0.05)
    found = np.count_nonzero((np.abs(statistics) > limits).any(axis=1))
    peeked = np.count_nonzero((np.abs(statistics) > FIXED.critical(0.05, users=1_000, degrees=math.inf)).any(axis=1))
    assert stats.binom.interval(0.999, 20_000, 0.05) == (900, 1103)
    assert 900 <= found <= 1103
    assert peeked > 4_000


def test_28_daily_looks_find_a_difference_as_often_as_the_power_says() -> None:
    # 20,000 experiments; within the bound of 99.9 % around the computed power.
    control, treatment = 0.1, 0.1075
    variance = control * (1.0 - control) + treatment * (1.0 - treatment)
    promised = power(DAILY, alpha=0.05, drift=(treatment - control) / math.sqrt(variance / 14_000))
    statistics = daily_statistics(np.random.default_rng(42), control, treatment)
    limits = boundaries(DAILY, 0.05)
    found = np.count_nonzero((statistics > limits).any(axis=1))
    low, high = stats.binom.interval(0.999, 20_000, promised)
    assert 0.4 < promised < 0.6
    assert low <= found <= high


def daily_statistics(rng: np.random.Generator, control: float, treatment: float) -> NDArray[np.float64]:
    """Return the difference over its standard error, `(experiments, days)`, of 500 users a day in each arm."""
    users = 500 * np.arange(1, 29)
    rates = [rng.binomial(500, rate, (20_000, 28)).cumsum(axis=1) / users for rate in (control, treatment)]
    variances = sum(rate * (1.0 - rate) / (users - 1) for rate in rates)
    statistics: NDArray[np.float64] = (rates[1] - rates[0]) / np.sqrt(variances)
    return statistics


# What makes no sense


@pytest.mark.parametrize(
    "fractions", [(), (0.0, 1.0), (-0.1,), (0.5, 0.5), (0.5, 0.4), (0.5, 1.01), (math.nan,), (0.5, math.nan)]
)
def test_fractions_that_do_not_increase_up_to_1_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"fractions are \(.*they must increase and lie in \(0, 1\]"):
        GroupSequential(fractions)
    with pytest.raises(ValueError, match="they must increase"):
        boundaries(fractions, 0.05)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan])
def test_an_alpha_that_is_no_error_rate_is_refused(alpha: float) -> None:
    for asks in (lambda: critical(DAILY, alpha), lambda: boundaries(DAILY, alpha)):
        with pytest.raises(ValueError, match=r"alpha is .*; it must lie between 0 and 1"):
            asks()


@pytest.mark.parametrize("chance", [0.05, 1.0])
def test_a_power_out_of_range_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match=f"power is {chance}; it must lie between alpha 0.05 and 1"):
        inflation(DAILY, alpha=0.05, power=chance)
