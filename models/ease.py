"""EASE: each item's score is a weighted sum over the history, with one closed-form weight for each pair of items.

H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, arXiv 1905.03375.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import csr_matrix

from models.closed_form import Arrays, ClosedForm, Log, Shapes
from models.config import Config, Search, number
from models.errors import ModelError
from models.interactions import Interactions
from models.memory import require_memory
from models.recommender import FitOptions

_ROWS = 512  # of the weights that are worked on at once
_MOST_THREADS = 4  # that count at once, each with a block of its own


@dataclass(frozen=True, kw_only=True)
class EaseConfig(Config):
    """The settings of EASE.

    Attributes:
        l2: weight of the squared weights, lambda in the source. The default is the source's for MovieLens 20M; it is
            about right for MovieLens 1M too.
    """

    l2: float = number(500.0, above=0, search=Search(10.0, 5000.0, log=True))


class Ease(ClosedForm[EaseConfig]):
    """Recommend by the linear autoencoder whose weights have no diagonal."""

    name = "ease"
    config_type = EaseConfig
    deterministic = True

    def learn(self, interactions: Interactions, options: FitOptions, log: Log) -> Arrays:
        """Return the weights; one array of (items, items) is all that is held at the peak, apart from bounded blocks.

        Raises:
            ModelError: they do not fit in memory, or `l2` is too small for float32.
        """
        items = len(interactions.items)
        threads = min(options.threads or os.cpu_count() or 1, _MOST_THREADS)
        require_memory(
            4 * items * items + 12 * threads * _ROWS * items,  # an entry of a block is an index and a value, then dense
            f"{self.name} over {items:,} items needs",
            "train on a larger machine or on fewer items, or choose plrec",
        )
        return {"weights": weights(interactions.matrix, self.config.l2, threads)}

    def shapes(self, items: int) -> Shapes:
        """Return the shape of the weights."""
        return {"weights": (items, items)}

    def scores(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Return for each item the sum of its weights from the history's items, (users, items)."""
        scores: NDArray[np.float32] = histories @ self._arrays["weights"]
        return scores


def weights(matrix: csr_matrix, l2: float, threads: int) -> NDArray[np.float32]:
    """Return B = I - P diag(1 / diag P) with P = (X'X + l2 I)^-1, equation 8 of the source, (items, items).

    Args:
        matrix: X, (users, items), ones.
        l2: above 0.
        threads: that count pairs of items.

    Raises:
        ModelError: rounding to float32 leaves X'X + l2 I without an inverse.
    """
    array = upper_gram(matrix, threads)
    np.fill_diagonal(array, array.diagonal() + np.float32(l2))
    _invert(array, l2)
    _mirror(array)
    array /= -array.diagonal()
    np.fill_diagonal(array, 0)
    return array


def upper_gram(matrix: csr_matrix, threads: int) -> NDArray[np.float32]:
    """Return the upper triangle of X'X, (items, items); what is below it is left to chance.

    Counted in blocks of rows: as one sparse matrix it would be larger than the dense one.
    """
    by_item = matrix.T.tocsr()
    gram = np.empty((matrix.shape[1], matrix.shape[1]), dtype=np.float32)

    def count(start: int) -> None:
        rows = slice(start, start + _ROWS)
        gram[rows, start:] = (by_item[rows] @ matrix[:, start:]).toarray()

    with ThreadPoolExecutor(threads) as pool:  # scipy's products leave the interpreter to the others
        list(pool.map(count, range(0, len(gram), _ROWS)))
    return gram


def _invert(upper: NDArray[np.float32], l2: float) -> None:
    """Replace the upper triangle by that of the inverse, in place, by Cholesky."""
    # LAPACK goes by columns: to it, the rows of an upper triangle are the columns of a lower one.
    factor, failed = spotrf(upper.T, lower=1, clean=0, overwrite_a=1)
    if not failed:
        inverse, failed = spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise ModelError(
            f"with l2 = {l2} the item counts have no inverse in float32 (row {failed} of {len(upper)}); raise l2"
        )
    assert np.shares_memory(inverse, upper)


def _mirror(upper: NDArray[np.float32]) -> None:
    """Copy the upper triangle to the lower one, in blocks, so that no second array is needed."""
    for start in range(0, len(upper), _ROWS):
        rows = slice(start, start + _ROWS)
        corner = np.triu(upper[rows, rows])
        upper[rows, rows] = corner + np.triu(corner, 1).T
        upper[start + _ROWS :, rows] = upper[rows, start + _ROWS :].T
