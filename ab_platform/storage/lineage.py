"""Statements on what was trained: artifacts and trials."""

from __future__ import annotations

from sqlalchemy import Connection, Row, select

from ab_platform.errors import NotFoundError, nearest
from ab_platform.lineage import Artifact, Recipe, Trial
from ab_platform.storage import bulk
from ab_platform.storage.schema import artifacts, trials


def register(connection: Connection, artifact: Artifact) -> None:
    """Store an artifact; the one of its id stays as it is."""
    made = artifact.recipe
    values = {
        "artifact_id": artifact.artifact_id,
        "recipe_hash": made.recipe_hash,
        "recommender": made.recommender,
        "config": dict(made.config),
        "seed": made.seed,
        "dataset": made.dataset,
        "data_hash": made.data_hash,
        "code_version": made.code_version,
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
    made = trial.recipe
    values = {
        "trial_key": made.recipe_hash,
        "recommender": made.recommender,
        "config": dict(made.config),
        "seed": made.seed,
        "dataset": made.dataset,
        "data_hash": made.data_hash,
        "code_version": made.code_version,
        "validation_ndcg": trial.validation_ndcg,
        "finished_at": trial.finished_at,
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
    return tuple(Trial(_recipe(row), row.validation_ndcg, row.finished_at) for row in connection.execute(query))


def _artifact(row: Row[*tuple[object, ...]]) -> Artifact:
    return Artifact(row.artifact_id, _recipe(row), row.scores, row.trained_at)


def _recipe(row: Row[*tuple[object, ...]]) -> Recipe:
    return Recipe(row.recommender, row.config, row.seed, row.dataset, row.data_hash, row.code_version)
