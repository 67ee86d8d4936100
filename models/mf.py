"""MF: matrix factorisation that ranks what a user has seen above what not, by stochastic gradient.

S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme, "BPR: Bayesian Personalized Ranking from Implicit Feedback",
UAI 2009. The library `implicit` learns; it draws the item not seen by popularity where the source draws all alike, and
gives items a bias.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.closed_form import Arrays, ClosedForm, Log, Shapes
from models.config import Config, Search, number
from models.errors import ModelError
from models.interactions import Interactions
from models.recommender import EpochReport, FitOptions

if TYPE_CHECKING:
    from implicit.cpu.bpr import BayesianPersonalizedRanking


@dataclass(frozen=True, kw_only=True)
class MfConfig(Config):
    """The settings of matrix factorisation by Bayesian personalised ranking.

    Attributes:
        factors: dimensions of users and items.
        learning_rate: of stochastic gradient descent.
        l2: weight of the squared factors, lambda in the source.
        epochs: passes of as many pairs as there are interactions.
    """

    factors: int = number(64, at_least=1, search=Search(16, 256, log=True))
    learning_rate: float = number(0.01, above=0, search=Search(0.003, 0.1, log=True))
    l2: float = number(0.005, at_least=0, search=Search(0.0005, 0.05, log=True))
    epochs: int = number(100, at_least=1, search=Search(30, 300, log=True))


class Mf(ClosedForm[MfConfig]):
    """Recommend by the product of an item's factors with the history's, and the item's bias."""

    name = "mf"
    config_type = MfConfig

    def learn(self, interactions: Interactions, options: FitOptions, log: Log) -> Arrays:
        """Return the items' factors and biases, and the scale of a history's factors.

        One thread learns, whatever the options say: several would overwrite each other's steps, and the same seed
        would not give the same arm.

        Raises:
            ModelError: the factors diverged.
        """
        model = self._fitted_model(interactions.matrix, options.seed, log)
        # The library keeps an item's bias as one more factor, which is 1 for all users.
        factors, biases = (np.ascontiguousarray(part) for part in np.split(model.item_factors, [-1], axis=1))
        users, tastes = model.user_factors[:, :-1], taste(interactions.matrix, factors)
        # Where all histories are alike none has a taste, and the biases are all there is.
        scale = np.vdot(users, tastes) / max(np.vdot(tastes, tastes), np.finfo(np.float32).tiny)
        return {"factors": factors, "biases": biases[:, 0], "scale": np.array([scale], dtype=np.float32)}

    def shapes(self, items: int) -> Shapes:
        """Return the shapes of the items' factors and biases, and of the scale."""
        return {"factors": (items, self.config.factors), "biases": (items,), "scale": (1,)}

    def scores(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Return the product of each history's factors with each item's, and the item's bias, (users, items)."""
        factors = self._arrays["factors"]
        users: NDArray[np.float32] = self._arrays["scale"] * taste(histories, factors)
        scores = users @ factors.T
        scores += self._arrays["biases"]
        return scores

    def _fitted_model(self, matrix: csr_matrix, seed: int, log: Log) -> "BayesianPersonalizedRanking":
        from implicit.cpu.bpr import BayesianPersonalizedRanking
        from implicit.recommender_base import ModelFitError  # here, since an arm is served without the library

        config = self.config

        def report(epoch: int, seconds: float, correct: int, skipped: int) -> None:
            ranked = correct / max(matrix.nnz - skipped, 1)  # the share of pairs that were in the right order
            log(EpochReport(epoch + 1, config.epochs, {"ranked": ranked}, ndcg=None, seconds=seconds))

        model = BayesianPersonalizedRanking(
            factors=config.factors,
            learning_rate=config.learning_rate,
            regularization=config.l2,
            iterations=config.epochs,
            num_threads=1,
            random_state=seed,
        )
        try:
            model.fit(matrix, show_progress=False, callback=report)
        except ModelFitError as error:
            raise ModelError(
                f"the factors diverged at a learning rate of {config.learning_rate}; choose a lower one"
            ) from error
        return model


def taste(histories: csr_matrix, factors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the factors over each history less their mean over all items, (users, factors).

    Biases left aside and up to a scale, this is the first step of gradient ascent on the source's criterion from a user
    at the origin. The scale that `Mf` learns brings training users as close as it can, by least squares, to what they
    were trained to. With the default settings, the validation users of MovieLens 1M had an NDCG@100 of .394; of .391
    with the plain mean; of .394 at best by some steps of gradient ascent, against 400 items of evenly spaced
    popularity; of .384 by one Newton step; of .303 by the fold-in of WMF.

    Args:
        histories: (users, items), ones.
        factors: (items, factors).
    """
    lengths = np.maximum(np.diff(histories.indptr), 1).astype(np.float32)
    means: NDArray[np.float32] = (histories @ factors) / lengths[:, None] - factors.mean(axis=0)
    return means
