"""Moments: the laws of merging, exactness from integer sums, precision far from zero, small counts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from ab_platform.statistics.moments import Moments

finite = st.floats(-1e6, 1e6, allow_subnormal=False)
tables = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12).map(lambda s: (s[0], 2)), elements=finite
)
integers = st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**9)), min_size=0, max_size=12)


def assert_close(one: Moments, other: Moments, *, scale: float = 1e6) -> None:
    assert one.n == other.n
    np.testing.assert_allclose(one.means, other.means, rtol=1e-9, atol=1e-12 * scale)
    np.testing.assert_allclose(one.cross, other.cross, rtol=1e-9, atol=1e-12 * scale**2)


def exact_sums(rows: list[tuple[int, int]], scale: tuple[float, float] = (1.0, 1.0)) -> Moments:
    columns = list(zip(*rows, strict=True)) or [(), ()]
    products = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in columns] for a in columns]
    return Moments.from_exact_sums(len(rows), [sum(column) for column in columns], products, scale=scale)


@given(one=tables, other=tables)
def test_merging_equals_the_moments_of_all_users(one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    assert_close(Moments.of(one) + Moments.of(other), Moments.of(np.concatenate([one, other])))


@given(one=tables, other=tables)
def test_merging_commutes(one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    assert_close(Moments.of(one) + Moments.of(other), Moments.of(other) + Moments.of(one))


@given(one=tables, other=tables, third=tables)
def test_merging_associates(one: NDArray[np.float64], other: NDArray[np.float64], third: NDArray[np.float64]) -> None:
    first, second, last = Moments.of(one), Moments.of(other), Moments.of(third)
    assert_close((first + second) + last, first + (second + last))


@given(values=tables)
def test_no_users_are_the_neutral_element_to_the_last_digit(values: NDArray[np.float64]) -> None:
    moments = Moments.of(values)
    for merged in (moments + Moments.empty(2), Moments.empty(2) + moments):
        assert merged.n == moments.n
        assert np.array_equal(merged.means, moments.means)
        assert np.array_equal(merged.cross, moments.cross)


@given(values=tables.filter(lambda drawn: len(drawn) >= 2))
def test_the_covariance_is_numpys(values: NDArray[np.float64]) -> None:
    expected = np.cov(values, rowvar=False)
    np.testing.assert_allclose(Moments.of(values).covariance(), expected, rtol=1e-9, atol=1e-3)


@given(rows=integers)
def test_exact_sums_give_the_moments_of_the_rows(rows: list[tuple[int, int]]) -> None:
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    assert_close(exact_sums(rows), Moments.of(table), scale=1e12)


def test_a_mean_of_1e9_keeps_its_variance_of_1() -> None:
    values = np.random.default_rng(1).normal(1e9, 1.0, size=(10_000, 1))
    expected = np.var(values - 1e9, ddof=1)
    raw = (np.sum(values**2) - np.sum(values) ** 2 / 10_000) / 9_999
    assert Moments.of(values).covariance()[0, 0] == pytest.approx(expected, rel=1e-9)
    assert abs(raw / expected - 1.0) > 0.5  # what raw sums of squares make of it


def test_rounding_of_the_mean_is_corrected() -> None:
    values = np.random.default_rng(6).normal(1e9, 1.0, size=(300_000, 2))  # numpy adds up one column pairwise
    mean = math.fsum(values[:, 0]) / 300_000
    moments = Moments.of(values)
    assert moments.means[0] == mean
    assert moments.cross[0, 0] == pytest.approx(math.fsum((values[:, 0] - mean) ** 2), rel=1e-12)


def test_merging_keeps_a_variance_of_1_at_a_mean_of_1e9() -> None:
    values = np.random.default_rng(2).normal(1e9, 1.0, size=(10_000, 1))
    merged = sum((Moments.of(part) for part in np.split(values, 100)), start=Moments.empty(1))
    assert merged.covariance()[0, 0] == pytest.approx(np.var(values - 1e9, ddof=1), rel=1e-7)


def test_integer_sums_keep_a_variance_of_1_at_a_mean_of_1e15() -> None:
    rows = [(10**15 + offset, 1) for offset in (-1, 0, 1)]
    assert exact_sums(rows).covariance().tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_the_scale_turns_milliseconds_into_seconds() -> None:
    rows = [(1_500, 1), (2_500, 4), (6_500, 2)]
    seconds = Moments.of([[1.5, 1.0], [2.5, 4.0], [6.5, 2.0]])
    assert_close(exact_sums(rows, (0.001, 1.0)), seconds, scale=1.0)


def test_one_user_has_a_mean_and_no_covariance() -> None:
    moments = Moments.of([[3.0, 4.0]])
    assert moments.means.tolist() == [3.0, 4.0]
    assert moments.cross.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    with pytest.raises(ValueError, match="moments count 1 users; a covariance needs at least 2"):
        moments.covariance()


@pytest.mark.parametrize("moments", [Moments.of(np.empty((0, 2))), exact_sums([]), Moments.empty(2)])
def test_no_users_are_an_empty_moments_however_they_come(moments: Moments) -> None:
    assert moments.n == 0
    assert moments.means.tolist() == [0.0, 0.0]
    assert moments.cross.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_select_takes_columns_in_the_order_asked() -> None:
    values = np.random.default_rng(3).normal(size=(50, 3))
    assert_close(Moments.of(values).select(2, 0), Moments.of(values[:, [2, 0]]), scale=1.0)


def test_the_constant_1_is_a_column_of_ones() -> None:
    values = np.random.default_rng(4).normal(size=(50, 2))
    ones = np.column_stack([values[:, 1], np.ones(50)])
    assert_close(Moments.of(values).select(1, None), Moments.of(ones), scale=1.0)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="hold 2 numbers that are not finite"):
        Moments.of([[1.0, np.nan], [np.inf, 2.0]])


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\); it must be \(users, columns\)"):
        Moments.of([1.0, 2.0, 3.0])


def test_moments_of_other_columns_do_not_merge() -> None:
    with pytest.raises(ValueError, match="moments of 1 and 2 columns"):
        Moments.empty(1) + Moments.empty(2)


@pytest.mark.parametrize(
    ("n", "sums", "products", "message"),
    [
        (2, [3], [[4]], "column 0 has a variance below 0"),
        (0, [3], [[9]], "no users but sums"),
        (2, [3, 1], [[9]], "2 sums with 1 rows of products and 1 scales"),
        (2, [1], [[1, 0]], "1 sums with 1 rows of products"),
    ],
)
def test_sums_that_no_users_could_have_are_refused(
    n: int, sums: list[int], products: list[list[int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Moments.from_exact_sums(n, sums, products, scale=[1.0])


def test_products_given_on_one_side_only_are_refused() -> None:
    with pytest.raises(ValueError, match="products differ above and below the diagonal"):
        Moments.from_exact_sums(2, [1, 1], [[1, 1], [0, 1]], scale=[1.0, 1.0])


def test_a_sum_that_was_rounded_to_a_float_is_refused() -> None:
    with pytest.raises(TypeError, match="float"):
        Moments.from_exact_sums(2, [2.5], [[4]], scale=[1.0])  # type: ignore[list-item]


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="moments count -1 users"):
        Moments(-1, np.zeros(1), np.zeros((1, 1)))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"means \(2,\) and cross-products \(1, 1\)"):
        Moments(1, np.zeros(2), np.zeros((1, 1)))
