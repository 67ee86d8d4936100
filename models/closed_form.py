"""A recommender that is a few arrays, from which the scores of any history follow in closed form. It loads no torch."""

import abc
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from models.config import Config
from models.errors import ModelError
from models.interactions import HeldOut, Interactions
from models.ranking import evaluate
from models.recommender import EpochReport, FitOptions, FitReport, checked_histories

Arrays = Mapping[str, NDArray[np.float32]]
Log = Callable[[EpochReport], None]
Shapes = Mapping[str, tuple[int, ...]]
_Config = TypeVar("_Config", bound=Config)


class ClosedForm(abc.ABC, Generic[_Config]):
    """Fit, score, save and restore arrays; a child says which. It computes on the CPU, in float32.

    Every arm also keeps how many training users had each item: the scores of an empty history, which says nothing of
    taste.

    Attributes:
        name: in the registry.
        config_type: what `config` is.
        config: its settings.
        items: the item ids, in the order of the scores; empty until it is fitted or restored.
        deterministic: whether the seed makes no difference.
    """

    name: str
    config_type: type[_Config]
    deterministic: bool = False

    def __init__(self, config: _Config | None = None) -> None:
        self.config = config or self.config_type()
        self.items: tuple[str, ...] = ()
        self._arrays: dict[str, NDArray[np.float32]] = {}

    @abc.abstractmethod
    def learn(self, interactions: Interactions, options: FitOptions, log: Log) -> Arrays:
        """Return what is learned, by name; an arm that learns in epochs logs each."""

    @abc.abstractmethod
    def shapes(self, items: int) -> Shapes:
        """Return the shape of each array that `learn` returns over so many items."""

    @abc.abstractmethod
    def scores(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Return fresh scores, (users, items); those of an empty history do not matter."""

    def fit(self, interactions: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        """Learn; there is nothing to choose, so `validation` is only scored.

        Of the options, `device`, `precision` and `checkpoint` have no effect.

        Raises:
            ModelError: there is nothing to train on, or the arm cannot be computed from these data.
        """
        if not interactions.matrix.nnz:
            raise ModelError("there is no interaction to train on; at least one is required")
        started = perf_counter()
        history: list[EpochReport] = []

        def log(report: EpochReport) -> None:
            history.append(report)
            if options.on_epoch is not None:
                options.on_epoch(report)

        with threadpool_limits(options.threads, user_api="blas"):
            learned = self.learn(interactions, options, log)
            self._arrays = {"counts": interaction_counts(interactions.matrix), **learned}
            self.items = interactions.items
            ndcg = None if validation is None else evaluate(self, validation).mean_ndcg_100
        return FitReport(
            best_epoch=len(history),
            epochs_run=len(history),
            ndcg=ndcg,
            seconds=perf_counter() - started,
            history=tuple(history),
            device="cpu",
            precision="float32",
        )

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Score each item for each history, (users, items); an empty one gets the order of popularity."""
        checked_histories(histories, self.items, self.name)
        scores = self.scores(histories)
        scores[np.diff(histories.indptr) == 0] = self._arrays["counts"]
        return scores

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return everything learned, by name.

        Raises:
            ModelError: nothing is learned yet.
        """
        if not self.items:
            raise ModelError(f"{self.name} is not fitted; call fit, or load an artifact")
        return dict(self._arrays)

    def restore(self, items: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take over the arrays.

        Raises:
            ModelError: names or shapes are not those of this arm.
        """
        found = {name: array.shape for name, array in arrays.items()}
        needed = {"counts": (len(items),), **self.shapes(len(items))}
        if found != needed:
            raise ModelError(f"the arrays are {found}; {self.name} over {len(items)} items needs {needed}")
        self.items = tuple(items)
        self._arrays = {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}


def interaction_counts(matrix: csr_matrix) -> NDArray[np.float32]:
    """Return how many users have each item, (items,)."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float32)
