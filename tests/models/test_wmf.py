"""WMF's learning and its fold-in against the criterion of the source, and against the library's own."""

import warnings

import implicit.utils
import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from models import wmf
from models.errors import ModelError
from models.recommender import FitOptions
from models.wmf import Wmf, WmfConfig, fold_in
from tests.models.tastes import two_groups

TRAIN = two_groups()


def some_factors() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((len(TRAIN.items), 5), dtype=np.float32)


def folded(matrix: csr_matrix, factors: NDArray[np.float32], alpha: float, l2: float) -> NDArray[np.float32]:
    return fold_in(matrix, factors, factors.T @ factors, alpha=alpha, l2=l2)


def test_folding_in_is_the_weighted_ridge_regression_of_the_history() -> None:
    factors, alpha, l2 = some_factors().astype(np.float64), 3.0, 2.0
    for wanted, found in zip(
        TRAIN.matrix[:3].toarray(), folded(TRAIN.matrix[:3], some_factors(), alpha, l2), strict=True
    ):
        confidence = np.diag(1 + alpha * wanted)
        gram = factors.T @ confidence @ factors + l2 * np.eye(5)
        np.testing.assert_allclose(found, np.linalg.solve(gram, factors.T @ confidence @ wanted), rtol=1e-4)


def test_folding_in_is_what_the_library_does_with_a_user() -> None:
    with threadpool_limits(1, user_api="blas"):  # or it warns
        model = AlternatingLeastSquares(factors=5, regularization=2.0, alpha=4.0, num_threads=1)
    model.item_factors = some_factors()
    expected = model.recalculate_user(np.arange(len(TRAIN.users)), TRAIN.matrix)
    np.testing.assert_allclose(folded(TRAIN.matrix, some_factors(), 3.0, 2.0), expected, rtol=1e-3, atol=1e-5)


def test_solving_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = folded(TRAIN.matrix, some_factors(), 3.0, 2.0)
    monkeypatch.setattr(wmf, "_SOLVED_AT_ONCE", 7)
    np.testing.assert_array_equal(folded(TRAIN.matrix, some_factors(), 3.0, 2.0), whole)


def test_what_is_learned_leaves_neither_users_nor_items_a_better_place() -> None:
    arm = Wmf(WmfConfig(factors=2, alpha=3.0, l2=2.0, epochs=60))
    arm.fit(TRAIN, None, FitOptions(threads=1))
    items = arm.arrays()["factors"].astype(np.float32)
    users = folded(TRAIN.matrix, items, 3.0, 2.0)
    np.testing.assert_allclose(folded(TRAIN.matrix.T.tocsr(), users, 3.0, 2.0), items, atol=5e-3)


def test_the_number_of_threads_makes_no_difference() -> None:
    one, two = Wmf(WmfConfig(factors=4)), Wmf(WmfConfig(factors=4))
    one.fit(TRAIN, None, FitOptions(threads=1))
    two.fit(TRAIN, None, FitOptions(threads=2))
    np.testing.assert_array_equal(one.arrays()["factors"], two.arrays()["factors"])


def test_each_epoch_is_reported() -> None:
    report = Wmf(WmfConfig(factors=4, epochs=3)).fit(TRAIN, None, FitOptions(threads=1))
    assert [(epoch.epoch, epoch.epochs) for epoch in report.history] == [(1, 3), (2, 3), (3, 3)]


def test_the_library_learns_without_a_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(implicit.utils, "_checked_blas_config", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Wmf(WmfConfig(factors=4)).fit(TRAIN, None, FitOptions())
    assert capsys.readouterr() == ("", "")


def test_a_penalty_that_leaves_no_factors_is_refused() -> None:
    with pytest.raises(ModelError, match=r"with l2 = 200\.0 all factors vanish on these data; lower l2"):
        Wmf(WmfConfig(factors=4, l2=200)).fit(TRAIN, None, FitOptions(threads=1))
