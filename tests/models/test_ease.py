"""EASE's weights against the same weights found one item at a time, and what they cost in memory."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models import ease, memory
from models.ease import Ease, EaseConfig, upper_gram, weights
from models.errors import ModelError
from models.interactions import Interactions
from models.recommender import FitOptions


def some_matrix(users: int = 200, items: int = 40) -> csr_matrix:
    rng = np.random.default_rng(0)
    likings = rng.random((users, 3)) @ rng.random((3, items))
    return csr_matrix((rng.random((users, items)) < likings / 6).astype(np.float32))


def regressed(matrix: csr_matrix, l2: float) -> NDArray[np.float64]:
    """Regress each item on all the others, which is what the constraint on the diagonal comes to."""
    dense = matrix.toarray().astype(np.float64)
    found = np.zeros((dense.shape[1], dense.shape[1]))
    for item in range(dense.shape[1]):
        others = np.delete(np.arange(dense.shape[1]), item)
        gram = dense[:, others].T @ dense[:, others] + l2 * np.eye(len(others))
        found[others, item] = np.linalg.solve(gram, dense[:, others].T @ dense[:, item])
    return found


@pytest.mark.parametrize("rows", [7, 512])
@pytest.mark.parametrize("l2", [0.5, 50.0])
def test_each_item_is_the_ridge_regression_on_all_others(rows: int, l2: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "_ROWS", rows)
    np.testing.assert_allclose(weights(some_matrix(), l2, threads=2), regressed(some_matrix(), l2), atol=2e-5)


def test_pairs_of_items_are_counted_exactly_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "_ROWS", 9)
    dense = some_matrix().toarray()
    for threads in (1, 3):
        np.testing.assert_array_equal(np.triu(upper_gram(some_matrix(), threads)), np.triu(dense.T @ dense))


def test_an_item_that_nobody_has_gets_no_weight() -> None:
    matrix = some_matrix().tolil()
    matrix[:, 5] = 0
    found = weights(matrix.tocsr(), 1.0, threads=1)
    assert not found[5].any()
    assert not found[:, 5].any()


def test_scores_are_the_sums_of_the_weights_of_a_history() -> None:
    matrix = some_matrix()
    matrix = matrix[np.diff(matrix.indptr) > 0]
    arm = Ease(EaseConfig(l2=3.0))
    arm.fit(interactions(matrix), None, FitOptions(threads=1))
    expected = matrix.toarray() @ weights(matrix, 3.0, threads=1)
    np.testing.assert_allclose(arm.score(matrix), expected, rtol=1e-5, atol=1e-6)


def test_one_array_of_all_pairs_is_all_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "_ROWS", 32)
    matrix = some_matrix(users=100, items=1_000)
    tracemalloc.start()
    weights(matrix, 10.0, threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 4 * 1_000**2 <= peak < 1.4 * 4 * 1_000**2


def test_weights_that_do_not_fit_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 12_300_000_000)
    items = [f"{item:06d}" for item in range(200_000)]
    train = Interactions.from_codes(np.array([0]), np.array([0]), None, ["user"], items)
    with pytest.raises(ModelError) as error:
        Ease().fit(train, None, FitOptions(threads=1))
    assert str(error.value) == (
        "ease over 200,000 items needs 161.2 GB of memory and 12.3 GB are free; "
        "train on a larger machine or on fewer items, or choose plrec"
    )


def test_a_penalty_that_rounding_swallows_is_refused() -> None:
    alike = csr_matrix(np.ones((300, 30), dtype=np.float32))
    with pytest.raises(ModelError, match=r"with l2 = 1e-06 the item counts have no inverse in float32 .* raise l2"):
        weights(alike, 1e-6, threads=1)


def interactions(matrix: csr_matrix) -> Interactions:
    users, items = (
        [f"{prefix}{number:03d}" for number in range(n)] for prefix, n in zip("ui", matrix.shape, strict=True)
    )
    pairs = matrix.tocoo()
    return Interactions.from_codes(pairs.row, pairs.col, None, users, items)
