"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _ingested()
    _trained()
    _launched()
    _recorded()
    _replayed()
    _counted()
    _computed()


def _ingested() -> None:
    op.create_table(
        "datasets",
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("interactions", sa.Integer(), nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.Column("titles", sa.Integer(), nullable=False),
        sa.Column("bad_rows", sa.Integer(), nullable=False),
        sa.Column("repeated_rows", sa.Integer(), nullable=False),
        sa.Column("ingested_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("dataset", name="pk_datasets"),
    )
    op.create_table(
        "titles",
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("title_id", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("genres", DOCUMENT, nullable=False),
        sa.Column("year", sa.Integer()),
        sa.ForeignKeyConstraint(["dataset"], ["datasets.dataset"], name="fk_titles_dataset_datasets"),
        sa.PrimaryKeyConstraint("dataset", "title_id", name="pk_titles"),
    )
    op.create_table(
        "interactions",
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("title_id", sa.String(), nullable=False),
        sa.Column("rating", sa.Float()),
        sa.Column("at", MOMENT),
        sa.PrimaryKeyConstraint("dataset", "user_id", "title_id", name="pk_interactions"),
        sqlite_with_rowid=False,
    )


def _trained() -> None:
    op.create_table(
        "artifacts",
        sa.Column("artifact_id", sa.String(), nullable=False),
        sa.Column("recipe_hash", sa.String(), nullable=False),
        sa.Column("recommender", sa.String(), nullable=False),
        sa.Column("config", DOCUMENT, nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("data_hash", sa.String(), nullable=False),
        sa.Column("code_version", sa.String(), nullable=False),
        sa.Column("scores", DOCUMENT, nullable=False),
        sa.Column("trained_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("artifact_id", name="pk_artifacts"),
    )
    op.create_index("ix_artifacts_recipe_hash", "artifacts", ["recipe_hash"])
    op.create_table(
        "trials",
        sa.Column("trial_key", sa.String(), nullable=False),
        sa.Column("recommender", sa.String(), nullable=False),
        sa.Column("config", DOCUMENT, nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("data_hash", sa.String(), nullable=False),
        sa.Column("code_version", sa.String(), nullable=False),
        sa.Column("validation_ndcg", sa.Float(), nullable=False),
        sa.Column("finished_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("trial_key", name="pk_trials"),
    )


def _launched() -> None:
    op.create_table(
        "experiments",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("layer", sa.String(), nullable=False),
        sa.Column("layer_start", sa.Integer(), nullable=False),
        sa.Column("layer_end", sa.Integer(), nullable=False),
        sa.Column("definition", DOCUMENT, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("traffic", sa.Float(), nullable=False),
        sa.Column("launched_at", MOMENT, nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.Column("stopped_at", MOMENT),
        sa.PrimaryKeyConstraint("experiment", name="pk_experiments"),
    )
    op.create_index("ix_experiments_layer", "experiments", ["layer"])
    op.create_table(
        "experiment_changes",
        sa.Column("change_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("before", DOCUMENT),
        sa.Column("after", DOCUMENT, nullable=False),
        sa.Column("reason", sa.Text()),
        sa.ForeignKeyConstraint(
            ["experiment"], ["experiments.experiment"], name="fk_experiment_changes_experiment_experiments"
        ),
        sa.PrimaryKeyConstraint("change_id", name="pk_experiment_changes"),
    )
    op.create_index("ix_experiment_changes_experiment", "experiment_changes", ["experiment"])
    op.create_table(
        "arms",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("is_control", sa.Boolean(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("artifact_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.artifact_id"], name="fk_arms_artifact_id_artifacts"),
        sa.ForeignKeyConstraint(["experiment"], ["experiments.experiment"], name="fk_arms_experiment_experiments"),
        sa.PrimaryKeyConstraint("experiment", "arm", name="pk_arms"),
    )


def _recorded() -> None:
    op.create_table(
        "exposures",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("experiment", "user_id", "surface", name="pk_exposures"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("title_id", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("slate_id", sa.Uuid()),
        sa.Column("position", sa.Integer()),
        sa.Column("served_by", sa.String()),
        sa.Column("impression_id", sa.Uuid()),
        sa.Column("watch_seconds", sa.Float()),
        sa.PrimaryKeyConstraint("event_id", name="pk_events"),
    )
    op.create_index("ix_events_experiment_user_id", "events", ["experiment", "user_id"])
    op.create_table(
        "open_user_days",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("experiment", "user_id", "day", name="pk_open_user_days"),
        sqlite_with_rowid=False,
        comment="Days of a user with events that are not rolled up yet; a late event opens its day again.",
    )


def _replayed() -> None:
    op.create_table(
        "potential_outcomes",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("impressions", sa.Integer(), nullable=False),
        sa.Column("clicks", sa.Integer(), nullable=False),
        sa.Column("watch_seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("experiment", "user_id", "arm", "surface", name="pk_potential_outcomes"),
        sqlite_with_rowid=False,
        comment="What a replayed user does under every arm, assigned or not: the truth that only a replay knows.",
    )


def _counted() -> None:
    op.create_table(
        "user_days",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("impressions", sa.Integer(), nullable=False),
        sa.Column("clicks", sa.Integer(), nullable=False),
        sa.Column("watch_seconds", sa.Float(), nullable=False),
        sa.Column("last_at", MOMENT, nullable=False, comment="time of the newest event that counts"),
        sa.PrimaryKeyConstraint("experiment", "user_id", "surface", "day", name="pk_user_days"),
        sqlite_with_rowid=False,
    )


def _computed() -> None:
    op.create_table(
        "lifts",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("alpha", sa.Float(), nullable=False),
        sa.Column("watermark", MOMENT, nullable=False),
        sa.Column("users_control", sa.Integer(), nullable=False),
        sa.Column("users_treatment", sa.Integer(), nullable=False),
        sa.Column("numerator_control", sa.Float(), nullable=False),
        sa.Column("numerator_treatment", sa.Float(), nullable=False),
        sa.Column("denominator_control", sa.Float(), nullable=False),
        sa.Column("denominator_treatment", sa.Float(), nullable=False),
        sa.Column("control", sa.Float()),
        sa.Column("treatment", sa.Float()),
        sa.Column("lift", sa.Float()),
        sa.Column("low", sa.Float()),
        sa.Column("high", sa.Float()),
        sa.Column("p_value", sa.Float()),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("experiment", "as_of", "surface", "metric", "arm", name="pk_lifts"),
    )
    op.create_table(
        "sample_ratios",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False, comment="a surface, or 'all' for users exposed on any"),
        sa.Column("watermark", MOMENT, nullable=False),
        sa.Column("arms", DOCUMENT, nullable=False, comment="arm names, control first"),
        sa.Column("counts", DOCUMENT, nullable=False),
        sa.Column("expected", DOCUMENT, nullable=False),
        sa.Column("chi2", sa.Float()),
        sa.Column("p_value", sa.Float()),
        sa.Column("alarm", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("experiment", "as_of", "scope", name="pk_sample_ratios"),
    )
