"""Our side: Multi-VAE by the training loop, ranked by the evaluation of the platform."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks import records
from benchmarks.arms import matrices
from benchmarks.arms.side import (
    BETA,
    HIDDEN,
    KEEP,
    LATENT,
    LEARNING_RATE,
    SCORES,
    SLATE,
    Outcome,
    Trial,
    answer,
    peak_bytes,
)
from benchmarks.gowalla import interactions
from models.interactions import HeldOut
from models.ranking import evaluate
from models.recommender import FitOptions, Recommender, top
from models.registry import create

WARMING = 20
"""Slates before those that are timed."""


def run(trial: Trial) -> Outcome:
    """Train, then rank, and leave scores behind."""
    began = perf_counter()
    read = matrices.read(Path(trial.data))
    train = interactions(read.train)
    recommender = create("multi_vae", settings(trial))
    options = FitOptions(seed=trial.seed, device=trial.device, precision=trial.precision, threads=trial.threads)
    fitted = recommender.fit(train, None, options)
    prepared = perf_counter() - began - fitted.seconds
    training_peak = peak_bytes()
    evaluation_seconds = _evaluate(recommender, read, trial.evaluated) if trial.evaluated else None
    calls = _calls(recommender, read, trial.calls)
    peak = peak_bytes()
    if trial.judged:
        np.save(SCORES, recommender.score(read.fold_in[: trial.judged]))
    return Outcome(
        users=read.train.shape[0],
        epoch_seconds=tuple(epoch.seconds for epoch in fitted.history),
        prepared_seconds=prepared,
        training_peak=training_peak,
        peak=peak,
        precision=fitted.precision,
        evaluation_seconds=evaluation_seconds,
        call_seconds=calls,
        versions=records.versions(),
    )


def settings(trial: Trial) -> dict[str, object]:
    """Return the settings of the network and of its training."""
    return {
        "hidden": HIDDEN,
        "latent": LATENT,
        "keep": KEEP,
        "beta_max": BETA,
        "learning_rate": LEARNING_RATE,
        "batch": trial.batch,
        "epochs": trial.epochs,
        "anneal_epochs": trial.epochs,
    }


def _evaluate(recommender: Recommender, read: matrices.Matrices, users: int) -> float:
    names = tuple(str(user) for user in range(users))
    held_out = HeldOut(read.fold_in[:users], read.held_out[:users], names)
    began = perf_counter()
    evaluate(recommender, held_out)
    return perf_counter() - began


def _calls(recommender: Recommender, read: matrices.Matrices, calls: int) -> tuple[float, ...]:
    """Time a slate for one user after the other."""
    seconds = []
    for call in range(calls + WARMING if calls else 0):
        history = read.fold_in[call % read.fold_in.shape[0]]
        began = perf_counter()
        top(recommender, history, SLATE)
        seconds.append(perf_counter() - began)
    return tuple(seconds[WARMING:])


if __name__ == "__main__":
    answer(run)
