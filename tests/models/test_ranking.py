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
from models.ranking import coverage_at, evaluate, hits_of, ndcg_at, novelty_at, recall_at
from models.recommender import NO_TITLE, FitOptions, FitReport, best_of, top


class Fixed:
    """A fake recommender that looks its scores up by the first item of a history."""

    name = "fixed"
    deterministic = True
    config: Config = PopularityConfig()

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self._scores = scores
        self.items = tuple(f"i{index}" for index in range(scores.shape[1]))
        self.largest_block = 0
        self.blocks = 0

    def fit(self, train: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        raise AssertionError("a fake is not fitted")

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        self.largest_block = max(self.largest_block, histories.shape[0])
        self.blocks += 1
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


def had(*rows: list[int]) -> Interactions:
    """Return training users by the items they have."""
    matrix = ones(*rows)
    users, items = (
        tuple(f"{kind}{number}" for number in range(size)) for kind, size in zip("ui", matrix.shape, strict=True)
    )
    return Interactions(matrix, users, items, np.zeros(matrix.nnz, dtype=np.int64))


def test_coverage_is_the_share_of_items_that_anyone_gets_to_see() -> None:
    ranked = np.array([[0, 1, 2], [1, 3, NO_TITLE]])
    assert coverage_at(1, ranked, 8) == 2 / 8
    assert coverage_at(2, ranked, 8) == 3 / 8
    assert coverage_at(3, ranked, 8) == 4 / 8


def test_popularity_covers_k_items_of_those_nobody_has_seen() -> None:
    scores = np.tile(np.arange(30, 0, -1, dtype=np.float32), (30, 1))
    fold_in, held_out = np.zeros((2, 5, 30), dtype=np.float32)
    fold_in[:, 29] = held_out[:, 0] = 1
    result = evaluate(Fixed(scores), HeldOut(csr_matrix(fold_in), csr_matrix(held_out), tuple("abcde")))
    assert result.coverage_20 == 20 / 30
    assert result.novelty_20 is None


def test_novelty_is_the_self_information_of_what_is_shown() -> None:
    # Of 4 training users, 4 have item 0, 2 item 1 and 1 item 2: 0, 1 and 2 bits. Item 3 nobody has: as if one had.
    train = had([1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0])
    ranked = np.array([[0, 1, 2], [2, NO_TITLE, NO_TITLE], [3, 0, NO_TITLE]])
    np.testing.assert_allclose(novelty_at(3, ranked, train), [1, 2, 1])
    np.testing.assert_allclose(novelty_at(1, ranked, train), [0, 2, 2])


def test_novelty_of_nothing_is_not_a_number() -> None:
    assert np.isnan(novelty_at(2, np.array([[NO_TITLE, NO_TITLE]]), had([1, 1]))).all()


def test_a_perfect_ranker_scores_one_for_every_user() -> None:
    rng = np.random.default_rng(3)
    held_out = np.zeros((20, 150), dtype=np.float32)
    fold_in = np.zeros_like(held_out)
    for row in range(20):
        shown, *to_find = rng.permutation(150)[: rng.integers(2, 149)]
        fold_in[row, shown], held_out[row, to_find] = 1, 1
    oracle = Fixed(np.zeros((150, 150), dtype=np.float32))
    oracle.score = lambda histories: held_out.copy()  # type: ignore[method-assign]
    result = evaluate(oracle, HeldOut(csr_matrix(fold_in), csr_matrix(held_out), tuple(map(str, range(20)))))
    for metric in (result.recall_20, result.recall_50, result.ndcg_100):
        np.testing.assert_allclose(metric, 1)


def test_one_pass_over_the_catalogue_serves_every_measure() -> None:
    train = had([1, 1, 0, 0], [1, 0, 1, 0])
    recommender = Fixed(np.array([[9, 1, 2, 3]], dtype=np.float32))
    result = evaluate(recommender, HeldOut(ones([1, 0, 0, 0]), ones([0, 0, 0, 1]), ("u",)), train=train)
    assert recommender.blocks == 1
    assert result.novelty_20 is not None
    assert result.novelty_20.tolist() == [1.0]
