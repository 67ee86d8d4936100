"""PLRec against its formulas written densely."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.plrec import Plrec, PlrecConfig, damping, leading_directions, ridge
from models.recommender import FitOptions
from tests.models.tastes import ITEMS, two_groups

TRAIN = two_groups()


def some_matrix() -> csr_matrix:
    rng = np.random.default_rng(0)
    likings = rng.random((300, 4)) ** 3 @ rng.random((4, 60)) ** 3
    return csr_matrix((rng.random((300, 60)) < likings).astype(np.float32))


def test_the_leading_directions_are_those_of_the_singular_value_decomposition() -> None:
    matrix = some_matrix()
    found = leading_directions(matrix, 4, np.random.default_rng(0))
    _, values, rows = np.linalg.svd(matrix.toarray().astype(np.float64))
    np.testing.assert_allclose(found.T @ found, np.eye(4), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(matrix @ found, axis=0), values[:4], rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(found.T * rows[:4], axis=1)), 1, atol=1e-2)


def test_ridge_minimises_the_error_and_the_penalty() -> None:
    matrix, latent = some_matrix(), np.random.default_rng(0).standard_normal((300, 5), dtype=np.float32)
    found = ridge(latent, matrix, 7.0)
    slope = latent.T @ (latent @ found - matrix.toarray()) + 7.0 * found
    np.testing.assert_allclose(slope, 0, atol=1e-3)


def test_popular_items_are_held_back_by_the_power_of_their_popularity() -> None:
    counts = np.array([16, 0, 1, 6], dtype=np.float32)
    np.testing.assert_allclose(damping(counts, 0.5), np.sqrt([6 / 16, 6, 6, 1]), rtol=1e-6)
    np.testing.assert_array_equal(damping(counts, 0.0), np.ones(4))


@pytest.mark.parametrize("power", [0.0, 0.4])
def test_on_all_directions_it_is_the_regression_on_the_damped_history(power: float) -> None:
    arm = Plrec(PlrecConfig(rank=len(ITEMS), l2=3.0, damping=power))
    arm.fit(TRAIN, None, FitOptions(threads=1))
    np.testing.assert_allclose(arm.score(TRAIN.matrix), expected(power), atol=1e-4)


def expected(power: float) -> NDArray[np.float64]:
    dense = TRAIN.matrix.toarray().astype(np.float64)
    damped = dense * (dense.sum(axis=0) / dense.sum(axis=0).mean()) ** -power
    weights = np.linalg.solve(damped.T @ damped + 3.0 * np.eye(len(ITEMS)), damped.T @ dense)
    scores: NDArray[np.float64] = damped @ weights
    return scores


def test_a_rank_above_the_number_of_items_is_that_number() -> None:
    arm = Plrec(PlrecConfig(rank=500))
    arm.fit(TRAIN, None, FitOptions(threads=1))
    assert arm.arrays()["projection"].shape == (len(ITEMS), len(ITEMS))
    Plrec(PlrecConfig(rank=500)).restore(ITEMS, arm.arrays())
