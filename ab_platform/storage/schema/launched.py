"""The tables of what was trained and launched: artifacts, trials, experiments, arms and assignments."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Integer, String, Table, Text

from ab_platform.storage.schema.columns import Document, UtcDateTime, metadata

artifacts = Table(
    "artifacts",
    metadata,
    Column("artifact_id", String, primary_key=True),
    Column("recipe_hash", String, nullable=False, index=True),
    Column("recommender", String, nullable=False),
    Column("config", Document, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("dataset", String, nullable=False),
    Column("data_hash", String, nullable=False),
    Column("code_version", String, nullable=False),
    Column("scores", Document, nullable=False),
    Column("trained_at", UtcDateTime, nullable=False),
)

trials = Table(
    "trials",
    metadata,
    Column("trial_key", String, primary_key=True),
    Column("recommender", String, nullable=False),
    Column("config", Document, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("dataset", String, nullable=False),
    Column("data_hash", String, nullable=False),
    Column("code_version", String, nullable=False),
    Column("validation_ndcg", Float, nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("curve", Document, nullable=False, server_default="{}", comment="NDCG@100 by epoch"),
)

study_trials = Table(
    "study_trials",
    metadata,
    Column("study", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("recommender", String, nullable=False),
    Column("config", Document, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("dataset", String, nullable=False),
    Column("data_hash", String, nullable=False),
    Column("code_version", String, nullable=False),
    Column("state", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("curve", Document, nullable=False, comment="NDCG@100 by epoch"),
    Column("validation_ndcg", Float, comment="none unless it is complete"),
    Column("reason", Text),
    comment="Trials of a search by their number, also unfinished ones; a complete one is a trial too.",
)

experiments = Table(
    "experiments",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("layer", String, nullable=False, index=True),
    Column("layer_start", Integer, nullable=False),
    Column("layer_end", Integer, nullable=False),
    Column("definition", Document, nullable=False),
    Column("state", String, nullable=False),
    Column("traffic", Float, nullable=False),
    Column("launched_at", UtcDateTime, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("stopped_at", UtcDateTime),
    Column(
        "events_deleted_at",
        UtcDateTime,
        comment="since when raw events are on their way out: none is stored or counted any more; user-days stay",
    ),
    Column("fallback", String, comment="artifact of the popularity that serves where an arm fails"),
)

experiment_changes = Table(
    "experiment_changes",
    metadata,
    Column("change_id", Integer, primary_key=True, autoincrement=True),
    Column("experiment", String, ForeignKey("experiments.experiment"), nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String, nullable=False),
    Column("before", Document),
    Column("after", Document, nullable=False),
    Column("reason", Text),
)

arms = Table(
    "arms",
    metadata,
    Column("experiment", String, ForeignKey("experiments.experiment"), primary_key=True),
    Column("arm", String, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("is_control", Boolean(name="is_control"), nullable=False),
    Column("weight", Float, nullable=False),
    Column("artifact_id", String, ForeignKey("artifacts.artifact_id"), nullable=False),
)

assignments = Table(
    "assignments",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("arm", String, nullable=False),
    Column("arm_bucket", Integer, nullable=False),
    Column("layer_bucket", Integer, nullable=False),
    Column("traffic", Float, nullable=False, comment="share that was in when the user came in"),
    Column("assigned_at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
    comment="Registered users who are in; a copy, for reports and joins, of what the salts alone decide.",
)
