"""PLRec: histories are projected on few dimensions, and all items are regressed on the projection.

S. Sedhain, H. Bui, J. Kawale, N. Vlassis, B. Kveton, A. K. Menon, T. Bui, S. Sanner, "Practical Linear Models for
Large-Scale One-Class Collaborative Filtering", IJCAI 2016, where it is called Linear-FLow; PLRec is its name in
G. Wu et al., "Noise Contrastive Estimation for One-Class Collaborative Filtering", SIGIR 2019.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.closed_form import Arrays, ClosedForm, Log, Shapes, interaction_counts
from models.config import Config, Search, number
from models.interactions import Interactions
from models.recommender import FitOptions

_SPARE = 20  # dimensions carried along in the search for the leading ones, and dropped at the end
_ROUNDS = 4


@dataclass(frozen=True, kw_only=True)
class PlrecConfig(Config):
    """The settings of PLRec.

    Attributes:
        rank: dimensions of the projection; no more than there are items.
        l2: weight of the squared regression weights, lambda in the source.
        damping: how much popular items are held back in the projection: each item's column is divided by its
            popularity, as a multiple of the mean, to this power. A. N. Nikolakopoulos et al., "EigenRec", KAIS 2019,
            scale by a power of the column's norm. 0 is the source.
    """

    rank: int = number(200, at_least=1, search=Search(20, 500, log=True))
    l2: float = number(500.0, above=0, search=Search(10.0, 5000.0, log=True))
    damping: float = number(0.2, at_least=0, at_most=1, search=Search(0.0, 0.5))


class Plrec(ClosedForm[PlrecConfig]):
    """Recommend by ridge regression on a projection of the history."""

    name = "plrec"
    config_type = PlrecConfig

    def learn(self, interactions: Interactions, options: FitOptions, log: Log) -> Arrays:
        """Return the projection and the regression on it."""
        matrix = interactions.matrix
        damped = damping(interaction_counts(matrix), self.config.damping)
        scaled = csr_matrix((damped[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)
        chance = np.random.default_rng(options.seed)
        projection = damped[:, None] * leading_directions(scaled, self._rank(matrix.shape[1]), chance)
        return {"projection": projection, "weights": ridge(matrix @ projection, matrix, self.config.l2)}

    def shapes(self, items: int) -> Shapes:
        """Return the shapes of the projection and of the regression on it."""
        rank = self._rank(items)
        return {"projection": (items, rank), "weights": (rank, items)}

    def scores(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Return the regression of every item on the projected history, (users, items)."""
        scores: NDArray[np.float32] = (histories @ self._arrays["projection"]) @ self._arrays["weights"]
        return scores

    def _rank(self, items: int) -> int:
        return min(self.config.rank, items)


def damping(counts: NDArray[np.float32], power: float) -> NDArray[np.float32]:
    """Return what each item's column is multiplied by, (items,); items without interactions count as those with one."""
    seen = np.maximum(counts, 1)
    factors: NDArray[np.float32] = (seen / seen.mean()) ** np.float32(-power)
    return factors


def leading_directions(matrix: csr_matrix, rank: int, chance: np.random.Generator) -> NDArray[np.float32]:
    """Return the leading right singular vectors, the first of the largest value, (items, rank).

    By a randomised subspace that is refined by power iterations: N. Halko, P. G. Martinsson, J. A. Tropp, "Finding
    Structure with Randomness", SIAM Review 53, 2011, algorithm 4.4; then the best directions within it.

    Args:
        matrix: (users, items).
        rank: at most the number of items.
        chance: draws the first subspace.
    """
    items = matrix.shape[1]
    basis = chance.standard_normal((items, min(rank + _SPARE, items)), dtype=np.float32)
    for _ in range(_ROUNDS + 1):
        basis, _ = np.linalg.qr(matrix.T @ (matrix @ basis))
    seen = matrix @ basis  # (users, rank + spare)
    _, directions = np.linalg.eigh(seen.T @ seen)  # ascending
    leading: NDArray[np.float32] = basis @ directions[:, ::-1][:, :rank]
    return leading


def ridge(latent: NDArray[np.float32], matrix: csr_matrix, l2: float) -> NDArray[np.float32]:
    """Return (F'F + l2 I)^-1 F'X for the regression of X on F, (rank, items).

    Args:
        latent: F, (users, rank).
        matrix: X, (users, items).
        l2: above 0.
    """
    gram = (latent.T @ latent).astype(np.float64)
    gram[np.diag_indices_from(gram)] += l2
    solved = scipy.linalg.solve(gram, (matrix.T @ latent).T, assume_a="pos")
    return np.ascontiguousarray(solved, dtype=np.float32)
