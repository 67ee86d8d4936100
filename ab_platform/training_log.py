"""How a training went, in plain values that outlive the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    """How a training went.

    Attributes:
        best_epoch: the epoch whose weights were kept; 0 where nothing is learned in epochs.
        epochs_run: how many epochs ran.
        validation_ndcg: NDCG@100 on the validation users, with the weights that were kept.
        seconds: time spent training.
        device: where it ran.
        precision: of the large products.
        logged: loss terms and diagnostics of the best epoch, means over training users.
        curve: NDCG@100 on the validation users after each epoch, from the first; empty where nothing is learned in
            epochs, and for trainings of versions that did not keep it.
        most_epochs: that it might have taken; 0 where that is not known.
    """

    best_epoch: int
    epochs_run: int
    validation_ndcg: float
    seconds: float
    device: str
    precision: str
    logged: Mapping[str, float]
    curve: tuple[float, ...] = ()
    most_epochs: int = 0

    @property
    def ran_out(self) -> bool:
        """Tell whether it ended early, for want of a better epoch."""
        return 0 < self.epochs_run < self.most_epochs
