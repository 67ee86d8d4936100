"""Top lists and their scores, against small cases worked out by hand and against the definitions."""

from collections.abc import Mapping, Sequence
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.config import Config
from models.errors import ModelError
from models.interactions import HeldOut, Interactions
from models.popularity import PopularityConfig
from models.ranking import evaluate, hits_of, ndcg_at, recall_at
from models.recommender import NO_TITLE, FitOptions, FitReport, best_of, top


class Fixed:
    """A fake recommender that looks its scores up by the first item of a history."""

    name = "fixed"
    config: Config = PopularityConfig()

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self._scores = scores
        self.items = tuple(f"i{index}" for index in range(scores.shape[1]))
        self.largest_block = 0

    def fit(self, train: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        raise AssertionError("a fake is not fitted")

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        self.largest_block = max(self.largest_block, histories.shape[0])
        return self._scores[histories.indices[histories.indptr[:-1]]]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {}

    def restore(self, items: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        raise AssertionError("a fake is not restored")


def ones(*rows: list[int]) -> csr_matrix:
    array: NDArray[np.float32] = np.array(rows, dtype=np.float32)
    return csr_matrix(array)


FEW_VALUES = arrays(np.float32, (3, 8), elements=st.sampled_from([-np.inf, 0.0, 1.0, 2.0]))


@given(FEW_VALUES, st.integers(1, 8))
def test_the_best_are_those_of_a_stable_sort(scores: NDArray[np.float32], k: int) -> None:
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    expected = np.where(np.take_along_axis(scores, order, axis=1) > -np.inf, order, NO_TITLE)
    np.testing.assert_array_equal(best_of(scores, k), expected)


def test_a_score_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ModelError, match="a score is not a number"):
        best_of(np.array([[0.0, np.nan]], dtype=np.float32), 1)


def test_seen_and_excluded_titles_are_struck_and_missing_ones_marked() -> None:
    recommender = Fixed(np.array([[9, 1, 2, 3]], dtype=np.float32))
    ranked = top(recommender, ones([1, 0, 0, 0]), 6, exclude=ones([0, 0, 0, 1]))
    assert ranked.tolist() == [[2, 1, NO_TITLE, NO_TITLE, NO_TITLE, NO_TITLE]]


def test_blocks_bound_the_rows_scored_at_once_and_change_nothing() -> None:
    scores = np.random.default_rng(0).random((7, 7), dtype=np.float32)
    histories = csr_matrix(np.eye(7, dtype=np.float32))
    whole, parts = Fixed(scores), Fixed(scores)
    np.testing.assert_array_equal(top(parts, histories, 3, block_users=2), top(whole, histories, 3))
    assert (whole.largest_block, parts.largest_block) == (7, 2)


def test_asking_for_no_title_is_refused() -> None:
    with pytest.raises(ModelError, match="0 titles are asked for; ask for at least 1"):
        top(Fixed(np.ones((1, 2), dtype=np.float32)), ones([1, 0]), 0)


def test_hits_are_ranked_titles_that_are_held_out() -> None:
    ranked = np.array([[2, 0, NO_TITLE], [1, 2, 0]])
    assert hits_of(ranked, ones([0, 0, 1], [1, 0, 1])).tolist() == [[True, False, False], [False, True, True]]


def test_recall_divides_by_what_could_be_found() -> None:
    hits = np.array([[True, False, True, False], [True, True, False, False]])
    np.testing.assert_allclose(recall_at(2, hits, np.array([3, 1])), [1 / 2, 2 / 1])
    np.testing.assert_allclose(recall_at(4, hits, np.array([3, 2])), [2 / 3, 1])


def test_ndcg_discounts_by_rank_and_is_one_for_the_ideal() -> None:
    hits = np.array([[False, True, True], [True, True, False], [False, False, False]])
    relevant = np.array([5, 2, 1])
    first = (1 / log2(3) + 1 / log2(4)) / (1 / log2(2) + 1 / log2(3) + 1 / log2(4))
    np.testing.assert_allclose(ndcg_at(3, hits, relevant), [first, 1, 0])


def test_evaluation_leaves_the_history_out_and_scores_each_user() -> None:
    # User 0 has seen 0 and is to find 3, then ranked first; user 1 has seen 1 and is to find 0 and 2, first and third.
    scores = np.array([[9, 1, 2, 3], [3, 9, 1, 2]], dtype=np.float32)
    held_out = HeldOut(ones([1, 0, 0, 0], [0, 1, 0, 0]), ones([0, 0, 0, 1], [1, 0, 1, 0]), ("u", "v"))
    result = evaluate(Fixed(scores), held_out)
    ideal = 1 + 1 / log2(3)
    np.testing.assert_allclose(result.recall_20, [1, 1])
    np.testing.assert_allclose(result.recall_50, [1, 1])
    np.testing.assert_allclose(result.ndcg_100, [1, (1 + 1 / log2(4)) / ideal])
    assert result.means() == {"recall_20": 1, "recall_50": 1, "ndcg_100": result.mean_ndcg_100}
    assert result.mean_ndcg_100 == pytest.approx(result.ndcg_100.mean())


def test_evaluating_on_nobody_is_refused() -> None:
    empty = csr_matrix(np.zeros((0, 2), dtype=np.float32))
    with pytest.raises(ModelError, match="there is no held-out user"):
        evaluate(Fixed(np.ones((1, 2), dtype=np.float32)), HeldOut(empty, empty, ()))
