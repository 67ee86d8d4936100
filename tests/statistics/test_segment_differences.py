"""Segment differences: statsmodels agrees, one lift is called different as rarely as promised, two lifts are found."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from ab_platform.statistics.segment_differences import Scale, SegmentLift, SegmentTest, differences

NAMES = ("new", "returning", "loyal", "dormant", "other")
Pair = tuple[float, float]

pairs = st.lists(st.tuples(st.floats(-0.9, 3.0), st.floats(1e-4, 1.0)), min_size=2, max_size=5)


def segments(*pairs: Pair) -> list[SegmentLift]:
    return [SegmentLift(name, *pair) for name, pair in zip(NAMES, pairs, strict=False)]


def p_of(found: SegmentTest) -> float:
    assert found.p_value is not None
    return found.p_value


def cancelled(values: NDArray[np.float64], variances: NDArray[np.float64]) -> float:
    """Return what rounding leaves of statsmodels' Q, a difference of two sums of squares."""
    return float(1e-14 * np.sum(values**2 / variances) + 1e-20)


# Known answers and the oracle


def test_two_segments_are_a_z_test_of_their_difference() -> None:
    found = differences(segments((0.10, 0.0004), (0.02, 0.0005)), scale="difference")
    z = 0.08 / math.sqrt(0.0009)
    assert found.q == pytest.approx(z**2)
    assert found.degrees == 1
    assert found.p_value == pytest.approx(2.0 * stats.norm.sf(z))
    assert [each.rest for each in found.each] == pytest.approx([0.02, 0.10])
    assert found.reason is None


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # of its I squared, which is not asked for
@given(drawn=pairs)
def test_on_the_scale_of_differences_q_is_statsmodels(drawn: list[Pair]) -> None:
    found = differences(segments(*drawn), scale="difference")
    lifts, variances = (np.array(column) for column in zip(*drawn, strict=True))
    oracle = combine_effects(lifts, variances)
    assert found.q == pytest.approx(oracle.q, rel=1e-9, abs=cancelled(lifts, variances))
    assert found.p_value == pytest.approx(oracle.test_homogeneity().pvalue, abs=1e-5)
    assert found.degrees == oracle.test_homogeneity().df


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # of its I squared, which is not asked for
@given(drawn=pairs)
def test_on_the_scale_of_ratios_q_is_statsmodels_of_the_logarithms(drawn: list[Pair]) -> None:
    found = differences(segments(*drawn))
    lifts, variances = (np.array(column) for column in zip(*drawn, strict=True))
    logarithms, spreads = np.log(1.0 + lifts), variances / (1.0 + lifts) ** 2
    oracle = combine_effects(logarithms, spreads)
    assert found.q == pytest.approx(oracle.q, rel=1e-9, abs=cancelled(logarithms, spreads))


def test_the_variance_of_the_logarithm_is_the_sum_of_the_arms_relative_variances() -> None:
    # By the delta method Var(lift) = (v_T + r^2 v_C) / C^2, and so Var(log r) = v_T / T^2 + v_C / C^2.
    arms = [(10.0, 0.2, 11.0, 0.3), (4.0, 0.1, 5.0, 0.1)]
    logarithms = [math.log(t / c) for c, _, t, _ in arms]
    variances = [v_t / t**2 + v_c / c**2 for c, v_c, t, v_t in arms]
    z = (logarithms[0] - logarithms[1]) / math.sqrt(sum(variances))
    found = differences(segments(*((t / c - 1.0, (v_t + (t / c) ** 2 * v_c) / c**2) for c, v_c, t, v_t in arms)))
    assert found.q == pytest.approx(z**2)


def test_each_segment_is_compared_with_the_others_and_adjusted_by_holm() -> None:
    drawn = [(0.30, 0.0025), (0.0, 0.0025), (0.02, 0.005)]
    found = differences(segments(*drawn), scale="difference")
    rests = [(0.0 / 0.0025 + 0.02 / 0.005) / 600, (0.30 * 400 + 0.02 * 200) / 600, (0.30 * 400 + 0.0) / 800]
    errors = [math.sqrt(0.0025 + 1 / 600), math.sqrt(0.0025 + 1 / 600), math.sqrt(0.005 + 1 / 800)]
    raw = [
        2.0 * stats.norm.sf(abs(lift - rest) / error)
        for (lift, _), rest, error in zip(drawn, rests, errors, strict=True)
    ]
    assert [each.rest for each in found.each] == pytest.approx(rests)
    assert sorted(raw) == [raw[0], raw[1], raw[2]]
    assert [each.p_value for each in found.each] == pytest.approx([3 * raw[0], 2 * raw[1], raw[2]])


def test_the_rest_is_told_as_a_lift() -> None:
    found = differences(segments((0.5, 0.01), (0.1, 0.01), (0.1, 0.02)))
    assert found.each[0].rest == pytest.approx(0.1)
    assert found.each[0].lift == 0.5


# Laws


@pytest.mark.parametrize("scale", ["ratio", "difference"])
@given(drawn=pairs, data=st.data())
def test_the_order_of_the_segments_does_not_matter(scale: Scale, drawn: list[Pair], data: st.DataObject) -> None:
    given_order = segments(*drawn)
    order = data.draw(st.permutations(given_order))
    found, again = differences(given_order, scale=scale), differences(order, scale=scale)
    assert again.q == pytest.approx(found.q, rel=1e-6, abs=1e-9)
    by_name = {each.segment: each.p_value for each in again.each}
    assert [by_name[each.segment] for each in found.each] == pytest.approx(
        [each.p_value for each in found.each], rel=1e-6, abs=1e-9
    )


@given(lift=st.floats(-0.9, 3.0), variances=st.lists(st.floats(1e-4, 1.0), min_size=2, max_size=5))
def test_equal_lifts_are_no_difference(lift: float, variances: list[float]) -> None:
    found = differences(segments(*((lift, variance) for variance in variances)))
    assert found.q == pytest.approx(0.0, abs=1e-20)
    assert found.p_value == pytest.approx(1.0)


@given(drawn=pairs, unit=st.sampled_from([0.001, 60.0]))
def test_a_difference_does_not_depend_on_the_unit(drawn: list[Pair], unit: float) -> None:
    found = differences(segments(*drawn), scale="difference")
    scaled = differences(
        segments(*((value * unit, variance * unit**2) for value, variance in drawn)), scale="difference"
    )
    assert scaled.q == pytest.approx(found.q, rel=1e-9, abs=1e-12)


# What cannot be compared


@pytest.mark.parametrize("unusable", [(None, None), (0.1, None), (0.1, 0.0), (None, 0.1), (0.1, math.inf)])
def test_a_segment_without_a_standard_error_is_left_out_and_named(unusable: tuple[float | None, float | None]) -> None:
    kept = segments((0.10, 0.0004), (0.02, 0.0005))
    found = differences([kept[0], SegmentLift("tv", *unusable), kept[1]])
    assert (found.q, found.degrees) == (differences(kept).q, 1)
    assert found.reason == "without tv, which have no lift with a standard error"
    assert [each.segment for each in found.each] == ["new", "tv", "returning"]
    assert (found.each[1].rest, found.each[1].p_value) == (None, None)
    assert (
        found.each[1].reason == "no lift with a standard error above 0; the segment needs users in both arms who vary"
    )


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_segments_are_no_test(count: int) -> None:
    found = differences([*segments((0.1, 0.01))[:count], SegmentLift("tv", None, None)])
    assert (found.q, found.degrees, found.p_value) == (None, None, None)
    assert found.reason == (
        f"{count} of {count + 1} segments have a lift with a standard error; at least 2 are required"
    )
    assert {each.p_value for each in found.each} == {None}


def test_lifts_without_a_logarithm_are_compared_as_they_are() -> None:
    drawn = segments((-1.2, 0.01), (0.3, 0.01), (0.2, 0.02))
    found, plain = differences(drawn), differences(drawn, scale="difference")
    assert found == plain
    assert p_of(found) < 1e-6


@pytest.mark.parametrize(
    ("names", "alpha", "scale", "message"),
    [
        (("tv", "tv"), 0.05, "ratio", "segment 'tv' is given twice; each user must be in one segment"),
        (("tv", "web"), 0.0, "ratio", "alpha is 0.0; it must lie between 0 and 1"),
        (("tv", "web"), 0.05, "odds", "scale is 'odds'; it must be one of ratio, difference"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    names: tuple[str, str], alpha: float, scale: Scale, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        differences([SegmentLift(name, 0.1, 0.01) for name in names], alpha=alpha, scale=scale)


# How often it errs, and how often it finds


def simulated(seed: int, lifts: list[float], scale: Scale, repetitions: int) -> list[SegmentTest]:
    """Draw clicks of 4 segments with other baselines and sizes, and test each experiment."""
    rng = np.random.default_rng(seed)
    users, baselines = np.array([400, 1_000, 3_000, 600]), np.array([0.5, 0.3, 0.2, 0.4])
    treated = baselines * (1.0 + np.array(lifts)) if scale == "ratio" else baselines + np.array(lifts)
    control = rng.binomial(users, baselines, size=(repetitions, 4)) / users
    treatment = rng.binomial(users, treated, size=(repetitions, 4)) / users
    noise = [rates * (1.0 - rates) / (users - 1) for rates in (control, treatment)]
    ratio = treatment / control
    values = ratio - 1.0 if scale == "ratio" else treatment - control
    variances = (noise[1] + ratio**2 * noise[0]) / control**2 if scale == "ratio" else noise[0] + noise[1]
    return [
        differences(segments(*zip(lift_row, variance_row, strict=True)), scale=scale)
        for lift_row, variance_row in zip(values.tolist(), variances.tolist(), strict=True)
    ]


@pytest.mark.parametrize(("scale", "size"), [("ratio", 0.0), ("ratio", 0.2), ("difference", 0.05)])
def test_one_lift_in_all_segments_is_called_different_as_rarely_as_promised(scale: Scale, size: float) -> None:
    # Binomial(10000, .05): 99.9 % of the time 430 to 573 have a p-value below .05; at most 573 name any segment.
    found = simulated(61, [size] * 4, scale, 10_000)
    assert stats.binom.interval(0.999, 10_000, 0.05) == (430, 573)
    assert 430 <= sum(p_of(each) < 0.05 for each in found) <= 573
    named = sum(any(one.p_value is not None and one.p_value < 0.05 for one in each.each) for each in found)
    assert 0 < named <= 573


def test_one_ratio_at_other_baselines_is_no_one_difference() -> None:
    # A lift of 20 % adds .1 to a rate of .5 and .04 to one of .2: each scale answers its own question.
    rejected = [p_of(each) < 0.05 for each in simulated(62, [0.1, 0.06, 0.04, 0.08], "difference", 2_000)]
    assert np.mean(rejected) > 0.2


def test_a_segment_that_differs_is_found_and_named() -> None:
    found = simulated(63, [0.0, 0.0, 0.0, 0.4], "ratio", 2_000)
    assert np.mean([p_of(each) < 0.05 for each in found]) > 0.9
    named = [[one.segment for one in each.each if one.p_value is not None and one.p_value < 0.05] for each in found]
    assert np.mean(["dormant" in each for each in named]) > 0.9
