"""What every recommender can do, and the best titles that follow from its scores. It loads no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.config import Config
from models.errors import ModelError
from models.interactions import HeldOut, Interactions, row_numbers

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16"]

NO_TITLE = -1  # in the place of a title where none is left

_RANKED_AT_ONCE = 100  # rows that stay in the cache through all the passes of a ranking; measured


@dataclass(frozen=True)
class EpochReport:
    """What one epoch of training did.

    Attributes:
        epoch: its number, from 1.
        epochs: the most that training may take.
        losses: the named terms and diagnostics, each a mean over users.
        ndcg: NDCG@100 on the validation users; None without them.
        seconds: how long it took, evaluation included.
    """

    epoch: int
    epochs: int
    losses: Mapping[str, float]
    ndcg: float | None
    seconds: float


@dataclass(frozen=True)
class FitOptions:
    """How to train, apart from what is trained.

    Attributes:
        seed: decides the first weights, the order of users, masks and noise.
        device: `auto` is CUDA where there is one.
        precision: of the large products; `auto` is bfloat16 where the hardware is made for it. Weights stay float32.
        compiled: whether torch compiles the steps of arms that learn by gradient, which takes a C++ compiler and about
            a minute. It is meant for a GPU, where starting single operations takes most of a small step.
        threads: of the CPU; None leaves the process as it is.
        checkpoint: a file to resume from, written while training; None keeps nothing.
        on_epoch: called after each epoch.
    """

    seed: int = 0
    device: Device = "auto"
    precision: Precision = "auto"
    compiled: bool = False
    threads: int | None = None
    checkpoint: Path | None = None
    on_epoch: Callable[[EpochReport], None] | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ModelError(f"the seed is {self.seed}; it must be 0 or more")
        if self.threads is not None and self.threads < 1:
            raise ModelError(f"the number of threads is {self.threads}; it must be at least 1, or None")
        for name, value, known in (("device", self.device, Device), ("precision", self.precision, Precision)):
            if value not in get_args(known):
                raise ModelError(f"the {name} is {value!r}; it must be one of {', '.join(get_args(known))}")


@dataclass(frozen=True)
class FitReport:
    """What a training did.

    Attributes:
        best_epoch: the epoch whose weights were kept; 0 where nothing is learned in epochs.
        epochs_run: how many epochs ran before the last or before patience ran out.
        ndcg: NDCG@100 on the validation users at the best epoch; None without them.
        seconds: time spent, over all the processes that took part.
        history: one report an epoch.
        device: where it ran.
        precision: what `auto` came to.
    """

    best_epoch: int
    epochs_run: int
    ndcg: float | None
    seconds: float
    history: tuple[EpochReport, ...]
    device: str
    precision: str


class Recommender(Protocol):
    """A thing that learns from interactions and scores items for any history."""

    @property
    def name(self) -> str:
        """Return the name in the registry."""
        ...

    @property
    def config(self) -> Config:
        """Return the settings."""
        ...

    @property
    def deterministic(self) -> bool:
        """Tell whether the seed makes no difference."""
        ...

    @property
    def items(self) -> tuple[str, ...]:
        """Return the item ids in the order of the scores; none until it is fitted or restored."""
        ...

    def fit(self, train: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        """Learn from `train`; choose by NDCG@100 on `validation` where there is a choice."""
        ...

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Score each item for each history, (users, items); new and empty histories too; the array is fresh."""
        ...

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return everything learned, by name."""
        ...

    def restore(self, items: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take over what `arrays` gave; raise ModelError where names or shapes do not fit."""
        ...


def top(
    recommender: Recommender,
    histories: csr_matrix,
    k: int,
    *,
    exclude: csr_matrix | None = None,
    block_users: int = 1_000,
) -> NDArray[np.int64]:
    """Rank the best titles for each history, best first, never one that is in it.

    Equal scores go by item index, the lower first. Memory is bounded by `block_users` rows of scores.

    Args:
        recommender: fitted or restored.
        histories: what each user has seen, (users, items).
        k: how many titles.
        exclude: further titles that must not appear, (users, items).
        block_users: how many users are scored at once.

    Returns:
        Item indices, (users, k); -1 where fewer than `k` titles are left.

    Raises:
        ModelError: `k` is below 1, or a score is not a number.
    """
    if k < 1:
        raise ModelError(f"{k} titles are asked for; ask for at least 1")
    ranked = np.full((histories.shape[0], k), NO_TITLE, dtype=np.int64)
    for start in range(0, histories.shape[0], block_users):
        block = slice(start, start + block_users)
        scores = recommender.score(histories[block])
        for seen in [histories] if exclude is None else [histories, exclude]:
            _strike(scores, seen[block])
        for first in range(0, len(scores), _RANKED_AT_ONCE):
            best = best_of(scores[first : first + _RANKED_AT_ONCE], min(k, scores.shape[1]))
            ranked[start + first : start + first + len(best), : best.shape[1]] = best
    return ranked


def best_of(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the `k` best columns of each row, best first, ties by column; -1 in place of a score of -inf.

    Args:
        scores: (users, items), at least `k` items.
        k: at least 1, unless there are no items.

    Raises:
        ModelError: a score is not a number.
    """
    if np.isnan(scores).any():
        raise ModelError("a score is not a number; the recommender diverged, so train it with a lower learning rate")
    if k == 0:
        return np.empty((len(scores), 0), dtype=np.int64)
    columns = np.nonzero(_chosen(scores, k))[1].reshape(len(scores), k)
    values = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    left = np.take_along_axis(values, order, axis=1) > -np.inf
    return np.where(left, np.take_along_axis(columns, order, axis=1), NO_TITLE)


def _chosen(scores: NDArray[np.float32], k: int) -> NDArray[np.bool_]:
    """Mark exactly `k` columns of each row, none of the others better, the first ones of those that share a score."""
    last = np.partition(scores, -k, axis=1)[:, -k, None]
    chosen = scores >= last
    surplus = chosen.sum(axis=1) - k
    for row in np.flatnonzero(surplus):
        # Which of the columns that share the last place get in, a partition leaves to chance.
        sharing = np.flatnonzero(scores[row] == last[row])
        chosen[row, sharing[-surplus[row] :]] = False
    return chosen


def checked_histories(histories: csr_matrix, items: Sequence[str], name: str) -> csr_matrix:
    """Return the histories if they fit the items that a recommender was fitted on.

    Raises:
        ModelError: the recommender has no items yet, or another number of them.
    """
    if not items:
        raise ModelError(f"{name} is not fitted; call fit, or load an artifact")
    if histories.shape[1] != len(items):
        raise ModelError(
            f"the histories have {histories.shape[1]} items and {name} was fitted on {len(items)}; "
            "build them in the vocabulary of `recommender.items`"
        )
    return histories


def _strike(scores: NDArray[np.float32], seen: csr_matrix) -> None:
    scores[row_numbers(seen), seen.indices] = -np.inf
