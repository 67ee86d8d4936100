"""How well held-out items are ranked, over the whole catalogue, by the protocol of Liang et al. 2018.

Beside it, what a ranking shows of the catalogue: coverage (M. Ge, C. Delgado-Battenfeld, D. Jannach, "Beyond accuracy:
evaluating recommender systems by coverage and serendipity", RecSys 2010, section 3.1) and novelty (T. Zhou et al.,
"Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 107, 2010, its self-information).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.errors import ModelError
from models.interactions import HeldOut, Interactions, row_numbers
from models.recommender import NO_TITLE, Recommender, top

DEPTH = 100  # titles ranked for each user, as many as NDCG@100 needs
SHOWN = 20  # of these, how many coverage and novelty look at: about what a page shows


@dataclass(frozen=True, eq=False)
class Scores:
    """Offline scores of one recommender.

    Attributes:
        recall_20: Recall@20 of each held-out user, (users,), in [0, 1].
        recall_50: Recall@50, likewise.
        ndcg_100: NDCG@100, likewise.
        coverage_20: the share of the catalogue that is among the first 20 of some user.
        novelty_20: how rare each user's first 20 are, (users,), in bits; None where the training users are not given.
    """

    recall_20: NDArray[np.float64]
    recall_50: NDArray[np.float64]
    ndcg_100: NDArray[np.float64]
    coverage_20: float
    novelty_20: NDArray[np.float64] | None

    @property
    def mean_recall_20(self) -> float:
        """Return the mean Recall@20 over users."""
        return float(self.recall_20.mean())

    @property
    def mean_recall_50(self) -> float:
        """Return the mean Recall@50 over users."""
        return float(self.recall_50.mean())

    @property
    def mean_ndcg_100(self) -> float:
        """Return the mean NDCG@100 over users."""
        return float(self.ndcg_100.mean())

    def means(self) -> Mapping[str, float]:
        """Return the means of the three measures of accuracy by name, as an artifact stores them."""
        return {
            "recall_20": self.mean_recall_20,
            "recall_50": self.mean_recall_50,
            "ndcg_100": self.mean_ndcg_100,
        }


def evaluate(
    recommender: Recommender, held_out: HeldOut, *, train: Interactions | None = None, block_users: int = 1_000
) -> Scores:
    """Rank the whole catalogue for each held-out user, what was folded in left out, and score the ranking.

    The catalogue is ranked once for all measures. Memory is bounded by `block_users` rows of scores.

    Args:
        recommender: fitted or restored.
        held_out: the users to be judged on.
        train: who had what in training, in the same items: novelty is measured against them.
        block_users: how many users are scored at once.

    Raises:
        ModelError: there is no held-out user, or a score is not a number.
    """
    if not held_out.users:
        raise ModelError("there is no held-out user to evaluate on; split off at least one")
    ranked = top(recommender, held_out.fold_in, DEPTH, block_users=block_users)
    hits = hits_of(ranked, held_out.held_out)
    relevant = np.diff(held_out.held_out.indptr)
    return Scores(
        recall_20=recall_at(20, hits, relevant),
        recall_50=recall_at(50, hits, relevant),
        ndcg_100=ndcg_at(DEPTH, hits, relevant),
        coverage_20=coverage_at(SHOWN, ranked, len(recommender.items)),
        novelty_20=None if train is None else novelty_at(SHOWN, ranked, train),
    )


def hits_of(ranked: NDArray[np.int64], held_out: csr_matrix) -> NDArray[np.bool_]:
    """Mark the ranked titles that are held out.

    Args:
        ranked: item indices, (users, ranks), -1 for none.
        held_out: (users, items).

    Returns:
        (users, ranks).
    """
    items = held_out.shape[1]
    wanted = row_numbers(held_out) * items + held_out.indices
    found = np.isin(np.arange(len(ranked))[:, None] * items + ranked, wanted)
    return np.asarray(found & (ranked != NO_TITLE))


def recall_at(k: int, hits: NDArray[np.bool_], relevant: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the hits among the first `k` over `min(k, relevant)`, so that a perfect ranking scores 1.

    Args:
        k: the depth.
        hits: (users, ranks), best first, at least `k` ranks.
        relevant: how many items each user has to find, (users,), above 0.
    """
    return np.asarray(hits[:, :k].sum(axis=1) / np.minimum(k, relevant))


def ndcg_at(k: int, hits: NDArray[np.bool_], relevant: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the discounted gain of the first `k` over that of the ideal ranking, with gain 1 and log2 discount.

    Args:
        k: the depth.
        hits: (users, ranks), best first, at least `k` ranks.
        relevant: how many items each user has to find, (users,), above 0.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(k, relevant) - 1]
    return np.asarray(hits[:, :k] @ discounts / ideal)


def coverage_at(k: int, ranked: NDArray[np.int64], items: int) -> float:
    """Return the share of the catalogue that is among the first `k` of at least one user.

    It grows with the number of users, so compare it on the same users only.

    Args:
        k: the depth.
        ranked: item indices, (users, ranks), best first, -1 for none.
        items: how many there are.
    """
    shown = np.unique(ranked[:, :k])
    return float((shown != NO_TITLE).sum() / items)


def novelty_at(k: int, ranked: NDArray[np.int64], train: Interactions) -> NDArray[np.float64]:
    """Return the mean self-information of each user's first `k`, in bits: 1 for what half of the training users have.

    An item that no training user has counts as if one had it, so that every figure is finite.

    Args:
        k: the depth.
        ranked: item indices, (users, ranks), best first, -1 for none.
        train: who had what in training, in the same items.

    Returns:
        (users,); NaN for a user of whom no item is ranked.
    """
    users, items = train.matrix.shape
    owners = np.bincount(train.matrix.indices, minlength=items)
    bits = np.log2(users / np.maximum(owners, 1))
    there = ranked[:, :k] != NO_TITLE
    counts = there.sum(axis=1)
    sums = np.where(there, bits[ranked[:, :k]], 0.0).sum(axis=1)
    return np.asarray(np.divide(sums, counts, out=np.full(len(ranked), np.nan), where=counts > 0))
