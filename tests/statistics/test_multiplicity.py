"""Multiplicity: statsmodels agrees, raw, adjusted and rejected never disagree, and the error rates hold."""

import math
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from statsmodels.stats.multitest import multipletests

from ab_platform.statistics.multiplicity import Adjusted, Adjustment, adjust

METHODS: tuple[Adjustment, ...] = ("none", "holm", "benjamini_hochberg")
STATSMODELS: dict[Adjustment, str] = {"holm": "holm", "benjamini_hochberg": "fdr_bh"}

REPETITIONS = 20_000

alphas = st.sampled_from([0.01, 0.05, 0.1, 0.3])
# Quotients of alpha by small numbers put p-values right on the levels, where rounding would tell the three apart.
edges = st.builds(lambda alpha, i, m: alpha * i / m, alphas, st.integers(1, 8), st.integers(1, 8))
p_values = st.one_of(st.floats(0.0, 1.0), edges.filter(lambda p: p <= 1.0), st.floats(0.0, 0.02))
families = st.lists(st.one_of(p_values, st.none()), max_size=8)


def rejected(family: Sequence[Adjusted], alpha: float) -> list[bool]:
    return [row.p_value is not None and row.p_value < alpha for row in family]


# Known answers and the oracle


def test_holm_by_hand() -> None:
    found = adjust([0.04, 0.01, 0.03], alpha=0.05, method="holm")
    # .01 < .05/3 is rejected; .03 is not below .05/2, and so neither is .04.
    assert [row.p_value for row in found] == pytest.approx([0.06, 0.03, 0.06])
    assert [row.alpha for row in found] == [0.05 / 2, 0.05 / 3, 0.05 / 2]


def test_benjamini_hochberg_by_hand() -> None:
    found = adjust([0.04, 0.001, 0.03, 0.6], alpha=0.05, method="benjamini_hochberg")
    # .04 is not below .0375 and .03 not below .025: one is rejected, so every interval is of level .05 * 1/4.
    assert [row.p_value for row in found] == pytest.approx([0.16 / 3, 0.004, 0.16 / 3, 0.6])
    assert [row.alpha for row in found] == [0.0125] * 4


@pytest.mark.parametrize("method", ["holm", "benjamini_hochberg"])
@settings(max_examples=25)
@given(family=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12), alpha=alphas)
def test_the_adjusted_p_values_are_statsmodels(method: Adjustment, family: list[float], alpha: float) -> None:
    found = adjust(family, alpha=alpha, method=method)
    with patch("gc.collect"):  # its Holm would collect garbage on every call, a second where much is loaded
        _, expected, _, _ = multipletests(family, alpha=alpha, method=STATSMODELS[method])
    assert [row.p_value for row in found] == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-300)


# Laws


@pytest.mark.parametrize("method", METHODS)
@given(family=families, alpha=alphas)
def test_the_raw_p_value_is_below_the_level_exactly_when_the_adjusted_one_is_below_alpha(
    method: Adjustment, family: list[float | None], alpha: float
) -> None:
    for raw, row in zip(family, adjust(family, alpha=alpha, method=method), strict=True):
        assert (raw is None) is (row.p_value is None)
        if raw is not None and row.p_value is not None:
            assert (raw < row.alpha) is (row.p_value < alpha)
            assert raw <= row.p_value <= 1.0
        assert 0.0 < row.alpha <= alpha


@pytest.mark.parametrize("method", METHODS)
@given(family=families, alpha=alphas, data=st.data())
def test_the_order_of_the_rows_does_not_matter(
    method: Adjustment, family: list[float | None], alpha: float, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(family))))
    found = adjust(family, alpha=alpha, method=method)
    assert adjust([family[i] for i in order], alpha=alpha, method=method) == tuple(found[i] for i in order)


@pytest.mark.parametrize("method", METHODS)
@given(family=families, repeated=p_values, alpha=alphas)
def test_equal_p_values_have_an_equal_fate(
    method: Adjustment, family: list[float | None], repeated: float, alpha: float
) -> None:
    found = adjust([repeated, *family, repeated], alpha=alpha, method=method)
    assert found[0] == found[-1]


@pytest.mark.parametrize("method", METHODS)
@given(family=families, alpha=alphas)
def test_the_adjusted_p_values_are_in_the_order_of_the_raw_ones(
    method: Adjustment, family: list[float | None], alpha: float
) -> None:
    known = sorted(raw for raw in family if raw is not None)
    absent = [None] * (len(family) - len(known))
    found = [row.p_value for row in adjust([*known, *absent], alpha=alpha, method=method)]
    ordered = [adjusted for adjusted in found if adjusted is not None]
    assert ordered == sorted(ordered)


@given(family=families, alpha=alphas)
def test_holm_rejects_no_more_than_benjamini_hochberg(family: list[float | None], alpha: float) -> None:
    holm, hochberg = (rejected(adjust(family, alpha=alpha, method=method), alpha) for method in METHODS[1:])
    assert all(theirs or not ours for ours, theirs in zip(holm, hochberg, strict=True))


@given(p_value=p_values, alpha=alphas)
def test_a_family_of_one_is_as_it_was(p_value: float, alpha: float) -> None:
    for method in METHODS:
        assert adjust([p_value], alpha=alpha, method=method) == (Adjusted(p_value, alpha),)


# Edges


@pytest.mark.parametrize("method", METHODS)
def test_a_p_value_at_its_level_is_not_rejected_and_one_bit_below_is(method: Adjustment) -> None:
    level = 0.05 if method == "none" else 0.05 / 3
    for p_value, expected in ((level, False), (math.nextafter(level, 0.0), True)):
        row = adjust([p_value, 0.9, 0.8], alpha=0.05, method=method)[0]
        assert row.p_value is not None
        assert (row.p_value < 0.05) is (p_value < row.alpha) is expected


@pytest.mark.parametrize("method", ["holm", "benjamini_hochberg"])
def test_a_p_value_that_could_not_be_computed_is_counted_and_stays_absent(method: Adjustment) -> None:
    found = adjust([0.02, None, None], alpha=0.05, method=method)
    assert found == (Adjusted(0.06, 0.05 / 3), *[Adjusted(None, 0.05 / 3)] * 2)


def test_without_adjustment_an_absent_p_value_is_absent_and_the_rest_as_it_was() -> None:
    assert adjust([0.02, None], alpha=0.05, method="none") == (Adjusted(0.02, 0.05), Adjusted(None, 0.05))


@pytest.mark.parametrize("method", METHODS)
def test_no_rows_are_no_rows(method: Adjustment) -> None:
    assert adjust([], alpha=0.05, method=method) == ()


@pytest.mark.parametrize(
    ("p_value", "alpha", "method", "message"),
    [
        (1.5, 0.05, "holm", "p-value is 1.5; it must lie between 0 and 1, or be None"),
        (math.nan, 0.05, "holm", "p-value is nan; it must lie between 0 and 1, or be None"),
        (0.5, 1.0, "holm", "alpha is 1.0; it must lie between 0 and 1"),
        (0.5, 0.05, "bonferroni", "method is 'bonferroni'; it must be one of none, holm, benjamini_hochberg"),
    ],
)
def test_arguments_out_of_range_are_refused(p_value: float, alpha: float, method: Adjustment, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        adjust([p_value], alpha=alpha, method=method)


# Error rates


def p_values_of(statistics: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[list[float]]:
    found: list[list[float]] = (2.0 * special.ndtr(-np.abs(statistics))).tolist()
    return found


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_holm_finds_anything_among_6_true_nulls_as_rarely_as_promised(correlation: float) -> None:
    # Independent rows err in 1 - (1 - .05/6)^6 = 4.90 % of families; Binomial(20000, .0490): 99.9 % of the time 880 to
    # 1081 do. Correlated ones err less often, so of them at most 1103 do, the bound at .05.
    rng = np.random.default_rng(41)
    shared, own = rng.standard_normal((REPETITIONS, 1)), rng.standard_normal((REPETITIONS, 6))
    families = p_values_of(math.sqrt(correlation) * shared + math.sqrt(1.0 - correlation) * own)
    erred = sum(any(rejected(adjust(each, alpha=0.05, method="holm"), 0.05)) for each in families)
    unadjusted = sum(min(each) < 0.05 for each in families)
    exact = 1.0 - (1.0 - 0.05 / 6) ** 6
    assert [int(bound) for bound in stats.binom.interval(0.999, REPETITIONS, exact)] == [880, 1081]
    assert stats.binom.interval(0.999, REPETITIONS, 0.05)[1] == 1103
    assert (880 if correlation == 0.0 else 0) <= erred <= (1081 if correlation == 0.0 else 1103)
    assert unadjusted > 3000


def test_holm_holds_its_promise_beside_rows_that_differ() -> None:
    # Binomial(20000, .05): 99.9 % of the time at most 1103 families hold a false finding.
    rng = np.random.default_rng(42)
    statistics = rng.standard_normal((REPETITIONS, 6)) + np.array([4.0, 3.0, 2.0, 0.0, 0.0, 0.0])
    families = p_values_of(statistics)
    erred = sum(any(rejected(adjust(each, alpha=0.05, method="holm"), 0.05)[3:]) for each in families)
    assert 0 < erred <= 1103


def test_benjamini_hochberg_holds_its_share_of_false_findings_and_of_false_intervals() -> None:
    # 3 of 6 independent rows differ: the expected share of false findings is alpha * 3/6 = .025 (Benjamini and
    # Hochberg, theorem 1); 20,000 families' mean share lies within 3.29 standard errors of it 99.9 % of the time.
    rng = np.random.default_rng(43)
    truth = np.array([4.0, 3.0, 2.0, 0.0, 0.0, 0.0])
    statistics = rng.standard_normal((REPETITIONS, 6)) + truth
    false_findings, false_intervals = np.zeros(REPETITIONS), np.zeros(REPETITIONS)
    for place, p_row in enumerate(p_values_of(statistics)):
        family = adjust(p_row, alpha=0.05, method="benjamini_hochberg")
        chosen = np.array(rejected(family, 0.05))
        half = -special.ndtri(family[0].alpha / 2.0)
        outside = np.abs(statistics[place] - truth) >= half
        false_findings[place] = np.sum(chosen & (truth == 0.0)) / max(1, chosen.sum())
        false_intervals[place] = np.sum(chosen & outside) / max(1, chosen.sum())
    error = false_findings.std() / math.sqrt(REPETITIONS)
    assert false_findings.mean() == pytest.approx(0.025, abs=3.29 * error)
    assert false_intervals.mean() <= 0.05


def test_holms_intervals_agree_with_the_tests_and_do_not_cover_all_at_once() -> None:
    # All 6 rows are rejected, so their levels are .05/6 to .05; 20,000 families tell the share to .0085 (99.9 %).
    rng = np.random.default_rng(44)
    noise = rng.standard_normal((REPETITIONS, 6))
    missed = 0
    for errors, p_row in zip(noise, p_values_of(noise + 6.0), strict=True):
        family = adjust(p_row, alpha=0.05, method="holm")
        missed += any(abs(error) > -special.ndtri(row.alpha / 2.0) for error, row in zip(errors, family, strict=True))
    assert missed / REPETITIONS == pytest.approx(0.16, abs=0.01)
