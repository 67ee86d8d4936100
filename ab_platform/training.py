"""Interactions -> fitted arm -> registered artifact."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ab_platform.documents import Document, plain
from ab_platform.errors import DataError, ExperimentError, OutOfMemoryError
from ab_platform.experiment import Arm, ConfigValue, DataRule, Experiment, Location
from ab_platform.lineage import Artifact, Recipe
from ab_platform.replay import Population
from ab_platform.storage.store import Store
from ab_platform.training_log import Training
from models.artifact import load, save
from models.code_version import code_version
from models.errors import ArtifactError, ModelError
from models.interactions import Interactions, UserSplit
from models.popularity import Popularity
from models.ranking import evaluate
from models.recommender import Device, EpochReport, FitOptions, FitReport, Precision, Recommender
from models.registry import checked_config, create

VALIDATION_SHARE = 0.1
SPLIT_SEED = 98765  # of the Multi-VAE recipe

OnEpoch = Callable[[EpochReport], None]


@dataclass(frozen=True)
class Workshop:
    """Where and on what arms are trained.

    Attributes:
        artifacts: folder of trained arms.
        checkpoints: folder of trainings under way.
        device: `auto` takes CUDA where it is there.
        precision: `auto` takes bfloat16 where the hardware has it.
    """

    artifacts: Path
    checkpoints: Path
    device: Device = "auto"
    precision: Precision = "auto"


@dataclass(frozen=True)
class Snapshot:
    """The interactions of a data rule, split by time.

    Attributes:
        dataset: its name.
        history: what was liked before the hold-back, all users.
        held_back: what each user liked last.
        train: `history` of users with enough interactions to train on.
        data_hash: content hash of `train`.
    """

    dataset: str
    history: Interactions
    held_back: Interactions
    train: Interactions
    data_hash: str

    def population(self) -> Population:
        """Return the users of a replay: their histories, and what they would still like to watch."""
        return Population(histories=titles_by_user(self.history), likes=titles_by_user(self.held_back))

    def split(self) -> UserSplit:
        """Hold out a tenth of the users, who choose the best epoch and settings."""
        users = len(self.train.users)
        if users < 10:
            raise DataError(
                f"{self.dataset} leaves {users} users to train on; at least 10 are required; "
                "ingest more, or lower least_interactions"
            )
        return self.train.split_users(validation_users=round(users * VALIDATION_SHARE), test_users=0, seed=SPLIT_SEED)


def snapshot(store: Store, rule: DataRule) -> Snapshot:
    """Read the interactions that a data rule selects.

    Raises:
        DataError: where the data set is not there, or nothing of it is liked.
    """
    if store.dataset(rule.dataset) is None:
        known = ", ".join(each.dataset for each in store.datasets()) or "none"
        raise DataError(f"data set '{rule.dataset}' is not ingested (there: {known}); run `abp ingest {rule.dataset}`")
    columns = store.interactions(rule.dataset, least_rating=rule.least_rating)
    if not len(columns.user_codes):
        raise DataError(
            f"{rule.dataset} has no interaction rated {rule.least_rating} or more; lower least_rating in the experiment"
        )
    liked = Interactions.from_codes(
        columns.user_codes, columns.title_codes, columns.at, users=columns.users, items=columns.titles
    )
    history, held_back = liked.hold_back(rule.hold_back)
    train = history.at_least(rule.least_interactions)
    return Snapshot(rule.dataset, history, held_back, train, train.content_hash())


class Learned(Protocol):
    """What is learned from, by name and content."""

    @property
    def dataset(self) -> str:
        """Return the name of the data set."""
        ...

    @property
    def data_hash(self) -> str:
        """Return the content hash of all that a training or its score depends on."""
        ...


def recipe(learned: Learned, recommender: str, config: Mapping[str, ConfigValue], seed: int) -> Recipe:
    """Write down all that a training depends on.

    Raises:
        ExperimentError: for an unknown recommender or setting, or a value out of range.
    """
    try:
        full = checked_config(recommender, config).as_mapping()
    except ModelError as error:
        raise ExperimentError(str(error)) from error
    return Recipe(recommender, full, seed, learned.dataset, learned.data_hash, code_version(recommender))


def check_arms(experiment: Experiment) -> None:
    """Check that every arm's recommender and each of its settings exist and are in range.

    Raises:
        ExperimentError: naming the arm, with the place in the experiment file.
    """
    for arm in experiment.arms:
        _check_arm(arm, {}, ("arms", arm.name, "recommender"))
        for name, value in arm.config.items():
            _check_arm(arm, {name: value}, ("arms", arm.name, "config", name))


def _check_arm(arm: Arm, config: Mapping[str, ConfigValue], location: Location) -> None:
    try:
        checked_config(arm.recommender, config)
    except ModelError as error:
        raise ExperimentError(f"arm {arm.name}: {error}", location) from error


def trained(store: Store, workshop: Workshop, made: Recipe) -> Artifact | None:
    """Return the artifact of a recipe where it was trained before and still loads."""
    artifact = store.artifact_of(made.recipe_hash)
    if artifact is None or not (workshop.artifacts / artifact.artifact_id).is_dir():
        return None
    return artifact


def train(
    store: Store, workshop: Workshop, snap: Snapshot, arm: Arm, *, at: datetime, on_epoch: OnEpoch | None = None
) -> Artifact:
    """Train an arm, unless the same recipe was trained before; resume where a training was cut short.

    Args:
        store: registers the artifact.
        workshop: where artifacts and checkpoints lie.
        snap: what to learn from.
        arm: recommender, settings and seed.
        at: now.
        on_epoch: called after each epoch.
    """
    made = recipe(snap, arm.recommender, arm.config, arm.seed)
    if (earlier := trained(store, workshop, made)) is not None:
        return earlier
    return fit_and_register(store, workshop, snap, made, at=at, on_epoch=on_epoch)


def fit_and_register(
    store: Store, workshop: Workshop, snap: Snapshot, made: Recipe, *, at: datetime, on_epoch: OnEpoch | None = None
) -> Artifact:
    """Train by a recipe, also where it was trained before; arguments as in `train`."""
    split = snap.split()
    fitted, report = fit(workshop, made, split, on_epoch)
    scores = {f"validation_{name}": value for name, value in evaluate(fitted, split.validation).means().items()}
    artifact_id = save(
        workshop.artifacts, fitted, seed=made.seed, data_hash=made.data_hash, scores=scores, trained=report
    )
    artifact = Artifact(artifact_id, made, scores, at)
    store.register(artifact)
    log = log_of(report, scores["validation_ndcg_100"])
    store.write_document(Document("training", artifact_id, at, plain(log)))
    (workshop.checkpoints / made.recipe_hash).unlink(missing_ok=True)
    return artifact


def log_of(report: FitReport, ndcg: float) -> Training:
    """Return how a training went, to be kept.

    Args:
        report: what `fit` returned.
        ndcg: NDCG@100 on the validation users, with the weights that were kept.
    """
    best = next((each.losses for each in report.history if each.epoch == report.best_epoch), {})
    return Training(
        best_epoch=report.best_epoch,
        epochs_run=report.epochs_run,
        validation_ndcg=ndcg,
        seconds=report.seconds,
        device=report.device,
        precision=report.precision,
        logged={name: value for name, value in best.items() if math.isfinite(value)},
        curve=tuple(each.ndcg for each in report.history if each.ndcg is not None),
        most_epochs=max((each.epochs for each in report.history), default=0),
    )


def take_part(workshop: Workshop, snap: Snapshot, made: Recipe) -> None:
    """Train by a recipe as one of several processes, another of which registers the artifact."""
    fit(workshop, made, snap.split(), None)


def fit(workshop: Workshop, made: Recipe, split: UserSplit, on_epoch: OnEpoch | None) -> tuple[Recommender, FitReport]:
    """Train by a recipe, from its checkpoint where there is one; whoever keeps the result removes that.

    Raises:
        DataError: where the training diverges, or cannot be done on these data or this machine.
        OutOfMemoryError: where it does not fit.
    """
    workshop.checkpoints.mkdir(parents=True, exist_ok=True)
    options = FitOptions(
        seed=made.seed,
        device=workshop.device,
        precision=workshop.precision,
        checkpoint=workshop.checkpoints / made.recipe_hash,
        on_epoch=on_epoch,
    )
    try:
        recommender = create(made.recommender, made.config)
        return recommender, recommender.fit(split.train, split.validation, options)
    except ModelError as error:
        raise DataError(str(error)) from error
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in _NO_MEMORY):
            raise
        raise OutOfMemoryError(
            f"training {made.recommender} ran out of memory: {(str(error) or type(error).__name__).splitlines()[0]}; "
            "lower its batch, hidden or latent, or use a larger machine"
        ) from error


def load_arm(workshop: Workshop, artifact_id: str) -> Recommender:
    """Load a trained arm; no code from the artifact runs, and a changed byte is refused.

    Raises:
        DataError: where the artifact is missing or damaged.
    """
    try:
        recommender, _ = load(workshop.artifacts, artifact_id)
    except ArtifactError as error:
        raise DataError(str(error)) from error
    return recommender


def titles_by_user(interactions: Interactions) -> dict[str, list[str]]:
    """Return each user's titles, oldest first; ties by title."""
    matrix, items = interactions.matrix, interactions.items
    titles: dict[str, list[str]] = {}
    for row, user in enumerate(interactions.users):
        start, end = matrix.indptr[row : row + 2]
        order = interactions.times[start:end].argsort(kind="stable")
        titles[user] = [items[index] for index in matrix.indices[start:end][order].tolist()]
    return titles


def popularity_of(snap: Snapshot) -> Recommender:
    """Count popularity anew, for a launch that froze none."""
    popularity = Popularity()
    popularity.fit(snap.train, None, FitOptions())
    return popularity


_NO_MEMORY = ("out of memory", "can't allocate memory")
"""What torch says, of a GPU and of the machine."""
