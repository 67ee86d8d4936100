"""Popularity: every history gets the titles that most users interacted with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.closed_form import Arrays, ClosedForm, Log, Shapes
from models.config import Config
from models.interactions import Interactions
from models.recommender import FitOptions


@dataclass(frozen=True, kw_only=True)
class PopularityConfig(Config):
    """Nothing can be set on popularity."""


class Popularity(ClosedForm[PopularityConfig]):
    """Score each item by the number of training users who interacted with it."""

    name = "popularity"
    config_type = PopularityConfig
    deterministic = True

    def learn(self, interactions: Interactions, options: FitOptions, log: Log) -> Arrays:
        """Learn nothing but the counts, which every arm keeps."""
        return {}

    def shapes(self, items: int) -> Shapes:
        """Return no shape: the counts are enough."""
        return {}

    def scores(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Return the counts once a history, (users, items)."""
        return np.tile(self._arrays["counts"], (histories.shape[0], 1))
