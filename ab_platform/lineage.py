"""From interactions to a running experiment: Dataset, Title, Artifact, Trial, StudyTrial, Launch, Change, Phase."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
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
        code_version: hash of the sources that the recommender needs.
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
    """One setting of a recommender, tried on validation users to its end.

    Attributes:
        recipe: what was trained.
        validation_ndcg: NDCG@100 on the validation users, at the best epoch.
        finished_at: when.
        curve: NDCG@100 after each epoch, by its number from 1; empty where nothing is learned in epochs, and for trials
            of versions that did not keep it.
    """

    recipe: Recipe
    validation_ndcg: float
    finished_at: datetime
    curve: Mapping[int, float] = field(default_factory=dict)


TrialState = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True)
class StudyTrial:
    """One trial of a study, which also holds those that did not come to their end.

    Attributes:
        study: key of the study.
        number: place in the study, from 1.
        recipe: what is trained.
        state: `running` from when its settings are decided, also while nobody trains it; `pruned` where it was given
            up, being worse than others at the same epoch; `failed` where its settings cannot be trained, or diverge.
        at: when the state was written.
        curve: NDCG@100 on the validation users after each epoch so far, by its number from 1.
        validation_ndcg: at the best epoch; None unless it is complete.
        reason: why it failed; None where it did not.
    """

    study: str
    number: int
    recipe: Recipe
    state: TrialState
    at: datetime
    curve: Mapping[int, float] = field(default_factory=dict)
    validation_ndcg: float | None = None
    reason: str | None = None

    @property
    def best_so_far(self) -> float | None:
        """Return the best NDCG@100 that was seen, of whatever state; None where none was."""
        return max(self.curve.values(), default=None) if self.validation_ndcg is None else self.validation_ndcg


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
        events_deleted_at: since when its raw events are deleted and no more are taken; None while they are kept.
        fallback: artifact id of the popularity that serves where an arm fails; None for launches of versions that did
            not freeze it.
    """

    experiment: Experiment
    artifacts: Mapping[str, str]
    state: State
    traffic: float
    launched_at: datetime
    starts_at: datetime
    ends_at: datetime
    stopped_at: datetime | None = None
    events_deleted_at: datetime | None = None
    fallback: str | None = None


Action = Literal["launch", "ramp", "gate", "decide", "stop", "replay", "simulate", "delete_events"]


@dataclass(frozen=True)
class Change:
    """One line of an experiment's change log."""

    experiment: str
    at: datetime
    action: Action
    before: Mapping[str, object] | None
    after: Mapping[str, object]
    reason: str | None


@dataclass(frozen=True)
class Phase:
    """Days of one traffic.

    Attributes:
        since: its first day.
        traffic: share of the owned users who were in.
    """

    since: date
    traffic: float


def phases(launch: Launch, changes: Iterable[Change]) -> tuple[Phase, ...]:
    """Return the days of each traffic; of several changes on a day, the last counts for it."""
    first = launch.starts_at.astimezone(UTC).date()
    found = {first: launch.experiment.steps[0].traffic}
    for change in changes:
        if change.action == "ramp":
            found[max(first, change.at.astimezone(UTC).date())] = float(str(change.after["traffic"]))
    return tuple(Phase(day, traffic) for day, traffic in sorted(found.items()))


def replayed_until(changes: Iterable[Change]) -> datetime | None:
    """Return how far the visits of an experiment are replayed; None where they are live, or none was replayed yet."""
    reached = [
        str(change.after["until"]) for change in changes if change.action == "replay" and "until" in change.after
    ]
    return max(map(datetime.fromisoformat, reached), default=None)


def own_time(launch: Launch, changes: Iterable[Change], now: datetime) -> datetime:
    """Return what time it is in an experiment: now, or where visits are replayed, how far the replay has come.

    A replay takes minutes and its days may lie ahead, so what is due in it, and from when a stop or a ramp counts, goes
    by its calendar. Logs of earlier versions do not say how far a replay came; it was replayed as a whole.
    """
    log = list(changes)
    if not any(change.action == "replay" for change in log):
        return now
    return replayed_until(log) or launch.ends_at
