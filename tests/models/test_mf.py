"""MF: what the library learned as arrays, and new users by their histories."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.errors import ModelError
from models.interactions import Interactions
from models.mf import Mf, MfConfig, taste
from models.recommender import FitOptions
from tests.models.tastes import ACTION, histories, two_groups

TRAIN = two_groups()
QUICK = MfConfig(factors=4, epochs=20, learning_rate=0.1)


class Trained:
    """A fake of the library whose users are 2.5 times their taste, with a part that no taste explains."""

    def __init__(self, **settings: object) -> None:
        self.item_factors: NDArray[np.float32] = np.empty(0, np.float32)
        self.user_factors: NDArray[np.float32] = np.empty(0, np.float32)

    def fit(self, matrix: csr_matrix, *, show_progress: bool, callback: Callable[..., None]) -> None:
        rng = np.random.default_rng(0)
        self.item_factors = rng.standard_normal((matrix.shape[1], 5), dtype=np.float32)
        tastes = taste(matrix, self.item_factors[:, :4])
        rest = rng.standard_normal(tastes.shape, dtype=np.float32)
        rest -= np.vdot(rest, tastes) / np.vdot(tastes, tastes) * tastes
        self.user_factors = np.hstack([2.5 * tastes + rest, np.ones((len(tastes), 1), np.float32)])


def test_taste_is_how_a_history_differs_from_all_items() -> None:
    factors = np.array([[1, 0], [3, 2], [5, 7]], dtype=np.float32)
    seen = csr_matrix(np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float32))
    np.testing.assert_allclose(taste(seen, factors), [[-1, -2], [2, 4], [-3, -3]])


def test_the_scale_brings_training_users_closest_to_what_they_were_trained_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("implicit.cpu.bpr.BayesianPersonalizedRanking", Trained)
    arm = Mf(QUICK)
    arm.fit(TRAIN, None, FitOptions())
    assert arm.arrays()["scale"].astype(float) == pytest.approx(2.5, rel=1e-4)


def test_a_score_is_the_product_of_the_factors_and_the_bias() -> None:
    arm = Mf(QUICK)
    arm.fit(TRAIN, None, FitOptions())
    arrays = {name: array.astype(np.float64) for name, array in arm.arrays().items()}
    user = arrays["scale"] * (arrays["factors"][:4].mean(axis=0) - arrays["factors"].mean(axis=0))
    expected = arrays["factors"] @ user + arrays["biases"]
    np.testing.assert_allclose(arm.score(histories(ACTION[:4]))[0], expected, rtol=1e-4, atol=1e-5)


def test_one_thread_learns_so_that_a_seed_gives_one_arm() -> None:
    one, many = Mf(QUICK), Mf(QUICK)
    one.fit(TRAIN, None, FitOptions(seed=3, threads=1))
    many.fit(TRAIN, None, FitOptions(seed=3, threads=4))
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(many.arrays()[name], array)


def test_more_and_more_pairs_come_in_the_right_order() -> None:
    report = Mf(QUICK).fit(TRAIN, None, FitOptions())
    ranked = [epoch.losses["ranked"] for epoch in report.history]
    assert len(ranked) == QUICK.epochs
    assert 0.3 < ranked[0] < 0.7 < ranked[-1] <= 1


def test_users_who_have_seen_everything_have_no_taste_but_scores() -> None:
    everything = Interactions.from_rows(["u", "u", "v", "v"], ["a", "b", "a", "b"])
    arm = Mf(QUICK)
    arm.fit(everything, None, FitOptions())
    np.testing.assert_array_equal(arm.score(everything.matrix), np.tile(arm.arrays()["biases"], (2, 1)))


def test_factors_that_diverge_are_refused() -> None:
    with pytest.raises(ModelError, match=r"the factors diverged at a learning rate of 1000000\.0; choose a lower one"):
        Mf(MfConfig(factors=4, learning_rate=1e6, epochs=5)).fit(TRAIN, None, FitOptions())
