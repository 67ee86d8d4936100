"""Where a split is uneven: against scipy, against counts made by hand, and against simulated losses."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ab_platform.statistics.split_diagnosis import (
    detectable_loss,
    homogeneity,
    loss_window,
    missing,
    users_to_detect,
)


def test_homogeneity_is_the_chi_squared_of_the_table() -> None:
    table = np.array([[120, 90, 30], [80, 95, 50], [60, 66, 12]])
    found = homogeneity(table)
    oracle = stats.chi2_contingency(table, correction=False)
    assert found.degrees == 4
    assert found.chi2 == pytest.approx(oracle.statistic, rel=1e-12)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-12)


def test_homogeneity_needs_no_share_of_the_weights() -> None:
    assert homogeneity([[900, 100], [450, 50]]).p_value == pytest.approx(1.0)


def test_thin_segments_are_tested_together_and_those_too_thin_even_so_are_left_out() -> None:
    thin = [[3, 2], [2, 4], [4, 1]]
    assert homogeneity([[500, 480], [300, 330], *thin]) == homogeneity([[500, 480], [300, 330], [9, 7]])
    assert homogeneity([[500, 480], [300, 330], [1, 0]]) == homogeneity([[500, 480], [300, 330]])


@pytest.mark.parametrize("table", [[[500, 480]], [[500, 0], [300, 0]], [[1, 1], [2, 1]], [[0, 0], [0, 0]]])
def test_what_cannot_be_compared_is_unknown_with_the_reason(table: list[list[int]]) -> None:
    found = homogeneity(table)
    assert (found.chi2, found.degrees, found.p_value) == (None, None, None)
    assert found.reason


def test_missing_users_are_what_the_other_arms_promise() -> None:
    found = missing(350, 600, share=0.4)
    assert found.users == pytest.approx(50.0)
    assert found.standard_error == pytest.approx(sqrt(400 * (1 + 2 / 3)))
    assert missing(450, 600, share=0.4).users == pytest.approx(-50.0)
    with pytest.raises(ValueError, match=r"share is 1.0; it must be above 0"):
        missing(1, 1, share=1.0)


def test_the_standard_error_of_missing_users_is_that_of_simulated_losses() -> None:
    rng = np.random.default_rng(3)
    before = rng.poisson(400.0, 20_000)
    kept = rng.binomial(before, 0.7)
    others = rng.poisson(600.0, 20_000)
    errors = [missing(int(k), int(o), share=0.4).users - (b - k) for k, o, b in zip(kept, others, before, strict=True)]
    promised = missing(280, 600, share=0.4).standard_error
    # The mean of 20,000 errors is within 4 of its standard errors, their spread within 4 %.
    assert abs(np.mean(errors)) < 4 * promised / sqrt(20_000)
    assert np.std(errors) == pytest.approx(promised, rel=0.04)


def test_the_days_of_a_loss_are_found() -> None:
    users, totals = [50, 49, 20, 22, 18, 51, 50], [100, 100, 70, 72, 68, 100, 101]
    found = loss_window(users, np.array(totals) / 2, totals)
    assert found is not None
    assert (found.start, found.end) == (2, 5)
    c, n = 60, 210
    by_hand = c * np.log(c / (n / 2)) + (n - c) * np.log((n - c) / (n / 2))
    assert found.likelihood_ratio == pytest.approx(by_hand)


def test_no_day_of_too_few_users_is_no_window() -> None:
    assert loss_window([60, 60], [50, 50], [100, 100]) is None
    assert loss_window([0, 0], [0, 0], [0, 0]) is None


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=8))
def test_no_window_is_likelier_than_the_one_found(days: list[tuple[int, int]]) -> None:
    users, others = np.array(days).T
    totals = users + others
    found = loss_window(users, totals / 2, totals)
    ratios = []
    for start in range(len(days)):
        for end in range(start + 1, len(days) + 1):
            c, n = int(users[start:end].sum()), int(totals[start:end].sum())
            if c < n / 2:
                inside = c * np.log(c / (n / 2)) if c else 0.0
                ratios.append(inside + (n - c) * np.log((n - c) / (n / 2)))
    assert (found is None) == (not ratios)
    if found is not None:
        assert found.likelihood_ratio == pytest.approx(max(ratios), abs=1e-9)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.2), (0.5, 0.3, 0.2)])
def test_the_detectable_loss_is_found_with_its_power(shares: tuple[float, ...]) -> None:
    users, draws = 20_000, 4_000
    lost = detectable_loss(users, shares[-1], arms=len(shares))
    assert lost is not None
    left = np.array([*shares[:-1], shares[-1] * (1 - lost)])
    counts = np.random.default_rng(8).multinomial(users, left / left.sum(), draws)
    found = stats.chisquare(counts, users * np.array(shares), axis=1).pvalue < 0.001
    # 4 standard errors of a share of .8 in 4,000 draws are .025.
    assert abs(found.mean() - 0.8) < 0.026


def test_users_to_detect_is_the_inverse() -> None:
    users = users_to_detect(0.5, 0.5, arms=2)
    assert users == 154
    lost, before = detectable_loss(users, 0.5, arms=2), detectable_loss(users - 1, 0.5, arms=2)
    assert lost is not None
    assert before is not None
    assert lost <= 0.5 < before


def test_few_users_would_not_show_the_loss_of_a_whole_arm() -> None:
    assert detectable_loss(10, 0.5, arms=2) is None
    assert detectable_loss(0, 0.5, arms=2) is None
    with pytest.raises(ValueError, match=r"arms are 1"):
        detectable_loss(10, 0.5, arms=1)
