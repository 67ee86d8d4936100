"""What all arms of a few arrays share."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_info

from models.closed_form import Arrays, ClosedForm, Log, Shapes
from models.config import Config
from models.ease import Ease
from models.errors import ModelError
from models.interactions import Interactions
from models.popularity import Popularity
from models.recommender import EpochReport, FitOptions
from tests.models.tastes import ACTION, DRAMA, histories, two_groups

TRAIN = two_groups()


class Probe(ClosedForm[Config]):
    """An arm of two epochs that notes how many threads BLAS may use."""

    name = "probe"
    config_type = Config
    threads: int

    def learn(self, interactions: Interactions, options: FitOptions, log: Log) -> Arrays:
        self.threads = blas_threads()
        for epoch in (1, 2):
            log(EpochReport(epoch, 2, {"loss": 1 / epoch}, ndcg=None, seconds=0.0))
        return {}

    def shapes(self, items: int) -> Shapes:
        return {}

    def scores(self, histories: csr_matrix) -> NDArray[np.float32]:
        return np.zeros(histories.shape, dtype=np.float32)


def blas_threads() -> int:
    return max(int(library["num_threads"]) for library in threadpool_info() if library["user_api"] == "blas")


def counts() -> NDArray[np.float32]:
    return np.asarray(TRAIN.matrix.sum(axis=0), dtype=np.float32).ravel()


def test_only_an_empty_history_is_scored_by_popularity() -> None:
    arm = Ease()
    arm.fit(TRAIN, None, FitOptions(threads=1))
    together = arm.score(histories(ACTION[:3], (), DRAMA[:3]))
    np.testing.assert_array_equal(together[1], counts())
    np.testing.assert_array_equal(together[[0]], arm.score(histories(ACTION[:3])))
    np.testing.assert_array_equal(together[[2]], arm.score(histories(DRAMA[:3])))


def test_scores_are_fresh_so_that_striking_some_spoils_nothing() -> None:
    arm = Popularity()
    arm.fit(TRAIN, None, FitOptions())
    arm.score(histories(ACTION[:3], ()))[:] = -np.inf
    np.testing.assert_array_equal(arm.score(histories(())), [counts()])


def test_epochs_are_reported_as_they_end_and_in_the_report() -> None:
    heard: list[EpochReport] = []
    report = Probe().fit(TRAIN, None, FitOptions(on_epoch=heard.append))
    assert [epoch.epoch for epoch in heard] == [1, 2]
    assert report.history == tuple(heard)
    assert report.best_epoch == report.epochs_run == 2


def test_an_arm_without_epochs_reports_none() -> None:
    report = Popularity().fit(TRAIN, None, FitOptions())
    assert (report.best_epoch, report.epochs_run, report.history) == (0, 0, ())


def test_blas_keeps_to_the_threads_asked_for_and_has_its_own_again_afterwards() -> None:
    before, arm = blas_threads(), Probe()
    arm.fit(TRAIN, None, FitOptions(threads=1))
    assert (arm.threads, blas_threads()) == (1, before)
    arm.fit(TRAIN, None, FitOptions(threads=None))
    assert arm.threads == before


def test_nothing_to_save_before_a_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="popularity is not fitted; call fit, or load an artifact"):
        Popularity().arrays()


@pytest.mark.parametrize(
    "arrays",
    [
        {"weights": np.zeros((2, 2), np.float32)},
        {"counts": np.zeros(2, np.float32), "weights": np.zeros((2, 3), np.float32)},
        {"counts": np.zeros(2, np.float32), "weights": np.zeros((2, 2), np.float32), "more": np.zeros(1, np.float32)},
    ],
)
def test_arrays_that_are_not_those_of_the_arm_are_refused(arrays: Mapping[str, NDArray[np.generic]]) -> None:
    with pytest.raises(ModelError, match=r"ease over 2 items needs \{'counts': \(2,\), 'weights': \(2, 2\)\}"):
        Ease().restore(["a", "b"], arrays)
