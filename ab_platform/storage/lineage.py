"""Statements on what was trained: artifacts and trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select, update

from ab_platform.errors import NotFoundError, nearest
from ab_platform.lineage import Artifact, Recipe, StudyTrial, Trial
from ab_platform.storage import bulk
from ab_platform.storage.schema import artifacts, study_trials, trials


def register(connection: Connection, artifact: Artifact) -> None:
    """Store an artifact; the one of its id stays as it is."""
    values = _recipe_values(artifact.recipe) | {
        "artifact_id": artifact.artifact_id,
        "recipe_hash": artifact.recipe.recipe_hash,
        "scores": dict(artifact.scores),
        "trained_at": artifact.trained_at,
    }
    connection.execute(bulk.upsert(bulk.engine_of(connection), artifacts).on_conflict_do_nothing(), values)


def artifact(connection: Connection, artifact_id: str) -> Artifact:
    """Return an artifact by its id.

    Raises:
        NotFoundError: with the nearest id.
    """
    row = connection.execute(select(artifacts).where(artifacts.c.artifact_id == artifact_id)).one_or_none()
    if row is None:
        known = connection.execute(select(artifacts.c.artifact_id)).scalars()
        raise NotFoundError(f"artifact '{artifact_id}' is not registered; {nearest(artifact_id, known)}")
    return _artifact(row)


def artifact_of(connection: Connection, recipe_hash: str) -> Artifact | None:
    """Return the newest artifact of a recipe; there are several where its files were lost and it was trained again."""
    query = (
        select(artifacts)
        .where(artifacts.c.recipe_hash == recipe_hash)
        .order_by(artifacts.c.trained_at.desc(), artifacts.c.artifact_id)
    )
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _artifact(row)


def every_artifact(connection: Connection) -> tuple[Artifact, ...]:
    """List the artifacts, the oldest first."""
    query = select(artifacts).order_by(artifacts.c.trained_at, artifacts.c.artifact_id)
    return tuple(_artifact(row) for row in connection.execute(query))


def record_trial(connection: Connection, trial: Trial) -> None:
    """Store a trial; the one of the same recipe stays."""
    values = _recipe_values(trial.recipe) | {
        "trial_key": trial.recipe.recipe_hash,
        "validation_ndcg": trial.validation_ndcg,
        "finished_at": trial.finished_at,
        "curve": _curve_values(trial.curve),
    }
    connection.execute(bulk.upsert(bulk.engine_of(connection), trials).on_conflict_do_nothing(), values)


def trials_of(connection: Connection, recommender: str, *, data_hash: str, code_version: str) -> tuple[Trial, ...]:
    """List the trials of one recommender on one data set under one version of the code, the oldest first."""
    query = (
        select(trials)
        .where(trials.c.recommender == recommender, trials.c.data_hash == data_hash)
        .where(trials.c.code_version == code_version)
        .order_by(trials.c.finished_at, trials.c.trial_key)
    )
    return tuple(
        Trial(_recipe(row), row.validation_ndcg, row.finished_at, _curve(row.curve))
        for row in connection.execute(query)
    )


def claim(connection: Connection, trial: StudyTrial) -> bool:
    """Store a trial of a study under its number; return whether the number was free."""
    statement = bulk.upsert(bulk.engine_of(connection), study_trials).on_conflict_do_nothing()
    claimed = connection.execute(statement.returning(study_trials.c.number), _study_trial_values(trial))
    return claimed.one_or_none() is not None


def advance(connection: Connection, trial: StudyTrial) -> None:
    """Store how far a trial of a study came, unless it has ended; a complete one becomes a trial of its recipe too."""
    key = (study_trials.c.study == trial.study, study_trials.c.number == trial.number)
    running = update(study_trials).where(*key, study_trials.c.state == "running")
    connection.execute(running, _study_trial_values(trial))
    if trial.validation_ndcg is not None:
        record_trial(connection, Trial(trial.recipe, trial.validation_ndcg, trial.at, trial.curve))


def trials_of_study(connection: Connection, study: str) -> tuple[StudyTrial, ...]:
    """List the trials of a study by number."""
    query = select(study_trials).where(study_trials.c.study == study).order_by(study_trials.c.number)
    return tuple(
        StudyTrial(
            row.study, row.number, _recipe(row), row.state, row.at, _curve(row.curve), row.validation_ndcg, row.reason
        )
        for row in connection.execute(query)
    )


def _study_trial_values(trial: StudyTrial) -> dict[str, Any]:
    return _recipe_values(trial.recipe) | {
        "study": trial.study,
        "number": trial.number,
        "state": trial.state,
        "at": trial.at,
        "curve": _curve_values(trial.curve),
        "validation_ndcg": trial.validation_ndcg,
        "reason": trial.reason,
    }


def _curve_values(curve: Mapping[int, float]) -> dict[str, float]:
    return {str(epoch): ndcg for epoch, ndcg in curve.items()}


def _curve(values: Mapping[str, float]) -> dict[int, float]:
    """Return a curve in the order of its epochs; JSON has no numbers as keys, and the database sorts them as text."""
    return {epoch: values[str(epoch)] for epoch in sorted(map(int, values))}


def _recipe_values(made: Recipe) -> dict[str, Any]:
    return {
        "recommender": made.recommender,
        "config": dict(made.config),
        "seed": made.seed,
        "dataset": made.dataset,
        "data_hash": made.data_hash,
        "code_version": made.code_version,
    }


def _artifact(row: Row[*tuple[object, ...]]) -> Artifact:
    return Artifact(row.artifact_id, _recipe(row), row.scores, row.trained_at)


def _recipe(row: Row[*tuple[object, ...]]) -> Recipe:
    return Recipe(row.recommender, row.config, row.seed, row.dataset, row.data_hash, row.code_version)
