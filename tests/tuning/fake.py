"""A recommender that needs no library and no time, and whose best settings are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.config import Config, Search, number
from models.errors import ModelError
from models.interactions import HeldOut, Interactions
from models.ranking import evaluate
from models.recommender import EpochReport, FitOptions, FitReport

BEST = {"rate": 0.01, "size": 70, "share": 0.3}
DIVERGES_ABOVE, TOO_LARGE_ABOVE = 0.5, 95
SIZE_TO_EPOCHS = 40


@dataclass(frozen=True, kw_only=True)
class FakeConfig(Config):
    """Three settings that matter, and the epochs."""

    rate: float = number(0.1, above=0, search=Search(0.0001, 1.0, log=True))
    size: int = number(20, at_least=1, at_most=100, search=Search(1, 100))
    share: float = number(0.5, at_least=0, at_most=1, search=Search(0.0, 1.0))
    epochs: int = number(12, at_least=1)
    flat: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size > SIZE_TO_EPOCHS * self.epochs:
            raise ModelError(f"size is {self.size}; with {self.epochs} epochs it must be at most 40 times as much")


class Fake:
    """Know what is held out, as clearly as the settings are near to the best ones, and more with each epoch."""

    name = "fake"
    config_type = FakeConfig
    deterministic = False
    trained: list[Mapping[str, object]] = []  # noqa: RUF012 - all that was trained, for tests to count

    def __init__(self, config: FakeConfig | None = None) -> None:
        self.config = config or FakeConfig()
        self.items: tuple[str, ...] = ()
        self._clearness = 0.0

    def fit(self, train: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        """Take the epochs that the checkpoint does not have yet."""
        assert validation is not None
        assert options.checkpoint is not None
        self.trained.append(dict(self.config.as_mapping()))
        self.items, self._validation = train.items, validation
        if self.config.size > TOO_LARGE_ABOVE:
            raise MemoryError("cannot allocate")
        done = _epochs_done(options.checkpoint)
        history = [self._epoch(epoch) for epoch in range(1, done + 1)]
        for epoch in range(done + 1, self.config.epochs + 1):
            history.append(self._epoch(epoch))
            options.checkpoint.write_text(str(epoch))
            if options.on_epoch is not None:
                options.on_epoch(history[-1])
        return FitReport(
            best_epoch=self.config.epochs,
            epochs_run=self.config.epochs,
            ndcg=history[-1].ndcg,
            seconds=0.0,
            history=tuple(history),
            device="cpu",
            precision="float32",
        )

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Return the truth in some noise."""
        noise = np.random.default_rng(0).random(histories.shape)
        truth = self._validation.held_out.toarray()
        return np.asarray(self._clearness * truth + (1 - self._clearness) * noise, dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return nothing: it cannot be kept."""
        return {}

    def restore(self, items: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take over nothing."""

    def _epoch(self, epoch: int) -> EpochReport:
        if self.config.rate > DIVERGES_ABOVE and epoch == 3:
            raise ModelError("the loss is nan in epoch 3; it must be finite: lower the learning rate")
        self._clearness = nearness(self.config) * (0.5 + 0.5 * epoch / self.config.epochs)
        ndcg = evaluate(self, self._validation).mean_ndcg_100
        return EpochReport(epoch, self.config.epochs, {}, ndcg, 0.0)


def _epochs_done(checkpoint: Path) -> int:
    if not checkpoint.exists():
        return 0
    if not checkpoint.read_text().isdecimal():
        raise ModelError(f"the checkpoint {checkpoint} is of another training; delete it")
    return int(checkpoint.read_text())


def nearness(config: FakeConfig) -> float:
    """Return 1 at the best settings, and less the further away."""
    distances = (
        math.log10(config.rate / 0.01) / 4,
        (config.size - 70) / 100,
        config.share - 0.3,
    )
    return math.exp(-3 * sum(distance**2 for distance in distances))
