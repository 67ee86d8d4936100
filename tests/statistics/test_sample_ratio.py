"""Sample ratio: the known answer, the oracle, what is unknown, what alarms, and how often it alarms for nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ab_platform.assignment import arm_ranges, assign_all
from ab_platform.statistics.sample_ratio import sample_ratio


def test_the_published_mismatch_is_found() -> None:
    found = sample_ratio([5180, 4820, 0], [0.5, 0.5, 0.0])
    assert found.chi2 == pytest.approx(12.96)
    assert found.p_value == pytest.approx(0.00032, abs=5e-6)
    assert found.expected == (5000.0, 5000.0, 0.0)
    assert found.alarm
    assert not found.healthy
    assert found.reason == "p is 0.00032, below 0.001; find where users were lost before reading any lift"


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
