"""Cornac's side: its VAECF and its ranking evaluation, run in an environment of its own.

Its objective is another one: no dropout, no unit length, users in one order, and a KL weight that is not annealed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import cornac  # type: ignore[import-not-found]
import numpy as np
import torch
from cornac.data import Dataset  # type: ignore[import-not-found]
from cornac.eval_methods.base_method import ranking_eval  # type: ignore[import-not-found]
from cornac.metrics import NDCG, Recall  # type: ignore[import-not-found]
from cornac.models import VAECF  # type: ignore[import-not-found]
from scipy.sparse import csr_matrix

from benchmarks.arms import matrices
from benchmarks.arms.side import BETA, HIDDEN, LATENT, LEARNING_RATE, SCORES, Outcome, Trial, answer, peak_bytes


def run(trial: Trial) -> Outcome:
    """Train, then rank, and leave scores behind."""
    read = matrices.read(Path(trial.data))
    began = perf_counter()
    train = _dataset(read.train)
    starts = _timed(train)
    model = VAECF(
        k=LATENT,
        autoencoder_structure=[HIDDEN],
        likelihood="mult",
        n_epochs=trial.epochs,
        batch_size=trial.batch,
        learning_rate=LEARNING_RATE,
        beta=BETA,
        seed=trial.seed,
    )
    model.fit(train)
    seconds = np.diff([*starts, perf_counter()])
    training_peak = peak_bytes()
    evaluation_seconds = _evaluate(model, read, trial.evaluated) if trial.evaluated else None
    peak = peak_bytes()
    if trial.judged:
        rows = torch.from_numpy(read.fold_in[: trial.judged].toarray())
        with torch.no_grad():
            np.save(SCORES, model.vae.decode(model.vae.encode(rows)[0]).numpy())
    return Outcome(
        users=read.train.shape[0],
        epoch_seconds=tuple(seconds.tolist()),
        prepared_seconds=starts[0] - began,
        training_peak=training_peak,
        peak=peak,
        precision="float32",
        evaluation_seconds=evaluation_seconds,
        versions=f"Cornac {cornac.__version__}, torch {torch.__version__}, numpy {np.__version__}",
    )


def _dataset(matrix: csr_matrix) -> Any:
    """Build its data set, with users and items in our order."""
    pairs = matrix.tocoo()
    triplets = [(user, item, 1.0) for user, item in zip(pairs.row.tolist(), pairs.col.tolist(), strict=True)]
    users, items = (OrderedDict((place, place) for place in range(size)) for size in matrix.shape)
    return Dataset.build(triplets, global_uid_map=users, global_iid_map=items)


def _timed(train: Any) -> list[float]:
    """Note when each epoch starts, which is when its training asks for the users anew."""
    starts: list[float] = []
    users = train.user_iter

    def noting(*arguments: Any, **options: Any) -> Iterator[Any]:
        starts.append(perf_counter())
        yield from users(*arguments, **options)

    train.user_iter = noting
    return starts


def _evaluate(model: Any, read: matrices.Matrices, users: int) -> float:
    """Time its own evaluation of held-out users: a fit of no epoch shows it their histories."""
    fold_in, held_out = _dataset(read.fold_in[:users]), _dataset(read.held_out[:users])
    model.n_epochs = 0
    model.fit(fold_in)
    began = perf_counter()
    ranking_eval(model, [Recall(k=20), NDCG(k=100)], fold_in, held_out)
    return perf_counter() - began


if __name__ == "__main__":
    answer(run)
