"""WMF: matrix factorisation in which every pair counts, those that were seen for more, by alternating least squares.

Y. Hu, Y. Koren, C. Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008. The library
`implicit` learns, by a few conjugate gradient steps for each row: G. Takacs, I. Pilaszy, D. Tikk, "Applications of the
Conjugate Gradient Method for Implicit Feedback Collaborative Filtering", RecSys 2011. All users and items have the same
`l2`; S. Rendle et al., "Revisiting the Performance of iALS on Item Recommendation Benchmarks", RecSys 2022, scale it by
their interactions, which the library does not offer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from models.closed_form import Arrays, ClosedForm, Log, Shapes
from models.config import Config, Search, number
from models.errors import ModelError
from models.interactions import Interactions
from models.recommender import EpochReport, FitOptions

_SOLVED_AT_ONCE = 256  # users, each with a matrix of (factors, factors)
_VANISHED = 1e-3  # of the sum of all squared factors, which is of the order of the items where something was learned


@dataclass(frozen=True, kw_only=True)
class WmfConfig(Config):
    """The settings of weighted matrix factorisation.

    Attributes:
        factors: dimensions of users and items.
        alpha: how much more an interaction counts than its absence: 1 + alpha against 1. The source takes 40 for the
            time that programmes were watched; for ones, 3 did best on MovieLens 1M.
        l2: weight of the squared factors, lambda in the source. Where the data are few, a large one leaves no factors.
        epochs: passes over all users and all items.
    """

    factors: int = number(64, at_least=1, search=Search(32, 256, log=True))
    alpha: float = number(3.0, above=0, search=Search(1.0, 40.0, log=True))
    l2: float = number(30.0, above=0, search=Search(1.0, 300.0, log=True))
    epochs: int = number(15, at_least=1)


class Wmf(ClosedForm[WmfConfig]):
    """Recommend by the product of an item's factors with those that fit the history best."""

    name = "wmf"
    config_type = WmfConfig

    def learn(self, interactions: Interactions, options: FitOptions, log: Log) -> Arrays:
        """Return the items' factors and their products; the users' factors follow from histories.

        Raises:
            ModelError: `l2` is too large for these data.
        """
        from implicit.cpu.als import AlternatingLeastSquares  # here, since an arm is served without the library

        config = self.config

        def report(epoch: int, seconds: float, _loss: None) -> None:
            log(EpochReport(epoch + 1, config.epochs, {}, ndcg=None, seconds=seconds))

        # The library has threads of its own, each of which would start those of BLAS.
        with threadpool_limits(1, user_api="blas"):
            model = AlternatingLeastSquares(
                factors=config.factors,
                regularization=config.l2,
                alpha=1 + config.alpha,
                iterations=config.epochs,
                num_threads=options.threads or 0,  # 0 is all
                random_state=options.seed,
            )
            model.fit(interactions.matrix, show_progress=False, callback=report)
        gram = model.item_factors.T @ model.item_factors
        if np.trace(gram) < _VANISHED:
            raise ModelError(f"with l2 = {config.l2} all factors vanish on these data; lower l2")
        return {"factors": model.item_factors, "gram": gram}

    def shapes(self, items: int) -> Shapes:
        """Return the shapes of the items' factors and of their products."""
        return {"factors": (items, self.config.factors), "gram": (self.config.factors, self.config.factors)}

    def scores(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Return the product of each history's factors with each item's, (users, items)."""
        factors = self._arrays["factors"]
        users = fold_in(histories, factors, self._arrays["gram"], alpha=self.config.alpha, l2=self.config.l2)
        return users @ factors.T


def fold_in(
    histories: csr_matrix, factors: NDArray[np.float32], gram: NDArray[np.float32], *, alpha: float, l2: float
) -> NDArray[np.float32]:
    """Return each history's factors (Y'C_uY + l2 I)^-1 Y'C_u p_u, equation 4 of the source, (users, factors).

    With confidence 1 + alpha in C_u for an item of the history and 1 for the others, Y'C_uY is `gram` and alpha times
    the products of the history's items alone. Memory is bounded by some hundred matrices of (factors, factors).

    Args:
        histories: p_u, (users, items), ones.
        factors: Y, (items, factors).
        gram: Y'Y, (factors, factors).
        alpha: above 0.
        l2: above 0.
    """
    wanted = np.float32(1 + alpha) * (histories @ factors)
    users = np.empty_like(wanted)
    for start in range(0, len(users), _SOLVED_AT_ONCE):
        block = slice(start, start + _SOLVED_AT_ONCE)
        systems = np.float32(alpha) * _grams(histories[block], factors) + gram
        systems += np.float32(l2) * np.eye(len(gram), dtype=np.float32)
        users[block] = np.linalg.solve(systems, wanted[block, :, None])[:, :, 0]
    return users


def _grams(histories: csr_matrix, factors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Y'Y over the items of each history alone, (users, factors, factors)."""
    grams = np.empty((histories.shape[0], factors.shape[1], factors.shape[1]), dtype=np.float32)
    for gram, items in zip(grams, np.split(histories.indices, histories.indptr[1:-1]), strict=True):
        seen = factors[items]
        np.matmul(seen.T, seen, out=gram)
    return grams
