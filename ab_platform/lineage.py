"""From interactions to a running experiment: Dataset, Title, Artifact, Trial, Launch, Change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ab_platform.experiment import Experiment, State


@dataclass(frozen=True)
class Dataset:
    """What one ingest brought in.

    Attributes:
        dataset: its name.
        content_hash: sha256 of the source, so that a second ingest can tell that nothing changed.
        source: where it came from, for people.
        interactions: rows stored.
        users: distinct users among them.
        titles: titles stored, also those nobody interacted with.
        bad_rows: rows left out under `--skip-bad`.
        repeated_rows: rows of a user and title that were there already.
        ingested_at: when.
    """

    dataset: str
    content_hash: str
    source: str
    interactions: int
    users: int
    titles: int
    bad_rows: int
    repeated_rows: int
    ingested_at: datetime


@dataclass(frozen=True)
class Title:
    """What can be watched."""

    title_id: str
    title: str
    genres: tuple[str, ...] = ()
    year: int | None = None


@dataclass(frozen=True)
class Recipe:
    """All that a training depends on: the same recipe gives the same arm.

    Attributes:
        recommender: name in `models.registry`.
        config: its full settings.
        seed: of the training.
        dataset: name of the data set.
        data_hash: content hash of the interactions that are trained on.
        code_version: hash of the recommenders' source.
    """

    recommender: str
    config: Mapping[str, object]
    seed: int
    dataset: str
    data_hash: str
    code_version: str

    @property
    def recipe_hash(self) -> str:
        """Return the sha256 of the recipe, 16 hex digits."""
        parts = [self.recommender, dict(self.config), self.seed, self.data_hash, self.code_version]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Artifact:
    """A trained recommender, registered.

    Attributes:
        artifact_id: name of its folder, and hash of its manifest.
        recipe: what it was made from.
        scores: validation scores, by name.
        trained_at: when.
    """

    artifact_id: str
    recipe: Recipe
    scores: Mapping[str, float]
    trained_at: datetime


@dataclass(frozen=True)
class Trial:
    """One setting of a recommender, tried on validation users."""

    recipe: Recipe
    validation_ndcg: float
    finished_at: datetime


@dataclass(frozen=True)
class Launch:
    """A launched experiment: the definition, the weights it froze, and its state.

    Attributes:
        experiment: the definition as launched.
        artifacts: artifact id of each arm, by arm name.
        state: `running` or `stopped`.
        traffic: share of owned users who are in now; `ramp` changes it.
        launched_at: when it was launched.
        starts_at: first moment whose events count.
        ends_at: planned end, exclusive.
        stopped_at: when it was stopped, if it was.
    """

    experiment: Experiment
    artifacts: Mapping[str, str]
    state: State
    traffic: float
    launched_at: datetime
    starts_at: datetime
    ends_at: datetime
    stopped_at: datetime | None = None


Action = Literal["launch", "ramp", "stop", "replay", "simulate"]


@dataclass(frozen=True)
class Change:
    """One line of an experiment's change log."""

    experiment: str
    at: datetime
    action: Action
    before: Mapping[str, object] | None
    after: Mapping[str, object]
    reason: str | None
