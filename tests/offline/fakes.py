"""Recommenders that are fitted in no time, whose scores are known, and a small data set for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ab_platform.offline.evaluating import Setup
from ab_platform.training import Workshop
from models import registry
from models.config import Config, Search, number
from models.errors import ModelError
from models.interactions import HeldOut, Interactions
from models.ranking import evaluate
from models.recommender import EpochReport, FitOptions, FitReport


@dataclass(frozen=True, kw_only=True)
class NoisyConfig(Config):
    """How much chance goes into the scores; above 1,000 the fit fails, at 1,000 the scores are not numbers."""

    noise: float = number(0.0, at_least=0, search=Search(0.0, 1.0))


class Noisy:
    """Popularity plus chance of the seed, two epochs long."""

    name = "noisy"
    config_type = NoisyConfig
    deterministic = False
    fitted: ClassVar[list[FitOptions]] = []

    def __init__(self, config: NoisyConfig | None = None) -> None:
        self.config = config or NoisyConfig()
        self.items: tuple[str, ...] = ()
        self._scores = np.zeros(0, dtype=np.float32)

    def fit(self, train: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        self.fitted.append(options)
        if self.config.noise > 1_000:
            raise ModelError("the loss is nan in epoch 1; it must be finite: lower the learning rate")
        self.items = train.items
        counts = np.bincount(train.matrix.indices, minlength=len(train.items)) / len(train.users)
        chance = np.random.default_rng(options.seed).random(len(train.items))
        self._scores = (counts + self.config.noise * chance).astype(np.float32)
        if self.config.noise == 1_000:
            self._scores[:] = np.nan
            return FitReport(1, 1, 0.0, 0.0, (), "cpu", "float32")
        ndcg = None if validation is None else evaluate(self, validation).mean_ndcg_100
        history = tuple(EpochReport(epoch, 2, {"loss": 1 / epoch}, ndcg, 0.1) for epoch in (1, 2))
        for report in history if options.on_epoch else ():
            options.on_epoch(report)  # type: ignore[misc]
        return FitReport(2, 2, ndcg, 0.2, history, "cpu", "float32")

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        return np.tile(self._scores, (histories.shape[0], 1))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        raise AssertionError("a fake is not saved")

    def restore(self, items: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        raise AssertionError("a fake is not restored")


class Steady(Noisy):
    """The same with one noise for all seeds."""

    name = "steady"
    deterministic = True

    def fit(self, train: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        assert options.seed == 0
        return super().fit(train, validation, options)


def register(patch: pytest.MonkeyPatch) -> None:
    """Make the fakes known to the registry, and forget what was fitted."""
    known = {**registry.RECOMMENDERS, "noisy": "tests.offline.fakes:Noisy", "steady": "tests.offline.fakes:Steady"}
    patch.setattr(registry, "RECOMMENDERS", known)
    patch.setattr(Noisy, "fitted", [])


def setup(folder: Path, *, jobs: int = 1) -> Setup:
    """Return a place to train in."""
    return Setup(Workshop(folder / "artifacts", folder / "checkpoints", device="cpu"), folder / "evaluations", jobs)
