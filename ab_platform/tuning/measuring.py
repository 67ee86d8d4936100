"""What settings are tried on, and one trial of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ab_platform.errors import DataError
from ab_platform.lineage import Recipe, Trial
from ab_platform.storage.store import Store
from ab_platform.training import OnEpoch, Snapshot, Workshop, fit
from models.errors import ModelError
from models.interactions import UserSplit
from models.ranking import evaluate
from models.recommender import FitOptions

Clock = Callable[[], datetime]


@dataclass(frozen=True, eq=False)
class Material:
    """What settings are tried on.

    Attributes:
        dataset: name of the data set.
        data_hash: content hash of all that the split depends on.
        split: who is trained on, and who judges; its test users are not looked at.
    """

    dataset: str
    data_hash: str
    split: UserSplit


def material_of(snap: Snapshot) -> Material:
    """Return what the arms of an experiment are tuned on."""
    return Material(snap.dataset, snap.data_hash, snap.split())


@dataclass(frozen=True, eq=False)
class Bench:
    """All that a trial is made with.

    Attributes:
        store: keeps the trials.
        workshop: where checkpoints lie, so that a trial that was cut short goes on.
        material: what to learn from, and who judges.
        at: tells the time.
    """

    store: Store
    workshop: Workshop
    material: Material
    at: Clock


def measure(bench: Bench, made: Recipe, on_epoch: OnEpoch | None) -> Trial:
    """Train by a recipe and score it on the validation users; go on from the checkpoint of a training cut short.

    Raises:
        DataError: where it diverges, or cannot be trained.
        OutOfMemoryError: where it does not fit.
    """
    fitted, report = fit(bench.workshop, made, bench.material.split, on_epoch)
    try:
        ndcg = evaluate(fitted, bench.material.split.validation).mean_ndcg_100
    except ModelError as error:
        raise DataError(str(error)) from error
    curve = {epoch.epoch: epoch.ndcg for epoch in report.history if epoch.ndcg is not None}
    return Trial(made, ndcg, bench.at(), curve)


def measured(store: Store, made: Recipe) -> Trial | None:
    """Return the trial of a recipe where it was tried to its end before, by a grid or by any study."""
    trials = store.trials(made.recommender, made.data_hash, made.code_version)
    return next((trial for trial in trials if trial.recipe.recipe_hash == made.recipe_hash), None)


def under_way(workshop: Workshop, made: Recipe) -> bool:
    """Tell whether a training was cut short and left its checkpoint."""
    return (workshop.checkpoints / made.recipe_hash).exists()


def forget(workshop: Workshop, made: Recipe) -> None:
    """Remove the checkpoint of a training that is over."""
    (workshop.checkpoints / made.recipe_hash).unlink(missing_ok=True)


def check(bench: Bench) -> None:
    """Check what would fail whatever the settings, so that a failure afterwards lies in these.

    Raises:
        DataError: nobody is left to train on or to judge, or the device is not there.
    """
    split = bench.material.split
    if not split.train.matrix.nnz or not split.validation.users:
        raise DataError(
            f"{bench.material.dataset} leaves {split.train.matrix.nnz} interactions to train on and "
            f"{len(split.validation.users)} users to judge; at least one of each is required, so ingest more"
        )
    if bench.workshop.device == "cuda":
        from models.training import resolve  # here, since it loads torch

        try:
            resolve(FitOptions(device="cuda"))
        except ModelError as error:
            raise DataError(str(error)) from error
