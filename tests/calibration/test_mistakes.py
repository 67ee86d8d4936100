"""Mistakes of the field about inference: the mistaken formula fails where the platform's does not."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ab_platform.statistics.cuped import Adjusted, Ratio, adjust
from ab_platform.statistics.lift import Estimate, Lift, Method, estimate, lift
from ab_platform.statistics.moments import Moments
from ab_platform.statistics.multiplicity import adjust as adjust_family
from benchmarks.calibration.cell import Claim, Figure
from benchmarks.calibration.cells import all_cells
from benchmarks.calibration.one_look import holds
from benchmarks.calibration.worlds import likes_and_before, normal_estimate

REPETITIONS = 2_000


def figure(held: int) -> Figure:
    """Of 2,000 intervals of 95 %, between 93.3 % and 96.5 % hold the truth."""
    return Figure(all_cells()[0], Claim("coverage", 0.95), held, REPETITIONS)


# CUPED's lift is not the lift of two independent adjusted arms

LIFT = 0.5


def adjusted_experiments() -> list[tuple[Moments, Moments, Adjusted]]:
    """Arms of 400 users whose time before explains nine tenths of the variance; each gains 5 of 10, a lift of +50 %."""
    rng, made = np.random.default_rng(11), []
    for _ in range(REPETITIONS):
        control, treatment = (Moments.of(likes_and_before(rng, 400, factor)) for factor in (1.0, 1.0 + LIFT))
        made.append((control, treatment, adjust(control, treatment, Ratio(0), [Ratio(1)])))
    return made


def residual(moments: Moments, found: Estimate, theta: float) -> Estimate:
    """Give an arm's adjusted value the variance of its own residuals alone, as if nothing tied it to the other arm."""
    (outcome, shared), (_, covariate) = moments.covariance()
    return Estimate(found.value, (outcome - 2.0 * theta * shared + theta**2 * covariate) / moments.n, moments.n)


def test_the_lift_of_adjusted_arms_needs_their_covariance() -> None:
    ours, as_if_independent, residuals_alone = 0, 0, 0
    for control, treatment, found in adjusted_experiments():
        together = (control + treatment).covariance()
        theta = together[0, 1] / together[1, 1]
        arms = [residual(*pair, theta) for pair in ((control, found.control), (treatment, found.treatment))]
        ours += holds(lift(found.control, found.treatment, joint=found.joint), LIFT)
        as_if_independent += holds(lift(found.control, found.treatment), LIFT)
        residuals_alone += holds(lift(*arms), LIFT)
    assert figure(ours).within
    assert figure(as_if_independent).rate > figure(as_if_independent).bound[1], "far too wide"
    assert figure(residuals_alone).rate < figure(residuals_alone).bound[0], "far too narrow"


# A negative baseline


def test_a_negative_baseline_does_not_turn_the_lift_around() -> None:
    rng = np.random.default_rng(12)
    ours_turned, mistaken_turned = 0, 0
    for _ in range(REPETITIONS):
        control, treatment = normal_estimate(rng, -1.0, 5.0, 2_000), normal_estimate(rng, -0.4, 5.0, 2_000)
        found = lift(control, treatment)
        assert found.difference is not None
        assert found.lift is not None
        assert control.value is not None
        assert treatment.value is not None
        ours_turned += found.lift * found.difference < 0.0
        mistaken_turned += (treatment.value / control.value - 1.0) * found.difference < 0.0
    assert ours_turned == 0
    assert mistaken_turned == REPETITIONS


# Two p-values for one row


def noisy_pairs() -> list[tuple[Estimate, Estimate]]:
    rng = np.random.default_rng(13)
    return [(normal_estimate(rng, 1.0, 5.0, 200), normal_estimate(rng, 1.8, 5.0, 1_800)) for _ in range(REPETITIONS)]


def leaves_out_zero(found: Lift) -> bool:
    assert found.low is not None
    assert found.high is not None
    return not found.low <= 0.0 <= found.high


@pytest.mark.parametrize("method", ["fieller", "delta"])
def test_a_row_has_one_p_value_and_it_says_what_the_interval_says(method: Method) -> None:
    found = [lift(*pair, method=method) for pair in noisy_pairs()]
    bounded = [row for row in found if not row.unbounded]
    assert [row for row in bounded if row.p_value is None or (row.p_value < 0.05) != leaves_out_zero(row)] == []
    assert 0 < sum(leaves_out_zero(row) for row in bounded) < len(bounded)


def test_welchs_p_value_beside_the_delta_methods_interval_contradicts_it() -> None:
    disagreeing = 0
    for pair in noisy_pairs():
        welch, interval = lift(*pair).p_value, lift(*pair, method="delta")
        assert welch is not None
        disagreeing += (welch < 0.05) != leaves_out_zero(interval)
    assert disagreeing > REPETITIONS / 100


# A computation that failed


def p_value_or_one(control: NDArray[np.float64], treatment: NDArray[np.float64]) -> float:
    """Call what failed a p-value of 1, as is widely done."""
    error = math.sqrt(control.var(ddof=1) / len(control) + treatment.var(ddof=1) / len(treatment))
    if error == 0.0:
        return 1.0
    statistic = (treatment.mean() - control.mean()) / error
    return float(2.0 * stats.norm.sf(abs(statistic)))


def test_a_failed_computation_has_no_p_value_and_says_why() -> None:
    control, treatment = np.zeros(100), np.ones(100)  # every user of the treatment clicked, and none of the control
    assert p_value_or_one(control, treatment) == 1.0, "the mistake: arms as different as can be, and no effect"
    found = lift(*(estimate(Moments.of(arm[:, None]), 0) for arm in (control, treatment)))
    assert found.difference == 1.0
    assert found.p_value is None
    assert found.low is None
    assert found.reason == "both arms are constant; the standard error is 0"


def test_a_family_counts_a_row_that_failed_and_does_not_call_it_tested() -> None:
    failed, found = adjust_family([None, 0.02], alpha=0.05, method="holm")
    assert failed.p_value is None
    assert found.p_value == 0.04, "twice .02, of two rows"
    assert found.alpha == 0.025
