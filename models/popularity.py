"""Popularity: every history gets the titles that most users interacted with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.config import Config
from models.errors import ModelError
from models.interactions import HeldOut, Interactions
from models.ranking import evaluate
from models.recommender import FitOptions, FitReport, checked_histories


@dataclass(frozen=True, kw_only=True)
class PopularityConfig(Config):
    """Nothing can be set on popularity."""


class Popularity:
    """Score each item by the number of training users who interacted with it."""

    name = "popularity"
    config_type = PopularityConfig

    def __init__(self, config: PopularityConfig | None = None) -> None:
        self.config: Config = config or PopularityConfig()
        self.items: tuple[str, ...] = ()
        self._counts = np.zeros(0, dtype=np.float32)

    def fit(self, train: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        """Count; there is nothing to choose, so `validation` is only scored and `options` have no effect."""
        started = perf_counter()
        self.items = train.items
        self._counts = np.bincount(train.matrix.indices, minlength=len(train.items)).astype(np.float32)
        ndcg = None if validation is None else evaluate(self, validation).mean_ndcg_100
        return FitReport(
            best_epoch=0,
            epochs_run=0,
            ndcg=ndcg,
            seconds=perf_counter() - started,
            history=(),
            device="cpu",
            precision="float32",
        )

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Return the counts once a history, (users, items)."""
        users = checked_histories(histories, self.items, self.name).shape[0]
        return np.tile(self._counts, (users, 1))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the counts."""
        return {"counts": self._counts}

    def restore(self, items: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take over the counts.

        Raises:
            ModelError: there is not one count an item.
        """
        shapes = {name: array.shape for name, array in arrays.items()}
        if shapes != {"counts": (len(items),)}:
            raise ModelError(f"the arrays are {shapes}; popularity needs counts of shape ({len(items)},)")
        self.items = tuple(items)
        self._counts = np.asarray(arrays["counts"], dtype=np.float32)
