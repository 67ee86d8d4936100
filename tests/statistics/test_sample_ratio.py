"""Sample ratio: the known answer, the oracle, what is unknown, what alarms, and how often it alarms for nothing."""

import math
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ab_platform.assignment import arm_ranges, assign_all
from ab_platform.statistics.sample_ratio import SampleRatio, e_value, log_e_values, sample_ratio, stratified

splits = st.sampled_from([(0.5, 0.5), (0.9, 0.1), (0.5, 0.3, 0.2)])


def test_the_published_mismatch_is_found() -> None:
    found = sample_ratio([5180, 4820, 0], [0.5, 0.5, 0.0])
    assert found.chi2 == pytest.approx(12.96)
    assert found.p_value == pytest.approx(0.00032, abs=5e-6)
    assert found.expected == (5000.0, 5000.0, 0.0)
    assert found.alarm
    assert not found.healthy
    assert found.reason == "p is 0.00032, below 0.001; find where users were lost before reading any lift"
    assert found.e_value is not None
    assert 1.0 < found.e_value < 1_000.0  # of an experiment that was looked at all the time it is not yet enough


@given(
    arms=st.lists(st.tuples(st.integers(0, 10**6), st.floats(0.05, 1.0)), min_size=2, max_size=5).filter(
        lambda drawn: sum(count for count, _ in drawn) >= 1000
    )
)
def test_the_statistic_is_scipys(arms: list[tuple[int, float]]) -> None:
    counts, weights = [count for count, _ in arms], [weight for _, weight in arms]
    found = sample_ratio(counts, weights)
    oracle = stats.chisquare(counts, np.array(weights) / sum(weights) * sum(counts))
    assert found.chi2 == pytest.approx(oracle.statistic, rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-6, abs=1e-300)


def test_an_arm_of_weight_0_without_users_does_not_count() -> None:
    assert sample_ratio([510, 490, 0], [0.5, 0.5, 0.0]).p_value == sample_ratio([510, 490], [0.5, 0.5]).p_value


def test_an_arm_without_any_user_is_a_mismatch_and_not_left_out() -> None:
    found = sample_ratio([500, 500, 0], [0.4, 0.4, 0.2])
    assert found.chi2 == pytest.approx(250.0)
    assert found.alarm
    assert not found.healthy


def test_users_in_an_arm_of_weight_0_are_an_error_of_their_own() -> None:
    found = sample_ratio([500, 500, 1], [0.5, 0.5, 0.0])
    assert found.p_value == 1.0
    assert found.alarm
    assert found.reason == "arm 2 has weight 0 but 1 users; nobody may be assigned to it"


def test_users_in_an_arm_of_weight_0_alarm_while_the_ratio_is_unknown() -> None:
    found = sample_ratio([0, 0, 3], [0.5, 0.5, 0.0])
    assert found.alarm
    assert found.p_value is None


@pytest.mark.parametrize(
    ("counts", "weights", "reason"),
    [
        ([0, 0], [0.5, 0.5], "no users in any arm of positive weight; the ratio is unknown until there are"),
        ([100, 0], [1.0, 0.0], "1 arm has a positive weight; a ratio needs at least 2"),
        ([99, 1], [0.99, 0.01], "the smallest arm expects 1 users; at least 5 are required"),
    ],
)
def test_what_is_unknown_is_neither_healthy_nor_an_alarm(counts: list[int], weights: list[float], reason: str) -> None:
    found = sample_ratio(counts, weights)
    assert (found.chi2, found.p_value, found.alarm, found.healthy) == (None, None, False, False)
    assert found.reason == reason


def test_a_healthy_ratio_has_no_reason() -> None:
    found = sample_ratio([5040, 4960], [0.5, 0.5])
    assert found.healthy
    assert found.reason is None


def test_weights_may_be_buckets() -> None:
    assert sample_ratio([510, 490], [5000, 5000]).p_value == sample_ratio([510, 490], [0.5, 0.5]).p_value


@pytest.mark.parametrize("traffic", [0.2, 1.0])
def test_a_holdout_or_a_partial_ramp_is_no_mismatch(traffic: float) -> None:
    weights = [0.7, 0.3]
    arms = assign_all(
        [f"user-{number}" for number in range(50_000)],
        layer_salt="layer",
        layer_start=0,
        layer_end=9_000,  # the last tenth is held out
        experiment_salt="home",
        ranges=arm_ranges(weights, traffic),
    )
    found = sample_ratio(np.bincount(arms[arms >= 0], minlength=2).tolist(), weights)
    assert sum(found.counts) < 50_000 * 0.9 * traffic * 1.05
    assert found.healthy


def test_healthy_experiments_alarm_as_rarely_as_promised() -> None:
    # 20,000 experiments, Binomial(20000, .001): 99.9 % of the time 7 to 36 of them alarm.
    rng = np.random.default_rng(20)
    counts = rng.multinomial(6_000, [0.5, 0.3, 0.2], size=20_000).tolist()
    alarms = sum(sample_ratio(each, [0.5, 0.3, 0.2]).alarm for each in counts)
    assert stats.binom.interval(0.999, 20_000, 0.001) == (7, 36)
    assert 7 <= alarms <= 36


@pytest.mark.parametrize(
    ("counts", "weights", "message"),
    [
        ([1, 2], [0.5, 0.3, 0.2], "2 counts and 3 weights; each arm needs one of both"),
        ([1, -2], [0.5, 0.5], r"counts are \[1, -2\]; each must be at least 0"),
        ([1, 2], [0.5, -0.5], r"weights are \[0.5, -0.5\]; each must be finite and at least 0"),
        ([1, 2], [0.0, 0.0], r"weights are \[0.0, 0.0\]; .* one above 0"),
        ([1, 2], [0.5, float("nan")], "each must be finite"),
    ],
)
def test_counts_and_weights_that_make_no_sense_are_refused(
    counts: list[int], weights: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sample_ratio(counts, weights)


# A holdout


def test_users_held_out_would_be_a_mismatch_if_they_were_counted() -> None:
    control, treatment, held_out = 4_960, 5_040, 1_100
    assert sample_ratio([control, treatment], [0.5, 0.5]).healthy
    assert sample_ratio([control + held_out, treatment], [0.5, 0.5]).alarm
    assert sample_ratio([control, treatment, held_out], [0.5, 0.5, 0.0]).alarm


# The e-value


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.2, 0.8)])
@pytest.mark.parametrize(("control", "treatment"), [(0, 1), (7, 3), (40, 0), (300, 500)])
def test_the_e_value_of_two_arms_is_the_ratio_of_scipys_likelihoods(
    control: int, treatment: int, weights: tuple[float, float]
) -> None:
    users, prior = control + treatment, (20.0 * weights[0], 20.0 * weights[1])
    averaged, promised = stats.betabinom.pmf(control, users, *prior), stats.binom.pmf(control, users, weights[0])
    assert e_value([control, treatment], weights, concentration=20.0) == pytest.approx(averaged / promised, rel=1e-9)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.5, 0.3, 0.2)])
def test_the_e_value_is_a_martingale_under_the_weights(weights: tuple[float, ...]) -> None:
    counts = [17, 4, 9][: len(weights)]
    following = [[users + (arm == place) for place, users in enumerate(counts)] for arm in range(len(weights))]
    expected = sum(weight * e_value(after, weights) for weight, after in zip(weights, following, strict=True))
    assert expected == pytest.approx(e_value(counts, weights), rel=1e-9)


def test_no_users_are_no_evidence() -> None:
    assert e_value([0, 0], [0.5, 0.5]) == 1.0
    assert sample_ratio([0, 0], [0.5, 0.5]).e_value is None
    assert sample_ratio([0, 0], [0.5, 0.5]).anytime_p is None


def test_evidence_beyond_the_largest_number_is_the_largest_number() -> None:
    found = sample_ratio([1_000_000, 0], [0.5, 0.5])
    assert found.e_value == e_value([1_000_000, 0], [0.5, 0.5]) == sys.float_info.max
    assert math.isfinite(log_e_values([1_000_000, 0], [0.5, 0.5]).item())
    assert found.anytime_p == 1.0 / sys.float_info.max


def test_less_than_no_evidence_is_an_anytime_p_of_1() -> None:
    found = sample_ratio([5_000, 5_000], [0.5, 0.5])
    assert found.e_value is not None
    assert found.e_value < 1.0
    assert found.anytime_p == 1.0


def test_an_arm_of_weight_0_is_no_part_of_the_evidence() -> None:
    assert e_value([510, 490, 7], [0.5, 0.5, 0.0]) == e_value([510, 490], [5_000, 5_000])


def test_the_e_value_alarms_where_the_arms_are_too_small_for_a_p_value() -> None:
    found = sample_ratio([370, 30], [0.99, 0.01])
    expected = stats.betabinom.pmf(370, 400, 297.0, 3.0) / stats.binom.pmf(370, 400, 0.99)
    assert found.e_value == pytest.approx(expected, rel=1e-9)
    assert found.p_value is None
    assert found.alarm
    assert not found.healthy
    assert found.reason == (
        "the e-value is 4.2e+10, at least 1,000; find where users were lost before reading any lift; "
        "the smallest arm expects 4 users; at least 5 are required"
    )


def test_an_alarm_says_both_when_both_go_off() -> None:
    found = sample_ratio([5_300, 4_700], [0.5, 0.5])
    assert found.reason is not None
    assert found.reason.startswith("p is 2e-09, below 0.001 and the e-value is ")


def test_looked_at_daily_the_p_value_cries_wolf_and_the_e_value_does_not() -> None:
    # 20,000 healthy experiments of 300 users a day, looked at on each of 28 days. Binomial(20000, .001): 99.9 % of the
    # time at most 36 alarm if one in a thousand does. Pearson's alarm at .001 is for one look: some .9 % went off.
    rng, weights = np.random.default_rng(21), np.array([0.5, 0.3, 0.2])
    counts = rng.multinomial(300, weights, size=(20_000, 28)).cumsum(axis=1)
    expected = counts.sum(axis=2, keepdims=True) * weights
    p_values = stats.chi2.sf(((counts - expected) ** 2 / expected).sum(axis=2), 2)
    by_p_value = np.count_nonzero((p_values < 0.001).any(axis=1))
    by_e_value = np.count_nonzero((log_e_values(counts, weights) >= math.log(1_000.0)).any(axis=1))
    assert stats.binom.interval(0.999, 20_000, 0.001)[1] == 36
    assert by_e_value <= 36
    assert 140 <= by_p_value <= 230


def test_lost_users_are_found_by_the_e_value_alone() -> None:
    # One in twenty of the treatment's users is lost; of 2,000 experiments of 28 days all but a few are stopped.
    rng = np.random.default_rng(22)
    counts = rng.multinomial(2_000, [0.5 / 0.975, 0.475 / 0.975], size=(2_000, 28)).cumsum(axis=1)
    found = (log_e_values(counts, [0.5, 0.5]) >= math.log(1_000.0)).any(axis=1)
    assert found.mean() > 0.95


# Phases


def test_one_phase_is_the_plain_ratio() -> None:
    assert stratified([[5180, 4820]], [[0.5, 0.5]]) == sample_ratio([5180, 4820], [0.5, 0.5])


def test_phases_of_the_same_weights_are_one() -> None:
    found, together = (
        stratified([[510, 490], [4_670, 4_330]], [[0.5, 0.5], [5, 5]]),
        sample_ratio([5_180, 4_820], [0.5, 0.5]),
    )
    assert found.chi2 == pytest.approx(together.chi2, rel=1e-12)
    assert (found.counts, found.expected) == (together.counts, together.expected)


def test_two_arms_over_phases_are_a_z_test_of_the_summed_deviation() -> None:
    counts, weights = [[980, 120], [2_600, 2_400]], [[0.9, 0.1], [0.5, 0.5]]
    deviation = (980 - 990) + (2_600 - 2_500)
    z = deviation / math.sqrt(1_100 * 0.9 * 0.1 + 5_000 * 0.25)
    found = stratified(counts, weights)
    assert found.chi2 == pytest.approx(z**2, rel=1e-12)
    assert found.p_value == pytest.approx(2.0 * stats.norm.sf(abs(z)), rel=1e-9)
    assert found.expected == pytest.approx((3_490.0, 2_610.0))
    product = e_value(counts[0], weights[0]) * e_value(counts[1], weights[1])
    assert found.e_value == pytest.approx(product, rel=1e-9)


def test_a_ramp_that_moves_the_weights_is_no_mismatch_though_the_sums_look_like_one() -> None:
    counts = [[9_010, 990], [5_020, 4_980]]
    assert stratified(counts, [[0.9, 0.1], [0.5, 0.5]]).healthy
    assert sample_ratio([14_030, 5_970], [0.5, 0.5]).alarm


def test_an_arm_that_joined_later_is_tested_in_the_phases_it_was_in() -> None:
    weights = [[0.5, 0.5, 0.0], [0.4, 0.4, 0.2]]
    found = stratified([[500, 500, 0], [400, 400, 200]], weights)
    assert found.chi2 == pytest.approx(0.0, abs=1e-20)
    assert found.healthy
    early = stratified([[500, 500, 3], [400, 400, 200]], weights)
    assert early.reason == "arm 2 has weight 0 but 3 users; nobody may be assigned to it"


def test_arms_that_shared_no_phase_cost_a_degree_of_freedom_more() -> None:
    counts, weights = [[530, 470, 0, 0], [0, 0, 240, 260]], [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    found = stratified(counts, weights)
    assert found.chi2 == pytest.approx(3.6 + 0.8)
    assert found.p_value == pytest.approx(stats.chi2.sf(4.4, 2), rel=1e-9)


def test_a_phase_without_users_changes_nothing() -> None:
    ramped = stratified([[0, 0], [5_180, 4_820]], [[0.9, 0.1], [0.5, 0.5]])
    assert ramped.p_value == pytest.approx(sample_ratio([5_180, 4_820], [0.5, 0.5]).p_value, rel=1e-9)
    alone = stratified([[0, 0], [100, 0]], [[0.5, 0.5], [1.0, 0.0]])
    assert (alone.p_value, alone.e_value) == (None, None)
    assert alone.reason == "1 arm has a positive weight; a ratio needs at least 2"


def test_healthy_ramps_alarm_as_rarely_as_promised() -> None:
    # 20,000 experiments, Binomial(20000, .001): 99.9 % of the time 7 to 36 of them alarm.
    rng, weights = np.random.default_rng(23), [[0.9, 0.05, 0.05], [0.5, 0.3, 0.2], [0.2, 0.4, 0.4]]
    users = [400, 600, 2_000]
    counts = np.stack(
        [rng.multinomial(n, shares, size=20_000) for n, shares in zip(users, weights, strict=True)], axis=1
    )
    found = [stratified(each, weights) for each in counts.tolist()]
    assert 7 <= sum(p_of(each) < 0.001 for each in found) <= 36
    # Binomial(20000, .05): 99.9 % of the time 899 to 1103 are below .05.
    assert 899 <= sum(p_of(each) < 0.05 for each in found) <= 1103


def p_of(found: SampleRatio) -> float:
    assert found.p_value is not None
    return found.p_value


# Several tests alike


def test_an_alarm_of_one_in_ten_segments_is_as_rare_as_one_alone() -> None:
    counts = [5_180, 4_820]
    assert sample_ratio(counts, [0.5, 0.5]).alarm
    among_ten = sample_ratio(counts, [0.5, 0.5], tests=10)
    assert (among_ten.alarm, among_ten.healthy, among_ten.reason) == (False, True, None)
    assert among_ten.p_value == sample_ratio(counts, [0.5, 0.5]).p_value
    worse = sample_ratio([5_300, 4_700], [0.5, 0.5], tests=10)
    assert str(worse.reason).startswith("p is 2e-09, below 0.001 / 10 tests and the e-value is ")


@given(shares=splits, data=st.data(), tests=st.integers(1, 20))
def test_it_alarms_exactly_when_one_of_the_two_is_beyond_its_threshold(
    shares: tuple[float, ...], data: st.DataObject, tests: int
) -> None:
    users = [int(2_000 * share) + data.draw(st.integers(-80, 80)) for share in shares]
    found = sample_ratio(users, shares, tests=tests)
    assert found.e_value is not None
    assert found.alarm is (p_of(found) < 0.001 / tests or found.e_value >= 1_000 * tests)
    assert found.e_value == pytest.approx(e_value(users, shares), rel=1e-9)


@pytest.mark.parametrize(
    ("counts", "weights", "tests", "message"),
    [
        ([[1, 2]], [[0.5, 0.5]], 0, "tests is 0; it must be at least 1"),
        ([], [], 1, "0 phases of counts and 0 of weights; each needs both, and there must be one"),
        ([[1, 2]], [], 1, "1 phases of counts and 0 of weights"),
        ([[1, 2], [1, 2, 3]], [[0.5, 0.5], [0.4, 0.3, 0.3]], 1, "phases of 2 and 3 arms; give every arm in each"),
        ([[1, 2], [1, -2]], [[0.5, 0.5]] * 2, 1, r"counts are \[1, -2\]; each must be at least 0"),
    ],
)
def test_phases_that_make_no_sense_are_refused(
    counts: Sequence[Sequence[int]], weights: Sequence[Sequence[float]], tests: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        stratified(counts, weights, tests=tests)


@pytest.mark.parametrize("concentration", [0.0, -1.0, math.inf, math.nan])
def test_a_concentration_that_is_not_above_0_is_refused(concentration: float) -> None:
    with pytest.raises(ValueError, match=r"concentration is .*; it must be above 0, such as 300"):
        e_value([1, 2], [0.5, 0.5], concentration=concentration)
