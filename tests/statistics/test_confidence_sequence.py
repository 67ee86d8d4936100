"""Confidence sequence: the mixture done by quadrature, the mSPRT, and looks that never find too much in equal arms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from ab_platform.statistics.confidence_sequence import ConfidenceSequence, power, running, tuned
from ab_platform.statistics.lift import Estimate, lift

DAILY = [1_000 * day for day in range(1, 29)]

rhos = st.floats(1e-5, 1.0)
counts = st.integers(2, 10**9)
alphas = st.floats(1e-12, 0.999)
ends = st.floats(-10.0, 10.0)
intervals = st.one_of(st.none(), st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair))))


def critical(rho: float, alpha: float, users: int) -> float:
    return ConfidenceSequence(rho).critical(alpha, users=users, degrees=users - 2.0)


def p_value(rho: float, statistic: float, users: int) -> float:
    return ConfidenceSequence(rho).p_value(statistic, users=users, degrees=users - 2.0)


# The formula


@settings(deadline=None)
@given(rho=st.floats(1e-3, 1.0), users=st.integers(100, 10**6), alpha=st.sampled_from([0.001, 0.05, 0.2]))
def test_the_half_width_is_the_theorems(rho: float, users: int, alpha: float) -> None:
    n = users * rho**2
    theorem = math.sqrt(2.0 * (n + 1.0) / (users * n) * math.log(math.sqrt(n + 1.0) / alpha))
    assert critical(rho, alpha, users) == pytest.approx(math.sqrt(users) * theorem, rel=1e-12)


@pytest.mark.parametrize("statistic", [0.5, 2.0, -3.5, 6.0])
@pytest.mark.parametrize(("rho", "users"), [(0.03, 500), (0.03, 40_000), (0.5, 200)])
def test_the_e_value_is_the_likelihood_ratio_averaged_over_normal_effects(
    rho: float, users: int, statistic: float
) -> None:
    score = statistic * math.sqrt(users)

    def ratio(effect: float) -> float:
        return float(stats.norm.pdf(effect, scale=rho)) * math.exp(effect * score - 0.5 * users * effect**2)

    middle, deviation = score / (users + rho**-2), (users + rho**-2) ** -0.5
    averaged, _ = integrate.quad(ratio, middle - 12 * deviation, middle + 12 * deviation, epsabs=0.0, epsrel=1e-11)
    assert p_value(rho, statistic, users) == pytest.approx(min(1.0, 1.0 / averaged), rel=1e-9)


@pytest.mark.parametrize("difference", [0.01, 0.05, -0.12])
@pytest.mark.parametrize("tau", [0.02, 0.1])
def test_the_msprt_with_a_fixed_tau_is_the_same(tau: float, difference: float) -> None:
    # Johari, Koomen, Pekelis and Walsh: n pairs, V the variance of a pair's difference, an effect N(0, tau^2);
    # Lambda = sqrt(V / (V + n tau^2)) exp(n^2 tau^2 d^2 / (2 V (V + n tau^2))), p = min(1, 1 / Lambda).
    pairs, deviation = 5_000, 1.3
    v = 2.0 * deviation**2
    spread = v + pairs * tau**2
    likelihood = math.sqrt(v / spread) * math.exp(pairs**2 * tau**2 * difference**2 / (2.0 * v * spread))
    statistic = difference / math.sqrt(v / pairs)
    found = p_value(tau / (2.0 * deviation), statistic, 2 * pairs)
    assert found == pytest.approx(min(1.0, 1.0 / likelihood), rel=1e-9)


def test_rho_is_the_papers() -> None:
    # -2 ln .05 = 5.991465, ln 6.991465 = 1.944690: sqrt(7.936155 / 10000).
    assert tuned(10_000, 0.05).rho == pytest.approx(0.0281712, abs=1e-7)


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05, 0.1])
def test_tuned_it_is_within_a_thousandth_of_the_narrowest_at_the_expected_users(alpha: float) -> None:
    # The narrowest has N rho^2 = -W(-alpha^2 / e) - 1, with the lower branch of Lambert's function.
    exactly = -special.lambertw(-(alpha**2) / math.e, k=-1).real - 1.0
    users = 50_000
    narrowest = critical(math.sqrt(exactly / users), alpha, users)
    found = tuned(users, alpha).critical(alpha, users=users, degrees=math.inf)
    assert narrowest <= found <= 1.001 * narrowest
    for other in (0.5, 2.0):
        assert critical(other * tuned(users, alpha).rho, alpha, users) > found


def test_an_adjusted_alpha_keeps_the_rho_of_the_experiment() -> None:
    sequence = tuned(20_000, 0.05)
    assert sequence.critical(0.05 / 3, users=20_000, degrees=1.0) > sequence.critical(0.05, users=20_000, degrees=1.0)
    # Tuned anew it would be narrower there, and no longer the same sequence as at earlier looks.
    anew = tuned(20_000, 0.05 / 3)
    assert anew.critical(0.05 / 3, users=20_000, degrees=1.0) < sequence.critical(0.05 / 3, users=20_000, degrees=1.0)


# p and interval


@settings(deadline=None)
@given(rho=rhos, users=counts, alpha=alphas, nudge=st.integers(-2, 2))
def test_at_the_half_width_p_is_alpha_but_for_rounding(rho: float, users: int, alpha: float, nudge: int) -> None:
    limit = critical(rho, alpha, users)
    exponent = 0.5 * limit**2 / (1.0 + 1.0 / (users * rho**2))
    found = p_value(rho, limit + nudge * math.ulp(limit), users)
    assert found == pytest.approx(alpha, rel=1e-14 * (1.0 + exponent), abs=0.0)


@settings(deadline=None)
@given(rho=rhos, users=counts, alpha=alphas, factor=st.sampled_from([-1e-9, -1e-12, 1e-12, 1e-9, 0.1, -0.1]))
def test_p_is_below_alpha_exactly_beyond_the_half_width(rho: float, users: int, alpha: float, factor: float) -> None:
    # Where p moves by less than its rounding nothing can be said: far out, and next to alpha = 1.
    limit = critical(rho, alpha, users)
    statistic = limit * (1.0 + factor)
    if limit**2 * abs(factor) / (1.0 + 1.0 / (users * rho**2)) > 1e-14 * (1.0 + limit**2):
        assert (p_value(rho, statistic, users) < alpha) is (statistic > limit)


@settings(deadline=None)
@given(rho=rhos, users=counts, alpha=alphas, statistic=st.floats(-50.0, 50.0))
def test_p_and_half_width_agree_at_any_statistic(rho: float, users: int, alpha: float, statistic: float) -> None:
    limit = critical(rho, alpha, users)
    if abs(abs(statistic) / limit - 1.0) > 1e-9:
        assert (p_value(rho, statistic, users) < alpha) is (abs(statistic) > limit)


@pytest.mark.parametrize("users", [2, 10_000, 10**12])
@pytest.mark.parametrize("statistic", [1e6, -1e200, math.inf])
def test_overwhelming_evidence_has_a_tiny_p_above_0(statistic: float, users: int) -> None:
    assert 0.0 < p_value(0.1, statistic, users) < 1e-300


def test_forty_standard_errors_have_a_tiny_p_above_0() -> None:
    assert 0.0 < p_value(0.03, 40.0, 10_000) < 1e-300


@settings(deadline=None)
@given(rho=rhos, users=counts)
def test_no_difference_has_a_p_of_1(rho: float, users: int) -> None:
    assert p_value(rho, 0.0, users) == 1.0


def test_a_lift_is_significant_exactly_when_its_interval_leaves_out_0() -> None:
    control = Estimate(10.0, 0.02, 5_000)
    for value in np.linspace(10.0, 10.8, 41).tolist():
        found = lift(control, Estimate(value, 0.03, 5_000), monitoring=tuned(20_000, 0.05))
        assert found.p_value is not None
        assert found.low is not None
        assert found.high is not None
        assert (found.p_value < 0.05) is not (found.low <= 0.0 <= found.high)


# All looks so far


@settings(deadline=None)
@given(st.lists(intervals, max_size=20))
def test_more_looks_never_widen_what_all_have_in_common(given_intervals: list[tuple[float, float] | None]) -> None:
    found = running(given_intervals)
    assert len(found) == len(given_intervals)
    for look, (each, common) in enumerate(zip(given_intervals, found, strict=True)):
        before = found[look - 1] if look else (-math.inf, math.inf)
        if before is None:
            assert common is None
        elif common is None:
            assert each is not None
            assert max(before[0], each[0]) > min(before[1], each[1])
        else:
            assert before[0] <= common[0] <= common[1] <= before[1]
            assert each is None or each[0] <= common[0] <= common[1] <= each[1]


def test_intervals_that_have_nothing_in_common_say_so_from_there_on() -> None:
    assert running([None, (-1.0, 2.0), (0.0, 3.0), None, (2.5, 4.0), (0.5, 1.0)]) == (
        (-math.inf, math.inf),
        (-1.0, 2.0),
        (0.0, 2.0),
        (0.0, 2.0),
        None,
        None,
    )
    assert running([]) == ()


# Power


def test_the_power_of_one_look_is_the_normals() -> None:
    sequence = tuned(10_000, 0.05)
    limit = sequence.critical(0.05, users=10_000, degrees=math.inf)
    assert power(sequence, [10_000], alpha=0.05, drift=3.0) == pytest.approx(stats.norm.sf(limit - 3.0), rel=1e-9)


def test_the_power_of_two_looks_is_a_plain_integral() -> None:
    sequence = tuned(10_000, 0.05)
    first, second = (sequence.critical(0.05, users=users, degrees=math.inf) for users in (4_000, 10_000))

    def missed(z: float) -> float:
        step = (second - z * math.sqrt(0.4) - 0.6 * 2.5) / math.sqrt(0.6)
        return float(stats.norm.pdf(z - 2.5 * math.sqrt(0.4)) * stats.norm.sf(step))

    later, _ = integrate.quad(missed, -first, first, epsrel=1e-10)
    expected = stats.norm.sf(first - 2.5 * math.sqrt(0.4)) + later
    assert power(sequence, [4_000, 10_000], alpha=0.05, drift=2.5) == pytest.approx(expected, rel=1e-8)


def test_looks_find_more_the_more_there_are() -> None:
    sequence = tuned(28_000, 0.05)
    found = [power(sequence, DAILY[::-step][::-1], alpha=0.05, drift=3.0) for step in (28, 7, 2, 1)]
    assert found == sorted(found)


def test_simulated_experiments_find_as_many_as_the_power_says() -> None:
    # 20,000 experiments with 28 daily looks; the bound of 99.9 % around the computed power.
    sequence = tuned(28_000, 0.05)
    promised = power(sequence, DAILY, alpha=0.05, drift=3.0)
    found = np.count_nonzero((daily_statistics(51, drift=3.0) > limits(sequence)).any(axis=1))
    low, high = stats.binom.interval(0.999, 20_000, promised)
    assert 0.5 < promised < 0.7
    assert low <= found <= high


def test_28_daily_looks_at_equal_arms_find_less_than_alpha() -> None:
    # 20,000 experiments, Binomial(20000, .05): at most 1103 in 99.9 % of the time. The sequence keeps the rest of alpha
    # for looks that these experiments never make: 1.18 % find a difference, of which the bounds are 187 to 288.
    sequence = tuned(28_000, 0.05)
    found = np.count_nonzero((np.abs(daily_statistics(52)) > limits(sequence)).any(axis=1))
    expected = 2.0 * power(sequence, DAILY, alpha=0.05, drift=0.0)
    assert stats.binom.interval(0.999, 20_000, 0.05)[1] == 1103
    assert expected == pytest.approx(0.01179, abs=1e-5)
    assert stats.binom.interval(0.999, 20_000, expected)[0] <= found <= stats.binom.interval(0.999, 20_000, expected)[1]


@pytest.mark.parametrize("expected_users", [500, 5_000, 50_000])
def test_however_it_is_tuned_a_hundred_times_the_looks_find_less_than_alpha(expected_users: int) -> None:
    users = np.unique(np.geomspace(10, 1e7, 600).astype(int)).tolist()
    sequence = tuned(expected_users, 0.05)
    assert 2.0 * power(sequence, users, alpha=0.05, drift=0.0) < 0.05


def daily_statistics(seed: int, drift: float = 0.0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the estimate over its standard error, `(experiments, days)`; the drift is that of the last day."""
    increments = np.random.default_rng(seed).normal(drift / 28.0, math.sqrt(1.0 / 28.0), (20_000, 28))
    return increments.cumsum(axis=1) / np.sqrt(np.arange(1, 29) / 28.0)


def limits(sequence: ConfidenceSequence) -> list[float]:
    return [sequence.critical(0.05, users=users, degrees=math.inf) for users in DAILY]


# What makes no sense


@pytest.mark.parametrize("rho", [0.0, -1.0, math.inf, math.nan])
def test_a_rho_that_is_not_above_0_is_refused(rho: float) -> None:
    with pytest.raises(ValueError, match=r"rho is .*; it must be finite and above 0"):
        ConfidenceSequence(rho)


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_an_alpha_that_is_no_error_rate_is_refused(alpha: float) -> None:
    for asks in (lambda: tuned(100, alpha), lambda: critical(0.1, alpha, 100)):
        with pytest.raises(ValueError, match=r"alpha is .*; it must lie between 0 and 1"):
            asks()


def test_no_users_are_refused() -> None:
    with pytest.raises(ValueError, match="expected_users is 0; it must be at least 1"):
        tuned(0, 0.05)
    with pytest.raises(ValueError, match="users are 0; a look needs at least 1"):
        critical(0.1, 0.05, 0)
    with pytest.raises(ValueError, match="users are 0; a look needs at least 1"):
        p_value(0.1, 2.0, 0)


@pytest.mark.parametrize("looks", [[], [0, 5], [5, 5], [5, 4]])
def test_looks_that_do_not_gain_users_are_refused(looks: list[int]) -> None:
    with pytest.raises(ValueError, match=r"looks are at \(.*each with more than the one before"):
        power(tuned(100, 0.05), looks, alpha=0.05, drift=1.0)
