"""Lift: published and golden answers, oracles, and the laws that tie the p-value to the interval."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt  # type: ignore[import-untyped]
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW
from tea_tasting.aggr import Aggregates  # type: ignore[import-untyped]

from ab_platform.statistics.lift import Estimate, Lift, Method, estimate, lift
from ab_platform.statistics.moments import Moments

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "golden" / "lift.json").read_text("utf-8"))[
    "cases"
]
DATA_HOME = os.environ.get("ABP_DATA_HOME", "")
ASOS = Path(DATA_HOME) / "asos" / "asos_digital_experiments_dataset.parquet"

METHODS: tuple[Method, ...] = ("fieller", "delta")

values = st.floats(-1e3, 1e3).filter(lambda value: abs(value) > 1e-3)
errors = st.floats(1e-3, 1e3)
users = st.integers(2, 10_000)
estimates = st.builds(lambda value, error, n: Estimate(value, error**2, n), values, errors, users)
alphas = st.floats(0.001, 0.5)


def from_sums(n: int, total: float, squares: float) -> Estimate:
    mean = total / n
    return Estimate(mean, (squares - n * mean**2) / (n - 1) / n, n)


def golden_lift(case: dict[str, Any], method: Method) -> Lift:
    arms = [
        Moments.from_exact_sums(arm["n"], arm["sums"], arm["products"], scale=arm["scale"])
        for arm in (case["control"], case["treatment"])
    ]
    denominator = 1 if len(arms[0].means) == 2 else None
    control, treatment = (estimate(arm, 0, denominator) for arm in arms)
    return lift(control, treatment, alpha=case["alpha"], method=method)


def number(value: float | None) -> float:
    assert value is not None
    return value


# Known answers


@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])
def test_fieller_gives_the_golden_digits(case: dict[str, Any]) -> None:
    found, expected = golden_lift(case, "fieller"), case["expected"]
    for name in ("difference", "difference_low", "difference_high", "lift", "low", "high", "p_value"):
        assert getattr(found, name) == pytest.approx(expected[name], rel=1e-9), name
    for name, arm in (("control", found.control), ("treatment", found.treatment)):
        assert arm.value == pytest.approx(expected[name], rel=1e-12)
        assert arm.variance == pytest.approx(expected[f"{name}_variance"], rel=1e-9)


@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])
def test_delta_gives_the_golden_digits(case: dict[str, Any]) -> None:
    found, expected = golden_lift(case, "delta"), case["expected"]
    for name in ("low", "high", "p_value"):
        golden = expected[f"delta_{name}"]
        assert getattr(found, name) == (golden if golden is None else pytest.approx(golden, rel=1e-9)), name


def test_the_published_welch_answer_is_met() -> None:
    found = lift(from_sums(1000, 1000.0, 2000.0), from_sums(1000, 1100.0, 2300.0))
    assert found.p_value == pytest.approx(0.0289097, abs=2e-7)
    # The published [.010298, .189702] is the difference's interval over the control, taken as known: it leaves out the
    # control's own noise, which the delta method counts, [.0059, .1941].
    assert number(found.difference_low) / 1.0 == pytest.approx(0.010298, abs=5e-7)
    assert number(found.difference_high) / 1.0 == pytest.approx(0.189702, abs=5e-7)


def test_the_published_delta_answer_is_met() -> None:
    found = lift(from_sums(2507, 1196.87, 37377.9767), from_sums(2461, 1922.7, 94698.29), method="delta")
    assert found.lift == pytest.approx(0.63646, abs=1e-5)
    assert found.low == pytest.approx(-0.0875, abs=1e-4)
    assert found.high == pytest.approx(1.36048, abs=1e-5)
    assert found.p_value == pytest.approx(0.08487, abs=1e-5)


# Oracles


@pytest.mark.parametrize("seed", range(5))
def test_the_difference_is_welchs_of_scipy_and_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    control, treatment = rng.gamma(2.0, 3.0, size=211), rng.gamma(2.1, 3.1, size=97)
    found = lift(*(estimate(Moments.of(arm[:, None]), 0) for arm in (control, treatment)))
    oracle = stats.ttest_ind(treatment, control, equal_var=False)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-9)
    interval = CompareMeans(DescrStatsW(treatment), DescrStatsW(control)).tconfint_diff(usevar="unequal")
    assert (found.difference_low, found.difference_high) == pytest.approx(interval, rel=1e-9)
    assert (found.difference_low, found.difference_high) == pytest.approx(oracle.confidence_interval(0.95), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_ratio_is_tea_tastings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arms = []
    for count, rate in ((400, 0.10), (150, 0.12)):
        impressions = 1 + rng.poisson(6.0, size=count)
        arms.append(np.column_stack([rng.binomial(impressions, rate), impressions]).astype(float))
    found = lift(*(estimate(Moments.of(arm), 0, 1) for arm in arms))
    oracle = tt.RatioOfMeans("clicks", "impressions").analyze_aggregates(*(tea_aggregates(arm) for arm in arms))
    assert found.control.value == pytest.approx(oracle.control, rel=1e-9)
    assert found.lift == pytest.approx(oracle.rel_effect_size, rel=1e-9)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-9)
    assert found.difference_low == pytest.approx(oracle.effect_size_ci_lower, rel=1e-9)
    assert found.difference_high == pytest.approx(oracle.effect_size_ci_upper, rel=1e-9)


def tea_aggregates(arm: np.ndarray[Any, np.dtype[np.float64]]) -> Aggregates:
    covariance = np.cov(arm, rowvar=False)
    return Aggregates(
        count_=len(arm),
        mean_={"clicks": arm[:, 0].mean(), "impressions": arm[:, 1].mean()},
        var_={"clicks": covariance[0, 0], "impressions": covariance[1, 1]},
        cov_={("clicks", "impressions"): covariance[0, 1]},
    )


@pytest.mark.skipif(not DATA_HOME, reason="ABP_DATA_HOME is not set; point it at the folder that holds asos/")
@pytest.mark.parametrize(("metric", "significant", "comparisons"), [(1, 26, 99), (2, 27, 94), (3, 25, 94), (4, 27, 94)])
def test_asos_experiments_are_significant_as_often_as_published(
    metric: int, significant: int, comparisons: int
) -> None:
    if not ASOS.exists():
        pytest.skip("ABP_DATA_HOME holds no asos/asos_digital_experiments_dataset.parquet")
    rows = pd.read_parquet(ASOS).query("metric_id == @metric").dropna()
    last = rows.sort_values("time_since_start").groupby(["experiment_id", "variant_id"]).last()
    p_values = [
        number(lift(Estimate(c, v_c / n_c, int(n_c)), Estimate(t, v_t / n_t, int(n_t))).p_value)
        for n_c, n_t, c, t, v_c, v_t in last[
            ["count_c", "count_t", "mean_c", "mean_t", "variance_c", "variance_t"]
        ].itertuples(index=False)
    ]
    assert (sum(p_value < 0.05 for p_value in p_values), len(p_values)) == (significant, comparisons)


# Laws


@given(control=estimates, treatment=estimates, alpha=alphas, method=st.sampled_from(METHODS))
def test_the_interval_leaves_out_0_exactly_when_p_is_below_alpha(
    control: Estimate, treatment: Estimate, alpha: float, method: Method
) -> None:
    found = lift(control, treatment, alpha=alpha, method=method)
    p_value = number(found.p_value)
    assume(not math.isclose(p_value, alpha, rel_tol=1e-9))
    if not found.unbounded:
        assert (not number(found.low) <= 0.0 <= number(found.high)) is (p_value < alpha)
    if method == "fieller":
        assert (not number(found.difference_low) <= 0.0 <= number(found.difference_high)) is (p_value < alpha)


@given(control=estimates, treatment=estimates, alpha=alphas)
def test_fiellers_ends_are_the_lifts_that_welch_just_rejects(
    control: Estimate, treatment: Estimate, alpha: float
) -> None:
    found = lift(control, treatment, alpha=alpha)
    assume(not found.unbounded)
    c, t, v_c, v_t = map(number, (control.value, treatment.value, control.variance, treatment.variance))
    threshold = (number(found.difference_high) - number(found.difference)) / math.sqrt(v_c + v_t)
    for end in (number(found.low), number(found.high)):
        multiple = 1.0 + end * math.copysign(1.0, c)  # of the control, at this lift
        error = math.sqrt(v_t + multiple**2 * v_c)
        slack = 1e-7 * threshold + 1e-11 * abs(multiple * c) / error
        assert abs(t - multiple * c) / error == pytest.approx(threshold, abs=slack)


@given(control=estimates, treatment=estimates, alpha=alphas, method=st.sampled_from(METHODS))
def test_the_interval_holds_the_lift(control: Estimate, treatment: Estimate, alpha: float, method: Method) -> None:
    found = lift(control, treatment, alpha=alpha, method=method)
    assume(not found.unbounded)
    slack = 1e-9 * (1.0 + abs(number(found.lift)))
    assert number(found.low) <= number(found.lift) + slack
    assert number(found.high) >= number(found.lift) - slack


@given(control=estimates, treatment=estimates, method=st.sampled_from(METHODS))
def test_turning_both_arms_upside_down_turns_the_lift(control: Estimate, treatment: Estimate, method: Method) -> None:
    found = lift(control, treatment, method=method)
    turned = lift(*(replace(arm, value=-number(arm.value)) for arm in (control, treatment)), method=method)
    assert turned.lift == -number(found.lift)
    assert turned.p_value == found.p_value
    assert turned.unbounded is found.unbounded
    if not found.unbounded:
        assert (turned.low, turned.high) == (-number(found.high), -number(found.low))


@given(control=estimates, treatment=estimates, unit=st.sampled_from([0.001, 60.0, 1e6]))
def test_the_lift_does_not_depend_on_the_unit(control: Estimate, treatment: Estimate, unit: float) -> None:
    def in_unit(arm: Estimate) -> Estimate:
        return Estimate(number(arm.value) * unit, number(arm.variance) * unit**2, arm.n)

    found, scaled = lift(control, treatment), lift(in_unit(control), in_unit(treatment))
    assume(found.unbounded is scaled.unbounded)
    assert scaled.p_value == pytest.approx(found.p_value, rel=1e-6, abs=1e-300)
    if not found.unbounded and number(found.high) < 1e6:
        assert (scaled.low, scaled.high) == pytest.approx((found.low, found.high), rel=1e-5, abs=1e-9)


# Baselines below and near zero


@pytest.mark.parametrize("method", METHODS)
def test_more_is_a_lift_above_0_when_the_baseline_is_negative(method: Method) -> None:
    found = lift(Estimate(-10.0, 0.01, 500), Estimate(-8.0, 0.01, 500), method=method)
    assert found.lift == pytest.approx(0.2)
    assert 0.0 < number(found.low) < 0.2 < number(found.high)


def test_a_control_that_may_be_0_has_no_bounded_lift_and_still_a_p_value() -> None:
    found = lift(Estimate(0.5, 0.09, 500), Estimate(2.5, 0.09, 500))
    assert found.unbounded
    assert (found.low, found.high) == (None, None)
    assert found.lift == 4.0
    assert number(found.p_value) < 0.05
    assert number(found.difference_low) > 0.0
    assert "control mean is 0.5 with standard error 0.3, so g is 1.39" in str(found.reason)


def test_a_control_of_0_has_a_difference_and_no_lift() -> None:
    found = lift(Estimate(0.0, 0.01, 500), Estimate(1.0, 0.01, 500))
    assert (found.lift, found.low, found.high, found.unbounded) == (None, None, None, False)
    assert found.reason == "control mean is 0; a relative lift needs a non-zero baseline"
    assert number(found.difference_low) > 0.0
    assert number(found.p_value) < 0.05


# Absent numbers have a reason


@pytest.mark.parametrize(
    ("control", "treatment", "reason"),
    [
        (Estimate(None, None, 0), Estimate(1.0, 0.1, 9), "control has 0 users; at least 2 are required"),
        (Estimate(1.0, None, 1), Estimate(1.0, 0.1, 9), "control has 1 user; at least 2 are required"),
        (Estimate(1.0, 0.1, 9), Estimate(1.0, None, 1), "treatment has 1 user; at least 2 are required"),
        (
            Estimate(1.0, 0.1, 9),
            Estimate(None, None, 9),
            "treatment has a denominator of 0; a ratio needs a non-zero one",
        ),
        (Estimate(1.0, 0.0, 9), Estimate(2.0, 0.0, 9), "both arms are constant; the standard error is 0"),
    ],
)
def test_what_could_not_be_computed_is_absent_with_its_reason(
    control: Estimate, treatment: Estimate, reason: str
) -> None:
    found = lift(control, treatment)
    assert found.reason == reason
    assert (found.low, found.high, found.p_value, found.difference_low, found.difference_high) == (None,) * 5


def test_points_that_need_no_variance_stay() -> None:
    found = lift(Estimate(2.0, None, 1), Estimate(3.0, 0.1, 9))
    assert (found.difference, found.lift) == (1.0, 0.5)


def test_identical_constant_arms_are_not_called_no_effect() -> None:
    constant = estimate(Moments.of(np.full((1000, 1), 0.1)), 0)
    assert constant.variance == 0.0
    assert lift(constant, constant).p_value is None


def test_a_constant_ratio_has_a_variance_of_exactly_0() -> None:
    impressions = np.random.default_rng(5).integers(1, 50, size=1000).astype(float)
    found = estimate(Moments.of(np.column_stack([0.3 * impressions, impressions])), 0, 1)
    assert found.value == pytest.approx(0.3)
    assert found.variance == 0.0


def test_one_constant_arm_is_compared_all_the_same() -> None:
    found = lift(Estimate(1.0, 0.0, 50), Estimate(1.5, 0.01, 50))
    half = stats.t.isf(0.025, 49) * 0.1
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-12)


def test_a_treatment_constantly_0_has_no_delta_interval_and_says_so() -> None:
    found = lift(Estimate(2.0, 0.01, 50), Estimate(0.0, 0.0, 50), method="delta")
    assert (found.low, found.high, found.p_value) == (None, None, None)
    assert "standard error is 0" in str(found.reason)


def test_a_ratio_without_any_denominator_has_no_value() -> None:
    assert estimate(Moments.of(np.zeros((10, 2))), 0, 1) == Estimate(None, None, 10)


def test_a_p_value_keeps_its_digits_in_the_far_tail() -> None:
    found = lift(Estimate(1.0, 1e-4, 10**6), Estimate(1.3, 1e-4, 10**6))
    assert found.p_value == pytest.approx(2.0 * stats.t.sf(0.3 / math.sqrt(2e-4), 2 * 10**6 - 2), rel=1e-9)
    assert 0.0 < number(found.p_value) < 1e-90


# Refusals


@pytest.mark.parametrize("alpha", [0.0, 1.0, 1.5, math.nan])
def test_an_alpha_outside_0_and_1_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha is .*; it must lie between 0 and 1"):
        lift(Estimate(1.0, 0.1, 9), Estimate(1.0, 0.1, 9), alpha=alpha)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="method is 'bayes'; it must be one of fieller, delta"):
        lift(Estimate(1.0, 0.1, 9), Estimate(1.0, 0.1, 9), method="bayes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "variance", "n"),
    [(1.0, -0.1, 9), (1.0, math.nan, 9), (math.nan, 0.1, 9), (1.0, None, 9), (None, 0.1, 9), (1.0, 0.1, 1)],
)
def test_an_estimate_that_does_not_fit_together_is_refused(value: float | None, variance: float | None, n: int) -> None:
    with pytest.raises(ValueError, match=r"value|variance"):
        Estimate(value, variance, n)
